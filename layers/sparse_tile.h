/* Tiles of a sparse factor: 128 columns each, whose entries of x stay in registers, so that bytes
 * choose among them. In a tile the rows are sorted by their number of entries there, and stand in
 * slices of sixteen; those without any are left out. The slices of all tiles stand one behind the
 * other, each as
 *
 *     struct tile_slice, and for each four entries of row 0, the last of which may be fewer:
 *         the columns of four entries of sixteen rows, the values of the entries of sixteen rows
 *
 * so that all is read as it lies. The first entries of the rows stand side by side, then their
 * second ones, up to the number of the first row; what shorter rows have behind their end has no
 * effect. Values are packed as lanes.h says. */
#ifndef SPARSE_TILE_H
#define SPARSE_TILE_H

#include "lanes.h"

enum { TILE_COLUMNS = 128, TILE_ROWS = 16, TILE_MOST_ROWS = 65535 };

/* The rows of a slice; one that does not exist has no entries, and the number of rows as number.
 * Floats that follow keep their place in lines. */
struct tile_slice {
    uint8_t lengths[TILE_ROWS]; /* entries of each row, the most first */
    uint16_t rows[TILE_ROWS];
    char unused[16];
};

enum { TILE_ENTRIES = 4, TILE_COLUMN_BYTES = TILE_ENTRIES * TILE_ROWS };

/* Bytes of one entry's values, and of all entries. */
static inline size_t tile_value_bytes(int bits) { return TILE_ROWS / LANES * lanes_bytes(bits); }

static inline size_t tile_entry_bytes(int bits, size_t longest)
{
    return (longest + TILE_ENTRIES - 1) / TILE_ENTRIES * TILE_COLUMN_BYTES
        + longest * tile_value_bytes(bits);
}

/* Where the column and the values of entry q begin behind the head of a slice. Bytes of columns are
 * spread so that the halves of permuted bytes come to stand row by row (sparse_kernel.c). */
static inline size_t tile_column_at(int bits, size_t q, size_t r)
{
    return tile_entry_bytes(bits, q - q % TILE_ENTRIES) + r / 4 * 16 + q % TILE_ENTRIES * 4 + r % 4;
}

static inline size_t tile_values_at(int bits, size_t q)
{
    return tile_entry_bytes(bits, q - q % TILE_ENTRIES) + TILE_COLUMN_BYTES
        + q % TILE_ENTRIES * tile_value_bytes(bits);
}

#endif
