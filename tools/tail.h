/* The tail of a net: its layers from one on, as a net of Darknet's own that takes that layer's
 * inputs and ends in [softmax], which gets one where the whole net has none. Of [net] it has
 * momentum, decay and what Adam takes; the learning rate stays as it is set.
 *
 * A tail keeps one state of its weights, in a file without a name. At first it is that of the whole
 * net's weights. */
#ifndef TAIL_H
#define TAIL_H

#include <darknet.h>
#include <sn_error.h>
#include <stdio.h>

struct tail_source {
    const char *cfg, *weights; /* of the whole net, borrowed */
    const network *net;        /* read from them, borrowed */
    int first; /* the layer of net that the tail begins with: one with a matrix (layer_matrix) */
};

struct tail {
    struct tail_source source;
    network *net;
    FILE *cfg, *state; /* without names */
    size_t n_bytes;    /* of the tail's layers in the .weights file, */
    size_t n_before;   /* and of what stands before them there, its header included */
};

/* Makes the tail for batches of so many inputs, with update rules as adam=1 in [net] has them where
 * adam is set. SN_BAD_INPUT where a layer of the tail takes outputs of one before it, or is not
 * loaded from the file (dontload). The source is borrowed until tail_close, but for what the struct
 * itself holds. What Darknet finds wrong ends the process. */
enum sn_status tail_open(struct tail *tail, const struct tail_source *source, int batch, int adam,
                         struct sn_error *error);

/* Legal on a zeroed struct. */
void tail_close(struct tail *tail);

/* Keeps the weights as they are now. SN_IO. */
enum sn_status tail_keep(struct tail *tail, struct sn_error *error);

/* Makes the net anew from the weights that were kept: without momentum, nor Adam's moments. */
void tail_restore(struct tail *tail);

/* Writes the whole net's .weights with the weights that were kept in place of the tail's: every
 * other byte is that of the source. The caller checks file. */
enum sn_status tail_write(const struct tail *tail, FILE *file, struct sn_error *error);

#endif
