/* The mathematics of the families against an independent dense form in double. */
#include "support.h"

#include <psm.h>
#include <sss.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float test_uniform(float from, float to)
{
    static uint64_t state = 42;
    return (float)random_uniform(&state, from, to);
}

/* C = A B in double, all row-major. */
static double *product(const double *a, const double *b, int m, int k, int n)
{
    double *c = calloc((size_t)m * (size_t)n + 1, sizeof *c);
    for (int i = 0; i < m; i++)
        for (int p = 0; p < k; p++)
            for (int j = 0; j < n; j++) c[i * n + j] += a[i * k + p] * b[p * n + j];
    return c;
}

/* Copies a block of values and returns what follows it in *values. */
static double *take(const double **values, int rows, int columns)
{
    size_t n = (size_t)rows * (size_t)columns;
    double *block = malloc((n + 1) * sizeof *block);
    memcpy(block, *values, n * sizeof *block);
    *values += n;
    return block;
}

static void add_block(double *w, int ldw, int row, int column, int rows, int columns, const double *block)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) w[(row + i) * ldw + column + j] += block[i * columns + j];
}

/* W from the block formula: C_i A_{i-1}..A_{j+1} B_j below, D_i on, G_i E_{i+1}..E_{j-1} F_j above the diagonal. */
static double *dense_sss(const struct sss *s, const double *values)
{
    int n = s->n_stages, ldw = s->matrix.n_inputs;
    double *w = calloc((size_t)s->matrix.n_outputs * (size_t)ldw + 1, sizeof *w);
    double **blocks = calloc(7 * (size_t)n, sizeof *blocks);
    for (int k = 0; k < n; k++) {
        int u = s->inputs[k], y = s->outputs[k], x = s->causal[k], x1 = s->causal[k + 1];
        int z = s->anticausal[k], z1 = s->anticausal[k + 1];
        const int shapes[7][2] = { { y, u }, { y, x }, { x1, x }, { x1, u }, { y, z1 }, { z, z1 }, { z, u } };
        for (int i = 0; i < 7; i++) blocks[7 * k + i] = take(&values, shapes[i][0], shapes[i][1]);
    }
    for (int j = 0, column = 0; j < n; column += s->inputs[j++]) {
        int row = 0;
        for (int i = 0; i < j; i++) row += s->outputs[i];
        add_block(w, ldw, row, column, s->outputs[j], s->inputs[j], blocks[7 * j]);
        const double *b = blocks[7 * j + 3], *f = blocks[7 * j + 6];
        double *state = take(&b, s->causal[j + 1], s->inputs[j]);
        int below = row + s->outputs[j];
        for (int i = j + 1; i < n; below += s->outputs[i++]) {
            double *block = product(blocks[7 * i + 1], state, s->outputs[i], s->causal[i], s->inputs[j]);
            add_block(w, ldw, below, column, s->outputs[i], s->inputs[j], block);
            free(block);
            double *next = product(blocks[7 * i + 2], state, s->causal[i + 1], s->causal[i], s->inputs[j]);
            free(state);
            state = next;
        }
        free(state);
        state = take(&f, s->anticausal[j], s->inputs[j]);
        for (int i = j - 1; i >= 0; i--) {
            row -= s->outputs[i];
            double *block = product(blocks[7 * i + 4], state, s->outputs[i], s->anticausal[i + 1], s->inputs[j]);
            add_block(w, ldw, row, column, s->outputs[i], s->inputs[j], block);
            free(block);
            double *next = product(blocks[7 * i + 5], state, s->anticausal[i], s->anticausal[i + 1], s->inputs[j]);
            free(state);
            state = next;
        }
        free(state);
    }
    for (int i = 0; i < 7 * n; i++) free(blocks[i]);
    free(blocks);
    return w;
}

/* W = S_1 S_2 ... S_J, multiplied out. */
static double *dense_psm(const struct psm *s, const double *values)
{
    double *w = NULL;
    const uint32_t *starts = s->row_starts, *columns = s->columns;
    for (int j = 0; j < s->n_factors; j++) {
        int rows = s->sizes[j], width = s->sizes[j + 1];
        double *factor = calloc((size_t)rows * (size_t)width, sizeof *factor);
        for (int i = 0; i < rows; i++)
            for (uint32_t p = starts[i]; p < starts[i + 1]; p++) factor[(size_t)i * (size_t)width + columns[p]] = values[p];
        double *next = w ? product(w, factor, s->sizes[0], rows, width) : NULL;
        if (next) free(factor);
        free(w);
        w = next ? next : factor;
        starts += rows + 1;
        columns += s->nonzeros[j];
        values += s->nonzeros[j];
    }
    return w;
}

/* P_out S P_in: entry (i, j) of S is entry (output_order[i], input_order[j]). Frees s. */
static double *reordered(const struct sss *shape, double *s)
{
    size_t m = (size_t)shape->matrix.n_outputs, n = (size_t)shape->matrix.n_inputs;
    double *w = calloc(m * n + 1, sizeof *w);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            size_t row = shape->output_order ? shape->output_order[i] : i, column = shape->input_order ? shape->input_order[j] : j;
            w[row * n + column] = s[i * n + j];
        }
    free(s);
    return w;
}

static double *dense_of(const struct sn_matrix *matrix, const double *values)
{
    const struct sss *sss = (const struct sss *)matrix;
    return matrix->family == &sss_family ? reordered(sss, dense_sss(sss, values))
                                         : dense_psm((const struct psm *)matrix, values);
}

static void shuffle(uint64_t *seed, uint32_t *order, int n)
{
    for (int i = n - 1; order && i > 0; i--) {
        int other = random_int(seed, 0, i);
        uint32_t swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
}

/* The start of a fresh layer, with orders other than the identity. */
static void draw(uint64_t *seed, struct sn_matrix *matrix, float *words)
{
    struct sss *sss = (struct sss *)matrix;
    matrix->family->init(matrix, words, test_uniform, NULL);
    if (matrix->family != &sss_family) return;
    shuffle(seed, sss->input_order, matrix->n_inputs);
    shuffle(seed, sss->output_order, matrix->n_outputs);
    sss_pack(sss, words);
}

/* Ragged stages, zero widths and heights, zero states; 1 to 3 factors. */
static struct sn_matrix *random_matrix_shape(uint64_t *seed, int trial)
{
    struct sn_error error = { 0 };
    int sizes[8], other[8], causal[8], anticausal[8], n = random_int(seed, 1, 6);
    if (trial % 2) {
        int total_in = 0, total_out = 0;
        for (int k = 0; k < n; k++) {
            total_in += sizes[k] = random_int(seed, 0, 5) * random_int(seed, 0, 1);
            total_out += other[k] = random_int(seed, 0, 5) * random_int(seed, 0, 1);
            causal[k] = random_int(seed, 0, 3);
            anticausal[k] = random_int(seed, 0, 3);
        }
        if (!total_in) sizes[n - 1] = 2;
        if (!total_out) other[0] = 3;
        return (struct sn_matrix *)sss_new_ordered(n, sizes, other, causal, anticausal, random_int(seed, 0, 3), &error);
    }
    n = 1 + trial / 2 % 3;
    for (int j = 0; j <= n; j++) sizes[j] = random_int(seed, 1, 9);
    for (int j = 0; j < n; j++) other[j] = random_int(seed, 0, sizes[j] * sizes[j + 1]);
    return (struct sn_matrix *)psm_new(n, sizes, other, &error);
}

/* Sum of weight[b][i] (W x_b)_i: a loss whose gradients are known for any W. */
static double loss(const double *w, int m, int n, int batch, const float *x, const float *weight)
{
    double sum = 0;
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++) sum += (double)weight[b * m + i] * w[i * n + j] * (double)x[b * n + j];
    return sum;
}

static float *random_floats(uint64_t *seed, size_t n)
{
    float *values = malloc((n + 1) * sizeof *values);
    for (size_t i = 0; i < n; i++) values[i] = (float)random_uniform(seed, -1, 1);
    return values;
}

Test(families, forward_equals_the_dense_form)
{
    uint64_t seed = 1;
    for (int trial = 0; trial < 400; trial++) {
        struct sn_matrix *matrix = random_matrix_shape(&seed, trial);
        int m = matrix->n_outputs, n = matrix->n_inputs, batch = random_int(&seed, 1, 5);
        float *words = random_floats(&seed, matrix->n_words), *x = random_floats(&seed, (size_t)(batch * n));
        draw(&seed, matrix, words);
        float *y = calloc((size_t)(batch * m), sizeof *y), *states = malloc((matrix->n_states * (size_t)batch + 1) * 4);
        double *values = malloc((matrix->n_values + 1) * sizeof *values);
        for (size_t i = 0; i < matrix->n_values; i++) values[i] = words[i];
        double *w = dense_of(matrix, values);
        matrix->family->forward(matrix, words, batch, x, y, states);
        for (int b = 0; b < batch; b++)
            for (int i = 0; i < m; i++) {
                double expected = 0;
                for (int j = 0; j < n; j++) expected += w[i * n + j] * (double)x[b * n + j];
                cr_assert_float_eq(y[b * m + i], expected, 1e-5 * (1 + fabs(expected)),  /* float sums of few terms */
                                   "trial %d (%s)", trial, matrix->family->name);
            }
        free(matrix), free(words), free(x), free(y), free(states), free(values), free(w);
    }
}

Test(families, gradients_agree_with_central_differences)
{
    uint64_t seed = 2;
    for (int trial = 0; trial < 200; trial++) {
        struct sn_matrix *matrix = random_matrix_shape(&seed, trial);
        int m = matrix->n_outputs, n = matrix->n_inputs, batch = random_int(&seed, 1, 4);
        float *words = random_floats(&seed, matrix->n_words), *x = random_floats(&seed, (size_t)(batch * n));
        float *dy = random_floats(&seed, (size_t)(batch * m));
        draw(&seed, matrix, words);
        size_t scratch = (matrix->n_states * (size_t)batch + 1) * sizeof(float);
        float *y = calloc((size_t)(batch * m), sizeof *y), *states = malloc(scratch), *dstates = malloc(scratch);
        float *dvalues = calloc(matrix->n_values + 1, sizeof *dvalues), *dx = calloc((size_t)(batch * n), sizeof *dx);
        matrix->family->forward(matrix, words, batch, x, y, states);
        matrix->family->backward(matrix, words, batch, x, states, dy, dvalues, dx, dstates);
        double *values = malloc((matrix->n_values + 1) * sizeof *values);
        for (size_t i = 0; i < matrix->n_values; i++) values[i] = words[i];
        for (size_t i = 0; i < matrix->n_values; i++) {
            double step = 1e-4, kept = values[i], sides[2];
            for (int side = 0; side < 2; side++) {
                values[i] = kept + (side ? step : -step);
                double *w = dense_of(matrix, values);
                sides[side] = loss(w, m, n, batch, x, dy);
                free(w);
            }
            values[i] = kept;
            double expected = (sides[1] - sides[0]) / (2 * step);
            cr_assert_float_eq(dvalues[i], expected, 1e-4 * (.1 + fabs(expected)), "trial %d (%s), value %zu: %g, expected %g",
                               trial, matrix->family->name, i, dvalues[i], expected);
        }
        double *w = dense_of(matrix, values);
        for (int b = 0; b < batch; b++)
            for (int j = 0; j < n; j++) {
                double expected = 0;
                for (int i = 0; i < m; i++) expected += w[i * n + j] * (double)dy[b * m + i];
                cr_assert_float_eq(dx[b * n + j], expected, 1e-4 * (.1 + fabs(expected)), "trial %d, input %d", trial, j);
            }
        float *dvalues_only = calloc(matrix->n_values + 1, sizeof *dvalues_only);
        matrix->family->backward(matrix, words, batch, x, states, dy, dvalues_only, NULL, dstates);
        cr_assert(!memcmp(dvalues, dvalues_only, matrix->n_values * sizeof *dvalues), "without dx");
        free(matrix), free(words), free(x), free(dy), free(y), free(states), free(dstates), free(dvalues), free(dx);
        free(values), free(w), free(dvalues_only);
    }
}

Test(families, a_fresh_start_has_the_output_variance_of_connected)
{
    static const struct { const char *section; int m, n; } cases[] = {
        { "[sss]\nstages=1\n", 40, 60 },
        { "[sss]\nstages=5\nstates=6\n", 40, 60 },
        { "[sss]\nstages=30\nstates=2\n", 60, 90 },
        { "[sss]\nstages=5\nstates=6\norder=both\n", 40, 60 },
        { "[sss]\ninputs=60,0\noutputs=0,40\nstates=5\n", 40, 60 },
        { "[sss]\ninputs=0,60,0\noutputs=10,20,10\nstates=4\n", 40, 60 },
        { "[sss]\ninputs=0,60,0\noutputs=10,20,10\ncausal=4,4\nanticausal=0,4\n", 40, 60 },
        { "[psm]\nfactors=1\nnonzeros=300\n", 40, 60 },
        { "[psm]\nfactors=1\nnonzeros=20\n", 40, 60 },
        { "[psm]\nfactors=2\ninner=50\nnonzeros=300,200\n", 40, 60 },
        { "[psm]\nfactors=2\ninner=80\nnonzeros=300,40\n", 40, 60 },
        { "[psm]\nfactors=3\ninner=50,30\nnonzeros=300,300,300\n", 40, 60 },
    };
    enum { DRAWS = 400, BATCH = 32 };
    uint64_t seed = 3;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct cfg_text *cfg;
        struct sn_error error = { 0 };
        struct sn_matrix *matrix = matrix_from_text(cases[c].section, cases[c].m, cases[c].n, &cfg, &error);
        cr_assert(matrix, "%s", error.message);
        float *words = calloc(matrix->n_words, sizeof *words), *states = malloc((matrix->n_states * BATCH + 1) * 4);
        double sum = 0;
        for (int draw = 0; draw < DRAWS; draw++) {
            float *x = random_floats(&seed, (size_t)(BATCH * cases[c].n));
            float *y = calloc((size_t)(BATCH * cases[c].m), sizeof *y);
            matrix->family->init(matrix, words, test_uniform, NULL);
            matrix->family->forward(matrix, words, BATCH, x, y, states);
            for (int i = 0; i < BATCH * cases[c].m; i++) sum += (double)y[i] * (double)y[i];
            free(x), free(y);
        }
        double variance = sum / DRAWS / BATCH / cases[c].m / (1. / 3);  /* inputs are uniform in [-1, 1] */
        /* make_connected_layer: n inputs times 2/n times 1/3. 400 draws leave 3 to 5 % of noise. */
        cr_assert_float_eq(variance, 2. / 3, .07 * 2 / 3, "%s: variance %g", cases[c].section, variance);
        free(matrix), free(words), free(states);
        cfg_free(cfg);
    }
}

Test(families, printed_keys_read_back_as_the_same_shape)
{
    uint64_t seed = 4;
    for (int trial = 0; trial < 200; trial++) {
        struct sn_matrix *matrix = random_matrix_shape(&seed, trial);
        char text[1024];
        FILE *file = fmemopen(text, sizeof text, "w");
        fprintf(file, "[%s]\n", matrix->family->name);
        matrix->family->print_keys(matrix, file);
        fclose(file);
        struct cfg_text *cfg;
        struct sn_error error = { 0 };
        struct sn_matrix *read = matrix_from_text(text, matrix->n_outputs, matrix->n_inputs, &cfg, &error);
        cr_assert(read, "%s\n%s", error.message, text);
        char again[1024];
        file = fmemopen(again, sizeof again, "w");
        fprintf(file, "[%s]\n", matrix->family->name);
        read->family->print_keys(read, file);
        fclose(file);
        cr_assert_str_eq(again, text);
        cr_assert_eq(read->n_words, matrix->n_words);
        free(matrix), free(read);
        cfg_free(cfg);
    }
}

Test(families, wide_and_narrow_indices_survive_packing)
{
    static const int widths[] = { 1, 2, 65535, 65536, 65537, 70000 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        struct sn_error error = { 0 };
        int sizes[] = { 3, widths[i] }, nonzeros[] = { widths[i] + (widths[i] > 1) };
        struct psm *shape = psm_new(1, sizes, nonzeros, &error), *read = psm_new(1, sizes, nonzeros, &error);
        float *words = calloc(shape->matrix.n_words, sizeof *words);
        /* Row 0 is full, row 1 has the last column when there is one entry left, row 2 is empty. */
        for (int c = 0; c < widths[i]; c++) shape->columns[c] = (uint32_t)c;
        if (widths[i] > 1) shape->columns[widths[i]] = (uint32_t)widths[i] - 1;
        shape->row_starts[1] = (uint32_t)widths[i];
        shape->row_starts[2] = shape->row_starts[3] = (uint32_t)nonzeros[0];
        psm_pack(shape, words);
        cr_assert_eq(psm_family.unpack(&read->matrix, words, &error), SN_OK, "%s", error.message);
        cr_assert(!memcmp(read->columns, shape->columns, 4 * (size_t)nonzeros[0]), "width %d", widths[i]);
        cr_assert(!memcmp(read->row_starts, shape->row_starts, 16));
        size_t index_bytes = (size_t)(widths[i] <= 65536 ? 2 : 4), length_bytes = (size_t)(widths[i] <= 65535 ? 2 : 4);
        size_t expected = 4 * (size_t)nonzeros[0] + (index_bytes * (size_t)nonzeros[0] + 3) / 4 * 4
            + (3 * length_bytes + 3) / 4 * 4;
        cr_assert_eq(4 * shape->matrix.n_words, expected);
        free(shape), free(read), free(words);
    }
}

Test(families, damaged_indices_are_refused_and_leave_the_matrix_alone)
{
    struct sn_error error = { 0 };
    int sizes[] = { 4, 6 }, nonzeros[] = { 8 };
    struct psm *shape = psm_new(1, sizes, nonzeros, &error);
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    psm_family.init(&shape->matrix, words, test_uniform, NULL);
    uint32_t kept[8];
    memcpy(kept, shape->columns, sizeof kept);
    uint16_t *indices = (uint16_t *)(words + 8);  /* 8 columns, then 4 row lengths */
    static const struct { int at; uint16_t value; const char *expected; } cases[] = {
        { 0, 6, "column index 6, expected ascending below 6" },
        { 1, 0xffff, "column index 65535, expected ascending below 6" },
        { 8, 7, "length 7, expected at most 6" },
        { 8, 0, "row lengths sum to 6, expected 8 nonzeros" },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        psm_pack(shape, words);
        indices[cases[c].at] = cases[c].value;
        cr_assert_eq(psm_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT, "case %zu", c);
        cr_assert(strstr(error.message, cases[c].expected), "%s", error.message);
        cr_assert(!memcmp(kept, shape->columns, sizeof kept));
    }
    psm_pack(shape, words);
    indices[1] = indices[0];
    cr_assert_eq(psm_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT, "a column twice in a row");
    free(shape), free(words);
}

Test(families, sizes_that_overflow_are_refused)
{
    struct sn_error error = { 0 };
    int big[] = { 2000000000, 2000000000 }, states[] = { 2000000000 };
    cr_assert_null(sss_new(2, big, big, states, states, &error));
    cr_assert_eq(error.code, SN_BAD_INPUT);
    int sizes[] = { 2000000000, 2000000000 }, nonzeros[] = { 2000000000 };
    cr_assert_null(psm_new(1, sizes, nonzeros, &error));
    int negative[] = { 3, -1 }, fine[] = { 1, 1 }, none[] = { 0 };
    cr_assert_null(sss_new(2, negative, fine, none, none, &error));
    cr_assert_null(sss_new(0, NULL, NULL, NULL, NULL, &error));
}

static const int stage_of_5_by_4[] = { 4, 5 };

static struct sss *ordered_5_by_4(enum sss_order order)
{
    return sss_new_ordered(1, stage_of_5_by_4, stage_of_5_by_4 + 1, NULL, NULL, order, NULL);
}

/* 20 values, two words of 4 inputs, three of 5 outputs. */
Test(families, orders_are_stored_behind_the_values_inputs_first)
{
    static const uint16_t inputs[] = { 2, 0, 3, 1 }, outputs[] = { 4, 3, 0, 2, 1 };
    static const size_t n_words[] = { 20, 22, 23, 25 };
    for (int order = 0; order <= SSS_ORDER_BOTH; order++) {
        struct sss *shape = ordered_5_by_4(order), *read = ordered_5_by_4(order);
        float words[25] = { 0 };
        cr_assert_eq(shape->matrix.n_values, 20);
        cr_assert_eq(shape->matrix.n_words, n_words[order]);
        cr_assert_eq(sss_order_words(5, 4, order), n_words[order] - 20);
        for (int i = 0; shape->input_order && i < 4; i++) shape->input_order[i] = inputs[i];
        for (int i = 0; shape->output_order && i < 5; i++) shape->output_order[i] = outputs[i];
        sss_pack(shape, words);
        const char *at = (const char *)(words + 20);
        if (order & SSS_ORDER_INPUTS) {
            cr_assert(!memcmp(at, inputs, 8));
            at += 8;
        }
        if (order & SSS_ORDER_OUTPUTS) cr_assert(!memcmp(at, outputs, 10));
        cr_assert_eq(sss_family.unpack(&read->matrix, words, NULL), SN_OK);
        for (int i = 0; read->input_order && i < 4; i++) cr_assert_eq(read->input_order[i], inputs[i]);
        for (int i = 0; read->output_order && i < 5; i++) cr_assert_eq(read->output_order[i], outputs[i]);
        free(shape), free(read);
    }
}

Test(families, wide_orders_take_four_bytes)
{
    for (int n = 65536; n <= 65537; n++) {
        int one = 1;
        struct sss *shape = sss_new_ordered(1, &n, &one, NULL, NULL, SSS_ORDER_INPUTS, NULL);
        struct sss *read = sss_new_ordered(1, &n, &one, NULL, NULL, SSS_ORDER_INPUTS, NULL);
        cr_assert_eq(shape->matrix.n_words, (size_t)n + (n == 65536 ? 32768 : 65537));
        float *words = calloc(shape->matrix.n_words, sizeof *words);
        shape->input_order[0] = (uint32_t)n - 1;
        shape->input_order[n - 1] = 0;
        sss_pack(shape, words);
        cr_assert_eq(sss_family.unpack(&read->matrix, words, NULL), SN_OK);
        cr_assert_eq(read->input_order[0], (uint32_t)n - 1);
        cr_assert_eq(read->input_order[n - 1], 0);
        free(shape), free(read), free(words);
    }
}

Test(families, an_order_that_is_no_permutation_is_refused)
{
    struct sss *shape = ordered_5_by_4(SSS_ORDER_BOTH);
    float words[25] = { 0 };
    struct sn_error error = { 0 };
    uint16_t bad = 5, again = 0;
    sss_pack(shape, words);
    memcpy((char *)(words + 22) + 6, &bad, 2);
    cr_assert_eq(sss_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT);
    cr_expect_str_eq(error.message, "order of the outputs, index 3: expected below 5, found 5");
    memcpy((char *)(words + 20) + 4, &again, 2);
    cr_assert_eq(sss_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT);
    cr_expect_str_eq(error.message, "order of the inputs, index 2: expected one not yet used, found 0 again");
    for (uint32_t i = 0; i < 4; i++) cr_expect_eq(shape->input_order[i], i, "the order is as it was");
    free(shape);
}

Test(families, an_unknown_order_is_refused)
{
    struct cfg_text *cfg;
    struct sn_error error = { 0 };
    cr_assert_null(matrix_from_text("[sss]\nstages=1\norder=rows\n", 5, 4, &cfg, &error));
    cr_expect(strstr(error.message, ":3: [sss] order: expected none, inputs, outputs or both, found rows"), "%s", error.message);
    cfg_free(cfg);
}
