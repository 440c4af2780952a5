/* A Darknet .weights file as parser.c reads it: a header (weights_header.h), then the layers in
 * order, float32 each. */
#ifndef WEIGHTS_FILE_H
#define WEIGHTS_FILE_H

#include "sn_error.h"
#include "weights_header.h"

#include <darknet.h>
#include <stddef.h>

/* Bytes that loading reads for a layer; 0 for one that has no weights or dontload=1. */
size_t weights_layer_bytes(const layer *l);

/* The name of a layer's section: "sss", "connected", ... */
const char *weights_layer_name(const layer *l);

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

#endif
