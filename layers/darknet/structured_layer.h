/* The Darknet layer that carries a structured matrix: y = activation(W x + b), optionally
 * batch-normalised.
 *
 * With size=1 in its section it is a 1x1 convolution: W is applied at every pixel of a w x h x
 * n_inputs image.
 *
 * To Darknet the layer is LOCAL with size = n = 1 and c = the number of float32 words behind the
 * biases; while it saves or loads, out_w = out_h = 1 too, so that its own code stores and loads
 * biases[n_outputs], weights[c]: first the n_words of the matrix, then, with batch_normalize,
 * scales, rolling means and rolling variances (n_outputs each). The shape is one malloc block in
 * l.cweights, l.state and l.state_delta are the scratch; free_layer releases all of them. */
#ifndef STRUCTURED_LAYER_H
#define STRUCTURED_LAYER_H

#include "family.h"

#include <darknet.h>

/* A freshly initialised layer for inputs of w x h pixels (1 x 1 for vectors), which takes over
 * matrix. On failure error->code is set, matrix is freed and the layer is all zero. */
layer make_structured_layer(int batch, int w, int h, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize, int adam,
                            struct sn_error *error);

void forward_structured_layer(layer l, network net);
void backward_structured_layer(layer l, network net);

/* SGD with momentum and decay exactly as update_connected_layer, or, with a.adam, Adam as Darknet's
 * GPU code has it (Kingma and Ba, 2015, with decay added to the gradient). */
void update_structured_layer(layer l, update_args a);

/* The matrix of a structured layer, NULL for any other layer. */
struct sn_matrix *structured_matrix(const layer *l);

/* The words behind the biases that a load reads: with dontloadscales the batch statistics are not
 * among them. */
int structured_load_words(const layer *l);

/* After a load: takes the matrix' indices and, unless dontloadscales, the batch statistics over
 * from l->weights. */
enum sn_status unpack_structured_layer(layer *l, struct sn_error *error);

/* Before a save: copies the batch statistics behind the matrix' words. */
void pack_structured_layer(layer *l);

/* Around Darknet's loading and saving: dress makes the layer one of a single pixel, undress gives
 * it its shape back. */
struct structured_shape {
    int outputs, out_w, out_h;
};
void structured_dress(layer *l, struct structured_shape *shape);
void structured_undress(layer *l, const struct structured_shape *shape);

#endif
