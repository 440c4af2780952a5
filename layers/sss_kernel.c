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

/* As many samples as make whole strips, or all of a rest. */
static struct part next_part(const struct sss *shape, size_t left, float *rows, float *drows)
{
    size_t n_rows = shape->matrix.n_states, whole = left / TILE_STRIP * TILE_STRIP;
    size_t strip = (n_rows - LANES_LINE / TILE_STRIP) * TILE_STRIP;
    return whole ? (struct part){ shape,
                                  whole,
                                  TILE_STRIP,
                                  strip,
                                  lanes_align(rows),
                                  drows ? lanes_align(drows) : NULL,
                                  1 }
                 : (struct part){ shape, left, 1, n_rows, rows, drows, 1 };
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

/* dM += the gradients of rows y_at.. times rows x_at.. transposed; the gradients of the latter +=
 * M^T times those of the former. */
static void block_backward(const struct part *p, size_t m, size_t n, const float *block,
                           size_t x_at, size_t y_at, float *dblock)
{
    const float *x = p->rows + x_at * p->unit, *dy = p->drows + y_at * p->unit;
    float *dx = p->drows + x_at * p->unit;
    struct dense_tile tile = tile_of(p, m, n);
    if (!m || !n) return;
    int is_needed = x_at >= (size_t)p->shape->matrix.n_inputs || p->needs_inputs;
    if (is_tile(p)) {
        sn_kernels()->dense_tile->gradient(&tile, x, dy, dblock);
        if (is_needed) sn_kernels()->dense_tile->backward(&tile, block, dy, dx);
    } else {
        sn_product(1, 0, m, n, p->n, 1, dy, p->ld, x, p->ld, 1, dblock, n);
        if (is_needed) sn_product(0, 0, p->n, n, m, 1, dy, p->ld, block, n, 1, dx, p->ld);
    }
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

/* x_{k+1} = A_k x_k + B_k u_k, y_k += C_k x_k + D_k u_k, k upward. */
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
        u += is.n;
        y += is.m;
    }
}

/* z_k = E_k z_{k+1} + F_k u_k, y_k += G_k z_{k+1}, k downward. */
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
        block_forward(p, is.t, is.n, at.f, is.u, is.z);
    }
}

/* dz_{k+1} = E_k^T dz_k + G_k^T dy_k, k upward, and the gradients of G, E, F. */
static void anticausal_backward(const struct part *p, const float *words, float *dvalues)
{
    size_t u = 0, y = (size_t)p->shape->matrix.n_inputs;
    for (int k = 0; k < p->shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k),
                         d = sss_stage_at(p->shape, dvalues, k);
        struct stage is = stage_at(p->shape, k, u, y);
        block_backward(p, is.m, is.t_next, at.g, is.z_next, is.y, d.g);
        block_backward(p, is.t, is.t_next, at.e, is.z_next, is.z, d.e);
        block_backward(p, is.t, is.n, at.f, is.u, is.z, d.f);
        u += is.n;
        y += is.m;
    }
}

/* dx_k = A_k^T dx_{k+1} + C_k^T dy_k, k downward, and the gradients of D, C, A, B. */
static void causal_backward(const struct part *p, const float *words, float *dvalues)
{
    size_t u = (size_t)p->shape->matrix.n_inputs, y = u + (size_t)p->shape->matrix.n_outputs;
    for (int k = p->shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(p->shape, (float *)words, k),
                         d = sss_stage_at(p->shape, dvalues, k);
        u -= (size_t)p->shape->inputs[k];
        y -= (size_t)p->shape->outputs[k];
        struct stage is = stage_at(p->shape, k, u, y);
        block_backward(p, is.m, is.n, at.d, is.u, is.y, d.d);
        block_backward(p, is.m, is.s, at.c, is.x, is.y, d.c);
        block_backward(p, is.s_next, is.s, at.a, is.x, is.x_next, d.a);
        block_backward(p, is.s_next, is.n, at.b, is.u, is.x_next, d.b);
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

void sss_forward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t n = (size_t)matrix->n_inputs, m = (size_t)matrix->n_outputs, n_rows = matrix->n_states;
    for (size_t left = (size_t)batch; left;) {
        struct part p = next_part(shape, left, states, NULL);
        memset(states, 0, p.n * n_rows * sizeof *states);
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
        struct part p = next_part(shape, left, (float *)states, dstates);
        p.needs_inputs = dx != NULL;
        memset(dstates, 0, p.n * n_rows * sizeof *dstates);
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
