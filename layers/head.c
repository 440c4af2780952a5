/* Heads, nets of one structured layer, as files. Darknet reads the same two. */
#include "family.h"
#include "stored.h"
#include "weights_header.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum sn_status sn_head_write(const struct sn_head *head, FILE *cfg, FILE *weights,
                             struct sn_error *error)
{
    const struct sn_matrix *matrix = head->matrix;
    fprintf(cfg, "[net]\nbatch=1\ninputs=%d\n\n[%s]\noutput=%d\nactivation=linear\n",
            matrix->n_inputs, matrix->family->name, matrix->n_outputs);
    sn_matrix_print(matrix, cfg);
    weights_header_write(&WEIGHTS_HEADER_NEW, weights);
    fwrite(head->bias, sizeof(float), (size_t)matrix->n_outputs, weights);
    return sn_stored_write(matrix, head->words, weights, error);
}

void sn_head_free(struct sn_head *head)
{
    free(head->matrix);
    free(head->words);
    free(head->bias);
    memset(head, 0, sizeof *head);
}

static int listed(const char *const *keys, const char *key)
{
    while (*keys && strcmp(*keys, key)) keys++;
    return *keys != NULL;
}

/* A head computes W x + b and nothing else: of the keys that every layer has only these two. */
static enum sn_status check_keys(const struct cfg_section *section, const struct sn_family *family,
                                 struct sn_error *error)
{
    const struct cfg_key *activation = cfg_find(section, "activation");
    for (int i = 0; i < section->n_keys; i++) {
        const char *key = section->keys[i].key;
        if (!listed(family->keys, key) && !listed(sn_matrix_keys, key) && strcmp(key, "output")
            && strcmp(key, "activation"))
            return cfg_fail(section, key, error, "unknown key of a head");
    }
    if (activation && strcmp(activation->value, "linear"))
        return cfg_fail(section, "activation", error, "expected linear, found '%s'",
                        activation->value);
    return SN_OK;
}

static enum sn_status read_size(const struct cfg_section *section, const char *key, int *size,
                                struct sn_error *error)
{
    if (!cfg_find(section, key)) return cfg_fail(section, key, error, "expected it, found none");
    return cfg_int(section, key, 1, size, error);
}

static enum sn_status read_cfg(const char *path, struct sn_head *head, struct sn_error *error)
{
    int n_inputs, n_outputs;
    struct cfg_text *cfg = cfg_read(path, error);
    if (!cfg) return error->code;
    const struct cfg_section *net = &cfg->sections[0], *layer = &cfg->sections[1];
    const struct sn_family *family = cfg->n_sections == 2 ? sn_family_find(layer->name) : NULL;
    enum sn_status status = SN_OK;
    if (!family || strcmp(net->name, "net"))
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: expected [net] and one structured layer, found %d sections, the last "
                         "[%s]",
                         path, cfg->n_sections, cfg->sections[cfg->n_sections - 1].name);
    if (!status) status = read_size(net, "inputs", &n_inputs, error);
    if (!status) status = read_size(layer, "output", &n_outputs, error);
    if (!status) status = check_keys(layer, family, error);
    if (!status && !(head->matrix = sn_matrix_parse(family, layer, n_outputs, n_inputs, error)))
        status = error->code;
    cfg_free(cfg);
    return status;
}

/* Whether n bytes and, with is_last, nothing else stand next in the file. */
static int read_bytes(FILE *file, void *bytes, size_t n, int is_last)
{
    return fread(bytes, 1, n, file) == n && (!is_last || fgetc(file) == EOF);
}

/* Reads the file into the bias and stored[n_bytes]. */
static enum sn_status read_stored(const char *path, const struct sn_head *head, void *stored,
                                  struct sn_error *error)
{
    struct weights_header header = { 0 };
    size_t m = sizeof(float) * (size_t)head->matrix->n_outputs, n = head->matrix->n_bytes;
    enum sn_status status = SN_OK;
    FILE *file = fopen(path, "rb");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    if (!weights_header_read(&header, file) || !read_bytes(file, head->bias, m, 0)
        || !read_bytes(file, stored, n, 1))
        status = sn_fail(error, ferror(file) ? SN_IO : SN_BAD_INPUT,
                         "%s: expected a header and %zu bytes, found another length", path, m + n);
    else if (!weights_header_is_known(&header))
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: header: expected a version such as 0.2, found %d.%d", path,
                         header.major, header.minor);
    fclose(file);
    return status;
}

static enum sn_status read_weights(const char *path, struct sn_head *head, struct sn_error *error)
{
    struct sn_matrix *matrix = head->matrix;
    int is_packed = matrix->bits != 32;
    enum sn_status status = SN_OK;
    head->bias = malloc((size_t)matrix->n_outputs * sizeof(float));
    head->words = malloc(matrix->n_words * sizeof(float));
    uint32_t *map = is_packed ? malloc((matrix->n_values + 1) * sizeof *map) : NULL;
    char *packed = is_packed ? malloc(matrix->n_bytes + 1) : NULL,
         *stored = is_packed ? packed : (char *)head->words;
    if (!head->bias || !head->words || (is_packed && (!map || !packed)))
        status = sn_no_memory(error, "%zu values", matrix->n_values + (size_t)matrix->n_outputs);
    if (!status) status = read_stored(path, head, stored, error);
    struct sn_error inner = { 0 };
    if (!status) status = sn_restore(matrix, stored, map, head->words, &inner);
    if (inner.code) sn_fail(error, inner.code, "%s: %.900s", path, inner.message);
    free(map);
    free(packed);
    return status;
}

enum sn_status sn_head_read(const char *cfg, const char *weights, struct sn_head *head,
                            struct sn_error *error)
{
    struct sn_error local = { 0 };
    if (!error) error = &local;
    memset(head, 0, sizeof *head);
    enum sn_status status = read_cfg(cfg, head, error);
    if (!status) status = read_weights(weights, head, error);
    if (status) sn_head_free(head);
    return status;
}
