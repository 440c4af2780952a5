#include "psm_dense.h"
#include "psm_kernel.h"
#include "psm_shape.h"

#include <stdlib.h>
#include <string.h>

/* What stands to the right of a factor: a sparse factor, or, where rows is set, the product of
 * several as a dense matrix. */
struct right {
    struct psm_factor factor;
    const float *values; /* of the factor */
    const float *rows;   /* rows x n */
    size_t n;            /* columns */
};

/* out (n) += scale times row p of what stands to the right. */
static void add_row(const struct right *right, size_t p, float scale, float *out)
{
    const struct psm_factor *s = &right->factor;
    if (right->rows) {
        const float *row = right->rows + p * right->n;
        for (size_t j = 0; j < right->n; j++) out[j] += scale * row[j];
        return;
    }
    size_t group = p / (size_t)s->block, end = s->row_starts[group + 1];
    const float *values = right->values + p % (size_t)s->block;
    for (size_t q = s->row_starts[group]; q < end; q++)
        out[s->columns[q]] += scale * values[q * (size_t)s->block];
}

/* out = S right, or S itself where right is NULL, out rows x n. Row i of S is row order[i] of out,
 * or row i where order is NULL. */
static void multiply(const struct psm_factor *s, const float *values, const struct right *right,
                     const uint32_t *order, float *out, size_t n)
{
    memset(out, 0, (size_t)s->rows * n * sizeof *out);
    for (size_t group = 0; group < s->n_groups; group++)
        for (int r = 0; r < psm_group_height(s->rows, s->block, group); r++) {
            size_t row = group * (size_t)s->block + (size_t)r;
            float *to = out + (order ? order[row] : row) * n;
            for (size_t p = s->row_starts[group]; p < s->row_starts[group + 1]; p++) {
                float value = values[p * (size_t)s->block + (size_t)r];
                if (right) add_row(right, s->columns[p], value, to);
                else to[s->columns[p]] += value;
            }
        }
}

/* Room for the products of all factors but the first, of which two lie in memory at a time; NULL
 * and *fine = 1 where a product of one or two factors needs none. */
static float *new_products(const struct psm *shape, size_t *size, int *fine)
{
    *size = 0;
    for (int j = 1; j < shape->n_factors - 1; j++)
        if ((size_t)shape->sizes[j] > *size) *size = (size_t)shape->sizes[j];
    *size *= (size_t)shape->matrix.n_inputs;
    float *products = *size ? malloc(2 * *size * sizeof *products) : NULL;
    *fine = !*size || products;
    return products;
}

enum sn_status psm_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                         struct sn_error *error)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t n = (size_t)matrix->n_inputs, size;
    int last = shape->n_factors - 1, fine;
    float *products = new_products(shape, &size, &fine);
    struct right right = { .factor = psm_factor_at(shape, last), .n = n };
    right.values = words + right.factor.first;
    if (!fine) return sn_no_memory(error, "a matrix of %d x %zu", matrix->n_outputs, n);
    if (!last) multiply(&right.factor, right.values, NULL, shape->order, dense, n);
    for (int j = last - 1; j >= 0; j--) {
        struct psm_factor s = psm_factor_at(shape, j);
        float *out = j ? products + (size_t)(j % 2) * size : dense;
        multiply(&s, words + s.first, &right, j ? NULL : shape->order, out, n);
        right.rows = out;
    }
    free(products);
    return SN_OK;
}
