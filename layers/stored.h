/* The two forms of a matrix. In memory it is words: its values as float32, its scales as float32,
 * what else its family has. In a file, values of few bits stand as
 *
 *     scales   n_scales, bfloat16                                          padded to 4 bytes
 *     codes    n_values of bits each, from the low end of the first byte on    likewise
 *
 * (levels.h) and what else the family has behind them; of float32 values both forms are the same.
 *
 * Without a group the values of a row share a scale, in the sense of the family (family.h). With
 * group=G every G values that stand one behind the other do, whatever rows they belong to. */
#ifndef STORED_H
#define STORED_H

#include "family.h"

#include <stdint.h>

/* The i-th key that a section of the family may have: its own, then those of all families, bits and
 * group. NULL past the last. */
const char *sn_key_at(const struct sn_family *family, int i);

/* Whether it is one of them. */
int sn_has_key(const struct sn_family *family, const char *key);

/* The shape that a section describes, by the family's parse and the keys of all families. NULL as
 * with parse. */
struct sn_matrix *sn_parse(const struct cfg_section *section, int n_outputs, int n_inputs,
                           struct sn_error *error);

/* Writes the shape as cfg lines, which sn_parse reads. */
void sn_print_keys(const struct sn_matrix *matrix, FILE *file);

/* Gives the values of a shape another number of bits: n_scales and n_words change with it. group is
 * 0 with float32. SN_BAD_INPUT when the counts overflow an int. */
enum sn_status sn_set_bits(struct sn_matrix *matrix, int bits, int group, struct sn_error *error);

/* The scales, and what stands behind them, in words. */
float *sn_scales(const struct sn_matrix *matrix, float *words);
float *sn_structure(const struct sn_matrix *matrix, float *words);

/* The words that the stored form takes: a quarter of sn_matrix_bytes. */
size_t sn_stored_words(const struct sn_matrix *matrix);

/* map[n_values] <- the scale of each value; nothing for float32. The structure must be known. */
void sn_scale_map(const struct sn_matrix *matrix, uint32_t *map);

/* Sets the scales of words such that the values, rounded to levels, keep the mean square that they
 * have, scale by scale. SN_NO_MEMORY is the only failure. */
enum sn_status sn_start_scales(const struct sn_matrix *matrix, const uint32_t *map, float *words,
                               struct sn_error *error);

/* rounded[n_values], which may be words, <- the values of words, each put to the level times scale
 * next to it. */
void sn_round_values(const struct sn_matrix *matrix, const uint32_t *map, const float *words,
                     float *rounded);

/* Writes the stored form (sn_stored_words words) of words. Values that lie between levels are
 * rounded. SN_NO_MEMORY is the only failure. */
enum sn_status sn_store(const struct sn_matrix *matrix, const float *words, float *stored,
                        struct sn_error *error);

/* Reads the stored form into words[n_words], and the structure into matrix (family.h, unpack).
 * SN_BAD_INPUT names an index, scale or code that is out of range; SN_NO_MEMORY. */
enum sn_status sn_restore(struct sn_matrix *matrix, const float *stored, float *words,
                          struct sn_error *error);

#endif
