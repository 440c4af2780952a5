#include "family.h"

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
