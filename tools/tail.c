#include "tail.h"

#include "copy_bytes.h"
#include "layer_costs.h"
#include "load_net.h"

#include <cfg_text.h>
#include <limits.h>
#include <network.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>
#include <weights_file.h>

static void write_net(const struct cfg_section *section, const layer *l, int batch, int adam,
                      FILE *out)
{
    static const char *const kept[] = { "momentum", "decay", "B1", "B2", "eps" };
    fprintf(out, "[net]\nbatch=%d\nsubdivisions=1\npolicy=constant\nadam=%d\n", batch, adam);
    fprintf(out, "width=%d\nheight=%d\nchannels=%d\n", l->w, l->h, layer_matrix(l).window.channels);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const struct cfg_key *key = cfg_find(section, kept[i]);
        if (key) fprintf(out, "%s=%s\n", key->key, key->value);
    }
}

/* The key that names other layers, from which number on, or relative to its own where negative. */
static const char *reference_key(const struct cfg_section *section)
{
    if (!strcmp(section->name, "route")) return "layers";
    return !strcmp(section->name, "shortcut") ? "from" : NULL;
}

/* A list of layers as the tail numbers them. */
static enum sn_status write_references(const struct cfg_section *section, const char *key,
                                       int number, int first, FILE *out, struct sn_error *error)
{
    int n = cfg_list_length(section, key);
    int *layers = malloc(((size_t)n + 1) * sizeof *layers);
    if (!layers) return sn_no_memory(error, "%d layers", n);
    enum sn_status status = cfg_list(section, key, INT_MIN, n, layers, error);
    for (int i = 0; i < n && !status; i++) {
        int layer = layers[i] < 0 ? number + layers[i] : layers[i];
        if (layer < first)
            status = cfg_fail(section, key, error,
                              "expected layers from the features' layer %d on, found layer %d",
                              first, layer);
        layers[i] = layer - first;
    }
    if (!status) cfg_print_list(out, key, n, layers);
    free(layers);
    return status;
}

static enum sn_status write_layer(const struct cfg_section *section, int number, int first,
                                  FILE *out, struct sn_error *error)
{
    const char *reference = reference_key(section);
    fprintf(out, "[%s]\n", section->name);
    for (int k = 0; k < section->n_keys; k++)
        if (!reference || strcmp(section->keys[k].key, reference))
            fprintf(out, "%s=%s\n", section->keys[k].key, section->keys[k].value);
    if (!reference || !cfg_find(section, reference)) return SN_OK;
    return write_references(section, reference, number, first, out, error);
}

/* Whether the net's outputs are those of a softmax. */
static int ends_in_softmax(const network *net)
{
    int i = net->n - 1;
    while (i > 0 && net->layers[i].type == COST) i--;
    return net->layers[i].type == SOFTMAX;
}

static enum sn_status write_cfg(const struct tail_source *source, int batch, int adam, FILE *out,
                                struct sn_error *error)
{
    struct cfg_text *cfg = cfg_read(source->cfg, error);
    if (!cfg) return error->code;
    enum sn_status status = SN_OK;
    write_net(&cfg->sections[0], &source->net->layers[source->first], batch, adam, out);
    for (int i = source->first; i < source->net->n && !status; i++)
        status = write_layer(&cfg->sections[i + 1], i, source->first, out, error);
    if (!ends_in_softmax(source->net)) fputs("[softmax]\n", out);
    cfg_free(cfg);
    if (status || (!fflush(out) && !ferror(out))) return status;
    return sn_fail(error, SN_IO, "%s: cannot write a temporary file", source->cfg);
}

/* Writes the header and the tail's bytes of the source's .weights. */
static enum sn_status take_weights(struct tail *tail, struct sn_error *error)
{
    const struct tail_source *source = &tail->source;
    struct weights_span span;
    enum sn_status status = weights_span(source->weights, &span, error);
    if (status) return status;
    FILE *in = fopen(source->weights, "rb");
    if (!in) return sn_fail(error, SN_IO, "%s: cannot read", source->weights);
    tail->n_before = span.header_bytes + weights_bytes_between(source->net, 0, source->first);
    tail->n_bytes = weights_bytes_between(source->net, source->first, source->net->n);
    weights_header_write(&WEIGHTS_HEADER_NEW, tail->state);
    if (fseek(in, (long)tail->n_before, SEEK_SET))
        status = sn_fail(error, SN_IO, "%s: cannot read", source->weights);
    if (!status) status = copy_bytes(in, tail->state, tail->n_bytes, source->weights, error);
    if (!status && (fflush(tail->state) || ferror(tail->state)))
        status = sn_fail(error, SN_IO, "%s: cannot write a temporary file", source->weights);
    fclose(in);
    return status;
}

static void load(struct tail *tail)
{
    tail->net = load_net(load_path_of(tail->cfg).text, load_path_of(tail->state).text);
}

enum sn_status tail_open(struct tail *tail, const struct tail_source *source, int batch, int adam,
                         struct sn_error *error)
{
    *tail = (struct tail){ .source = *source, .cfg = tmpfile(), .state = tmpfile() };
    enum sn_status status = load_check_whole(source->net, source->first, source->cfg,
                                             source->weights, error);
    if (!status && (!tail->cfg || !tail->state))
        status = sn_fail(error, SN_IO, "%s: cannot make a temporary file", source->cfg);
    if (!status) status = write_cfg(source, batch, adam, tail->cfg, error);
    if (!status) status = take_weights(tail, error);
    if (status) tail_close(tail);
    else load(tail);
    return status;
}

void tail_close(struct tail *tail)
{
    if (tail->net) free_network(tail->net);
    if (tail->cfg) fclose(tail->cfg);
    if (tail->state) fclose(tail->state);
    *tail = (struct tail){ 0 };
}

enum sn_status tail_keep(struct tail *tail, struct sn_error *error)
{
    struct weights_span span;
    load_begin_quiet();
    save_weights(tail->net, load_path_of(tail->state).text);
    load_end_quiet();
    enum sn_status status = weights_span(load_path_of(tail->state).text, &span, error);
    if (status || span.file_bytes == span.header_bytes + tail->n_bytes) return status;
    return sn_fail(error, SN_IO, "%s: expected %zu bytes from layer %d on, saved %zu",
                   tail->source.weights, tail->n_bytes, tail->source.first,
                   span.file_bytes - span.header_bytes);
}

void tail_restore(struct tail *tail)
{
    free_network(tail->net);
    load(tail);
}

/* The kept weights, then what is left of the source. */
static enum sn_status write_rest(const struct tail *tail, FILE *in, size_t n_left, FILE *file,
                                 struct sn_error *error)
{
    const char *path = tail->source.weights;
    struct weights_span span;
    enum sn_status status = weights_span(load_path_of(tail->state).text, &span, error);
    FILE *state = status ? NULL : fopen(load_path_of(tail->state).text, "rb");
    if (!state) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    if (fseek(state, (long)span.header_bytes, SEEK_SET) || fseek(in, (long)tail->n_bytes, SEEK_CUR))
        status = sn_fail(error, SN_IO, "%s: cannot read", path);
    if (!status) status = copy_bytes(state, file, tail->n_bytes, path, error);
    fclose(state);
    return status ? status : copy_bytes(in, file, n_left, path, error);
}

enum sn_status tail_write(const struct tail *tail, FILE *file, struct sn_error *error)
{
    const char *path = tail->source.weights;
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    FILE *in = status ? NULL : fopen(path, "rb");
    if (!in) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    status = copy_bytes(in, file, tail->n_before, path, error);
    if (!status)
        status = write_rest(tail, in, span.file_bytes - tail->n_before - tail->n_bytes, file,
                            error);
    fclose(in);
    return status;
}
