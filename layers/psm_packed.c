/* PSM for one vector at a time: the factors one after the other, from the right, as sparse_kernel.h
 * has them. A result is multiplied by the scale of its row. Columns are packed as u16 or u32: read
 * so, they take less time than narrower ones, which would have to be summed up first. */
#include "psm_packed.h"

#include "indices.h"
#include "isa.h"
#include "psm_shape.h"
#include "sparse_tile.h"
#include "stored.h"

#include <stdlib.h>

#define ALIGNED ((size_t)64)

/* A packed factor; its arrays stand behind all factors. */
struct packed_factor {
    struct sparse_factor s;
    const float *scales; /* of its rows; NULL for floats */
};

/* Bytes of an array, and of what is between it and the next one. */
static size_t whole(size_t bytes) { return (bytes + 2 * ALIGNED - 1) / ALIGNED * ALIGNED; }

static size_t count_panels(const struct psm_factor *f)
{
    return ((size_t)f->width + SPARSE_PANEL - 1) / SPARSE_PANEL;
}

static size_t length_of(const struct psm_factor *f, size_t group)
{
    return f->row_starts[group + 1] - f->row_starts[group];
}

static size_t count_tiles(const struct psm_factor *f)
{
    return ((size_t)f->width + TILE_COLUMNS - 1) / TILE_COLUMNS;
}

/* Rows of a tile take time of their own, that of a few entries. Bitmaps of many columns are read
 * faster than as many columns. */
static enum sparse_form form_of(const struct psm_factor *f)
{
    enum { FEW = 2, MANY = 4 }; /* entries of a row in a tile; of so many columns one */
    if (f->block > 1) return SPARSE_BLOCKS;
    if (sn_kernels()->sparse->has_tiles && f->rows <= TILE_MOST_ROWS
        && f->n_blocks > FEW * (size_t)f->rows * count_tiles(f))
        return SPARSE_TILES;
    return MANY * f->n_blocks > (size_t)f->rows * (size_t)f->width ? SPARSE_BITMAPS : SPARSE_SLICES;
}

/* ---- The order of slices */

struct row {
    uint32_t length, number;
    uint32_t start; /* its first entry */
};

/* Longer rows first, of one length the upper ones. */
static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? 1 : -1;
    return x->number < y->number ? -1 : 1;
}

/* The rows of a factor, and empty ones that fill up the last slice. */
static void sort_rows(const struct psm_factor *f, struct row *rows)
{
    size_t n = sparse_result_floats(f->rows);
    for (size_t i = 0; i < n; i++) {
        int exists = i < (size_t)f->rows;
        rows[i] = (struct row){ exists ? (uint32_t)length_of(f, i) : 0, (uint32_t)i,
                                exists ? f->row_starts[i] : 0 };
    }
    qsort(rows, n, sizeof *rows, compare_rows);
}

/* The first entry of a row from a column on, or where the next row starts. */
static uint32_t entry_from(const struct psm_factor *f, size_t row, size_t column)
{
    uint32_t low = f->row_starts[row], high = f->row_starts[row + 1];
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (f->columns[middle] < column) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* The rows of a tile in the order of its slices. Returns the number of slices. */
static size_t sort_tile(const struct psm_factor *f, size_t tile, struct row *rows)
{
    size_t n = (size_t)f->rows, used = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t start = entry_from(f, i, tile * TILE_COLUMNS),
                 end = entry_from(f, i, (tile + 1) * TILE_COLUMNS);
        rows[i] = (struct row){ end - start, (uint32_t)i, start };
        used += end > start;
    }
    qsort(rows, n, sizeof *rows, compare_rows);
    return (used + TILE_ROWS - 1) / TILE_ROWS;
}

/* ---- Packing */

/* Bytes of a packed factor's arrays. */
struct sizes {
    size_t columns, values;
};

static int is_wide(const struct psm_factor *f) { return f->width > 65536; }

/* Bytes of all slices of tiles. */
static size_t tile_bytes(int bits, const struct psm_factor *f, struct row *rows)
{
    size_t bytes = 0;
    for (size_t tile = 0; tile < count_tiles(f); tile++)
        for (size_t n = sort_tile(f, tile, rows), i = 0; i < n; i++)
            bytes += sizeof(struct tile_slice) + tile_entry_bytes(bits, rows[i * TILE_ROWS].length);
    return bytes;
}

static struct sizes sizes_of(int bits, const struct psm_factor *f, struct row *rows)
{
    struct sizes sizes = { 0, 0 };
    enum sparse_form form = form_of(f);
    size_t eight = lanes_bytes(bits),
           columns = LANES * (is_wide(f) ? sizeof(uint32_t) : sizeof(uint16_t));
    if (form == SPARSE_TILES) sizes.values = tile_bytes(bits, f, rows);
    if (form == SPARSE_SLICES) sort_rows(f, rows);
    for (size_t i = 0; form == SPARSE_SLICES && i < (size_t)f->rows; i += LANES) {
        sizes.values += rows[i].length * eight;
        sizes.columns += rows[i].length * columns;
    }
    for (size_t g = 0; form == SPARSE_BITMAPS && g < f->n_groups; g++) {
        sizes.values += (length_of(f, g) + LANES - 1) / LANES * eight;
        sizes.columns += psm_bitmap_bytes(f->width);
    }
    for (size_t c = 0; form == SPARSE_BLOCKS && c < (size_t)f->width; c += SPARSE_PANEL)
        for (size_t g = 0; g < f->n_groups; g++)
            sizes.values += sparse_group_bytes(bits, (size_t)f->block,
                                               entry_from(f, g, c + SPARSE_PANEL)
                                                   - entry_from(f, g, c));
    return sizes;
}

/* Where the arrays of a packed factor begin in the data. */
struct places {
    size_t scales, lengths, order, columns, values, end;
};

static struct places places_of(int bits, const struct psm_factor *f, struct row *rows, size_t start)
{
    struct sizes sizes = sizes_of(bits, f, rows);
    size_t n = sparse_result_floats(f->rows), n_lengths = n;
    if (form_of(f) == SPARSE_TILES) n_lengths = count_tiles(f);
    if (form_of(f) == SPARSE_BLOCKS) n_lengths = f->n_groups * count_panels(f);
    struct places at = { .scales = start };
    at.lengths = at.scales + (bits == 32 ? 0 : whole((size_t)f->rows * sizeof(float)));
    at.order = at.lengths + whole(n_lengths * sizeof(uint32_t));
    at.columns = at.order + (form_of(f) == SPARSE_SLICES ? whole(n * sizeof(uint32_t)) : 0);
    at.values = at.columns + whole(sizes.columns);
    at.end = at.values + whole(sizes.values);
    return at;
}

/* What is written: the arrays of a packed factor, and the values and scales in words. */
struct packing {
    const struct psm_factor *f;
    int bits, is_wide;
    uint32_t *lengths, *order;
    char *columns, *values;
    const float *from, *scales;
};

static void put_column(const struct packing *p, size_t at, uint32_t column)
{
    if (p->is_wide) ((uint32_t *)p->columns)[at] = column;
    else ((uint16_t *)p->columns)[at] = (uint16_t)column;
}

/* Value number `at` from values on: that of entry r of block q. */
static void put_value(const struct packing *p, size_t at, size_t q, size_t r, size_t row)
{
    if (row >= (size_t)p->f->rows) return;
    sn_packed_put(p->bits, p->from[q * (size_t)p->f->block + r], p->scales ? p->scales[row] : 1,
                  p->values + at / LANES * lanes_bytes(p->bits), at % LANES);
}

static void pack_slices(const struct packing *p, const struct row *rows)
{
    size_t n = sparse_result_floats(p->f->rows), at = 0;
    for (size_t i = 0; i < n; i++) {
        p->lengths[i] = rows[i].length;
        p->order[i] = rows[i].number;
        for (size_t q = 0; q < rows[i].length; q++) {
            size_t from = p->f->row_starts[rows[i].number] + q, to = at + q * LANES + i % LANES;
            put_column(p, to, p->f->columns[from]);
            put_value(p, to, from, 0, rows[i].number);
        }
        if (i % LANES == LANES - 1) at += rows[i - i % LANES].length * LANES;
    }
}

/* Where number q of a row must be put so that its code lies as in a file. */
static size_t natural_lane(int bits, size_t q)
{
    size_t lane = q % LANES;
    return bits == 4 ? q - lane + lane / 2 + lane % 2 * 4 : q;
}

/* One slice, whose rows are the first of `left`. Returns what follows it. */
static char *pack_tile_slice(const struct packing *p, size_t tile, const struct row *rows,
                             size_t left, char *at)
{
    struct tile_slice *head = (struct tile_slice *)(void *)at;
    char *entries = at + sizeof *head;
    for (size_t r = 0; r < TILE_ROWS; r++) {
        struct row row = r < left ? rows[r] : (struct row){ 0, (uint32_t)p->f->rows, 0 };
        head->lengths[r] = (uint8_t)row.length;
        head->rows[r] = (uint16_t)row.number;
        for (size_t q = 0; q < row.length; q++) {
            size_t from = row.start + q;
            entries[tile_column_at(p->bits, q, r)] = (char)(p->f->columns[from]
                                                            - tile * TILE_COLUMNS);
            sn_packed_put(p->bits, p->from[from], p->scales ? p->scales[row.number] : 1,
                          entries + tile_values_at(p->bits, q) + r / LANES * lanes_bytes(p->bits),
                          r % LANES);
        }
    }
    return entries + tile_entry_bytes(p->bits, rows[0].length);
}

static void pack_tiles(const struct packing *p, struct row *rows)
{
    size_t n_rows = (size_t)p->f->rows;
    char *at = p->values;
    for (size_t tile = 0; tile < count_tiles(p->f); tile++) {
        size_t n = sort_tile(p->f, tile, rows);
        p->lengths[tile] = (uint32_t)n;
        for (size_t i = 0; i < n; i++)
            at = pack_tile_slice(p, tile, rows + i * TILE_ROWS, n_rows - i * TILE_ROWS, at);
    }
}

static void pack_bitmaps(const struct packing *p)
{
    size_t at = 0, group_bytes = psm_bitmap_bytes(p->f->width);
    for (size_t g = 0; g < p->f->n_groups; g++) {
        size_t count = length_of(p->f, g), first = p->f->row_starts[g];
        p->lengths[g] = (uint32_t)count;
        for (size_t q = 0; q < count; q++) {
            uint32_t column = p->f->columns[first + q];
            sn_index_put(p->columns + g * group_bytes, column, 1, 1);
            put_value(p, at + natural_lane(p->bits, q), first + q, 0, g);
        }
        at += (count + LANES - 1) / LANES * LANES;
    }
}

/* The blocks from number first up to end, of a group whose upper row is `row`, in a panel from
 * column c on. Returns what follows them at place. */
static char *pack_group(const struct packing *p, size_t first, size_t end, size_t row, size_t c,
                        char *place)
{
    struct packing part = *p; /* whose arrays are those of one part */
    size_t block = (size_t)p->f->block;
    while (first < end) {
        size_t n = end - first < SPARSE_PART ? end - first : SPARSE_PART;
        uint16_t *columns = (uint16_t *)(void *)place;
        part.values = place + sparse_part_columns(p->bits, n);
        for (size_t q = 0; q < n; q++) {
            columns[q] = (uint16_t)(p->f->columns[first + q] - c);
            for (size_t r = 0; r < block; r++)
                put_value(&part, q * block + r, first + q, r, row + r);
        }
        place = part.values + sparse_part_values(p->bits, block, n);
        first += n;
    }
    return place;
}

static void pack_blocks(const struct packing *p)
{
    uint32_t *length = p->lengths;
    char *at = p->values;
    for (size_t c = 0; c < (size_t)p->f->width; c += SPARSE_PANEL)
        for (size_t g = 0; g < p->f->n_groups; g++) {
            uint32_t first = entry_from(p->f, g, c), end = entry_from(p->f, g, c + SPARSE_PANEL);
            *length++ = end - first;
            at = pack_group(p, first, end, g * (size_t)p->f->block, c, at);
        }
}

static void pack_factor(struct sn_packed *packed, struct packed_factor *to,
                        const struct psm_factor *f, struct row *rows, const struct places *at,
                        const float *values, const float *scales)
{
    char *data = packed->data;
    struct packing p = { .f = f,
                         .bits = packed->matrix->bits,
                         .is_wide = is_wide(f),
                         .lengths = (uint32_t *)(data + at->lengths),
                         .order = (uint32_t *)(data + at->order),
                         .columns = data + at->columns,
                         .values = data + at->values,
                         .from = values };
    if (p.bits != 32)
        p.scales = to->scales = memcpy(data + at->scales, scales, (size_t)f->rows * sizeof *scales);
    to->s = (struct sparse_factor){ .form = form_of(f),
                                    .rows = f->rows,
                                    .width = f->width,
                                    .block = f->block,
                                    .bits = p.bits,
                                    .is_wide = p.is_wide,
                                    .lengths = p.lengths,
                                    .order = p.order,
                                    .columns = p.columns,
                                    .values = p.values,
                                    .levels = &packed->levels };
    if (to->s.form == SPARSE_SLICES) pack_slices(&p, rows);
    else if (to->s.form == SPARSE_TILES) pack_tiles(&p, rows);
    else if (to->s.form == SPARSE_BITMAPS) pack_bitmaps(&p);
    else pack_blocks(&p);
}

/* ---- The product */

static size_t largest_result(const struct psm *shape)
{
    size_t most = 0;
    for (int j = 0; j < shape->n_factors; j++) {
        size_t floats = sparse_result_floats(shape->sizes[j]);
        if (floats > most) most = floats;
    }
    return most;
}

static int widest(const struct psm *shape)
{
    int most = 0;
    for (int j = 1; j <= shape->n_factors; j++)
        if (shape->sizes[j] > most) most = shape->sizes[j];
    return most;
}

/* y += S_1 S_2 .. S_J x. */
static void multiply(const struct sn_packed *packed, const float *x, float *y, float *scratch)
{
    const struct psm *shape = (const struct psm *)packed->matrix;
    const struct packed_factor *factors = (const struct packed_factor *)packed->data;
    size_t m = (size_t)shape->sizes[0];
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        float *result = scratch + (j % 2 ? largest_result(shape) : 0);
        struct sparse_factor s = factors[j].s;
        struct lanes_codes x8;
        x = sn_packed_round(packed, x, (size_t)s.width, &x8, scratch + 2 * largest_result(shape));
        s.x8 = packed->rounds_inputs ? &x8 : NULL;
        sn_kernels()->sparse->multiply(&s, x, result);
        for (int i = 0; factors[j].scales && i < factors[j].s.rows; i++)
            result[i] *= factors[j].scales[i];
        x = result;
    }
    if (shape->order)
        for (size_t i = 0; i < m; i++) y[shape->order[i]] += x[i];
    else
        for (size_t i = 0; i < m; i++) y[i] += x[i];
}

/* Packs with the sorted rows of all factors one behind the other, each as many as its results. */
static struct sn_packed *pack_factors(const struct sn_matrix *matrix, const float *words,
                                      struct row *rows, struct sn_error *error)
{
    const struct psm *shape = (const struct psm *)matrix;
    const float *scales = words + matrix->n_values;
    size_t start = whole((size_t)shape->n_factors * sizeof(struct packed_factor)), end = start;
    struct row *next = rows;
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        end = places_of(matrix->bits, &f, next, end).end;
        next += sparse_result_floats(f.rows);
    }
    struct sn_packed *packed = sn_packed_room(matrix, end, error);
    if (!packed) return NULL;
    packed->multiply = multiply;
    packed->n_scratch = 2 * largest_result(shape)
        + sn_packed_round_floats(packed, (size_t)widest(shape));
    end = start;
    next = rows;
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        struct places at = places_of(matrix->bits, &f, next, end);
        pack_factor(packed, (struct packed_factor *)packed->data + j, &f, next, &at,
                    words + f.first, scales);
        scales += f.rows;
        next += sparse_result_floats(f.rows);
        end = at.end;
    }
    return packed;
}

struct sn_packed *psm_packed(const struct sn_matrix *matrix, const float *words,
                             struct sn_error *error)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t n = 0;
    for (int j = 0; j < shape->n_factors; j++) n += sparse_result_floats(shape->sizes[j]);
    struct row *rows = malloc((n + 1) * sizeof *rows);
    if (!rows) {
        sn_no_memory(error, "%zu rows", n);
        return NULL;
    }
    struct sn_packed *packed = pack_factors(matrix, words, rows, error);
    free(rows);
    return packed;
}
