/* The two forms of a matrix' words: in memory and stored.
 *
 * In memory, float32 words: what products and gradients see.
 *
 *     values       n_values
 *     scales       n_scales, none with 32 bits
 *     structure    indices, orders: what the family packs and unpacks (family.h)
 *
 * Stored, n_bytes bytes in files, which budgets count. With 32 bits the same; with few bits
 * (levels.h) each of these arrays, padded with zeros to a multiple of 4 bytes:
 *
 *     scales       n_scales as bfloat16
 *     codes        n_values in the order of the values, code i at bit i*bits from the low end of
 *                  the first byte on; of 3 bits some cross bytes
 *     structure    the same bytes
 *
 * The scale of value i is number map[i], map being of sn_scale_map: with group=0 one for each row
 * of the family's (family.h), else one for every `group` values in storage order. */
#ifndef STORED_H
#define STORED_H

#include "family.h"

#include <stdint.h>

/* Where the structure starts in the words in memory. */
static inline size_t sn_structure_at(const struct sn_matrix *matrix)
{
    return matrix->n_values + matrix->n_scales;
}

/* Bytes of values and scales as they are stored. */
size_t sn_value_bytes(size_t n_values, size_t n_scales, int bits);

/* SN_BAD_INPUT when bits is not 1, 2, 3, 4, 8 or 32, or group is neither 0 nor, with few bits, 8 to
 * 2^20. *key receives the cfg key that is at fault. */
enum sn_status sn_bits_check(int bits, int group, const char **key, struct sn_error *error);

/* Gives a shape values of so many bits and a scale for each row (0) or for so many values: sets
 * bits, group, n_scales, n_words and n_bytes. Makers of shapes, who count n_values and n_words with
 * values alone, call it with 32 and 0. SN_BAD_INPUT as sn_bits_check, or when words exceed INT_MAX;
 * the shape is as before then. Words that the shape had do not fit it afterwards. */
enum sn_status sn_matrix_set_bits(struct sn_matrix *matrix, int bits, int group,
                                  struct sn_error *error);

/* Writes map[n_values]: the scale of each value. Few bits only; a sparse matrix has its pattern. */
void sn_scale_map(const struct sn_matrix *matrix, uint32_t *map);

/* rounded[n_words] = words with every value replaced by the nearest level times its scale; NaN
 * where a value is not finite. rounded may be words. With 32 bits a copy, and map is not read. */
void sn_round(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
              float *rounded);

/* Writes stored[n_bytes] from words: the scales as bfloat16, the values rounded under them. What is
 * not finite makes its scale NaN, so that restoring refuses it. With 32 bits map is not read. */
void sn_store(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
              char *stored);

/* Reads stored[n_bytes] into words[n_words] and the matrix' structure, and fills in map[n_values],
 * which may be NULL with 32 bits, as stored may be words. SN_BAD_INPUT when a scale is negative or
 * NaN or takes the largest level beyond the floats, a code stands for nothing, or the structure is
 * wrong: the matrix is unchanged then, words are undefined. Cost: a pass over the values. */
enum sn_status sn_restore(struct sn_matrix *matrix, const char *stored, uint32_t *map, float *words,
                          struct sn_error *error);

/* Writes the stored form of words into a file, whose failures stay in ferror(). SN_NO_MEMORY is the
 * only other one, and impossible with 32 bits. */
enum sn_status sn_stored_write(const struct sn_matrix *matrix, const float *words, FILE *file,
                               struct sn_error *error);

/* Scales for the values in words: the largest value of each scale becomes the largest level; values
 * become levels, and then the scale such that their mean square stays. Values of 0, which stand
 * where a sparse factor has no row, take no part, and become the level nearest to 0. map is as
 * sn_scale_map writes it. */
enum sn_status sn_start_scales(const struct sn_matrix *matrix, const uint32_t *map, float *words,
                               struct sn_error *error);

#endif
