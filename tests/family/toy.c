#include "toy.h"

#include <stored.h>

#include <math.h>
#include <stdlib.h>

struct toy *toy_new(int n_outputs, int n_inputs, int scale, struct sn_error *error)
{
    size_t m = (size_t)n_outputs, n = (size_t)n_inputs, n_values = (m < n ? m : n) + m + n;
    struct toy *toy = malloc(sizeof *toy);
    if (!toy) {
        sn_no_memory(error, "a matrix of %d x %d", n_outputs, n_inputs);
        return NULL;
    }
    *toy = (struct toy){ .matrix = { .family = &toy_family,
                                     .n_outputs = n_outputs,
                                     .n_inputs = n_inputs,
                                     .n_values = n_values,
                                     .n_words = n_values,
                                     .n_states = 1 },
                         .scale = scale };
    if (!sn_matrix_set_bits(&toy->matrix, 32, 0, error)) return toy;
    free(toy);
    return NULL;
}

struct toy_values toy_values_at(const struct sn_matrix *matrix, const float *words)
{
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs, least = m < n ? m : n;
    return (struct toy_values){ words, words + least, words + least + m, least };
}

static struct sn_matrix *toy_parse(const struct cfg_section *section, int n_outputs, int n_inputs,
                                   struct sn_error *error)
{
    int scale = 1;
    if (cfg_int(section, "scale", 1, &scale, error)) return NULL;
    struct toy *toy = toy_new(n_outputs, n_inputs, scale, error);
    return toy ? &toy->matrix : NULL;
}

static void toy_print_keys(const struct sn_matrix *matrix, FILE *file)
{
    fprintf(file, "scale=%d\n", ((const struct toy *)matrix)->scale);
}

/* The state v^T x has variance 1; the outputs share 2/3, half of it from d where there is one. */
static enum sn_status toy_init(struct sn_matrix *matrix, float *words,
                               float (*uniform)(float, float), struct sn_error *error)
{
    (void)error;
    int scale = ((const struct toy *)matrix)->scale;
    struct toy_values at = toy_values_at(matrix, words);
    float *u = words + (at.u - words), *v = words + (at.v - words);
    for (size_t i = 0; i < at.n_diagonal; i++) words[i] = uniform(-1, 1);
    for (size_t i = 0; i < (size_t)matrix->n_outputs; i++)
        u[i] = uniform(-1, 1) * (i < at.n_diagonal ? 1 : sqrtf(2));
    for (size_t j = 0; j < (size_t)matrix->n_inputs; j++)
        v[j] = uniform(-1, 1) * sqrtf(3.f / (float)matrix->n_inputs) / (float)scale;
    return SN_OK;
}

static enum sn_status toy_unpack(struct sn_matrix *matrix, const float *words,
                                 struct sn_error *error)
{
    (void)matrix, (void)words, (void)error;
    return SN_OK;
}

static size_t toy_rows(const struct sn_matrix *matrix, uint32_t *row_of)
{
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs, n_diagonal = m < n ? m : n;
    for (size_t i = 0; row_of && i < matrix->n_values; i++)
        row_of[i] = (i >= n_diagonal) + (i >= n_diagonal + m);
    return 3;
}

static void toy_forward(const struct sn_matrix *matrix, const float *words, int batch,
                        const float *x, float *y, float *states)
{
    float scale = (float)((const struct toy *)matrix)->scale;
    struct toy_values at = toy_values_at(matrix, words);
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs;
    for (int b = 0; b < batch; b++, x += n, y += m) {
        states[b] = 0;
        for (size_t j = 0; j < n; j++) states[b] += scale * at.v[j] * x[j];
        for (size_t i = 0; i < m; i++) y[i] += at.u[i] * states[b];
        for (size_t i = 0; i < at.n_diagonal; i++) y[i] += at.d[i] * x[i];
    }
}

static void toy_backward(const struct sn_matrix *matrix, const float *words, int batch,
                         const float *x, const float *states, const float *dy, float *dvalues,
                         float *dx, float *dstates)
{
    float scale = (float)((const struct toy *)matrix)->scale;
    struct toy_values at = toy_values_at(matrix, words);
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs;
    float *du = dvalues + (at.u - words), *dv = dvalues + (at.v - words);
    for (int b = 0; b < batch; b++, x += n, dy += m) {
        dstates[b] = 0;
        for (size_t i = 0; i < m; i++) du[i] += dy[i] * states[b];
        for (size_t i = 0; i < m; i++) dstates[b] += dy[i] * at.u[i];
        for (size_t j = 0; j < n; j++) dv[j] += scale * dstates[b] * x[j];
        for (size_t i = 0; i < at.n_diagonal; i++) dvalues[i] += dy[i] * x[i];
        if (!dx) continue;
        for (size_t j = 0; j < n; j++) dx[j] += scale * dstates[b] * at.v[j];
        for (size_t i = 0; i < at.n_diagonal; i++) dx[i] += dy[i] * at.d[i];
        dx += n;
    }
}

static const char *const toy_keys[] = { "scale", NULL };

const struct sn_family toy_family = { .name = "toy",
                                      .keys = toy_keys,
                                      .parse = toy_parse,
                                      .print_keys = toy_print_keys,
                                      .init = toy_init,
                                      .unpack = toy_unpack,
                                      .rows = toy_rows,
                                      .forward = toy_forward,
                                      .backward = toy_backward };
