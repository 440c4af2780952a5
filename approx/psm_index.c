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

/* Bytes of count blocks in a form, gaps being those of a random pattern. */
static double foretell(int rows, int columns, int block, int value_bits, int bits, double count)
{
    double groups = ceil((double)rows / block), density = count / (groups * columns);
    double passed = pow(1 - density, NIBBLE_REACH), values = count * block * value_bits / 8;
    double escapes = density > 0 && bits == 4 ? count * passed / (1 - passed) : 0;
    if (bits == 8 && pow(1 - density, BYTE_REACH) * count > .5) return INFINITY;
    escapes = fmin(escapes, INT32_MAX / 2);
    return values
        + (double)psm_structure_bytes(rows, columns, (size_t)count * (size_t)block, bits, block,
                                      (int)escapes);
}

size_t psm_index_room(int rows, int columns, int block, int value_bits, size_t bytes)
{
    const int forms[] = { 1, 4, 8, columns <= 65536 ? 16 : 32 };
    double most = 0, full = ceil((double)rows / block) * columns;
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        double low = 0, high = full;
        if (foretell(rows, columns, block, value_bits, forms[k], full) <= (double)bytes) low = full;
        for (int step = 0; step < 60 && high - low > .5; step++) {
            double middle = floor((low + high) / 2);
            if (foretell(rows, columns, block, value_bits, forms[k], middle) <= (double)bytes)
                low = middle;
            else high = middle;
            if (high - low <= 1) break;
        }
        most = fmax(most, low);
    }
    return (size_t)most * (size_t)block;
}
