/* Products of sparse matrices of integers (micro.h). */
#include "micro_inner.h"

enum { ROWS = 4, PAIR = 2 * ROWS }; /* of a block of 4 rows; bytes of two of them */

/* Where a factor's next group starts. */
struct groups {
    const uint16_t *lengths, *columns;
    const int8_t *w;
};

/* a[0..3] of the next group, of n pairs: of w[0..7] the first four are rows 0, 1 of two columns,
 * the others rows 2, 3. */
#if MICRO_DSP && !defined __OPTIMIZE_SIZE__

/* By hand: compilers do not see that two numbers of 16 bits are one word. */
static inline void dot(struct groups *groups, size_t n, const int16_t *v, int32_t *a)
{
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0, x, y, r, s;
    const uint16_t *end = groups->columns + 2 * n;
#define ROWS_OF(word, even, odd)                                 \
    "sxtb16 %[y], " word "\nsxtb16 " word ", " word ", ror #8\n" \
    "smlad " even ", %[y], %[x], " even "\nsmlad " odd ", " word ", %[x], " odd "\n"
#define PAIR_OF_BLOCKS                                                                        \
    "ldrh %[x], [%[c]], #2\nldrh %[y], [%[c]], #2\n"                                          \
    "ldrh %[x], [%[v], %[x], lsl #1]\nldrh %[y], [%[v], %[y], lsl #1]\n"                      \
    "pkhbt %[x], %[x], %[y], lsl #16\nldrd %[r], %[s], [%[w]], #8\n" ROWS_OF("%[r]", "%[a0]", \
                                                                             "%[a1]")         \
        ROWS_OF("%[s]", "%[a2]", "%[a3]")
    __asm__("lsrs %[x], %[n], #1\n"
            "bcs 2f\n"
            "b 3f\n"
            "1:\n" PAIR_OF_BLOCKS "2:\n" PAIR_OF_BLOCKS "3: cmp %[c], %[end]\n"
            "bne 1b\n"
            : [w] "+r"(groups->w), [c] "+r"(groups->columns), [x] "=&r"(x), [y] "=&r"(y),
              [r] "=&r"(r), [s] "=&r"(s), [a0] "+r"(a0), [a1] "+r"(a1), [a2] "+r"(a2), [a3] "+r"(a3)
            : [v] "r"(v), [n] "r"(n), [end] "r"(end)
            : "cc", "memory");
#undef PAIR_OF_BLOCKS
#undef ROWS_OF
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#elif MICRO_THUMB1

/* By hand: eight registers are too few for compilers, and sums fit into the others. */
static inline void dot(struct groups *groups, size_t n, const int16_t *v, int32_t *a)
{
    register int32_t a0 __asm__("r8") = 0, a1 __asm__("r9") = 0, a2 __asm__("r10") = 0,
                        a3 __asm__("r11") = 0;
    int32_t x, y;
    const uint16_t *end = groups->columns + 2 * n;
#define ROW(at, sum) \
    "movs %[y], #" at "\nldrsb %[y], [%[w], %[y]]\nmuls %[y], %[x], %[y]\nadd " sum ", %[y]\n"
#define COLUMN(at, w0, w1, w2, w3)                                                              \
    "ldrh %[x], [%[c], #" at "]\nlsls %[x], %[x], #1\nldrsh %[x], [%[v], %[x]]\n" ROW(w0, "r8") \
        ROW(w1, "r9") ROW(w2, "r10") ROW(w3, "r11")
    __asm__("b 2f\n"
            "1:\n" COLUMN("0", "0", "1", "4", "5")
                COLUMN("2", "2", "3", "6", "7") "adds %[c], #4\nadds %[w], #8\n"
                                                "2: cmp %[c], %[end]\n"
                                                "bne 1b\n"
            : [w] "+l"(groups->w), [c] "+l"(groups->columns), [x] "=&l"(x), [y] "=&l"(y), "+r"(a0),
              "+r"(a1), "+r"(a2), "+r"(a3)
            : [v] "l"(v), [end] "h"(end)
            : "cc", "memory");
#undef COLUMN
#undef ROW
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#else

static inline void dot(struct groups *groups, size_t n, const int16_t *v, int32_t *a)
{
    const int8_t *w = groups->w;
    const uint16_t *columns = groups->columns, *end = columns + 2 * n;
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
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
#ifndef __OPTIMIZE_SIZE__
    if (n & 1) MULTIPLY_PAIR;
    while (columns != end) {
        MULTIPLY_PAIR;
        MULTIPLY_PAIR;
    }
#else
    while (columns != end) MULTIPLY_PAIR;
#endif
#undef MULTIPLY_PAIR
    groups->w = w;
    groups->columns = columns;
    a[0] = a0, a[1] = a1, a[2] = a2, a[3] = a3;
}

#endif

/* a of one row of n entries. Inlined, it would take registers from the other. */
static __attribute__((noinline)) int32_t dot_row(const int8_t *w, const uint16_t *columns, size_t n,
                                                 const int16_t *v)
{
    int32_t a = 0;
#ifndef __OPTIMIZE_SIZE__
    for (; n >= 4; n -= 4, w += 4, columns += 4) {
        a += w[0] * v[columns[0]];
        a += w[1] * v[columns[1]];
        a += w[2] * v[columns[2]];
        a += w[3] * v[columns[3]];
    }
#endif
    for (; n > 0; n--) a += *w++ * v[*columns++];
    return a;
}

/* The a of n rows; apart from one another, since both take all registers. */
static __attribute__((noinline)) void multiply_blocks(struct groups *groups, const int16_t *v,
                                                      int32_t *a, size_t n)
{
    struct groups next = *groups;
    for (const int32_t *end = a + n; a < end; a += ROWS) dot(&next, *next.lengths++, v, a);
    *groups = next;
}

static __attribute__((noinline)) void multiply_rows(struct groups *groups, const int16_t *v,
                                                    int32_t *a, size_t n)
{
    for (const int32_t *end = a + n; a < end;) {
        size_t count = *groups->lengths++;
        *a++ = dot_row(groups->w, groups->columns, count, v);
        groups->w += count;
        groups->columns += count;
    }
}

/* The outputs of a factor to the target. */
static void multiply_factor(const struct sn_micro_factor *f, const int16_t *v, int32_t *sums,
                            struct sn_micro_target *target)
{
    struct sn_micro_rows rows = { 0, f->rows.scales, f->rows.bias };
    struct groups groups = { f->lengths, f->columns, f->rows.weights };
    size_t n;
    for (size_t left = f->n_rows; left > 0; left -= n) {
        n = left < SN_MICRO_BATCH ? left : SN_MICRO_BATCH;
        if (f->block == ROWS) multiply_blocks(&groups, v, sums, n);
        else multiply_rows(&groups, v, sums, n);
        sn_micro_finish(&rows, sums, n, target);
    }
}

/* One place, of inputs v. */
static void multiply_place(const struct sn_micro_psm *s, const int16_t *v, int32_t *sums, char *out)
{
    int16_t *inner = (int16_t *)(void *)(sums + SN_MICRO_BATCH);
    for (size_t k = 0; k < s->n_factors; k++) {
        const struct sn_micro_factor *f = &s->factors[k];
        int16_t *next = inner + (k & 1) * s->most_inner;
        struct sn_micro_target target = { &f->output, 0, (char *)next };
        if (k + 1u == s->n_factors) {
            target.order = s->output_order;
            target.out = out;
        }
        multiply_factor(f, v, sums, &target);
        v = next;
    }
}

void sn_micro_psm_at(const void *layer, const void *in, const void *other, void *out, void *scratch)
{
    (void)other;
    multiply_place(layer, in, scratch, out);
}

void sn_micro_psm(const void *layer, const void *in, const void *other, void *out, void *scratch)
{
    const struct sn_micro_psm *s = layer;
    const struct sn_micro_factor *last = s->factors + s->n_factors - 1;
    int32_t *sums = scratch;
    int16_t *v = (int16_t *)(void *)(sums + SN_MICRO_BATCH) + 2 * (size_t)s->most_inner;
    (void)other;
    for (size_t p = 0; p < s->input.pixels; p++) {
        sn_micro_take(&s->input, (const int8_t *)in + p, 0, s->n_inputs, v);
        multiply_place(s, v, sums, (char *)out + (p << last->output.is_wide));
    }
}
