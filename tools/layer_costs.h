/* What a layer of a net is made of and takes: its matrix, its bytes, its multiply-adds. */
#ifndef LAYER_COSTS_H
#define LAYER_COSTS_H

#include <darknet.h>
#include <stddef.h>
#include <window.h>

/* The matrix of a connected or structured layer, or of a convolution: y = W x, W of n_rows x
 * n_columns, x the patch at each of the window's n_pixels places (1 for vectors). Outputs of
 * several places lie as Darknet's images do, channel by channel. Of a convolution of groups, W has
 * as many equal blocks on its diagonal and nothing beside them; else n_blocks is 1. All zero for
 * any other layer: a convolution with size=1 and a stride or padding is one, as Darknet computes
 * something else. */
struct layer_matrix {
    int n_rows, n_columns, n_pixels, n_blocks;
    struct sn_window window;
};
struct layer_matrix layer_matrix(const layer *l);

/* A layer's stored bytes (biases and batch statistics included) and the multiply-adds for one
 * input. */
size_t layer_bytes(const layer *l);
double layer_multiply_adds(const layer *l);

#endif
