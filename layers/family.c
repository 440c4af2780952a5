#include "family.h"

#include "stored.h"

#include <stdlib.h>
#include <string.h>

#define FAMILY(name) extern const struct sn_family name##_family;
#include <families.def>
#undef FAMILY

const char *structnet_version(void) { return STRUCTNET_VERSION; }

const struct sn_family *const sn_families[] = {
#define FAMILY(name) &name##_family,
#include <families.def>
#undef FAMILY
    NULL
};

const struct sn_family *sn_family_find(const char *name)
{
    for (int i = 0; sn_families[i]; i++)
        if (!strcmp(sn_families[i]->name, name)) return sn_families[i];
    return NULL;
}

const char *sn_family_name(const struct sn_family *family) { return family->name; }

const char *const sn_matrix_keys[] = { "bits", "group", NULL };

/* Reads the shared keys into a shape. */
static enum sn_status parse_shared(const struct cfg_section *section, struct sn_matrix *matrix,
                                   struct sn_error *error)
{
    int bits = 32, group = 0;
    const char *key = "bits";
    struct sn_error inner = { 0 };
    enum sn_status status = cfg_int(section, "bits", 1, &bits, error);
    if (!status) status = cfg_int(section, "group", 0, &group, error);
    if (status) return status;
    if (sn_bits_check(bits, group, &key, &inner) || sn_matrix_set_bits(matrix, bits, group, &inner))
        return cfg_fail(section, key, error, "%s", inner.message);
    return SN_OK;
}

struct sn_matrix *sn_matrix_parse(const struct sn_family *family, const struct cfg_section *section,
                                  int n_outputs, int n_inputs, struct sn_error *error)
{
    struct sn_matrix *matrix = family->parse(section, n_outputs, n_inputs, error);
    if (!matrix || !parse_shared(section, matrix, error)) return matrix;
    free(matrix);
    return NULL;
}

void sn_matrix_print(const struct sn_matrix *matrix, FILE *file)
{
    matrix->family->print_keys(matrix, file);
    if (matrix->bits != 32) fprintf(file, "bits=%d\n", matrix->bits);
    if (matrix->group) fprintf(file, "group=%d\n", matrix->group);
}

enum sn_status sn_matrix_init(struct sn_matrix *matrix, uint32_t *map, float *words,
                              float (*uniform)(float, float), struct sn_error *error)
{
    enum sn_status status = matrix->family->init(matrix, words, uniform, error);
    if (status || matrix->bits == 32) return status;
    sn_scale_map(matrix, map);
    return sn_start_scales(matrix, map, words, error);
}

void sn_multiply(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states)
{
    matrix->family->forward(matrix, words, batch, x, y, states);
}

void sn_gradient(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 const float *states, const float *dy, float *dvalues, float *dx, float *dstates)
{
    matrix->family->backward(matrix, words, batch, x, states, dy, dvalues, dx, dstates);
}

enum sn_status sn_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                        struct sn_error *error)
{
    enum { BATCH = 64 };
    size_t n = (size_t)matrix->n_inputs, m = (size_t)matrix->n_outputs;
    float *units = malloc(BATCH * n * sizeof *units);
    float *columns = malloc(BATCH * m * sizeof *columns);
    float *states = malloc((BATCH * matrix->n_states + 1) * sizeof *states);
    enum sn_status status = SN_OK;
    if (!units || !columns || !states) {
        status = sn_no_memory(error, "a matrix of %zu x %zu", m, n);
        goto done;
    }
    for (size_t start = 0; start < n; start += BATCH) {
        size_t count = n - start < BATCH ? n - start : BATCH;
        memset(units, 0, count * n * sizeof *units);
        memset(columns, 0, count * m * sizeof *columns);
        for (size_t b = 0; b < count; b++) units[b * n + start + b] = 1;
        matrix->family->forward(matrix, words, (int)count, units, columns, states);
        for (size_t b = 0; b < count; b++)
            for (size_t i = 0; i < m; i++) dense[i * n + start + b] = columns[b * m + i];
    }
done:
    free(units);
    free(columns);
    free(states);
    return status;
}
