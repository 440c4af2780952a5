/* What holds for every family and every type of approximation, by the tables alone: no family is
 * named here. Shapes come from approximations, whose keys and words are read back. */
#include "support.h"

#include <structured_layer.h>
#include <weights_file.h>

#include <levels.h>
#include <stored.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M = 26, N = 34, BATCH = 3 };

static const double shares[] = { 1, .5, .25 };
enum { N_SHARES = sizeof shares / sizeof *shares };

static void fill(uint64_t *seed, float *values, size_t n)
{
    for (size_t i = 0; i < n; i++) values[i] = (float)random_uniform(seed, -1, 1);
}

/* The approximation of a random matrix, to whose diagonal 2 is added; matrix is NULL where the
 * budget is too small for the type. */
static struct sn_fit fit_random(const struct sn_fit_type *type, double share, float w[M * N])
{
    uint64_t seed = 5;
    struct sn_fit fit;
    struct sn_error error = { 0 };
    struct sn_fit_options options = { .budget_bytes = (size_t)(share * 4 * M * N),
                                      .effort = SN_QUICK };
    fill(&seed, w, M * N);
    for (int i = 0; i < M && i < N; i++) w[i * N + i] += 2;
    enum sn_status status = sn_fit(type, w, M, N, &options, &fit, &error);
    if (status) {
        cr_assert_eq(status, SN_BAD_INPUT, "%s: %s", type->name, error.message);
        cr_assert(share < 1 && strstr(error.message, "budget"), "%s: %s", type->name,
                  error.message);
        cr_assert(!fit.matrix && !fit.words);
    } else cr_assert_leq(fit.matrix->n_bytes, options.budget_bytes, "%s", type->name);
    return fit;
}

/* Calls test with the approximation of every type at every share that holds one. */
static void for_each_fit(void (*test)(const struct sn_fit_type *type, const struct sn_fit *fit,
                                      const float *w))
{
    static float w[M * N];
    const struct sn_fit_type *type;
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int s = 0; s < N_SHARES; s++) {
            struct sn_fit fit = fit_random(type, shares[s], w);
            if (fit.matrix) test(type, &fit, w);
            sn_fit_free(&fit);
        }
}

static float *dense_of(const struct sn_matrix *matrix, const float *words)
{
    float *dense = malloc(M * N * sizeof *dense);
    cr_assert(!sn_dense(matrix, words, dense, NULL));
    return dense;
}

Test(every_family, tables_are_whole)
{
    const struct sn_fit_type *type;
    for (int f = 0; sn_families[f]; f++) {
        type = sn_fit_type_find(sn_families[f]->name);
        cr_assert(type && type->family == sn_families[f], "%s", sn_families[f]->name);
        cr_assert_eq(sn_fit_simplest(sn_families[f])->family, sn_families[f]);
        cr_assert_eq(sn_family_find(sn_families[f]->name), sn_families[f]);
        cr_assert_str_eq(sn_family_name(sn_families[f]), sn_families[f]->name);
    }
    for (int t = 0; (type = sn_fit_type_at(t)); t++) {
        cr_assert_eq(sn_fit_type_find(type->name), type);
        cr_assert(type->label && type->help && type->fit);
    }
    cr_assert_null(sn_fit_type_find("none of them"));
}

static void check_error(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    float *dense = dense_of(fit->matrix, fit->words);
    double left = 0, all = 0;
    for (int i = 0; i < M * N; i++) {
        left += pow((double)w[i] - (double)dense[i], 2);
        all += (double)w[i] * (double)w[i];
    }
    /* Sums of float32 differences. */
    cr_assert_float_eq(fit->error, sqrt(left / all), 1e-6, "%s: %g", type->name, fit->error);
    cr_assert(fit->error <= 1 && fit->weighted_error == fit->error, "%s", type->name);
    free(dense);
}

Test(every_family, a_fit_has_the_error_that_it_says) { for_each_fit(check_error); }

Test(every_family, a_fit_repeats_bit_for_bit)
{
    static float w[M * N];
    const struct sn_fit_type *type;
    for (int t = 0; (type = sn_fit_type_at(t)); t++) {
        struct sn_fit one = fit_random(type, 1, w), two = fit_random(type, 1, w);
        cr_assert_eq(one.matrix->n_words, two.matrix->n_words);
        cr_assert(!memcmp(one.words, two.words, 4 * one.matrix->n_words), "%s", type->name);
        sn_fit_free(&one);
        sn_fit_free(&two);
    }
}

/* Entries whose squares are no floats: what is fitted is a power of two away, where w is. */
Test(every_family, a_power_of_two_changes_exponents_alone)
{
    static const int powers[] = { 59, -90 }, bits[] = { 32, 8, 3 };
    float w[M * N], scaled[M * N], largest = 0;
    const struct sn_fit_type *type;
    struct sn_fit fits[2];
    uint64_t seed = 3;
    int exponent;
    fill(&seed, w, M * N);
    for (int i = 0; i < M * N; i++) largest = fmaxf(largest, fabsf(w[i]));
    frexpf(largest, &exponent);
    for (int i = 0; i < M * N; i++) w[i] = ldexpf(w[i], -exponent);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int k = 0; k < 6; k++) {
            struct sn_fit_options options = { .budget_bytes = 4 * M * N,
                                              .bits = bits[k / 2],
                                              .effort = SN_QUICK };
            for (int i = 0; i < M * N; i++) scaled[i] = ldexpf(w[i], powers[k % 2]);
            for (int which = 0; which < 2; which++)
                cr_assert(!sn_fit(type, which ? scaled : w, M, N, &options, &fits[which], NULL),
                          "%s", type->name);
            float *one = dense_of(fits[0].matrix, fits[0].words),
                  *other = dense_of(fits[1].matrix, fits[1].words);
            for (int i = 0; i < M * N; i++)
                cr_assert_eq(ldexpf(one[i], powers[k % 2]), other[i], "%s, %d bits: %d: %g, %g",
                             type->name, bits[k / 2], i, (double)one[i], (double)other[i]);
            cr_assert_eq(fits[0].error, fits[1].error, "%s", type->name);
            struct sn_matrix *matrix = fits[1].matrix;
            char *stored = malloc(matrix->n_bytes);
            uint32_t *map = malloc(matrix->n_values * sizeof *map);
            if (matrix->bits < 32) sn_scale_map(matrix, map);
            sn_store(matrix, map, fits[1].words, stored);
            cr_assert(!sn_restore(matrix, stored, map, fits[1].words, NULL), "%s", type->name);
            free(one), one = dense_of(matrix, fits[1].words);
            cr_assert(!memcmp(one, other, sizeof w), "%s, %d bits", type->name, matrix->bits);
            free(one), free(other), free(stored), free(map);
            for (int which = 0; which < 2; which++) sn_fit_free(&fits[which]);
        }
}

Test(every_family, a_weighting_lowers_the_weighted_error)
{
    enum { SAMPLES = 60 };
    static float w[M * N], x[SAMPLES * N];
    const struct sn_fit_type *type;
    uint64_t seed = 9;
    struct sn_weighting weighting;
    fill(&seed, x, SAMPLES * N);
    for (int i = 0; i < SAMPLES * N; i++) x[i] *= i % N < 5 ? 10 : 1;
    cr_assert(!sn_weighting_new(NULL, 0, x, SAMPLES, N, .1, 0, &weighting, NULL));
    for (int t = 0; (type = sn_fit_type_at(t)); t++) {
        if (!type->has_budget) continue; /* All entries lose nothing. */
        struct sn_fit plain = fit_random(type, .5, w), weighted = { 0 };
        struct sn_fit_options options = { .budget_bytes = 4 * M * N / 2, .weighting = &weighting };
        cr_assert(!sn_fit(type, w, M, N, &options, &weighted, NULL), "%s", type->name);
        cr_assert(!sn_fit_measure(&plain, w, &weighting, NULL));
        cr_assert_lt(weighted.weighted_error, plain.weighted_error, "%s", type->name);
        sn_fit_free(&plain);
        sn_fit_free(&weighted);
    }
    sn_weighting_free(&weighting);
}

/* The keys that a matrix prints, below a section of its family. free() */
static char *section_of(const struct sn_matrix *matrix)
{
    const char *path = temporary_path("keys");
    size_t n;
    FILE *file = fopen(path, "w");
    fprintf(file, "[%s]\noutput=%d\nactivation=linear\n", matrix->family->name, matrix->n_outputs);
    sn_matrix_print(matrix, file);
    fclose(file);
    char *text = read_file_bytes(path, &n);
    text[n] = '\0';
    return text;
}

static struct sn_matrix *parse(const char *section)
{
    struct cfg_text *cfg;
    struct sn_error error = { 0 };
    struct sn_matrix *matrix = matrix_from_text(section, M, N, &cfg, &error);
    cr_assert(matrix, "%s", error.message);
    cfg_free(cfg);
    return matrix;
}

/* A fresh matrix of the fit's shape with values of few bits, and its scale map. */
struct few {
    struct sn_matrix *matrix;
    float *words;
    uint32_t *map;
};

static const int few_bits[] = { 1, 2, 3, 4, 8 }, few_groups[] = { 0, 16 };
enum { N_FEW = 10 }; /* of both */

static uint64_t start_seed;

static float uniform(float from, float to)
{
    return (float)random_uniform(&start_seed, (double)from, (double)to);
}

static struct few few_new(const struct sn_fit *fit, int which)
{
    char *section = section_of(fit->matrix);
    struct few few = { .matrix = parse(section) };
    cr_assert(!sn_matrix_set_bits(few.matrix, few_bits[which / 2], few_groups[which % 2], NULL));
    few.words = calloc(few.matrix->n_words + 1, sizeof *few.words);
    few.map = calloc(few.matrix->n_values + 1, sizeof *few.map);
    start_seed = 1;
    cr_assert(!sn_matrix_init(few.matrix, few.map, few.words, uniform, NULL));
    free(section);
    return few;
}

static void few_free(struct few *few) { free(few->matrix), free(few->words), free(few->map); }

/* Calls test as for_each_fit, with float values and with few bits. */
static void (*tested_with_bits)(const struct sn_fit_type *type, const struct sn_fit *fit,
                                const float *w);

static void test_with_bits(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    tested_with_bits(type, fit, w);
    for (int which = 0; which < N_FEW; which++) {
        struct few few = few_new(fit, which);
        struct sn_fit fresh = { .matrix = few.matrix, .words = few.words };
        tested_with_bits(type, &fresh, w);
        few_free(&few);
    }
}

static void for_each_fit_and_bits(void (*test)(const struct sn_fit_type *type,
                                               const struct sn_fit *fit, const float *w))
{
    tested_with_bits = test;
    for_each_fit(test_with_bits);
}

static void check_keys(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    (void)w;
    char *section = section_of(fit->matrix);
    struct sn_matrix *read = parse(section);
    cr_assert(read->n_values == fit->matrix->n_values && read->n_words == fit->matrix->n_words
                  && read->n_states == fit->matrix->n_states && read->n_outputs == M
                  && read->n_bytes == fit->matrix->n_bytes && read->bits == fit->matrix->bits
                  && read->group == fit->matrix->group && read->n_scales == fit->matrix->n_scales
                  && read->n_inputs == N && read->family == type->family,
              "%s: %s", type->name, section);
    cr_assert(!read->family->unpack(read, fit->words, NULL));
    float *expected = dense_of(fit->matrix, fit->words), *found = dense_of(read, fit->words);
    cr_assert(!memcmp(expected, found, M * N * sizeof *found), "%s: %s", type->name, section);
    free(expected), free(found), free(read), free(section);
}

Test(every_family, keys_and_words_read_back_are_the_matrix) { for_each_fit_and_bits(check_keys); }

static void check_head(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    (void)w;
    float bias[M];
    char cfg[256], weights[256];
    uint64_t seed = 4;
    struct sn_head read;
    struct sn_error error = { 0 };
    fill(&seed, bias, M);
    snprintf(cfg, sizeof cfg, "%s", temporary_path("head.cfg"));
    snprintf(weights, sizeof weights, "%s", temporary_path("head.weights"));
    FILE *files[] = { fopen(cfg, "w"), fopen(weights, "wb") };
    cr_assert(!sn_head_write(&(struct sn_head){ fit->matrix, fit->words, bias }, files[0], files[1],
                             &error));
    for (int i = 0; i < 2; i++) cr_assert(!ferror(files[i]) && !fclose(files[i]));
    cr_assert(!sn_head_read(cfg, weights, &read, &error), "%s: %s", type->name, error.message);
    cr_assert(!memcmp(read.bias, bias, sizeof bias));
    cr_assert(!memcmp(read.words, fit->words, 4 * fit->matrix->n_words));
    sn_head_free(&read);
    write_file(weights, "too short", 9);
    cr_assert_eq(sn_head_read(cfg, weights, &read, &error), SN_BAD_INPUT);
    cr_assert(strstr(error.message, "expected a header and") && !read.matrix && !read.words);
}

Test(every_family, a_head_read_back_is_the_one_written) { for_each_fit_and_bits(check_head); }

/* Everything that products and gradients take, filled at random. */
struct batch {
    float x[BATCH * N], y[BATCH * M], dy[BATCH * M], dx[BATCH * N];
    float *states, *dstates, *dvalues;
};

static struct batch batch_new(const struct sn_matrix *matrix, const float *words)
{
    struct batch b = { .states = calloc(BATCH * matrix->n_states + 1, sizeof(float)),
                       .dstates = calloc(BATCH * matrix->n_states + 1, sizeof(float)),
                       .dvalues = calloc(matrix->n_values, sizeof(float)) };
    uint64_t seed = 8;
    fill(&seed, b.x, BATCH * N);
    fill(&seed, b.dy, BATCH * M);
    sn_multiply(matrix, words, BATCH, b.x, b.y, b.states);
    sn_gradient(matrix, words, BATCH, b.x, b.states, b.dy, b.dvalues, b.dx, b.dstates);
    return b;
}

static void batch_free(struct batch *b) { free(b->states), free(b->dstates), free(b->dvalues); }

static void check_products(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    (void)w;
    struct batch b = batch_new(fit->matrix, fit->words);
    float *dense = dense_of(fit->matrix, fit->words);
    for (int s = 0; s < BATCH; s++) {
        for (int i = 0; i < M; i++) {
            double sum = 0;
            for (int j = 0; j < N; j++) sum += (double)dense[i * N + j] * (double)b.x[s * N + j];
            /* Sums of 34 products of about 1 in float32, through several factors or stages. */
            cr_assert_float_eq(b.y[s * M + i], sum, 1e-4, "%s, output %d", type->name, i);
        }
        for (int j = 0; j < N; j++) {
            double sum = 0;
            for (int i = 0; i < M; i++) sum += (double)dense[i * N + j] * (double)b.dy[s * M + i];
            cr_assert_float_eq(b.dx[s * N + j], sum, 1e-4, "%s, input %d", type->name, j);
        }
    }
    free(dense);
    batch_free(&b);
}

Test(every_family, products_are_those_of_the_dense_matrix) { for_each_fit(check_products); }

/* <dy, Y> for words with value q moved by step. Every family's Y is linear in each of its values
 * alone, so that a difference over large steps is the derivative. */
static double product_with(const struct sn_fit *fit, const struct batch *b, float *words, size_t q,
                           float step)
{
    float y[BATCH * M] = { 0 }, kept = words[q];
    double sum = 0;
    words[q] += step;
    sn_multiply(fit->matrix, words, BATCH, b->x, y, b->states);
    words[q] = kept;
    for (int i = 0; i < BATCH * M; i++) sum += (double)y[i] * (double)b->dy[i];
    return sum;
}

static void check_gradient(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    (void)w;
    struct batch b = batch_new(fit->matrix, fit->words);
    for (size_t q = 0; q < fit->matrix->n_values; q += 1 + fit->matrix->n_values / 200) {
        double up = product_with(fit, &b, fit->words, q, 1);
        double difference = (up - product_with(fit, &b, fit->words, q, -1)) / 2;
        cr_assert_float_eq(b.dvalues[q], difference, 1e-4 * (1 + fabs(difference)),
                           "%s, value %zu: %g, expected %g", type->name, q, b.dvalues[q],
                           difference);
    }
    float *alone = calloc(fit->matrix->n_values, sizeof *alone);
    sn_multiply(fit->matrix, fit->words, BATCH, b.x, b.y,
                b.states); /* The states of these words. */
    sn_gradient(fit->matrix, fit->words, BATCH, b.x, b.states, b.dy, alone, NULL, b.dstates);
    cr_assert(!memcmp(alone, b.dvalues, fit->matrix->n_values * sizeof *alone), "%s", type->name);
    free(alone);
    batch_free(&b);
}

Test(every_family, gradients_are_differences) { for_each_fit(check_gradient); }

/* Inputs of variance 1 must give outputs whose mean variance is 2/3, as in [connected]. */
static void check_start(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    enum { DRAWS = 2000 };
    (void)w;
    /* A group may span blocks of values of different sizes, which one scale does not serve. */
    if (fit->matrix->group) return;
    char *section = section_of(fit->matrix);
    struct sn_matrix *matrix = parse(section);
    float *words = malloc(4 * matrix->n_words), *states = malloc(4 * (matrix->n_states + 1));
    uint32_t *map = malloc(4 * (matrix->n_values + 1));
    double squares = 0;
    start_seed = 1;
    for (int draw = 0; draw < DRAWS; draw++) {
        float x[N], y[M] = { 0 };
        cr_assert(!sn_matrix_init(matrix, map, words, uniform, NULL));
        for (int j = 0; j < N; j++) x[j] = uniform(-1, 1) * sqrtf(3);
        sn_multiply(matrix, words, 1, x, y, states);
        for (int i = 0; i < M; i++) squares += (double)y[i] * (double)y[i];
    }
    /* Four standard deviations for the products with the heaviest tails. */
    cr_assert_float_eq(squares / DRAWS / M, 2. / 3, .1, "%s: %g", type->name, squares / DRAWS / M);
    free(words), free(map), free(states), free(matrix), free(section);
}

Test(every_family, a_fresh_start_has_the_output_variance_of_connected)
{
    for_each_fit_and_bits(check_start);
}

/* A net with a layer of the matrix' shape between two others. Of equal keys the first counts. */
static network *net_around(const struct sn_matrix *matrix, const char *net_keys)
{
    char text[8192], *section = section_of(matrix);
    snprintf(text, sizeof text,
             "[net]\nbatch=8\nheight=4\nwidth=4\nchannels=3\nlearning_rate=.01\n%smomentum=.9\n"
             "decay=.0005\n[connected]\noutput=%d\nactivation=leaky\n%s[connected]\noutput=10\n"
             "activation=linear\n[softmax]\n",
             net_keys, N, section);
    network *net = net_from_text(text, 3);
    free(section);
    return net;
}

/* The float values that training moves are rounded to the nearest levels, which are multiplied. */
static void check_rounded(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    const float *scales = l->weights + matrix->n_values;
    for (size_t i = 0; i < matrix->n_values; i++) {
        double scale = (double)scales[((const uint32_t *)l->indexes)[i]], least = INFINITY;
        for (uint32_t code = matrix->bits == 8; code < 1U << matrix->bits; code++)
            least = fmin(least,
                         fabs((double)l->weights[i]
                              - scale * (double)sn_level_of(matrix->bits, code)));
        /* Between two levels either one will do, within the rounding of the ratio. */
        cr_assert_float_eq(fabs((double)l->weights[i] - (double)l->binary_weights[i]), least,
                           1e-5 * scale);
    }
}

static void check_training(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    static const char *const keys[] = { "", "adam=1\n" };
    (void)w;
    for (int k = 0; k < 2; k++) {
        float first, last = 0;
        network *net = net_around(fit->matrix, keys[k]);
        const layer *l = &net->layers[1];
        cr_assert_eq(structured_matrix(l)->family, type->family);
        train_random(net, 1, 7, &first);
        for (int i = 0; i < 60; i++) train_random(net, 1, 7, &last); /* The same batch. */
        /* The fewer the bits, the larger the steps in which values move. */
        double most = fit->matrix->bits == 32 ? .5 : fit->matrix->bits == 1 ? .7 : .6;
        cr_assert_lt(last, most * first, "%s %s, %d bits: %g after %g", type->name, keys[k],
                     fit->matrix->bits, last, first);
        if (fit->matrix->bits != 32) check_rounded(l);
        free_network(net);
    }
}

Test(every_family, layers_train) { for_each_fit_and_bits(check_training); }

/* The words of the float layer become the rounded ones of the layer with few bits. */
static void copy_rounded(const layer *few, layer *floats)
{
    struct sn_matrix *from = structured_matrix(few), *to = structured_matrix(floats);
    memcpy(floats->weights, few->binary_weights, from->n_values * sizeof(float));
    memcpy(floats->weights + to->n_values, few->binary_weights + sn_structure_at(from),
           (to->n_words - to->n_values) * sizeof(float));
    cr_assert(!to->family->unpack(to, floats->weights, NULL));
}

/* Gradients pass straight through: a layer of few bits and one of floats with its rounded values
 * compute the same losses, outputs and gradients, bit for bit, and an update moves the values that
 * are not rounded. With a momentum of 1 the sum of the gradients stays to be seen. */
static void check_straight_through(const struct sn_fit_type *type, const struct sn_fit *fit,
                                   const float *w)
{
    static const char keys[] = "momentum=1\ndecay=0\n";
    (void)w;
    for (int which = 0; which < N_FEW; which++) {
        struct few few = few_new(fit, which);
        network *net = net_around(few.matrix, keys), *twin = net_around(fit->matrix, keys);
        layer *l = &net->layers[1], *floats = &twin->layers[1];
        size_t n = few.matrix->n_values;
        float *before = malloc(n * sizeof *before);
        for (int step = 0; step < 6; step++) {
            float losses[2];
            memcpy(before, l->weights, n * sizeof *before);
            copy_rounded(l, floats);
            train_random(net, 1, 7 + (uint64_t)step, &losses[0]);
            train_random(twin, 1, 7 + (uint64_t)step, &losses[1]);
            cr_assert_eq(losses[0], losses[1], "%s, step %d: %g, %g", type->name, step,
                         (double)losses[0], (double)losses[1]);
            cr_assert(!memcmp(l->output, floats->output, 8 * M * sizeof(float)));
            for (int k = 0; k < 3; k += 2)
                cr_assert(!memcmp(net->layers[k].weights, twin->layers[k].weights,
                                  (size_t)(net->layers[k].inputs * net->layers[k].outputs) * 4));
            cr_assert(!memcmp(l->weight_updates, floats->weight_updates, n * sizeof *before));
            for (size_t i = 0; i < n; i++)
                cr_assert_float_eq(l->weights[i], before[i] + .01f / 8 * l->weight_updates[i],
                                   1e-6);
            check_rounded(l);
        }
        free(before);
        free_network(net);
        free_network(twin);
        few_free(&few);
    }
}

Test(every_family, gradients_pass_straight_through_rounding)
{
    for_each_fit(check_straight_through);
}

/* The outputs for some input: free(). */
static float *predict(network *net)
{
    float *x = calloc((size_t)(net->inputs * net->batch), sizeof *x);
    for (int i = 0; i < net->inputs * net->batch; i++) x[i] = (float)(i % 17) / 17;
    size_t n = sizeof(float) * (size_t)(net->outputs * net->batch);
    float *outputs = memcpy(malloc(n), network_predict(net, x), n);
    free(x);
    return outputs;
}

static void check_length(const network *net, const char *path, const char *bytes, size_t n)
{
    struct sn_error error = { 0 };
    cr_assert(!weights_check_length(net, path, 0, net->n, 0, &error));
    for (int more = -4; more <= 4; more++) {
        char *other = calloc(n + 4, 1);
        memcpy(other, bytes, n);
        write_file(path, other, (size_t)((int)n + more));
        cr_assert_eq(weights_check_length(net, path, 0, net->n, 0, &error),
                     more ? SN_BAD_INPUT : SN_OK);
        free(other);
    }
}

/* A trained net saves what it multiplies: another one that loads it predicts the same, saves the
 * same and goes on training as a third one does. */
static void check_files(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    char saved[256], again[256];
    size_t n, m;
    float losses[8];
    (void)w;
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.weights"));
    snprintf(again, sizeof again, "%s", temporary_path("again.weights"));
    network *net = net_around(fit->matrix, ""), *other = net_around(fit->matrix, "adam=1\n"),
            *third = net_around(fit->matrix, "adam=1\n");
    memcpy(net->layers[1].weights, fit->words, 4 * fit->matrix->n_words);
    cr_assert(!fit->matrix->family->unpack(structured_matrix(&net->layers[1]), fit->words, NULL));
    if (fit->matrix->bits != 32)
        sn_scale_map(structured_matrix(&net->layers[1]), (uint32_t *)net->layers[1].indexes);
    round_structured_layer(&net->layers[1]);
    train_random(net, 4, 3, losses);
    save_weights(net, saved);
    load_weights(other, saved);
    load_weights(third, saved);
    float *p = predict(net), *q = predict(other);
    cr_assert(!memcmp(p, q, sizeof *p * (size_t)(net->outputs * net->batch)), "%s", type->name);
    *other->seen = *net->seen;
    save_weights(other, again);
    char *a = read_file_bytes(saved, &n), *b = read_file_bytes(again, &m);
    cr_assert(n == m && !memcmp(a, b, n), "%s", type->name);
    cr_assert_eq(n, 20 + 4 * (N * 49 + M + M * 10 + 10) + fit->matrix->n_bytes);
    check_length(net, again, a, n);
    train_random(other, 4, 3, losses);
    train_random(third, 4, 3, losses + 4);
    cr_assert(!memcmp(losses, losses + 4, 4 * sizeof *losses));
    free(a), free(b), free(p), free(q);
    free_network(net);
    free_network(other);
    free_network(third);
}

Test(every_family, a_saved_net_loads_bit_for_bit) { for_each_fit_and_bits(check_files); }
