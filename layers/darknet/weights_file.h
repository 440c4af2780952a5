/* A Darknet .weights file as parser.c reads it: a header (weights_header.h), then the layers in
 * order, each the 4-byte words of its arrays. All words are float32 but for the packed values
 * and indices of a structured matrix (stored.h, psm.h, sss.h).
 *
 * A structured layer of m outputs (of m channels with size=1) has the words
 *
 *     biases       m
 *     matrix       n_bytes / 4: float32 values or scales and codes, then the structure
 *     statistics   3 m with batch_normalize and without dontloadscales: scales, means, variances
 *
 * Nothing in a file says which layer a word belongs to. Hence a length that differs by a byte means
 * that file and cfg do not belong together, or that the file is damaged. */
#ifndef WEIGHTS_FILE_H
#define WEIGHTS_FILE_H

#include "sn_error.h"
#include "weights_header.h"

#include <darknet.h>
#include <stddef.h>

/* The words that loading reads for a layer: n_words, of which those from first_index on, n_indices
 * in number, are no floats. All 0 for a layer that has no weights or dontload=1. */
struct weights_words {
    size_t n_words, first_index, n_indices;
};
struct weights_words weights_layer_words(const layer *l);

/* The bytes of these words. */
size_t weights_layer_bytes(const layer *l);

/* The bytes of the layers start <= i < end of net: where layer end begins, counted from where layer
 * start does. */
size_t weights_bytes_between(const network *net, int start, int end);

/* The name of a layer's section: "sss", "connected", ... */
const char *weights_layer_name(const layer *l);

/* The first layer of the net in memory that holds a weight, bias or statistic which is no finite
 * number, of the kinds convolutional, connected and structured; -1 when there is none. */
int weights_not_finite(const network *net);

struct weights_span {
    struct weights_header header;
    size_t header_bytes;
    size_t file_bytes;
};

/* Reads the header of path. SN_IO when it cannot be read, SN_BAD_INPUT when it is shorter than a
 * header. */
enum sn_status weights_span(const char *path, struct weights_span *span, struct sn_error *error);

/* Compares the file's length with the layers start <= i < cutoff of net. A net with a structured
 * layer, or strict, must match to the byte. Stock nets keep Darknet's habits: the file may end
 * behind any layer (the later ones keep their start values) or go on with whole floats, as
 * pre-trained backbones do; a part of a layer is refused. */
enum sn_status weights_check_length(const network *net, const char *path, int start, int cutoff,
                                    int strict, struct sn_error *error);

/* Every float that the file has for these layers is finite. SN_BAD_INPUT names layer and value
 * otherwise: a ReLU behind it would hide what it does to the outputs. Cost: a pass over the file.
 */
enum sn_status weights_check_finite(const network *net, const char *path, int start, int cutoff,
                                    struct sn_error *error);

#endif
