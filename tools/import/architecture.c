/* Makes the nodes of a net from its table: rows in turn, modules by recursion, each with its own
 * names, arguments and input; then the sizes, as torch computes them, from the image on. */
#include "architecture.h"
#include "architecture_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* transform_input makes (x - 0.5) / 0.5 of the input; the pre-trained googlenet and inception_v3
 * have it. */
static const struct {
    const char *name;
    const struct row *rows;
    int size;
    float mean, std;
    double epsilon;
} table[] = {
    { "alexnet", alexnet, 224, 0, 0, 1e-5 },
    { "googlenet", googlenet, 224, 0.5f, 0.5f, 1e-3 },
    { "inception_v3", inception_v3, 299, 0.5f, 0.5f, 1e-3 },
    { "mobilenet_v2", mobilenet_v2, 224, 0, 0, 1e-5 },
    { "resnet18", resnet18, 224, 0, 0, 1e-5 },
    { "resnet34", resnet34, 224, 0, 0, 1e-5 },
    { "resnet50", resnet50, 224, 0, 0, 1e-5 },
    { "resnet101", resnet101, 224, 0, 0, 1e-5 },
    { "resnet152", resnet152, 224, 0, 0, 1e-5 },
    { "squeezenet1_0", squeezenet1_0, 224, 0, 0, 1e-5 },
    { "squeezenet1_1", squeezenet1_1, 224, 0, 0, 1e-5 },
    { "vgg11", vgg11, 224, 0, 0, 1e-5 },
    { "vgg11_bn", vgg11_bn, 224, 0, 0, 1e-5 },
    { "vgg13", vgg13, 224, 0, 0, 1e-5 },
    { "vgg13_bn", vgg13_bn, 224, 0, 0, 1e-5 },
    { "vgg16", vgg16, 224, 0, 0, 1e-5 },
    { "vgg16_bn", vgg16_bn, 224, 0, 0, 1e-5 },
    { "vgg19", vgg19, 224, 0, 0, 1e-5 },
    { "vgg19_bn", vgg19_bn, 224, 0, 0, 1e-5 },
};
enum { N_ARCHITECTURES = sizeof table / sizeof *table, MAX_ROWS = 64, N_NORM = 4 };

const char *architecture_name(int i)
{
    return i >= 0 && i < N_ARCHITECTURES ? table[i].name : NULL;
}

/* One pass over a table of rows: the net itself, or a module in it. */
struct frame {
    const struct row *rows;
    const char *prefix;   /* of its names: "layer1.0.", or "" */
    const int *arguments; /* A .. F, CLASSES */
    int input;            /* the node before its first row */
    int result[MAX_ROWS]; /* the node that each row made */
};

static int argument(const struct frame *frame, int value)
{
    return value < 0 ? frame->arguments[-1 - value] : value;
}

/* The node that a label stands for, at row n. */
static int find_node(const struct frame *frame, const char *label, int n)
{
    if (label && strcmp(label, INPUT)) {
        int i = 0;
        while (!frame->rows[i].name || strcmp(frame->rows[i].name, label)) i++;
        return frame->result[i];
    }
    return label || !n ? frame->input : frame->result[n - 1];
}

/* The size that torch gives a convolution or pooling; in ceil mode the last window must begin
 * within the input or the padding before it. */
static int pooled(int n, int size, int stride, int pad, int ceil_mode)
{
    int out = (n + 2 * pad - size + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    return ceil_mode && (out - 1) * stride >= n + pad ? out - 1 : out;
}

static void set_sizes(const struct architecture *a, struct architecture_node *node)
{
    const struct architecture_node *from = node->input[0] < 0 ? NULL : &a->nodes[node->input[0]];
    node->h = node->out_h = from ? from->out_h : a->size;
    node->w = node->out_w = from ? from->out_w : a->size;
    node->c = from ? from->out_c : 3;
    switch (node->op) {
    case NODE_CONVOLUTION:
    case NODE_MAX_POOL:
        node->out_h = pooled(node->h, node->size_h, node->stride, node->pad_h, node->ceil_mode);
        node->out_w = pooled(node->w, node->size_w, node->stride, node->pad_w, node->ceil_mode);
        if (node->op == NODE_MAX_POOL) node->out_c = node->c;
        break;
    case NODE_LINEAR:
    case NODE_GLOBAL_AVERAGE:
        node->out_h = node->out_w = 1;
        if (node->op == NODE_GLOBAL_AVERAGE) node->out_c = node->c;
        break;
    case NODE_CONCATENATE:
        for (int i = 0; i < node->n_inputs; i++) node->out_c += a->nodes[node->input[i]].out_c;
        break;
    default: node->out_c = node->c;
    }
}

static void set_inputs(const struct frame *frame, int n, struct architecture_node *node)
{
    const struct row *row = &frame->rows[n];
    if (row->op == NODE_CONCATENATE) {
        while (node->n_inputs < NODE_MAX_INPUTS && row->parts[node->n_inputs]) {
            node->input[node->n_inputs] = find_node(frame, row->parts[node->n_inputs], n);
            node->n_inputs++;
        }
        return;
    }
    if (row->op == NODE_ADD) node->input[node->n_inputs++] = find_node(frame, PREVIOUS, n);
    node->input[node->n_inputs++] = find_node(frame, row->from, n);
}

static struct architecture_node *new_node(struct architecture *a)
{
    size_t n = (size_t)a->n_nodes;
    if (!(n & (n - 1))) { /* The capacity is the next power of two. */
        struct architecture_node *grown = realloc(a->nodes, (n ? 2 * n : 1) * sizeof *grown);
        if (!grown) return NULL;
        a->nodes = grown;
    }
    a->nodes[a->n_nodes] = (struct architecture_node){ 0 };
    return &a->nodes[a->n_nodes++];
}

static int add_node(struct architecture *a, const struct frame *frame, int n)
{
    const struct row *row = &frame->rows[n];
    struct architecture_node *node = new_node(a);
    if (!node) return 0;
    node->op = (enum node_op)row->op;
    if (row->name) snprintf(node->name, sizeof node->name, "%s%s", frame->prefix, row->name);
    if (row->norm && *row->norm)
        snprintf(node->norm, sizeof node->norm, "%s%s", frame->prefix, row->norm);
    set_inputs(frame, n, node);
    node->size_h = row->size_h;
    node->size_w = row->size_w;
    node->stride = argument(frame, row->stride);
    node->pad_h = row->pad_h;
    node->pad_w = row->pad_w;
    node->has_bias = row->bias || row->op == NODE_LINEAR;
    node->ceil_mode = row->ceil_mode;
    node->activation = row->activation;
    node->rate = row->rate;
    node->out_c = argument(frame, row->channels);
    node->groups = row->depthwise ? node->out_c : 1;
    set_sizes(a, node);
    return 1;
}

/* Applies the frame's rows. False without memory. */
static int add_rows(struct architecture *a, struct frame *frame)
{
    for (int n = 0; frame->rows[n].op != ROW_END; n++) {
        const struct row *row = &frame->rows[n];
        if (row->op != ROW_MODULE && !add_node(a, frame, n)) return 0;
        int once = row->last < row->first;
        for (int i = row->first; row->op == ROW_MODULE && i <= (once ? row->first : row->last);
             i++) {
            char prefix[NODE_NAME_BYTES];
            struct frame module = { .rows = row->rows,
                                    .prefix = prefix,
                                    .arguments = row->arguments,
                                    .input = a->n_nodes - 1 };
            if (once) snprintf(prefix, sizeof prefix, "%s.", row->name);
            else snprintf(prefix, sizeof prefix, "%s.%d.", row->name, i);
            if (!add_rows(a, &module)) return 0;
        }
        frame->result[n] = a->n_nodes - 1;
    }
    return 1;
}

/* ---- parameters */

static struct architecture_parameter *add_parameter(struct architecture *a, const char *name,
                                                    const char *suffix)
{
    struct architecture_parameter *parameter = &a->parameters[a->n_parameters++];
    snprintf(parameter->name, sizeof parameter->name, "%s%s", name, suffix);
    return parameter;
}

static void add_vector(struct architecture *a, const char *name, const char *suffix, int size)
{
    struct architecture_parameter *parameter = add_parameter(a, name, suffix);
    parameter->n_dimensions = 1;
    parameter->shape[0] = size;
}

static void add_parameters(struct architecture *a, const struct architecture_node *node)
{
    static const char *const norms[N_NORM] = { ".weight", ".bias", ".running_mean",
                                               ".running_var" };
    int is_linear = node->op == NODE_LINEAR;
    if (!is_linear && node->op != NODE_CONVOLUTION) return;
    struct architecture_parameter *weight = add_parameter(a, node->name, ".weight");
    weight->n_dimensions = is_linear ? 2 : 4;
    weight->shape[0] = node->out_c;
    weight->shape[1] = is_linear ? (int64_t)node->c * node->h * node->w : node->c / node->groups;
    weight->shape[2] = node->size_h;
    weight->shape[3] = node->size_w;
    if (node->has_bias) add_vector(a, node->name, ".bias", node->out_c);
    for (int i = 0; *node->norm && i < N_NORM; i++)
        add_vector(a, node->norm, norms[i], node->out_c);
}

/* False without memory. */
static int list_parameters(struct architecture *a)
{
    size_t maximum = (size_t)a->n_nodes * (2 + N_NORM); /* weight, bias and those of the norm */
    a->parameters = calloc(maximum, sizeof *a->parameters);
    for (int i = 0; a->parameters && i < a->n_nodes; i++) add_parameters(a, &a->nodes[i]);
    return a->parameters != NULL;
}

enum sn_status architecture_make(const char *name, int n_classes, struct architecture *a,
                                 struct sn_error *error)
{
    int i = 0;
    const int arguments[] = { 0, 0, 0, 0, 0, 0, n_classes };
    *a = (struct architecture){ 0 };
    while (i < N_ARCHITECTURES && strcmp(table[i].name, name)) i++;
    if (i == N_ARCHITECTURES) {
        char known[512] = "";
        for (int k = 0; k < N_ARCHITECTURES; k++)
            snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", k ? ", " : "",
                     table[k].name);
        return sn_fail(error, SN_BAD_INPUT, "architecture: expected one of %s; found '%.80s'",
                       known, name);
    }
    struct frame frame = {
        .rows = table[i].rows, .prefix = "", .arguments = arguments, .input = -1
    };
    *a = (struct architecture){ .name = table[i].name,
                                .size = table[i].size,
                                .mean = table[i].mean,
                                .std = table[i].std,
                                .epsilon = table[i].epsilon };
    if (add_rows(a, &frame) && list_parameters(a)) return SN_OK;
    architecture_free(a);
    return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", name);
}

void architecture_free(struct architecture *a)
{
    free(a->nodes);
    free(a->parameters);
    *a = (struct architecture){ 0 };
}

int architecture_head(const struct architecture *a)
{
    int i = a->n_nodes - 1;
    while (a->nodes[i].op != NODE_CONVOLUTION && a->nodes[i].op != NODE_LINEAR) i--;
    return i;
}
