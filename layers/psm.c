/* The shape of a PSM: its checks, its section in a cfg, its indices as words of a .weights file,
 * and the way of the kernels (psm_kernel.h) from factor to factor. */
#include "psm.h"
#include "indices.h"
#include "psm_kernel.h"
#include "psm_shape.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block)
{
    if (!index_bits) index_bits = sn_index_bits_for(columns);
    if (!block) block = 1;
    return 4 * nonzeros + sn_index_bytes(nonzeros / (size_t)block, index_bits)
        + sn_index_bytes(psm_count_groups(rows, block), sn_index_bits_for(columns + 1));
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

/* *key receives the cfg key that is at fault. */
static enum sn_status check_factor(const struct psm_layout *layout, int j, const char **key,
                                   struct sn_error *error)
{
    int rows = layout->sizes[j], columns = layout->sizes[j + 1], n = layout->nonzeros[j];
    int block = layout->block, bits = bits_of(layout, j);
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
    *key = "index";
    if (bits != 8 && bits != 16 && bits != 32)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: expected 8, 16 or 32, found %d", j + 1,
                       bits);
    if (bits == 16 && columns > 65536)
        return sn_fail(error, SN_BAD_INPUT,
                       "factor %d: expected 8 or 32 at a width of %d, found 16", j + 1, columns);
    return SN_OK;
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
        totals->bytes += (double)psm_factor_bytes(sizes[j], sizes[j + 1], (size_t)nonzeros[j],
                                                  bits_of(layout, j), block);
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
    shape->row_starts = (uint32_t *)(shape->index_bits + n);
    shape->columns = shape->row_starts + (size_t)totals->groups + n;
    if (layout->has_order)
        shape->order = shape->columns + (size_t)totals->values / (size_t)layout->block;
    for (int j = 0; j < layout->n_factors; j++) shape->index_bits[j] = bits_of(layout, j);
}

/* psm_new for a block that is not 0; *key receives the cfg key that is at fault. */
static struct psm *new_shape(const struct psm_layout *layout, const char **key,
                             struct sn_error *error)
{
    struct totals totals;
    if (check(layout, &totals, key, error)) return NULL;
    size_t n = (size_t)layout->n_factors, n_outputs = (size_t)layout->sizes[0];
    size_t n_storage = 4 * n + 1 + (size_t)totals.groups
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
    for (size_t j = 1; j < n; j++) shape->matrix.n_states += (size_t)shape->sizes[j];
    return shape;
}

struct psm *psm_new(const struct psm_layout *layout, struct sn_error *error)
{
    const char *key;
    struct psm_layout whole = *layout;
    if (!whole.block) whole.block = 1;
    return new_shape(&whole, &key, error);
}

/* Reads the keys behind the counts into layout; bits[n_factors] is the list under index, all 0
 * without one. */
static enum sn_status parse_options(const struct cfg_section *section, struct psm_layout *layout,
                                    int *bits, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    layout->index_bits = bits;
    layout->block = 1;
    if (cfg_find(section, "index"))
        status = cfg_list(section, "index", 1, layout->n_factors, bits, error);
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
    int *sizes = calloc(3 * (size_t)n + 1, sizeof *sizes), *nonzeros = sizes ? sizes + n + 1 : NULL;
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
    if (parse_options(section, &layout, nonzeros + n, error)) goto done;
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
    int special = 0;
    for (int j = 0; j < shape->n_factors; j++)
        special |= shape->index_bits[j] != sn_index_bits_for(shape->sizes[j + 1]);
    if (special) cfg_print_list(file, "index", shape->n_factors, shape->index_bits);
    if (shape->block != 1) fprintf(file, "block=%d\n", shape->block);
    if (shape->order) fprintf(file, "order=1\n");
}

/* Writes one factor's columns and group lengths. Returns what follows. */
static char *write_factor(char *bytes, const struct psm_factor *f)
{
    int bits = f->index_bits, length_bits = sn_index_bits_for(f->width + 1);
    for (size_t g = 0; g < f->n_groups; g++)
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
            sn_index_put(bytes, p, bits,
                         f->columns[p]
                             - (bits == 8 ? psm_least_column(f->columns, f->row_starts[g], p) : 0));
    bytes += sn_index_bytes(f->n_blocks, bits);
    for (size_t g = 0; g < f->n_groups; g++)
        sn_index_put(bytes, g, length_bits, f->row_starts[g + 1] - f->row_starts[g]);
    return bytes + sn_index_bytes(f->n_groups, length_bits);
}

void psm_pack(const struct psm *shape, float *words)
{
    char *bytes = (char *)(words + shape->matrix.n_values);
    memset(bytes, 0, 4 * (shape->matrix.n_words - shape->matrix.n_values));
    for (int j = 0; j < shape->n_factors; j++) {
        struct psm_factor f = psm_factor_at(shape, j);
        bytes = write_factor(bytes, &f);
    }
    if (shape->order) sn_order_pack(shape->order, shape->matrix.n_outputs, bytes);
}

/* Reads one factor's columns as they are stored, and its group lengths into row_starts[1..].
 * Returns what follows. */
static const char *read_factor(const char *bytes, struct psm_factor *f)
{
    int length_bits = sn_index_bits_for(f->width + 1);
    for (size_t p = 0; p < f->n_blocks; p++) f->columns[p] = sn_index_get(bytes, p, f->index_bits);
    bytes += sn_index_bytes(f->n_blocks, f->index_bits);
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
            if (f->index_bits == 8) f->columns[p] += least;
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

static enum sn_status psm_unpack(struct sn_matrix *matrix, const float *words,
                                 struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    struct psm_layout layout = { shape->n_factors,  shape->sizes, shape->nonzeros,
                                 shape->index_bits, shape->block, shape->order != NULL };
    struct psm *read = psm_new(&layout, error);
    if (!read) return error ? error->code : SN_NO_MEMORY;
    const char *bytes = (const char *)(words + matrix->n_values);
    enum sn_status status = SN_OK;
    for (int j = 0; j < read->n_factors && !status; j++) {
        struct psm_factor f = psm_factor_at(read, j);
        bytes = read_factor(bytes, &f);
        status = check_pattern(&f, j + 1, error);
    }
    if (!status && read->order)
        status = sn_order_unpack(bytes, matrix->n_outputs, "outputs", read->order, error);
    if (!status) memcpy(shape->storage, read->storage, shape->n_storage * sizeof *shape->storage);
    free(read);
    return status;
}

/* What the kernels see of factor j. *first receives the position of its first value. The order of
 * the outputs belongs to the leftmost factor. */
static struct psm_pattern pattern_at(const struct psm *shape, int j, size_t *first)
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

/* Scratch: the results of factors J-1, J-2, .. 1 (batch x sizes[j] each), one behind the other in
 * that order. */
static void psm_forward(const struct sn_matrix *matrix, const float *words, int batch,
                        const float *x, float *y, float *states)
{
    const struct psm *shape = (const struct psm *)matrix;
    memset(states, 0, (size_t)batch * matrix->n_states * sizeof *states);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        size_t first;
        struct psm_pattern s = pattern_at(shape, j, &first);
        psm_factor_forward(&s, words + first, batch, x, j ? states : y);
        x = states;
        states += (size_t)batch * (size_t)s.rows;
    }
}

static void psm_backward(const struct sn_matrix *matrix, const float *words, int batch,
                         const float *x, const float *states, const float *dy, float *dvalues,
                         float *dx, float *dstates)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t end = (size_t)batch * matrix->n_states;
    memset(dstates, 0, end * sizeof *dstates);
    for (int j = 0; j < shape->n_factors; j++) {
        size_t first;
        struct psm_pattern s = pattern_at(shape, j, &first);
        int last = j == shape->n_factors - 1;
        if (!last) end -= (size_t)batch * (size_t)s.width;
        psm_factor_backward(&s, words + first, batch, last ? x : states + end, dy, dvalues + first,
                            last ? dx : dstates + end);
        dy = dstates + end;
    }
}

static const char *const psm_keys[] = { "factors", "inner", "nonzeros", "index",
                                        "block",   "order", NULL };

const struct sn_family psm_family = { .name = "psm",
                                      .keys = psm_keys,
                                      .parse = psm_parse,
                                      .print_keys = psm_print_keys,
                                      .init = psm_start,
                                      .unpack = psm_unpack,
                                      .forward = psm_forward,
                                      .backward = psm_backward };
