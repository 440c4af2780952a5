/* The Darknet layer that carries a structured matrix: y = activation(W x + b), optionally
 * batch-normalised.
 *
 * With size=1 in its section it is a 1x1 convolution: W is applied at every pixel of a w x h x
 * n_inputs image.
 *
 * To Darknet the layer is LOCAL with size = n = 1 and c = the number of float32 words behind the
 * biases; while it saves or loads, out_w = out_h = 1 too, so that its own code stores and loads
 * biases[n_outputs], weights[c]: first the stored form of the matrix (stored.h), then, with
 * batch_normalize, scales, rolling means and rolling variances (n_outputs each). The shape is one
 * malloc block in l.cweights, l.state and l.state_delta are the scratch; free_layer releases all of
 * them.
 *
 * Values of few bits are trained as float32 in l.weights, the words of the matrix. l.binary_weights
 * is a copy of them whose values are rounded, by scales that stay, with l.indexes as scale map: it
 * is what forward and backward multiply with, and what is saved; the gradient of the rounded values
 * is taken for that of the others, the straight-through estimator. Source: Bengio, Léonard and
 * Courville, Estimating or propagating gradients through stochastic neurons, arXiv 1308.3432, 2013.
 */
#ifndef STRUCTURED_LAYER_H
#define STRUCTURED_LAYER_H

#include "stored.h"

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

/* What a layer is while Darknet loads or saves it: one of a single pixel, whose weights are what
 * stands in the file. */
struct structured_dress {
    int outputs, out_w, out_h, c;
    float *weights; /* the layer's own */
    float *payload; /* what it has for them, free() */
};

/* Before a load (is_save 0) and before a save, when what is to be saved is put into its weights.
 * SN_NO_MEMORY is the only failure, the layer stays as it is then. */
enum sn_status structured_dress(layer *l, int is_save, struct structured_dress *dress,
                                struct sn_error *error);

/* Gives the layer back what it was. dress->payload stays. */
void structured_undress(layer *l, const struct structured_dress *dress);

/* After a load and undress: takes the matrix and, unless dontloadscales, the batch statistics over
 * from what was read. */
enum sn_status unpack_structured_layer(layer *l, const float *payload, struct sn_error *error);

#endif
