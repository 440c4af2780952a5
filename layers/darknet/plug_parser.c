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
#include <option_list.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static struct cfg_text *cfg;

const struct cfg_text *plug_cfg(void) { return cfg; }

network *parse_network_cfg(char *path)
{
    struct sn_error error = { 0 };
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the file size limit then fails, and is reported. */
    cfg = cfg_read(path, &error);
    if (!cfg || plug_check_sections(cfg, &error)) sn_die(&error);
    network *net = stock_parse_network_cfg(path);
    cfg_free(cfg);
    cfg = NULL;
    return net;
}

LAYER_TYPE plug_layer_type(const char *type)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(type + 1, "]"), type + 1);
    return sn_family_find(name) ? CONNECTED : strcmp(name, "relu6") ? BLANK : ACTIVE;
}

/* The activation by its exact name: Darknet would quietly take relu for an unknown one. */
static enum sn_status read_activation(const struct cfg_section *section, ACTIVATION *activation,
                                      struct sn_error *error)
{
    const struct cfg_key *key = cfg_find(section, "activation");
    for (int a = LOGISTIC; key && a <= SELU; a++)
        if (!strcmp(get_activation_string((ACTIVATION)a), key->value)) {
            *activation = (ACTIVATION)a;
            return SN_OK;
        }
    return key ? cfg_fail(section, "activation", error, "unknown activation '%s'", key->value)
               : SN_OK;
}

/* Darknet has taken the numbers with atoi; here they are read again, strictly. */
static enum sn_status read_common(const struct cfg_section *section, int *outputs,
                                  ACTIVATION *activation, struct sn_error *error)
{
    if (!cfg_find(section, "output"))
        return cfg_fail(section, "output", error, "expected the number of outputs, found none");
    enum sn_status status = cfg_int(section, "output", 1, outputs, error);
    return status ? status : read_activation(section, activation, error);
}

/* The matrix of a section, for all inputs or, with size=1, for the channels of an image, whose size
 * it writes. */
static struct sn_matrix *parse_matrix(const struct cfg_section *section,
                                      const struct plug_params *from, int n_outputs, int *w, int *h,
                                      struct sn_error *error)
{
    int size = 0, n_inputs = from->inputs;
    *w = *h = 1;
    if (cfg_int(section, "size", 1, &size, error)) return NULL;
    if (n_inputs < 1)
        sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s]: the layer before it has no outputs",
                section->path, section->line, section->name);
    else if (size > 1) cfg_fail(section, "size", error, "expected 1, found %d", size);
    else if (size == 1 && (double)from->w * from->h * from->c != n_inputs)
        cfg_fail(section, "size", error, "expected an image from the layer before, found %d values",
                 n_inputs);
    if (error->code) return NULL;
    if (size == 1) {
        *w = from->w;
        *h = from->h;
        n_inputs = from->c;
    }
    return sn_matrix_parse(sn_family_find(section->name), section, n_outputs, n_inputs, error);
}

/* Darknet remarks on keys that nobody has looked for. */
static void mark_keys(list *options, const char *const *keys)
{
    for (; *keys; keys++) option_find(options, (char *)*keys);
}

layer plug_make_layer(list *options, struct plug_params from, int outputs, ACTIVATION activation,
                      int batch_normalize, int adam)
{
    const struct cfg_section *section = &cfg->sections[from.index + 1];
    const struct sn_family *family = sn_family_find(section->name);
    struct sn_error error = { 0 };
    int w, h;
    if (!family)
        return make_connected_layer(from.batch, from.inputs, outputs, activation, batch_normalize,
                                    adam);
    if (read_common(section, &outputs, &activation, &error)) plug_die_in_table(&error);
    struct sn_matrix *matrix = parse_matrix(section, &from, outputs, &w, &h, &error);
    if (!matrix) plug_die_in_table(&error);
    mark_keys(options, family->keys);
    mark_keys(options, sn_matrix_keys);
    option_find(options, (char *)"size");
    fprintf(stderr, "%-36s %4d  ->  %4d  %zu values, %.1f %% of dense\n", family->name,
            matrix->n_inputs, outputs, matrix->n_values,
            100. * (double)matrix->n_bytes / (4. * matrix->n_inputs * outputs));
    layer l = make_structured_layer(from.batch, w, h, matrix, activation, batch_normalize, adam,
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

tree *plug_read_tree(char *path)
{
    struct sn_error error;
    if (!access(path, R_OK)) return read_tree(path);
    sn_fail(&error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    plug_die_in_table(&error);
    return NULL;
}
