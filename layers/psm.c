#include "psm.h"
#include "indices.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 8 }; /* of a block */

static size_t count_groups(int rows, int block)
{
    return ((size_t)rows + (size_t)block - 1) / (size_t)block;
}

size_t psm_factor_bytes(int rows, int columns, size_t nonzeros, int index_bits, int block)
{
    if (!index_bits) index_bits = index_bits_for(columns);
    if (!block) block = 1;
    return 4 * nonzeros + index_bytes(nonzeros / (size_t)block, index_bits)
        + index_bytes(count_groups(rows, block), index_bits_for(columns + 1));
}

size_t psm_order_bytes(int n_outputs) { return order_bytes(n_outputs); }

/* The least column that block p of a group may have: one behind that of the block before it. start
 * is the group's. */
static uint32_t least_column(const uint32_t *columns, size_t start, size_t p)
{
    return p > start ? columns[p - 1] + 1 : 0;
}

size_t psm_bridges(const uint32_t *row_starts, const uint32_t *columns, int n_groups)
{
    size_t n = 0;
    for (int g = 0; g < n_groups; g++)
        for (size_t p = row_starts[g]; p < row_starts[g + 1]; p++)
            n += (columns[p] - least_column(columns, row_starts[g], p)) / 256;
    return n;
}

/* One factor as the kernels see it. */
struct factor {
    int rows, columns, block, index_bits;
    size_t n_groups, n_blocks, first; /* first: position of its first value among all values */
    uint32_t *row_starts, *column;
    const uint32_t *order; /* NULL but for the leftmost factor */
};

static struct factor factor_at(const struct psm *shape, int j)
{
    size_t block = (size_t)shape->block;
    struct factor at = { .rows = shape->sizes[j],
                         .columns = shape->sizes[j + 1],
                         .block = shape->block,
                         .index_bits = shape->index_bits[j],
                         .n_groups = count_groups(shape->sizes[j], shape->block),
                         .n_blocks = (size_t)shape->nonzeros[j] / block,
                         .row_starts = shape->row_starts,
                         .order = j ? NULL : shape->order };
    for (int i = 0; i < j; i++) {
        at.first += (size_t)shape->nonzeros[i];
        at.row_starts += count_groups(shape->sizes[i], shape->block) + 1;
    }
    at.column = shape->columns + at.first / block;
    return at;
}

/* The rows of a group that exist. */
static int group_height(const struct factor *f, size_t group)
{
    size_t left = (size_t)f->rows - group * (size_t)f->block;
    return left < (size_t)f->block ? (int)left : f->block;
}

static int bits_of(const struct psm_layout *layout, int j)
{
    int bits = layout->index_bits ? layout->index_bits[j] : 0;
    return bits ? bits : index_bits_for(layout->sizes[j + 1]);
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
    size_t height = count_groups(rows, block) * (size_t)block;
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
        totals->groups += (double)count_groups(sizes[j], block);
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
    if (!shape) cfg_fail(section, key, error, "%s", inner.message);
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
        special |= shape->index_bits[j] != index_bits_for(shape->sizes[j + 1]);
    if (special) cfg_print_list(file, "index", shape->n_factors, shape->index_bits);
    if (shape->block != 1) fprintf(file, "block=%d\n", shape->block);
    if (shape->order) fprintf(file, "order=1\n");
}

/* Moves the columns of a row to the left as far as 8 bits need it. */
static void close_gaps(uint32_t *row, size_t length)
{
    for (size_t p = 0; p < length; p++) {
        uint32_t most = least_column(row, 0, p) + 255;
        if (row[p] > most) row[p] = most;
    }
}

static void shuffle(uint32_t *deck, size_t n, float (*uniform)(float, float))
{
    for (size_t c = n - 1; c > 0; c--) {
        size_t other = (size_t)uniform(0, (float)(c + 1)) % (c + 1);
        uint32_t swap = deck[c];
        deck[c] = deck[other];
        deck[other] = swap;
    }
}

/* Deals the columns to the groups from a deck that is shuffled anew when it is used up: group i
 * gets its share of the blocks, and no column is used twice before every column was used once (but
 * for those a group already has). */
static void draw_pattern(const struct factor *f, uint32_t *deck, char *used,
                         float (*uniform)(float, float))
{
    size_t groups = f->n_groups, columns = (size_t)f->columns, next = columns;
    for (size_t c = 0; c < columns; c++) deck[c] = (uint32_t)c;
    for (size_t i = 0; i <= groups; i++) f->row_starts[i] = (uint32_t)(i * f->n_blocks / groups);
    for (size_t i = 0; i < groups; i++) {
        size_t length = f->row_starts[i + 1] - f->row_starts[i];
        uint32_t *row = f->column + f->row_starts[i], *end = row;
        memset(used, length == columns, columns);
        for (size_t taken = 0; taken < length && length < columns; next++) {
            if (next == columns) {
                shuffle(deck, columns, uniform);
                next = 0;
            }
            taken += !used[deck[next]];
            used[deck[next]] = 1;
        }
        for (size_t c = 0; c < columns; c++)
            if (used[c]) *end++ = (uint32_t)c;
        if (f->index_bits == 8) close_gaps(row, length);
    }
}

/* The number of blocks of a group in live columns. */
static int count_live(const struct factor *f, size_t group, const char *live)
{
    int n = 0;
    for (size_t p = f->row_starts[group]; p < f->row_starts[group + 1]; p++)
        n += live[f->column[p]];
    return n;
}

/* reached[i] says whether row i has an entry in a live column. Returns the number of such rows. */
static size_t mark_reached(const struct factor *f, const char *live, char *reached)
{
    size_t n = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        size_t height = (size_t)group_height(f, g);
        int any = count_live(f, g, live) > 0;
        memset(reached + g * (size_t)f->block, any, height);
        if (any) n += height;
    }
    return n;
}

/* Uniform values in +-sqrt(gain/k), k the live columns of the row: live inputs of variance 1 give
 * variance gain/3. The rows that do not exist get zeros. */
static void draw_values(const struct factor *f, float *values, const char *live, double gain,
                        float (*uniform)(float, float))
{
    for (size_t g = 0; g < f->n_groups; g++) {
        int n_live = count_live(f, g, live), height = group_height(f, g);
        float scale = (float)sqrt(gain / (n_live ? n_live : 1));
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
            for (int r = 0; r < f->block; r++) *values++ = r < height ? scale * uniform(-1, 1) : 0;
    }
}

/* The pattern spreads the blocks evenly over rows and columns, and the order is the identity. With
 * one full factor the values are make_connected_layer's sqrt(2/inputs) uniform(-1, 1), number for
 * number. */
static enum sn_status psm_init(struct sn_matrix *matrix, float *words,
                               float (*uniform)(float, float), struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    size_t widest = 1;
    for (int j = 0; j <= shape->n_factors; j++)
        if ((size_t)shape->sizes[j] > widest) widest = (size_t)shape->sizes[j];
    uint32_t *deck = malloc(widest * sizeof *deck);
    char *flags = malloc(3 * widest), *used = flags, *live = flags + widest,
         *reached = live + widest;
    if (!deck || !flags) {
        free(deck);
        free(flags);
        return sn_fail(error, SN_NO_MEMORY, "out of memory for %zu columns", widest);
    }
    memset(live, 1, widest);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        struct factor f = factor_at(shape, j);
        draw_pattern(&f, deck, used, uniform);
        size_t n_reached = mark_reached(&f, live, reached);
        /* Inner states get variance 1; the outputs share 2/3 per row among the rows that an input
         * reaches. */
        draw_values(&f, words + f.first, live,
                    j || !n_reached ? 3 : 2. * f.rows / (double)n_reached, uniform);
        memcpy(live, reached, (size_t)f.rows);
    }
    for (size_t i = 0; shape->order && i < (size_t)matrix->n_outputs; i++)
        shape->order[i] = (uint32_t)i;
    psm_pack(shape, words);
    free(deck);
    free(flags);
    return SN_OK;
}

/* Writes one factor's columns and group lengths. Returns what follows. */
static char *write_factor(char *bytes, const struct factor *f)
{
    int bits = f->index_bits, length_bits = index_bits_for(f->columns + 1);
    for (size_t g = 0; g < f->n_groups; g++)
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
            index_put(bytes, p, bits,
                      f->column[p]
                          - (bits == 8 ? least_column(f->column, f->row_starts[g], p) : 0));
    bytes += index_bytes(f->n_blocks, bits);
    for (size_t g = 0; g < f->n_groups; g++)
        index_put(bytes, g, length_bits, f->row_starts[g + 1] - f->row_starts[g]);
    return bytes + index_bytes(f->n_groups, length_bits);
}

void psm_pack(const struct psm *shape, float *words)
{
    char *bytes = (char *)(words + shape->matrix.n_values);
    memset(bytes, 0, 4 * (shape->matrix.n_words - shape->matrix.n_values));
    for (int j = 0; j < shape->n_factors; j++) {
        struct factor f = factor_at(shape, j);
        bytes = write_factor(bytes, &f);
    }
    if (shape->order) order_pack(shape->order, shape->matrix.n_outputs, bytes);
}

/* Reads one factor's columns as they are stored, and its group lengths into row_starts[1..].
 * Returns what follows. */
static const char *read_factor(const char *bytes, struct factor *f)
{
    int length_bits = index_bits_for(f->columns + 1);
    for (size_t p = 0; p < f->n_blocks; p++) f->column[p] = index_get(bytes, p, f->index_bits);
    bytes += index_bytes(f->n_blocks, f->index_bits);
    for (size_t g = 0; g < f->n_groups; g++)
        f->row_starts[g + 1] = index_get(bytes, g, length_bits);
    return bytes + index_bytes(f->n_groups, length_bits);
}

/* Turns the group lengths in row_starts[1..] into starts and differences into columns, and checks
 * both. A group is named by its first row. */
static enum sn_status check_pattern(const struct factor *f, int number, struct sn_error *error)
{
    uint64_t start = 0, width = (uint64_t)f->columns;
    for (size_t g = 0; g < f->n_groups; g++) {
        uint64_t length = f->row_starts[g + 1], left = f->n_blocks - start,
                 most = left < width ? left : width;
        size_t row = g * (size_t)f->block;
        if (length > most)
            return sn_fail(error, SN_BAD_INPUT,
                           "factor %d, row %zu: length %llu, expected at most %llu", number, row,
                           (unsigned long long)length, (unsigned long long)most);
        for (uint64_t p = start; p < start + length; p++) {
            uint32_t least = least_column(f->column, start, p);
            if (f->index_bits == 8) f->column[p] += least;
            if (f->column[p] < least || f->column[p] >= width)
                return sn_fail(error, SN_BAD_INPUT,
                               "factor %d, row %zu: column index %u, expected ascending below %d",
                               number, row, f->column[p], f->columns);
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
        struct factor f = factor_at(read, j);
        bytes = read_factor(bytes, &f);
        status = check_pattern(&f, j + 1, error);
    }
    if (!status && read->order)
        status = order_unpack(bytes, matrix->n_outputs, "outputs", read->order, error);
    if (!status) memcpy(shape->storage, read->storage, shape->n_storage * sizeof *shape->storage);
    free(read);
    return status;
}

static size_t output_of(const struct factor *f, size_t row)
{
    return f->order ? f->order[row] : row;
}

/* y_i += sum_p S_ip x_p for the rows of one group. Inlined with a constant block and height, its
 * loops over the rows become vector instructions. */
static inline __attribute__((always_inline)) void group_forward(const struct factor *f,
                                                                size_t group, int block, int height,
                                                                const float *values, const float *x,
                                                                float *y)
{
    float sums[MOST_ROWS] = { 0 };
    for (size_t p = f->row_starts[group], end = f->row_starts[group + 1]; p < end; p++)
        for (int r = 0; r < height; r++)
            sums[r] += values[p * (size_t)block + (size_t)r] * x[f->column[p]];
    for (int r = 0; r < height; r++) y[output_of(f, group * (size_t)block + (size_t)r)] += sums[r];
}

/* dS_ip += dy_i x_p, and dx_p += sum_i S_ip dy_i unless dx is NULL, for the rows i of one group. */
static inline __attribute__((always_inline)) void group_backward(const struct factor *f,
                                                                 size_t group, int block,
                                                                 int height, const float *values,
                                                                 const float *x, const float *dy,
                                                                 float *dvalues, float *dx)
{
    float d[MOST_ROWS];
    for (int r = 0; r < height; r++) d[r] = dy[output_of(f, group * (size_t)block + (size_t)r)];
    for (size_t p = f->row_starts[group], end = f->row_starts[group + 1]; p < end; p++) {
        size_t first = p * (size_t)block;
        float input = x[f->column[p]], sum = 0;
        for (int r = 0; r < height; r++) dvalues[first + (size_t)r] += d[r] * input;
        if (!dx) continue;
        for (int r = 0; r < height; r++) sum += d[r] * values[first + (size_t)r];
        dx[f->column[p]] += sum;
    }
}

/* The groups of a factor for each sample. */
static void factor_forward(const struct factor *f, const float *values, int batch, const float *x,
                           float *y)
{
    for (int b = 0; b < batch; b++, x += f->columns, y += f->rows)
        for (size_t g = 0; g < f->n_groups; g++) {
            int height = group_height(f, g);
            if (height == 1 && f->block == 1) group_forward(f, g, 1, 1, values, x, y);
            else if (height == 4 && f->block == 4) group_forward(f, g, 4, 4, values, x, y);
            else if (height == 8) group_forward(f, g, 8, 8, values, x, y);
            else group_forward(f, g, f->block, height, values, x, y);
        }
}

static void factor_backward(const struct factor *f, const float *values, int batch, const float *x,
                            const float *dy, float *dvalues, float *dx)
{
    for (int b = 0; b < batch; b++, x += f->columns, dy += f->rows) {
        for (size_t g = 0; g < f->n_groups; g++) {
            int height = group_height(f, g);
            if (height == 1 && f->block == 1)
                group_backward(f, g, 1, 1, values, x, dy, dvalues, dx);
            else if (height == 4 && f->block == 4)
                group_backward(f, g, 4, 4, values, x, dy, dvalues, dx);
            else if (height == 8) group_backward(f, g, 8, 8, values, x, dy, dvalues, dx);
            else group_backward(f, g, f->block, height, values, x, dy, dvalues, dx);
        }
        if (dx) dx += f->columns;
    }
}

/* Scratch: the results of factors J-1, J-2, .. 1 (batch x sizes[j] each), one behind the other in
 * that order. */
static void psm_forward(const struct sn_matrix *matrix, const float *words, int batch,
                        const float *x, float *y, float *states)
{
    const struct psm *shape = (const struct psm *)matrix;
    memset(states, 0, (size_t)batch * matrix->n_states * sizeof *states);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        struct factor f = factor_at(shape, j);
        factor_forward(&f, words + f.first, batch, x, j ? states : y);
        x = states;
        states += (size_t)batch * (size_t)f.rows;
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
        struct factor f = factor_at(shape, j);
        int last = j == shape->n_factors - 1;
        if (!last) end -= (size_t)batch * (size_t)f.columns;
        factor_backward(&f, words + f.first, batch, last ? x : states + end, dy, dvalues + f.first,
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
                                      .init = psm_init,
                                      .unpack = psm_unpack,
                                      .forward = psm_forward,
                                      .backward = psm_backward };
