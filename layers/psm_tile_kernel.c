/* The kernels of psm_tile.h. This file is compiled once for each instruction set, with KERNEL as
 * the name of what it offers. A strip is some vectors of samples side by side, few enough for their
 * sums to stay in registers. */
#include "psm_tile.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL psm_tile_plain
#endif

/* Y = S X on one strip, for `height` rows that share the columns of `count` blocks. values are
 * those of the first of the rows, `block` floats from one column to the next; y has n floats a
 * row. */
INLINE void forward_strip(size_t height, size_t vectors, size_t block, const float *values,
                          const uint32_t *columns, size_t count, size_t n, const float *x, float *y)
{
    vec sums[8] = { 0 };
    for (size_t p = 0; p < count; p++) {
        const float *from = x + columns[p] * n;
        for (size_t r = 0; r < height; r++) {
            float value = values[p * block + r];
            for (size_t k = 0; k < vectors; k++)
                sums[r * vectors + k] += value * *(const vec *)(from + k * LANES);
        }
    }
    for (size_t r = 0; r < height; r++)
        for (size_t k = 0; k < vectors; k++)
            *(vec *)(y + r * n + k * LANES) = sums[r * vectors + k];
}

/* Entry k of sums is the sum of the entries of v[k]. */
INLINE void sums_of(const vec v[LANES], vec *sums)
{
    vec pairs[4], fours[2];
    for (size_t k = 0; k < 4; k++)
        pairs[k] = __builtin_shufflevector(v[2 * k], v[2 * k + 1], 0, 8, 1, 9, 4, 12, 5, 13)
            + __builtin_shufflevector(v[2 * k], v[2 * k + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    for (size_t k = 0; k < 2; k++)
        fours[k] = __builtin_shufflevector(pairs[2 * k], pairs[2 * k + 1], 0, 1, 8, 9, 4, 5, 12, 13)
            + __builtin_shufflevector(pairs[2 * k], pairs[2 * k + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    *sums = __builtin_shufflevector(fours[0], fours[1], 0, 1, 2, 3, 8, 9, 10, 11)
        + __builtin_shufflevector(fours[0], fours[1], 4, 5, 6, 7, 12, 13, 14, 15);
}

/* The vectors of products of one column with `height` rows. */
INLINE void products_of(size_t height, size_t vectors, size_t n, const float *x, const float *dy,
                        vec *products)
{
    vec sums[4] = { 0 };
    for (size_t k = 0; k < vectors; k++) {
        vec input = *(const vec *)(x + k * LANES);
        for (size_t r = 0; r < height; r++)
            sums[r] += input * *(const vec *)(dy + r * n + k * LANES);
    }
    for (size_t r = 0; r < height; r++) products[r] = sums[r];
}

/* dS += dY X^T for some entries of `height` rows, in steps of as many as have LANES values: their
 * vectors of products are summed together. values stand as in forward_strip; n is vectors times
 * LANES. */
INLINE void entry_gradients(size_t height, size_t vectors, size_t block, const uint32_t *columns,
                            size_t count, size_t n, const float *x, const float *dy, float *dvalues)
{
    size_t step = LANES / height;
    vec products[LANES] = { 0 }, sums;
    size_t p = 0;
    for (; p + step <= count; p += step) {
        for (size_t q = 0; q < step; q++)
            products_of(height, vectors, n, x + columns[p + q] * n, dy, products + q * height);
        sums_of(products, &sums);
        if (block == 1 || block == height) *(vec *)(dvalues + p * block) += sums;
        else
            for (size_t q = 0; q < LANES; q++)
                dvalues[(p + q / height) * block + q % height] += sums[q];
    }
    for (; p < count; p++) {
        products_of(height, vectors, n, x + columns[p] * n, dy, products);
        sums_of(products, &sums);
        for (size_t r = 0; r < height; r++) dvalues[p * block + r] += sums[r];
    }
}

/* dX += S^T dY on one strip, for the rows of forward_strip. */
INLINE void backward_strip(size_t height, size_t vectors, size_t block, const float *values,
                           const uint32_t *columns, size_t count, size_t n, const float *dy,
                           float *dx)
{
    vec d[8];
    for (size_t r = 0; r < height; r++)
        for (size_t k = 0; k < vectors; k++)
            d[r * vectors + k] = *(const vec *)(dy + r * n + k * LANES);
    for (size_t p = 0; p < count; p++) {
        float *to = dx + columns[p] * n;
        for (size_t k = 0; k < vectors; k++) {
            vec sum = *(const vec *)(to + k * LANES);
            for (size_t r = 0; r < height; r++) sum += values[p * block + r] * d[r * vectors + k];
            *(vec *)(to + k * LANES) = sum;
        }
    }
}

/* A strip with its numbers of rows and vectors as constants. */
INLINE void forward_rows(size_t height, size_t vectors, size_t block, const float *values,
                         const uint32_t *columns, size_t count, size_t n, const float *x, float *y)
{
    if (height == 4 && vectors == 2) forward_strip(4, 2, block, values, columns, count, n, x, y);
    else if (height == 4) forward_strip(4, 1, block, values, columns, count, n, x, y);
    else if (vectors == 8) forward_strip(1, 8, block, values, columns, count, n, x, y);
    else if (vectors == 4) forward_strip(1, 4, block, values, columns, count, n, x, y);
    else if (vectors == 2) forward_strip(1, 2, block, values, columns, count, n, x, y);
    else forward_strip(1, 1, block, values, columns, count, n, x, y);
}

INLINE void backward_rows(size_t height, size_t vectors, size_t block, const float *values,
                          const uint32_t *columns, size_t count, size_t n, const float *dy,
                          float *dx)
{
    if (height == 4 && vectors == 2) backward_strip(4, 2, block, values, columns, count, n, dy, dx);
    else if (height == 4) backward_strip(4, 1, block, values, columns, count, n, dy, dx);
    else if (vectors == 8) backward_strip(1, 8, block, values, columns, count, n, dy, dx);
    else if (vectors == 4) backward_strip(1, 4, block, values, columns, count, n, dy, dx);
    else if (vectors == 2) backward_strip(1, 2, block, values, columns, count, n, dy, dx);
    else backward_strip(1, 1, block, values, columns, count, n, dy, dx);
}

INLINE void gradients_of_rows(size_t height, size_t vectors, size_t block, const uint32_t *columns,
                              size_t count, size_t n, const float *x, const float *dy,
                              float *dvalues)
{
    if (height == 4) entry_gradients(4, vectors, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 8) entry_gradients(1, 8, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 4) entry_gradients(1, 4, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 2) entry_gradients(1, 2, block, columns, count, n, x, dy, dvalues);
    else entry_gradients(1, 1, block, columns, count, n, x, dy, dvalues);
}

/* Rows that go together when so many are left of a group: four of a block, or one. */
static size_t rows_together(const struct psm_pattern *s, size_t left)
{
    return s->block > 1 && left >= 4 ? 4 : 1;
}

/* Samples of a strip of so many rows. */
static size_t strip_samples(size_t n, size_t rows)
{
    enum { FEW = 16 };
    return rows == 1 || n < FEW ? n : FEW;
}

static void forward(const struct psm_pattern *s, const float *values, int n_samples, const float *x,
                    float *y)
{
    size_t n = (size_t)n_samples;
    size_t n_groups = psm_count_groups(s->rows, s->block), block = (size_t)s->block;
    for (size_t g = 0; g < n_groups; g++) {
        size_t start = s->row_starts[g], count = s->row_starts[g + 1] - start;
        size_t height = (size_t)psm_group_height(s->rows, s->block, g);
        for (size_t r = 0, rows; r < height; r += rows) {
            rows = rows_together(s, height - r);
            size_t strip = strip_samples(n, rows);
            float *to = y + (g * block + r) * n;
            for (size_t b = 0; b < n; b += strip)
                forward_rows(rows, strip / LANES, block, values + start * block + r,
                             s->columns + start, count, n, x + b, to + b);
        }
    }
}

static void backward(const struct psm_pattern *s, const float *values, int n_samples,
                     const float *x, const float *dy, float *dvalues, float *dx)
{
    size_t n = (size_t)n_samples;
    size_t n_groups = psm_count_groups(s->rows, s->block), block = (size_t)s->block;
    for (size_t g = 0; g < n_groups; g++) {
        size_t start = s->row_starts[g], count = s->row_starts[g + 1] - start;
        size_t height = (size_t)psm_group_height(s->rows, s->block, g);
        for (size_t r = 0, rows; r < height; r += rows) {
            rows = rows_together(s, height - r);
            size_t strip = strip_samples(n, rows);
            size_t first = start * block + r;
            const float *from = dy + (g * block + r) * n;
            gradients_of_rows(rows, n / LANES, block, s->columns + start, count, n, x, from,
                              dvalues + first);
            for (size_t b = 0; dx && b < n; b += strip)
                backward_rows(rows, strip / LANES, block, values + first, s->columns + start, count,
                              n, from + b, dx + b);
        }
    }
}

const struct psm_tile_kernel KERNEL = { forward, backward };
