/* Products of sparse matrices of floats (micro_float.h). */
#include "micro_float_inner.h"

enum { ROWS = 4 }; /* of a block of 4 rows */

/* The sums of a group of n blocks of four rows. */
#if MICRO_FLOAT_VECTORS

static inline void dot(const float *w, const uint16_t *columns, size_t n, const float *v,
                       float *sums)
{
    float32x4_t sum = vdupq_n_f32(0);
    for (const uint16_t *end = columns + n; columns != end; w += ROWS)
        sum = vfmaq_n_f32(sum, vld1q_f32(w), v[*columns++]);
    vst1q_f32(sums, sum);
}

#elif MICRO_FLOAT_UNIT

/* Two blocks at a time, then the one left. */
static inline void dot(const float *w, const uint16_t *columns, size_t n, const float *v,
                       float *sums)
{
    MICRO_FLOAT_SUMS;
    const uint16_t *end = columns + n / 2 * 2;
    uint32_t i, j;
#define LOAD(i, to) \
    "ldrh " i ", [%[columns]], #2\nadd " i ", %[v], " i ", lsl #2\nvldr " to ", [" i "]\n"
#define ONE LOAD("%[i]", "s4") MICRO_COLUMN("s4")
#define TWO LOAD("%[i]", "s4") LOAD("%[j]", "s5") MICRO_TWO_COLUMNS("s4", "s5")
    __asm__(MICRO_LOOP(TWO, "%[columns]") "add %[end], %[left]\n" MICRO_LOOP(ONE, "%[columns]")
            : [w] "+r"(w), [columns] "+r"(columns), [end] "+r"(end), [i] "=&r"(i), [j] "=&r"(j),
              "+t"(a0), "+t"(a1), "+t"(a2), "+t"(a3)
            : [v] "r"(v), [left] "r"(n % 2 * sizeof *columns)
            : MICRO_FLOAT_CLOBBERS);
#undef TWO
#undef ONE
#undef LOAD
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
}

#else

static inline void dot(const float *w, const uint16_t *columns, size_t n, const float *v,
                       float *sums)
{
    float a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (const uint16_t *end = columns + n; columns != end; w += ROWS) {
        float x = v[*columns++];
        a0 += w[0] * x;
        a1 += w[1] * x;
        a2 += w[2] * x;
        a3 += w[3] * x;
    }
    sums[0] = a0, sums[1] = a1, sums[2] = a2, sums[3] = a3;
}

#endif

/* That of one row of n entries. */
static inline float dot_row(const float *w, const uint16_t *columns, size_t n, const float *v)
{
    float sum = 0;
    for (const float *end = w + n; w != end;) sum += *w++ * v[*columns++];
    return sum;
}

/* The outputs of a factor to the target. */
static void multiply_factor(const struct sn_micro_float_factor *f, const float *v,
                            struct sn_micro_float_target *target)
{
    struct sn_micro_float_rows rows = f->rows;
    const uint16_t *lengths = f->lengths, *columns = f->columns;
    size_t count, block = f->block;
    for (size_t left = f->n_rows; left > 0; left -= count) {
        size_t n = *lengths++;
        float sums[ROWS];
        count = left < block ? left : block;
        if (block == ROWS) dot(rows.weights, columns, n, v, sums);
        else sums[0] = dot_row(rows.weights, columns, n, v);
        rows.weights += block * n;
        columns += n;
        sn_micro_float_finish(&rows, sums, count, target);
    }
}

void sn_micro_float_psm(const void *layer, const void *in, const void *other, void *out,
                        void *scratch)
{
    const struct sn_micro_float_psm *s = layer;
    size_t pixels = s->pixels;
    float *v = scratch, *inner[2];
    inner[0] = v + (pixels > 1 ? s->n_inputs : 0);
    inner[1] = inner[0] + s->most_inner;
    (void)other;
    for (size_t p = 0; p < pixels; p++) {
        const float *from = in;
        if (pixels > 1) {
            for (size_t j = 0; j < s->n_inputs; j++) v[j] = from[j * pixels + p];
            from = v;
        }
        for (size_t k = 0; k < s->n_factors; k++) {
            struct sn_micro_float_target target = { &sn_micro_float_state, 0, inner[k & 1], 1 };
            if (k + 1u == s->n_factors)
                target = (struct sn_micro_float_target){ &s->output, s->output_order,
                                                         (float *)out + p, pixels };
            multiply_factor(&s->factors[k], from, &target);
            from = inner[k & 1];
        }
    }
}
