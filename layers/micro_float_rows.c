/* Rows of floats times a vector: what all layers spend their time in. */
#include "micro_float_inner.h"

#include <float.h>

const struct sn_micro_float_output sn_micro_float_state = { -FLT_MAX, FLT_MAX, 0 };

static inline void finish(struct sn_micro_float_rows *rows, const float *sums, size_t n,
                          struct sn_micro_float_target *target)
{
    const struct sn_micro_float_output *output = target->output;
    float (*activate)(float) = output->activate, low = output->low, high = output->high;
    const float *bias = rows->bias;
    const uint16_t *order = target->order;
    size_t step = target->step;
    float *out = target->out;
    for (const float *end = sums + n; sums != end;) {
        float y = *sums++;
        if (bias) y += *bias++;
        if (activate) y = activate(y);
        if (y > high) y = high;
        if (y < low) y = low;
        if (order) out[*order++ * step] = y;
        else {
            *out = y;
            out += step;
        }
    }
    rows->bias = bias;
    target->order = order;
    target->out = out;
}

void sn_micro_float_finish(struct sn_micro_float_rows *rows, const float *sums, size_t n,
                           struct sn_micro_float_target *target)
{
    finish(rows, sums, n, target);
}

enum { ROWS = 4 };

/* The sums of a whole panel. */
#if MICRO_FLOAT_VECTORS

static inline void dot(const float *w, const float *v, size_t n, float *sums)
{
    float32x4_t sum = vdupq_n_f32(0);
    for (const float *end = v + n; v != end; w += ROWS) sum = vfmaq_n_f32(sum, vld1q_f32(w), *v++);
    vst1q_f32(sums, sum);
}

#elif MICRO_FLOAT_UNIT

/* Four columns at a time, then those left. */
static inline void dot(const float *w, const float *v, size_t n, float *sums)
{
    MICRO_FLOAT_SUMS;
    const float *end = v + n / 4 * 4;
#define ONE  "vldmia %[v]!, {s4}\n" MICRO_COLUMN("s4")
#define FOUR "vldmia %[v]!, {s4-s7}\n" MICRO_TWO_COLUMNS("s4", "s5") MICRO_TWO_COLUMNS("s6", "s7")
    __asm__(MICRO_LOOP(FOUR, "%[v]") "add %[end], %[left]\n" MICRO_LOOP(ONE, "%[v]")
            : [w] "+r"(w), [v] "+r"(v), [end] "+r"(end), "+t"(a0), "+t"(a1), "+t"(a2), "+t"(a3)
            : [left] "r"(n % 4 * sizeof *v)
            : MICRO_FLOAT_CLOBBERS);
#undef FOUR
#undef ONE
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
}

#else

static inline void dot(const float *w, const float *v, size_t n, float *sums)
{
    float a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const float *end = v + n; v != end; w += ROWS) {
        float x = *v++;
        a0 += w[0] * x;
        a1 += w[1] * x;
        a2 += w[2] * x;
        a3 += w[3] * x;
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
}

#endif

/* Those of a panel of fewer rows. */
static inline void dot_few(const float *w, const float *v, size_t n, size_t n_rows, float *sums)
{
    for (size_t i = 0; i < n_rows; i++) {
        const float *at = w + i;
        float sum = 0;
        for (size_t j = 0; j < n; j++, at += n_rows) sum += *at * v[j];
        sums[i] = sum;
    }
}

void sn_micro_float_multiply(struct sn_micro_float_rows *rows, const float *v, size_t n_columns,
                             size_t n_rows, struct sn_micro_float_target *target)
{
    for (size_t n; n_rows > 0; n_rows -= n) {
        float sums[ROWS];
        if (n_rows < ROWS) {
            n = n_rows;
            dot_few(rows->weights, v, n_columns, n, sums);
        } else {
            n = ROWS;
            dot(rows->weights, v, n_columns, sums);
        }
        rows->weights += n * n_columns;
        sn_micro_float_finish(rows, sums, n, target);
    }
}
