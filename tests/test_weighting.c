/* Weightings: their formula, their square root, the choice of shrinkage. */
#include "support.h"

#include <psm.h>
#include <sss.h>
#include <weighting.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M = 6, N = 9, SAMPLES = 14 };

static void fill(uint64_t *seed, float *values, int n)
{
    for (int i = 0; i < n; i++) values[i] = (float)random_uniform(seed, -1, 2);
}

/* (X - mean)^T (X - mean) of x (rows x N). */
static void scatter(const float *x, int rows, double out[N][N])
{
    double mean[N] = { 0 };
    for (int i = 0; i < rows * N; i++) mean[i % N] += (double)x[i] / rows;
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) {
            out[a][b] = 0;
            for (int i = 0; i < rows; i++)
                out[a][b] += ((double)x[i * N + a] - mean[a]) * ((double)x[i * N + b] - mean[b]);
        }
}

static double trace(double m[N][N])
{
    double sum = 0;
    for (int a = 0; a < N; a++) sum += m[a][a];
    return sum;
}

Test(weighting, the_moment_is_the_formula_and_its_root_gives_it_back)
{
    static const double s[] = { 1, .1, .4, .7 }, t[] = { 0, 0, .5, .9 };
    static const float units[] = { 1, 1e-18f, 1e15f, 1 }; /* of the samples; none matters. */
    float w[M * N], x[SAMPLES * N], scaled[SAMPLES * N];
    uint64_t seed = 1;
    fill(&seed, w, M * N);
    fill(&seed, x, SAMPLES * N);
    double c[N][N], v[N][N];
    scatter(x, SAMPLES, c);
    scatter(w, M, v);
    for (int k = 0; k < 4; k++) {
        struct sn_weighting weighting;
        float *root;
        for (int i = 0; i < SAMPLES * N; i++) scaled[i] = units[k] * x[i];
        cr_assert(!sn_weighting_new(w, M, scaled, SAMPLES, N, s[k], t[k], &weighting, NULL));
        cr_assert(!sn_weighting_root(&weighting, &root, NULL));
        for (int a = 0; a < N; a++)
            for (int b = 0; b < N; b++) {
                double product = 0,
                       expected = (1 - s[k]) * N / trace(c) * c[a][b]
                    + s[k] * ((1 - t[k]) * (a == b) + t[k] * N / trace(v) * v[a][b]);
                cr_assert_float_eq(weighting.moment[a * N + b], expected, 1e-5, "%d: %d, %d", k, a,
                                   b);
                for (int j = 0; j < N; j++)
                    product += (double)root[a * N + j] * (double)root[b * N + j];
                cr_assert_float_eq(product, expected, 1e-5);
            }
        free(root);
        sn_weighting_free(&weighting);
    }
}

Test(weighting, its_error_is_that_of_the_outputs)
{
    float w[M * N], what[M * N], x[SAMPLES * N];
    uint64_t seed = 2;
    fill(&seed, w, M * N);
    fill(&seed, what, M * N);
    fill(&seed, x, SAMPLES * N);
    struct sn_weighting weighting;
    cr_assert(!sn_weighting_new(NULL, 0, x, SAMPLES, N, 1e-7, 0, &weighting, NULL));
    double outputs = 0, left = 0;
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < M; i++) {
            double y = 0, d = 0;
            for (int j = 0; j < N; j++) {
                double value = (double)x[s * N + j] - (double)weighting.mean[j];
                y += (double)w[i * N + j] * value;
                d += ((double)w[i * N + j] - (double)what[i * N + j]) * value;
            }
            outputs += y * y;
            left += d * d;
        }
    cr_assert_float_eq(sn_weighted_error(w, what, M, N, &weighting, NULL), sqrt(left / outputs),
                       1e-5);
    cr_assert_eq(sn_weighted_error(w, w, M, N, NULL, NULL), 0);
    memset(what, 0, sizeof what);
    cr_assert_eq(sn_weighted_error(w, what, M, N, NULL, NULL), 1);
    cr_assert_eq(sn_weighted_error(what, w, M, N, NULL, NULL), 1);
    sn_weighting_free(&weighting);
}

Test(weighting, equal_samples_weigh_all_inputs_alike_and_numbers_that_are_none_are_named)
{
    float x[SAMPLES * N];
    struct sn_weighting weighting;
    struct sn_error error = { 0 };
    for (int i = 0; i < SAMPLES * N; i++) x[i] = 3;
    cr_assert(!sn_weighting_new(NULL, 0, x, SAMPLES, N, .5, 0, &weighting, NULL));
    for (int a = 0; a < N; a++)
        for (int b = 0; b < N; b++) cr_assert_eq(weighting.moment[a * N + b], a == b);
    sn_weighting_free(&weighting);
    x[2 * N + 5] = NAN;
    cr_assert_eq(sn_weighting_new(NULL, 0, x, SAMPLES, N, .5, 0, &weighting, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message,
                     "features: row 2, column 5: found nan, expected a finite number");
    cr_assert_null(weighting.moment);
}

/* Samples from few directions, many of them: the covariance is worth trusting. Few samples from all
 * directions alike: it is not. Rows of W along which the samples vary: the alignment is. */
Test(weighting, the_choice_trusts_what_held_out_samples_confirm)
{
    enum { ROWS = 40, COLUMNS = 60, MANY = 600, FEW = 20, RANK = 4 };
    static float w[ROWS * COLUMNS], x[MANY * COLUMNS], basis[RANK * COLUMNS];
    uint64_t seed = 3;
    fill(&seed, w, ROWS * COLUMNS);
    fill(&seed, basis, RANK * COLUMNS);
    struct sn_fit_options options = { .budget_values = 300 };
    for (int f = 0; sn_families[f]; f++) {
        const struct sn_fit_type *fit = sn_fit_type_find(sn_families[f]->name);
        struct sn_weighting weighting;
        for (int i = 0; i < MANY * COLUMNS; i++) x[i] = .05f * (float)random_uniform(&seed, -1, 1);
        for (int i = 0; i < MANY; i++)
            for (int k = 0; k < RANK; k++) {
                float amount = (float)random_uniform(&seed, -1, 1);
                for (int j = 0; j < COLUMNS; j++)
                    x[i * COLUMNS + j] += amount * basis[k * COLUMNS + j];
            }
        cr_assert(!sn_weighting_choose(fit, &options, w, ROWS, COLUMNS, x, MANY, &weighting, NULL));
        cr_assert_leq(weighting.shrinkage, .85, "family %d: %g", f, weighting.shrinkage);
        sn_weighting_free(&weighting);
        fill(&seed, x, FEW * COLUMNS);
        cr_assert(!sn_weighting_choose(fit, &options, w, ROWS, COLUMNS, x, FEW, &weighting, NULL));
        cr_assert_geq(weighting.shrinkage, .85, "family %d: %g", f, weighting.shrinkage);
        sn_weighting_free(&weighting);
        cr_assert(!sn_weighting_choose(fit, &options, w, ROWS, COLUMNS, x, 5, &weighting, NULL));
        cr_assert_eq(weighting.shrinkage, 1);
        sn_weighting_free(&weighting);
    }
}
