/* The structure of a PSM as words: columns in one of four forms, group lengths, the order (psm.h).
 */
#include "indices.h"
#include "psm_kernel.h"
#include "psm_shape.h"
#include "stored.h"

#include <stdlib.h>
#include <string.h>

size_t psm_count_escapes(const uint32_t *columns, size_t n)
{
    size_t count = 0;
    for (size_t p = 0; p < n; p++)
        count += (columns[p] - psm_least_column(columns, 0, p)) / PSM_ESCAPE;
    return count;
}

static size_t index_bytes(const struct psm_factor *f)
{
    return sn_index_bytes(f->n_blocks + (size_t)f->escapes, f->index_bits);
}

/* Writes the columns of group g in half bytes from number *at on, which moves on. */
static void write_halves(char *bytes, const struct psm_factor *f, size_t g, size_t *at)
{
    for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++) {
        uint32_t distance = f->columns[p] - psm_least_column(f->columns, f->row_starts[g], p);
        for (; distance >= PSM_ESCAPE; distance -= PSM_ESCAPE)
            sn_index_put(bytes, (*at)++, 4, PSM_ESCAPE);
        sn_index_put(bytes, (*at)++, 4, distance);
    }
}

static void write_columns(char *bytes, const struct psm_factor *f)
{
    size_t halves = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        if (f->index_bits == 4) write_halves(bytes, f, g, &halves);
        for (size_t p = f->row_starts[g]; f->index_bits != 4 && p < f->row_starts[g + 1]; p++) {
            uint32_t least = psm_least_column(f->columns, f->row_starts[g], p);
            if (f->index_bits == 1)
                sn_index_put(bytes + g * psm_bitmap_bytes(f->width), f->columns[p], 1, 1);
            else
                sn_index_put(bytes, p, f->index_bits,
                             f->columns[p] - (f->index_bits == 8 ? least : 0));
        }
    }
}

/* Writes one factor into zeros. Returns what follows. */
static char *write_factor(char *bytes, const struct psm_factor *f)
{
    int length_bits = sn_index_bits_for(f->width + 1);
    write_columns(bytes, f);
    if (f->index_bits == 1)
        return bytes + sn_index_bytes(f->n_groups * psm_bitmap_bytes(f->width), 8);
    bytes += index_bytes(f);
    for (size_t g = 0; g < f->n_groups; g++)
        sn_index_put(bytes, g, length_bits, f->row_starts[g + 1] - f->row_starts[g]);
    return bytes + sn_index_bytes(f->n_groups, length_bits);
}

void psm_pack(const struct psm *shape, float *words)
{
    size_t start = sn_structure_at(&shape->matrix);
    char *bytes = (char *)(words + start);
    memset(bytes, 0, 4 * (shape->matrix.n_words - start));
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        bytes = write_factor(bytes, &f);
    }
    if (shape->order) sn_order_pack(shape->order, shape->matrix.n_outputs, bytes);
}

/* Reads the group lengths of factor `number` as starts. A group is named by its first row. */
static enum sn_status read_lengths(const char *bytes, const struct psm_factor *f, int number,
                                   struct sn_error *error)
{
    int length_bits = sn_index_bits_for(f->width + 1);
    uint64_t start = 0, width = (uint64_t)f->width;
    for (size_t g = 0; g < f->n_groups; g++) {
        uint64_t length = sn_index_get(bytes, g, length_bits), left = f->n_blocks - start,
                 most = left < width ? left : width;
        if (length > most)
            return sn_fail(error, SN_BAD_INPUT,
                           "factor %d, row %zu: length %llu, expected at most %llu", number,
                           g * (size_t)f->block, (unsigned long long)length,
                           (unsigned long long)most);
        start += length;
        f->row_starts[g + 1] = (uint32_t)start;
    }
    if (start != f->n_blocks)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: row lengths sum to %llu, expected %zu %s",
                       number, (unsigned long long)start, f->n_blocks,
                       f->block == 1 ? "nonzeros" : "blocks");
    return SN_OK;
}

/* The next column of half bytes from number *at on, which moves on; no smaller than least. Beyond
 * every width when there are not as many. */
static uint64_t read_halves(const char *bytes, const struct psm_factor *f, uint64_t least,
                            size_t *at)
{
    size_t end = f->n_blocks + (size_t)f->escapes;
    for (uint32_t half; *at < end; least += half) {
        half = sn_index_get(bytes, (*at)++, 4);
        if (half < PSM_ESCAPE) return least + half;
    }
    return UINT64_MAX;
}

/* Reads the columns between the starts, and checks them. */
static enum sn_status read_columns(const char *bytes, const struct psm_factor *f, int number,
                                   struct sn_error *error)
{
    size_t halves = 0;
    for (size_t g = 0; g < f->n_groups; g++)
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++) {
            size_t row = g * (size_t)f->block;
            uint64_t least = psm_least_column(f->columns, f->row_starts[g], p);
            uint64_t column = f->index_bits == 4 ? read_halves(bytes, f, least, &halves)
                                                 : sn_index_get(bytes, p, f->index_bits);
            if (f->index_bits == 8) column += least;
            if (column == UINT64_MAX)
                return sn_fail(error, SN_BAD_INPUT,
                               "factor %d, row %zu: expected at most %d escapes, found more",
                               number, row, f->escapes);
            if (column < least || column >= (uint64_t)f->width)
                return sn_fail(error, SN_BAD_INPUT,
                               "factor %d, row %zu: column index %llu, expected ascending below %d",
                               number, row, (unsigned long long)column, f->width);
            f->columns[p] = (uint32_t)column;
        }
    return SN_OK;
}

/* Reads bitmaps as starts and columns, and checks them. */
static enum sn_status read_bitmaps(const char *bytes, const struct psm_factor *f, int number,
                                   struct sn_error *error)
{
    size_t n = 0, group_bytes = psm_bitmap_bytes(f->width);
    for (size_t g = 0; g < f->n_groups; g++, bytes += group_bytes) {
        for (size_t c = 0; c < 8 * group_bytes; c++) {
            if (!sn_index_get(bytes, c, 1)) continue;
            if (c >= (size_t)f->width)
                return sn_fail(error, SN_BAD_INPUT,
                               "factor %d, row %zu: column index %zu, expected below %d", number,
                               g * (size_t)f->block, c, f->width);
            if (n < f->n_blocks) f->columns[n] = (uint32_t)c;
            n++;
        }
        f->row_starts[g + 1] = (uint32_t)n;
    }
    if (n == f->n_blocks) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "factor %d: bitmaps hold %zu, expected %zu %s", number, n,
                   f->n_blocks, f->block == 1 ? "nonzeros" : "blocks");
}

/* Reads one factor from *bytes on, which moves behind it. */
static enum sn_status read_factor(const char **bytes, const struct psm_factor *f, int number,
                                  struct sn_error *error)
{
    const char *indices = *bytes, *lengths = indices + index_bytes(f);
    if (f->index_bits == 1) {
        *bytes += sn_index_bytes(f->n_groups * psm_bitmap_bytes(f->width), 8);
        return read_bitmaps(indices, f, number, error);
    }
    *bytes = lengths + sn_index_bytes(f->n_groups, sn_index_bits_for(f->width + 1));
    enum sn_status status = read_lengths(lengths, f, number, error);
    return status ? status : read_columns(indices, f, number, error);
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
    const char *bytes = (const char *)(words + sn_structure_at(matrix));
    enum sn_status status = SN_OK;
    for (int j = 0; j < read->n_factors && !status; j++) {
        struct psm_factor f = psm_factor_at(read, j);
        status = read_factor(&bytes, &f, j + 1, error);
    }
    if (!status && read->order)
        status = sn_order_unpack(bytes, matrix->n_outputs, "outputs", read->order, error);
    if (!status) memcpy(shape->storage, read->storage, shape->n_storage * sizeof *shape->storage);
    free(read);
    return status;
}
