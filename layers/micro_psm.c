#include "micro.h"

#if defined __ARM_FEATURE_DSP && defined __ARM_FEATURE_SIMD32 && !defined __ARM_FEATURE_MVE
#include <arm_acle.h>
#define HAS_DSP 1
#else
#define HAS_DSP 0
#endif

enum { ROWS = 4, PAIR = 2 * ROWS }; /* of a block of 4 rows; bytes of two of them */

/* a[0..3] of a group: n pairs of blocks. */
#if HAS_DSP

static void dot(const int8_t *w, const uint16_t *columns, unsigned n, const int16_t *v, int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const uint16_t *end = columns + 2 * n; columns < end; columns += 2, w += PAIR) {
        uint32_t x = (uint16_t)v[columns[0]] | (uint32_t)v[columns[1]] << 16,
                 first = *(const uint32_t *)(const void *)w,
                 last = *(const uint32_t *)(const void *)(w + ROWS);
        a0 = __smlad(__sxtb16((int32_t)first), (int16x2_t)x, a0);
        a1 = __smlad(__sxtb16((int32_t)(first >> 8 | first << 24)), (int16x2_t)x, a1);
        a2 = __smlad(__sxtb16((int32_t)last), (int16x2_t)x, a2);
        a3 = __smlad(__sxtb16((int32_t)(last >> 8 | last << 24)), (int16x2_t)x, a3);
    }
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#else

static void dot(const int8_t *w, const uint16_t *columns, unsigned n, const int16_t *v, int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const uint16_t *end = columns + 2 * n; columns < end; columns += 2, w += PAIR) {
        int32_t x = v[columns[0]], y = v[columns[1]];
        a0 += w[0] * x + w[2] * y;
        a1 += w[1] * x + w[3] * y;
        a2 += w[4] * x + w[6] * y;
        a3 += w[5] * x + w[7] * y;
    }
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#endif

/* out = S v, the i-th output at out[order[i] step], or out[i step]. */
static void multiply_factor(const struct sn_micro_factor *f, const int16_t *v,
                            const uint16_t *order, unsigned step, void *out)
{
    struct sn_micro_rows rows = { f->rows.weights, f->rows.scales, f->rows.bias };
    const uint16_t *lengths = f->lengths, *columns = f->columns;
    for (unsigned i = 0; i < f->n_rows;) {
        unsigned n = *lengths++, count = f->n_rows - i < ROWS ? f->n_rows - i : ROWS;
        int32_t a[ROWS];
        if (f->block == ROWS) {
            dot(rows.weights, columns, n, v, a);
            rows.weights += PAIR * n;
            columns += 2 * n;
        } else {
            count = 1;
            a[0] = 0;
            while (n-- > 0) a[0] += *rows.weights++ * v[*columns++];
        }
        for (unsigned k = 0; k < count; k++, i++)
            sn_micro_put(&f->output, out, (order ? order[i] : i) * step,
                         sn_micro_finish(&rows, a[k], &f->output));
    }
}

void sn_micro_psm(const void *layer, const int8_t *in, const int8_t *other, void *out,
                  void *scratch)
{
    const struct sn_micro_psm *s = layer;
    const struct sn_micro_factor *last = s->factors + s->n_factors - 1;
    int16_t *v = scratch, *inner[2] = { v + s->n_inputs, v + s->n_inputs + s->most_inner };
    (void)other;
    for (unsigned p = 0; p < s->input.pixels; p++) {
        const int16_t *from = v;
        sn_micro_take(&s->input, in + p, 0, 0, s->n_inputs, v);
        for (const struct sn_micro_factor *f = s->factors; f < last; f++) {
            int16_t *to = inner[(f - s->factors) & 1];
            multiply_factor(f, from, 0, 1, to);
            from = to;
        }
        multiply_factor(last, from, s->output_order, s->input.pixels,
                        (char *)out + p * (last->output.is_wide ? 2u : 1u));
    }
}
