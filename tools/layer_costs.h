/* What a layer of a net is made of and takes: its matrix, its bytes, its multiply-adds. */
#ifndef LAYER_COSTS_H
#define LAYER_COSTS_H

#include <darknet.h>
#include <stddef.h>

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
