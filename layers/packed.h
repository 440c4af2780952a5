/* Matrices made ready for products with one vector at a time: their values as narrow as they are
 * stored, in the order in which a kernel reads them.
 *
 * Where a family has no packed form, or the scales of values of few bits do not belong to rows
 * (group is not 0), a packed matrix holds its words and is multiplied by forward() of family.h. */
#ifndef PACKED_H
#define PACKED_H

#include "family.h"
#include "lanes.h"

/* What a family packs, aligned to 64 bytes, and what its kernels share. */
struct sn_packed {
    const struct sn_matrix *matrix;
    void (*multiply)(const struct sn_packed *packed, const float *x, float *y, float *scratch);
    size_t n_scratch;  /* floats of scratch that a product needs */
    int rounds_inputs; /* to 8 bits, for values of 8 bits (sn_packed_round) */
    struct lanes_levels levels;
    _Alignas(64) char data[];
};

/* A packed matrix with room for so many bytes of data, zeros, and those that kernels may read
 * behind them. NULL and error when there is no memory. */
struct sn_packed *sn_packed_room(const struct sn_matrix *matrix, size_t n_bytes,
                                 struct sn_error *error);

/* Floats of scratch that rounding a vector of n takes; 0 for a matrix that does not round. */
size_t sn_packed_round_floats(const struct sn_packed *packed, size_t n);

/* Where packed rounds its inputs, rounds x as dense_kernel.h has it: x8 is filled, and what is
 * returned is the rounded x in scratch (sn_packed_round_floats()). Else returns x, and x8 is left
 * alone. */
const float *sn_packed_round(const struct sn_packed *packed, const float *x, size_t n,
                             struct lanes_codes *x8, float *scratch);

/* Writes a value as lane `lane` of the eight at place: a float, or the code of the level nearest to
 * value / scale. */
void sn_packed_put(int bits, float value, float scale, char *place, size_t lane);

#endif
