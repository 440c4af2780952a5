#include "stored.h"
#include "levels.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_GROUP = 8, MOST_GROUP = 1 << 20 };

const char *sn_key_at(const struct sn_family *family, int i)
{
    static const char *const common[] = { "bits", "group", NULL };
    int own = 0;
    while (own < i && family->keys[own]) own++;
    return family->keys[own] ? family->keys[own] : common[i - own];
}

int sn_has_key(const struct sn_family *family, const char *key)
{
    const char *known;
    for (int i = 0; (known = sn_key_at(family, i)); i++)
        if (!strcmp(known, key)) return 1;
    return 0;
}

/* ---- The shape */

static size_t words_of(size_t bytes) { return (bytes + 3) / 4; }

static size_t scale_words(const struct sn_matrix *matrix) { return words_of(2 * matrix->n_scales); }

static size_t code_words(const struct sn_matrix *matrix)
{
    return words_of((matrix->n_values * (size_t)matrix->bits + 7) / 8);
}

static size_t structure_words(const struct sn_matrix *matrix)
{
    return matrix->n_words - matrix->n_values - matrix->n_scales;
}

size_t sn_stored_words(const struct sn_matrix *matrix)
{
    if (matrix->bits == 32) return matrix->n_words;
    return scale_words(matrix) + code_words(matrix) + structure_words(matrix);
}

size_t sn_matrix_bytes(const struct sn_matrix *matrix)
{
    return sizeof(float) * sn_stored_words(matrix);
}

float *sn_scales(const struct sn_matrix *matrix, float *words) { return words + matrix->n_values; }

float *sn_structure(const struct sn_matrix *matrix, float *words)
{
    return words + matrix->n_values + matrix->n_scales;
}

enum sn_status sn_set_bits(struct sn_matrix *matrix, int bits, int group, struct sn_error *error)
{
    size_t structure = structure_words(matrix), n_scales = 0;
    if (bits < 32 && group) n_scales = (matrix->n_values + (size_t)group - 1) / (size_t)group;
    else if (bits < 32) n_scales = matrix->family->rows(matrix, NULL);
    if (matrix->n_values + n_scales + structure > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "more than %d values and scales", INT_MAX);
    matrix->bits = bits;
    matrix->group = group;
    matrix->n_scales = n_scales;
    matrix->n_words = matrix->n_values + n_scales + structure;
    return SN_OK;
}

static enum sn_status read_bits(const struct cfg_section *section, int *bits, int *group,
                                struct sn_error *error)
{
    *bits = 32;
    *group = 0;
    enum sn_status status = cfg_int(section, "bits", 1, bits, error);
    if (status) return status;
    if (!sn_bits_are_known(*bits))
        return cfg_fail(section, "bits", error, "expected 1, 2, 3, 4, 8 or 32, found %d", *bits);
    if (!cfg_find(section, "group")) return SN_OK;
    if (*bits == 32)
        return cfg_fail(section, "group", error, "expected it only with bits of 1 to 8");
    status = cfg_int(section, "group", LEAST_GROUP, group, error);
    if (!status && *group > MOST_GROUP)
        status = cfg_fail(section, "group", error, "expected at most %d, found %d", MOST_GROUP,
                          *group);
    return status;
}

struct sn_matrix *sn_parse(const struct cfg_section *section, int n_outputs, int n_inputs,
                           struct sn_error *error)
{
    const struct sn_family *family = sn_family_find(section->name);
    struct sn_error inner = { 0 };
    int bits, group;
    if (read_bits(section, &bits, &group, error)) return NULL;
    struct sn_matrix *matrix = family->parse(section, n_outputs, n_inputs, error);
    if (!matrix || !sn_set_bits(matrix, bits, group, &inner)) return matrix;
    cfg_fail(section, "bits", error, "%s", inner.message);
    free(matrix);
    return NULL;
}

void sn_print_keys(const struct sn_matrix *matrix, FILE *file)
{
    matrix->family->print_keys(matrix, file);
    if (matrix->bits < 32) fprintf(file, "bits=%d\n", matrix->bits);
    if (matrix->group) fprintf(file, "group=%d\n", matrix->group);
}

/* ---- Scales and levels */

void sn_scale_map(const struct sn_matrix *matrix, uint32_t *map)
{
    if (matrix->bits == 32) return;
    if (!matrix->group) matrix->family->rows(matrix, map);
    for (size_t i = 0; matrix->group && i < matrix->n_values; i++)
        map[i] = (uint32_t)(i / (size_t)matrix->group);
}

/* The level of a value; of a scale of 0, which holds no other, the value 0 has any. */
static float level_of(int bits, float value, float scale)
{
    return sn_level_near(bits, scale > 0 ? value / scale : 0);
}

enum sn_status sn_start_scales(const struct sn_matrix *matrix, const uint32_t *map, float *words,
                               struct sn_error *error)
{
    double *squares = calloc(2 * matrix->n_scales + 1, sizeof *squares);
    if (!squares) return sn_no_memory(error, "%zu scales", matrix->n_scales);
    float *scales = sn_scales(matrix, words);
    int bits = matrix->bits;
    /* Between the levels of 1 to 4 bits are equal steps or nearly so, and the largest stands half a
     * step below the end of its own. */
    float reach = bits == 8 ? 127 : sn_level_largest(bits) * (1 + 1.f / (float)((1 << bits) - 1));
    for (size_t s = 0; s < matrix->n_scales; s++) scales[s] = 0;
    for (size_t i = 0; i < matrix->n_values; i++)
        scales[map[i]] = fmaxf(scales[map[i]], fabsf(words[i]) / reach);
    for (size_t i = 0; i < matrix->n_values; i++) {
        double value = (double)words[i], scale = (double)scales[map[i]],
               level = (double)level_of(bits, words[i], scales[map[i]]);
        squares[2 * map[i]] += value * value;
        squares[2 * map[i] + 1] += scale * level * scale * level;
    }
    for (size_t s = 0; s < matrix->n_scales; s++) {
        double factor = squares[2 * s + 1] > 0 ? sqrt(squares[2 * s] / squares[2 * s + 1]) : 1;
        scales[s] = sn_bfloat16((float)(scales[s] * factor));
    }
    free(squares);
    return SN_OK;
}

void sn_round_values(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
                     float *rounded)
{
    const float *scales = words + matrix->n_values;
    for (size_t i = 0; i < matrix->n_values; i++)
        rounded[i] = level_of(matrix->bits, words[i], scales[map[i]]) * scales[map[i]];
}

/* ---- Files */

/* Codes one behind the other, from the low end of the first byte on. */
static void put_code(unsigned char *bytes, size_t i, int bits, uint32_t code)
{
    size_t at = i * (size_t)bits;
    for (int k = 0; k < bits; k++, at++)
        bytes[at / 8] |= (unsigned char)((code >> k & 1) << at % 8);
}

static uint32_t get_code(const unsigned char *bytes, size_t i, int bits)
{
    size_t at = i * (size_t)bits;
    uint32_t code = 0;
    for (int k = 0; k < bits; k++, at++) code |= (uint32_t)(bytes[at / 8] >> at % 8 & 1) << k;
    return code;
}

static uint32_t *new_map(const struct sn_matrix *matrix, struct sn_error *error)
{
    uint32_t *map = malloc((matrix->n_values + 1) * sizeof *map);
    if (map) sn_scale_map(matrix, map);
    else sn_no_memory(error, "%zu values", matrix->n_values);
    return map;
}

enum sn_status sn_store(const struct sn_matrix *matrix, const float *words, float *stored,
                        struct sn_error *error)
{
    if (matrix->bits == 32) {
        memcpy(stored, words, matrix->n_words * sizeof *stored);
        return SN_OK;
    }
    const float *scales = words + matrix->n_values, *structure = scales + matrix->n_scales;
    size_t before = scale_words(matrix) + code_words(matrix);
    uint32_t *map = new_map(matrix, error);
    if (!map) return SN_NO_MEMORY;
    memset(stored, 0, before * sizeof *stored);
    for (size_t s = 0; s < matrix->n_scales; s++) {
        uint16_t half = sn_bfloat16_bits(scales[s]);
        memcpy((char *)stored + 2 * s, &half, sizeof half);
    }
    unsigned char *codes = (unsigned char *)(stored + scale_words(matrix));
    for (size_t i = 0; i < matrix->n_values; i++)
        put_code(codes, i, matrix->bits,
                 sn_level_code(matrix->bits, level_of(matrix->bits, words[i], scales[map[i]])));
    memcpy(stored + before, structure, structure_words(matrix) * sizeof *stored);
    free(map);
    return SN_OK;
}

static enum sn_status read_scales(const struct sn_matrix *matrix, const float *stored,
                                  float *scales, struct sn_error *error)
{
    for (size_t s = 0; s < matrix->n_scales; s++) {
        uint16_t half;
        memcpy(&half, (const char *)stored + 2 * s, sizeof half);
        scales[s] = sn_bfloat16_of(half);
        if (!isfinite(scales[s]) || signbit(scales[s]))
            return sn_fail(error, SN_BAD_INPUT,
                           "scale %zu: found %g, expected a finite number not below 0", s,
                           (double)scales[s]);
    }
    return SN_OK;
}

enum sn_status sn_restore(struct sn_matrix *matrix, const float *stored, float *words,
                          struct sn_error *error)
{
    if (matrix->bits == 32) {
        if (words != stored) memcpy(words, stored, matrix->n_words * sizeof *words);
        return matrix->family->unpack(matrix, words, error);
    }
    float *scales = sn_scales(matrix, words);
    const float *codes = stored + scale_words(matrix);
    enum sn_status status = read_scales(matrix, stored, scales, error);
    if (status) return status;
    memcpy(sn_structure(matrix, words), codes + code_words(matrix),
           structure_words(matrix) * sizeof *words);
    if ((status = matrix->family->unpack(matrix, words, error))) return status;
    uint32_t *map = new_map(matrix, error);
    if (!map) return SN_NO_MEMORY;
    for (size_t i = 0; i < matrix->n_values && !status; i++) {
        uint32_t code = get_code((const unsigned char *)codes, i, matrix->bits);
        words[i] = sn_level_of(matrix->bits, code) * scales[map[i]];
        if (matrix->bits == 8 && !code)
            status = sn_fail(error, SN_BAD_INPUT,
                             "value %zu: code -128, expected one from -127 to 127", i);
    }
    free(map);
    return status;
}
