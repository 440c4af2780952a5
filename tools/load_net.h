/* Nets for tools: Darknet's parser and loader, without their chatter. */
#ifndef LOAD_NET_H
#define LOAD_NET_H

#include <darknet.h>

/* Parses cfg and, unless weights is NULL, loads the weights, whose length must match to the byte.
 * Ends the process with one line when either is wrong. The caller frees with free_network. */
network *load_net(const char *cfg, const char *weights);

/* Between quiet_begin and quiet_end Darknet's stderr goes nowhere. When Darknet ends the process
 * there, what it said is printed as one line behind the program's name. */
void quiet_begin(void);
void quiet_end(void);

/* The matrix of a connected or structured layer, or of a convolution with size=1, stride=1, no
 * padding and one group: y = W x, W of n_rows x n_columns, at each of n_pixels places (1 for
 * vectors). Inputs and outputs of several pixels lie as Darknet's images do, channel by channel.
 * All zero for any other layer. */
struct layer_matrix {
    int n_rows, n_columns, n_pixels;
};
struct layer_matrix layer_matrix(const layer *l);

/* A layer's stored bytes (biases and batch statistics included) and the multiply-adds for one
 * input. */
size_t layer_bytes(const layer *l);
double layer_multiply_adds(const layer *l);

#endif
