/* The kernel of sparse_kernel.h. This file is compiled once for each instruction set, with KERNEL
 * as the name of what it offers. */
#include "sparse_kernel.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL sparse_plain
#endif

/* ---- Tables of bytes */

#define IS_SET(b, k)  ((b) >> (k)&1)
#define COUNT(b)      __builtin_popcount(b)
#define BELOW(b, k)   COUNT((b) & ((1 << (k)) - 1))
#define FOUR(e, b)    e(b), e((b) + 1), e((b) + 2), e((b) + 3)
#define SIXTEEN(e, b) FOUR(e, b), FOUR(e, (b) + 4), FOUR(e, (b) + 8), FOUR(e, (b) + 12)
#define SIXTY(e, b)   SIXTEEN(e, b), SIXTEEN(e, (b) + 16), SIXTEEN(e, (b) + 32), SIXTEEN(e, (b) + 48)
#define ALL(e)        SIXTY(e, 0), SIXTY(e, 64), SIXTY(e, 128), SIXTY(e, 192)

/* Which bits of a byte are set, from the lowest on: entry n is the sum of the k for which bit k is
 * set and has n below it. */
#define PLACE(b, k, n) (IS_SET(b, k) && BELOW(b, k) == (n) ? (k) : 0)
#define NTH(b, n)                                                                       \
    (PLACE(b, 0, n) + PLACE(b, 1, n) + PLACE(b, 2, n) + PLACE(b, 3, n) + PLACE(b, 4, n) \
     + PLACE(b, 5, n) + PLACE(b, 6, n) + PLACE(b, 7, n))
#define PLACES(b)                                                                              \
    {                                                                                          \
        NTH(b, 0), NTH(b, 1), NTH(b, 2), NTH(b, 3), NTH(b, 4), NTH(b, 5), NTH(b, 6), NTH(b, 7) \
    }
static const uint8_t places[256][LANES] = { ALL(PLACES) };

/* ---- Columns */

/* Writes first + bytes[k] for each of eight. */
INLINE void add_bytes(const uint8_t *bytes, uint16_t first, uint16_t *to)
{
#ifdef __AVX2__
    __m128i wide = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)bytes));
    _mm_storeu_si128((__m128i *)to, _mm_add_epi16(wide, _mm_set1_epi16((short)first)));
#else
    for (int k = 0; k < LANES; k++) to[k] = (uint16_t)(first + bytes[k]);
#endif
}

static void columns_of_bitmap(const char *bitmap, size_t width, uint16_t *columns)
{
    for (size_t c = 0; c < width; c += 8) {
        unsigned char bits = (unsigned char)*bitmap++;
        add_bytes(places[bits], (uint16_t)c, columns);
        columns += COUNT(bits);
    }
}

/* A column is the sum of the distances up to its own, and 1 for each before it. */
static void columns_of_bytes(const char *indices, size_t count, uint16_t *columns)
{
#ifdef __AVX2__
    __m128i last = _mm_set1_epi16(-1);
    for (size_t p = 0; p < count; p += LANES) {
        __m128i sum = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(indices + p)));
        sum = _mm_add_epi16(sum, _mm_set1_epi16(1));
        sum = _mm_add_epi16(sum, _mm_slli_si128(sum, 2));
        sum = _mm_add_epi16(sum, _mm_slli_si128(sum, 4));
        sum = _mm_add_epi16(sum, _mm_slli_si128(sum, 8));
        sum = _mm_add_epi16(sum, last);
        _mm_storeu_si128((__m128i *)(columns + p), sum);
        last = _mm_shuffle_epi8(sum, _mm_set1_epi16(0x0f0e));
    }
#else
    uint32_t next = 0;
    for (size_t p = 0; p < count; p++, next++) {
        next += (unsigned char)indices[p];
        columns[p] = (uint16_t)next;
    }
#endif
}

/* to[n] = first + bytes[chosen[n]], eight of each. */
INLINE void add_chosen(uint64_t bytes, const uint8_t *chosen, uint16_t first, uint16_t *to)
{
#ifdef __AVX2__
    __m128i control = _mm_loadl_epi64((const __m128i *)chosen);
    __m128i wide = _mm_cvtepu8_epi16(
        _mm_shuffle_epi8(_mm_cvtsi64_si128((long long)bytes), control));
    _mm_storeu_si128((__m128i *)to, _mm_add_epi16(wide, _mm_set1_epi16((short)first)));
#else
    for (int n = 0; n < LANES; n++) to[n] = (uint16_t)(first + (bytes >> 8 * chosen[n] & 0xff));
#endif
}

/* Eight half bytes at a time: the bytes of one product are their sums, in which each but an escape
 * counts 1 more, and those of escapes are left out. Returns what follows the group's indices. */
static const char *columns_of_halves(const char *indices, size_t count, uint16_t *columns)
{
    const uint64_t each = 0x0101010101010101u, gather_bits = 0x0102040810204080u;
    for (uint32_t first = 0; count; indices += 4) {
        uint64_t halves = lanes_word(indices);
        halves = (halves | halves << 16) & 0x0000ffff0000ffffu;
        halves = (halves | halves << 8) & 0x00ff00ff00ff00ffu;
        halves = (halves | halves << 4) & 0x0f0f0f0f0f0f0f0fu;
        uint64_t is_column = ~((halves + each) >> 4) & each, sums = (halves + is_column) * each;
        unsigned bits = (unsigned)(is_column * gather_bits >> 56); /* bit k from byte k */
        size_t found = (size_t)COUNT(bits);
        add_chosen(sums - is_column, places[bits], (uint16_t)first, columns);
        if (found >= count) return indices + places[bits][count - 1] / 2 + 1;
        count -= found;
        columns += found;
        first += (uint32_t)(sums >> 56);
    }
    return indices;
}

/* ---- Products of one group */

INLINE size_t column_at(const void *columns, int wide, size_t p)
{
    return wide ? ((const uint32_t *)columns)[p] : ((const uint16_t *)columns)[p];
}

/* x at eight columns. */
INLINE vec gather(const float *x, const void *columns, int wide, size_t p)
{
#ifdef __AVX2__
    const size_t c[LANES] = { column_at(columns, wide, p),     column_at(columns, wide, p + 1),
                              column_at(columns, wide, p + 2), column_at(columns, wide, p + 3),
                              column_at(columns, wide, p + 4), column_at(columns, wide, p + 5),
                              column_at(columns, wide, p + 6), column_at(columns, wide, p + 7) };
    __m128 low = _mm_load_ss(x + c[0]), high = _mm_load_ss(x + c[4]);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[1]), 0x10);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[5]), 0x10);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[2]), 0x20);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[6]), 0x20);
    low = _mm_insert_ps(low, _mm_load_ss(x + c[3]), 0x30);
    high = _mm_insert_ps(high, _mm_load_ss(x + c[7]), 0x30);
    return (vec)_mm256_set_m128(high, low);
#else
    vec v;
    for (size_t k = 0; k < LANES; k++) v[k] = x[column_at(columns, wide, p + k)];
    return v;
#endif
}

/* The product of one row with single entries. */
INLINE float entries(int bits, int wide, const void *columns, size_t count, const char *values,
                     const struct lanes_levels *levels, const float *x)
{
    vec sums[2] = { 0 };
    size_t eight = lanes_bytes(bits), p = 0;
    for (; p + 2 * LANES <= count; p += 2 * LANES)
        for (size_t c = 0; c < 2; c++, values += eight)
            sums[c] += lanes_of(bits, values, levels) * gather(x, columns, wide, p + c * LANES);
    for (; p + LANES <= count; p += LANES, values += eight)
        sums[0] += lanes_of(bits, values, levels) * gather(x, columns, wide, p);
    vec rest = p < count ? lanes_of(bits, values, levels) : sums[1];
    for (size_t k = 0; p < count; p++, k++) sums[0][0] += rest[k] * x[column_at(columns, wide, p)];
    return lanes_sum(sums[0] + sums[1]);
}

/* y = those of a group of blocks of 8, or of 4 in the lower and upper half of the vectors. */
INLINE void blocks(int bits, int wide, int block, const void *columns, size_t count,
                   const char *values, const struct lanes_levels *levels, const float *x, float *y)
{
    enum { CHAINS = 4 };
    vec sums[CHAINS] = { 0 };
    size_t eight = lanes_bytes(bits), together = block == 8 ? 1 : 2, p = 0;
    for (; p + CHAINS * together <= count; p += CHAINS * together)
        for (size_t c = 0; c < CHAINS; c++, values += eight) {
            float low = x[column_at(columns, wide, p + c * together)],
                  high = x[column_at(columns, wide, p + c * together + together - 1)];
            sums[c] += lanes_of(bits, values, levels)
                * (vec){ low, low, low, low, high, high, high, high };
        }
    for (; p < count; p += together, values += eight) {
        float low = x[column_at(columns, wide, p)],
              high = p + together - 1 < count ? x[column_at(columns, wide, p + together - 1)] : 0;
        sums[0] += lanes_of(bits, values, levels)
            * (vec){ low, low, low, low, high, high, high, high };
    }
    sums[0] += sums[1] + (sums[2] + sums[3]);
    if (block == 8) *(vec *)y = sums[0];
    else
        for (int r = 0; r < 4; r++) y[r] = sums[0][r] + sums[0][r + 4];
}

/* ---- Bitmaps of single entries: the values of eight columns are spread over a vector */

#ifdef __AVX2__
/* Which value of a byte's belongs to column k: the number of its bits below, or -1 without one. */
#define NUMBER(b, k) (IS_SET(b, k) ? BELOW(b, k) : -1)
#define NUMBERS(b)                                                                          \
    {                                                                                       \
        NUMBER(b, 0), NUMBER(b, 1), NUMBER(b, 2), NUMBER(b, 3), NUMBER(b, 4), NUMBER(b, 5), \
            NUMBER(b, 6), NUMBER(b, 7)                                                      \
    }
static const signed char numbers[256][LANES] = { ALL(NUMBERS) };

/* Eight values from number i of values on. */
INLINE vec lanes_at(int bits, const char *values, size_t i, const struct lanes_levels *levels)
{
    if (bits >= 8) return lanes_of(bits, values + i * (size_t)bits / 8, levels);
    uint64_t word;
    memcpy(&word, values + i * (size_t)bits / 8, sizeof word);
    return lanes_few(bits, (uint32_t)(word >> i * (size_t)bits % 8), levels);
}

/* The product of one row with the values that a bitmap sets; whole is its width without what is
 * left of four bytes. */
INLINE float bitmap_row(int bits, const char *bitmap, size_t width, const char *values,
                        const struct lanes_levels *levels, const float *x)
{
    vec sums[4] = { 0 };
    size_t i = 0, c = 0;
    for (; c + 4 * LANES <= width; c += 4 * LANES, bitmap += 4) {
        uint32_t word = lanes_word(bitmap);
        for (int q = 0; q < 4; q++) {
            uint32_t byte = word >> 8 * q & 0xff;
            __m256i number = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)numbers[byte]));
            __m256 value = _mm256_permutevar8x32_ps((__m256)lanes_at(bits, values, i, levels),
                                                    number);
            value = _mm256_blendv_ps(value, _mm256_setzero_ps(), _mm256_castsi256_ps(number));
            sums[q] += (vec)value * *(const vec *)(x + c + (size_t)q * LANES);
            i += (size_t)__builtin_popcount(byte);
        }
    }
    for (; c < width; c += LANES)
        for (unsigned byte = (unsigned char)*bitmap++; byte; byte &= byte - 1, i++)
            sums[0][0] += lanes_at(bits, values, i, levels)[0] * x[c + (size_t)__builtin_ctz(byte)];
    return lanes_sum((sums[0] + sums[1]) + (sums[2] + sums[3]));
}
#endif

/* ---- A factor */

static const char *next_columns(const struct sparse_factor *s, const char *indices, size_t count,
                                uint16_t *columns)
{
    switch (s->index_bits) {
    case 1: columns_of_bitmap(indices, (size_t)s->width, columns); break;
    case 4: return columns_of_halves(indices, count, columns);
    case 8: columns_of_bytes(indices, count, columns); break;
    }
    return indices
        + (s->index_bits == 1 ? ((size_t)s->width + 7) / 8 : count * (size_t)s->index_bits / 8);
}

INLINE void multiply_bits(int bits, const struct sparse_factor *s, const float *x, float *y,
                          uint16_t *columns)
{
    int block = s->block, wide = s->index_bits == 32;
    size_t height = (size_t)block;
    const char *indices = s->indices, *values = s->values;
    for (size_t row = 0, g = 0; row < (size_t)s->rows; row += height, g++, y += block) {
        size_t count = s->lengths[g];
        const void *at = s->index_bits < 16 ? (const void *)columns : indices;
#ifdef __AVX2__
        if (s->index_bits == 1 && block == 1) {
            *y = bitmap_row(bits, indices, (size_t)s->width, values, s->levels, x);
            indices += ((size_t)s->width + 7) / 8;
        } else
#endif
        {
            indices = next_columns(s, indices, count, columns);
            if (block == 1 && wide) *y = entries(bits, 1, at, count, values, s->levels, x);
            else if (block == 1) *y = entries(bits, 0, at, count, values, s->levels, x);
            else if (block == 4) blocks(bits, wide, 4, at, count, values, s->levels, x, y);
            else blocks(bits, wide, 8, at, count, values, s->levels, x, y);
        }
        values += (count * height + LANES - 1) / LANES * lanes_bytes(bits);
    }
}

static void multiply(const struct sparse_factor *s, const float *x, float *y, uint16_t *columns)
{
    struct sparse_factor local = *s;
    const struct lanes_levels levels = *s->levels; /* which no output overlaps */
    local.levels = &levels;
    if (s->bits == 32) multiply_bits(32, &local, x, y, columns);
    else if (s->bits == 8) multiply_bits(8, &local, x, y, columns);
    else if (s->bits == 4) multiply_bits(4, &local, x, y, columns);
    else if (s->bits == 3) multiply_bits(3, &local, x, y, columns);
    else if (s->bits == 2) multiply_bits(2, &local, x, y, columns);
    else multiply_bits(1, &local, x, y, columns);
}

const struct sparse_kernel KERNEL = { multiply };
