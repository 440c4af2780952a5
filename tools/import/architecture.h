/* torchvision's classification nets as lists of nodes with all names and sizes resolved, from the
 * tables in architecture_tables.h, and the tensors of their state dicts. */
#ifndef ARCHITECTURE_H
#define ARCHITECTURE_H

#include <sn_error.h>

#include <stdint.h>

enum node_op {
    NODE_CONVOLUTION,
    NODE_LINEAR,
    NODE_MAX_POOL,
    NODE_AVERAGE_POOL_3,
    NODE_GLOBAL_AVERAGE,
    NODE_DROPOUT,
    NODE_ADD,
    NODE_CONCATENATE
};

enum node_activation { NODE_NONE, NODE_RELU, NODE_RELU6 };

enum { NODE_MAX_INPUTS = 6, NODE_NAME_BYTES = 64 };

/* One operation with all sizes known. Inputs are numbers of earlier nodes; -1 is the net's input.
 */
struct architecture_node {
    enum node_op op;
    char name[NODE_NAME_BYTES]; /* CONVOLUTION, LINEAR: of the parameters in the state dict, without
                                   ".weight" */
    char norm[NODE_NAME_BYTES]; /* CONVOLUTION: of its BatchNorm2d; "" when it has none */
    int has_bias;               /* CONVOLUTION without norm, and VGG's with */
    int n_inputs, input[NODE_MAX_INPUTS];
    int h, w, c; /* of the first input */
    int out_h, out_w, out_c;
    int size_h, size_w, stride, pad_h, pad_w, groups;
    int ceil_mode; /* MAX_POOL */
    enum node_activation activation;
    double rate; /* DROPOUT */
};

/* A tensor of the state dict that evaluation needs. */
struct architecture_parameter {
    char name[NODE_NAME_BYTES + 16];
    int n_dimensions;
    int64_t shape[4];
};

struct architecture {
    const char *name;
    int size;        /* height and width of the input images */
    float mean, std; /* 0: ImageNet's per channel; else what transform_input makes of it */
    double epsilon;  /* of its BatchNorm2d */
    int n_nodes;
    struct architecture_node *nodes; /* in the order of evaluation */
    int n_parameters;
    struct architecture_parameter *parameters; /* of the nodes in turn */
};

/* The name of architecture i, counted from 0 in alphabetical order; NULL behind the last. */
const char *architecture_name(int i);

/* The nodes of an architecture with n_classes outputs in its last convolution or linear layer.
 * SN_BAD_INPUT for an unknown name. The caller frees with architecture_free. */
enum sn_status architecture_make(const char *name, int n_classes, struct architecture *architecture,
                                 struct sn_error *error);
void architecture_free(struct architecture *architecture);

/* The number of the node that carries the classifier: the last CONVOLUTION or LINEAR. */
int architecture_head(const struct architecture *architecture);

#endif
