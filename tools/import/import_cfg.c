/* The cfg of an imported net: [net], the normalisation as a 1x1 convolution with a diagonal matrix,
 * the architecture's nodes in order, [softmax]. A node is one layer, or several where Darknet's
 * layer knows less than torch's:
 *
 *   input other than the layer before   a [route] to it in front
 *   1x1 convolution with a stride       a [maxpool] of size 1 with that stride in front
 *   ReLU6                               a [relu6] behind
 *   average over 3 x 3                  a depthwise [convolutional] whose weights are 1/9
 *
 * import_weights.c writes the weights in the same order. */
#include "import_net.h"

#include <stdlib.h>

/* Where the writing stands: layers are numbered as Darknet does, from 0. */
struct cfg_writer {
    const struct import_net *net;
    FILE *file;
    int n_layers;
    int *layer;   /* of each node */
    int *n_users; /* of each node */
};

static void begin_section(struct cfg_writer *w, const char *section)
{
    fprintf(w->file, "\n[%s]\n", section);
    w->n_layers++;
}

static void freeze_section(struct cfg_writer *w) { fputs("learning_rate=0\n", w->file); }

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
static void reach_input(struct cfg_writer *w, const struct architecture_node *node)
{
    int from = layer_of(w, node->input[0]) - w->n_layers;
    int is_1x1 = node->op == NODE_CONVOLUTION && node->size_h == 1 && node->size_w == 1
        && node->stride == 1;
    int shared = node->input[0] >= 0 && w->n_users[node->input[0]] > 1;
    if (from == -1 && !(is_1x1 && shared)) return;
    begin_section(w, "route");
    fprintf(w->file, "layers=%d\n", from);
}

static void write_convolution(struct cfg_writer *w, const struct architecture_node *node,
                              int is_head)
{
    int stride = node->stride, size = import_kernel_size(node);
    int padding = node->pad_h > node->pad_w ? node->pad_h : node->pad_w;
    reach_input(w, node);
    if (size == 1 && stride > 1) { /* Darknet's 1x1 convolutions know no stride. */
        begin_section(w, "maxpool");
        fprintf(w->file, "size=1\nstride=%d\npadding=0\n", stride);
        stride = 1;
    }
    begin_section(w, "convolutional");
    if (*node->norm && w->net->keep_batchnorm) fputs("batch_normalize=1\n", w->file);
    fprintf(w->file, "filters=%d\nsize=%d\nstride=%d\npadding=%d\n",
            is_head ? w->net->n_rows : node->out_c, size, stride, padding);
    if (node->groups > 1) fprintf(w->file, "groups=%d\n", node->groups);
    fprintf(w->file, "activation=%s\n", activation_name(node->activation));
    if (w->net->freeze && !is_head) freeze_section(w);
    if (node->activation == NODE_RELU6) begin_section(w, "relu6");
}

static void write_average_3(struct cfg_writer *w, const struct architecture_node *node)
{
    reach_input(w, node);
    begin_section(w, "convolutional");
    fprintf(w->file, "filters=%d\ngroups=%d\nsize=3\nstride=1\npadding=1\nactivation=linear\n",
            node->c, node->c);
    freeze_section(w);
}

static void write_max_pool(struct cfg_writer *w, const struct architecture_node *node)
{
    int padding = 2 * node->pad_h;
    if ((node->h + padding - node->size_h) / node->stride + 1 < node->out_h) padding++;
    reach_input(w, node);
    begin_section(w, "maxpool");
    fprintf(w->file, "size=%d\nstride=%d\npadding=%d\n", node->size_h, node->stride, padding);
}

static void write_concatenate(struct cfg_writer *w, const struct architecture_node *node)
{
    int n_layers = w->n_layers;
    begin_section(w, "route");
    for (int i = 0; i < node->n_inputs; i++)
        fprintf(w->file, "%s%d", i ? "," : "layers=", layer_of(w, node->input[i]) - n_layers);
    fputc('\n', w->file);
}

static void write_node(struct cfg_writer *w, const struct architecture_node *node, int is_head)
{
    switch (node->op) {
    case NODE_CONVOLUTION: write_convolution(w, node, is_head); break;
    case NODE_MAX_POOL: write_max_pool(w, node); break;
    case NODE_AVERAGE_POOL_3: write_average_3(w, node); break;
    case NODE_CONCATENATE: write_concatenate(w, node); break;
    case NODE_GLOBAL_AVERAGE: begin_section(w, "avgpool"); break;
    case NODE_DROPOUT:
        begin_section(w, "dropout");
        fprintf(w->file, "probability=%g\n", node->rate);
        break;
    case NODE_ADD:
        begin_section(w, "shortcut");
        fprintf(w->file, "from=%d\nactivation=%s\n", layer_of(w, node->input[1]) - w->n_layers + 1,
                activation_name(node->activation));
        break;
    case NODE_LINEAR:
        begin_section(w, "connected");
        fprintf(w->file, "output=%d\nactivation=%s\n", is_head ? w->net->n_rows : node->out_c,
                activation_name(node->activation));
        if (w->net->freeze && !is_head) freeze_section(w);
    }
}

static void write_head_of_cfg(struct cfg_writer *w)
{
    const struct architecture *a = &w->net->architecture;
    fprintf(w->file,
            "# %s, imported from a torchvision checkpoint. Images of %d x %d, values 0 to 1.\n"
            "[net]\nbatch=32\nsubdivisions=8\nheight=%d\nwidth=%d\nchannels=3\n",
            a->name, a->size, a->size, a->size, a->size);
    fprintf(w->file, "min_crop=%d\nmax_crop=%d\n", a->size, a->size * 3 / 2);
    fputs("learning_rate=0.001\nmomentum=0.9\ndecay=0.0001\npolicy=poly\npower=4\n"
          "max_batches=10000\n",
          w->file);
    fputs("\n# (x - mean) / std of each channel.", w->file);
    begin_section(w, "convolutional");
    fputs("filters=3\nsize=1\nstride=1\npadding=0\nactivation=linear\n", w->file);
    freeze_section(w);
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
    begin_section(&w, "softmax");
    free(w.layer);
    free(w.n_users);
    return enough ? SN_OK : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", a->name);
}
