/* The shape of a PSM: its checks, its section in a cfg, its rows, and the way of the kernels
 * (psm_kernel.h) from factor to factor. */
#include "psm.h"
#include "indices.h"
#include "lanes.h"
#include "psm_kernel.h"
#include "psm_packed.h"
#include "psm_pixels.h"
#include "psm_shape.h"
#include "psm_tile.h"
#include "stored.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

size_t psm_bitmap_bytes(int width) { return ((size_t)width + 7) / 8; }

size_t psm_structure_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block,
                           int escapes)
{
    if (!index_bits) index_bits = sn_index_bits_for(columns);
    if (!block) block = 1;
    size_t n_groups = psm_count_groups(rows, block);
    if (index_bits == 1) return sn_index_bytes(n_groups * psm_bitmap_bytes(columns), 8);
    return sn_index_bytes(nonzeros / (size_t)block + (size_t)escapes, index_bits)
        + sn_index_bytes(n_groups, sn_index_bits_for(columns + 1));
}

size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block)
{
    return 4 * nonzeros + psm_structure_bytes(rows, columns, nonzeros, index_bits, block, 0);
}

size_t psm_order_bytes(int n_outputs) { return sn_order_bytes(n_outputs); }

uint32_t psm_least_column(const uint32_t *columns, size_t start, size_t p)
{
    return p > start ? columns[p - 1] + 1 : 0;
}

struct psm_factor psm_factor_at(const struct psm *shape, int j)
{
    size_t block = (size_t)shape->block;
    struct psm_factor at = { .rows = shape->sizes[j],
                             .width = shape->sizes[j + 1],
                             .block = shape->block,
                             .index_bits = shape->index_bits[j],
                             .escapes = shape->escapes[j],
                             .n_groups = psm_count_groups(shape->sizes[j], shape->block),
                             .n_blocks = (size_t)shape->nonzeros[j] / block,
                             .row_starts = shape->row_starts };
    for (int i = 0; i < j; i++) {
        at.first += (size_t)shape->nonzeros[i];
        at.row_starts += psm_count_groups(shape->sizes[i], shape->block) + 1;
    }
    at.columns = shape->columns + at.first / block;
    return at;
}

static int bits_of(const struct psm_layout *layout, int j)
{
    int bits = layout->index_bits ? layout->index_bits[j] : 0;
    return bits ? bits : sn_index_bits_for(layout->sizes[j + 1]);
}

static int escapes_of(const struct psm_layout *layout, int j)
{
    return layout->escapes ? layout->escapes[j] : 0;
}

/* The index form of a factor. *key receives the cfg key that is at fault. */
static enum sn_status check_index(const struct psm_layout *layout, int j, const char **key,
                                  struct sn_error *error)
{
    int columns = layout->sizes[j + 1], bits = bits_of(layout, j), n = escapes_of(layout, j);
    *key = "index";
    if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 32)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: expected 1, 4, 8, 16 or 32, found %d",
                       j + 1, bits);
    if (bits == 16 && columns > 65536)
        return sn_fail(error, SN_BAD_INPUT,
                       "factor %d: expected 1, 4, 8 or 32 at a width of %d, found 16", j + 1,
                       columns);
    int skips = bits == 4 ? (columns - 1) / PSM_ESCAPE : 0; /* of a group at most */
    double most = (double)psm_count_groups(layout->sizes[j], layout->block) * skips;
    *key = "escapes";
    if (n < 0 || n > most)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: expected 0 to %.0f with index=%d, found %d",
                       j + 1, most, bits, n);
    return SN_OK;
}

/* *key receives the cfg key that is at fault. */
static enum sn_status check_factor(const struct psm_layout *layout, int j, const char **key,
                                   struct sn_error *error)
{
    int rows = layout->sizes[j], columns = layout->sizes[j + 1], n = layout->nonzeros[j];
    int block = layout->block;
    *key = "nonzeros";
    if (rows < 1 || columns < 1 || n < 0 || columns == INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "factor %d is %d x %d with %d nonzeros", j + 1, rows,
                       columns, n);
    if (n % block)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: expected a multiple of block=%d, found %d",
                       j + 1, block, n);
    size_t height = psm_count_groups(rows, block) * (size_t)block;
    if (n > (double)height * columns)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: %d nonzeros, expected at most %zu x %d",
                       j + 1, n, height, columns);
    return check_index(layout, j, key, error);
}

/* Sums over a layout, in double so that nothing overflows before it is compared with INT_MAX, the
 * limit of Darknet's counters. */
struct totals {
    double groups, values, bytes;
};

static enum sn_status check(const struct psm_layout *layout, struct totals *totals,
                            const char **key, struct sn_error *error)
{
    const int *sizes = layout->sizes, *nonzeros = layout->nonzeros, block = layout->block;
    *totals = (struct totals){ 0 };
    *key = "factors";
    if (layout->n_factors < 1)
        return sn_fail(error, SN_BAD_INPUT, "expected at least 1 factor, found %d",
                       layout->n_factors);
    *key = "block";
    if (block != 1 && block != 4 && block != 8)
        return sn_fail(error, SN_BAD_INPUT, "expected 1, 4 or 8, found %d", block);
    for (int j = 0; j < layout->n_factors; j++) {
        enum sn_status status = check_factor(layout, j, key, error);
        if (status) return status;
        totals->groups += (double)psm_count_groups(sizes[j], block);
        totals->values += nonzeros[j];
        totals->bytes += 4. * nonzeros[j]
            + (double)psm_structure_bytes(sizes[j], sizes[j + 1], (size_t)nonzeros[j],
                                          bits_of(layout, j), block, escapes_of(layout, j));
    }
    if (layout->has_order) totals->bytes += (double)psm_order_bytes(sizes[0]);
    *key = "nonzeros";
    if (totals->bytes > INT_MAX) return sn_fail(error, SN_BAD_INPUT, "more than %d bytes", INT_MAX);
    return SN_OK;
}

/* Copies the lists of layout into the storage and finds the places of the others. */
static void place_lists(struct psm *shape, const struct psm_layout *layout,
                        const struct totals *totals)
{
    size_t n = (size_t)layout->n_factors;
    shape->n_factors = layout->n_factors;
    shape->block = layout->block;
    shape->sizes = memcpy(shape->storage, layout->sizes, (n + 1) * sizeof *layout->sizes);
    shape->nonzeros = memcpy(shape->sizes + n + 1, layout->nonzeros, n * sizeof *layout->nonzeros);
    shape->index_bits = shape->nonzeros + n;
    shape->escapes = shape->index_bits + n;
    shape->row_starts = (uint32_t *)(shape->escapes + n);
    shape->columns = shape->row_starts + (size_t)totals->groups + n;
    if (layout->has_order)
        shape->order = shape->columns + (size_t)totals->values / (size_t)layout->block;
    for (int j = 0; j < layout->n_factors; j++) {
        shape->index_bits[j] = bits_of(layout, j);
        shape->escapes[j] = escapes_of(layout, j);
    }
}

/* psm_new for a block that is not 0; *key receives the cfg key that is at fault. */
static struct psm *new_shape(const struct psm_layout *layout, const char **key,
                             struct sn_error *error)
{
    struct totals totals;
    if (check(layout, &totals, key, error)) return NULL;
    size_t n = (size_t)layout->n_factors, n_outputs = (size_t)layout->sizes[0];
    size_t n_storage = 5 * n + 1 + (size_t)totals.groups
        + (size_t)totals.values / (size_t)layout->block + (layout->has_order ? n_outputs : 0);
    struct psm *shape = calloc(1, sizeof *shape + n_storage * sizeof(uint32_t));
    if (!shape) {
        sn_fail(error, SN_NO_MEMORY, "out of memory for %.0f nonzeros", totals.values);
        return NULL;
    }
    shape->n_storage = n_storage;
    place_lists(shape, layout, &totals);
    shape->matrix = (struct sn_matrix){ .family = &psm_family,
                                        .n_outputs = shape->sizes[0],
                                        .n_inputs = shape->sizes[n],
                                        .n_values = (size_t)totals.values,
                                        .n_words = (size_t)totals.bytes / 4 };
    shape->matrix.n_states = LANES_LINE / PSM_LEAST_TILE;
    for (size_t j = 0; j <= n; j++) shape->matrix.n_states += (size_t)shape->sizes[j];
    if (!sn_matrix_set_bits(&shape->matrix, 32, 0, error)) return shape;
    free(shape);
    return NULL;
}

struct psm *psm_new(const struct psm_layout *layout, struct sn_error *error)
{
    const char *key;
    struct psm_layout whole = *layout;
    if (!whole.block) whole.block = 1;
    return new_shape(&whole, &key, error);
}

/* Reads the keys behind the counts into layout; bits[n_factors] and escapes[n_factors] are the
 * lists under index and escapes, all 0 without one. */
static enum sn_status parse_options(const struct cfg_section *section, struct psm_layout *layout,
                                    int *bits, int *escapes, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    layout->index_bits = bits;
    layout->escapes = escapes;
    layout->block = 1;
    if (cfg_find(section, "index"))
        status = cfg_list(section, "index", 1, layout->n_factors, bits, error);
    if (!status && cfg_find(section, "escapes"))
        status = cfg_list(section, "escapes", 0, layout->n_factors, escapes, error);
    if (!status) status = cfg_int(section, "block", 1, &layout->block, error);
    if (!status) status = cfg_int(section, "order", 0, &layout->has_order, error);
    if (!status && layout->has_order > 1)
        status = cfg_fail(section, "order", error, "expected 0 or 1, found %d", layout->has_order);
    return status;
}

static struct sn_matrix *psm_parse(const struct cfg_section *section, int n_outputs, int n_inputs,
                                   struct sn_error *error)
{
    struct psm *shape = NULL;
    int n = 0;
    if (!cfg_find(section, "factors")) n = cfg_list_length(section, "nonzeros");
    if (cfg_int(section, "factors", 1, &n, error)) return NULL;
    if (!cfg_find(section, "nonzeros")) {
        cfg_fail(section, "nonzeros", error, "expected one count per factor, found none");
        return NULL;
    }
    int *sizes = calloc(4 * (size_t)n + 1, sizeof *sizes), *nonzeros = sizes ? sizes + n + 1 : NULL;
    if (!sizes) {
        sn_fail(error, SN_NO_MEMORY, "%s: out of memory for %d factors", section->path, n);
        return NULL;
    }
    sizes[0] = n_outputs;
    sizes[n] = n_inputs;
    struct psm_layout layout = { .n_factors = n, .sizes = sizes, .nonzeros = nonzeros };
    if ((n > 1 || cfg_find(section, "inner"))
        && cfg_list(section, "inner", 1, n - 1, sizes + 1, error))
        goto done;
    if (cfg_list(section, "nonzeros", 0, n, nonzeros, error)) goto done;
    if (parse_options(section, &layout, nonzeros + n, nonzeros + 2 * (size_t)n, error)) goto done;
    struct sn_error inner = { 0 };
    const char *key;
    shape = new_shape(&layout, &key, &inner);
    if (inner.code == SN_NO_MEMORY)
        sn_fail(error, inner.code, "%s: %s", section->path, inner.message);
    else if (!shape) cfg_fail(section, key, error, "%s", inner.message);
done:
    free(sizes);
    return shape ? &shape->matrix : NULL;
}

static void psm_print_keys(const struct sn_matrix *matrix, FILE *file)
{
    const struct psm *shape = (const struct psm *)matrix;
    fprintf(file, "factors=%d\n", shape->n_factors);
    cfg_print_list(file, "inner", shape->n_factors - 1, shape->sizes + 1);
    cfg_print_list(file, "nonzeros", shape->n_factors, shape->nonzeros);
    int special = 0, escaped = 0;
    for (int j = 0; j < shape->n_factors; j++) {
        special |= shape->index_bits[j] != sn_index_bits_for(shape->sizes[j + 1]);
        escaped |= shape->escapes[j];
    }
    if (special) cfg_print_list(file, "index", shape->n_factors, shape->index_bits);
    if (escaped) cfg_print_list(file, "escapes", shape->n_factors, shape->escapes);
    if (shape->block != 1) fprintf(file, "block=%d\n", shape->block);
    if (shape->order) fprintf(file, "order=1\n");
}

static size_t psm_rows(const struct sn_matrix *matrix, uint32_t *row_of)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t first = 0; /* Row of the factor. */
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        size_t block = (size_t)f.block, rows = (size_t)f.rows;
        for (size_t g = 0; row_of && g < f.n_groups; g++)
            for (size_t p = f.row_starts[g]; p < f.row_starts[g + 1]; p++)
                for (size_t row = g * block; row < (g + 1) * block; row++)
                    *row_of++ = (uint32_t)(first + (row < rows ? row : rows - 1));
        first += rows;
    }
    return first;
}

struct psm_pattern psm_pattern_at(const struct psm *shape, int j, size_t *first)
{
    struct psm_factor f = psm_factor_at(shape, j);
    *first = f.first;
    return (struct psm_pattern){ .rows = f.rows,
                                 .width = f.width,
                                 .block = f.block,
                                 .row_starts = f.row_starts,
                                 .columns = f.columns,
                                 .order = j ? NULL : shape->order };
}

/* ---- Products. Samples go in tiles of 8 to 64 side by side (psm_tile.h), the rest one by one.
 * Both kinds of scratch have n_states floats for each sample: those of a tile hold, from the start
 * of a cache line on, its inputs, the results of factors J-1, J-2, .. 1, and its outputs; those of
 * the rest the results alone. */

enum { SQUARE = 8 }; /* of samples and entries: small ones keep the lines of both in the cache */

/* to[i][b] = from[b][order[i]] for n samples. */
static void turn(int n, int size, const uint32_t *order, const float *from, float *to)
{
    for (int b0 = 0; b0 < n; b0 += SQUARE)
        for (int i = 0; i < size; i++) {
            const float *entry = from + (size_t)b0 * (size_t)size + (order ? (int)order[i] : i);
            float *row = to + (size_t)i * (size_t)n + b0;
            for (int b = 0; b < SQUARE; b++) row[b] = entry[(size_t)b * (size_t)size];
        }
}

/* to[b][order[i]] += from[i][b]. */
static void turn_back(int n, int size, const uint32_t *order, const float *from, float *to)
{
    for (int b0 = 0; b0 < n; b0 += SQUARE)
        for (int i = 0; i < size; i++) {
            float *entry = to + (size_t)b0 * (size_t)size + (order ? (int)order[i] : i);
            const float *row = from + (size_t)i * (size_t)n + b0;
            for (int b = 0; b < SQUARE; b++) entry[(size_t)b * (size_t)size] += row[b];
        }
}

/* The results of factors J-1 to 1 for one sample. */
static size_t result_floats(const struct psm *shape)
{
    size_t n = 0;
    for (int j = 1; j < shape->n_factors; j++) n += (size_t)shape->sizes[j];
    return n;
}

static void rest_forward(const struct psm *shape, const float *words, int batch, const float *x,
                         float *y, float *states)
{
    memset(states, 0, (size_t)batch * result_floats(shape) * sizeof *states);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        size_t first;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        psm_factor_forward(&s, words + first, batch, x, j ? states : y);
        x = states;
        states += (size_t)batch * (size_t)s.rows;
    }
}

static void tile_forward(const struct psm *shape, const float *words, int n, const float *x,
                         float *y, float *states)
{
    const struct sn_matrix *matrix = &shape->matrix;
    states = lanes_align(states);
    turn(n, matrix->n_inputs, NULL, x, states);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        size_t first;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        float *out = states + (size_t)n * (size_t)s.width;
        psm_tile_forward(&s, words + first, n, states, out);
        states = out;
    }
    turn_back(n, matrix->n_outputs, shape->order, states, y);
}

static void psm_forward(const struct sn_matrix *matrix, const float *words, int batch,
                        const float *x, float *y, float *states)
{
    const struct psm *shape = (const struct psm *)matrix;
    for (int n; batch > 0; batch -= n) {
        n = psm_tile_samples(batch);
        if (n) tile_forward(shape, words, n, x, y, states);
        else rest_forward(shape, words, n = batch, x, y, states);
        x += (size_t)n * (size_t)matrix->n_inputs;
        y += (size_t)n * (size_t)matrix->n_outputs;
        states += (size_t)n * matrix->n_states;
    }
}

/* What one part of a batch has in the backward pass; dx may be NULL. */
struct part {
    int n;
    const float *x, *states, *dy;
    float *dx, *dstates;
};

static void rest_backward(const struct psm *shape, const float *words, const struct part *part,
                          float *dvalues)
{
    size_t end = (size_t)part->n * result_floats(shape);
    const float *dy = part->dy;
    memset(part->dstates, 0, end * sizeof *part->dstates);
    for (int j = 0; j < shape->n_factors; j++) {
        size_t first;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        int last = j == shape->n_factors - 1;
        if (!last) end -= (size_t)part->n * (size_t)s.width;
        psm_factor_backward(&s, words + first, part->n, last ? part->x : part->states + end, dy,
                            dvalues + first, last ? part->dx : part->dstates + end);
        dy = part->dstates + end;
    }
}

static void tile_backward(const struct psm *shape, const float *words, const struct part *part,
                          float *dvalues)
{
    size_t n = (size_t)part->n, m = (size_t)shape->matrix.n_outputs,
           at = n * (shape->matrix.n_states - LANES_LINE / PSM_LEAST_TILE - m);
    const float *states = lanes_align(part->states);
    float *dstates = lanes_align(part->dstates);
    memset(dstates, 0, at * sizeof *dstates);
    turn(part->n, (int)m, shape->order, part->dy, dstates + at);
    for (int j = 0; j < shape->n_factors; j++) {
        size_t first, before;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        int is_needed = j < shape->n_factors - 1 || part->dx;
        before = at - n * (size_t)s.width;
        psm_tile_backward(&s, words + first, part->n, states + before, dstates + at,
                          dvalues + first, is_needed ? dstates + before : NULL);
        at = before;
    }
    if (part->dx) turn_back(part->n, shape->matrix.n_inputs, NULL, dstates, part->dx);
}

static void psm_backward(const struct sn_matrix *matrix, const float *words, int batch,
                         const float *x, const float *states, const float *dy, float *dvalues,
                         float *dx, float *dstates)
{
    const struct psm *shape = (const struct psm *)matrix;
    for (int done = 0, n; done < batch; done += n) {
        size_t b = (size_t)done;
        struct part part = { .x = x + b * (size_t)matrix->n_inputs,
                             .states = states + b * matrix->n_states,
                             .dy = dy + b * (size_t)matrix->n_outputs,
                             .dx = dx ? dx + b * (size_t)matrix->n_inputs : NULL,
                             .dstates = dstates };
        n = part.n = psm_tile_samples(batch - done);
        if (n) tile_backward(shape, words, &part, dvalues);
        else {
            n = part.n = batch - done;
            rest_backward(shape, words, &part, dvalues);
        }
    }
}

static const char *const psm_keys[] = { "factors", "inner", "nonzeros", "index",
                                        "escapes", "block", "order",    NULL };

const struct sn_family psm_family = { .name = "psm",
                                      .keys = psm_keys,
                                      .parse = psm_parse,
                                      .print_keys = psm_print_keys,
                                      .init = psm_start,
                                      .unpack = psm_unpack,
                                      .rows = psm_rows,
                                      .forward = psm_forward,
                                      .backward = psm_backward,
                                      .pack = psm_packed,
                                      .pixels = &psm_pixels };
