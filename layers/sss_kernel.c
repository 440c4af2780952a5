/* A forward product is two sweeps over the stages, the causal one upward, the anticausal one
 * downward; the gradients go the same ways backwards. A block takes part in a sweep as the product
 * of a batch with it.
 *
 * Inputs, outputs and states of a sample are floats that are called rows here: u first, then y,
 * then x_0, z_0, x_1, z_1, .. . Samples go in strips side by side (dense_tile.h), the rest one
 * behind the other, for which a BLAS does the work (product.h). */
#include "sss_kernel.h"

#include "isa.h"
#include "product.h"

#include <string.h>

/* A part of a batch: where its rows are, and how far the next row of the same sample, and the next
 * strip or sample, are from one. */
struct part {
    const struct sss *shape;
    size_t n; /* samples */
    size_t unit, ld;
    float *rows, *drows; /* drows: their gradients */
    int needs_inputs;    /* whether the gradients of u are */
};

/* Rows of a sample: what is left of its states when a strip begins at a line. */
static size_t count_rows(const struct sss *shape)
{
    return shape->matrix.n_states - LANES_LINE / TILE_STRIP;
}

/* As many samples as make whole strips, or all of a rest; without gradients. */
static struct part next_part(const struct sss *shape, size_t left, float *rows)
{
    size_t n_rows = shape->matrix.n_states, whole = left / TILE_STRIP * TILE_STRIP;
    size_t strip = count_rows(shape) * TILE_STRIP;
    return whole ? (struct part){ shape, whole, TILE_STRIP, strip, lanes_align(rows), NULL, 1 }
                 : (struct part){ shape, left, 1, n_rows, rows, NULL, 1 };
}

static int is_tile(const struct part *p) { return p->unit == TILE_STRIP; }

static struct dense_tile tile_of(const struct part *p, size_t rows, size_t columns)
{
    return (struct dense_tile){ rows, columns, p->n / TILE_STRIP, p->ld };
}

/* ---- Blocks M (m x n) between rows */

/* Rows y_at.. += M times rows x_at... */
static void block_forward(const struct part *p, size_t m, size_t n, const float *block, size_t x_at,
                          size_t y_at)
{
    const float *x = p->rows + x_at * p->unit;
    float *y = p->rows + y_at * p->unit;
    struct dense_tile tile = tile_of(p, m, n);
    if (!m || !n) return;
    if (is_tile(p)) sn_kernels()->dense_tile->forward(&tile, block, x, y);
    else sn_product(0, 1, p->n, m, n, 1, x, p->ld, block, n, 1, y, p->ld);
}

/* A block of m rows that rows x_at.. are multiplied by, its gradients, and where the products go.
 */
struct block {
    size_t m;
    const float *values;
    float *gradients;
    size_t y_at;
};

enum { MOST_BLOCKS = 3 };

/* For all blocks M of rows x_at.. (n of them): dM += the gradients of rows y_at.. times rows x_at..
 * transposed; the gradients of the latter += M^T times those of the former. */
static void blocks_backward(const struct part *p, size_t n, size_t x_at, size_t n_blocks,
                            const struct block *blocks)
{
    const float *x = p->rows + x_at * p->unit;
    float *dx = p->drows + x_at * p->unit;
    int is_needed = x_at >= (size_t)p->shape->matrix.n_inputs || p->needs_inputs;
    struct dense_tile_gradient gradients[MOST_BLOCKS];
    struct dense_tile tile = tile_of(p, 0, n);
    for (size_t i = 0; i < n_blocks && n; i++) {
        const struct block *b = &blocks[i];
        const float *dy = p->drows + b->y_at * p->unit;
        gradients[i] = (struct dense_tile_gradient){ b->m, dy, b->gradients };
        tile.rows = b->m;
        if (!b->m) continue;
        if (is_needed && is_tile(p)) sn_kernels()->dense_tile->backward(&tile, b->values, dy, dx);
        else if (is_needed)
            sn_product(0, 0, p->n, n, b->m, 1, dy, p->ld, b->values, n, 1, dx, p->ld);
        if (!is_tile(p))
            sn_product(1, 0, b->m, n, p->n, 1, dy, p->ld, x, p->ld, 1, b->gradients, n);
    }
    if (is_tile(p) && n) sn_kernels()->dense_tile->gradient(&tile, x, n_blocks, gradients);
}

/* ---- Stages */

/* The sizes of stage k, and the first rows of u_k, y_k, x_k, x_{k+1}, z_k and z_{k+1}. */
struct stage {
    size_t n, m, s, s_next, t, t_next;
    size_t u, y, x, x_next, z, z_next;
};

static struct stage stage_at(const struct sss *shape, int k, size_t u, size_t y)
{
    size_t states = (size_t)shape->matrix.n_inputs + (size_t)shape->matrix.n_outputs,
           x = states + shape->states[k], x_next = states + shape->states[k + 1];
    return (struct stage){ .n = (size_t)shape->inputs[k],
                           .m = (size_t)shape->outputs[k],
                           .s = (size_t)shape->causal[k],
                           .s_next = (size_t)shape->causal[k + 1],
                           .t = (size_t)shape->anticausal[k],
                           .t_next = (size_t)shape->anticausal[k + 1],
                           .u = u,
                           .y = y,
                           .x = x,
                           .x_next = x_next,
                           .z = x + (size_t)shape->causal[k],
                           .z_next = x_next + (size_t)shape->causal[k + 1] };
}

/* x_{k+1} = A_k x_k + B_k u_k, y_k += C_k x_k + D_k u_k, k upward; and z_k = F_k u_k, while u_k is
 * in the cache. */
static void causal_forward(const struct part *p, const float *words)
{
    size_t u = 0, y = (size_t)p->shape->matrix.n_inputs;
    for (int k = 0; k < p->shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k);
        struct stage is = stage_at(p->shape, k, u, y);
        block_forward(p, is.m, is.n, at.d, is.u, is.y);
        block_forward(p, is.m, is.s, at.c, is.x, is.y);
        block_forward(p, is.s_next, is.s, at.a, is.x, is.x_next);
        block_forward(p, is.s_next, is.n, at.b, is.u, is.x_next);
        block_forward(p, is.t, is.n, at.f, is.u, is.z);
        u += is.n;
        y += is.m;
    }
}

/* z_k += E_k z_{k+1}, y_k += G_k z_{k+1}, k downward. */
static void anticausal_forward(const struct part *p, const float *words)
{
    size_t u = (size_t)p->shape->matrix.n_inputs, y = u + (size_t)p->shape->matrix.n_outputs;
    for (int k = p->shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k);
        u -= (size_t)p->shape->inputs[k];
        y -= (size_t)p->shape->outputs[k];
        struct stage is = stage_at(p->shape, k, u, y);
        block_forward(p, is.m, is.t_next, at.g, is.z_next, is.y);
        block_forward(p, is.t, is.t_next, at.e, is.z_next, is.z);
    }
}

/* dz_{k+1} = E_k^T dz_k + G_k^T dy_k, k upward, and the gradients of G, E. */
static void anticausal_backward(const struct part *p, const float *words, float *dvalues)
{
    size_t u = 0, y = (size_t)p->shape->matrix.n_inputs;
    for (int k = 0; k < p->shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k),
                         d = sss_stage_at(p->shape, dvalues, k);
        struct stage is = stage_at(p->shape, k, u, y);
        const struct block of_z[] = { { is.m, at.g, d.g, is.y }, { is.t, at.e, d.e, is.z } };
        blocks_backward(p, is.t_next, is.z_next, 2, of_z);
        u += is.n;
        y += is.m;
    }
}

/* dx_k = A_k^T dx_{k+1} + C_k^T dy_k, k downward, then du_k = D_k^T dy_k + B_k^T dx_{k+1} + F_k^T
 * dz_k, and the gradients of D, C, A, B, F. */
static void causal_backward(const struct part *p, const float *words, float *dvalues)
{
    size_t u = (size_t)p->shape->matrix.n_inputs, y = u + (size_t)p->shape->matrix.n_outputs;
    for (int k = p->shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k),
                         d = sss_stage_at(p->shape, dvalues, k);
        u -= (size_t)p->shape->inputs[k];
        y -= (size_t)p->shape->outputs[k];
        struct stage is = stage_at(p->shape, k, u, y);
        const struct block of_x[] = { { is.m, at.c, d.c, is.y },
                                      { is.s_next, at.a, d.a, is.x_next } },
                           of_u[] = { { is.m, at.d, d.d, is.y },
                                      { is.s_next, at.b, d.b, is.x_next },
                                      { is.t, at.f, d.f, is.z } };
        blocks_backward(p, is.s, is.x, 2, of_x);
        blocks_backward(p, is.n, is.u, 3, of_u);
    }
}

/* ---- Samples as rows */

/* rows first.. = those of a part of a batch, in the stages' order. */
static void take_rows(const struct part *p, size_t size, const float *from, const uint32_t *order,
                      float *rows)
{
    for (size_t b = 0; b < p->n; b += p->unit, from += p->unit * size, rows += p->ld)
        if (is_tile(p)) sn_kernels()->dense_tile->turn(size, from, size, order, rows);
        else
            for (size_t i = 0; i < size; i++) rows[i] = from[order ? order[i] : i];
}

/* The other way round: to += rows. */
static void add_rows(const struct part *p, size_t size, const float *rows, const uint32_t *order,
                     float *to)
{
    for (size_t b = 0; b < p->n; b += p->unit, to += p->unit * size, rows += p->ld)
        if (is_tile(p)) sn_kernels()->dense_tile->turn_back(size, rows, order, to, size);
        else
            for (size_t i = 0; i < size; i++) to[order ? order[i] : i] += rows[i];
}

/* `count` rows from number `first` on = 0. */
static void clear_rows(const struct part *p, size_t first, size_t count, float *rows)
{
    for (size_t b = 0; b < p->n; b += p->unit, rows += p->ld)
        memset(rows + first * p->unit, 0, count * p->unit * sizeof *rows);
}

void sss_forward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t n = (size_t)matrix->n_inputs, m = (size_t)matrix->n_outputs, n_rows = matrix->n_states;
    for (size_t left = (size_t)batch; left;) {
        struct part p = next_part(shape, left, states);
        clear_rows(&p, n, count_rows(shape) - n, p.rows);
        take_rows(&p, n, x, shape->input_order, p.rows);
        causal_forward(&p, words);
        anticausal_forward(&p, words);
        add_rows(&p, m, p.rows + n * p.unit, shape->output_order, y);
        left -= p.n;
        x += p.n * n;
        y += p.n * m;
        states += p.n * n_rows;
    }
}

void sss_backward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                  const float *states, const float *dy, float *dvalues, float *dx, float *dstates)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t n = (size_t)matrix->n_inputs, m = (size_t)matrix->n_outputs, n_rows = matrix->n_states;
    (void)x; /* The states hold it. */
    for (size_t left = (size_t)batch; left;) {
        struct part p = next_part(shape, left, (float *)states);
        p.drows = is_tile(&p) ? lanes_align(dstates) : dstates;
        p.needs_inputs = dx != NULL;
        clear_rows(&p, 0, n, p.drows);
        clear_rows(&p, n + m, count_rows(shape) - n - m, p.drows);
        take_rows(&p, m, dy, shape->output_order, p.drows + n * p.unit);
        anticausal_backward(&p, words, dvalues);
        causal_backward(&p, words, dvalues);
        if (dx) add_rows(&p, n, p.drows, shape->input_order, dx);
        left -= p.n;
        dy += p.n * m;
        if (dx) dx += p.n * n;
        states += p.n * n_rows;
    }
}

/* ---- Pixels, which are samples side by side as they lie: strips of them are only copied. */

#define PIXELS (4 * TILE_STRIP)

/* A tile of at most PIXELS pixels, filled up to whole strips. */
static struct part pixel_part(const struct sss *shape, size_t n, float *rows, float *drows)
{
    return (struct part){ shape,
                          (n + TILE_STRIP - 1) / TILE_STRIP * TILE_STRIP,
                          TILE_STRIP,
                          count_rows(shape) * TILE_STRIP,
                          lanes_align(rows),
                          drows ? lanes_align(drows) : NULL,
                          1 };
}

/* Pixels of the strip that begins with pixel b of n. */
static size_t strip_pixels(size_t n, size_t b) { return n - b < TILE_STRIP ? n - b : TILE_STRIP; }

/* rows = pixels first .. first + n, zeros behind them. */
static void take_pixels(const struct part *p, size_t size, const struct pixel_rows *from,
                        size_t first, size_t n, const uint32_t *order, float *rows)
{
    for (size_t b = 0; b < n; b += TILE_STRIP, rows += p->ld)
        for (size_t i = 0; i < size; i++) {
            const float *pixels = pixel_row(from, order ? order[i] : i) + first + b;
            float *row = rows + i * TILE_STRIP;
            size_t count = strip_pixels(n, b);
            if (count == TILE_STRIP) memcpy(row, pixels, TILE_STRIP * sizeof *row);
            else
                for (size_t q = 0; q < TILE_STRIP; q++) row[q] = q < count ? pixels[q] : 0;
        }
}

/* The pixels = rows, or += rows. */
static void give_pixels(const struct part *p, size_t size, const float *rows, const uint32_t *order,
                        const struct pixel_rows *to, size_t first, size_t n, int adds)
{
    for (size_t b = 0; b < n; b += TILE_STRIP, rows += p->ld)
        for (size_t i = 0; i < size; i++) {
            float *pixels = pixel_row(to, order ? order[i] : i) + first + b;
            const float *row = rows + i * TILE_STRIP;
            size_t count = strip_pixels(n, b);
            if (adds)
                for (size_t q = 0; q < count; q++) pixels[q] += row[q];
            else memcpy(pixels, row, count * sizeof *row);
        }
}

static size_t pixel_scratch(const struct sn_matrix *matrix)
{
    return 2 * PIXELS * matrix->n_states;
}

/* All rows of a tile from pixel `first` on, forward. */
static struct part pixels_forward(const struct sss *shape, const float *words, size_t first,
                                  size_t n, const struct pixel_rows *x, float *scratch)
{
    size_t n_inputs = (size_t)shape->matrix.n_inputs;
    struct part p = pixel_part(shape, n, scratch, scratch + PIXELS * shape->matrix.n_states);
    clear_rows(&p, n_inputs, count_rows(shape) - n_inputs, p.rows);
    take_pixels(&p, n_inputs, x, first, n, shape->input_order, p.rows);
    causal_forward(&p, words);
    anticausal_forward(&p, words);
    return p;
}

static void pixel_forward(const struct sn_matrix *matrix, const float *words, size_t n,
                          const struct pixel_rows *x, const struct pixel_rows *y, float *scratch)
{
    const struct sss *shape = (const struct sss *)matrix;
    for (size_t q = 0, count; q < n; q += count) {
        count = n - q < PIXELS ? n - q : PIXELS;
        struct part p = pixels_forward(shape, words, q, count, x, scratch);
        give_pixels(&p, (size_t)matrix->n_outputs, p.rows + (size_t)matrix->n_inputs * p.unit,
                    shape->output_order, y, q, count, 0);
    }
}

static void pixel_backward(const struct sn_matrix *matrix, const float *words, size_t n,
                           const struct pixel_rows *x, const struct pixel_rows *dy, float *dvalues,
                           const struct pixel_rows *dx, float *scratch)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t n_inputs = (size_t)matrix->n_inputs, m = (size_t)matrix->n_outputs;
    for (size_t q = 0, count; q < n; q += count) {
        count = n - q < PIXELS ? n - q : PIXELS;
        struct part p = pixels_forward(shape, words, q, count, x, scratch);
        p.needs_inputs = dx != NULL;
        clear_rows(&p, 0, count_rows(shape), p.drows);
        take_pixels(&p, m, dy, q, count, shape->output_order, p.drows + n_inputs * p.unit);
        anticausal_backward(&p, words, dvalues);
        causal_backward(&p, words, dvalues);
        if (dx) give_pixels(&p, n_inputs, p.drows, shape->input_order, dx, q, count, 1);
    }
}

const struct sn_pixel_products sss_pixels = { pixel_scratch, pixel_forward, pixel_backward };
