/* The kernel of dense_kernel.h. This file is compiled once for each instruction set, with KERNEL as
 * the name of what it offers. */
#include "dense_kernel.h"

#include "lanes_vec.h"

#include <float.h>

#ifndef KERNEL
#define KERNEL dense_plain
#endif

/* All ones in the first n lanes; n from 1 to 8. */
static const int32_t ones[2 * LANES] = { -1, -1, -1, -1, -1, -1, -1, -1 };
INLINE ivec first_lanes(size_t n) { return *(const ivec *)(ones + LANES - n); }

/* sums += a column of some vectors times x. */
INLINE void add_column(int bits, size_t vectors, const char *values,
                       const struct lanes_levels *levels, float x, vec *sums)
{
    size_t eight = lanes_bytes(bits), k = 0;
    for (; k + 2 <= vectors; k += 2) {
        vec pair[2];
        lanes_pair(bits, values + k * eight, levels, pair);
        sums[k] += pair[0] * x;
        sums[k + 1] += pair[1] * x;
    }
    for (; k < vectors; k++) sums[k] += lanes_of(bits, values + k * eight, levels) * x;
}

/* y = or += the sums of one strip. */
INLINE void finish(int bits, size_t vectors, const struct dense_block *w, vec *sums, float *y,
                   int adds)
{
    for (size_t k = 0; k < vectors; k++) {
        if (bits != 32) sums[k] *= *(const vec *)(w->scales + k * LANES);
        if (k + 1 == vectors) sums[k] = (vec)((ivec)sums[k] & first_lanes(w->rows - k * LANES));
        if (adds) sums[k] += *(const vec *)(y + k * LANES);
        *(vec *)(y + k * LANES) = sums[k];
    }
}

/* One strip of some vectors of rows, the last of which may have fewer rows than lanes. A sum waits
 * for the one before it, so that a few columns have sums of their own. */
INLINE void strip(int bits, size_t vectors, size_t chains, const struct dense_block *w,
                  const float *x, float *y, int adds)
{
    size_t step = bits == 32 ? 4 * w->rows : vectors * lanes_bytes(bits), j = 0;
    const char *values = w->values;
    vec sums[8] = { 0 };
    for (; j + chains <= w->columns; j += chains)
        for (size_t c = 0; c < chains; c++, values += step)
            add_column(bits, vectors, values, w->levels, x[j + c], sums + c * vectors);
    for (; j < w->columns; j++, values += step)
        add_column(bits, vectors, values, w->levels, x[j], sums);
    for (size_t k = 0; k < vectors; k++)
        for (size_t c = 1; c < chains; c++) sums[k] += sums[c * vectors + k];
    finish(bits, vectors, w, sums, y, adds);
}

#ifdef __AVX512VNNI__
/* One strip of four vectors of rows in integers. Codes of four columns are brought side by side; as
 * the instruction wants one factor without a sign, values are 128 more than they are. Sum k has the
 * rows 4 k .. 4 k + 3 and 16 more each. */
INLINE void strip_of_codes(const struct dense_block *w, float *y, int adds)
{
    const __m256i sign = _mm256_set1_epi8((char)0x80);
    __m256i sums[4];
    for (size_t k = 0; k < 4; k++) sums[k] = _mm256_set1_epi32(-128 * w->x8->sum);
    for (size_t j = 0; j < w->columns; j += LANES_CODES) {
        __m256i column[LANES_CODES], pair[4];
        int32_t x;
        memcpy(&x, w->x8->codes + j, sizeof x);
        for (size_t c = 0; c < LANES_CODES; c++) {
            size_t at = j + c < w->columns ? j + c : j; /* any, as its code is 0 */
            column[c] = _mm256_loadu_si256((const __m256i *)(w->values + at * DENSE_STRIP));
        }
        pair[0] = _mm256_unpacklo_epi8(column[0], column[1]);
        pair[1] = _mm256_unpackhi_epi8(column[0], column[1]);
        pair[2] = _mm256_unpacklo_epi8(column[2], column[3]);
        pair[3] = _mm256_unpackhi_epi8(column[2], column[3]);
        for (size_t h = 0; h < 2; h++) {
            __m256i low = _mm256_unpacklo_epi16(pair[h], pair[2 + h]),
                    high = _mm256_unpackhi_epi16(pair[h], pair[2 + h]);
            sums[2 * h] = _mm256_dpbusd_epi32(sums[2 * h], _mm256_xor_si256(low, sign),
                                              _mm256_set1_epi32(x));
            sums[2 * h + 1] = _mm256_dpbusd_epi32(sums[2 * h + 1], _mm256_xor_si256(high, sign),
                                                  _mm256_set1_epi32(x));
        }
    }
    vec rows[4];
    for (size_t h = 0; h < 2; h++)
        for (size_t k = 0; k < 2; k++) {
            __m256i eight = h ? _mm256_permute2x128_si256(sums[2 * k], sums[2 * k + 1], 0x31)
                              : _mm256_permute2x128_si256(sums[2 * k], sums[2 * k + 1], 0x20);
            rows[2 * h + k] = (vec)_mm256_cvtepi32_ps(eight) * w->x8->scale;
        }
    finish(8, 4, w, rows, y, adds);
}
#endif

/* The strips of a block for one number of bits, which is a constant here. */
INLINE void multiply_bits(int bits, const struct dense_block *w, const float *x, float *y, int adds)
{
    struct dense_block left = *w;
    for (size_t rows = w->rows, height; rows; rows -= height) {
        left.rows = height = rows < DENSE_STRIP ? rows : DENSE_STRIP;
#ifdef __AVX512VNNI__
        if (bits == 8 && height > 24 && left.x8) strip_of_codes(&left, y, adds);
        else
#endif
            if (height > 24)
            strip(bits, 4, 2, &left, x, y, adds);
        else if (height > 16) strip(bits, 3, 2, &left, x, y, adds);
        else if (height > 8) strip(bits, 2, 4, &left, x, y, adds);
        else strip(bits, 1, 4, &left, x, y, adds);
        left.values += dense_bytes(bits, left.rows, left.columns);
        if (bits != 32) left.scales += left.rows;
        y += left.rows;
    }
}

static void multiply(const struct dense_block *w, const float *x, float *y, int adds)
{
    struct dense_block local = *w;
    const struct lanes_levels levels = *w->levels; /* which no output overlaps */
    local.levels = &levels;
    if (w->bits == 32) multiply_bits(32, &local, x, y, adds);
    else if (w->bits == 8) multiply_bits(8, &local, x, y, adds);
    else if (w->bits == 4) multiply_bits(4, &local, x, y, adds);
    else if (w->bits == 3) multiply_bits(3, &local, x, y, adds);
    else if (w->bits == 2) multiply_bits(2, &local, x, y, adds);
    else multiply_bits(1, &local, x, y, adds);
}

/* ---- Inputs of 8 bits */

INLINE vec largest(vec a, vec b)
{
    ivec is_larger = a > b;
    return (vec)(((ivec)a & is_larger) | ((ivec)b & ~is_larger));
}

/* x[j] and what follows it; zeros from x[n] on. */
INLINE vec some_of(const float *x, size_t j, size_t n)
{
    vec v = { 0 };
    if (j + LANES <= n) return *(const vec *)(x + j);
    memcpy(&v, x + j, (n - j) * sizeof *x);
    return v;
}

static float round_inputs(const float *x, size_t n, signed char *codes, float *rounded,
                          int32_t *sum)
{
    typedef signed char code_vec __attribute__((vector_size(8)));
    const vec magic = (vec){ 0 } + 0x1.8p23f; /* has its last bits behind no point */
    vec most = { 0 }, nothing = { 0 };        /* or no number, with such an input */
    ivec sums = { 0 };
    for (size_t j = 0; j < n; j += LANES) {
        vec v = some_of(x, j, n);
        most = largest((vec)((ivec)v & 0x7fffffff), most);
        nothing += v * 0;
    }
    float scale = 0;
    for (size_t k = 0; k < LANES; k++) scale = most[k] > scale ? most[k] : scale;
    scale = scale / 127 + lanes_sum(nothing);
    for (size_t j = 0; j < n; j += LANES) {
        size_t left = n - j < LANES ? n - j : LANES;
        vec v = { 0 };
        if (scale >= FLT_MIN) v = some_of(x, j, n) * (1 / scale);
        ivec level = (ivec)(v + magic) - (ivec)magic;
        code_vec code = __builtin_convertvector(level, code_vec);
        v = __builtin_convertvector(level, vec) * scale;
        sums += level;
        memcpy(codes + j, &code, left);
        memcpy(rounded + j, &v, left * sizeof *rounded);
    }
    *sum = 0;
    for (size_t k = 0; k < LANES; k++) *sum += sums[k];
    return scale;
}

const struct dense_kernel KERNEL = { multiply, round_inputs };
