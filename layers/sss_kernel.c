/* A forward product is two sweeps over the stages, the causal one upward, the anticausal one
 * downward; the gradients go the same ways backwards. A block takes part in a sweep as the product
 * of a batch with it, so that a dense matrix product (product.h) does the work. */
#include "sss_kernel.h"
#include "product.h"

#include <string.h>

/* C += op(A) op(B), row-major; op is the transpose where the flag is set, C is m x n, the inner
 * size is k. */
static void multiply_add(int transpose_a, int transpose_b, int m, int n, int k, const float *a,
                         int lda, const float *b, int ldb, float *c, int ldc)
{
    if (m && n && k) sn_product(transpose_a, transpose_b, m, n, k, 1, a, lda, b, ldb, 1, c, ldc);
}

/* Y += X M^T for M (rows x columns): the forward product of one block, for a batch. */
static void block_forward(int batch, int rows, int columns, const float *block, const float *x,
                          int ldx, float *y, int ldy)
{
    multiply_add(0, 1, batch, rows, columns, x, ldx, block, columns, y, ldy);
}

/* dM += dY^T X, and dX += dY M unless dx is NULL. */
static void block_backward(int batch, int rows, int columns, const float *block, const float *x,
                           int ldx, const float *dy, int ldy, float *dblock, float *dx, int lddx)
{
    multiply_add(1, 0, rows, columns, batch, dy, ldy, x, ldx, dblock, columns);
    if (dx) multiply_add(0, 0, batch, columns, rows, dy, ldy, block, columns, dx, lddx);
}

/* to[b][i] = from[b][order[i]] for each of n. */
static void gather(const uint32_t *order, int n, int batch, const float *from, int ldf, float *to,
                   int ldt)
{
    for (int b = 0; b < batch; b++, from += ldf, to += ldt)
        for (int i = 0; i < n; i++) to[i] = from[order[i]];
}

/* to[b][order[i]] += from[b][i] for each of n. */
static void scatter_add(const uint32_t *order, int n, int batch, const float *from, int ldf,
                        float *to, int ldt)
{
    for (int b = 0; b < batch; b++, from += ldf, to += ldt)
        for (int i = 0; i < n; i++) to[order[i]] += from[i];
}

/* Where the reordered inputs and outputs lie in one sample's scratch: behind the states. */
static size_t ordered_inputs_at(const struct sss *shape) { return shape->states[shape->n_stages]; }

static size_t ordered_outputs_at(const struct sss *shape)
{
    return ordered_inputs_at(shape) + (shape->input_order ? (size_t)shape->matrix.n_inputs : 0);
}

/* A batch during the forward sweeps: one row a sample, ldx, ldy and lds floats apart. The rows of
 * states hold x_k at states[k] and z_k behind it. */
struct products {
    int batch, ldx, ldy, lds;
    const float *x;
    float *y, *states;
};

/* x_{k+1} = A_k x_k + B_k u_k, y_k += C_k x_k + D_k u_k, k upward. */
static void causal_forward(const struct sss *shape, const float *words, const struct products *p)
{
    int batch = p->batch, ldx = p->ldx, ldy = p->ldy, lds = p->lds;
    const float *x = p->x;
    float *y = p->y;
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        int n = shape->inputs[k], m = shape->outputs[k], s = shape->causal[k],
            s_next = shape->causal[k + 1];
        const float *x_k = p->states + shape->states[k];
        float *x_next = p->states + shape->states[k + 1];
        block_forward(batch, m, n, at.d, x, ldx, y, ldy);
        block_forward(batch, m, s, at.c, x_k, lds, y, ldy);
        block_forward(batch, s_next, s, at.a, x_k, lds, x_next, lds);
        block_forward(batch, s_next, n, at.b, x, ldx, x_next, lds);
        x += n;
        y += m;
    }
}

/* z_k = E_k z_{k+1} + F_k u_k, y_k += G_k z_{k+1}, k downward. */
static void anticausal_forward(const struct sss *shape, const float *words,
                               const struct products *p)
{
    int batch = p->batch, ldx = p->ldx, ldy = p->ldy, lds = p->lds;
    const float *x = p->x + shape->matrix.n_inputs;
    float *y = p->y + shape->matrix.n_outputs;
    for (int k = shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        int n = shape->inputs[k], m = shape->outputs[k], t = shape->anticausal[k],
            t_next = shape->anticausal[k + 1];
        float *z_k = p->states + shape->states[k] + shape->causal[k];
        const float *z_next = p->states + shape->states[k + 1] + shape->causal[k + 1];
        x -= n;
        y -= m;
        block_forward(batch, m, t_next, at.g, z_next, lds, y, ldy);
        block_forward(batch, t, t_next, at.e, z_next, lds, z_k, lds);
        block_forward(batch, t, n, at.f, x, ldx, z_k, lds);
    }
}

void sss_forward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states)
{
    const struct sss *shape = (const struct sss *)matrix;
    int n = matrix->n_inputs, m = matrix->n_outputs, lds = (int)matrix->n_states;
    struct products p = { batch, n, m, lds, x, y, states };
    memset(states, 0, (size_t)batch * matrix->n_states * sizeof *states);
    if (shape->input_order) {
        gather(shape->input_order, n, batch, x, n, states + ordered_inputs_at(shape), lds);
        p.x = states + ordered_inputs_at(shape);
        p.ldx = lds;
    }
    if (shape->output_order) {
        p.y = states + ordered_outputs_at(shape);
        p.ldy = lds;
    }
    causal_forward(shape, words, &p);
    anticausal_forward(shape, words, &p);
    if (shape->output_order) scatter_add(shape->output_order, m, batch, p.y, lds, y, m);
}

/* A batch during the backward sweeps, as struct products. dx may be NULL; its rows are ldx floats
 * apart. */
struct gradients {
    int batch, ldx, ldy, lds;
    const float *x, *states, *dy;
    float *dx, *dstates;
};

/* dz_{k+1} = E_k^T dz_k + G_k^T dy_k, k upward, and the gradients of G, E, F. */
static void anticausal_backward(const struct sss *shape, const float *words, float *dvalues,
                                const struct gradients *p)
{
    int batch = p->batch, ldx = p->ldx, ldy = p->ldy, lds = p->lds;
    const float *x = p->x, *dy = p->dy, *states = p->states;
    float *dx = p->dx, *dstates = p->dstates;
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k),
                         d = sss_stage_at(shape, dvalues, k);
        int n = shape->inputs[k], m = shape->outputs[k], t = shape->anticausal[k],
            t_next = shape->anticausal[k + 1];
        size_t z_k = shape->states[k] + (size_t)shape->causal[k];
        size_t z_next = shape->states[k + 1] + (size_t)shape->causal[k + 1];
        block_backward(batch, m, t_next, at.g, states + z_next, lds, dy, ldy, d.g, dstates + z_next,
                       lds);
        block_backward(batch, t, t_next, at.e, states + z_next, lds, dstates + z_k, lds, d.e,
                       dstates + z_next, lds);
        block_backward(batch, t, n, at.f, x, ldx, dstates + z_k, lds, d.f, dx, ldx);
        x += n;
        dy += m;
        if (dx) dx += n;
    }
}

/* dx_k = A_k^T dx_{k+1} + C_k^T dy_k, k downward, and the gradients of D, C, A, B. */
static void causal_backward(const struct sss *shape, const float *words, float *dvalues,
                            const struct gradients *p)
{
    int batch = p->batch, ldx = p->ldx, ldy = p->ldy, lds = p->lds;
    const float *x = p->x + shape->matrix.n_inputs, *dy = p->dy + shape->matrix.n_outputs;
    const float *states = p->states;
    float *dx = p->dx ? p->dx + shape->matrix.n_inputs : NULL, *dstates = p->dstates;
    for (int k = shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k),
                         d = sss_stage_at(shape, dvalues, k);
        int n = shape->inputs[k], m = shape->outputs[k], s = shape->causal[k],
            s_next = shape->causal[k + 1];
        size_t x_k = shape->states[k], x_next = shape->states[k + 1];
        x -= n;
        dy -= m;
        if (dx) dx -= n;
        block_backward(batch, m, n, at.d, x, ldx, dy, ldy, d.d, dx, ldx);
        block_backward(batch, m, s, at.c, states + x_k, lds, dy, ldy, d.c, dstates + x_k, lds);
        block_backward(batch, s_next, s, at.a, states + x_k, lds, dstates + x_next, lds, d.a,
                       dstates + x_k, lds);
        block_backward(batch, s_next, n, at.b, x, ldx, dstates + x_next, lds, d.b, dx, ldx);
    }
}

void sss_backward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                  const float *states, const float *dy, float *dvalues, float *dx, float *dstates)
{
    const struct sss *shape = (const struct sss *)matrix;
    int n = matrix->n_inputs, m = matrix->n_outputs, lds = (int)matrix->n_states;
    struct gradients p = { batch, n, m, lds, x, states, dy, dx, dstates };
    memset(dstates, 0, (size_t)batch * matrix->n_states * sizeof *dstates);
    if (shape->input_order) {
        p.x = states + ordered_inputs_at(shape);
        if (dx) p.dx = dstates + ordered_inputs_at(shape);
        p.ldx = lds;
    }
    if (shape->output_order) {
        gather(shape->output_order, m, batch, dy, m, dstates + ordered_outputs_at(shape), lds);
        p.dy = dstates + ordered_outputs_at(shape);
        p.ldy = lds;
    }
    anticausal_backward(shape, words, dvalues, &p);
    causal_backward(shape, words, dvalues, &p);
    if (dx && shape->input_order) scatter_add(shape->input_order, n, batch, p.dx, lds, dx, n);
}
