#include "replace_layer.h"
#include "copy_bytes.h"
#include "layer_costs.h"

#include <family.h>

#include <plug_keys.h>
#include <stored.h>
#include <weights_file.h>

#include <stdlib.h>
#include <string.h>

static int is_convolution(const struct problem *problem)
{
    return problem->net->layers[problem->layer].type == CONVOLUTIONAL;
}

/* The key of a convolution of groups that a structured section has not: its matrix keeps them
 * apart. NULL: none. */
static const struct cfg_key *dropped_key(const struct problem *problem,
                                         const struct cfg_section *section)
{
    return problem->n_blocks > 1 ? cfg_find(section, "groups") : NULL;
}

static enum sn_status check_section(struct cfg_section section, const struct cfg_key *dropped,
                                    const struct sn_family *family, struct sn_error *error)
{
    for (const char *const *key = family->keys; *key; key++)
        if (cfg_find(&section, *key))
            return cfg_fail(&section, *key, error, "expected no key of [%s] here", family->name);
    section.name = family->name;
    if (dropped) section.keys[dropped - section.keys] = section.keys[--section.n_keys];
    return plug_check_keys(NULL, &section, error);
}

enum sn_status replace_check(const struct problem *problem, const struct sn_fit_type *type,
                             struct sn_error *error)
{
    if (!problem->net) return SN_OK;
    enum sn_status status = problem_check_type(problem, type, error);
    struct cfg_text *cfg = status ? NULL : cfg_read(problem->request->cfg, error);
    if (!cfg) return error->code;
    const struct cfg_section *section = &cfg->sections[problem->layer + 1];
    status = check_section(*section, dropped_key(problem, section), type->family, error);
    cfg_free(cfg);
    return status;
}

/* Copies cfg to out with the section of the layer turned into the matrix' section: its name
 * replaced within its line, the shape behind its last key, with what [convolutional] takes for
 * granted. All other lines stay as they are. */
static enum sn_status write_section(const struct problem *problem,
                                    const struct cfg_section *section,
                                    const struct sn_matrix *matrix, FILE *out,
                                    struct sn_error *error)
{
    const char *path = problem->request->cfg;
    const struct cfg_key *dropped = dropped_key(problem, section);
    int convolution = is_convolution(problem);
    char *line = NULL;
    size_t size = 0;
    int last = section->n_keys ? section->keys[section->n_keys - 1].line : section->line;
    FILE *in = fopen(path, "r");
    if (!in) return sn_fail(error, SN_IO, "%s: cannot read", path);
    for (int number = 1; getline(&line, &size, in) >= 0; number++) {
        char *bracket = number == section->line ? strchr(line, ']') : NULL;
        if (bracket) fprintf(out, "[%s%s", matrix->family->name, bracket);
        else if (!dropped || number != dropped->line) fputs(line, out);
        if (number != last) continue;
        if (!strchr(line, '\n')) fputc('\n', out);
        if (convolution && !cfg_find(section, "filters"))
            fprintf(out, "filters=%d\n", matrix->n_outputs);
        if (convolution && !cfg_find(section, "size")) fputs("size=1\n", out);
        sn_matrix_print(matrix, out);
    }
    free(line);
    fclose(in);
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
    enum sn_status status = write_section(problem, &text->sections[problem->layer + 1],
                                          approximation->fit.matrix, cfg, error);
    cfg_free(text);
    return status ? status : write_weights(problem, approximation, weights, error);
}
