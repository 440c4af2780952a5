/* Rows of int8 weights times int16 numbers: what all layers spend their time in. */
#include "micro_inner.h"

const struct sn_micro_output sn_micro_state = { -32767, 32767, 1, 0, 1, 0 };

/* floor(a word / 2^16) + bias; the product has up to 45 bits. */
static inline int32_t micro_scale(int32_t a, int32_t word, int32_t bias)
{
#if MICRO_DSP
    return __smlawb(a, word, bias);
#elif MICRO_THUMB1
    return (a >> 16) * word + (int32_t)(((uint32_t)a & 0xffff) * (uint32_t)word >> 16) + bias;
#else
    return (int32_t)((int64_t)a * word >> 16) + bias;
#endif
}

#if MICRO_MVE && !defined __OPTIMIZE_SIZE__
/* Rows whose outputs stand side by side and have no table, else 0; the halves of a as on a
 * processor without products of 64 bits. */
static inline int finish_vectors(struct sn_micro_rows *rows, const int32_t *a, size_t n,
                                 struct sn_micro_target *target)
{
    const struct sn_micro_output *output = target->output;
    if (output->table || target->order || output->step != 1) return 0;
    for (size_t i = 0; i < n; i += 4) {
        mve_pred16_t some = vctp32q(n - i);
        int32x4_t sums = vld1q_z_s32(a + i, some);
        uint32x4_t words = vldrhq_z_u32(rows->scales + i, some),
                   halves = vandq_u32(vreinterpretq_u32_s32(sums), vdupq_n_u32(0xffff));
        int32x4_t t = vmulq_s32(vshrq_n_s32(sums, 16), vreinterpretq_s32_u32(words)),
                  e = vreinterpretq_s32_u32(vandq_u32(words, vdupq_n_u32(31))),
                  bias = output->has_bias ? vld1q_z_s32(rows->bias + i, some)
                                          : vshrq_n_s32(vshlq_s32(vdupq_n_s32(1), e), 1);
        halves = vshrq_n_u32(vmulq_u32(halves, words), 16);
        t = vaddq_s32(vaddq_s32(t, vreinterpretq_s32_u32(halves)), bias);
        t = vshlq_s32(t, vnegq_s32(e));
        t = vmaxq_s32(vminq_s32(t, vdupq_n_s32(output->high)), vdupq_n_s32(output->low));
        if (output->is_wide) vstrhq_p_s32((int16_t *)(void *)target->out + i, t, some);
        else vstrbq_p_s32((int8_t *)target->out + i, t, some);
    }
    rows->scales += n;
    if (output->has_bias) rows->bias += n;
    target->out += n << output->is_wide;
    return 1;
}
#endif

static inline void finish(struct sn_micro_rows *rows, const int32_t *a, size_t n,
                          struct sn_micro_target *target)
{
#if MICRO_MVE && !defined __OPTIMIZE_SIZE__
    if (finish_vectors(rows, a, n, target)) return;
#endif
    const struct sn_micro_output *output = target->output;
    const uint16_t *scale = rows->scales, *end = scale + n, *order = target->order;
    const int32_t *bias = output->has_bias ? rows->bias : 0;
    const int8_t *table = output->table;
    size_t is_wide = output->is_wide, step = (size_t)output->step << is_wide;
    int32_t high = output->high, low = output->low;
    char *out = target->out;
#ifndef __OPTIMIZE_SIZE__
    /* Most rows of convolutions: constant limits are one instruction, and registers hold all. */
    if (bias && !is_wide && !table && low == -128 && high == 127)
        for (; scale != end; scale++) {
            int32_t t = micro_scale(*a++, *scale, *bias++) >> (*scale & 31);
            t = t > 127 ? 127 : t < -128 ? -128 : t;
            char *at = order ? out + *order++ * step : out;
            if (!order) out += step;
            *at = (char)t;
        }
#endif
    while (scale != end) {
        int word = *scale++, e = word & 31;
        int32_t t = micro_scale(*a++, word, bias ? *bias++ : (1 << e) >> 1) >> e;
        if (t > high) t = high;
        if (t < low) t = low;
        char *at = order ? out + *order++ * step : out;
        if (!order) out += step;
        if (is_wide) *(int16_t *)(void *)at = (int16_t)t;
        else *at = (char)(table ? table[t + 128] : t);
    }
    rows->scales = end;
    if (bias) rows->bias = bias;
    target->out = out;
    target->order = order;
}

void sn_micro_finish(struct sn_micro_rows *rows, const int32_t *a, size_t n,
                     struct sn_micro_target *target)
{
    finish(rows, a, n, target);
}

/* ---- a of four rows of stride columns, a multiple of 4: rows at w, w + stride, w + 2 stride and
 * w + last */

enum { ROWS = 4 };

#if defined __OPTIMIZE_SIZE__
/* One row at a time is half of the code. */
#elif MICRO_MVE

/* Sixteen columns: the even bytes of w are columns 0 1 4 5 .., which every second pair of v holds.
 * A macro, since functions make the compiler pass vectors through memory. */
#define MULTIPLY_COLUMNS(load)                                             \
    do {                                                                   \
        uint32x4x2_t pairs = vld2q_u32((const uint32_t *)(const void *)v); \
        int16x8_t even = vreinterpretq_s16_u32(pairs.val[0]),              \
                  odd = vreinterpretq_s16_u32(pairs.val[1]);               \
        int8x16_t x = load(w0);                                            \
        a0 = vmladavaq_s16(a0, vmovlbq_s8(x), even);                       \
        a0 = vmladavaq_s16(a0, vmovltq_s8(x), odd);                        \
        x = load(w1);                                                      \
        a1 = vmladavaq_s16(a1, vmovlbq_s8(x), even);                       \
        a1 = vmladavaq_s16(a1, vmovltq_s8(x), odd);                        \
        x = load(w2);                                                      \
        a2 = vmladavaq_s16(a2, vmovlbq_s8(x), even);                       \
        a2 = vmladavaq_s16(a2, vmovltq_s8(x), odd);                        \
        x = load(w3);                                                      \
        a3 = vmladavaq_s16(a3, vmovlbq_s8(x), even);                       \
        a3 = vmladavaq_s16(a3, vmovltq_s8(x), odd);                        \
    } while (0)
#define LOAD_SOME(w) vldrbq_z_s8(w, some)

static inline void dot(const int8_t *w0, size_t stride, size_t last, const int16_t *v, int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    const int8_t *w1 = w0 + stride, *w2 = w1 + stride, *w3 = w0 + last;
    for (size_t k = stride / 16; k > 0; k--, w0 += 16, w1 += 16, w2 += 16, w3 += 16, v += 16)
        MULTIPLY_COLUMNS(vldrbq_s8);
    if (stride % 16) {
        mve_pred16_t some = vctp8q(stride % 16);
        MULTIPLY_COLUMNS(LOAD_SOME);
    }
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#elif MICRO_DSP

/* By hand: compilers, which see no further than one row's registers, spill. */
static inline void dot(const int8_t *w, size_t stride, size_t last, const int16_t *v, int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, x, y;
    const int8_t *end = w + stride;
#define ROW(at, sum)                                                   \
    "ldr %[x], " at "\nsxtb16 %[y], %[x]\nsxtb16 %[x], %[x], ror #8\n" \
    "smlad " sum ", %[y], r2, " sum "\nsmlad " sum ", %[x], r3, " sum "\n"
#define COLUMNS                                                                                   \
    "ldrd r2, r3, [%[v]], #8\n" ROW("[%[w], %[s]]", "%[a1]") ROW("[%[w], %[s], lsl #1]", "%[a2]") \
        ROW("[%[w], %[s3]]", "%[a3]") ROW("[%[w]], #4", "%[a0]")
    __asm__("tst %[s], #4\n"
            "bne 2f\n"
            "b 3f\n"
            "1:\n" COLUMNS "2:\n" COLUMNS "3: cmp %[w], %[end]\n"
            "bne 1b\n"
            : [w] "+r"(w), [v] "+r"(v), [x] "=&r"(x), [y] "=&r"(y), [a0] "+r"(a0), [a1] "+r"(a1),
              [a2] "+r"(a2), [a3] "+r"(a3)
            : [s] "r"(stride), [s3] "r"(last), [end] "r"(end)
            : "cc", "memory", "r2", "r3");
#undef COLUMNS
#undef ROW
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#elif MICRO_THUMB1

/* By hand: eight registers are too few for compilers, and sums fit into the others. */
static inline void dot(const int8_t *w, size_t stride, size_t last, const int16_t *v, int32_t *a)
{
    register int32_t a0 __asm__("r8") = 0, a1 __asm__("r9") = 0, a2 __asm__("r10") = 0,
                        a3 __asm__("r11") = 0;
    int32_t x, y;
    const int8_t *end = w + stride;
#define ROW(at, sum) "ldrsb %[x], [%[w], " at "]\nmuls %[x], %[y], %[x]\nadd " sum ", %[x]\n"
#define COLUMN(next_v)                                                                         \
    "ldrsh %[y], [%[v], %[zero]]\n" ROW("%[zero]", "r8") ROW("%[s]", "r9") ROW("%[s2]", "r10") \
        ROW("%[s3]", "r11") "adds %[w], #1\n" next_v "\n"
    __asm__("b 2f\n"
            "1:\n" COLUMN("adds %[v], #4") COLUMN("subs %[v], #2") COLUMN("adds %[v], #4")
                COLUMN("adds %[v], #2") "2: cmp %[w], %[end]\n"
                                        "bne 1b\n"
            : [w] "+l"(w), [v] "+l"(v), [x] "=&l"(x), [y] "=&l"(y), "+r"(a0), "+r"(a1), "+r"(a2),
              "+r"(a3)
            : [zero] "l"(0), [s] "l"(stride), [s2] "l"(2 * stride), [s3] "l"(last), [end] "h"(end)
            : "cc", "memory");
#undef COLUMN
#undef ROW
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#else

static inline void dot(const int8_t *w, size_t stride, size_t last, const int16_t *v, int32_t *a)
{
    const int8_t *w1 = w + stride, *w2 = w1 + stride, *w3 = w + last, *end = w + stride;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
#define COLUMN(j, x)   \
    a0 += w[j] * (x);  \
    a1 += w1[j] * (x); \
    a2 += w2[j] * (x); \
    a3 += w3[j] * (x)
    for (; w != end; w += 4, w1 += 4, w2 += 4, w3 += 4, v += 4) {
        COLUMN(0, v[0]);
        COLUMN(2, v[1]);
        COLUMN(1, v[2]);
        COLUMN(3, v[3]);
    }
#undef COLUMN
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#endif

/* Where fewer than four rows are left, one by one. */
static inline int32_t dot_one(const int8_t *w, const int16_t *v, size_t n)
{
    int32_t a = 0;
    for (const int8_t *end = w + n; w != end; w += 4, v += 4) {
#if MICRO_DSP
        int32_t x = micro_word(w);
        a = __smlad(__sxtb16(x), micro_word(v), a);
        a = __smlad(micro_odd(x), micro_word(v + 2), a);
#else
        a += w[0] * v[0];
        a += w[2] * v[1];
        a += w[1] * v[2];
        a += w[3] * v[3];
#endif
    }
    return a;
}

/* a of the next rows, at most ROWS of n_rows, and their number. Three are four with the last one
 * twice, which is faster than one by one. */
static inline size_t next_rows(const int8_t *w, size_t stride, const int16_t *v, size_t n_rows,
                               int32_t *a)
{
#ifndef __OPTIMIZE_SIZE__
    if (n_rows > ROWS) n_rows = ROWS;
    if (n_rows >= ROWS - 1) {
        dot(w, stride, (n_rows - 1) * stride, v, a);
        return n_rows;
    }
#endif
    a[0] = dot_one(w, v, stride);
    return 1;
}

/* a of n rows; returns the rows behind them. */
static inline const int8_t *multiply_batch(const int8_t *w, size_t stride, const int16_t *v,
                                           size_t n, int32_t *a)
{
    for (size_t some; n > 0; n -= some, a += some, w += some * stride)
        some = next_rows(w, stride, v, n, a);
    return w;
}

void sn_micro_multiply(struct sn_micro_rows *rows, int32_t *sums, size_t n_columns, size_t n_rows,
                       struct sn_micro_target *target)
{
    const int16_t *v = (const int16_t *)(const void *)(sums + SN_MICRO_BATCH);
    size_t stride = (n_columns + 3) & ~3u;
    for (size_t n; n_rows > 0; n_rows -= n) {
        n = n_rows < SN_MICRO_BATCH ? n_rows : SN_MICRO_BATCH;
        rows->weights = multiply_batch(rows->weights, stride, v, n, sums);
        finish(rows, sums, n, target);
    }
}

/* q one + offset, which compilers that know one to be a power of 2 make a shift and a sum. */
static inline int16_t micro_take(int32_t q, int32_t one, int32_t offset)
{
#if MICRO_DSP
    return (int16_t)__smlabb(q, one, offset);
#else
    return (int16_t)(q * one + offset);
#endif
}

void sn_micro_take(const struct sn_micro_input *input, const int8_t *in, const uint16_t *order,
                   size_t n, int16_t *v)
{
    int32_t one = 1 << input->shift, offset = -input->zero * one;
    size_t pixels = input->pixels;
#if MICRO_MVE
    if (!order && pixels == 1) {
        for (size_t j = 0; j < n; j += 8) {
            mve_pred16_t some = vctp16q(n - j);
            int16x8_t q = vldrbq_z_s16(in + j, some);
            q = vaddq_n_s16(vmulq_n_s16(q, (int16_t)one), (int16_t)offset);
            vstrhq_p_s16(v + j, q, some);
        }
        return;
    }
#endif
    if (order)
        for (size_t j = 0; j < n; j++) v[j] = micro_take(in[order[j] * pixels], one, offset);
    else {
#ifndef __OPTIMIZE_SIZE__
        for (; n >= 4; n -= 4, v += 4, in += 4 * pixels) {
            v[0] = micro_take(in[0], one, offset);
            v[1] = micro_take(in[pixels], one, offset);
            v[2] = micro_take(in[2 * pixels], one, offset);
            v[3] = micro_take(in[3 * pixels], one, offset);
        }
#endif
        for (; n > 0; n--, in += pixels) *v++ = micro_take(*in, one, offset);
    }
}
