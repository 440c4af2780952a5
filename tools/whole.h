/* A whole net made smaller, its convolutions included: what structnet compress does where layers
 * are to be replaced whose inputs are too many to keep.
 *
 * A few hundred images fit it; no label is needed. First each layer is tried alone in several
 * forms, within the net as it was: all entries, or a sparse matrix of a part of them, in several
 * numbers of bits. With e the relative error of its outputs, those forms are chosen that minimise
 *
 *     sum over layers of e^2 + lambda cost,
 *
 * cost being bytes, multiply-adds, or the sum of both over their budgets, for the least lambda that
 * keeps to them: so each byte goes where it lowers an error most. Layers that hold less than a
 * thousandth of the net, and convolutions of groups, keep all entries in 8 bits, those of less than
 * WHOLE_TINY values stay. Then the layers are replaced one behind the other, each fitted to what
 * the net as it was gives there by what the replaced ones before it give (moments.h), and in the
 * end the statistics of batch normalisation are taken again (calibration.h). In between the values
 * may be trained, without labels (reconstruction.h) or with them (whole_train.h).
 *
 * Beside it nets are made that keep all entries, in several numbers of bits: in bytes alone these
 * are the better ones, so that every figure stands beside theirs.
 *
 * All of these are steps (steps.h), so that an interrupted run goes on where it ended. */
#ifndef WHOLE_H
#define WHOLE_H

#include "compress.h"

enum {
    WHOLE_TINY = 256,
    WHOLE_SMALL_BITS = 8,
    WHOLE_MAX_FORMS = 32,
    WHOLE_IMAGES = 256,
    WHOLE_TUNE_IMAGES = 1024
};

/* One form of a layer: what is asked for, and what it came to. */
struct whole_form {
    const struct sn_fit_type *type;
    int bits, block;
    double part; /* of the entries; 1: all */
    char name[COMPRESS_MAX_NAME];
    double bytes, madds, error; /* of one product; error NAN where it does not fit */
};

struct whole_layer {
    const struct compress_layer *layer;
    int n, chosen; /* forms */
    struct whole_form forms[WHOLE_MAX_FORMS];
    struct whole_form found; /* as it stands in the net in the end */
};

/* What a net takes, for an image. */
struct whole_size {
    double bytes, madds;         /* of the matrices of the layers that are asked for */
    double net_bytes, net_madds; /* of all layers */
    double top1, us;             /* on the test images; microseconds */
};

/* A net that is made or compared with. */
struct whole_net {
    char label[COMPRESS_MAX_LABEL]; /* for people */
    struct compress_net net;
    struct whole_size size;
};

struct whole {
    struct compress *compress;
    char images[32]; /* in the names of what depends on how many images there are, and their size */
    int n;
    struct whole_layer layers[COMPRESS_MAX_LAYERS];
    struct whole_net net; /* the one that is made */
    int n_nets;           /* as it was, with all entries in few bits each, and the one made, last */
    struct whole_net nets[2 + REQUEST_MAX_BITS];
};

/* Makes the net. compress is borrowed. SN_BAD_INPUT when nothing keeps to the budgets, SN_IO,
 * SN_NO_MEMORY. Large: not for the stack of a thread. */
enum sn_status whole_run(struct whole *whole, struct compress *compress, struct sn_error *error);

/* Writes the page, one file of HTML that needs no other, and the table: comments that begin with #,
 * one for each net, the names of the columns, and a row for each form of each layer that was tried,
 * and for what is in the net. command is the line that called for it; NULL: not known. */
void whole_report_write(const struct whole *whole, const char *command, FILE *page, FILE *table);

#endif
