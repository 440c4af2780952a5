/* The kernel of sparse_kernel.h. This file is compiled once for each instruction set, with KERNEL
 * as the name of what it offers. */
#include "sparse_kernel.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL sparse_plain
#endif

/* ---- Entries and blocks */

INLINE size_t column_at(const void *columns, int wide, size_t p)
{
    return wide ? ((const uint32_t *)columns)[p] : ((const uint16_t *)columns)[p];
}

/* x at eight columns. */
INLINE vec gather(const float *x, const void *columns, int wide, size_t p)
{
#ifdef __AVX2__
    size_t c[LANES];
    uint64_t four[2];
    memcpy(four, (const uint16_t *)columns + p, sizeof four);
    for (size_t k = 0; k < LANES; k++)
        c[k] = wide ? column_at(columns, wide, p + k) : four[k / 4] >> 16 * (k % 4) & 0xffff;
    __m128 low = _mm_load_ss(x + c[0]), high = _mm_load_ss(x + c[4]);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[1]), 0x10);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[5]), 0x10);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[2]), 0x20);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[6]), 0x20);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[3]), 0x30);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[7]), 0x30);
    return (vec)_mm256_set_m128(high, low);
#else
    vec v = { 0 };
    for (size_t k = 0; k < LANES; k++) v[k] = x[column_at(columns, wide, p + k)];
    return v;
#endif
}

/* y = the rows of one slice. */
INLINE void slice(int bits, int wide, const struct sparse_factor *s, const uint32_t *lengths,
                  const void *columns, const char *values, const float *x, float *y)
{
    vec sums[2] = { 0 };
    size_t eight = lanes_bytes(bits), longest = lengths[0], shortest = lengths[LANES - 1], p = 0;
    for (; p + 2 <= shortest; p += 2, values += 2 * eight) {
        vec pair[2];
        lanes_pair(bits, values, s->levels, pair);
        sums[0] += pair[0] * gather(x, columns, wide, p * LANES);
        sums[1] += pair[1] * gather(x, columns, wide, (p + 1) * LANES);
    }
    for (; p < longest; p++, values += eight) {
        ivec is_entry = *(const ivec *)lengths > (int32_t)p;
        vec product = lanes_of(bits, values, s->levels) * gather(x, columns, wide, p * LANES);
        sums[0] += (vec)((ivec)product & is_entry);
    }
    *(vec *)y = sums[0] + sums[1];
}

/* low in the lower half of a vector, high in the upper one. */
INLINE vec halves_of(float low, float high)
{
    return (vec){ low, low, low, low, high, high, high, high };
}

/* y = those of a group of blocks of 8, or of 4 in the lower and upper half of the vectors. */
INLINE void blocks(int bits, int wide, int block, const void *columns, size_t count,
                   const char *values, const struct lanes_levels *levels, const float *x, float *y)
{
    enum { CHAINS = 4 };
    vec sums[CHAINS] = { 0 };
    size_t eight = lanes_bytes(bits), together = block == 8 ? 1 : 2, p = 0;
    for (; p + CHAINS * together <= count; p += CHAINS * together)
        for (size_t c = 0; c < CHAINS; c += 2, values += 2 * eight) {
            const size_t at = p + c * together, last = together - 1;
            vec pair[2];
            lanes_pair(bits, values, levels, pair);
            sums[c] += pair[0]
                * halves_of(x[column_at(columns, wide, at)],
                            x[column_at(columns, wide, at + last)]);
            sums[c + 1] += pair[1]
                * halves_of(x[column_at(columns, wide, at + together)],
                            x[column_at(columns, wide, at + together + last)]);
        }
    for (; p < count; p += together, values += eight) {
        float low = x[column_at(columns, wide, p)],
              high = p + together - 1 < count ? x[column_at(columns, wide, p + together - 1)] : 0;
        sums[0] += lanes_of(bits, values, levels) * halves_of(low, high);
    }
    sums[0] += sums[1] + (sums[2] + sums[3]);
    if (block == 8) *(vec *)y = sums[0];
    else
        for (int r = 0; r < 4; r++) y[r] = sums[0][r] + sums[0][r + 4];
}

/* ---- Bitmaps: the values of eight columns are spread over a vector */

/* Eight values from number i of values on. */
INLINE vec lanes_at(int bits, const char *values, size_t i, const struct lanes_levels *levels)
{
    if (bits >= 8) return lanes_of(bits, values + i * (size_t)bits / 8, levels);
    uint64_t word;
    memcpy(&word, values + i * (size_t)bits / 8, sizeof word);
    return lanes_few(bits, (uint32_t)(word >> i * (size_t)bits % 8), levels);
}

#ifdef __AVX2__
/* Which value of a byte's belongs to column k: the number of its bits below, or -1 without one. */
#define NUMBER(b, k) ((b) >> (k)&1 ? __builtin_popcount((b) & ((1 << (k)) - 1)) : -1)
#define NUMBERS(b)                                                                          \
    {                                                                                       \
        NUMBER(b, 0), NUMBER(b, 1), NUMBER(b, 2), NUMBER(b, 3), NUMBER(b, 4), NUMBER(b, 5), \
            NUMBER(b, 6), NUMBER(b, 7)                                                      \
    }
#define FOUR(b)       NUMBERS(b), NUMBERS((b) + 1), NUMBERS((b) + 2), NUMBERS((b) + 3)
#define SIXTEEN(b)    FOUR(b), FOUR((b) + 4), FOUR((b) + 8), FOUR((b) + 12)
#define SIXTY_FOUR(b) SIXTEEN(b), SIXTEEN((b) + 16), SIXTEEN((b) + 32), SIXTEEN((b) + 48)
static const signed char numbers[256][LANES] = { SIXTY_FOUR(0), SIXTY_FOUR(64), SIXTY_FOUR(128),
                                                 SIXTY_FOUR(192) };

/* The product of eight columns of x with the values from number i on that a byte sets. */
INLINE vec byte_product(int bits, uint32_t byte, const char *values, size_t i,
                        const struct lanes_levels *levels, const float *x)
{
    __m256i number = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)numbers[byte]));
    __m256 value = _mm256_permutevar8x32_ps((__m256)lanes_at(bits, values, i, levels), number);
    value = _mm256_blendv_ps(value, _mm256_setzero_ps(), _mm256_castsi256_ps(number));
    return (vec)value * *(const vec *)x;
}
#else
INLINE vec byte_product(int bits, uint32_t byte, const char *values, size_t i,
                        const struct lanes_levels *levels, const float *x)
{
    vec value = lanes_at(bits, values, i, levels), product = { 0 };
    for (size_t n = 0; byte; byte &= byte - 1, n++) {
        int k = __builtin_ctz(byte);
        product[k] = value[n] * x[k];
    }
    return product;
}
#endif

/* The product of one row. */
INLINE float bitmap_row(int bits, const char *bitmap, size_t width, const char *values,
                        const struct lanes_levels *levels, const float *x)
{
    vec sums[4] = { 0 };
    size_t i = 0, c = 0;
    for (; c + 4 * LANES <= width; c += 4 * LANES, bitmap += 4) {
        uint32_t word = lanes_word(bitmap);
        for (size_t q = 0; q < 4; q++) {
            uint32_t byte = word >> 8 * q & 0xff;
            sums[q] += byte_product(bits, byte, values, i, levels, x + c + q * LANES);
            i += (size_t)__builtin_popcount(byte);
        }
    }
    for (; c < width; c += LANES)
        for (unsigned byte = (unsigned char)*bitmap++; byte; byte &= byte - 1, i++)
            sums[0][0] += lanes_at(bits, values, i, levels)[0] * x[c + (size_t)__builtin_ctz(byte)];
    return lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

/* ---- A factor */

INLINE void slices(int bits, int wide, const struct sparse_factor *s, const float *x, float *y)
{
    const char *columns = s->columns, *values = s->values;
    for (size_t row = 0; row < (size_t)s->rows; row += LANES) {
        const uint32_t *lengths = s->lengths + row;
        vec sums;
        slice(bits, wide, s, lengths, columns, values, x, (float *)&sums);
        for (size_t r = 0; r < LANES; r++) y[s->order[row + r]] = sums[r];
        columns += lengths[0] * LANES * (wide ? sizeof(uint32_t) : sizeof(uint16_t));
        values += lengths[0] * lanes_bytes(bits);
    }
}

INLINE void bitmaps(int bits, const struct sparse_factor *s, const float *x, float *y)
{
    const char *bitmap = s->columns, *values = s->values;
    for (size_t row = 0; row < (size_t)s->rows; row++) {
        y[row] = bitmap_row(bits, bitmap, (size_t)s->width, values, s->levels, x);
        bitmap += ((size_t)s->width + 7) / 8;
        values += (s->lengths[row] + LANES - 1) / LANES * lanes_bytes(bits);
    }
}

INLINE void groups(int bits, int wide, int block, const struct sparse_factor *s, const float *x,
                   float *y)
{
    const char *columns = s->columns, *values = s->values;
    size_t height = (size_t)block;
    for (size_t row = 0, g = 0; row < (size_t)s->rows; row += height, g++) {
        size_t count = s->lengths[g];
        blocks(bits, wide, block, columns, count, values, s->levels, x, y + row);
        columns += count * (wide ? sizeof(uint32_t) : sizeof(uint16_t));
        values += (count * height + LANES - 1) / LANES * lanes_bytes(bits);
    }
}

/* y = S x for one number of bits, which is a constant here. */
INLINE void multiply_bits(int bits, const struct sparse_factor *s, const float *x, float *y)
{
    if (s->form == SPARSE_BITMAPS) bitmaps(bits, s, x, y);
    else if (s->form == SPARSE_SLICES && s->is_wide) slices(bits, 1, s, x, y);
    else if (s->form == SPARSE_SLICES) slices(bits, 0, s, x, y);
    else if (s->block == 4) groups(bits, s->is_wide, 4, s, x, y);
    else groups(bits, s->is_wide, 8, s, x, y);
}

static void multiply(const struct sparse_factor *s, const float *x, float *y)
{
    struct sparse_factor local = *s;
    const struct lanes_levels levels = *s->levels; /* which no output overlaps */
    local.levels = &levels;
    if (s->bits == 32) multiply_bits(32, &local, x, y);
    else if (s->bits == 8) multiply_bits(8, &local, x, y);
    else if (s->bits == 4) multiply_bits(4, &local, x, y);
    else if (s->bits == 3) multiply_bits(3, &local, x, y);
    else if (s->bits == 2) multiply_bits(2, &local, x, y);
    else multiply_bits(1, &local, x, y);
}

const struct sparse_kernel KERNEL = { multiply };
