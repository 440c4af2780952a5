#include "replace_layer.h"
#include "layer_costs.h"

#include <family.h>

#include <plug_keys.h>
#include <stored.h>
#include <weights_file.h>

#include <stdlib.h>
#include <string.h>

/* Keys of a 1x1 convolution that say what a structured layer with size=1 is anyway. */
static int is_dropped(const char *key)
{
    return !strcmp(key, "stride") || !strcmp(key, "pad") || !strcmp(key, "padding")
        || !strcmp(key, "groups");
}

static int is_convolution(const struct problem *problem)
{
    return problem->net->layers[problem->layer].type == CONVOLUTIONAL;
}

/* Makes the section what write_section will make of it, with keys of its own (free()). */
static enum sn_status rename_keys(struct cfg_section *section, const char *name, int convolution,
                                  struct sn_error *error)
{
    int n = 0;
    struct cfg_key *keys = malloc(((size_t)section->n_keys + 1) * sizeof *keys);
    if (!keys) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", section->path);
    for (int i = 0; i < section->n_keys; i++) {
        if (convolution && is_dropped(section->keys[i].key)) continue;
        keys[n] = section->keys[i];
        if (convolution && !strcmp(keys[n].key, "filters")) keys[n].key = "output";
        n++;
    }
    section->name = name;
    section->keys = keys;
    section->n_keys = n;
    return SN_OK;
}

static enum sn_status check_section(struct cfg_section section, const struct sn_family *family,
                                    int convolution, struct sn_error *error)
{
    for (const char *const *key = family->keys; *key; key++)
        if (cfg_find(&section, *key))
            return cfg_fail(&section, *key, error, "expected no key of [%s] here", family->name);
    enum sn_status status = rename_keys(&section, family->name, convolution, error);
    if (status) return status;
    status = plug_check_keys(&section, error);
    free(section.keys);
    return status;
}

enum sn_status replace_check(const struct problem *problem, const struct sn_family *family,
                             struct sn_error *error)
{
    if (!problem->net) return SN_OK;
    struct cfg_text *cfg = cfg_read(problem->request->cfg, error);
    if (!cfg) return error->code;
    enum sn_status status = check_section(cfg->sections[problem->layer + 1], family,
                                          is_convolution(problem), error);
    cfg_free(cfg);
    return status;
}

static const struct cfg_key *key_of_line(const struct cfg_section *section, int line)
{
    for (int i = 0; i < section->n_keys; i++)
        if (section->keys[i].line == line) return &section->keys[i];
    return NULL;
}

/* Copies cfg to out with the section of the layer turned into the matrix' section: its name
 * replaced within its line, the shape behind its last key; of a convolution filters becomes output.
 * All other lines stay as they are. */
static enum sn_status write_section(const char *path, const struct cfg_section *section,
                                    int convolution, const struct sn_matrix *matrix, FILE *out,
                                    struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    int last = section->n_keys ? section->keys[section->n_keys - 1].line : section->line;
    FILE *in = fopen(path, "r");
    if (!in) return sn_fail(error, SN_IO, "%s: cannot read", path);
    for (int number = 1; getline(&line, &size, in) >= 0; number++) {
        char *bracket = number == section->line ? strchr(line, ']') : NULL;
        const struct cfg_key *key = convolution ? key_of_line(section, number) : NULL;
        if (bracket) fprintf(out, "[%s%s", matrix->family->name, bracket);
        else if (key && !strcmp(key->key, "filters")) {
            const char *word = strstr(line, "filters");
            fprintf(out, "%.*soutput%s", (int)(word - line), line, word + strlen("filters"));
        } else if (!key || !is_dropped(key->key)) fputs(line, out);
        if (number != last) continue;
        if (!strchr(line, '\n')) fputc('\n', out);
        if (convolution && !cfg_find(section, "filters"))
            fprintf(out, "output=%d\n", matrix->n_outputs);
        if (convolution && !cfg_find(section, "size")) fputs("size=1\n", out);
        sn_matrix_print(matrix, out);
    }
    free(line);
    fclose(in);
    return SN_OK;
}

/* Copies n bytes, or fails. */
static enum sn_status copy_bytes(FILE *in, FILE *out, size_t n, const char *path,
                                 struct sn_error *error)
{
    char buffer[65536];
    while (n) {
        size_t count = fread(buffer, 1, n < sizeof buffer ? n : sizeof buffer, in);
        if (!count) return sn_fail(error, SN_IO, "%s: cannot read", path);
        fwrite(buffer, 1, count, out);
        n -= count;
    }
    return SN_OK;
}

/* Biases, words and, with batch normalisation, scales, means and variances. What is corrected there
 * is the mean. */
static enum sn_status write_layer(const layer *l, const struct approximation *approximation,
                                  FILE *out, struct sn_error *error)
{
    size_t m = (size_t)approximation->fit.matrix->n_outputs;
    const float *bias = approximation->bias;
    fwrite(l->batch_normalize ? l->biases : bias, sizeof *bias, m, out);
    enum sn_status status = sn_stored_write(approximation->fit.matrix, approximation->fit.words,
                                            out, error);
    if (status || !l->batch_normalize || l->dontloadscales) return status;
    fwrite(l->scales, sizeof(float), m, out);
    for (size_t i = 0; i < m; i++) fwrite(&(float){ -bias[i] }, sizeof(float), 1, out);
    fwrite(l->rolling_variance, sizeof(float), m, out);
    return SN_OK;
}

static enum sn_status write_weights(const struct problem *problem,
                                    const struct approximation *approximation, FILE *out,
                                    struct sn_error *error)
{
    const char *path = problem->request->weights;
    const layer *layers = problem->net->layers;
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    size_t before = weights_bytes_between(problem->net, 0, problem->layer),
           replaced = weights_layer_bytes(&layers[problem->layer]);
    FILE *in = status ? NULL : fopen(path, "rb");
    if (!in) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    weights_header_write(&span.header, out);
    if (fseek(in, (long)span.header_bytes, SEEK_SET))
        status = sn_fail(error, SN_IO, "%s: cannot read", path);
    if (!status) status = copy_bytes(in, out, before, path, error);
    if (!status) status = write_layer(&layers[problem->layer], approximation, out, error);
    if (!status && fseek(in, (long)replaced, SEEK_CUR))
        status = sn_fail(error, SN_IO, "%s: cannot read", path);
    if (!status)
        status = copy_bytes(in, out, span.file_bytes - span.header_bytes - before - replaced, path,
                            error);
    fclose(in);
    return status;
}

enum sn_status replace_write(const struct problem *problem,
                             const struct approximation *approximation, FILE *cfg, FILE *weights,
                             struct sn_error *error)
{
    if (!problem->net)
        return sn_head_write(&(struct sn_head){ approximation->fit.matrix, approximation->fit.words,
                                                approximation->bias },
                             cfg, weights, error);
    struct cfg_text *text = cfg_read(problem->request->cfg, error);
    if (!text) return error->code;
    enum sn_status status = write_section(problem->request->cfg,
                                          &text->sections[problem->layer + 1],
                                          is_convolution(problem), approximation->fit.matrix, cfg,
                                          error);
    cfg_free(text);
    return status ? status : write_weights(problem, approximation, weights, error);
}
