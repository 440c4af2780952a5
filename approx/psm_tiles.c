#include "psm_tiles.h"

#include <string.h>

enum { VECTOR = 8 };

typedef float vector __attribute__((vector_size(VECTOR * sizeof(float))));
/* Where vectors lie among floats. */
typedef float vector_in_floats
    __attribute__((vector_size(VECTOR * sizeof(float)), aligned(sizeof(float)), may_alias));

/* Without fused operations the clones give the same bits. */
#if defined(__x86_64__) && defined(__gnu_linux__)
#define CLONES __attribute__((target_clones("avx2", "default")))
#else
#define CLONES
#endif

size_t psm_tile_size(size_t rows) { return rows * PSM_TILE; }

/* out[b] = sum_q value[q] x[column[q] PSM_TILE + b], in the order of q. The sums have names of
 * their own, so that they stay in registers. */
CLONES static void psm_gather(const uint32_t *column, const float *value, size_t count,
                              const float *x, float *out)
{
    vector sum0 = { 0 }, sum1 = { 0 }, sum2 = { 0 }, sum3 = { 0 };
    for (size_t q = 0; q < count; q++) {
        const vector_in_floats *y = (const vector_in_floats *)(x + (size_t)column[q] * PSM_TILE);
        sum0 += value[q] * y[0];
        sum1 += value[q] * y[1];
        sum2 += value[q] * y[2];
        sum3 += value[q] * y[3];
    }
    vector_in_floats *to = (vector_in_floats *)out;
    to[0] = sum0, to[1] = sum1, to[2] = sum2, to[3] = sum3;
}

static void gather_line(const struct psm_sparse *s, size_t line, const float *x, float *out)
{
    size_t first = s->start[line];
    psm_gather(s->column + first, s->value + first, s->start[line + 1] - first, x, out);
}

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

void psm_transpose(const struct psm_sparse *s, struct psm_sparse *t)
{
    size_t lines = (size_t)s->rows, length = (size_t)s->columns, count = s->start[lines];
    t->rows = t->n_groups = s->columns;
    t->columns = s->rows;
    t->block = 1;
    memset(t->start, 0, (length + 1) * sizeof *t->start);
    for (size_t q = 0; q < count; q++) t->start[s->column[q] + 1]++;
    for (size_t p = 0; p < length; p++) t->start[p + 1] += t->start[p];
    for (size_t i = 0; i < lines; i++)
        for (size_t q = s->start[i]; q < s->start[i + 1]; q++) {
            size_t to = t->start[s->column[q]]++;
            t->column[to] = (uint32_t)i;
            t->value[to] = s->value[q];
        }
    /* Each start has become the next line's. */
    memmove(t->start + 1, t->start, length * sizeof *t->start);
    t->start[0] = 0;
}

/* ---- Packing: x[i PSM_TILE + b] = entry (i, first + b) of a dense matrix, 0 beyond its columns */

static void pack(const float *g, size_t rows, size_t columns, size_t first, float *x)
{
    size_t width = smaller(PSM_TILE, columns - first);
    if (width < PSM_TILE) memset(x, 0, rows * PSM_TILE * sizeof *x);
    for (size_t i = 0; i < rows; i++)
        memcpy(x + i * PSM_TILE, g + i * columns + first, width * sizeof *x);
}

/* Of G^T. */
static void pack_transpose(const float *g, size_t rows, size_t columns, size_t first, float *x)
{
    size_t width = smaller(PSM_TILE, columns - first);
    if (width < PSM_TILE) memset(x, 0, rows * PSM_TILE * sizeof *x);
    for (size_t b = 0; b < width; b++)
        for (size_t i = 0; i < rows; i++) x[i * PSM_TILE + b] = g[(first + b) * rows + i];
}

/* Of S^T. */
static void pack_sparse(const struct psm_sparse *s, size_t first, float *x)
{
    size_t end = smaller(first + PSM_TILE, (size_t)s->rows);
    memset(x, 0, (size_t)s->columns * PSM_TILE * sizeof *x);
    for (size_t p = first; p < end; p++)
        for (size_t q = s->start[p]; q < s->start[p + 1]; q++)
            x[(size_t)s->column[q] * PSM_TILE + p - first] = s->value[q];
}

/* ---- Products ---- */

void psm_times(const struct psm_sparse *s, const float *g, size_t columns, int transposed,
               int subtract, float *out, float *scratch)
{
    size_t rows = (size_t)s->columns;
    for (size_t first = 0; first < columns; first += PSM_TILE) {
        size_t width = smaller(PSM_TILE, columns - first);
        (transposed ? pack_transpose : pack)(g, rows, columns, first, scratch);
        for (size_t i = 0; i < (size_t)s->rows; i++) {
            float sum[PSM_TILE], *to = out + i * columns + first;
            gather_line(s, i, scratch, sum);
            for (size_t b = 0; b < width; b++) to[b] = subtract ? sum[b] - to[b] : sum[b];
        }
    }
}

void psm_gram(const struct psm_sparse *s, float *out, float *scratch)
{
    size_t lines = (size_t)s->rows;
    for (size_t first = 0; first < lines; first += PSM_TILE) {
        pack_sparse(s, first, scratch);
        for (size_t p = first; p < lines; p++) {
            float sum[PSM_TILE];
            gather_line(s, p, scratch, sum);
            for (size_t j = first; j <= p && j < first + PSM_TILE; j++)
                out[p * lines + j] = sum[j - first];
        }
    }
}
