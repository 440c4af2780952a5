/* What one layer of a net sees of images, evaluated as in prediction, on all cores.
 *
 * An image has 1 + n_crops views: the whole, prepared as for evaluation, and random parts of it,
 * half of them flipped, which the seed and the number of the view alone decide. A view gives
 * n_pixels rows of n_columns values: one row where the layer takes a vector; of a convolution the
 * patch at every place (window.h).
 *
 * Each thread has a net of its own, decodes the images that it then evaluates, and takes the next
 * batch of views when it is done, so that no core waits for another. Batches begin at multiples of
 * their size whoever computes them: the results do not depend on the number of threads. */
#ifndef FEATURE_ROWS_H
#define FEATURE_ROWS_H

#include "layer_costs.h"
#include "pictures.h"
#include "tail.h"

#include <stdint.h>

struct features_source {
    const char *cfg, *weights;  /* of the net */
    int layer;                  /* whose inputs are asked for */
    const struct lines *images; /* paths */
    int resize;                 /* as for pictures_prepare */
    int n_crops;                /* random views of each image */
    uint64_t seed;
    int is_checked; /* Compare what the layer and those behind it make of the rows with the net. */
};

struct features_worker {
    network *net;
    struct tail tail;           /* when is_checked */
    double difference, largest; /* of outputs: between the two, and of the net's own */
    int failed;                 /* the batch of the error, -1: none */
    struct sn_error error;
};

struct features {
    struct features_source source;
    struct layer_matrix matrix; /* its n_columns and n_pixels */
    int batch, n_views;         /* of all images */
    int n_workers;
    struct features_worker *workers;
};

/* Loads a net for each of sn_threads() threads that has a batch to take, but for the first, which
 * takes over net, read from cfg and weights. The source is borrowed until features_close.
 * SN_NO_MEMORY, SN_BAD_INPUT; a net that is wrong ends the process. */
enum sn_status features_open(struct features *features, const struct features_source *source,
                             network *net, struct sn_error *error);

/* Legal on a zeroed struct. */
void features_close(struct features *features);

/* How many views are worth a call of features_compute, which ends when the last of them is done. */
int features_block(const struct features *features);

/* Writes the rows of count views from first, a multiple of the batch, on: views of an image stand
 * behind each other, in the order of the list. Memory: what nets take. SN_BAD_INPUT names an image
 * that cannot be decoded. */
enum sn_status features_compute(struct features *features, int first, int count, float *rows,
                                struct sn_error *error);

/* The same as the layer's inputs stand in the net: count x inputs, images channel by channel. */
enum sn_status features_inputs(struct features *features, int first, int count, float *inputs,
                               struct sn_error *error);

/* Calls visit for each batch of count views from first on, a multiple of the batch: its views,
 * count of them, number start among these, are loaded as worker->net's inputs, and nothing is
 * computed yet. Calls of several workers come at the same time, in any order. */
typedef void features_visitor(void *context, struct features_worker *worker, int start, int count);
enum sn_status features_visit(struct features *features, int first, int count,
                              features_visitor *visit, void *context, struct sn_error *error);

/* The largest difference between outputs of the net and those from the rows, and the largest output
 * of the net, over all that was computed. */
void features_check(const struct features *features, double *difference, double *largest);

/* CRC-32 of all that rows depend on: the bytes of cfg and weights, the layer, and of the images
 * paths, sizes and times of change. */
enum sn_status features_fingerprint(const struct features *features, uint32_t *crc,
                                    struct sn_error *error);

#endif
