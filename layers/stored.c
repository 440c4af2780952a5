#include "stored.h"

#include "indices.h"
#include "levels.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FLOAT_BITS = 32, LEAST_GROUP = 8, MOST_GROUP = 1 << 20 };

size_t sn_value_bytes(size_t n_values, size_t n_scales, int bits)
{
    return sn_index_bytes(n_values, bits)
        + (sn_bits_are_few(bits) ? sn_index_bytes(n_scales, 16) : 0);
}

enum sn_status sn_bits_check(int bits, int group, const char **key, struct sn_error *error)
{
    *key = "bits";
    if (!sn_bits_are_few(bits) && bits != FLOAT_BITS)
        return sn_fail(error, SN_BAD_INPUT, "expected 1, 2, 3, 4, 8 or 32, found %d", bits);
    *key = "group";
    if (group && bits == FLOAT_BITS)
        return sn_fail(error, SN_BAD_INPUT, "expected bits=1, 2, 3, 4 or 8 with it, found 32");
    if (group && (group < LEAST_GROUP || group > MOST_GROUP))
        return sn_fail(error, SN_BAD_INPUT, "expected 0 or %d to %d, found %d", LEAST_GROUP,
                       MOST_GROUP, group);
    return SN_OK;
}

static size_t count_scales(const struct sn_matrix *matrix, int bits, int group)
{
    if (bits == FLOAT_BITS) return 0;
    return group ? (matrix->n_values + (size_t)group - 1) / (size_t)group
                 : matrix->family->rows(matrix, NULL);
}

enum sn_status sn_matrix_set_bits(struct sn_matrix *matrix, int bits, int group,
                                  struct sn_error *error)
{
    const char *key;
    enum sn_status status = sn_bits_check(bits, group, &key, error);
    if (status) return status;
    size_t structure = matrix->n_words - sn_structure_at(matrix),
           n_scales = count_scales(matrix, bits, group),
           n_words = matrix->n_values + n_scales + structure;
    if (n_words > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "more than %d values, scales and indices", INT_MAX);
    matrix->bits = bits;
    matrix->group = group;
    matrix->n_scales = n_scales;
    matrix->n_words = n_words;
    matrix->n_bytes = sn_value_bytes(matrix->n_values, n_scales, bits) + 4 * structure;
    return SN_OK;
}

void sn_scale_map(const struct sn_matrix *matrix, uint32_t *map)
{
    size_t group = (size_t)matrix->group;
    if (!group) matrix->family->rows(matrix, map);
    for (size_t i = 0; group && i < matrix->n_values; i++) map[i] = (uint32_t)(i / group);
}

void sn_round(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
              float *rounded)
{
    size_t n = matrix->bits == FLOAT_BITS ? 0 : matrix->n_values;
    const float *scales = words + matrix->n_values;
    for (size_t i = 0; i < n; i++)
        rounded[i] = sn_level_round(matrix->bits, words[i], scales[map[i]]);
    if (rounded != words) memcpy(rounded + n, words + n, (matrix->n_words - n) * sizeof *words);
}

/* Where the codes and the structure start in the stored form. */
static size_t codes_at(const struct sn_matrix *matrix)
{
    return matrix->bits == FLOAT_BITS ? 0 : sn_index_bytes(matrix->n_scales, 16);
}

static size_t stored_structure_at(const struct sn_matrix *matrix)
{
    return sn_value_bytes(matrix->n_values, matrix->n_scales, matrix->bits);
}

static size_t structure_bytes(const struct sn_matrix *matrix)
{
    return matrix->n_bytes - stored_structure_at(matrix);
}

static void store_values(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
                         char *stored)
{
    char *codes = stored + codes_at(matrix);
    for (size_t k = 0; k < matrix->n_scales; k++)
        sn_index_put(stored, k, 16, sn_bfloat_of(words[matrix->n_values + k]));
    for (size_t i = 0; i < matrix->n_values; i++) {
        float scale = sn_bfloat_round(words[matrix->n_values + map[i]]),
              ratio = scale > 0 ? words[i] / scale : 0;
        if (!isfinite(words[i])) sn_index_put(stored, map[i], 16, sn_bfloat_of(NAN));
        sn_index_put(codes, i, matrix->bits,
                     sn_level_code(matrix->bits, sn_level_near(matrix->bits, ratio)));
    }
}

void sn_store(const struct sn_matrix *matrix, const uint32_t *map, const float *words, char *stored)
{
    size_t structure = stored_structure_at(matrix);
    if (matrix->bits == FLOAT_BITS) memcpy(stored, words, structure);
    else {
        memset(stored, 0, structure);
        store_values(matrix, map, words, stored);
    }
    memcpy(stored + structure, words + sn_structure_at(matrix), structure_bytes(matrix));
}

/* Reads the scales into words, and looks for codes of 8 bits that stand for nothing. */
static enum sn_status check_values(const struct sn_matrix *matrix, const char *stored, float *words,
                                   struct sn_error *error)
{
    float most = FLT_MAX / sn_level_most(matrix->bits), *scales = words + matrix->n_values;
    const char *codes = stored + codes_at(matrix);
    for (size_t k = 0; k < matrix->n_scales; k++) {
        scales[k] = sn_bfloat_value((uint16_t)sn_index_get(stored, k, 16));
        if (!(scales[k] >= 0 && scales[k] <= most))
            return sn_fail(error, SN_BAD_INPUT, "scale %zu: expected 0 to %g, found %g", k,
                           (double)most, (double)scales[k]);
    }
    for (size_t i = 0; matrix->bits == 8 && i < matrix->n_values; i++)
        if (!codes[i])
            return sn_fail(error, SN_BAD_INPUT, "value %zu: expected -127 to 127, found -128", i);
    return SN_OK;
}

enum sn_status sn_restore(struct sn_matrix *matrix, const char *stored, uint32_t *map, float *words,
                          struct sn_error *error)
{
    const char *codes = stored + codes_at(matrix);
    if (matrix->bits == FLOAT_BITS) {
        if (stored != (char *)words) memcpy(words, stored, matrix->n_bytes);
        return matrix->family->unpack(matrix, words, error);
    }
    enum sn_status status = check_values(matrix, stored, words, error);
    if (status) return status;
    memcpy(words + sn_structure_at(matrix), stored + stored_structure_at(matrix),
           structure_bytes(matrix));
    if ((status = matrix->family->unpack(matrix, words, error))) return status;
    sn_scale_map(matrix, map);
    for (size_t i = 0; i < matrix->n_values; i++)
        words[i] = words[matrix->n_values + map[i]]
            * sn_level_of(matrix->bits, sn_index_get(codes, i, matrix->bits));
    return SN_OK;
}

enum sn_status sn_stored_write(const struct sn_matrix *matrix, const float *words, FILE *file,
                               struct sn_error *error)
{
    if (matrix->bits == FLOAT_BITS) {
        fwrite(words, sizeof *words, matrix->n_words, file);
        return SN_OK;
    }
    enum sn_status status = SN_OK;
    uint32_t *map = malloc((matrix->n_values + 1) * sizeof *map);
    char *stored = malloc(matrix->n_bytes + 1);
    if (!map || !stored) status = sn_no_memory(error, "%zu values", matrix->n_values);
    else {
        sn_scale_map(matrix, map);
        sn_store(matrix, map, words, stored);
        fwrite(stored, 1, matrix->n_bytes, file);
    }
    free(map);
    free(stored);
    return status;
}

enum sn_status sn_start_scales(const struct sn_matrix *matrix, const uint32_t *map, float *words,
                               struct sn_error *error)
{
    int bits = matrix->bits;
    size_t n = matrix->n_values, n_scales = matrix->n_scales;
    float *scales = words + n;
    double *drawn = calloc(2 * n_scales + 1, sizeof *drawn);
    if (!drawn) return sn_no_memory(error, "%zu scales", n_scales);
    double *rounded = drawn + n_scales;
    memset(scales, 0, n_scales * sizeof *scales);
    for (size_t i = 0; i < n; i++)
        scales[map[i]] = fmaxf(scales[map[i]], fabsf(words[i]) / sn_level_most(bits));
    for (size_t i = 0; i < n; i++) {
        if (words[i] == 0) continue;
        drawn[map[i]] += (double)words[i] * (double)words[i];
        words[i] = sn_level_near(bits, words[i] / scales[map[i]]);
        rounded[map[i]] += (double)words[i] * (double)words[i];
    }
    for (size_t k = 0; k < n_scales; k++)
        scales[k] = rounded[k] > 0 ? sn_bfloat_round((float)sqrt(drawn[k] / rounded[k])) : 0;
    for (size_t i = 0; i < n; i++)
        words[i] = scales[map[i]] * (words[i] == 0 ? sn_level_near(bits, 0) : words[i]);
    free(drawn);
    return SN_OK;
}
