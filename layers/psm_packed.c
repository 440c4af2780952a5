/* PSM for one vector at a time: the factors one after the other, from the right, as sparse_kernel.h
 * has them. A result is multiplied by the scale of its row. */
#include "psm_packed.h"

#include "indices.h"
#include "isa.h"
#include "psm_shape.h"
#include "stored.h"

enum { ALIGNED = 64 };

/* A packed factor; its arrays stand behind all factors. */
struct packed_factor {
    struct sparse_factor s;
    const float *scales; /* of its rows; NULL for floats */
};

/* Bytes of an array and of what is between it and the next one. */
static size_t whole(size_t bytes) { return (bytes + ALIGNED - 1) / ALIGNED * ALIGNED; }

static int packed_index_bits(const struct psm_factor *f)
{
    return f->width > 65536 ? 32 : f->index_bits;
}

/* ---- Packing */

/* Writes the half bytes of columns at to, unless it is NULL. Returns their bytes. */
static size_t put_halves(const uint32_t *columns, size_t count, char *to)
{
    size_t n = 0;
    for (size_t p = 0; p < count; p++) {
        uint32_t distance = columns[p] - psm_least_column(columns, 0, p);
        for (; distance >= PSM_ESCAPE; distance -= PSM_ESCAPE, n++)
            if (to) sn_index_put(to, n, 4, PSM_ESCAPE);
        if (to) sn_index_put(to, n, 4, distance);
        n++;
    }
    if (to && n % 2) sn_index_put(to, n, 4, PSM_ESCAPE);
    return (n + 1) / 2;
}

/* Writes the indices of a group at to, unless it is NULL. Returns their bytes. */
static size_t put_indices(int bits, int width, const uint32_t *columns, size_t count, char *to)
{
    if (bits == 4) return put_halves(columns, count, to);
    for (size_t p = 0; to && p < count; p++)
        if (bits == 1) sn_index_put(to, columns[p], 1, 1);
        else
            sn_index_put(to, p, bits,
                         columns[p] - (bits == 8 ? psm_least_column(columns, 0, p) : 0));
    return bits == 1 ? psm_bitmap_bytes(width) : count * (size_t)bits / 8;
}

/* Writes the values of a group at to: those of rows that do not exist are 0 or the first code. */
static void put_values(int bits, const struct psm_factor *f, size_t g, const float *values,
                       const float *scales, char *to)
{
    size_t block = (size_t)f->block, count = (f->row_starts[g + 1] - f->row_starts[g]) * block;
    values += f->row_starts[g] * block;
    for (size_t i = 0; i < count; i++) {
        size_t row = g * block + i % block;
        if (row < (size_t)f->rows)
            sn_packed_put(bits, values[i], scales ? scales[row] : 1,
                          to + i / LANES * lanes_bytes(bits), i % LANES);
    }
}

/* The sizes of a packed factor's arrays, and where they begin in the data. */
struct places {
    size_t scales, lengths, indices, values, end;
};

static size_t value_bytes(int bits, size_t n_values)
{
    return (n_values + LANES - 1) / LANES * lanes_bytes(bits);
}

static struct places places_of(int bits, const struct psm_factor *f, size_t start)
{
    size_t indices = 0, values = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        size_t first = f->row_starts[g], count = f->row_starts[g + 1] - first;
        indices += put_indices(packed_index_bits(f), f->width, f->columns + first, count, NULL);
        values += value_bytes(bits, count * (size_t)f->block);
    }
    struct places at = { .scales = start };
    at.lengths = at.scales + (bits == 32 ? 0 : whole((size_t)f->rows * sizeof(float)));
    at.indices = at.lengths + whole(f->n_groups * sizeof(uint32_t));
    at.values = at.indices + whole(indices + ALIGNED);
    at.end = at.values + whole(values + ALIGNED);
    return at;
}

static void pack_factor(struct sn_packed *packed, struct packed_factor *to,
                        const struct psm_factor *f, const struct places *at, const float *values,
                        const float *scales)
{
    int bits = packed->matrix->bits, index_bits = packed_index_bits(f);
    uint32_t *lengths = (uint32_t *)(packed->data + at->lengths);
    char *indices = packed->data + at->indices, *codes = packed->data + at->values;
    if (bits != 32)
        to->scales = memcpy(packed->data + at->scales, scales, (size_t)f->rows * sizeof *scales);
    to->s = (struct sparse_factor){ .rows = f->rows,
                                    .width = f->width,
                                    .block = f->block,
                                    .bits = bits,
                                    .index_bits = index_bits,
                                    .lengths = lengths,
                                    .indices = indices,
                                    .values = codes,
                                    .levels = &packed->levels };
    for (size_t g = 0; g < f->n_groups; g++) {
        size_t first = f->row_starts[g];
        lengths[g] = f->row_starts[g + 1] - f->row_starts[g];
        indices += put_indices(index_bits, f->width, f->columns + first, lengths[g], indices);
        put_values(bits, f, g, values, to->scales, codes);
        codes += value_bytes(bits, lengths[g] * (size_t)f->block);
    }
}

/* ---- The product */

/* Floats of the largest result, and of the scratch of columns. */
static size_t largest_result(const struct psm *shape)
{
    size_t most = 0;
    for (int j = 0; j < shape->n_factors; j++) {
        size_t floats = sparse_result_floats(shape->sizes[j], shape->block);
        if (floats > most) most = floats;
    }
    return (most + LANES - 1) / LANES * LANES;
}

static size_t column_floats(const struct psm *shape)
{
    size_t most = 0;
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        size_t bytes = sparse_scratch_bytes(f.width, packed_index_bits(&f));
        if (bytes > most) most = bytes;
    }
    return (most + sizeof(float) - 1) / sizeof(float);
}

static void multiply(const struct sn_packed *packed, const float *x, float *y, float *scratch)
{
    const struct psm *shape = (const struct psm *)packed->matrix;
    const struct packed_factor *factors = (const struct packed_factor *)packed->data;
    size_t most = largest_result(shape), m = (size_t)shape->sizes[0];
    uint16_t *columns = (uint16_t *)(scratch + 2 * most);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        float *result = scratch + (j % 2 ? most : 0);
        sn_kernels()->sparse->multiply(&factors[j].s, x, result, columns);
        for (int i = 0; factors[j].scales && i < factors[j].s.rows; i++)
            result[i] *= factors[j].scales[i];
        x = result;
    }
    for (size_t i = 0; i < m; i++) y[shape->order ? shape->order[i] : i] += x[i];
}

struct sn_packed *psm_packed(const struct sn_matrix *matrix, const float *words,
                             struct sn_error *error)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t end = whole((size_t)shape->n_factors * sizeof(struct packed_factor));
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        end = places_of(matrix->bits, &f, end).end;
    }
    struct sn_packed *packed = sn_packed_room(matrix, end, error);
    if (!packed) return NULL;
    packed->multiply = multiply;
    packed->n_scratch = 2 * largest_result(shape) + column_floats(shape);
    struct packed_factor *factors = (struct packed_factor *)packed->data;
    const float *scales = words + matrix->n_values;
    end = whole((size_t)shape->n_factors * sizeof *factors);
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        struct places at = places_of(matrix->bits, &f, end);
        pack_factor(packed, &factors[j], &f, &at, words + f.first, scales);
        scales += f.rows;
        end = at.end;
    }
    return packed;
}
