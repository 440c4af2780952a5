#include "packed.h"

#include "indices.h"
#include "isa.h"
#include "levels.h"
#include "stored.h"

#include <stdlib.h>

enum { ALIGNED = 64, BEHIND = 64 }; /* bytes; sparse_kernel.h may read that many behind the data */

struct sn_packed *sn_packed_room(const struct sn_matrix *matrix, size_t n_bytes,
                                 struct sn_error *error)
{
    size_t whole = (sizeof(struct sn_packed) + n_bytes + BEHIND + ALIGNED - 1) / ALIGNED * ALIGNED;
    struct sn_packed *packed = aligned_alloc(ALIGNED, whole);
    if (!packed) {
        sn_no_memory(error, "%zu bytes of packed values", n_bytes);
        return NULL;
    }
    memset(packed, 0, whole);
    packed->matrix = matrix;
    packed->rounds_inputs = matrix->bits == 8 && sn_rounds_inputs();
    for (uint32_t c = 0; matrix->bits < 8 && c < 16; c++) {
        float level = sn_level_of(matrix->bits, c & ((1u << matrix->bits) - 1));
        packed->levels.level[c] = level;
        packed->levels.low[c] = (unsigned char)(sn_bfloat_of(level) & 0xff);
        packed->levels.high[c] = (unsigned char)(sn_bfloat_of(level) >> 8);
    }
    return packed;
}

void sn_packed_put(int bits, float value, float scale, char *place, size_t lane)
{
    float level = bits == 32 ? 0 : sn_level_near(bits, scale > 0 ? value / scale : 0);
    signed char byte = (signed char)level;
    if (bits == 32) memcpy(place + lane * sizeof value, &value, sizeof value);
    else if (bits == 8) memcpy(place + lane, &byte, 1);
    else if (bits == 4) sn_index_put(place, 2 * (lane % 4) + lane / 4, 4, sn_level_code(4, level));
    else sn_index_put(place, lane, bits, sn_level_code(bits, level));
}

/* ---- Inputs of 8 bits */

size_t sn_packed_round_floats(const struct sn_packed *packed, size_t n)
{
    return packed->rounds_inputs ? n + (n + LANES_CODES - 1) / LANES_CODES : 0;
}

const float *sn_packed_round(const struct sn_packed *packed, const float *x, size_t n,
                             struct lanes_codes *x8, float *scratch)
{
    signed char *codes = (signed char *)(scratch + n);
    int32_t sum;
    if (!packed->rounds_inputs) return x;
    float scale = sn_kernels()->dense->round(x, n, codes, scratch, &sum);
    memset(codes + n, 0, (LANES_CODES - n % LANES_CODES) % LANES_CODES);
    *x8 = (struct lanes_codes){ codes, scale, sum };
    return scratch;
}

/* ---- What is not packed */

static void multiply_words(const struct sn_packed *packed, const float *x, float *y, float *scratch)
{
    sn_multiply(packed->matrix, (const float *)packed->data, 1, x, y, scratch);
}

static struct sn_packed *keep_words(const struct sn_matrix *matrix, const float *words,
                                    struct sn_error *error)
{
    size_t n_bytes = matrix->n_words * sizeof *words;
    struct sn_packed *packed = sn_packed_room(matrix, n_bytes, error);
    if (!packed) return NULL;
    packed->multiply = multiply_words;
    packed->n_scratch = matrix->n_states;
    memcpy(packed->data, words, n_bytes);
    return packed;
}

struct sn_packed *sn_pack(const struct sn_matrix *matrix, const float *words,
                          struct sn_error *error)
{
    if (!matrix->family->pack || matrix->group) return keep_words(matrix, words, error);
    return matrix->family->pack(matrix, words, error);
}

size_t sn_packed_scratch(const struct sn_packed *packed) { return packed->n_scratch; }

void sn_packed_multiply(const struct sn_packed *packed, const float *x, float *y, float *scratch)
{
    packed->multiply(packed, x, y, scratch);
}
