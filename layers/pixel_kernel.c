/* The kernels of pixel_kernel.h. This file is compiled once for each instruction set, with KERNEL
 * as the name of what it offers. A strip is some vectors of pixels side by side, few enough for the
 * sums of some rows to stay in registers; the last vector of an image may be of fewer pixels. */
#include "pixel_kernel.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL pixel_plain
#endif

/* ---- Vectors as wide as the instruction set has them */

#ifdef __AVX512F__
#define WIDE ((size_t)16)
typedef float wide __attribute__((vector_size(64), aligned(4), may_alias));

static inline __mmask16 first_of(size_t n) { return (__mmask16)((1u << n) - 1); }
INLINE wide load_some(const float *p, size_t n)
{
    return (wide)_mm512_maskz_loadu_ps(first_of(n), p);
}
INLINE void store_some(float *p, wide v, size_t n)
{
    _mm512_mask_storeu_ps(p, first_of(n), (__m512)v);
}
INLINE float sum_of(wide v)
{
    return lanes_sum((vec)_mm256_add_ps(_mm512_castps512_ps256((__m512)v),
                                        _mm512_extractf32x8_ps((__m512)v, 1)));
}
#else
#define WIDE LANES
typedef vec wide;

#ifdef __AVX2__
INLINE __m256i first_of(size_t n)
{
    static const int32_t mask[2 * LANES] = { -1, -1, -1, -1, -1, -1, -1, -1 };
    return _mm256_loadu_si256((const __m256i *)(const void *)(mask + LANES - n));
}
INLINE wide load_some(const float *p, size_t n) { return (wide)_mm256_maskload_ps(p, first_of(n)); }
INLINE void store_some(float *p, wide v, size_t n)
{
    _mm256_maskstore_ps(p, first_of(n), (__m256)v);
}
#else
INLINE wide load_some(const float *p, size_t n)
{
    wide v = { 0 };
    for (size_t i = 0; i < n; i++) v[i] = p[i];
    return v;
}
INLINE void store_some(float *p, wide v, size_t n)
{
    for (size_t i = 0; i < n; i++) p[i] = v[i];
}
#endif
INLINE float sum_of(wide v) { return lanes_sum(v); }
#endif

/* A vector, or its first `last` pixels where last is not 0. */
INLINE wide load(const float *p, size_t last)
{
    return last ? load_some(p, last) : *(const wide *)p;
}

INLINE void store(float *p, wide v, size_t last)
{
    if (last) store_some(p, v, last);
    else *(wide *)p = v;
}

/* Loops of constant length become straight code, so that sums are registers. */
#define UNROLLED _Pragma("GCC unroll 24")

/* ---- Some rows of a group that share the columns of `count` blocks */

struct rows {
    size_t block, count;
    const float *values; /* of the first of the rows, `block` floats from one column to the next */
    const uint32_t *columns;
    float *y[8]; /* of Y or dY */
};

enum { MOST_SUMS = 24 };

struct task {
    const struct psm_pattern *s;
    const float *values;
    float *dvalues;
    struct pixel_rows x, y;
};

/* Rows of blocks of 8 that go together, and vectors of a strip of 8, 4 and 1 rows, forward and
 * backward, for which there are registers; sums of gradients at once. */
#ifdef __AVX512F__
enum { TOGETHER = 8, OF_8 = 3, OF_4 = 4, BACK_8 = 2, BACK_4 = 4, SUMS = 16 };
#elif defined __AVX2__
enum { TOGETHER = 4, OF_8 = 1, OF_4 = 3, BACK_8 = 1, BACK_4 = 2, SUMS = 8 };
#else
enum { TOGETHER = 4, OF_8 = 1, OF_4 = 1, BACK_8 = 1, BACK_4 = 1, SUMS = 4 };
#endif
enum { OF_1 = 8, CHUNK = 512, TILE_FLOATS = 1 << 16 };

/* Rows that go together when so many are left of a group. */
static size_t rows_together(const struct psm_pattern *s, size_t left)
{
    if (s->block == 8 && left >= 8) return TOGETHER;
    return s->block >= 4 && left >= 4 ? 4 : 1;
}

/* Rows from r on of group g. */
static struct rows rows_at(const struct task *t, size_t g, size_t r, size_t height)
{
    const struct psm_pattern *s = t->s;
    size_t block = (size_t)s->block, start = s->row_starts[g];
    struct rows rows = { .block = block,
                         .count = s->row_starts[g + 1] - start,
                         .values = t->values + start * block + r,
                         .columns = s->columns + start };
    for (size_t i = 0; i < height; i++) {
        size_t row = g * block + r + i;
        rows.y[i] = pixel_row(&t->y, s->order ? s->order[row] : row);
    }
    return rows;
}

/* ---- A strip, or a chunk, of pixels */

/* Y = S X. */
INLINE void forward_strip(size_t height, size_t vectors, const struct rows *rows,
                          const struct task *t, size_t first, size_t n)
{
    size_t last = vectors == 1 && n < WIDE ? n : 0;
    wide sums[MOST_SUMS];
    UNROLLED
    for (size_t i = 0; i < height * vectors; i++) sums[i] = (wide){ 0 };
    const struct pixel_rows x = { t->x.at + first, t->x.offsets, t->x.ld };
    const uint32_t *column = rows->columns, *end = column + rows->count;
    const float *values = rows->values;
    for (size_t block = height == 8 ? 8 : rows->block; column != end; column++, values += block) {
        const float *from = pixel_row(&x, *column);
        wide pixels[OF_1];
        UNROLLED
        for (size_t k = 0; k < vectors; k++) pixels[k] = load(from + k * WIDE, last);
        UNROLLED
        for (size_t r = 0; r < height; r++) UNROLLED
        for (size_t k = 0; k < vectors; k++) sums[r * vectors + k] += values[r] * pixels[k];
    }
    UNROLLED
    for (size_t r = 0; r < height; r++) UNROLLED
    for (size_t k = 0; k < vectors; k++)
        store(rows->y[r] + first + k * WIDE, sums[r * vectors + k], last);
}

/* dX += S^T dY. */
INLINE void backward_strip(size_t height, size_t vectors, const struct rows *rows,
                           const struct task *t, size_t first, size_t n)
{
    size_t last = vectors == 1 && n < WIDE ? n : 0;
    wide d[MOST_SUMS];
    UNROLLED
    for (size_t r = 0; r < height; r++) UNROLLED
    for (size_t k = 0; k < vectors; k++)
        d[r * vectors + k] = load(rows->y[r] + first + k * WIDE, last);
    const struct pixel_rows x = { t->x.at + first, t->x.offsets, t->x.ld };
    const uint32_t *column = rows->columns, *end = column + rows->count;
    const float *values = rows->values;
    for (size_t block = height == 8 ? 8 : rows->block; column != end; column++, values += block) {
        float *to = pixel_row(&x, *column);
        UNROLLED
        for (size_t k = 0; k < vectors; k++) {
            wide sum = load(to + k * WIDE, last);
            UNROLLED
            for (size_t r = 0; r < height; r++) sum += values[r] * d[r * vectors + k];
            store(to + k * WIDE, sum, last);
        }
    }
}

/* dS += dY X^T for n_columns blocks from p on. */
INLINE void gradient_of(size_t height, size_t n_columns, const struct rows *rows, size_t p,
                        const struct task *t, size_t first, size_t n, float *dvalues)
{
    wide sums[16];
    const float *from[LANES];
    UNROLLED
    for (size_t i = 0; i < height * n_columns; i++) sums[i] = (wide){ 0 };
    UNROLLED
    for (size_t c = 0; c < n_columns; c++) from[c] = pixel_row(&t->x, rows->columns[p + c]) + first;
    for (size_t q = 0; q + WIDE <= n; q += WIDE) UNROLLED
    for (size_t r = 0; r < height; r++) UNROLLED
    for (size_t c = 0; c < n_columns; c++)
        sums[c * height + r] += load(rows->y[r] + first + q, 0) * load(from[c] + q, 0);
    size_t q = n / WIDE * WIDE, last = n - q;
    UNROLLED
    for (size_t r = 0; last && r < height; r++) UNROLLED
    for (size_t c = 0; c < n_columns; c++)
        sums[c * height + r] += load(rows->y[r] + first + q, last) * load(from[c] + q, last);
    UNROLLED
    for (size_t c = 0; c < n_columns; c++) UNROLLED
    for (size_t r = 0; r < height; r++)
        dvalues[(p + c) * rows->block + r] += sum_of(sums[c * height + r]);
}

/* dS += dY X^T: some blocks at once, then fewer. */
INLINE void gradient_rows(size_t height, const struct rows *rows, const struct task *t,
                          size_t first, size_t n)
{
    float *dvalues = t->dvalues + (rows->values - t->values);
    size_t p = 0, at_once = height == 1 ? LANES : SUMS / height;
    for (; p + at_once <= rows->count; p += at_once)
        gradient_of(height, at_once, rows, p, t, first, n, dvalues);
    if (at_once > 2)
        for (; p + 2 <= rows->count; p += 2) gradient_of(height, 2, rows, p, t, first, n, dvalues);
    for (; p < rows->count; p++) gradient_of(height, 1, rows, p, t, first, n, dvalues);
}

/* ---- All rows and pixels */

/* What is done with some rows for n pixels from `first` on. */
typedef void rows_function(const struct rows *rows, const struct task *t, size_t first, size_t n);

/* Strips: wide ones, then narrower ones. */
INLINE void for_strips(size_t height, size_t vectors, const struct rows *rows, const struct task *t,
                       size_t first, size_t n,
                       void (*strip)(size_t height, size_t vectors, const struct rows *rows,
                                     const struct task *t, size_t first, size_t n))
{
    size_t q = first, end = first + n, width = vectors * WIDE;
    for (; q + width <= end; q += width) strip(height, vectors, rows, t, q, width);
    if (vectors > 4)
        for (; q + 4 * WIDE <= end; q += 4 * WIDE) strip(height, 4, rows, t, q, 4 * WIDE);
    if (vectors > 2)
        for (; q + 2 * WIDE <= end; q += 2 * WIDE) strip(height, 2, rows, t, q, 2 * WIDE);
    for (; vectors > 1 && q + WIDE <= end; q += WIDE) strip(height, 1, rows, t, q, WIDE);
    if (q < end) strip(height, 1, rows, t, q, end - q);
}

/* Each number of rows as a function of its own, in which it is a constant. */
#define ROWS(name, strip, height, vectors)                                                    \
    static __attribute__((noinline)) void name(const struct rows *rows, const struct task *t, \
                                               size_t first, size_t n)                        \
    {                                                                                         \
        for_strips(height, vectors, rows, t, first, n, strip);                                \
    }
ROWS(forward_8, forward_strip, 8, OF_8)
ROWS(forward_4, forward_strip, 4, OF_4)
ROWS(forward_1, forward_strip, 1, OF_1)
ROWS(backward_8, backward_strip, 8, BACK_8)
ROWS(backward_4, backward_strip, 4, BACK_4)
ROWS(backward_1, backward_strip, 1, OF_1)

static __attribute__((noinline)) void gradient_8(const struct rows *rows, const struct task *t,
                                                 size_t first, size_t n)
{
    gradient_rows(8, rows, t, first, n);
}

static __attribute__((noinline)) void gradient_4(const struct rows *rows, const struct task *t,
                                                 size_t first, size_t n)
{
    gradient_rows(4, rows, t, first, n);
}

static __attribute__((noinline)) void gradient_1(const struct rows *rows, const struct task *t,
                                                 size_t first, size_t n)
{
    gradient_rows(1, rows, t, first, n);
}

/* Does one of these for all rows of the factor. */
static void for_rows(const struct task *t, size_t first, size_t n, rows_function *of_8,
                     rows_function *of_4, rows_function *of_1)
{
    size_t n_groups = psm_count_groups(t->s->rows, t->s->block);
    for (size_t g = 0; g < n_groups; g++) {
        size_t height = (size_t)psm_group_height(t->s->rows, t->s->block, g);
        for (size_t r = 0, n_rows; r < height; r += n_rows) {
            n_rows = rows_together(t->s, height - r);
            struct rows rows = rows_at(t, g, r, n_rows);
            (n_rows == 8 ? of_8 : n_rows == 4 ? of_4 : of_1)(&rows, t, first, n);
        }
    }
}

/* Pixels of a tile: what all groups take of X stays in the second cache, and comes from memory in
 * long runs. */
static size_t tile_pixels(const struct psm_pattern *s)
{
    size_t strip = OF_1 * WIDE, fits = TILE_FLOATS / (size_t)s->width / strip * strip;
    return fits < strip ? strip : fits;
}

static void forward(const struct psm_pattern *s, const float *values, size_t n,
                    const struct pixel_rows *x, const struct pixel_rows *y)
{
    struct task t = { s, values, NULL, *x, *y };
    size_t tile = tile_pixels(s);
    for (size_t q = 0; q < n; q += tile)
        for_rows(&t, q, n - q < tile ? n - q : tile, forward_8, forward_4, forward_1);
}

static void backward(const struct psm_pattern *s, const float *values, size_t n,
                     const struct pixel_rows *dy, const struct pixel_rows *dx)
{
    struct task t = { s, values, NULL, *dx, *dy };
    size_t tile = tile_pixels(s);
    for (size_t q = 0; q < n; q += tile)
        for_rows(&t, q, n - q < tile ? n - q : tile, backward_8, backward_4, backward_1);
}

static void gradient(const struct psm_pattern *s, size_t n, const struct pixel_rows *x,
                     const struct pixel_rows *dy, float *dvalues)
{
    struct task t = { s, dvalues, dvalues, *x, *dy };
    for (size_t q = 0; q < n; q += CHUNK)
        for_rows(&t, q, n - q < CHUNK ? n - q : CHUNK, gradient_8, gradient_4, gradient_1);
}

const struct pixel_kernel KERNEL = { forward, gradient, backward };
