/* The hooks of Darknet's parser. A cfg is read and checked with its line numbers first (cfg_text.h,
 * plug_keys.h); then Darknet parses what was checked and, at each of our sections, calls
 * plug_make_layer or plug_make_activation_layer, which find the section by the layer's index. */
#include "family.h"
#include "plug_errors.h"
#include "plug_hooks.h"
#include "plug_keys.h"
#include "relu6_layer.h"
#include "structured_layer.h"

#include <errno.h>
#include <local_layer.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cfg_text *cfg;

const struct cfg_text *plug_cfg(void) { return cfg; }

/* Whether the backward pass writes the gradient of its inputs without looking whether there is room
 * for it. */
static int writes_blindly(const layer *l)
{
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL:
    case CONNECTED:
    case LOCAL:
    case RNN:
    case GRU:
    case LSTM:
    case CRNN:
    case DROPOUT:
    case CROP: return 0;
    default: return 1;
    }
}

static float *new_delta(int batch, int n)
{
    struct sn_error error;
    float *delta = calloc((size_t)batch * (size_t)n, sizeof *delta);
    if (delta) return delta;
    sn_no_memory(&error, "the gradients of %d values and a batch of %d", n, batch);
    sn_die(&error);
}

/* Darknet makes none for the net's inputs and for [crop], behind which it expects convolutions. */
static void make_missing_deltas(network *net)
{
    int has_references = 0;
    for (int i = 0; i < net->n; i++)
        has_references |= net->layers[i].type == ROUTE || net->layers[i].type == SHORTCUT;
    if (writes_blindly(&net->layers[0])) net->delta = new_delta(net->batch, net->inputs);
    for (int i = 0; i + 1 < net->n; i++) {
        layer *l = &net->layers[i];
        if (l->type == CROP && (has_references || writes_blindly(l + 1)))
            l->delta = new_delta(l->batch, l->outputs);
    }
}

network *parse_network_cfg(char *path)
{
    struct sn_error error = { 0 };
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the file size limit then fails, and is reported. */
    cfg = cfg_read(path, &error);
    if (!cfg || plug_check_sections(cfg, &error)) sn_die(&error);
    network *net = stock_parse_network_cfg(path);
    make_missing_deltas(net);
    cfg_free(cfg);
    cfg = NULL;
    return net;
}

void __wrap_free_network(network *net)
{
    free(net->workspace);
    free(net->delta);
    __real_free_network(net);
}

LAYER_TYPE plug_layer_type(const char *type)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(type + 1, "]"), type + 1);
    return sn_family_find(name) ? CONNECTED : strcmp(name, "relu6") ? BLANK : ACTIVE;
}

/* The key that gives the number of outputs: output, or filters as [convolutional] has it. */
static const struct cfg_key *outputs_key(const struct cfg_section *section)
{
    const struct cfg_key *key = cfg_find(section, "filters");
    return key ? key : cfg_find(section, "output");
}

/* Darknet has taken the numbers with atoi; here they are read again, strictly. */
static enum sn_status read_common(const struct cfg_section *section, int *outputs,
                                  ACTIVATION *activation, struct sn_error *error)
{
    const struct cfg_key *key = outputs_key(section);
    if (!key)
        return cfg_fail(section, "output", error, "expected the number of outputs, found none");
    if (cfg_find(section, "output") && cfg_find(section, "filters"))
        return cfg_fail(section, "filters", error, "expected this or output, found both");
    const struct cfg_key *named = cfg_find(section, "activation");
    if (named) *activation = get_activation((char *)named->value);
    return cfg_int(section, key->key, 1, outputs, error);
}

/* The keys of [convolutional] that say where a matrix is applied; the first makes the section a
 * convolution. */
static const char *const window_keys[] = { "size", "stride", "pad", "padding", "groups", NULL };

/* size=, stride=, padding= or pad=1 for half of the size, and groups=1. */
static enum sn_status read_window(const struct cfg_section *section, struct sn_window *window,
                                  struct sn_error *error)
{
    int pad = 0, groups = 1;
    const char *key;
    struct sn_error inner = { 0 };
    if (cfg_int(section, "size", 1, &window->size, error)
        || cfg_int(section, "stride", 1, &window->stride, error)
        || cfg_int(section, "padding", 0, &window->pad, error)
        || cfg_int(section, "pad", 0, &pad, error) || cfg_int(section, "groups", 1, &groups, error))
        return error->code;
    if (groups > 1) return cfg_fail(section, "groups", error, "expected 1, found %d", groups);
    if (pad) window->pad = window->size / 2;
    return sn_window_place(window, &key, &inner)
        ? cfg_fail(section, key, error, "%s", inner.message)
        : SN_OK;
}

/* That of a section: a vector of all inputs or, with size=, an image. */
static enum sn_status parse_window(const struct cfg_section *section,
                                   const struct plug_params *from, struct sn_window *window,
                                   struct sn_error *error)
{
    *window = sn_window_of_vector(from->inputs);
    if (from->inputs < 1)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s]: the layer before it has no outputs",
                       section->path, section->line, section->name);
    if (!cfg_find(section, "size")) {
        for (const char *const *key = window_keys + 1; *key; key++)
            if (cfg_find(section, *key))
                return cfg_fail(section, *key, error, "expected size= beside it, found none");
        return SN_OK;
    }
    if ((double)from->w * from->h * from->c != from->inputs)
        return cfg_fail(section, "size", error,
                        "expected an image from the layer before, found %d values", from->inputs);
    window->channels = from->c;
    window->height = from->h;
    window->width = from->w;
    return read_window(section, window, error);
}

/* The matrix of a section, and where it is applied. */
static struct sn_matrix *parse_matrix(const struct cfg_section *section,
                                      const struct plug_params *from, int n_outputs,
                                      struct sn_window *window, struct sn_error *error)
{
    if (parse_window(section, from, window, error)) return NULL;
    return sn_matrix_parse(sn_family_find(section->name), section, n_outputs,
                           (int)sn_window_inputs(window), error);
}

layer plug_make_layer(struct plug_params from, int outputs, ACTIVATION activation,
                      int batch_normalize, int adam)
{
    const struct cfg_section *section = &cfg->sections[from.index + 1];
    const struct sn_family *family = sn_family_find(section->name);
    struct sn_error error = { 0 };
    struct sn_window window;
    if (!family)
        return make_connected_layer(from.batch, from.inputs, outputs, activation, batch_normalize,
                                    adam);
    if (read_common(section, &outputs, &activation, &error)) plug_die_in_table(&error);
    struct sn_matrix *matrix = parse_matrix(section, &from, outputs, &window, &error);
    if (!matrix) plug_die_in_table(&error);
    fprintf(stderr, "%-36s %4d  ->  %4d  %zu values, %.1f %% of dense\n", family->name,
            matrix->n_inputs, outputs, matrix->n_values,
            100. * (double)matrix->n_bytes / (4. * matrix->n_inputs * outputs));
    layer l = make_structured_layer(from.batch, &window, matrix, activation, batch_normalize, adam,
                                    &error);
    if (error.code) {
        struct sn_error placed;
        sn_fail(&placed, error.code, "%s:%d: [%s]: %.800s", section->path, section->line,
                section->name, error.message);
        plug_die_in_table(&placed);
    }
    return l;
}

layer plug_make_activation_layer(struct plug_params from, ACTIVATION activation)
{
    const struct cfg_section *section = &cfg->sections[from.index + 1];
    struct sn_error error;
    if (strcmp(section->name, "relu6"))
        return make_activation_layer(from.batch, from.inputs, activation);
    layer l = make_relu6_layer(from.batch, from.inputs);
    if (!l.output || !l.delta) {
        sn_fail(&error, SN_NO_MEMORY,
                "%s:%d: [relu6]: out of memory for %d values and a batch of %d", section->path,
                section->line, from.inputs, from.batch);
        plug_die_in_table(&error);
    }
    fprintf(stderr, "%-36s %4d  ->  %4d\n", "relu6", from.inputs, from.inputs);
    return l;
}

layer plug_make_local_layer(int batch, int h, int w, int c, int n, int size, int stride, int pad,
                            ACTIVATION activation)
{
    layer l = make_local_layer(batch, h, w, c, n, size, stride, pad, activation);
    l.workspace_size *= sizeof(float);
    return l;
}

layer plug_make_batchnorm_layer(int batch, int w, int h, int c)
{
    struct sn_error error;
    layer l = make_batchnorm_layer(batch, w, h, c);
    size_t n = (size_t)batch * (size_t)l.outputs;
    l.x = calloc(n, sizeof *l.x);
    l.x_norm = calloc(n, sizeof *l.x_norm);
    l.mean_delta = calloc((size_t)c, sizeof *l.mean_delta);
    l.variance_delta = calloc((size_t)c, sizeof *l.variance_delta);
    if (l.x && l.x_norm && l.mean_delta && l.variance_delta) return l;
    sn_no_memory(&error, "%zu values of [batchnorm]", n);
    plug_die_in_table(&error);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

layer plug_make_crnn_layer(int batch, int w, int h, int c, int hidden_filters, int output_filters,
                           int steps, ACTIVATION activation, int batch_normalize)
{
    layer l = make_crnn_layer(batch, h, w, c, hidden_filters, output_filters, steps, activation,
                              batch_normalize);
    l.workspace_size = larger(l.input_layer->workspace_size,
                              larger(l.self_layer->workspace_size, l.output_layer->workspace_size));
    return l;
}

layer plug_make_rnn_layer(int batch, int inputs, int outputs, int steps, ACTIVATION activation,
                          int batch_normalize, int adam)
{
    struct sn_error error;
    layer l = make_rnn_layer(batch, inputs, outputs, steps, activation, batch_normalize, adam);
    size_t n = (size_t)l.batch * (size_t)outputs * ((size_t)steps + 1);
    free(l.state);
    l.state = calloc(n, sizeof *l.state);
    if (l.state) return l;
    sn_no_memory(&error, "%zu states of [rnn]", n);
    plug_die_in_table(&error);
}
