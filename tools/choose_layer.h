/* The layer of a net that a command works on: the one that --layer names, or a default. */
#ifndef CHOOSE_LAYER_H
#define CHOOSE_LAYER_H

#include "command.h"

#include <darknet.h>
#include <sn_error.h>

/* What a command can work on. By default it takes the last layer that is_preferred, or the last
 * that is_allowed in a net without one. */
struct layer_kind {
    int (*is_preferred)(const layer *l);
    int (*is_allowed)(const layer *l);
    const char *none;     /* of a net without any: "expected ..., found none" */
    const char *expected; /* instead of a layer that is not allowed */
};

/* A layer whose inputs can be seen: connected or structured, else a convolution of one group. */
extern const struct layer_kind choose_layer_matrix;

/* A layer that can be replaced: its weights are the blocks of its matrix, row by row, in the file
 * too. Connected, else a convolution. */
extern const struct layer_kind choose_layer_dense;

/* Any layer; by default the one whose outputs are the net's, before [softmax], [cost] and
 * [dropout]. */
extern const struct layer_kind choose_layer_outputs;

/* The argument of --layer as a number; one that is none is a wrong use. */
int choose_layer_option(const struct command *command, const char *text);

/* Writes the number of the layer to *layer: asked, or the default when asked < 0. cfg names the net
 * in messages. SN_BAD_INPUT when the net has no such layer, or asked is not of that kind. */
enum sn_status choose_layer(const network *net, const char *cfg, int asked,
                            const struct layer_kind *kind, int *layer, struct sn_error *error);

#endif
