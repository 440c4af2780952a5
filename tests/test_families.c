/* The mathematics of the families against an independent dense form in double. */
#include "support.h"

#include <psm_search.h>
#include <sss.h>

#include <criterion/criterion.h>
#include <limits.h>
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

static void add_block(double *w, int ldw, int row, int column, int rows, int columns,
                      const double *block)
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < columns; j++) w[(row + i) * ldw + column + j] += block[i * columns + j];
}

/* W from the block formula: C_i A_{i-1}..A_{j+1} B_j below, D_i on, G_i E_{i+1}..E_{j-1} F_j above
 * the diagonal. */
static double *dense_sss(const struct sss *s, const double *values)
{
    int n = s->n_stages, ldw = s->matrix.n_inputs;
    double *w = calloc((size_t)s->matrix.n_outputs * (size_t)ldw + 1, sizeof *w);
    double **blocks = calloc(7 * (size_t)n, sizeof *blocks);
    for (int k = 0; k < n; k++) {
        int u = s->inputs[k], y = s->outputs[k], x = s->causal[k], x1 = s->causal[k + 1];
        int z = s->anticausal[k], z1 = s->anticausal[k + 1];
        const int shapes[7][2] = { { y, u },  { y, x },  { x1, x }, { x1, u },
                                   { y, z1 }, { z, z1 }, { z, u } };
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
            double *block = product(blocks[7 * i + 1], state, s->outputs[i], s->causal[i],
                                    s->inputs[j]);
            add_block(w, ldw, below, column, s->outputs[i], s->inputs[j], block);
            free(block);
            double *next = product(blocks[7 * i + 2], state, s->causal[i + 1], s->causal[i],
                                   s->inputs[j]);
            free(state);
            state = next;
        }
        free(state);
        state = take(&f, s->anticausal[j], s->inputs[j]);
        for (int i = j - 1; i >= 0; i--) {
            row -= s->outputs[i];
            double *block = product(blocks[7 * i + 4], state, s->outputs[i], s->anticausal[i + 1],
                                    s->inputs[j]);
            add_block(w, ldw, row, column, s->outputs[i], s->inputs[j], block);
            free(block);
            double *next = product(blocks[7 * i + 5], state, s->anticausal[i], s->anticausal[i + 1],
                                   s->inputs[j]);
            free(state);
            state = next;
        }
        free(state);
    }
    for (int i = 0; i < 7 * n; i++) free(blocks[i]);
    free(blocks);
    return w;
}

/* Factor j, whose values, row starts and columns are given; what lies below its height is left out.
 */
static double *dense_factor(const struct psm *s, int j, const double *values,
                            const uint32_t *starts, const uint32_t *columns)
{
    int rows = s->sizes[j], width = s->sizes[j + 1];
    double *factor = calloc((size_t)rows * (size_t)width, sizeof *factor);
    for (int i = 0; i < rows; i++)
        for (uint32_t p = starts[i / s->block]; p < starts[i / s->block + 1]; p++)
            factor[(size_t)i * (size_t)width + columns[p]] =
                values[p * (uint32_t)s->block + (uint32_t)(i % s->block)];
    return factor;
}

/* W = P S_1 S_2 ... S_J, multiplied out; P brings row i to row order[i]. */
static double *dense_psm(const struct psm *s, const double *values)
{
    double *w = NULL;
    const uint32_t *starts = s->row_starts, *columns = s->columns;
    for (int j = 0; j < s->n_factors; j++) {
        double *factor = dense_factor(s, j, values, starts, columns);
        double *next = w ? product(w, factor, s->sizes[0], s->sizes[j], s->sizes[j + 1]) : NULL;
        if (next) free(factor);
        free(w);
        w = next ? next : factor;
        starts += (s->sizes[j] + s->block - 1) / s->block + 1;
        columns += s->nonzeros[j] / s->block;
        values += s->nonzeros[j];
    }
    if (!s->order) return w;
    size_t row = (size_t)s->matrix.n_inputs;
    double *ordered = malloc((size_t)s->matrix.n_outputs * row * sizeof *ordered);
    for (size_t i = 0; i < (size_t)s->matrix.n_outputs; i++)
        memcpy(ordered + s->order[i] * row, w + i * row, row * sizeof *w);
    free(w);
    return ordered;
}

/* P_out S P_in: entry (i, j) of S is entry (output_order[i], input_order[j]). Frees s. */
static double *reordered(const struct sss *shape, double *s)
{
    size_t m = (size_t)shape->matrix.n_outputs, n = (size_t)shape->matrix.n_inputs;
    double *w = calloc(m * n + 1, sizeof *w);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            size_t row = shape->output_order ? shape->output_order[i] : i,
                   column = shape->input_order ? shape->input_order[j] : j;
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

/* Ragged stages, zero widths and heights, zero states; 1 to 3 factors, all blocks and widths of
 * indices. */
static struct sn_matrix *random_matrix_shape(uint64_t *seed, int trial)
{
    static const int blocks[] = { 0, 1, 4, 8 }, forms[] = { 0, 1, 4, 8, 16, 32 };
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
        return (struct sn_matrix *)sss_new_ordered(n, sizes, other, causal, anticausal,
                                                   random_int(seed, 0, 3), &error);
    }
    n = 1 + trial / 2 % 3;
    for (int j = 0; j <= n; j++) sizes[j] = random_int(seed, 1, 9);
    int block = blocks[random_int(seed, 0, 3)], bits[8];
    for (int j = 0; j < n; j++) {
        int rows = block ? block : 1, groups = (sizes[j] + rows - 1) / rows;
        other[j] = rows * random_int(seed, 0, groups * sizes[j + 1]);
        bits[j] = forms[random_int(seed, 0, 5)];
    }
    struct psm_layout layout = { n, sizes, other, bits, block, random_int(seed, 0, 1), NULL };
    return (struct sn_matrix *)psm_new(&layout, &error);
}

/* Fresh values; NaN where a group has no row, and the outputs in a random order where the shape has
 * one. */
static void random_start(struct sn_matrix *matrix, uint64_t *seed, float *words)
{
    struct psm *s = (struct psm *)matrix;
    struct sss *sss = (struct sss *)matrix;
    matrix->family->init(matrix, words, test_uniform, NULL);
    if (matrix->family == &sss_family) {
        shuffle(seed, sss->input_order, matrix->n_inputs);
        shuffle(seed, sss->output_order, matrix->n_outputs);
        sss_pack(sss, words);
        return;
    }
    const uint32_t *starts = s->row_starts;
    for (int j = 0; j < s->n_factors; words += s->nonzeros[j++]) {
        int groups = (s->sizes[j] + s->block - 1) / s->block,
            height = s->sizes[j] - (groups - 1) * s->block;
        for (int p = (int)starts[groups - 1] * s->block; p < s->nonzeros[j]; p++)
            if (p % s->block >= height) words[p] = NAN;
        starts += groups + 1;
    }
    shuffle(seed, s->order, matrix->n_outputs);
}

/* Sum of weight[b][i] (W x_b)_i: a loss whose gradients are known for any W. */
static double loss(const double *w, int m, int n, int batch, const float *x, const float *weight)
{
    double sum = 0;
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < m; i++)
            for (int j = 0; j < n; j++)
                sum += (double)weight[b * m + i] * w[i * n + j] * (double)x[b * n + j];
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
        float *words = random_floats(&seed, matrix->n_words),
              *x = random_floats(&seed, (size_t)(batch * n));
        random_start(matrix, &seed, words);
        float *y = calloc((size_t)(batch * m), sizeof *y),
              *states = malloc((matrix->n_states * (size_t)batch + 1) * 4);
        double *values = malloc((matrix->n_values + 1) * sizeof *values);
        for (size_t i = 0; i < matrix->n_values; i++) values[i] = words[i];
        double *w = dense_of(matrix, values);
        matrix->family->forward(matrix, words, batch, x, y, states);
        for (int b = 0; b < batch; b++)
            for (int i = 0; i < m; i++) {
                double expected = 0;
                for (int j = 0; j < n; j++) expected += w[i * n + j] * (double)x[b * n + j];
                cr_assert_float_eq(y[b * m + i], expected,
                                   1e-5 * (1 + fabs(expected)), /* float sums of few terms */
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
        float *words = random_floats(&seed, matrix->n_words),
              *x = random_floats(&seed, (size_t)(batch * n));
        float *dy = random_floats(&seed, (size_t)(batch * m));
        random_start(matrix, &seed, words);
        size_t scratch = (matrix->n_states * (size_t)batch + 1) * sizeof(float);
        float *y = calloc((size_t)(batch * m), sizeof *y), *states = malloc(scratch),
              *dstates = malloc(scratch);
        float *dvalues = calloc(matrix->n_values + 1, sizeof *dvalues),
              *dx = calloc((size_t)(batch * n), sizeof *dx);
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
            cr_assert_float_eq(dvalues[i], expected, 1e-4 * (.1 + fabs(expected)),
                               "trial %d (%s), value %zu: %g, expected %g", trial,
                               matrix->family->name, i, dvalues[i], expected);
        }
        double *w = dense_of(matrix, values);
        for (int b = 0; b < batch; b++)
            for (int j = 0; j < n; j++) {
                double expected = 0;
                for (int i = 0; i < m; i++) expected += w[i * n + j] * (double)dy[b * m + i];
                cr_assert_float_eq(dx[b * n + j], expected, 1e-4 * (.1 + fabs(expected)),
                                   "trial %d, input %d", trial, j);
            }
        float *dvalues_only = calloc(matrix->n_values + 1, sizeof *dvalues_only);
        matrix->family->backward(matrix, words, batch, x, states, dy, dvalues_only, NULL, dstates);
        cr_assert(!memcmp(dvalues, dvalues_only, matrix->n_values * sizeof *dvalues), "without dx");
        free(matrix), free(words), free(x), free(dy), free(y), free(states), free(dstates),
            free(dvalues), free(dx);
        free(values), free(w), free(dvalues_only);
    }
}

/* A batch gives each sample what it gives alone, and the sum of their gradients. */
static void check_batch(struct sn_matrix *matrix, uint64_t *seed, int trial)
{
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs, s = matrix->n_states,
           batch = (size_t)random_int(seed, 1, 150);
    float *words = random_floats(seed, matrix->n_words), *x = random_floats(seed, batch * n),
          *dy = random_floats(seed, batch * m), *y[2], *dx[2], *dvalues[2],
          *states = malloc((s * batch + 1) * 4), *dstates = malloc((s * batch + 1) * 4);
    random_start(matrix, seed, words);
    for (int k = 0; k < 2; k++) {
        y[k] = calloc(batch * m, sizeof(float)), dx[k] = calloc(batch * n, sizeof(float));
        dvalues[k] = calloc(matrix->n_values + 1, sizeof(float));
        for (size_t b = 0, step = k ? 1 : batch; b < batch; b += step) {
            memset(states, 0xff, s * step * 4), memset(dstates, 0xff, s * step * 4);
            sn_multiply(matrix, words, (int)step, x + b * n, y[k] + b * m, states);
            sn_gradient(matrix, words, (int)step, x + b * n, states, dy + b * m, dvalues[k],
                        dx[k] + b * n, dstates);
        }
    }
    for (size_t i = 0; i < batch * m; i++)
        cr_assert_float_eq(y[0][i], y[1][i], 1e-5 * (1 + fabs(y[1][i])), "trial %d", trial);
    for (size_t i = 0; i < batch * n; i++)
        cr_assert_float_eq(dx[0][i], dx[1][i], 1e-5 * (1 + fabs(dx[1][i])), "trial %d", trial);
    for (size_t i = 0; i < matrix->n_values; i++)
        cr_assert_float_eq(dvalues[0][i], dvalues[1][i], 1e-4 * (1 + fabs(dvalues[1][i])),
                           "trial %d, value %zu", trial, i);
    for (int k = 0; k < 2; k++) free(y[k]), free(dx[k]), free(dvalues[k]);
    free(words), free(x), free(dy), free(states), free(dstates);
}

static void check_batches(const char *instructions)
{
    uint64_t seed = 7;
    setenv("STRUCTNET_ISA", instructions, 1);
    for (int trial = 0; trial < 200; trial++) {
        struct sn_matrix *matrix = random_matrix_shape(&seed, trial);
        check_batch(matrix, &seed, trial);
        free(matrix);
    }
}

Test(families, a_batch_is_its_samples) { check_batches("best"); }
Test(families, a_batch_is_its_samples_in_plain_c) { check_batches("plain"); }

static const struct {
    const char *section;
    int m, n;
} fresh_cases[] = {
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
    { "[psm]\nfactors=1\nnonzeros=300\nblock=4\n", 42, 60 },
    { "[psm]\nfactors=1\nnonzeros=24\nblock=8\norder=1\n", 42, 60 },
    { "[psm]\nfactors=1\nnonzeros=80\nindex=8\n", 40, 600 },
    { "[psm]\nfactors=2\ninner=50\nnonzeros=304,200\nindex=8,32\nblock=8\norder=1\n", 40, 60 },
    { "[psm]\nfactors=2\ninner=81\nnonzeros=300,40\nblock=4\n", 40, 60 },
    { "[psm]\nfactors=2\ninner=600\nnonzeros=300,300\nindex=8,8\n", 40, 60 },
    { "[psm]\nfactors=2\ninner=50\nnonzeros=300,200\nindex=1,4\n", 40, 60 },
    { "[psm]\nnonzeros=80\nindex=4\nescapes=300\n", 40, 600 },
};

/* The mean square of the outputs of many fresh starts over that of the inputs. */
static double fresh_variance(struct sn_matrix *matrix, uint64_t *seed)
{
    enum { DRAWS = 400, BATCH = 32 };
    size_t n = BATCH * (size_t)matrix->n_inputs, m = BATCH * (size_t)matrix->n_outputs;
    float *words = calloc(matrix->n_words, sizeof *words), *y = malloc(m * sizeof *y),
          *states = malloc((matrix->n_states * BATCH + 1) * sizeof *states);
    double sum = 0;
    for (int draw = 0; draw < DRAWS; draw++) {
        float *x = random_floats(seed, n);
        memset(y, 0, m * sizeof *y);
        matrix->family->init(matrix, words, test_uniform, NULL);
        matrix->family->forward(matrix, words, BATCH, x, y, states);
        for (size_t i = 0; i < m; i++) sum += (double)y[i] * (double)y[i];
        free(x);
    }
    free(words), free(y), free(states);
    return sum / DRAWS / (double)m / (1. / 3); /* inputs are uniform in [-1, 1] */
}

/* make_connected_layer: n inputs times 2/n times 1/3. 400 draws leave 3 to 5 % of noise. */
Test(families, a_fresh_start_has_the_output_variance_of_connected)
{
    uint64_t seed = 3;
    for (size_t c = 0; c < sizeof fresh_cases / sizeof *fresh_cases; c++) {
        struct cfg_text *cfg;
        struct sn_error error = { 0 };
        struct sn_matrix *matrix = matrix_from_text(fresh_cases[c].section, fresh_cases[c].m,
                                                    fresh_cases[c].n, &cfg, &error);
        cr_assert(matrix, "%s", error.message);
        double variance = fresh_variance(matrix, &seed);
        cr_assert_float_eq(variance, 2. / 3, .07 * 2 / 3, "%s: variance %g", fresh_cases[c].section,
                           variance);
        free(matrix);
        cfg_free(cfg);
    }
}

Test(families, a_fresh_start_reads_back_as_itself)
{
    static const int bits[] = { 8, 16, 32, 1, 4, 4, 4 }, blocks[] = { 1, 4, 8 };
    for (int trial = 0; trial < 21; trial++) {
        struct sn_error error = { 0 };
        /* So sparse that random columns would be farther apart than 8 bits allow. */
        int sizes[] = { 10, 3000 }, nonzeros[] = { 40 },
            escapes = trial % 7 == 5 ? 37
            : trial % 7 == 6         ? 199
                                     : 0;
        struct psm_layout layout = { 1, sizes,   nonzeros, &bits[trial % 7], blocks[trial / 7],
                                     1, &escapes };
        struct psm *shape = psm_new(&layout, &error);
        cr_assert(shape, "%s", error.message);
        float *words = calloc(shape->matrix.n_words, sizeof *words);
        psm_family.init(&shape->matrix, words, test_uniform, NULL);
        cr_assert(psm_reads_back(shape, words), "trial %d", trial);
        free(shape), free(words);
    }
}

static uint64_t pattern_seed;

static float pattern_uniform(float from, float to)
{
    return (float)random_uniform(&pattern_seed, from, to);
}

/* The forms that can say any columns keep what 16 bits would be given; 8 bits and half bytes
 * without escapes cannot. */
Test(families, forms_of_indices_draw_the_same_columns_where_they_can)
{
    static const int bits[] = { 16, 32, 1, 4, 4, 8 }, escapes[] = { 0, 0, 0, 1990, 0, 0 };
    struct psm *shapes[6];
    for (int i = 0; i < 6; i++) {
        int sizes[] = { 10, 3000 }, nonzeros[] = { 40 };
        struct psm_layout layout = { 1, sizes, nonzeros, &bits[i], 1, 0, &escapes[i] };
        shapes[i] = psm_new(&layout, NULL);
        float *words = calloc(shapes[i]->matrix.n_words, sizeof *words);
        pattern_seed = 3;
        psm_family.init(&shapes[i]->matrix, words, pattern_uniform, NULL);
        int same = !memcmp(shapes[i]->columns, shapes[0]->columns, 40 * sizeof(uint32_t));
        cr_assert_eq(same, i < 4, "%d bits, %d escapes", bits[i], escapes[i]);
        free(words);
    }
    for (int i = 0; i < 6; i++) free(shapes[i]);
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
        struct sn_matrix *read = matrix_from_text(text, matrix->n_outputs, matrix->n_inputs, &cfg,
                                                  &error);
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

Test(families, keys_are_printed_unless_they_are_the_default)
{
    static const struct {
        const char *section, *printed;
    } cases[] = {
        { "[psm]\nnonzeros=8\n", "factors=1\nnonzeros=8\n" },
        { "[psm]\nnonzeros=8,8\ninner=9\nindex=16,16\nblock=1\norder=0\n",
          "factors=2\ninner=9\nnonzeros=8,8\n" },
        { "[psm]\nnonzeros=8,8\ninner=70000\nindex=32,16\n",
          "factors=2\ninner=70000\nnonzeros=8,8\n" },
        { "[psm]\nnonzeros=8,8\ninner=9\nindex=16,32\n",
          "factors=2\ninner=9\nnonzeros=8,8\nindex=16,32\n" },
        { "[psm]\nnonzeros=8\norder=1\nblock=4\nindex=8\n",
          "factors=1\nnonzeros=8\nindex=8\nblock=4\norder=1\n" },
        { "[psm]\nnonzeros=8,8\ninner=9\nindex=1,4\nescapes=0,0\n",
          "factors=2\ninner=9\nnonzeros=8,8\nindex=1,4\n" },
        { "[psm]\nnonzeros=8,8\ninner=9\nindex=1,4\nescapes=0,3\nbits=2\ngroup=0\n",
          "factors=2\ninner=9\nnonzeros=8,8\nindex=1,4\nescapes=0,3\nbits=2\n" },
        { "[psm]\nnonzeros=8\nbits=32\n", "factors=1\nnonzeros=8\n" },
        { "[sss]\nstages=1\ngroup=64\nbits=8\n", "stages=1\nbits=8\ngroup=64\n" },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct cfg_text *cfg;
        struct sn_error error = { 0 };
        struct sn_matrix *matrix = matrix_from_text(cases[c].section, 10, 20, &cfg, &error);
        cr_assert(matrix, "%s", error.message);
        char text[1024];
        FILE *file = fmemopen(text, sizeof text, "w");
        sn_matrix_print(matrix, file);
        fclose(file);
        cr_assert_str_eq(text, cases[c].printed);
        free(matrix);
        cfg_free(cfg);
    }
}

/* One group with one block, in the last column; the fewest blocks before it bring every difference
 * into 8 bits. */
static size_t bridged_row(int width, uint32_t *columns)
{
    size_t n = ((size_t)width - 1) / 256;
    for (size_t i = 0; i < n; i++) columns[i] = 256 * (uint32_t)(i + 1) - 1;
    columns[n] = (uint32_t)width - 1;
    return n + 1;
}

/* Group 0 is full, group 1 has its last column (bridged), group 2 is empty and lacks a row. */
static void check_packing(int width, int bits, int block)
{
    struct sn_error error = { 0 };
    uint32_t bridged[300];
    size_t n_bridged = bridged_row(width, bridged), n = (size_t)width + n_bridged;
    int sizes[] = { 3 * block - (block > 1), width }, nonzeros[] = { (int)n * block }, escapes = 0;
    for (size_t i = 0, next = 0; bits == 4 && i < n_bridged; next = bridged[i++] + 1)
        for (size_t c = next; c + 15 <= bridged[i]; c += 15) escapes++;
    struct psm_layout layout = { 1, sizes, nonzeros, &bits, block, 1, &escapes };
    struct psm *shape = psm_new(&layout, &error), *read = psm_new(&layout, &error);
    cr_assert(shape && read, "%s", error.message);
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    for (int c = 0; c < width; c++) shape->columns[c] = (uint32_t)c;
    memcpy(shape->columns + width, bridged, n_bridged * sizeof *bridged);
    shape->row_starts[1] = (uint32_t)width;
    shape->row_starts[2] = shape->row_starts[3] = (uint32_t)n;
    for (int i = 0; i < sizes[0]; i++) shape->order[i] = (uint32_t)(sizes[0] - 1 - i);
    psm_pack(shape, words);
    cr_assert_eq(psm_family.unpack(&read->matrix, words, &error), SN_OK, "%s", error.message);
    cr_assert_eq(read->n_storage, shape->n_storage);
    cr_assert(!memcmp(read->storage, shape->storage, 4 * shape->n_storage),
              "width %d, %d bits, block %d", width, bits, block);
    size_t default_bits = width <= 65536 ? 16 : 32, length_bytes = width <= 65535 ? 2 : 4;
    size_t index_bytes = ((bits ? (size_t)bits : default_bits) * (n + (size_t)escapes) + 7) / 8;
    if (bits == 1) {
        index_bytes = 3 * (((size_t)width + 7) / 8);
        length_bytes = 0;
    }
    size_t structure = (index_bytes + 3) / 4 * 4 + (3 * length_bytes + 3) / 4 * 4;
    size_t expected = 4 * n * (size_t)block + structure + (2 * (size_t)sizes[0] + 3) / 4 * 4;
    cr_assert_eq(shape->matrix.n_bytes, expected);
    cr_assert_eq(4 * shape->matrix.n_words, expected);
    cr_assert_eq(psm_structure_bytes(sizes[0], width, n * (size_t)block, bits, block, escapes),
                 structure);
    if (!escapes)
        cr_assert_eq(psm_factor_bytes(sizes[0], width, n * (size_t)block, bits, block)
                         + psm_order_bytes(sizes[0]),
                     expected);
    free(shape), free(read), free(words);
}

Test(families, all_widths_of_indices_and_blocks_survive_packing)
{
    static const int widths[] = { 1, 2, 255, 256, 257, 512, 513, 65535, 65536, 65537, 70000 };
    static const int bits[] = { 0, 1, 4, 8, 16, 32 }, blocks[] = { 1, 4, 8 };
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        for (size_t b = 0; b < 6; b++)
            for (size_t k = 0; k < 3 && (bits[b] != 16 || widths[i] <= 65536); k++)
                check_packing(widths[i], bits[b], blocks[k]);
}

Test(families, an_order_of_many_outputs_survives_packing)
{
    static const struct {
        int n_outputs;
        size_t order_bytes;
    } cases[] = { { 1, 4 }, { 65536, 131072 }, { 65537, 262148 } };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct sn_error error = { 0 };
        int n = cases[c].n_outputs, sizes[] = { n, 2 }, nonzeros[] = { 0 };
        struct psm_layout layout = {
            .n_factors = 1, .sizes = sizes, .nonzeros = nonzeros, .has_order = 1
        };
        struct psm *shape = psm_new(&layout, &error), *read = psm_new(&layout, &error);
        float *words = calloc(shape->matrix.n_words, sizeof *words);
        for (int i = 0; i < n; i++) shape->order[i] = (uint32_t)((i + 7) % n);
        psm_pack(shape, words);
        cr_assert_eq(psm_family.unpack(&read->matrix, words, &error), SN_OK, "%s", error.message);
        cr_assert(!memcmp(read->order, shape->order, 4 * (size_t)n));
        cr_assert_eq(psm_order_bytes(n), cases[c].order_bytes);
        cr_assert_eq(4 * shape->matrix.n_words,
                     psm_factor_bytes(n, 2, 0, 0, 1) + cases[c].order_bytes);
        free(shape), free(read), free(words);
    }
}

Test(families, packed_bytes_are_the_documented_ones)
{
    struct sn_error error = { 0 };
    int sizes[] = { 5, 600 }, nonzeros[] = { 16 }, bits[] = { 8 };
    struct psm_layout layout = { 1, sizes, nonzeros, bits, 4, 1, NULL };
    struct psm *shape = psm_new(&layout, &error);
    static const uint32_t columns[] = { 3, 259, 260, 255 }, starts[] = { 0, 3, 4 },
                          order[] = { 4, 0, 3, 1, 2 };
    static const unsigned char expected[] = { 3, 255, 0, 255, 3, 0, 1, 0, 4, 0,
                                              0, 0,   3, 0,   1, 0, 2, 0, 0, 0 };
    float words[16 + sizeof expected / 4];
    memcpy(shape->columns, columns, sizeof columns);
    memcpy(shape->row_starts, starts, sizeof starts);
    memcpy(shape->order, order, sizeof order);
    cr_assert_eq(4 * shape->matrix.n_words, sizeof words);
    psm_pack(shape, words);
    cr_assert(!memcmp(words + 16, expected, sizeof expected));
    free(shape);
}

/* Row 0 has columns 0, 14, 30, row 2 column 39. In half bytes those are 0, 13, 15 0, 15 15 9, and
 * one escape is left; bitmaps take 5 bytes a row. */
static const struct {
    int bits, escapes;
    size_t n_bytes;
    unsigned char bytes[16];
} small_forms[] = { { 4, 4, 12, { 0xd0, 0x0f, 0xff, 0x09, 3, 0, 0, 0, 1, 0, 0, 0 } },
                    { 1, 0, 16, { 1, 0x40, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0 } } };

static struct psm *small_form(int form)
{
    static const int sizes[] = { 3, 40 }, nonzeros[] = { 4 };
    struct psm_layout layout = { .n_factors = 1,
                                 .sizes = sizes,
                                 .nonzeros = nonzeros,
                                 .index_bits = &small_forms[form].bits,
                                 .escapes = &small_forms[form].escapes };
    return psm_new(&layout, NULL);
}

Test(families, half_bytes_and_bitmaps_are_the_documented_ones)
{
    static const uint32_t columns[] = { 0, 14, 30, 39 }, starts[] = { 0, 3, 3, 4 };
    for (int form = 0; form < 2; form++) {
        struct psm *shape = small_form(form);
        float words[4 + 4];
        memcpy(shape->columns, columns, sizeof columns);
        memcpy(shape->row_starts, starts, sizeof starts);
        cr_assert_eq(shape->matrix.n_bytes, 16 + small_forms[form].n_bytes);
        cr_assert_eq(psm_count_escapes(columns, 3) + psm_count_escapes(columns + 3, 1), 3);
        psm_pack(shape, words);
        cr_assert(!memcmp(words + 4, small_forms[form].bytes, small_forms[form].n_bytes));
        cr_assert(psm_reads_back(shape, words));
        free(shape);
    }
}

Test(families, more_escapes_than_there_is_room_for_are_refused)
{
    static const struct {
        size_t at;
        unsigned char value;
        const char *expected;
    } cases[] = {
        { 3, 0xff, "factor 1, row 2: expected at most 4 escapes, found more" },
        { 3, 0x0a, "factor 1, row 2: column index 40, expected ascending below 40" },
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct sn_error error = { 0 };
        struct psm *shape = small_form(0);
        float words[4 + 3] = { 0 };
        memcpy(words + 4, small_forms[0].bytes, small_forms[0].n_bytes);
        ((unsigned char *)(words + 4))[cases[c].at] = cases[c].value;
        cr_assert_eq(psm_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT);
        cr_assert_str_eq(error.message, cases[c].expected);
        free(shape);
    }
}

/* Differences 256, 255; 511, 512, 68975 in groups 0 and 2 take 1 + 0 + 1 + 2 + 269 bridges. */
Test(families, bridges_bring_every_difference_into_8_bits)
{
    enum { WIDTH = 70001, N_ENTRIES = 5, N_BRIDGES = 273 };
    static const int groups[] = { 0, 0, 2, 2, 2 }, columns[] = { 256, 512, 511, 1024, 70000 };
    static const int bits = 8;
    for (int block = 1; block <= 8; block += block == 1 ? 3 : 4) {
        struct sn_error error = { 0 };
        struct sn_fit fit = { 0 };
        struct psm_sparse sparse;
        struct psm_search search = { .m = 3 * block, .n = WIDTH, .block = block };
        float *w = calloc((size_t)search.m * WIDTH, sizeof *w);
        struct psm_strided dense = { w, search.m, WIDTH, WIDTH, 1 };
        for (int i = 0; i < N_ENTRIES; i++)
            w[(groups[i] * block + block - 1) * WIDTH + columns[i]] = 1;
        cr_assert_eq(psm_bridge(&dense, block, 0), N_BRIDGES);
        cr_assert_eq(psm_bridge(&dense, block, 1), N_BRIDGES, "counting has changed something");
        cr_assert_eq(psm_bridge(&dense, block, 0), 0);
        cr_assert(psm_sparse_new(&sparse, &dense, block));
        cr_assert_eq(psm_sparse_values(&sparse), (size_t)((N_ENTRIES + N_BRIDGES) * block));
        cr_assert_eq(psm_build(&search, &sparse, &bits, NULL, 1, &fit, &error), SN_OK, "%s",
                     error.message);
        cr_assert(psm_reads_back((struct psm *)fit.matrix, fit.words), "block %d", block);
        psm_sparse_free(&sparse);
        sn_fit_free(&fit);
        free(w);
    }
}

static const struct {
    int rows, bits, block, order;
    size_t at, n_bytes;
    uint32_t value;
    const char *expected;
} damages[] = {
    /* 8 columns, then 4 row lengths */
    { 4, 0, 1, 0, 0, 2, 6, "factor 1, row 0: column index 6, expected ascending below 6" },
    { 4, 0, 1, 0, 2, 2, 0xffff, "factor 1, row 0: column index 65535, expected ascending below 6" },
    { 4, 0, 1, 0, 16, 2, 7, "factor 1, row 0: length 7, expected at most 6" },
    { 4, 0, 1, 0, 16, 2, 0, "factor 1: row lengths sum to 6, expected 8 nonzeros" },
    { 4, 32, 1, 0, 4, 4, 0xffffffff,
      "factor 1, row 0: column index 4294967295, expected ascending below 6" },
    { 4, 8, 1, 0, 0, 1, 6, "factor 1, row 0: column index 6, expected ascending below 6" },
    { 4, 8, 1, 0, 0, 2, 0xff00, "factor 1, row 0: column index 256, expected ascending below 6" },
    { 4, 8, 1, 0, 8, 2, 9, "factor 1, row 0: length 9, expected at most 6" },
    /* 2 blocks, then 1 or 2 group lengths, then the order */
    { 4, 8, 4, 0, 4, 2, 3, "factor 1, row 0: length 3, expected at most 2" },
    { 4, 8, 4, 0, 4, 2, 1, "factor 1: row lengths sum to 1, expected 2 blocks" },
    { 6, 16, 4, 0, 2, 2, 6, "factor 1, row 4: column index 6, expected ascending below 6" },
    { 6, 16, 4, 0, 6, 2, 2, "factor 1, row 4: length 2, expected at most 1" },
    { 6, 16, 4, 1, 8, 2, 6, "order of the outputs, index 0: expected below 6, found 6" },
    { 6, 16, 4, 1, 10, 2, 0,
      "order of the outputs, index 1: expected one not yet used, found 0 again" },
    { 6, 8, 8, 1, 18, 2, 0xffff, "order of the outputs, index 5: expected below 6, found 65535" },
    /* 8 half bytes, then 4 row lengths */
    { 4, 4, 1, 0, 0, 1, 0x06, "factor 1, row 0: column index 6, expected ascending below 6" },
    { 4, 4, 1, 0, 0, 1, 0x0f, "factor 1, row 0: column index 15, expected ascending below 6" },
    { 4, 4, 1, 0, 10, 2, 3, "factor 1, row 3: length 3, expected at most 2" },
    /* 4 or 2 bitmaps of a byte */
    { 4, 1, 1, 0, 1, 1, 0x41, "factor 1, row 1: column index 6, expected below 6" },
    { 4, 1, 1, 0, 2, 1, 0x20, "factor 1: bitmaps hold 7, expected 8 nonzeros" },
    { 6, 1, 4, 0, 1, 1, 0x80, "factor 1, row 4: column index 7, expected below 6" },
    { 6, 1, 4, 0, 0, 1, 0x3f, "factor 1: bitmaps hold 7, expected 2 blocks" },
};

Test(families, damaged_indices_are_refused_and_leave_the_matrix_alone)
{
    for (size_t c = 0; c < sizeof damages / sizeof *damages; c++) {
        struct sn_error error = { 0 };
        int sizes[] = { damages[c].rows, 6 }, nonzeros[] = { 8 };
        struct psm_layout layout = {
            1, sizes, nonzeros, &damages[c].bits, damages[c].block, damages[c].order, NULL
        };
        struct psm *shape = psm_new(&layout, &error);
        float *words = calloc(shape->matrix.n_words, sizeof *words);
        psm_family.init(&shape->matrix, words, test_uniform, NULL);
        uint32_t kept[64];
        memcpy(kept, shape->storage, 4 * shape->n_storage);
        memcpy((char *)(words + 8) + damages[c].at, &damages[c].value, damages[c].n_bytes);
        cr_assert_eq(psm_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT, "case %zu", c);
        cr_assert_str_eq(error.message, damages[c].expected);
        cr_assert(!memcmp(kept, shape->storage, 4 * shape->n_storage), "case %zu", c);
        free(shape), free(words);
    }
}

Test(families, a_column_twice_in_a_row_is_refused)
{
    struct sn_error error = { 0 };
    int sizes[] = { 4, 6 }, nonzeros[] = { 8 };
    struct psm_layout layout = { .n_factors = 1, .sizes = sizes, .nonzeros = nonzeros };
    struct psm *shape = psm_new(&layout, &error);
    float *words = calloc(shape->matrix.n_words, sizeof *words);
    psm_family.init(&shape->matrix, words, test_uniform, NULL);
    uint16_t *indices = (uint16_t *)(words + 8);
    indices[1] = indices[0];
    cr_assert_eq(psm_family.unpack(&shape->matrix, words, &error), SN_BAD_INPUT);
    free(shape), free(words);
}

/* Whatever is read, columns and order stay within the matrix. */
static void check_bounds(const struct psm *s)
{
    const uint32_t *starts = s->row_starts, *column = s->columns;
    for (int j = 0; j < s->n_factors; j++) {
        int groups = (s->sizes[j] + s->block - 1) / s->block, n = s->nonzeros[j] / s->block;
        cr_assert(starts[0] == 0 && starts[groups] == (uint32_t)n);
        for (int g = 0; g < groups; g++) cr_assert_leq(starts[g], starts[g + 1]);
        for (int p = 0; p < n; p++) cr_assert_lt(*column++, (uint32_t)s->sizes[j + 1]);
        starts += groups + 1;
    }
    uint32_t sum = 0, n_outputs = (uint32_t)s->matrix.n_outputs;
    for (uint32_t i = 0; s->order && i < n_outputs; i++) sum += s->order[i] + 1;
    cr_assert(!s->order || sum == n_outputs * (n_outputs + 1) / 2);
}

Test(families, random_damage_is_refused_or_harmless)
{
    uint64_t seed = 5;
    int refused = 0;
    for (int trial = 0; trial < 4000; trial += 2) {
        struct sn_error error = { 0 };
        struct psm *s = (struct psm *)random_matrix_shape(&seed, trial);
        size_t n = 4 * (s->matrix.n_words - s->matrix.n_values);
        float *words = calloc(s->matrix.n_words, sizeof *words);
        psm_family.init(&s->matrix, words, test_uniform, NULL);
        unsigned char *indices = (unsigned char *)(words + s->matrix.n_values);
        for (int k = random_int(&seed, 1, 3); k > 0; k--)
            indices[random_int(&seed, 0, (int)n - 1)] = (unsigned char)random_int(&seed, 0,
                                                                                  k == 1 ? 9 : 255);
        refused += psm_family.unpack(&s->matrix, words, &error) != SN_OK;
        check_bounds(s);
        free(s), free(words);
    }
    cr_assert(refused > 500 && refused < 1900, "%d", refused);
}

Test(families, sizes_that_overflow_are_refused)
{
    struct sn_error error = { 0 };
    int big[] = { 2000000000, 2000000000 }, states[] = { 2000000000 };
    cr_assert_null(sss_new(2, big, big, states, states, &error));
    cr_assert_eq(error.code, SN_BAD_INPUT);
    int sizes[] = { 2000000000, 2000000000 }, nonzeros[] = { 2000000000 };
    struct psm_layout layout = { .n_factors = 1, .sizes = sizes, .nonzeros = nonzeros };
    cr_assert_null(psm_new(&layout, &error));
    int tall[] = { INT_MAX, 5 }, many[] = { INT_MAX - 7 };
    for (int order = 0; order < 2; order++) {
        many[0] = order ? 0 : INT_MAX - 7;
        layout = (struct psm_layout){
            .n_factors = 1, .sizes = tall, .nonzeros = many, .block = 8, .has_order = order
        };
        error.code = SN_OK;
        cr_assert_null(psm_new(&layout, &error));
        cr_assert_str_eq(error.message, "more than 2147483647 bytes");
    }
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
        for (int i = 0; read->input_order && i < 4; i++)
            cr_assert_eq(read->input_order[i], inputs[i]);
        for (int i = 0; read->output_order && i < 5; i++)
            cr_assert_eq(read->output_order[i], outputs[i]);
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
    cr_expect_str_eq(error.message,
                     "order of the inputs, index 2: expected one not yet used, found 0 again");
    for (uint32_t i = 0; i < 4; i++)
        cr_expect_eq(shape->input_order[i], i, "the order is as it was");
    free(shape);
}

Test(families, an_unknown_order_is_refused)
{
    struct cfg_text *cfg;
    struct sn_error error = { 0 };
    cr_assert_null(matrix_from_text("[sss]\nstages=1\norder=rows\n", 5, 4, &cfg, &error));
    cr_expect(strstr(error.message,
                     ":3: [sss] order: expected none, inputs, outputs or both, found rows"),
              "%s", error.message);
    cfg_free(cfg);
}
