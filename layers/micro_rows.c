/* Rows of int8 weights times int16 numbers: what all layers spend their time in. */
#include "micro.h"

#if defined __ARM_FEATURE_MVE
#include <arm_mve.h>
#elif defined __ARM_FEATURE_DSP && defined __ARM_FEATURE_SIMD32
#include <arm_acle.h>
#endif

const struct sn_micro_output sn_micro_state = { -32767, 32767, 1, 0, 0 };

int32_t sn_micro_finish(struct sn_micro_rows *rows, int32_t a, const struct sn_micro_output *output)
{
    uint32_t scale = *rows->scales++, e = scale >> 11, m = scale & 2047;
    /* a m has up to 41 bits, so that the halves of a are multiplied one by one. */
    int32_t t = (a >> 16) * (int32_t)(m << 5) + (int32_t)(((uint32_t)a & 0xffff) * m >> 11);
    t += output->has_bias ? *rows->bias++ : (int32_t)((1u << e) >> 1);
    t >>= e;
    if (t > output->high) t = output->high;
    if (t < output->low) t = output->low;
    return output->table ? output->table[t + 128] : t;
}

void sn_micro_put(const struct sn_micro_output *output, void *out, unsigned i, int32_t y)
{
    if (output->is_wide) ((int16_t *)out)[i] = (int16_t)y;
    else ((int8_t *)out)[i] = (int8_t)y;
}

/* a of n rows, 1 or ROWS, at w; stride is a multiple of 4. */
#if defined __ARM_FEATURE_MVE

enum { ROWS = 4 };

/* Sixteen columns at a time: the even bytes of w are columns 0 1 4 5 .., which every second pair of
 * v holds. */
static void dot(const int8_t *w, const int16_t *v, unsigned stride, unsigned n, int32_t *a)
{
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    unsigned next = n > 1 ? stride : 0;
    for (int left = (int)stride; left > 0; left -= 16, w += 16, v += 16) {
        mve_pred16_t p = vctp8q((uint32_t)left);
        uint32x4x2_t pairs = vld2q_u32((const uint32_t *)(const void *)v);
        int16x8_t even = vreinterpretq_s16_u32(pairs.val[0]),
                  odd = vreinterpretq_s16_u32(pairs.val[1]);
        int8x16_t x0 = vldrbq_z_s8(w, p), x1 = vldrbq_z_s8(w + next, p),
                  x2 = vldrbq_z_s8(w + 2 * next, p), x3 = vldrbq_z_s8(w + 3 * next, p);
        s0 = vmladavaq_s16(s0, vmovlbq_s8(x0), even);
        s1 = vmladavaq_s16(s1, vmovlbq_s8(x1), even);
        s2 = vmladavaq_s16(s2, vmovlbq_s8(x2), even);
        s3 = vmladavaq_s16(s3, vmovlbq_s8(x3), even);
        s0 = vmladavaq_s16(s0, vmovltq_s8(x0), odd);
        s1 = vmladavaq_s16(s1, vmovltq_s8(x1), odd);
        s2 = vmladavaq_s16(s2, vmovltq_s8(x2), odd);
        s3 = vmladavaq_s16(s3, vmovltq_s8(x3), odd);
    }
    a[0] = s0, a[1] = s1, a[2] = s2, a[3] = s3;
}

#elif defined __ARM_FEATURE_DSP && defined __ARM_FEATURE_SIMD32

enum { ROWS = 2 };

static inline int32_t word_at(const void *p) { return *(const int32_t *)p; }

/* Rotated such that the odd bytes are the even ones. */
static inline int32_t odd(int32_t x) { return (int32_t)((uint32_t)x >> 8 | (uint32_t)x << 24); }

static void dot(const int8_t *w, const int16_t *v, unsigned stride, unsigned n, int32_t *a)
{
    int32_t sum = 0, next = 0;
    const int8_t *end = w + stride;
    if (n == 1) stride = 0;
    while (w < end) {
        int32_t x = word_at(w), y = word_at(w + stride), v01 = word_at(v), v23 = word_at(v + 2);
        sum = __smlad(__sxtb16(x), v01, sum);
        next = __smlad(__sxtb16(y), v01, next);
        sum = __smlad(__sxtb16(odd(x)), v23, sum);
        next = __smlad(__sxtb16(odd(y)), v23, next);
        w += 4;
        v += 4;
    }
    a[0] = sum, a[1] = next;
}

#else

enum { ROWS = 2 };

static void dot(const int8_t *w, const int16_t *v, unsigned stride, unsigned n, int32_t *a)
{
    int32_t sum = 0, next = 0;
    const int8_t *end = w + stride, *y = n > 1 ? end : w;
    for (; w < end; w += 4, y += 4, v += 4) {
        sum += w[0] * v[0] + w[2] * v[1] + w[1] * v[2] + w[3] * v[3];
        next += y[0] * v[0] + y[2] * v[1] + y[1] * v[2] + y[3] * v[3];
    }
    a[0] = sum, a[1] = next;
}

#endif

void sn_micro_multiply(struct sn_micro_rows *rows, const int16_t *v, unsigned n_columns,
                       unsigned n_rows, const struct sn_micro_output *output, const uint16_t *order,
                       unsigned step, void *out)
{
    unsigned stride = (n_columns + 3) & ~3u;
    int32_t a[ROWS];
    for (unsigned i = 0; i < n_rows;) {
        unsigned n = n_rows - i < ROWS ? 1 : ROWS;
        dot(rows->weights, v, stride, n, a);
        rows->weights += n * stride;
        for (unsigned k = 0; k < n; k++, i++)
            sn_micro_put(output, out, (order ? order[i] : i) * step,
                         sn_micro_finish(rows, a[k], output));
    }
}

void sn_micro_take(const struct sn_micro_input *input, const int8_t *in, const uint16_t *order,
                   unsigned first, unsigned n, int16_t *v)
{
    int32_t zero = input->zero, shift = input->shift;
    unsigned pixels = input->pixels;
    if (order)
        for (unsigned j = 0; j < n; j++)
            v[j] = (int16_t)((in[order[first + j] * pixels] - zero) * (1 << shift));
    else {
        in += first * pixels;
        for (unsigned j = 0; j < n; j++, in += pixels)
            v[j] = (int16_t)((*in - zero) * (1 << shift));
    }
}
