/* The pattern of a PSM as words of a .weights file, and what it takes there. */
#include "indices.h"
#include "psm_kernel.h"
#include "psm_shape.h"
#include "stored.h"

#include <stdlib.h>
#include <string.h>

enum { ESCAPE = 15 }; /* the nibble for so many columns to be skipped */

/* Of one group. */
static size_t bitmap_bytes(int columns) { return ((size_t)columns + 7) / 8; }

uint32_t psm_reach(int index_bits)
{
    return index_bits == 4 ? ESCAPE - 1 : index_bits == 8 ? UINT8_MAX : UINT32_MAX;
}

size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block)
{
    if (!index_bits) index_bits = sn_index_bits_for(columns);
    if (!block) block = 1;
    return 4 * nonzeros
        + psm_structure_bytes(rows, columns, nonzeros / (size_t)block, index_bits, 0, block);
}

size_t psm_structure_bytes(int rows, int columns, size_t n_blocks, int index_bits, int escapes,
                           int block)
{
    size_t groups = psm_count_groups(rows, block);
    if (index_bits == 1) return sn_index_bytes(groups * bitmap_bytes(columns), 8);
    return sn_index_bytes(n_blocks + (size_t)escapes, index_bits)
        + sn_index_bytes(groups, sn_index_bits_for(columns + 1));
}

size_t psm_order_bytes(int n_outputs) { return sn_order_bytes(n_outputs); }

static char *write_bitmaps(char *bytes, const struct psm_factor *f)
{
    size_t width = bitmap_bytes(f->width);
    for (size_t g = 0; g < f->n_groups; g++)
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++) {
            char *at = bytes + g * width + f->columns[p] / 8;
            *at = (char)((uint8_t)*at | 1u << f->columns[p] % 8);
        }
    return bytes + sn_index_bytes(f->n_groups * width, 8);
}

/* Writes one factor's columns and group lengths. Returns what follows. */
static char *write_factor(char *bytes, const struct psm_factor *f)
{
    int bits = f->index_bits, length_bits = sn_index_bits_for(f->width + 1);
    size_t at = 0;
    if (bits == 1) return write_bitmaps(bytes, f);
    for (size_t g = 0; g < f->n_groups; g++)
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++) {
            uint32_t index = f->columns[p];
            if (bits < 16) index -= psm_least_column(f->columns, f->row_starts[g], p);
            for (; bits == 4 && index >= ESCAPE; index -= ESCAPE)
                sn_index_put(bytes, at++, bits, ESCAPE);
            sn_index_put(bytes, at++, bits, index);
        }
    bytes += sn_index_bytes(f->n_blocks + (size_t)f->escapes, bits);
    for (size_t g = 0; g < f->n_groups; g++)
        sn_index_put(bytes, g, length_bits, f->row_starts[g + 1] - f->row_starts[g]);
    return bytes + sn_index_bytes(f->n_groups, length_bits);
}

void psm_pack(const struct psm *shape, float *words)
{
    const struct sn_matrix *matrix = &shape->matrix;
    char *bytes = (char *)sn_structure(matrix, words);
    memset(bytes, 0, 4 * (matrix->n_words - matrix->n_values - matrix->n_scales));
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        bytes = write_factor(bytes, &f);
    }
    if (shape->order) sn_order_pack(shape->order, shape->matrix.n_outputs, bytes);
}

/* Reads columns and group lengths from bitmaps; blocks beyond those that there are get no column.
 * Returns what follows. */
static const char *read_bitmaps(const char *bytes, struct psm_factor *f)
{
    size_t width = bitmap_bytes(f->width), n = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        size_t before = n;
        for (size_t c = 0; c < 8 * width; c++)
            if ((uint8_t)bytes[g * width + c / 8] >> c % 8 & 1) {
                if (n < f->n_blocks) f->columns[n] = (uint32_t)c;
                n++;
            }
        f->row_starts[g + 1] = (uint32_t)(n - before);
    }
    return bytes + sn_index_bytes(f->n_groups * width, 8);
}

/* Turns the nibbles of a factor whose group lengths are read into differences as 8 bits hold them.
 */
static enum sn_status read_nibbles(const char *bytes, struct psm_factor *f, int number,
                                   struct sn_error *error)
{
    size_t at = 0, end = f->n_blocks + (size_t)f->escapes;
    for (size_t p = 0; p < f->n_blocks; p++) {
        uint32_t nibble = ESCAPE;
        f->columns[p] = 0;
        while (nibble == ESCAPE && at < end) f->columns[p] += nibble = sn_index_get(bytes, at++, 4);
        if (nibble == ESCAPE)
            return sn_fail(error, SN_BAD_INPUT,
                           "factor %d: expected at most %d escapes, found more", number,
                           f->escapes);
    }
    for (; at < end; at++)
        if (sn_index_get(bytes, at, 4))
            return sn_fail(error, SN_BAD_INPUT,
                           "factor %d: expected 0 behind the last index, found %u", number,
                           sn_index_get(bytes, at, 4));
    return SN_OK;
}

/* Reads one factor's columns as they are stored, and its group lengths into row_starts[1..].
 * Returns what follows. */
static const char *read_factor(const char *bytes, struct psm_factor *f)
{
    int length_bits = sn_index_bits_for(f->width + 1);
    if (f->index_bits == 1) return read_bitmaps(bytes, f);
    for (size_t p = 0; p < f->n_blocks; p++) f->columns[p] = sn_index_get(bytes, p, f->index_bits);
    bytes += sn_index_bytes(f->n_blocks + (size_t)f->escapes, f->index_bits);
    for (size_t g = 0; g < f->n_groups; g++)
        f->row_starts[g + 1] = sn_index_get(bytes, g, length_bits);
    return bytes + sn_index_bytes(f->n_groups, length_bits);
}

/* Turns the group lengths in row_starts[1..] into starts and differences into columns, and checks
 * both. A group is named by its first row. */
static enum sn_status check_pattern(const struct psm_factor *f, int number, struct sn_error *error)
{
    uint64_t start = 0, width = (uint64_t)f->width;
    for (size_t g = 0; g < f->n_groups; g++) {
        uint64_t length = f->row_starts[g + 1], left = f->n_blocks - start,
                 most = left < width ? left : width;
        size_t row = g * (size_t)f->block;
        if (length > most)
            return sn_fail(error, SN_BAD_INPUT,
                           "factor %d, row %zu: length %llu, expected at most %llu", number, row,
                           (unsigned long long)length, (unsigned long long)most);
        for (uint64_t p = start; p < start + length; p++) {
            uint32_t least = psm_least_column(f->columns, start, p);
            if (f->index_bits == 4 || f->index_bits == 8) f->columns[p] += least;
            if (f->columns[p] < least || f->columns[p] >= width)
                return sn_fail(error, SN_BAD_INPUT,
                               "factor %d, row %zu: column index %u, expected ascending below %d",
                               number, row, f->columns[p], f->width);
        }
        start += length;
        f->row_starts[g + 1] = (uint32_t)start;
    }
    if (start != f->n_blocks)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: row lengths sum to %llu, expected %zu %s",
                       number, (unsigned long long)start, f->n_blocks,
                       f->block == 1 ? "nonzeros" : "blocks");
    return SN_OK;
}

enum sn_status psm_unpack(struct sn_matrix *matrix, const float *words, struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    struct psm_layout layout = { .n_factors = shape->n_factors,
                                 .sizes = shape->sizes,
                                 .nonzeros = shape->nonzeros,
                                 .index_bits = shape->index_bits,
                                 .block = shape->block,
                                 .has_order = shape->order != NULL,
                                 .escapes = shape->escapes };
    struct psm *read = psm_new(&layout, error);
    if (!read) return error ? error->code : SN_NO_MEMORY;
    const char *bytes = (const char *)sn_structure(matrix, (float *)words);
    enum sn_status status = SN_OK;
    for (int j = 0; j < read->n_factors && !status; j++) {
        struct psm_factor f = psm_factor_at(read, j);
        const char *indices = bytes;
        bytes = read_factor(bytes, &f);
        if (f.index_bits == 4) status = read_nibbles(indices, &f, j + 1, error);
        if (!status) status = check_pattern(&f, j + 1, error);
    }
    if (!status && read->order)
        status = sn_order_unpack(bytes, matrix->n_outputs, "outputs", read->order, error);
    if (!status) memcpy(shape->storage, read->storage, shape->n_storage * sizeof *shape->storage);
    free(read);
    return status;
}
