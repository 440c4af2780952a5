/* Products of sparse matrices of integers (micro.h). */
#include "micro_inner.h"

enum { ROWS = 4, PAIR = 2 * ROWS }; /* of a block of 4 rows; bytes of two of them */

/* Two columns of four rows: of w[0..7] the first four are rows 0, 1 of both, the others rows 2, 3.
 */
#if MICRO_DSP
#define MULTIPLY_PAIR                                                                   \
    do {                                                                                \
        int32_t x = (int32_t)((uint16_t)v[columns[0]] | (uint32_t)v[columns[1]] << 16), \
                rows01 = micro_word(w), rows23 = micro_word(w + ROWS);                  \
        a0 = __smlad(__sxtb16(rows01), x, a0);                                          \
        a1 = __smlad(micro_odd(rows01), x, a1);                                         \
        a2 = __smlad(__sxtb16(rows23), x, a2);                                          \
        a3 = __smlad(micro_odd(rows23), x, a3);                                         \
        columns += 2;                                                                   \
        w += PAIR;                                                                      \
    } while (0)
#else
#define MULTIPLY_PAIR                                 \
    do {                                              \
        int32_t x = v[columns[0]], y = v[columns[1]]; \
        a0 += w[0] * x;                               \
        a1 += w[1] * x;                               \
        a2 += w[4] * x;                               \
        a3 += w[5] * x;                               \
        a0 += w[2] * y;                               \
        a1 += w[3] * y;                               \
        a2 += w[6] * y;                               \
        a3 += w[7] * y;                               \
        columns += 2;                                 \
        w += PAIR;                                    \
    } while (0)
#endif

/* a[0..3] of a group of n pairs. */
static inline void dot(const int8_t *w, const uint16_t *columns, size_t n, const int16_t *v,
                       int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
#ifndef __OPTIMIZE_SIZE__
    for (const uint16_t *end = columns + (n & ~1u) * 2; columns != end;) {
        MULTIPLY_PAIR;
        MULTIPLY_PAIR;
    }
    n &= 1;
#endif
    for (const uint16_t *end = columns + 2 * n; columns != end;) MULTIPLY_PAIR;
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

/* a of one row of n entries. */
static int32_t dot_row(const int8_t *w, const uint16_t *columns, size_t n, const int16_t *v)
{
    int32_t a = 0;
    for (const int8_t *end = w + n; w != end;) a += *w++ * v[*columns++];
    return a;
}

/* The outputs of a factor to the target. */
static void multiply_factor(const struct sn_micro_factor *f, const int16_t *v,
                            struct sn_micro_target *target)
{
    struct sn_micro_rows rows = { f->rows.weights, f->rows.scales, f->rows.bias };
    const uint16_t *lengths = f->lengths, *columns = f->columns;
    size_t count, is_block = f->block == ROWS;
    for (size_t left = f->n_rows; left > 0; left -= count) {
        size_t n = *lengths++;
        int32_t a[ROWS];
        count = is_block && left >= ROWS ? ROWS : is_block ? left : 1;
        if (is_block) dot(rows.weights, columns, n, v, a);
        else a[0] = dot_row(rows.weights, columns, n, v);
        rows.weights += is_block ? PAIR * n : n;
        columns += is_block ? 2 * n : n;
        sn_micro_finish(&rows, a, count, target);
    }
}

void sn_micro_psm(const void *layer, const int8_t *in, const int8_t *other, void *out,
                  void *scratch)
{
    const struct sn_micro_psm *s = layer;
    int16_t *inner[2] = { (int16_t *)scratch + s->n_inputs,
                          (int16_t *)scratch + s->n_inputs + s->most_inner };
    (void)other;
    for (size_t p = 0; p < s->input.pixels; p++) {
        const int16_t *from = scratch;
        sn_micro_take(&s->input, in + p, 0, 0, s->n_inputs, scratch);
        for (size_t k = 0; k < s->n_factors; k++) {
            const struct sn_micro_factor *f = &s->factors[k];
            struct sn_micro_target target = { &f->output, 0, (char *)inner[k & 1], 1 };
            if (k + 1u == s->n_factors) {
                target.order = s->output_order;
                target.out = (char *)out + (p << f->output.is_wide);
                target.step = s->input.pixels;
            }
            multiply_factor(f, from, &target);
            from = inner[k & 1];
        }
    }
}
