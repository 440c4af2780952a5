/* PSM approximation by more than two factors. */
#include "support.h"

#include <fit.h>
#include <psm.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A fit within a budget of values and bytes, of n_factors. */
static struct sn_fit fit_chain(const float *w, int m, int n, int n_factors, size_t values,
                               size_t bytes)
{
    struct sn_fit_options options = { .budget_bytes = bytes,
                                      .budget_values = values,
                                      .settings = SETTING("factors", n_factors) };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error), SN_OK, "%s",
                 error.message);
    cr_assert_eq(((const struct psm *)fit.matrix)->n_factors, n_factors);
    if (values) cr_assert_leq(fit.matrix->n_values, values);
    if (bytes) cr_assert_leq(4 * fit.matrix->n_words, bytes);
    return fit;
}

/* A Hadamard matrix of which some rows and columns have changed their sign. */
static float *hadamard(uint64_t *seed, int n)
{
    float *w = malloc((size_t)n * (size_t)n * sizeof *w),
          *signs = malloc(2 * (size_t)n * sizeof *signs);
    for (int i = 0; i < 2 * n; i++) signs[i] = seed && random_int(seed, 0, 1) ? -1 : 1;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            w[i * n + j] = signs[i] * signs[n + j] * (__builtin_parity((unsigned)(i & j)) ? -1 : 1);
    free(signs);
    return w;
}

/* Swaps rows so that the bits of their numbers stand in another order. */
static void reverse_bits(float *w, int n)
{
    float *copy = malloc((size_t)n * (size_t)n * sizeof *copy);
    memcpy(copy, w, (size_t)n * (size_t)n * sizeof *copy);
    for (int i = 0; i < n; i++) {
        int reversed = 0;
        for (int bit = 1, mirror = n / 2; mirror; bit *= 2, mirror /= 2)
            reversed |= i & bit ? mirror : 0;
        memcpy(w + reversed * n, copy + i * n, (size_t)n * sizeof *w);
    }
    free(copy);
}

Test(psm_chain, hadamard_matrices_become_factors_of_two_entries_in_each_row_and_column)
{
    uint64_t seed = 1;
    for (int log = 4; log <= 6; log++)
        for (int variant = 0; variant < 3; variant++) {
            int n = 1 << log, per_factor = 2 * n;
            float *w = hadamard(variant ? &seed : NULL, n);
            if (variant == 2) reverse_bits(w, n);
            struct sn_fit fit = fit_chain(w, n, n, log, (size_t)(per_factor * log), 0);
            const struct psm *shape = (const struct psm *)fit.matrix;
            cr_assert_lt(fit.error, 1e-6, "%d, variant %d: %g", n, variant, fit.error);
            const uint32_t *start = shape->row_starts, *column = shape->columns;
            for (int j = 0; j < log; j++, start += n + 1, column += per_factor) {
                int count[64] = { 0 };
                cr_assert_eq(shape->nonzeros[j], per_factor);
                for (int i = 0; i < n; i++) cr_assert_eq(start[i + 1] - start[i], 2);
                for (int q = 0; q < per_factor; q++) count[column[q]]++;
                for (int i = 0; i < n; i++) cr_assert_eq(count[i], 2);
            }
            free(w);
            sn_fit_free(&fit);
        }
}

/* H_32 = (H_4 x I)(I x H_4 x I)(I x H_2): 4, 4 and 2 entries in a row. */
Test(psm_chain, three_factors_of_a_hadamard_matrix_are_as_sparse_as_can_be)
{
    float *w = hadamard(NULL, 32);
    struct sn_fit fit = fit_chain(w, 32, 32, 3, 32 * 10, 0);
    cr_assert_lt(fit.error, 1e-6, "%g", fit.error);
    cr_assert_eq(fit.matrix->n_values, 32 * 10);
    sn_fit_free(&fit);
    free(w);
}

/* A x B x C for sizes[f][0] x sizes[f][1] matrices without zeros. */
static float *kronecker(uint64_t *seed, int sizes[3][2], int *m, int *n)
{
    float *w = malloc(sizeof *w);
    *w = 1, *m = *n = 1;
    for (int f = 0; f < 3; f++) {
        int rows = *m * sizes[f][0], columns = *n * sizes[f][1];
        float *next = malloc((size_t)rows * (size_t)columns * sizeof *next);
        for (int i = 0; i < sizes[f][0]; i++)
            for (int j = 0; j < sizes[f][1]; j++) {
                float x = (float)random_uniform(seed, .3, 1.3) * (random_int(seed, 0, 1) ? 1 : -1);
                for (int k = 0; k < *m; k++)
                    for (int l = 0; l < *n; l++)
                        next[(k * sizes[f][0] + i) * columns + l * sizes[f][1] + j] = w[k * *n + l]
                            * x;
            }
        free(w);
        w = next, *m = rows, *n = columns;
    }
    return w;
}

Test(psm_chain, a_kronecker_product_of_three_is_recovered)
{
    static int products[][3][2] = { { { 4, 4 }, { 4, 4 }, { 4, 4 } },
                                    { { 3, 3 }, { 4, 4 }, { 5, 5 } },
                                    { { 6, 6 }, { 3, 3 }, { 4, 4 } },
                                    { { 4, 5 }, { 3, 4 }, { 5, 3 } } };
    uint64_t seed = 2;
    for (int k = 0; k < 4; k++) {
        int m, n, (*sizes)[2] = products[k];
        float *w = kronecker(&seed, sizes, &m, &n);
        /* (A x I x I)(I x B x I)(I x I x C) */
        int values = sizes[0][0] * sizes[0][1] * sizes[1][0] * sizes[2][0]
            + sizes[0][1] * sizes[1][0] * sizes[1][1] * sizes[2][0]
            + sizes[0][1] * sizes[1][1] * sizes[2][0] * sizes[2][1];
        struct sn_fit fit = fit_chain(w, m, n, 3, (size_t)values, 0);
        cr_assert_lt(fit.error, 2e-6, "%d: %g", k, fit.error);
        sn_fit_free(&fit);
        free(w);
    }
}

/* c = a b, m x k x n, to be freed; a and b are freed. */
static float *product(float *a, float *b, int m, int k, int n)
{
    float *c = calloc((size_t)m * (size_t)n, sizeof *c);
    for (int i = 0; i < m; i++)
        for (int p = 0; p < k; p++)
            for (int j = 0; j < n; j++) c[i * n + j] += a[i * k + p] * b[p * n + j];
    free(a);
    free(b);
    return c;
}

/* per_row entries in each row. */
static float *random_sparse(uint64_t *seed, int m, int n, int per_row)
{
    float *s = calloc((size_t)m * (size_t)n, sizeof *s);
    for (int i = 0; i < m; i++)
        for (int left = per_row; left;) {
            float *entry = &s[i * n + random_int(seed, 0, n - 1)];
            if (*entry != 0) continue;
            *entry = (float)random_uniform(seed, .3, 1.3) * (random_int(seed, 0, 1) ? 1 : -1);
            left--;
        }
    return s;
}

static float *sparse_product(uint64_t *seed, int m, int n, int per_row)
{
    float *left = product(random_sparse(seed, m, m, per_row), random_sparse(seed, m, n, per_row), m,
                          m, n);
    return product(left, random_sparse(seed, n, n, per_row), m, n, n);
}

/* The cosines of a DCT-II, a fast transform whose factors do not lie on a grid. */
static float *cosines(int n)
{
    float *w = malloc((size_t)n * (size_t)n * sizeof *w);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) w[i * n + j] = (float)cos(M_PI * (j + .5) * i / n);
    return w;
}

/* fit's factors, multiplied out. */
static float *factors_product(const struct sn_fit *fit)
{
    const struct psm *shape = (const struct psm *)fit->matrix;
    const uint32_t *start = shape->row_starts, *column = shape->columns;
    const float *value = fit->words;
    float *left = NULL;
    for (int j = 0; j < shape->n_factors; j++) {
        int rows = shape->sizes[j], columns = shape->sizes[j + 1];
        float *s = calloc((size_t)rows * (size_t)columns, sizeof *s);
        for (int i = 0; i < rows; i++)
            for (uint32_t q = start[i]; q < start[i + 1]; q++)
                s[i * columns + (int)column[q]] = value[q];
        start += rows + 1, column += shape->nonzeros[j], value += shape->nonzeros[j];
        left = left ? product(left, s, shape->matrix.n_outputs, rows, columns) : s;
    }
    return left;
}

Test(psm_chain, three_factors_beat_one_where_there_is_structure_for_them)
{
    enum { N = 64 };
    uint64_t seed = 3;
    float *matrices[] = { cosines(N), sparse_product(&seed, N, N, 3),
                          sparse_product(&seed, N, N, 3) };
    static const int values[] = { 3 * 8 * N, 3 * 3 * N, 3 * 3 * N };
    for (int k = 0; k < 3; k++) {
        struct sn_fit one = fit_chain(matrices[k], N, N, 1, (size_t)values[k], 0);
        struct sn_fit three = fit_chain(matrices[k], N, N, 3, (size_t)values[k], 0);
        /* .57 to .83 of it, as another compiler's rounding leads the search. */
        cr_assert_lt(three.error, .9 * one.error, "%d: %g, one factor %g", k, three.error,
                     one.error);
        free(matrices[k]);
        sn_fit_free(&one);
        sn_fit_free(&three);
    }
}

Test(psm_chain, products_of_the_factors_are_the_matrix_that_was_measured)
{
    uint64_t seed = 4;
    static const int shapes[][2] = { { 40, 60 }, { 60, 30 }, { 300, 20 }, { 20, 270 } };
    for (int k = 0; k < 4; k++) {
        int m = shapes[k][0], n = shapes[k][1];
        float *w = random_sparse(&seed, m, n, n * 2 / 3),
              *dense = malloc((size_t)(m * n) * sizeof *dense);
        struct sn_fit fit = fit_chain(w, m, n, 3 + k % 2, 0, (size_t)(3 * m * n));
        float *expected = factors_product(&fit);
        double left = 0, all = 0;
        cr_assert_eq(sn_dense(fit.matrix, fit.words, dense, NULL), SN_OK);
        for (int i = 0; i < m * n; i++) {
            cr_assert_float_eq(dense[i], expected[i], 1e-5);
            left += (double)(w[i] - expected[i]) * (double)(w[i] - expected[i]);
            all += (double)w[i] * (double)w[i];
        }
        cr_assert_float_eq(fit.error, sqrt(left / all), 1e-5);
        cr_assert_lt(fit.error, .8, "%d x %d: %g", m, n, fit.error);
        free(w), free(dense), free(expected);
        sn_fit_free(&fit);
    }
}

/* Whether a small budget is enough is known by the answer only; three times W's own size is, but
 * for a single entry. What is given must be within it. */
Test(psm_chain, every_budget_is_kept_or_refused)
{
    static const int shapes[][2] = { { 30, 40 }, { 64, 16 }, { 9, 80 }, { 1, 50 },
                                     { 50, 1 },  { 1, 1 },   { 16, 16 } };
    uint64_t seed = 5;
    int n_fits = 0;
    for (int s = 0; s < 7; s++)
        for (int n_factors = 3; n_factors <= 16; n_factors += n_factors > 4 ? 11 : 1)
            for (int percent = 5; percent <= 320; percent *= 4) {
                int m = shapes[s][0], n = shapes[s][1];
                float *w = s == 6 ? hadamard(&seed, n) : random_sparse(&seed, m, n, (n + 1) / 2);
                struct sn_fit_options options = {
                    .budget_bytes = (size_t)(4 * m * n * percent / 100 + 4),
                    .budget_values = (size_t)(m * n * percent / 100 + 1),
                    .settings = SETTING("factors", n_factors),
                    .effort = SN_QUICK
                };
                struct sn_fit fit;
                struct sn_error error = { 0 };
                enum sn_status status = sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit,
                                               &error);
                if (status) {
                    cr_assert_eq(status, SN_BAD_INPUT);
                    cr_assert(strstr(error.message, "cannot hold"), "%s", error.message);
                    cr_assert(percent < 320 || m * n == 1, "%d x %d, %d factors: %s", m, n,
                              n_factors, error.message);
                } else {
                    cr_assert_gt(m * n, 1);
                    cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
                    cr_assert_leq(fit.matrix->n_values, options.budget_values);
                    cr_assert_eq(((const struct psm *)fit.matrix)->n_factors, n_factors);
                    cr_assert_leq(fit.error, 1 + 1e-6, "%d x %d, %d factors: %g", m, n, n_factors,
                                  fit.error);
                    n_fits++;
                }
                sn_fit_free(&fit);
                free(w);
            }
    cr_assert_gt(n_fits, 30);
}

/* Too few values for the exact factors cost a little only. */
Test(psm_chain, a_budget_somewhat_below_an_exact_product_is_approximated)
{
    uint64_t seed = 6;
    float *w = hadamard(&seed, 32);
    struct sn_fit fit = fit_chain(w, 32, 32, 5, 300, 0);
    cr_assert_lt(fit.error, .6, "%g", fit.error);
    sn_fit_free(&fit);
    free(w);
}

Test(psm_chain, identities_fill_up_where_the_budget_allows_it)
{
    uint64_t seed = 7;
    float *w = random_sparse(&seed, 6, 5, 5); /* Nothing divides it. */
    struct sn_fit fit = fit_chain(w, 6, 5, 3, 30 + 2 * 5, 0);
    cr_assert_lt(fit.error, 1e-6, "%g", fit.error);
    sn_fit_free(&fit);
    free(w);
}

/* The direct sum of a Hadamard matrix and of one that nothing divides. */
Test(psm_chain, parts_of_a_matrix_are_divided_by_themselves)
{
    enum { H = 16, M = 6, N = 5 };
    uint64_t seed = 10;
    float *h = hadamard(&seed, H), *d = random_sparse(&seed, M, N, N), w[(H + M) * (H + N)] = { 0 };
    for (int i = 0; i < H; i++) memcpy(w + i * (H + N), h + i * H, H * sizeof *w);
    for (int i = 0; i < M; i++) memcpy(w + (H + i) * (H + N) + H, d + i * N, N * sizeof *w);
    struct sn_fit fit = fit_chain(w, H + M, H + N, 3, H * 8 + M * N + 2 * N, 0);
    cr_assert_lt(fit.error, 1e-6, "%g", fit.error);
    sn_fit_free(&fit);
    free(h), free(d);
}

Test(psm_chain, a_zero_matrix_is_fine)
{
    float w[12 * 8] = { 0 };
    struct sn_fit fit = fit_chain(w, 12, 8, 4, 60, 0);
    cr_assert_eq(fit.error, 0);
    sn_fit_free(&fit);
}

Test(psm_chain, a_weighting_is_followed_and_results_repeat_to_the_bit)
{
    enum { M = 40, N = 30, SAMPLES = 50 };
    uint64_t seed = 8;
    float x[SAMPLES * N], *w = random_sparse(&seed, M, N, 20);
    for (int i = 0; i < SAMPLES * N; i++)
        x[i] = (float)random_uniform(&seed, -1, 1) * (float)(i % N < 5 ? 10 : 1);
    struct sn_weighting weighting;
    struct sn_error error = { 0 };
    cr_assert_eq(sn_weighting_new(NULL, 0, x, SAMPLES, N, .1, 0, &weighting, &error), SN_OK);
    struct sn_fit_options options = { .budget_values = 400,
                                      .settings = SETTING("factors", 3),
                                      .weighting = &weighting };
    struct sn_fit weighted, again, plain = fit_chain(w, M, N, 3, 400, 0);
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &weighted, &error), SN_OK, "%s",
                 error.message);
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &again, &error), SN_OK, "%s",
                 error.message);
    cr_assert_eq(weighted.matrix->n_words, again.matrix->n_words);
    cr_assert(!memcmp(weighted.words, again.words, 4 * again.matrix->n_words));
    cr_assert_eq(sn_fit_measure(&plain, w, &weighting, &error), SN_OK);
    cr_assert_lt(weighted.weighted_error, .9 * plain.weighted_error, "%g, plain %g",
                 weighted.weighted_error, plain.weighted_error);
    sn_fit_free(&weighted), sn_fit_free(&again), sn_fit_free(&plain);
    sn_weighting_free(&weighting);
    free(w);
}

/* The best single factor on a pattern is W there; a start elsewhere must come to it, and never
 * leave it. */
Test(refit, values_of_one_factor_become_those_of_the_matrix)
{
    uint64_t seed = 9;
    float *w = random_sparse(&seed, 20, 30, 6);
    struct sn_fit fit = fit_chain(w, 20, 30, 1, 70, 0);
    double least = fit.error;
    for (size_t i = 0; i < fit.matrix->n_values; i++)
        fit.words[i] += (float)random_uniform(&seed, -.5, .5);
    for (int steps = 0; steps < 2; steps++) {
        cr_assert_eq(sn_refit(&fit, w, NULL, 30 * steps, NULL, NULL), SN_OK);
        cr_assert_eq(sn_fit_measure(&fit, w, NULL, NULL), SN_OK);
        cr_assert_eq(fit.error < least + 1e-6, steps, "%d: %g, least %g", steps, fit.error, least);
    }
    sn_fit_free(&fit);
    free(w);
}

/* psm_fit has fitted one factor with the weighting; the fit must find back to that, which the plain
 * norm's does not. */
Test(refit, a_weighting_is_followed)
{
    enum { M = 20, N = 12, SAMPLES = 30 };
    uint64_t seed = 11;
    float x[SAMPLES * N], *w = random_sparse(&seed, M, N, N);
    for (int i = 0; i < SAMPLES; i++)
        for (int j = 0; j < N; j++)
            x[i * N + j] = (float)random_uniform(&seed, -1, 1) + (j ? .9f * x[i * N + j - 1] : 0);
    struct sn_weighting weighting;
    struct sn_error error = { 0 };
    cr_assert_eq(sn_weighting_new(NULL, 0, x, SAMPLES, N, .1, 0, &weighting, &error), SN_OK);
    struct sn_fit_options options = { .budget_values = 80,
                                      .settings = SETTING("factors", 1),
                                      .weighting = &weighting };
    struct sn_fit fit;
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, &error), SN_OK, "%s",
                 error.message);
    double least = fit.weighted_error;
    for (size_t i = 0; i < fit.matrix->n_values; i++)
        fit.words[i] += (float)random_uniform(&seed, -.5, .5);
    cr_assert_eq(sn_refit(&fit, w, &weighting, 100, NULL, &error), SN_OK);
    cr_assert_eq(sn_fit_measure(&fit, w, &weighting, &error), SN_OK);
    cr_assert_lt(fit.weighted_error, 1.005 * least, "%g, least %g", fit.weighted_error, least);
    sn_fit_free(&fit);
    sn_weighting_free(&weighting);
    free(w);
}
