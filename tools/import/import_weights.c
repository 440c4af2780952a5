/* The .weights of an imported net, for the cfg that import_cfg.c writes: the header, the
 * normalisation, and for each convolution and matrix in the order of the nodes its biases (with
 * --keep-batchnorm: beta, gamma, mean, variance), then its filters, all float32. torch's and
 * Darknet's filters lie alike: outputs x inputs x height x width. BatchNorm is folded in double
 * precision and rounded once. */
#include "import_net.h"

#include <weights_header.h>

#include <math.h>
#include <string.h>

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
    const struct tensor *tensor = import_find_tensor(w->net, name, suffix);
    if (tensor) tensor_floats(tensor, 0, tensor->n_elements, values);
}

/* BatchNorm2d is y = gamma (x + b - mean) / sqrt(variance + epsilon) + beta. Folded, the filters
 * are scaled by gamma / sqrt(variance + epsilon), and the bias becomes beta + (b - mean) gamma /
 * sqrt(variance + epsilon). Darknet's own divides by sqrt(v) + 1e-6, so that a kept one stores v =
 * (sqrt(variance + epsilon) - 1e-6)^2 and the mean less b. */
static void convert_norm(const struct weights_writer *w, const struct architecture_node *node)
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
static void put_filter(const struct weights_writer *w, const struct architecture_node *node,
                       const struct tensor *weight, size_t n, int o)
{
    tensor_floats(weight, (size_t)o * n, n, w->row);
    for (size_t i = 0; i < n; i++) w->row[i] = (float)(w->scale[o] * (double)w->row[i]);
    if (node->size_h == node->size_w) {
        put(w, w->row, n);
        return;
    }
    int h = node->size_h, width = node->size_w, size = import_kernel_size(node);
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

static void put_rows(const struct weights_writer *w, const float *values,
                     const struct architecture_node *node, const int *rows, int n)
{
    for (int i = 0; rows && i < n; i++) put(w, &values[rows[i]], 1);
    if (!rows) put(w, values, (size_t)node->out_c);
}

/* Whether the filters are written as they lie in the checkpoint, without passing through w->row. */
static int is_unchanged(const struct weights_writer *w, const struct architecture_node *node,
                        const struct tensor *weight)
{
    int is_folded = *node->norm && !w->net->keep_batchnorm;
    return weight->type == TENSOR_FLOAT32 && weight->contiguous && node->size_h == node->size_w
        && !is_folded;
}

static void put_layer(const struct weights_writer *w, const struct architecture_node *node,
                      int is_head)
{
    const struct tensor *weight = import_find_tensor(w->net, node->name, ".weight");
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
static void put_average_3(const struct weights_writer *w, const struct architecture_node *node)
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
        const struct architecture_node *node = &a->nodes[i];
        if (node->op == NODE_AVERAGE_POOL_3) put_average_3(w, node);
        if (node->op == NODE_CONVOLUTION || node->op == NODE_LINEAR)
            put_layer(w, node, i == architecture_head(a));
    }
}

enum sn_status import_write_weights(const struct import_net *net, FILE *file,
                                    struct sn_error *error)
{
    size_t n_row = 1, n_outputs = 1;
    struct arena arena = { 0 };
    for (int i = 0; i < net->architecture.n_nodes; i++) {
        const struct architecture_node *node = &net->architecture.nodes[i];
        if (node->op != NODE_CONVOLUTION && node->op != NODE_LINEAR) continue;
        size_t inputs = node->op == NODE_LINEAR ? (size_t)node->c * (size_t)(node->h * node->w)
                                                : (size_t)(node->c / node->groups);
        size_t size = (size_t)import_kernel_size(node);
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
