#include "import_net.h"

#include <weights_header.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the checkpoint must hold */

static struct parameter *add_parameter(struct parameter *parameters, int *n, const char *name,
                                       const char *suffix)
{
    struct parameter *parameter = &parameters[(*n)++];
    snprintf(parameter->name, sizeof parameter->name, "%s%s", name, suffix);
    return parameter;
}

static void add_vector(struct parameter *parameters, int *n, const char *name, const char *suffix,
                       int size)
{
    struct parameter *parameter = add_parameter(parameters, n, name, suffix);
    parameter->n_dimensions = 1;
    parameter->shape[0] = size;
}

static int is_linear(const struct node *node) { return node->op == NODE_LINEAR; }

int node_parameters(const struct node *node, struct parameter *parameters)
{
    static const char *const norms[] = { ".weight", ".bias", ".running_mean", ".running_var" };
    int n = 0;
    if (!is_linear(node) && node->op != NODE_CONVOLUTION) return 0;
    struct parameter *weight = add_parameter(parameters, &n, node->name, ".weight");
    weight->n_dimensions = is_linear(node) ? 2 : 4;
    weight->shape[0] = node->out_c;
    weight->shape[1] = is_linear(node) ? (int64_t)node->c * node->h * node->w
                                       : node->c / node->groups;
    weight->shape[2] = node->size_h;
    weight->shape[3] = node->size_w;
    if (node->has_bias) add_vector(parameters, &n, node->name, ".bias", node->out_c);
    for (int i = 0; *node->norm && i < 4; i++)
        add_vector(parameters, &n, node->norm, norms[i], node->out_c);
    return n;
}

static const struct tensor *find_tensor(const struct import_net *net, const char *name,
                                        const char *suffix)
{
    char path[1024];
    snprintf(path, sizeof path, "%s%s%s", net->prefix, name, suffix);
    return checkpoint_find(net->checkpoint, path);
}

static int n_found(const struct import_net *net)
{
    struct parameter parameters[NODE_MAX_PARAMETERS];
    int found = 0;
    for (int i = 0; i < net->architecture.n_nodes; i++) {
        int n = node_parameters(&net->architecture.nodes[i], parameters);
        for (int k = 0; k < n; k++) found += find_tensor(net, parameters[k].name, "") != NULL;
    }
    return found;
}

/* The prefix under which most of the architecture's tensors are found: whatever stands before its
 * first or its last tensor's name somewhere in the file. */
static void find_prefix(struct import_net *net)
{
    const struct architecture *a = &net->architecture;
    const char *ends[] = { a->nodes[0].name, a->nodes[architecture_head(a)].name };
    char best[sizeof net->prefix] = "";
    int most = n_found(net);
    for (int i = 0; i < net->checkpoint->n_tensors; i++) {
        const char *name = net->checkpoint->tensors[i].name;
        for (int e = 0; e < 2; e++) {
            char suffix[NODE_NAME_BYTES + 16];
            size_t n = (size_t)snprintf(suffix, sizeof suffix, ".%s.weight", ends[e]),
                   length = strlen(name);
            if (length < n || length - n + 1 >= sizeof best || strcmp(name + length - n, suffix))
                continue;
            snprintf(net->prefix, sizeof net->prefix, "%.*s", (int)(length - n + 1), name);
            int found = n_found(net);
            if (found > most) {
                most = found;
                strcpy(best, net->prefix);
            }
        }
    }
    strcpy(net->prefix, best);
}

static enum sn_status check_parameter(const struct import_net *net,
                                      const struct parameter *parameter, struct sn_error *error)
{
    char expected[TENSOR_SHAPE_TEXT], found[TENSOR_SHAPE_TEXT] = "none";
    const struct tensor *tensor = find_tensor(net, parameter->name, "");
    int same = tensor && tensor->n_dimensions == parameter->n_dimensions;
    for (int k = 0; same && k < parameter->n_dimensions; k++)
        same = tensor->shape[k] == parameter->shape[k];
    if (same) return SN_OK;
    tensor_print_shape(parameter->n_dimensions, parameter->shape, expected);
    if (tensor) tensor_print_shape(tensor->n_dimensions, tensor->shape, found);
    return sn_fail(error, SN_BAD_INPUT, "%s: %s: tensor '%s%s': expected shape %s, found %s",
                   net->checkpoint->path, net->architecture.name, net->prefix, parameter->name,
                   expected, found);
}

static int belongs(const struct architecture *a, const char *name)
{
    struct parameter parameters[NODE_MAX_PARAMETERS];
    for (int i = 0; i < a->n_nodes; i++) {
        int n = node_parameters(&a->nodes[i], parameters);
        for (int k = 0; k < n; k++)
            if (!strcmp(parameters[k].name, name)) return 1;
    }
    return 0;
}

/* Tensors that evaluation does not use: BatchNorm's counters, the auxiliary classifiers of
 * googlenet and inception_v3. */
static int is_idle(const char *name)
{
    const char *dot = strrchr(name, '.');
    return !strncmp(name, "aux1.", 5) || !strncmp(name, "aux2.", 5)
        || !strncmp(name, "AuxLogits.", 10) || (dot && !strcmp(dot, ".num_batches_tracked"));
}

/* A tensor that is left over tells another net, a deeper one for example. */
static enum sn_status check_leftovers(const struct import_net *net, struct sn_error *error)
{
    const struct checkpoint *c = net->checkpoint;
    size_t n = strlen(net->prefix);
    for (int i = 0; i < c->n_state_dict; i++) {
        const char *name = c->tensors[i].name;
        if (strncmp(name, net->prefix, n) || is_idle(name + n)
            || belongs(&net->architecture, name + n))
            continue;
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: %s: tensor '%s' is not one of this architecture; see 'structnet import "
                       "--list %s'",
                       c->path, net->architecture.name, name, net->architecture.name);
    }
    return SN_OK;
}

enum sn_status import_find(struct import_net *net, const char *name, struct sn_error *error)
{
    struct parameter parameters[NODE_MAX_PARAMETERS];
    enum sn_status status = architecture_make(name, 1000, &net->architecture, error);
    if (status) return status;
    find_prefix(net);
    const struct node *head = &net->architecture.nodes[architecture_head(&net->architecture)];
    const struct tensor *weight = find_tensor(net, head->name, ".weight");
    int n_classes = weight && weight->n_dimensions && weight->shape[0] > 0
            && weight->shape[0] < 1000000
        ? (int)weight->shape[0]
        : 1000;
    architecture_free(&net->architecture);
    if ((status = architecture_make(name, n_classes, &net->architecture, error))) return status;
    net->n_rows = n_classes;
    for (int i = 0; i < net->architecture.n_nodes && !status; i++) {
        int n = node_parameters(&net->architecture.nodes[i], parameters);
        for (int k = 0; k < n && !status; k++) status = check_parameter(net, &parameters[k], error);
    }
    return status ? status : check_leftovers(net, error);
}

/* ---- cfg */

static int max(int a, int b) { return a > b ? a : b; }

/* Where the writing stands: layers are numbered as Darknet does, from 0. */
struct cfg_writer {
    const struct import_net *net;
    FILE *file;
    int n_layers;
    int *layer;   /* of each node */
    int *n_users; /* of each node */
};

static void begin(struct cfg_writer *w, const char *section)
{
    fprintf(w->file, "\n[%s]\n", section);
    w->n_layers++;
}

static void end(struct cfg_writer *w, int trains)
{
    if (!trains) fputs("learning_rate=0\n", w->file);
}

static const char *activation_name(enum node_activation activation)
{
    return activation == NODE_RELU ? "relu" : "linear";
}

static int layer_of(const struct cfg_writer *w, int node)
{
    return node < 0 ? 0 : w->layer[node]; /* The input is the normalisation's output. */
}

/* Makes the node's input the layer before the next one. Darknet's 1x1 convolution overwrites the
 * gradient of its input, so that one which others use too is passed through a [route]. */
static void reach_input(struct cfg_writer *w, const struct node *node)
{
    int from = layer_of(w, node->input[0]) - w->n_layers;
    int is_1x1 = node->op == NODE_CONVOLUTION && node->size_h == 1 && node->size_w == 1
        && node->stride == 1;
    int shared = node->input[0] >= 0 && w->n_users[node->input[0]] > 1;
    if (from == -1 && !(is_1x1 && shared)) return;
    begin(w, "route");
    fprintf(w->file, "layers=%d\n", from);
}

static void write_convolution(struct cfg_writer *w, const struct node *node, int is_head)
{
    int stride = node->stride, size = max(node->size_h, node->size_w);
    reach_input(w, node);
    if (size == 1 && stride > 1) { /* Darknet's 1x1 convolutions know no stride. */
        begin(w, "maxpool");
        fprintf(w->file, "size=1\nstride=%d\npadding=0\n", stride);
        stride = 1;
    }
    begin(w, "convolutional");
    if (*node->norm && w->net->keep_batchnorm) fputs("batch_normalize=1\n", w->file);
    fprintf(w->file, "filters=%d\nsize=%d\nstride=%d\npadding=%d\n",
            is_head ? w->net->n_rows : node->out_c, size, stride, max(node->pad_h, node->pad_w));
    if (node->groups > 1) fprintf(w->file, "groups=%d\n", node->groups);
    fprintf(w->file, "activation=%s\n", activation_name(node->activation));
    end(w, is_head || !w->net->freeze);
    if (node->activation == NODE_RELU6) begin(w, "relu6");
}

static void write_average_3(struct cfg_writer *w, const struct node *node)
{
    reach_input(w, node);
    begin(w, "convolutional");
    fprintf(w->file, "filters=%d\ngroups=%d\nsize=3\nstride=1\npadding=1\nactivation=linear\n",
            node->c, node->c);
    end(w, 0);
}

static void write_max_pool(struct cfg_writer *w, const struct node *node)
{
    int padding = 2 * node->pad_h;
    if ((node->h + padding - node->size_h) / node->stride + 1 < node->out_h) padding++;
    reach_input(w, node);
    begin(w, "maxpool");
    fprintf(w->file, "size=%d\nstride=%d\npadding=%d\n", node->size_h, node->stride, padding);
}

static void write_concatenate(struct cfg_writer *w, const struct node *node)
{
    int n_layers = w->n_layers;
    begin(w, "route");
    for (int i = 0; i < node->n_inputs; i++)
        fprintf(w->file, "%s%d", i ? "," : "layers=", layer_of(w, node->input[i]) - n_layers);
    fputc('\n', w->file);
}

static void write_node(struct cfg_writer *w, const struct node *node, int is_head)
{
    switch (node->op) {
    case NODE_CONVOLUTION: write_convolution(w, node, is_head); break;
    case NODE_MAX_POOL: write_max_pool(w, node); break;
    case NODE_AVERAGE_POOL_3: write_average_3(w, node); break;
    case NODE_CONCATENATE: write_concatenate(w, node); break;
    case NODE_GLOBAL_AVERAGE: begin(w, "avgpool"); break;
    case NODE_DROPOUT:
        begin(w, "dropout");
        fprintf(w->file, "probability=%g\n", node->rate);
        break;
    case NODE_ADD:
        begin(w, "shortcut");
        fprintf(w->file, "from=%d\nactivation=%s\n", layer_of(w, node->input[1]) - w->n_layers + 1,
                activation_name(node->activation));
        break;
    case NODE_LINEAR:
        begin(w, "connected");
        fprintf(w->file, "output=%d\nactivation=%s\n", is_head ? w->net->n_rows : node->out_c,
                activation_name(node->activation));
        end(w, is_head || !w->net->freeze);
    }
}

static void write_head_of_cfg(struct cfg_writer *w)
{
    const struct architecture *a = &w->net->architecture;
    fprintf(
        w->file,
        "# %s, imported from a torchvision checkpoint. Images of %d x %d, values 0 to 1.\n"
        "[net]\nbatch=32\nsubdivisions=8\nheight=%d\nwidth=%d\nchannels=3\nmin_crop=%d\nmax_crop=%d\n"
        "learning_rate=0.001\nmomentum=0.9\ndecay=0.0001\npolicy=poly\npower=4\nmax_batches=10000\n",
        a->name, a->size, a->size, a->size, a->size, a->size, a->size * 3 / 2);
    fputs("\n# (x - mean) / std of each channel.", w->file);
    begin(w, "convolutional");
    fputs("filters=3\nsize=1\nstride=1\npadding=0\nactivation=linear\n", w->file);
    end(w, 0);
}

enum sn_status import_write_cfg(const struct import_net *net, FILE *file, struct sn_error *error)
{
    const struct architecture *a = &net->architecture;
    int head = architecture_head(a);
    struct cfg_writer w = { .net = net,
                            .file = file,
                            .layer = calloc((size_t)a->n_nodes, sizeof *w.layer),
                            .n_users = calloc((size_t)a->n_nodes, sizeof *w.n_users) };
    for (int i = 0; w.n_users && i < a->n_nodes; i++)
        for (int k = 0; k < a->nodes[i].n_inputs; k++)
            if (a->nodes[i].input[k] >= 0) w.n_users[a->nodes[i].input[k]]++;
    int enough = w.layer && w.n_users;
    if (enough) write_head_of_cfg(&w);
    for (int i = 0; enough && i < a->n_nodes; i++) {
        write_node(&w, &a->nodes[i], i == head);
        /* The gradient stops before the head. */
        if (net->freeze && i == head - 1) fputs("stopbackward=1\n", file);
        w.layer[i] = w.n_layers - 1;
    }
    begin(&w, "softmax");
    free(w.layer);
    free(w.n_users);
    return enough ? SN_OK : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", a->name);
}

/* ---- weights */

struct weights_writer {
    const struct import_net *net;
    FILE *file;
    float *row;                                   /* one filter, as the checkpoint has it */
    float *square;                                /* the same within a square kernel */
    float *bias, *gamma, *beta, *mean, *variance; /* of a node's outputs */
    double *scale;                                /* of its filters */
};

static void put(const struct weights_writer *w, const float *values, size_t n)
{
    fwrite(values, sizeof *values, n, w->file);
}

static void read_vector(const struct weights_writer *w, const char *name, const char *suffix,
                        float *values)
{
    const struct tensor *tensor = find_tensor(w->net, name, suffix);
    if (tensor) tensor_floats(tensor, 0, tensor->n_elements, values);
}

/* BatchNorm2d is y = gamma (x + b - mean) / sqrt(variance + epsilon) + beta. Folded, the filters
 * are scaled by gamma / sqrt(variance + epsilon), and the bias becomes beta + (b - mean) gamma /
 * sqrt(variance + epsilon). Darknet's own divides by sqrt(v) + 1e-6, so that a kept one stores v =
 * (sqrt(variance + epsilon) - 1e-6)^2 and the mean less b. */
static void convert_norm(const struct weights_writer *w, const struct node *node)
{
    for (int i = 0; i < node->out_c; i++) w->bias[i] = 0;
    if (node->has_bias) read_vector(w, node->name, ".bias", w->bias);
    for (int i = 0; i < node->out_c; i++) w->scale[i] = 1;
    if (!*node->norm) return;
    read_vector(w, node->norm, ".weight", w->gamma);
    read_vector(w, node->norm, ".bias", w->beta);
    read_vector(w, node->norm, ".running_mean", w->mean);
    read_vector(w, node->norm, ".running_var", w->variance);
    for (int i = 0; i < node->out_c; i++) {
        double deviation = sqrt((double)w->variance[i] + w->net->architecture.epsilon);
        double shift = (double)w->bias[i] - (double)w->mean[i];
        w->mean[i] = (float)-shift;
        w->variance[i] = (float)pow(deviation - 1e-6, 2);
        if (w->net->keep_batchnorm) {
            w->bias[i] = w->beta[i];
            continue;
        }
        w->scale[i] = (double)w->gamma[i] / deviation;
        w->bias[i] = (float)((double)w->beta[i] + shift * w->scale[i]);
    }
}

/* Filter o of the node: n floats, or, when its kernel is not square, as many as a square one has.
 */
static void put_filter(const struct weights_writer *w, const struct node *node,
                       const struct tensor *weight, size_t n, int o)
{
    tensor_floats(weight, (size_t)o * n, n, w->row);
    for (size_t i = 0; i < n; i++) w->row[i] = (float)(w->scale[o] * (double)w->row[i]);
    if (node->size_h == node->size_w) {
        put(w, w->row, n);
        return;
    }
    int h = node->size_h, width = node->size_w, size = max(h, width);
    size_t area = (size_t)size * (size_t)size, n_channels = n / (size_t)(h * width);
    memset(w->square, 0, n_channels * area * sizeof *w->square);
    for (size_t c = 0; c < n_channels; c++)
        for (int y = 0; y < h; y++)
            for (int x = 0; x < width; x++)
                w->square[c * area
                          + (size_t)((y + (size - h) / 2) * size + x + (size - width) / 2)] =
                    w->row[(c * (size_t)h + (size_t)y) * (size_t)width + (size_t)x];
    put(w, w->square, n_channels * area);
}

static void put_rows(const struct weights_writer *w, const float *values, const struct node *node,
                     const int *rows, int n)
{
    for (int i = 0; rows && i < n; i++) put(w, &values[rows[i]], 1);
    if (!rows) put(w, values, (size_t)node->out_c);
}

/* Whether the filters are written as they lie in the checkpoint, without passing through w->row. */
static int is_unchanged(const struct weights_writer *w, const struct node *node,
                        const struct tensor *weight)
{
    int is_folded = *node->norm && !w->net->keep_batchnorm;
    return weight->type == TENSOR_FLOAT32 && weight->contiguous && node->size_h == node->size_w
        && !is_folded;
}

static void put_layer(const struct weights_writer *w, const struct node *node, int is_head)
{
    const struct tensor *weight = find_tensor(w->net, node->name, ".weight");
    const int *rows = is_head ? w->net->rows : NULL;
    int n_rows = rows ? w->net->n_rows : node->out_c;
    convert_norm(w, node);
    put_rows(w, w->bias, node, rows, n_rows);
    if (*node->norm && w->net->keep_batchnorm) {
        put_rows(w, w->gamma, node, rows, n_rows);
        put_rows(w, w->mean, node, rows, n_rows);
        put_rows(w, w->variance, node, rows, n_rows);
    }
    size_t n = weight->n_elements / (size_t)node->out_c;
    if (!rows && is_unchanged(w, node, weight)) {
        fwrite(weight->data, sizeof(float), weight->n_elements, w->file);
        return;
    }
    for (int i = 0; i < n_rows; i++) put_filter(w, node, weight, n, rows ? rows[i] : i);
}

/* One channel's mean over 3 x 3 pixels, c times. */
static void put_average_3(const struct weights_writer *w, const struct node *node)
{
    static const float zero = 0, ninth = 1.f / 9;
    for (int i = 0; i < node->c; i++) put(w, &zero, 1);
    for (int i = 0; i < 9 * node->c; i++) put(w, &ninth, 1);
}

/* y = x / std - mean / std, channel by channel. */
static void put_normalisation(const struct weights_writer *w)
{
    const struct import_net *net = w->net;
    for (int i = 0; i < 3; i++)
        put(w, (float[]){ (float)(-(double)net->mean[i] / (double)net->std[i]) }, 1);
    for (int i = 0; i < 9; i++)
        put(w, (float[]){ i % 4 ? 0 : (float)(1 / (double)net->std[i / 4]) }, 1);
}

static void put_all(const struct weights_writer *w)
{
    const struct architecture *a = &w->net->architecture;
    weights_header_write(&WEIGHTS_HEADER_NEW, w->file);
    put_normalisation(w);
    for (int i = 0; i < a->n_nodes; i++) {
        const struct node *node = &a->nodes[i];
        if (node->op == NODE_AVERAGE_POOL_3) put_average_3(w, node);
        if (node->op == NODE_CONVOLUTION || is_linear(node))
            put_layer(w, node, i == architecture_head(a));
    }
}

enum sn_status import_write_weights(const struct import_net *net, FILE *file,
                                    struct sn_error *error)
{
    size_t n_row = 1, n_outputs = 1;
    struct arena arena = { 0 };
    for (int i = 0; i < net->architecture.n_nodes; i++) {
        const struct node *node = &net->architecture.nodes[i];
        if (node->op != NODE_CONVOLUTION && !is_linear(node)) continue;
        size_t inputs = is_linear(node) ? (size_t)node->c * (size_t)(node->h * node->w)
                                        : (size_t)(node->c / node->groups);
        size_t size = (size_t)max(1, max(node->size_h, node->size_w));
        if (inputs * size * size > n_row) n_row = inputs * size * size;
        if ((size_t)node->out_c > n_outputs) n_outputs = (size_t)node->out_c;
    }
    struct weights_writer w = { net,
                                file,
                                arena_alloc(&arena, n_row * sizeof(float)),
                                arena_alloc(&arena, n_row * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(float)),
                                arena_alloc(&arena, n_outputs * sizeof(double)) };
    int enough = w.row && w.square && w.bias && w.gamma && w.beta && w.mean && w.variance
        && w.scale;
    checkpoint_read_ahead(net->checkpoint);
    if (enough) put_all(&w);
    arena_free(&arena);
    return enough ? SN_OK
                  : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", net->architecture.name);
}
