/* The shape of an SSS matrix: its checks, its section in a cfg, its start values, and its orders as
 * words of a .weights file. */
#include "sss.h"
#include "dense_tile.h"
#include "indices.h"
#include "lanes.h"
#include "sss_kernel.h"
#include "sss_packed.h"
#include "stored.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sss_stage sss_stage_at(const struct sss *shape, float *values, int stage)
{
    size_t n = (size_t)shape->inputs[stage], m = (size_t)shape->outputs[stage];
    size_t s = (size_t)shape->causal[stage], s_next = (size_t)shape->causal[stage + 1];
    size_t t = (size_t)shape->anticausal[stage], t_next = (size_t)shape->anticausal[stage + 1];
    struct sss_stage at;
    at.d = values + shape->values[stage];
    at.c = at.d + m * n;
    at.a = at.c + m * s;
    at.b = at.a + s_next * s;
    at.g = at.b + s_next * n;
    at.e = at.g + m * t_next;
    at.f = at.e + t * t_next;
    return at;
}

size_t sss_order_words(int n_outputs, int n_inputs, enum sss_order order)
{
    size_t inputs = order & SSS_ORDER_INPUTS ? sn_order_bytes(n_inputs) : 0;
    return (inputs + (order & SSS_ORDER_OUTPUTS ? sn_order_bytes(n_outputs) : 0)) / 4;
}

/* Adds to the sizes what the orders take, and sets those that follow. */
static enum sn_status order_sizes(struct sss *shape, struct sn_error *error)
{
    struct sn_matrix *matrix = &shape->matrix;
    matrix->n_words += sss_order_words(matrix->n_outputs, matrix->n_inputs, shape->order);
    if (matrix->n_words > INT_MAX || matrix->n_states > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "more than %d values or states", INT_MAX);
    return sn_matrix_set_bits(matrix, 32, 0, error);
}

/* Adds up widths, heights, values and states, in double so that nothing overflows before it is
 * compared with INT_MAX, the limit of Darknet's counters. */
static enum sn_status count(struct sss *shape, struct sn_error *error)
{
    double inputs = 0, outputs = 0, states = 0, values = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        double n = shape->inputs[k], m = shape->outputs[k];
        double s = shape->causal[k], s_next = shape->causal[k + 1];
        double t = shape->anticausal[k], t_next = shape->anticausal[k + 1];
        if (n < 0 || m < 0 || s_next < 0 || t_next < 0)
            return sn_fail(error, SN_BAD_INPUT, "stage %d has a negative size", k);
        shape->values[k] = (size_t)values;
        shape->states[k] = (size_t)states;
        inputs += n;
        outputs += m;
        states += s + t;
        values += (m + s_next) * (n + s) + m * t_next + t * (t_next + n);
        if (values > INT_MAX || inputs > INT_MAX || outputs > INT_MAX || states > INT_MAX)
            return sn_fail(error, SN_BAD_INPUT, "more than %d values or states", INT_MAX);
    }
    if (inputs < 1 || outputs < 1)
        return sn_fail(error, SN_BAD_INPUT, "the matrix has no rows or no columns");
    shape->states[shape->n_stages] = (size_t)states;
    shape->matrix.n_inputs = (int)inputs;
    shape->matrix.n_outputs = (int)outputs;
    shape->matrix.n_states = (size_t)(states + inputs + outputs) + LANES_LINE / TILE_STRIP;
    shape->matrix.n_values = shape->matrix.n_words = (size_t)values;
    return order_sizes(shape, error);
}

/* The room that the orders take in a shape: 0 for sizes that count() refuses. */
static size_t order_room(int n_stages, const int *inputs, const int *outputs, enum sss_order order)
{
    double room = 0;
    for (int k = 0; k < n_stages; k++)
        room += (order & SSS_ORDER_INPUTS ? inputs[k] : 0.)
            + (order & SSS_ORDER_OUTPUTS ? outputs[k] : 0.);
    return room >= 0 && room <= 2. * INT_MAX ? (size_t)room : 0;
}

/* The orders lie behind the other lists. */
static void identity_orders(struct sss *shape, uint32_t *room)
{
    if (shape->order & SSS_ORDER_INPUTS) {
        shape->input_order = room;
        for (int j = 0; j < shape->matrix.n_inputs; j++) *room++ = (uint32_t)j;
    }
    if (shape->order & SSS_ORDER_OUTPUTS) {
        shape->output_order = room;
        for (int i = 0; i < shape->matrix.n_outputs; i++) *room++ = (uint32_t)i;
    }
}

struct sss *sss_new(int n_stages, const int *inputs, const int *outputs, const int *causal,
                    const int *anticausal, struct sn_error *error)
{
    return sss_new_ordered(n_stages, inputs, outputs, causal, anticausal, SSS_ORDER_NONE, error);
}

struct sss *sss_new_ordered(int n_stages, const int *inputs, const int *outputs, const int *causal,
                            const int *anticausal, enum sss_order order, struct sn_error *error)
{
    if (n_stages < 1) {
        sn_fail(error, SN_BAD_INPUT, "expected at least 1 stage, found %d", n_stages);
        return NULL;
    }
    size_t n = (size_t)n_stages, room = order_room(n_stages, inputs, outputs, order);
    struct sss *shape = calloc(1,
                               sizeof *shape + (2 * n + 1) * sizeof(size_t)
                                   + (4 * n + 2 + room) * sizeof(int));
    if (!shape) {
        sn_fail(error, SN_NO_MEMORY, "out of memory for %d stages", n_stages);
        return NULL;
    }
    shape->matrix.family = &sss_family;
    shape->n_stages = n_stages;
    shape->order = order;
    shape->values = shape->storage;
    shape->states = shape->values + n;
    int *sizes = (int *)(shape->states + n + 1);
    shape->inputs = memcpy(sizes, inputs, n * sizeof *sizes);
    shape->outputs = memcpy(sizes + n, outputs, n * sizeof *sizes);
    shape->causal = sizes + 2 * n;
    shape->anticausal = sizes + 3 * n + 1;
    for (size_t k = 1; k < n; k++) {
        sizes[2 * n + k] = causal[k - 1];
        sizes[3 * n + 1 + k] = anticausal[k - 1];
    }
    if (count(shape, error)) {
        free(shape);
        return NULL;
    }
    identity_orders(shape, (uint32_t *)(sizes + 4 * n + 2));
    return shape;
}

/* Part k of total cut into n_stages nearly equal ones: floor((k+1) total/N) - floor(k total/N). */
static int equal_part(int total, int n_stages, long k)
{
    return (int)((k + 1) * total / n_stages - k * total / n_stages);
}

/* The list under key, or equal parts of total when it is absent. Its sum must be total. */
static enum sn_status read_parts(const struct cfg_section *section, const char *key, int total,
                                 int n_stages, int *parts, struct sn_error *error)
{
    if (!cfg_find(section, key)) {
        for (long k = 0; k < n_stages; k++) parts[k] = equal_part(total, n_stages, k);
        return SN_OK;
    }
    enum sn_status status = cfg_list(section, key, 0, n_stages, parts, error);
    if (status) return status;
    long long sum = 0;
    for (int k = 0; k < n_stages; k++) sum += parts[k];
    return sum == total ? SN_OK
                        : cfg_fail(section, key, error, "sum is %lld, expected %d", sum, total);
}

/* The list under key, or "states" at every inner boundary when it is absent. */
static enum sn_status read_states(const struct cfg_section *section, const char *key, int n_stages,
                                  int *states, struct sn_error *error)
{
    if (cfg_find(section, key)) return cfg_list(section, key, 0, n_stages - 1, states, error);
    int size = 0;
    if (n_stages > 1 && !cfg_find(section, "states"))
        return cfg_fail(section, "states", error,
                        "expected a size, or the lists causal and anticausal, found none");
    enum sn_status status = cfg_int(section, "states", 0, &size, error);
    for (int k = 0; k < n_stages - 1; k++) states[k] = size;
    return status;
}

/* The number of stages: "stages", or the length of the first list that is there. Of equal stages
 * more than size, the inputs and outputs together, would be empty. */
static enum sn_status read_n_stages(const struct cfg_section *section, long size, int *n_stages,
                                    struct sn_error *error)
{
    static const struct {
        const char *key;
        int more;
    } lists[] = { { "inputs", 0 }, { "outputs", 0 }, { "causal", 1 }, { "anticausal", 1 } };
    *n_stages = 0;
    if (cfg_find(section, "stages")) {
        enum sn_status status = cfg_int(section, "stages", 1, n_stages, error);
        if (status || cfg_find(section, "inputs") || cfg_find(section, "outputs")
            || *n_stages <= size)
            return status;
        return cfg_fail(section, "stages", error,
                        "expected at most inputs + outputs = %ld, found %d", size, *n_stages);
    }
    for (int i = 0; i < 4 && !*n_stages; i++)
        if (cfg_find(section, lists[i].key))
            *n_stages = cfg_list_length(section, lists[i].key) + lists[i].more;
    return *n_stages
        ? SN_OK
        : cfg_fail(section, "stages", error, "expected a number or the list inputs, found none");
}

static const char *const order_names[] = { "none", "inputs", "outputs",
                                           "both" }; /* by enum sss_order */

static enum sn_status read_order(const struct cfg_section *section, enum sss_order *order,
                                 struct sn_error *error)
{
    const struct cfg_key *key = cfg_find(section, "order");
    *order = SSS_ORDER_NONE;
    if (!key) return SN_OK;
    for (int i = 0; i <= SSS_ORDER_BOTH; i++)
        if (!strcmp(key->value, order_names[i])) return *order = (enum sss_order)i, SN_OK;
    return cfg_fail(section, "order", error, "expected none, inputs, outputs or both, found %s",
                    key->value);
}

static struct sn_matrix *sss_parse(const struct cfg_section *section, int n_outputs, int n_inputs,
                                   struct sn_error *error)
{
    struct sss *shape = NULL;
    int *lists = NULL, n;
    enum sss_order order;
    if (read_n_stages(section, (long)n_inputs + n_outputs, &n, error)
        || read_order(section, &order, error))
        return NULL;
    lists = calloc(4 * (size_t)n, sizeof *lists);
    if (!lists) {
        sn_fail(error, SN_NO_MEMORY, "%s: out of memory for %d stages", section->path, n);
        return NULL;
    }
    int *inputs = lists, *outputs = inputs + n, *causal = outputs + n, *anticausal = causal + n;
    if (!read_parts(section, "inputs", n_inputs, n, inputs, error)
        && !read_parts(section, "outputs", n_outputs, n, outputs, error)
        && !read_states(section, "causal", n, causal, error)
        && !read_states(section, "anticausal", n, anticausal, error)) {
        struct sn_error inner = { 0 };
        shape = sss_new_ordered(n, inputs, outputs, causal, anticausal, order, &inner);
        if (inner.code == SN_NO_MEMORY)
            sn_fail(error, inner.code, "%s: %s", section->path, inner.message);
        else if (!shape) cfg_fail(section, "states", error, "%s", inner.message);
    }
    free(lists);
    return shape ? &shape->matrix : NULL;
}

/* The list, but for equal parts of total, which are what it is without one. */
static void print_parts(FILE *file, const char *key, int total, int n_stages, const int *parts)
{
    int is_equal = n_stages <= total;
    for (long k = 0; k < n_stages && is_equal; k++)
        is_equal = parts[k] == equal_part(total, n_stages, k);
    if (!is_equal) cfg_print_list(file, key, n_stages, parts);
}

/* The lists, or one size that all inner boundaries have. */
static void print_states(FILE *file, const struct sss *shape)
{
    const int *causal = shape->causal + 1, *anticausal = shape->anticausal + 1;
    int n = shape->n_stages - 1, is_equal = 1;
    for (int k = 0; k < n && is_equal; k++)
        is_equal = causal[k] == causal[0] && anticausal[k] == causal[0];
    if (is_equal) {
        fprintf(file, "states=%d\n", causal[0]);
        return;
    }
    cfg_print_list(file, "causal", n, causal);
    cfg_print_list(file, "anticausal", n, anticausal);
}

static void sss_print_keys(const struct sn_matrix *matrix, FILE *file)
{
    const struct sss *shape = (const struct sss *)matrix;
    fprintf(file, "stages=%d\n", shape->n_stages);
    if (shape->order) fprintf(file, "order=%s\n", order_names[shape->order]);
    if (shape->n_stages == 1) return;
    print_parts(file, "inputs", matrix->n_inputs, shape->n_stages, shape->inputs);
    print_parts(file, "outputs", matrix->n_outputs, shape->n_stages, shape->outputs);
    print_states(file, shape);
}

static void fill_uniform(float *values, size_t n, double scale, float (*uniform)(float, float))
{
    float rounded = (float)scale;
    for (size_t i = 0; i < n; i++) values[i] = rounded * uniform(-1, 1);
}

/* A state is reached by the inputs when some stage before its boundary has inputs and no empty
 * state cuts it off. reached[k] is set for the causal state of boundary k (direction 1) or the
 * anticausal one (direction -1). */
static void mark_reached(const struct sss *shape, int direction, char *reached)
{
    int n = shape->n_stages, start = direction > 0 ? 0 : n;
    const int *states = direction > 0 ? shape->causal : shape->anticausal;
    reached[start] = 0;
    for (int i = 0; i < n; i++) {
        int from = start + direction * i, to = from + direction;
        int stage = direction > 0 ? from : to;
        reached[to] = (char)(states[to] > 0
                             && (shape->inputs[stage] > 0 || (states[from] > 0 && reached[from])));
    }
}

/* Independent uniform values: a state reached by the inputs gets variance 1 from the mean square of
 * its fan-in, and an output 2/3 times the share of outputs that any input reaches, inverted, so
 * that the mean over all outputs is 2/3. With one dense stage this is make_connected_layer's
 * sqrt(2/inputs) uniform(-1, 1), number for number. */
static enum sn_status sss_init(struct sn_matrix *matrix, float *words,
                               float (*uniform)(float, float), struct sn_error *error)
{
    const struct sss *shape = (const struct sss *)matrix;
    int n_stages = shape->n_stages;
    char *forward = calloc(2 * (size_t)n_stages + 2, 1),
         *backward = forward ? forward + n_stages + 1 : NULL;
    if (!forward) return sn_fail(error, SN_NO_MEMORY, "out of memory for %d stages", n_stages);
    mark_reached(shape, 1, forward);
    mark_reached(shape, -1, backward);
    double live_outputs = 0;
    for (int k = 0; k < n_stages; k++)
        if (shape->inputs[k] || forward[k] || backward[k + 1]) live_outputs += shape->outputs[k];
    double gain = live_outputs > 0 ? matrix->n_outputs / live_outputs : 1;
    for (int k = 0; k < n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, words, k);
        size_t n = (size_t)shape->inputs[k], m = (size_t)shape->outputs[k];
        size_t s = (size_t)shape->causal[k], s_next = (size_t)shape->causal[k + 1];
        size_t t = (size_t)shape->anticausal[k], t_next = (size_t)shape->anticausal[k + 1];
        size_t s_live = forward[k] ? s : 0, t_live = backward[k + 1] ? t_next : 0;
        double output = sqrt(2. * gain / fmax(1, (double)(n + s_live + t_live)));
        double causal = sqrt(3. / fmax(1, (double)(n + s_live))),
               anticausal = sqrt(3. / fmax(1, (double)(n + t_live)));
        fill_uniform(at.d, m * n, output, uniform);
        fill_uniform(at.c, m * s, output, uniform);
        fill_uniform(at.a, s_next * s, causal, uniform);
        fill_uniform(at.b, s_next * n, causal, uniform);
        fill_uniform(at.g, m * t_next, output, uniform);
        fill_uniform(at.e, t * t_next, anticausal, uniform);
        fill_uniform(at.f, t * n, anticausal, uniform);
    }
    free(forward);
    identity_orders((struct sss *)matrix,
                    shape->input_order ? shape->input_order : shape->output_order);
    sss_pack(shape, words);
    return SN_OK;
}

/* ---- The orders as they are stored ---- */

void sss_pack(const struct sss *shape, float *words)
{
    char *bytes = (char *)(words + sn_structure_at(&shape->matrix));
    int n = shape->matrix.n_inputs;
    if (shape->input_order) sn_order_pack(shape->input_order, n, bytes);
    if (shape->output_order)
        sn_order_pack(shape->output_order, shape->matrix.n_outputs,
                      bytes + (shape->input_order ? sn_order_bytes(n) : 0));
}

static enum sn_status sss_unpack(struct sn_matrix *matrix, const float *words,
                                 struct sn_error *error)
{
    struct sss *shape = (struct sss *)matrix;
    if (!shape->order) return SN_OK;
    const char *bytes = (const char *)(words + sn_structure_at(matrix));
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs;
    uint32_t *inputs = malloc((n + m) * sizeof *inputs), *outputs = inputs ? inputs + n : NULL;
    enum sn_status status = SN_OK;
    if (!inputs)
        status = sn_fail(error, SN_NO_MEMORY,
                         "out of memory for the orders of %zu inputs, %zu outputs", n, m);
    if (!status && shape->input_order) {
        status = sn_order_unpack(bytes, matrix->n_inputs, "inputs", inputs, error);
        bytes += sn_order_bytes(matrix->n_inputs);
    }
    if (!status && shape->output_order)
        status = sn_order_unpack(bytes, matrix->n_outputs, "outputs", outputs, error);
    if (!status && shape->input_order) memcpy(shape->input_order, inputs, n * sizeof *inputs);
    if (!status && shape->output_order) memcpy(shape->output_order, outputs, m * sizeof *outputs);
    free(inputs);
    return status;
}

/* ---- Rows ---- */

/* Numbers the values of n_rows x n_columns; returns what follows. */
static uint32_t *number_rows(uint32_t *row_of, size_t first, size_t n_rows, size_t n_columns)
{
    for (size_t i = 0; i < n_rows; i++)
        for (size_t j = 0; j < n_columns; j++) *row_of++ = (uint32_t)(first + i);
    return row_of;
}

static size_t sss_rows(const struct sn_matrix *matrix, uint32_t *row_of)
{
    const struct sss *shape = (const struct sss *)matrix;
    size_t first = 0; /* Row of D, C and G. */
    for (int k = 0; k < shape->n_stages; k++) {
        size_t n = (size_t)shape->inputs[k], m = (size_t)shape->outputs[k];
        size_t s = (size_t)shape->causal[k], s_next = (size_t)shape->causal[k + 1];
        size_t t = (size_t)shape->anticausal[k], t_next = (size_t)shape->anticausal[k + 1];
        size_t causal = first + m, anticausal = causal + s_next;
        if (row_of) {
            row_of = number_rows(row_of, first, m, n);
            row_of = number_rows(row_of, first, m, s);
            row_of = number_rows(row_of, causal, s_next, s);
            row_of = number_rows(row_of, causal, s_next, n);
            row_of = number_rows(row_of, first, m, t_next);
            row_of = number_rows(row_of, anticausal, t, t_next);
            row_of = number_rows(row_of, anticausal, t, n);
        }
        first = anticausal + t;
    }
    return first;
}

static const char *const sss_keys[] = { "stages", "states",     "inputs", "outputs",
                                        "causal", "anticausal", "order",  NULL };

const struct sn_family sss_family = { .name = "sss",
                                      .keys = sss_keys,
                                      .parse = sss_parse,
                                      .print_keys = sss_print_keys,
                                      .init = sss_init,
                                      .unpack = sss_unpack,
                                      .rows = sss_rows,
                                      .forward = sss_forward,
                                      .backward = sss_backward,
                                      .pack = sss_packed,
                                      .pixels = &sss_pixels };
