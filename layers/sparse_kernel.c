/* The kernel of sparse_kernel.h. This file is compiled once for each instruction set, with KERNEL
 * as the name of what it offers. */
#include "sparse_kernel.h"

#include "lanes_vec.h"
#include "sparse_tile.h"

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

enum { CHAINS = 4, AHEAD = 2048 };

/* sums += those of one part of a group of blocks of 8, or of 4 in the lower and upper half of the
 * vectors. */
INLINE void part(int bits, int block, const uint16_t *columns, size_t count, const char *values,
                 const struct lanes_levels *levels, const float *x, vec sums[CHAINS])
{
    size_t eight = lanes_bytes(bits), together = block == 8 ? 1 : 2, p = 0;
    for (; p + CHAINS * together <= count; p += CHAINS * together)
        for (size_t c = 0; c < CHAINS; c += 2, values += 2 * eight) {
            const size_t at = p + c * together, last = together - 1;
            vec pair[2];
            lanes_pair(bits, values, levels, pair);
            sums[c] += pair[0] * halves_of(x[columns[at]], x[columns[at + last]]);
            sums[c + 1] += pair[1]
                * halves_of(x[columns[at + together]], x[columns[at + together + last]]);
        }
    for (; p < count; p += together, values += eight) {
        float low = x[columns[p]],
              high = p + together - 1 < count ? x[columns[p + together - 1]] : 0;
        sums[0] += lanes_of(bits, values, levels) * halves_of(low, high);
    }
}

/* y += the rows of one group in a panel. Returns what follows it. Codes take more steps a byte than
 * floats, so that the processor does not look far enough ahead. */
INLINE const char *blocks(int bits, int block, const char *at, size_t count,
                          const struct lanes_levels *levels, const float *x, float *y)
{
    vec sums[CHAINS] = { 0 };
    for (size_t left = count, n; left; left -= n) {
        n = left < SPARSE_PART ? left : SPARSE_PART;
        const char *values = at + sparse_part_columns(bits, n);
        size_t bytes = sparse_group_bytes(bits, (size_t)block, SPARSE_PART);
        for (size_t k = 0; bits != 32 && k < bytes; k += 64) __builtin_prefetch(at + AHEAD + k);
        part(bits, block, (const void *)at, n, values, levels, x, sums);
        at = values + sparse_part_values(bits, (size_t)block, n);
    }
    sums[0] += sums[1] + (sums[2] + sums[3]);
    if (block == 8) *(vec *)y += sums[0];
    else
        for (int r = 0; r < 4; r++) y[r] += sums[0][r] + sums[0][r + 4];
    return at;
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

INLINE void groups(int bits, int block, const struct sparse_factor *s, const float *x, float *y)
{
    const char *at = s->values;
    const uint32_t *length = s->lengths;
    memset(y, 0, sparse_result_floats(s->rows) * sizeof *y);
    for (size_t c = 0; c < (size_t)s->width; c += SPARSE_PANEL)
        for (size_t row = 0; row < (size_t)s->rows; row += (size_t)block)
            at = blocks(bits, block, at, *length++, s->levels, x + c, y + row);
}

#ifdef __AVX512VBMI__
/* ---- Tiles */

/* Sixteen values. */
INLINE __m512 sixteen(int bits, const char *codes, const struct lanes_levels *levels)
{
    if (bits == 32) return _mm512_loadu_ps(codes);
    if (bits == 8)
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)codes)));
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                  half = _mm512_setr_epi32(0, 8, 16, 24, 4, 12, 20, 28, 32, 40, 48, 56, 36, 44, 52,
                                           60),
                  place = bits == 4 ? half : _mm512_mullo_epi32(lane, _mm512_set1_epi32(bits));
    uint64_t word;
    memcpy(&word, codes, sizeof word);
    __m512i index = _mm512_multishift_epi64_epi8(place, _mm512_set1_epi64((long long)word));
    return _mm512_permutexvar_ps(index, _mm512_loadu_ps(levels->level));
}

/* x of a tile as four planes of bytes, the lowest first; zeros behind the last column. */
struct planes {
    __m512i low[4], high[4]; /* of the first and the last 64 columns */
};

INLINE struct planes planes_of(const float *x, size_t columns)
{
    _Alignas(64) char bytes[4][TILE_COLUMNS];
    struct planes p;
    for (size_t c = 0; c < TILE_COLUMNS; c += TILE_ROWS) {
        size_t left = columns > c ? columns - c : 0;
        __mmask16 some = left < TILE_ROWS ? (__mmask16)((1u << left) - 1) : 0xffff;
        __m512i word = _mm512_maskz_loadu_epi32(some, x + (left ? c : 0));
        for (size_t k = 0; k < 4; k++, word = _mm512_srli_epi32(word, 8))
            _mm_store_si128((__m128i *)(bytes[k] + c), _mm512_cvtepi32_epi8(word));
    }
    for (size_t k = 0; k < 4; k++) {
        p.low[k] = _mm512_load_si512(bytes[k]);
        p.high[k] = _mm512_load_si512(bytes[k] + 64);
    }
    return p;
}

/* x at the columns of four entries of each of sixteen rows. */
INLINE void permute(const struct planes *p, __m512i columns, __m512 x[4])
{
    __m512i byte[4];
    for (size_t k = 0; k < 4; k++)
        byte[k] = _mm512_permutex2var_epi8(p->low[k], columns, p->high[k]);
    __m512i low[2] = { _mm512_unpacklo_epi8(byte[0], byte[1]),
                       _mm512_unpacklo_epi8(byte[2], byte[3]) },
            high[2] = { _mm512_unpackhi_epi8(byte[0], byte[1]),
                        _mm512_unpackhi_epi8(byte[2], byte[3]) };
    x[0] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(low[0], low[1]));
    x[1] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(low[0], low[1]));
    x[2] = _mm512_castsi512_ps(_mm512_unpacklo_epi16(high[0], high[1]));
    x[3] = _mm512_castsi512_ps(_mm512_unpackhi_epi16(high[0], high[1]));
}

/* y += the rows of one slice of a tile. Returns what follows it. */
INLINE const char *tile_slice(int bits, const char *at, const struct planes *p,
                              const struct lanes_levels *levels, float *y)
{
    const struct tile_slice *head = (const struct tile_slice *)(const void *)at;
    size_t longest = head->lengths[0], shortest = head->lengths[TILE_ROWS - 1], q = 0;
    __m512i lengths = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)head->lengths));
    __m512 sums[4] = { _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(),
                       _mm512_setzero_ps() };
    at += sizeof *head;
    for (; q < longest; q += TILE_ENTRIES) {
        __m512 x[TILE_ENTRIES];
        permute(p, _mm512_loadu_si512(at), x);
        at += TILE_COLUMN_BYTES;
        if (q + TILE_ENTRIES <= shortest)
            for (size_t k = 0; k < TILE_ENTRIES; k++, at += tile_value_bytes(bits))
                sums[k] = _mm512_fmadd_ps(sixteen(bits, at, levels), x[k], sums[k]);
        else
            for (size_t k = 0; k < TILE_ENTRIES && q + k < longest; k++) {
                __mmask16 is_entry = _mm512_cmpgt_epi32_mask(lengths,
                                                             _mm512_set1_epi32((int)(q + k)));
                sums[k] = _mm512_mask3_fmadd_ps(sixteen(bits, at, levels), x[k], sums[k], is_entry);
                at += tile_value_bytes(bits);
            }
    }
    _Alignas(64) float sum[TILE_ROWS];
    _mm512_store_ps(sum, (sums[0] + sums[1]) + (sums[2] + sums[3]));
    for (size_t r = 0; r < TILE_ROWS; r++) y[head->rows[r]] += sum[r];
    return at;
}

/* x of a tile in codes, 128 more than they are; behind the last column anything but what is chosen.
 */
struct code_planes {
    __m512i low, high;
    float scale;
};

INLINE struct code_planes code_planes_of(const struct lanes_codes *x, size_t c, size_t width)
{
    __m512i half[2];
    for (size_t h = 0; h < 2; h++, c += 64) {
        __mmask64 some = c >= width ? 0 : width - c >= 64 ? ~0ull : (1ull << (width - c)) - 1;
        half[h] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(some, x->codes + (some ? c : 0)),
                                   _mm512_set1_epi8((char)0x80));
    }
    return (struct code_planes){ half[0], half[1], x->scale };
}

/* tile_slice in integers: the entries of a row are brought side by side. What is behind its end has
 * the value 0. */
INLINE const char *code_slice(const char *at, const struct code_planes *p, float *y)
{
    const __m512i of_columns = _mm512_broadcast_i32x4(
                      _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)),
                  row = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                  of_values = _mm512_add_epi32(_mm512_mullo_epi32(row,
                                                                  _mm512_set1_epi32(0x01010101)),
                                               _mm512_set1_epi32(0x30201000));
    const struct tile_slice *head = (const struct tile_slice *)(const void *)at;
    __m512i sums = _mm512_setzero_si512(), more = sums;
    at += sizeof *head;
    for (size_t left = head->lengths[0], n; left; left -= n) {
        n = left < TILE_ENTRIES ? left : TILE_ENTRIES;
        __mmask64 some = n < TILE_ENTRIES ? (1ull << n * TILE_ROWS) - 1 : ~0ull;
        __m512i columns = _mm512_shuffle_epi8(_mm512_loadu_si512(at), of_columns),
                x = _mm512_permutex2var_epi8(p->low, columns, p->high),
                values = _mm512_permutexvar_epi8(of_values,
                                                 _mm512_maskz_loadu_epi8(some,
                                                                         at + TILE_COLUMN_BYTES));
        sums = _mm512_dpbusd_epi32(sums, x, values);
        more = _mm512_dpbusd_epi32(more, _mm512_set1_epi8((char)0x80), values);
        at += TILE_COLUMN_BYTES + n * TILE_ROWS;
    }
    _Alignas(64) float sum[TILE_ROWS];
    _mm512_store_ps(sum, _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, more)) * p->scale);
    for (size_t r = 0; r < TILE_ROWS; r++) y[head->rows[r]] += sum[r];
    return at;
}

INLINE void tiles(int bits, const struct sparse_factor *s, const float *x, float *y)
{
    const char *at = s->values;
    size_t width = (size_t)s->width, tile = 0;
    memset(y, 0, sparse_result_floats(s->rows) * sizeof *y);
    for (size_t c = 0; c < width; c += TILE_COLUMNS, tile++)
        if (bits == 8 && s->x8) {
            struct code_planes p = code_planes_of(s->x8, c, width);
            for (uint32_t i = 0; i < s->lengths[tile]; i++) at = code_slice(at, &p, y);
        } else {
            struct planes p = planes_of(x + c, width - c);
            for (uint32_t i = 0; i < s->lengths[tile]; i++)
                at = tile_slice(bits, at, &p, s->levels, y);
        }
}
#endif

/* y = S x for one number of bits, which is a constant here. */
INLINE void multiply_bits(int bits, const struct sparse_factor *s, const float *x, float *y)
{
#ifdef __AVX512VBMI__
    if (s->form == SPARSE_TILES) {
        tiles(bits, s, x, y);
        return;
    }
#endif
    if (s->form == SPARSE_BITMAPS) bitmaps(bits, s, x, y);
    else if (s->form == SPARSE_SLICES && s->is_wide) slices(bits, 1, s, x, y);
    else if (s->form == SPARSE_SLICES) slices(bits, 0, s, x, y);
    else if (s->block == 4) groups(bits, 4, s, x, y);
    else groups(bits, 8, s, x, y);
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

#ifdef __AVX512VBMI__
const struct sparse_kernel KERNEL = { 1, multiply };
#else
const struct sparse_kernel KERNEL = { 0, multiply };
#endif
