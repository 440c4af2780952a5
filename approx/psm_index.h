/* The forms in which a factor's pattern can be stored, and the one that takes the least room. */
#ifndef PSM_INDEX_H
#define PSM_INDEX_H

#include "psm_sparse.h"

struct psm_index {
    int bits;    /* as in struct psm_layout */
    int escapes; /* with 4 bits */
    size_t bytes;
};

/* The narrowest form of a factor; 8 bits only where no columns are farther apart than they reach.
 */
struct psm_index psm_index_narrowest(const struct psm_sparse *factor);

/* Bytes of the entries of dense as a factor of floats in its narrowest form; 0 when memory runs
 * out.
 */
size_t psm_index_measure(const struct psm_strided *dense, int block, struct psm_index *form);

/* Bytes of a rows x columns factor of count values, of value_bits bits, in the best form, as
 * foretold for a pattern of independent entries; bridges: whether entries may be added where gaps
 * are too wide for 8 bits (psm_bridge). */
double psm_index_foretell(int rows, int columns, int block, int value_bits, int bridges,
                          double count);

/* How many values of value_bits bits a rows x columns factor can have within that many bytes, in
 * the best form, as psm_index_foretell says without bridges. Whole blocks. */
size_t psm_index_room(int rows, int columns, int block, int value_bits, size_t bytes);

#endif
