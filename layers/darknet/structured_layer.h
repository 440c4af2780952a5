/* The Darknet layer that carries a structured matrix: y = activation(W x + b), optionally
 * batch-normalised.
 *
 * With size=S in its section it is a convolution: W is applied to the patches of an image
 * (window.h), whose channels are n_inputs / S^2.
 *
 * To Darknet the layer is LOCAL with n = 1 and c = the number of 4-byte words behind the biases;
 * while it saves or loads, size = out_w = out_h = 1 too, so that its own code stores and loads
 * biases[n_outputs], weights[c]: first the n_bytes of the matrix, then, with batch_normalize,
 * scales, rolling means and rolling variances (n_outputs each). The shape is one malloc block in
 * l.cweights, l.state and l.state_delta are the scratch; free_layer releases all of them.
 *
 * Values of few bits (stored.h): l.weights holds the words with values of float32, which training
 * moves; products and gradients take their rounded copy in l.binary_weights, and the gradient is
 * applied to the values as it is (straight through: Bengio, Leonard and Courville, Estimating or
 * propagating gradients through stochastic neurons for conditional computation, arXiv 1308.3432,
 * 2013). The scales stay. l.indexes is the scale map. What is saved is what was multiplied; while
 * Darknet saves or loads, l.weights is a buffer for the stored form. */
#ifndef STRUCTURED_LAYER_H
#define STRUCTURED_LAYER_H

#include "family.h"
#include "window.h"

#include <darknet.h>

/* A freshly initialised layer for images with this window, which has as many inputs as matrix,
 * which it takes over. On failure error->code is set, matrix is freed and the layer is all zero. */
layer make_structured_layer(int batch, const struct sn_window *window, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize, int adam,
                            struct sn_error *error);

void forward_structured_layer(layer l, network net);
void backward_structured_layer(layer l, network net);

/* SGD with momentum and decay exactly as update_connected_layer, or, with a.adam, Adam as Darknet's
 * GPU code has it (Kingma and Ba, 2015, with decay added to the gradient). */
void update_structured_layer(layer l, update_args a);

/* The matrix of a structured layer, NULL for any other layer. */
struct sn_matrix *structured_matrix(const layer *l);

/* The words that products and gradients take: the rounded ones of few bits. */
const float *structured_multiplied(const layer *l);

/* Where a structured layer applies its matrix. */
struct sn_window structured_window(const layer *l);

/* Rounds the words anew, after something else than the functions here has changed l->weights. */
void round_structured_layer(layer *l);

/* Rounds the words, and packs them for inference: forward takes the packed form for a few vectors
 * until the layer is updated or rounded. SN_NO_MEMORY. */
enum sn_status prepare_structured_layer(layer *l, struct sn_error *error);

/* The words behind the biases that a load reads: with dontloadscales the batch statistics are not
 * among them. */
int structured_load_words(const layer *l);

/* Around Darknet's loading and saving: dress makes the layer one of a single place, whose weights
 * are the stored words, undress gives it its shape and words back. SN_NO_MEMORY leaves the layer as
 * it was. */
struct structured_shape {
    int outputs, out_w, out_h, size, c;
    float *words; /* of the matrix, in memory */
};
enum sn_status structured_dress(layer *l, struct structured_shape *shape, struct sn_error *error);
void structured_undress(layer *l, const struct structured_shape *shape);

/* After a load into a dressed layer: takes the matrix and, unless dontloadscales, the batch
 * statistics over. */
enum sn_status unpack_structured_layer(layer *l, const struct structured_shape *shape,
                                       struct sn_error *error);

/* Before a save of a dressed layer: writes its stored words and batch statistics. */
void pack_structured_layer(layer *l, const struct structured_shape *shape);

#endif
