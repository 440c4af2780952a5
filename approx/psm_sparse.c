#include "psm_sparse.h"
#include "psm.h"

#include <stdlib.h>
#include <string.h>

void psm_sparse_free(struct psm_sparse *s)
{
    free(s->start);
    free(s->column);
    free(s->value);
    memset(s, 0, sizeof *s);
}

static float *entry_at(const struct psm_strided *dense, size_t i, size_t j)
{
    return dense->values + i * dense->step_i + j * dense->step_j;
}

/* Whether the block of rows from i on has an entry in column j. */
static int is_live(const struct psm_strided *dense, size_t i, size_t j, size_t block)
{
    for (size_t r = i; r < i + block && r < (size_t)dense->rows; r++)
        if (*entry_at(dense, r, j) != 0) return 1;
    return 0;
}

/* The blocks that are not zero, or just their number when s has no room yet. */
static size_t take_blocks(const struct psm_strided *dense, struct psm_sparse *s)
{
    size_t count = 0, block = (size_t)s->block;
    for (size_t g = 0; g < (size_t)s->n_groups; g++) {
        for (size_t j = 0; j < (size_t)s->columns; j++) {
            if (!is_live(dense, g * block, j, block)) continue;
            for (size_t b = 0; s->column && b < block && g * block + b < (size_t)s->rows; b++)
                s->value[count * block + b] = *entry_at(dense, g * block + b, j);
            if (s->column) s->column[count] = (uint32_t)j;
            count++;
        }
        if (s->column) s->start[g + 1] = (uint32_t)count;
    }
    return count;
}

int psm_sparse_new(struct psm_sparse *s, const struct psm_strided *dense, int block)
{
    *s = (struct psm_sparse){ .rows = dense->rows,
                              .columns = dense->columns,
                              .block = block,
                              .n_groups = (dense->rows + block - 1) / block };
    size_t count = take_blocks(dense, s);
    s->start = calloc((size_t)s->n_groups + 1, sizeof *s->start);
    s->value = calloc(count * (size_t)block + 1, sizeof *s->value);
    s->column = malloc((count + 1) * sizeof *s->column);
    if (!s->start || !s->column || !s->value) {
        psm_sparse_free(s);
        return 0;
    }
    take_blocks(dense, s);
    return 1;
}

size_t psm_sparse_values(const struct psm_sparse *s)
{
    return (size_t)s->start[s->n_groups] * (size_t)s->block;
}

/* ---- Bridges ---- */

size_t psm_bridge(const struct psm_strided *dense, int block, int set)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)dense->rows; i += (size_t)block) {
        size_t next = 0; /* The first column that follows the last block. */
        for (size_t j = 0; j < (size_t)dense->columns; j++) {
            if (!is_live(dense, i, j, (size_t)block)) continue;
            for (; j - next > 255; next += 256, n++)
                if (set) *entry_at(dense, i, next + 255) = 0x1p-100f;
            next = j + 1;
        }
    }
    return n;
}

/* ---- Budgets ---- */

struct psm_budget psm_size(const struct psm_sparse *factors, const int *bits, int n_factors)
{
    struct psm_budget size = { 0, 0 };
    for (int j = 0; j < n_factors; j++) {
        size_t values = psm_sparse_values(&factors[j]);
        size.bytes += psm_factor_bytes(factors[j].rows, factors[j].columns, values, bits[j],
                                       factors[j].block);
        size.values += values;
    }
    return size;
}

int psm_is_within(struct psm_budget size, struct psm_budget budget)
{
    return size.bytes <= budget.bytes && size.values <= budget.values;
}
