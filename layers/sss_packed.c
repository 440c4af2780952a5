/* SSS for one vector at a time. A stage is three dense products instead of seven, as the results of
 * a stage, v_k = (x_{k+1}, y_k, z_k), stand together:
 *
 *     v_k  = [B; D; F] u_k        for all stages, which do not wait for one another
 *     v_k += [A; C] x_k           its upper two parts, k upward
 *     v_k += [G; E] z_{k+1}       its lower two parts, k downward
 *
 * The blocks are packed in that order, so that memory is read from one end to the other. All
 * entries of a row of v_k have one scale. Each v_k begins at a whole vector. */
#include "sss_packed.h"

#include "isa.h"
#include "sss.h"
#include "stored.h"

/* The sizes of stage k, and the floats of v_k. */
struct stage {
    size_t n, m, s, s_next, t, t_next, floats;
};

static struct stage stage_of(const struct sss *shape, int k)
{
    struct stage is = { .n = (size_t)shape->inputs[k],
                        .m = (size_t)shape->outputs[k],
                        .s = (size_t)shape->causal[k],
                        .s_next = (size_t)shape->causal[k + 1],
                        .t = (size_t)shape->anticausal[k],
                        .t_next = (size_t)shape->anticausal[k + 1] };
    is.floats = (is.s_next + is.m + is.t + LANES - 1) / LANES * LANES;
    return is;
}

/* The floats of all v_k, and of one vector that may be read behind them. */
static size_t result_floats(const struct sss *shape)
{
    size_t floats = LANES;
    for (int k = 0; k < shape->n_stages; k++) floats += stage_of(shape, k).floats;
    return floats;
}

/* The most columns of a block. */
static size_t widest(const struct sss *shape)
{
    size_t most = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        if (is.n > most) most = is.n;
        if (is.s > most) most = is.s;
        if (is.t_next > most) most = is.t_next;
    }
    return most;
}

/* ---- Packing */

/* Blocks of one width on top of each other, with the scales of all rows. */
struct stack {
    size_t columns, rows[3];
    const float *blocks[3], *scales;
};

/* Where entry (row, column) of a packed block stands: the byte where its float, or the eight codes
 * of which it is the *lane-th, begin. */
static size_t place_of(int bits, size_t rows, size_t columns, size_t row, size_t column,
                       size_t *lane)
{
    size_t above = row / DENSE_STRIP * DENSE_STRIP, height = rows - above;
    if (height > DENSE_STRIP) height = DENSE_STRIP;
    row -= above;
    *lane = bits == 32 ? 0 : row % LANES;
    return dense_bytes(bits, above, columns)
        + (bits == 32
               ? (column * height + row) * sizeof(float)
               : (column * ((height + LANES - 1) / LANES) + row / LANES) * lanes_bytes(bits));
}

/* Packs a stack at place. Returns what follows. */
static char *pack_stack(int bits, const struct stack *stack, char *place)
{
    size_t rows = stack->rows[0] + stack->rows[1] + stack->rows[2], row = 0;
    for (int b = 0; b < 3; b++)
        for (size_t i = 0; i < stack->rows[b]; i++, row++)
            for (size_t j = 0; j < stack->columns; j++) {
                size_t lane, at = place_of(bits, rows, stack->columns, row, j, &lane);
                sn_packed_put(bits, stack->blocks[b][i * stack->columns + j],
                              bits == 32 ? 1 : stack->scales[row], place + at, lane);
            }
    return place + dense_bytes(bits, rows, stack->columns);
}

static size_t count_bytes(const struct sss *shape, int bits)
{
    size_t bytes = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        bytes += dense_bytes(bits, is.s_next + is.m + is.t, is.n)
            + dense_bytes(bits, is.s_next + is.m, is.s) + dense_bytes(bits, is.m + is.t, is.t_next);
    }
    return bytes;
}

/* The scales of the rows of v_0, v_1, ..; in words those of a stage are y_k's, x_{k+1}'s and
 * z_k's. */
static void take_scales(const struct sss *shape, const float *scales, float *to)
{
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        memcpy(to, scales + is.m, is.s_next * sizeof *to);
        memcpy(to + is.s_next, scales, is.m * sizeof *to);
        memcpy(to + is.s_next + is.m, scales + is.m + is.s_next, is.t * sizeof *to);
        to += is.floats;
        scales += is.s_next + is.m + is.t;
    }
}

/* The blocks of all stages in the order in which a product reads them. */
static void pack_stages(const struct sss *shape, const float *words, const float *scales, char *to)
{
    int bits = shape->matrix.bits;
    const float *of_stage = scales;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        struct stack all = { is.n, { is.s_next, is.m, is.t }, { at.b, at.d, at.f }, of_stage };
        to = pack_stack(bits, &all, to);
        of_stage += is.floats;
    }
    of_stage = scales;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        struct stack causal = { is.s, { is.s_next, is.m }, { at.a, at.c }, of_stage };
        to = pack_stack(bits, &causal, to);
        of_stage += is.floats;
    }
    for (int k = shape->n_stages - 1; k >= 0; k--) {
        struct stage is = stage_of(shape, k);
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        of_stage -= is.floats;
        struct stack anticausal = {
            is.t_next, { is.m, is.t }, { at.g, at.e }, of_stage + is.s_next
        };
        to = pack_stack(bits, &anticausal, to);
    }
}

/* ---- The product */

/* What a product goes through: the values that are still to come, the results, and the scales of
 * the latter, or NULL. */
struct product {
    const struct sn_packed *packed;
    const char *values;
    float *v;
    const float *scales;
    float *rounding; /* scratch */
};

/* y = W x or y += W x for the next block; y is in v. */
static void multiply_block(struct product *p, size_t rows, size_t columns, const float *x, float *y,
                           int adds)
{
    struct lanes_codes x8;
    struct dense_block block = { p->packed->matrix->bits,
                                 rows,
                                 columns,
                                 p->values,
                                 &p->packed->levels,
                                 p->scales ? p->scales + (y - p->v) : NULL,
                                 p->packed->rounds_inputs ? &x8 : NULL };
    x = sn_packed_round(p->packed, x, columns, &x8, p->rounding);
    sn_kernels()->dense->multiply(&block, x, y, adds);
    p->values += dense_bytes(block.bits, rows, columns);
}

/* v_k = [B; D; F] u_k. */
static void multiply_inputs(struct product *p, const float *u)
{
    const struct sss *shape = (const struct sss *)p->packed->matrix;
    float *v = p->v;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        multiply_block(p, is.s_next + is.m + is.t, is.n, u, v, 0);
        u += is.n;
        v += is.floats;
    }
}

/* v_k += [A; C] x_k, k upward. */
static void multiply_causal(struct product *p)
{
    const struct sss *shape = (const struct sss *)p->packed->matrix;
    float *v = p->v, *state = v;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        if (is.s) multiply_block(p, is.s_next + is.m, is.s, state, v, 1);
        state = v;
        v += is.floats;
    }
}

/* v_k += [G; E] z_{k+1}, k downward. */
static void multiply_anticausal(struct product *p)
{
    const struct sss *shape = (const struct sss *)p->packed->matrix;
    float *v = p->v + result_floats(shape) - LANES, *state = v;
    for (int k = shape->n_stages - 1; k >= 0; k--) {
        struct stage is = stage_of(shape, k);
        v -= is.floats;
        if (is.t_next) multiply_block(p, is.m + is.t, is.t_next, state, v + is.s_next, 1);
        state = v + is.s_next + is.m;
    }
}

/* y += all y_k, in the order of the outputs. */
static void add_outputs(const struct sss *shape, const float *v, float *y)
{
    const uint32_t *order = shape->output_order;
    size_t row = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct stage is = stage_of(shape, k);
        if (order)
            for (size_t i = 0; i < is.m; i++) y[order[row + i]] += v[is.s_next + i];
        else
            for (size_t i = 0; i < is.m; i++) y[row + i] += v[is.s_next + i];
        row += is.m;
        v += is.floats;
    }
}

/* Where the blocks start in the data: behind the scales. */
static size_t blocks_at(const struct sss *shape)
{
    enum { ALIGNED = 64 };
    size_t bytes = shape->matrix.bits == 32 ? 0 : result_floats(shape) * sizeof(float);
    return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static void multiply(const struct sn_packed *packed, const float *x, float *y, float *scratch)
{
    const struct sss *shape = (const struct sss *)packed->matrix;
    const float *scales = packed->matrix->bits == 32 ? NULL : (const float *)packed->data;
    struct product p = { packed, packed->data + blocks_at(shape), scratch, scales,
                         scratch + result_floats(shape) };
    if (shape->input_order) {
        float *u = p.rounding + sn_packed_round_floats(packed, widest(shape));
        for (int j = 0; j < packed->matrix->n_inputs; j++) u[j] = x[shape->input_order[j]];
        x = u;
    }
    multiply_inputs(&p, x);
    multiply_causal(&p);
    multiply_anticausal(&p);
    add_outputs(shape, p.v, y);
}

struct sn_packed *sss_packed(const struct sn_matrix *matrix, const float *words,
                             struct sn_error *error)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t start = blocks_at(shape);
    struct sn_packed *packed = sn_packed_room(matrix, start + count_bytes(shape, matrix->bits),
                                              error);
    if (!packed) return NULL;
    packed->multiply = multiply;
    packed->n_scratch = result_floats(shape) + sn_packed_round_floats(packed, widest(shape))
        + (shape->input_order ? (size_t)matrix->n_inputs : 0);
    if (matrix->bits != 32) take_scales(shape, words + matrix->n_values, (float *)packed->data);
    pack_stages(shape, words, (const float *)packed->data, packed->data + start);
    return packed;
}
