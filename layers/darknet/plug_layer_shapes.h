/* What one layer makes of the shape that it is given: the rules of plug_shapes.h layer by layer. */
#ifndef PLUG_LAYER_SHAPES_H
#define PLUG_LAYER_SHAPES_H

#include "cfg_text.h"

/* What a layer gives: n numbers, which are an image of c channels unless w, h and c are 0. */
struct shape {
    long long w, h, c, n;
};

struct shapes {
    const struct cfg_text *text;
    long long batch;          /* images at a time, times time_steps */
    double n_bytes;           /* that weights and outputs take, at least, */
    double n_workspace_bytes; /* and what all layers share */
    struct shape *out;
    long long n_truths; /* that the last layer with truth=1 gave, 0 before there is one */
};

/* One layer, whose shape net->out[i] is computed from in. */
struct step {
    struct shapes *net;
    const struct cfg_section *section;
    int i;
    struct shape in, *out;
    struct sn_error *error;
};

/* A key's value, which plug_keys.h has found to be a whole number. */
long long plug_whole(const struct cfg_section *section, const char *key, long long without);

/* Computes step->out, and adds to step->net->n_bytes. SN_BAD_INPUT when the layer cannot be. */
enum sn_status plug_layer_shape(const struct step *step);

#endif
