#include "psm.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of n indices below limit, packed and padded to whole words. */
static size_t packed_bytes(size_t n, int limit)
{
    return limit <= 65536 ? (2 * n + 3) / 4 * 4 : 4 * n;
}

size_t psm_factor_bytes(int rows, int columns, size_t nonzeros)
{
    return 4 * nonzeros + packed_bytes(nonzeros, columns) + packed_bytes((size_t)rows, columns + 1);
}

/* One factor as the kernels see it. */
struct factor {
    int rows, columns;
    size_t n_nonzeros, first;  /* first: position of its first value among all values */
    uint32_t *row_starts, *column;
};

static struct factor factor_at(const struct psm *shape, int j)
{
    struct factor at = { shape->sizes[j], shape->sizes[j + 1], (size_t)shape->nonzeros[j], 0, shape->row_starts,
                         shape->columns };
    for (int i = 0; i < j; i++) {
        at.first += (size_t)shape->nonzeros[i];
        at.row_starts += shape->sizes[i] + 1;
    }
    at.column += at.first;
    return at;
}

/* Checks sizes and adds them up, in double so that nothing overflows before it is compared with INT_MAX, the limit of
 * Darknet's counters. */
static enum sn_status check(int n_factors, const int *sizes, const int *nonzeros, double *n_rows, double *n_values,
                            struct sn_error *error)
{
    if (n_factors < 1) return sn_fail(error, SN_BAD_INPUT, "expected at least 1 factor, found %d", n_factors);
    double bytes = 0;
    for (int j = 0; j < n_factors; j++) {
        if (sizes[j] < 1 || sizes[j + 1] < 1 || nonzeros[j] < 0 || sizes[j + 1] == INT_MAX)
            return sn_fail(error, SN_BAD_INPUT, "factor %d is %d x %d with %d nonzeros", j + 1, sizes[j], sizes[j + 1],
                           nonzeros[j]);
        if (nonzeros[j] > (double)sizes[j] * sizes[j + 1])
            return sn_fail(error, SN_BAD_INPUT, "factor %d: %d nonzeros, expected at most %d x %d", j + 1, nonzeros[j],
                           sizes[j], sizes[j + 1]);
        *n_rows += sizes[j];
        *n_values += nonzeros[j];
        bytes += (double)psm_factor_bytes(sizes[j], sizes[j + 1], (size_t)nonzeros[j]);
    }
    if (bytes > INT_MAX) return sn_fail(error, SN_BAD_INPUT, "more than %d bytes", INT_MAX);
    return SN_OK;
}

struct psm *psm_new(int n_factors, const int *sizes, const int *nonzeros, struct sn_error *error)
{
    double n_rows = 0, n_values = 0;
    if (check(n_factors, sizes, nonzeros, &n_rows, &n_values, error)) return NULL;
    size_t n = (size_t)n_factors;
    size_t n_storage = 2 * n + 1 + (size_t)n_rows + n + (size_t)n_values;
    struct psm *shape = calloc(1, sizeof *shape + n_storage * sizeof(uint32_t));
    if (!shape) {
        sn_fail(error, SN_NO_MEMORY, "out of memory for %.0f nonzeros", n_values);
        return NULL;
    }
    shape->n_factors = n_factors;
    shape->sizes = memcpy(shape->storage, sizes, (n + 1) * sizeof *sizes);
    shape->nonzeros = memcpy(shape->sizes + n + 1, nonzeros, n * sizeof *nonzeros);
    shape->row_starts = (uint32_t *)(shape->nonzeros + n);
    shape->columns = shape->row_starts + (size_t)n_rows + n;
    struct sn_matrix *matrix = &shape->matrix;
    *matrix = (struct sn_matrix){ .family = &psm_family, .n_outputs = sizes[0], .n_inputs = sizes[n_factors],
                                  .n_values = (size_t)n_values };
    for (int j = 0; j < n_factors; j++) {
        matrix->n_words += psm_factor_bytes(sizes[j], sizes[j + 1], (size_t)nonzeros[j]) / 4;
        if (j) matrix->n_states += (size_t)sizes[j];
    }
    return shape;
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
    int *sizes = calloc(2 * (size_t)n + 1, sizeof *sizes), *nonzeros = sizes ? sizes + n + 1 : NULL;
    if (!sizes) {
        sn_fail(error, SN_NO_MEMORY, "%s: out of memory for %d factors", section->path, n);
        return NULL;
    }
    sizes[0] = n_outputs;
    sizes[n] = n_inputs;
    if ((n > 1 || cfg_find(section, "inner")) && cfg_list(section, "inner", 1, n - 1, sizes + 1, error)) goto done;
    if (cfg_list(section, "nonzeros", 0, n, nonzeros, error)) goto done;
    struct sn_error inner = { 0 };
    shape = psm_new(n, sizes, nonzeros, &inner);
    if (!shape) cfg_fail(section, "nonzeros", error, "%s", inner.message);
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
}

/* Deals the columns to the rows from a deck that is shuffled anew when it is used up: row i gets its share of the
 * nonzeros, and no column is used twice before every column was used once (but for those a row already has). */
static void draw_pattern(const struct factor *f, uint32_t *deck, char *used, float (*uniform)(float, float))
{
    size_t rows = (size_t)f->rows, columns = (size_t)f->columns, next = columns;
    for (size_t c = 0; c < columns; c++) deck[c] = (uint32_t)c;
    for (size_t i = 0; i <= rows; i++) f->row_starts[i] = (uint32_t)(i * f->n_nonzeros / rows);
    for (size_t i = 0; i < rows; i++) {
        size_t length = f->row_starts[i + 1] - f->row_starts[i];
        uint32_t *row = f->column + f->row_starts[i];
        memset(used, length == columns, columns);
        for (size_t taken = 0; taken < length && length < columns; next++) {
            if (next == columns) {
                for (size_t c = columns - 1; c > 0; c--) {
                    size_t other = (size_t)uniform(0, (float)(c + 1)) % (c + 1);
                    uint32_t swap = deck[c];
                    deck[c] = deck[other];
                    deck[other] = swap;
                }
                next = 0;
            }
            taken += !used[deck[next]];
            used[deck[next]] = 1;
        }
        for (size_t c = 0; c < columns; c++)
            if (used[c]) *row++ = (uint32_t)c;
    }
}

/* reached[i] says whether row i has an entry in a live column. Returns the number of such rows. */
static size_t mark_reached(const struct factor *f, const char *live, char *reached)
{
    size_t n = 0;
    for (int i = 0; i < f->rows; i++) {
        reached[i] = 0;
        for (size_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) reached[i] |= live[f->column[p]];
        n += (size_t)reached[i];
    }
    return n;
}

/* Uniform values in +-sqrt(gain/k), k the live columns of the row: live inputs of variance 1 give variance gain/3. */
static void draw_values(const struct factor *f, float *values, const char *live, double gain,
                        float (*uniform)(float, float))
{
    for (int i = 0; i < f->rows; i++) {
        int n_live = 0;
        for (size_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) n_live += live[f->column[p]];
        float scale = (float)sqrt(gain / (n_live ? n_live : 1));
        for (size_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) values[p] = scale * uniform(-1, 1);
    }
}

/* The pattern spreads the nonzeros evenly over rows and columns. With one full factor the values are
 * make_connected_layer's sqrt(2/inputs) uniform(-1, 1), number for number. */
static enum sn_status psm_init(struct sn_matrix *matrix, float *words, float (*uniform)(float, float),
                               struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    size_t widest = 1;
    for (int j = 0; j <= shape->n_factors; j++)
        if ((size_t)shape->sizes[j] > widest) widest = (size_t)shape->sizes[j];
    uint32_t *deck = malloc(widest * sizeof *deck);
    char *flags = malloc(3 * widest), *used = flags, *live = flags + widest, *reached = live + widest;
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
        /* Inner states get variance 1; the outputs share 2/3 per row among the rows that an input reaches. */
        draw_values(&f, words + f.first, live, j || !n_reached ? 3 : 2. * f.rows / (double)n_reached, uniform);
        memcpy(live, reached, (size_t)f.rows);
    }
    psm_pack(shape, words);
    free(deck);
    free(flags);
    return SN_OK;
}

/* The i-th of an array of packed indices below limit. */
static void put_index(char *bytes, size_t i, int limit, uint32_t index)
{
    uint16_t narrow = (uint16_t)index;
    if (limit <= 65536) memcpy(bytes + 2 * i, &narrow, 2);
    else memcpy(bytes + 4 * i, &index, 4);
}

static uint32_t get_index(const char *bytes, size_t i, int limit)
{
    uint16_t narrow;
    uint32_t wide;
    if (limit <= 65536) return memcpy(&narrow, bytes + 2 * i, 2), narrow;
    return memcpy(&wide, bytes + 4 * i, 4), wide;
}

void psm_pack(const struct psm *shape, float *words)
{
    char *bytes = (char *)(words + shape->matrix.n_values);
    memset(bytes, 0, 4 * (shape->matrix.n_words - shape->matrix.n_values));
    for (int j = 0; j < shape->n_factors; j++) {
        struct factor f = factor_at(shape, j);
        for (size_t p = 0; p < f.n_nonzeros; p++) put_index(bytes, p, f.columns, f.column[p]);
        bytes += packed_bytes(f.n_nonzeros, f.columns);
        for (size_t i = 0; i < (size_t)f.rows; i++)
            put_index(bytes, i, f.columns + 1, f.row_starts[i + 1] - f.row_starts[i]);
        bytes += packed_bytes((size_t)f.rows, f.columns + 1);
    }
}

/* Reads one factor's columns, and its row lengths into row_starts[1..rows]. Returns what follows. */
static const char *read_factor(const char *bytes, struct factor *f)
{
    for (size_t p = 0; p < f->n_nonzeros; p++) f->column[p] = get_index(bytes, p, f->columns);
    bytes += packed_bytes(f->n_nonzeros, f->columns);
    for (size_t i = 0; i < (size_t)f->rows; i++) f->row_starts[i + 1] = get_index(bytes, i, f->columns + 1);
    return bytes + packed_bytes((size_t)f->rows, f->columns + 1);
}

/* Turns the row lengths in row_starts[1..rows] into starts and checks them and the columns. */
static enum sn_status check_pattern(const struct factor *f, int number, struct sn_error *error)
{
    uint64_t start = 0;
    for (int i = 0; i < f->rows; i++) {
        uint32_t length = f->row_starts[i + 1];
        if (length > (uint32_t)f->columns || start + length > f->n_nonzeros)
            return sn_fail(error, SN_BAD_INPUT, "factor %d, row %d: length %u, expected at most %zu", number, i, length,
                           f->n_nonzeros - start < (size_t)f->columns ? f->n_nonzeros - start : (size_t)f->columns);
        for (uint64_t p = start; p < start + length; p++)
            if (f->column[p] >= (uint32_t)f->columns || (p > start && f->column[p] <= f->column[p - 1]))
                return sn_fail(error, SN_BAD_INPUT, "factor %d, row %d: column index %u, expected ascending below %d",
                               number, i, f->column[p], f->columns);
        start += length;
        f->row_starts[i + 1] = (uint32_t)start;
    }
    if (start != f->n_nonzeros)
        return sn_fail(error, SN_BAD_INPUT, "factor %d: row lengths sum to %llu, expected %zu nonzeros", number,
                       (unsigned long long)start, f->n_nonzeros);
    return SN_OK;
}

static enum sn_status psm_unpack(struct sn_matrix *matrix, const float *words, struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    struct psm *read = psm_new(shape->n_factors, shape->sizes, shape->nonzeros, error);
    if (!read) return error ? error->code : SN_NO_MEMORY;
    const char *bytes = (const char *)(words + matrix->n_values);
    enum sn_status status = SN_OK;
    size_t n_starts = 0;
    for (int j = 0; j < read->n_factors && !status; j++) {
        struct factor f = factor_at(read, j);
        bytes = read_factor(bytes, &f);
        status = check_pattern(&f, j + 1, error);
        n_starts += (size_t)f.rows + 1;
    }
    if (!status) {
        memcpy(shape->row_starts, read->row_starts, n_starts * sizeof *read->row_starts);
        memcpy(shape->columns, read->columns, matrix->n_values * sizeof *read->columns);
    }
    free(read);
    return status;
}

/* y_i += sum_p S_ip x_p for each sample. */
static void factor_forward(const struct factor *f, const float *values, int batch, const float *x, float *y)
{
    for (int b = 0; b < batch; b++, x += f->columns, y += f->rows)
        for (int i = 0; i < f->rows; i++) {
            float sum = 0;
            for (uint32_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) sum += values[p] * x[f->column[p]];
            y[i] += sum;
        }
}

/* dS_ip += sum_b dy_bi x_bp, and dx_p += sum_i S_ip dy_i unless dx is NULL. */
static void factor_backward(const struct factor *f, const float *values, int batch, const float *x, const float *dy,
                            float *dvalues, float *dx)
{
    for (int b = 0; b < batch; b++, x += f->columns, dy += f->rows) {
        for (int i = 0; i < f->rows; i++) {
            float d = dy[i];
            for (uint32_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) dvalues[p] += d * x[f->column[p]];
            if (!dx) continue;
            for (uint32_t p = f->row_starts[i]; p < f->row_starts[i + 1]; p++) dx[f->column[p]] += d * values[p];
        }
        if (dx) dx += f->columns;
    }
}

/* Scratch: the results of factors J-1, J-2, .. 1 (batch x sizes[j] each), one behind the other in that order. */
static void psm_forward(const struct sn_matrix *matrix, const float *words, int batch, const float *x, float *y,
                        float *states)
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

static void psm_backward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                         const float *states, const float *dy, float *dvalues, float *dx, float *dstates)
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

static const char *const psm_keys[] = { "factors", "inner", "nonzeros", NULL };

const struct sn_family psm_family = {
    .name = "psm", .keys = psm_keys, .parse = psm_parse, .print_keys = psm_print_keys, .init = psm_init,
    .unpack = psm_unpack, .forward = psm_forward, .backward = psm_backward
};
