/* A torchvision net as a Darknet net. */
#ifndef IMPORT_NET_H
#define IMPORT_NET_H

#include "architecture.h"
#include "checkpoint.h"

#include <stdio.h>

/* A parameter that a node needs: its name in the state dict and its shape. */
struct parameter {
    char name[NODE_NAME_BYTES + 16];
    int n_dimensions;
    int64_t shape[4];
};
enum { NODE_MAX_PARAMETERS = 6 };

/* Writes the node's parameters, weight first; returns how many. */
int node_parameters(const struct node *node, struct parameter *parameters);

struct import_net {
    struct architecture architecture;
    const struct checkpoint *checkpoint;
    char prefix[256];      /* of the net's tensors in the checkpoint: "", "module.", ... */
    int keep_batchnorm;    /* batch_normalize=1 instead of folding into the convolutions */
    int freeze;            /* only the head trains */
    float mean[3], std[3]; /* of the input's normalisation */
    int n_rows;            /* of the head */
    const int *rows; /* the rows of the checkpoint's head to take, in their order; NULL for all */
};

/* Finds the net's tensors: net->checkpoint and the options are given, architecture, prefix and
 * n_rows are filled in. The number of classes is the checkpoint's. SN_BAD_INPUT names the first
 * tensor that is missing, of another shape, or unknown to the architecture. The caller frees
 * net->architecture. */
enum sn_status import_find(struct import_net *net, const char *architecture,
                           struct sn_error *error);

/* Writes the cfg, or the weights that belong to it. SN_NO_MEMORY is the only failure; the caller
 * checks the file. */
enum sn_status import_write_cfg(const struct import_net *net, FILE *file, struct sn_error *error);
enum sn_status import_write_weights(const struct import_net *net, FILE *file,
                                    struct sn_error *error);

#endif
