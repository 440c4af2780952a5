/* What holds for every family and every type of approximation, by the tables alone: no family is
 * named here. Shapes come from approximations, whose keys and words are read back. */
#include "support.h"

#include <structured_layer.h>
#include <weights_file.h>

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
    } else cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes, "%s", type->name);
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
    matrix->family->print_keys(matrix, file);
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

static void check_keys(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    (void)w;
    char *section = section_of(fit->matrix);
    struct sn_matrix *read = parse(section);
    cr_assert(read->n_values == fit->matrix->n_values && read->n_words == fit->matrix->n_words
                  && read->n_states == fit->matrix->n_states && read->n_outputs == M
                  && read->n_inputs == N && read->family == type->family,
              "%s: %s", type->name, section);
    cr_assert(!read->family->unpack(read, fit->words, NULL));
    float *expected = dense_of(fit->matrix, fit->words), *found = dense_of(read, fit->words);
    cr_assert(!memcmp(expected, found, M * N * sizeof *found), "%s: %s", type->name, section);
    free(expected), free(found), free(read), free(section);
}

Test(every_family, keys_and_words_read_back_are_the_matrix) { for_each_fit(check_keys); }

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

Test(every_family, a_head_read_back_is_the_one_written) { for_each_fit(check_head); }

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

static uint64_t start_seed;

static float uniform(float from, float to)
{
    return (float)random_uniform(&start_seed, (double)from, (double)to);
}

/* Inputs of variance 1 must give outputs whose mean variance is 2/3, as in [connected]. */
static void check_start(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    enum { DRAWS = 2000 };
    (void)w;
    char *section = section_of(fit->matrix);
    struct sn_matrix *matrix = parse(section);
    float *words = malloc(4 * matrix->n_words), *states = malloc(4 * (matrix->n_states + 1));
    double squares = 0;
    start_seed = 1;
    for (int draw = 0; draw < DRAWS; draw++) {
        float x[N], y[M] = { 0 };
        cr_assert(!matrix->family->init(matrix, words, uniform, NULL));
        for (int j = 0; j < N; j++) x[j] = uniform(-1, 1) * sqrtf(3);
        sn_multiply(matrix, words, 1, x, y, states);
        for (int i = 0; i < M; i++) squares += (double)y[i] * (double)y[i];
    }
    /* Four standard deviations for the products with the heaviest tails. */
    cr_assert_float_eq(squares / DRAWS / M, 2. / 3, .1, "%s: %g", type->name, squares / DRAWS / M);
    free(words), free(states), free(matrix), free(section);
}

Test(every_family, a_fresh_start_has_the_output_variance_of_connected)
{
    for_each_fit(check_start);
}

/* A net with a layer of the matrix' shape between two others. */
static network *net_around(const struct sn_matrix *matrix, const char *net_keys)
{
    char text[8192], *section = section_of(matrix);
    snprintf(text, sizeof text,
             "[net]\nbatch=8\nheight=4\nwidth=4\nchannels=3\nlearning_rate=.01\nmomentum=.9\n"
             "decay=.0005\n%s[connected]\noutput=%d\nactivation=leaky\n%s[connected]\noutput=10\n"
             "activation=linear\n[softmax]\n",
             net_keys, N, section);
    network *net = net_from_text(text, 3);
    free(section);
    return net;
}

static void check_training(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    static const char *const keys[] = { "", "adam=1\n" };
    (void)w;
    for (int k = 0; k < 2; k++) {
        float first, last = 0;
        network *net = net_around(fit->matrix, keys[k]);
        cr_assert_eq(structured_matrix(&net->layers[1])->family, type->family);
        train_random(net, 1, 7, &first);
        for (int i = 0; i < 60; i++) train_random(net, 1, 7, &last); /* The same batch. */
        cr_assert_lt(last, .5 * first, "%s %s: %g after %g", type->name, keys[k], last, first);
        net_free(net);
    }
}

Test(every_family, layers_train) { for_each_fit(check_training); }

static void check_files(const struct sn_fit_type *type, const struct sn_fit *fit, const float *w)
{
    char saved[256], again[256];
    struct sn_error error = { 0 };
    size_t n, m;
    (void)w;
    snprintf(saved, sizeof saved, "%s", temporary_path("saved.weights"));
    snprintf(again, sizeof again, "%s", temporary_path("again.weights"));
    network *net = net_around(fit->matrix, ""), *other = net_around(fit->matrix, "");
    memcpy(net->layers[1].weights, fit->words, 4 * fit->matrix->n_words);
    save_weights(net, saved);
    load_weights(other, saved);
    save_weights(other, again);
    char *a = read_file_bytes(saved, &n), *b = read_file_bytes(again, &m);
    cr_assert(n == m && !memcmp(a, b, n), "%s", type->name);
    cr_assert(!weights_check_length(net, saved, 0, net->n, 0, &error));
    write_file(saved, a, n - 4);
    cr_assert_eq(weights_check_length(net, saved, 0, net->n, 0, &error), SN_BAD_INPUT);
    free(a), free(b);
    net_free(net);
    net_free(other);
}

Test(every_family, a_saved_net_loads_bit_for_bit) { for_each_fit(check_files); }
