/* A torchvision net as a Darknet net: the tensors of a checkpoint under the nodes of an
 * architecture (import_net.c), written as a cfg (import_cfg.c) and its weights (import_weights.c).
 * Both writers walk the nodes in the order of the architecture, which is the order of the layers.
 * The weights are written as they are read, a filter at a time: what is needed beside the mapped
 * checkpoint does not grow with it. */
#ifndef IMPORT_NET_H
#define IMPORT_NET_H

#include "architecture.h"
#include "checkpoint.h"

#include <stdio.h>

struct import_net {
    struct architecture architecture;
    const struct checkpoint *checkpoint;
    char prefix[256];      /* of the net's tensors in the checkpoint: "", "module.", ... */
    int is_plain;          /* they are found by their plain names */
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

/* The tensor PREFIX NAME SUFFIX of the checkpoint, or NULL. */
const struct tensor *import_find_tensor(const struct import_net *net, const char *name,
                                        const char *suffix);

/* Darknet's kernels are square: the side of the smallest one that holds the node's, in its middle.
 * 1 for LINEAR. */
int import_kernel_size(const struct architecture_node *node);

/* Writes the cfg, or the weights that belong to it. SN_NO_MEMORY is the only failure; the caller
 * checks the file. */
enum sn_status import_write_cfg(const struct import_net *net, FILE *file, struct sn_error *error);
enum sn_status import_write_weights(const struct import_net *net, FILE *file,
                                    struct sn_error *error);

#endif
