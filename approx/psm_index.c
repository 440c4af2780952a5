#include "psm_index.h"
#include "psm.h"

#include <math.h>
#include <stdint.h>

enum { NIBBLE_REACH = 15, BYTE_REACH = 256 };

/* Escapes of 4 bits, and gaps that 8 bits do not reach. */
static void measure_gaps(const struct psm_sparse *s, size_t *escapes, size_t *unreached)
{
    *escapes = *unreached = 0;
    for (size_t g = 0; g < (size_t)s->n_groups; g++) {
        size_t least = 0;
        for (size_t p = s->start[g]; p < s->start[g + 1]; p++) {
            size_t gap = s->column[p] - least;
            *escapes += gap / NIBBLE_REACH;
            *unreached += gap >= BYTE_REACH;
            least = (size_t)s->column[p] + 1;
        }
    }
}

struct psm_index psm_index_narrowest(const struct psm_sparse *s)
{
    static const int forms[] = { 1, 4, 8, 16, 32 };
    struct psm_index best = { .bytes = SIZE_MAX };
    size_t escapes, unreached;
    measure_gaps(s, &escapes, &unreached);
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        int bits = forms[k];
        if ((bits == 4 && escapes > INT32_MAX) || (bits == 8 && unreached)
            || (bits == 16 && s->columns > 65536))
            continue;
        int own = bits == 4 ? (int)escapes : 0;
        size_t bytes = psm_structure_bytes(s->rows, s->columns, psm_sparse_values(s), bits,
                                           s->block, own);
        if (bytes < best.bytes) best = (struct psm_index){ bits, own, bytes };
    }
    return best;
}

size_t psm_index_measure(const struct psm_strided *dense, int block, struct psm_index *form)
{
    struct psm_sparse factor;
    size_t bytes = 0;
    if (psm_sparse_new(&factor, dense, block)) {
        *form = psm_index_narrowest(&factor);
        bytes = form->bytes + 4 * psm_sparse_values(&factor);
    }
    psm_sparse_free(&factor);
    return bytes;
}

/* Bytes of count blocks in a form, gaps being those of a random pattern. Gaps that 8 bits do not
 * reach are bridged by blocks next to nothing, or, without bridges, ruled out. */
static double foretell_form(int rows, int columns, int block, int value_bits, int bridges, int bits,
                            double count)
{
    double groups = ceil((double)rows / block), density = count / (groups * columns), extra = 0;
    if (density > 0 && (bits == 4 || bits == 8)) {
        double passed = pow(1 - density, bits == 4 ? NIBBLE_REACH : BYTE_REACH);
        extra = fmin(count * passed / (1 - passed), INT32_MAX / 2);
    }
    if (bits == 8 && !bridges && extra > .5) return INFINITY;
    double blocks = bits == 8 ? count + extra : count;
    return blocks * block * value_bits / 8
        + (double)psm_structure_bytes(rows, columns, (size_t)blocks * (size_t)block, bits, block,
                                      bits == 4 ? (int)extra : 0);
}

double psm_index_foretell(int rows, int columns, int block, int value_bits, int bridges,
                          double count)
{
    const int forms[] = { 1, 4, 8, columns <= 65536 ? 16 : 32 };
    double least = INFINITY;
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
        least = fmin(least,
                     foretell_form(rows, columns, block, value_bits, bridges, forms[k],
                                   count / block));
    return least;
}

size_t psm_index_room(int rows, int columns, int block, int value_bits, size_t bytes)
{
    double low = 0, high = ceil((double)rows / block) * columns;
    if (psm_index_foretell(rows, columns, block, value_bits, 0, high * block) <= (double)bytes)
        return (size_t)high * (size_t)block;
    while (high - low > 1) {
        double middle = floor((low + high) / 2);
        if (psm_index_foretell(rows, columns, block, value_bits, 0, middle * block)
            <= (double)bytes)
            low = middle;
        else high = middle;
    }
    return (size_t)low * (size_t)block;
}
