/* PSM approximation: largest entries, exact products, budgets. */
#include "support.h"

#include <fit.h>
#include <psm.h>
#include <psm_keep.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *random_dense(uint64_t *seed, int m, int n)
{
    float *w = malloc((size_t)m * (size_t)n * sizeof *w);
    for (int i = 0; i < m * n; i++) {
        double u = random_uniform(seed, -1, 1);
        w[i] = (float)(u * u * u); /* A heavy tail, as trained weights have. */
    }
    return w;
}

static int descending(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
    return (x < y) - (x > y);
}

/* The relative error of keeping the count largest entries, by sorting. */
static double largest_entries_error(const float *w, int n, size_t count)
{
    float *sorted = malloc((size_t)n * sizeof *sorted);
    memcpy(sorted, w, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, descending);
    double left = 0, all = 0;
    for (int i = 0; i < n; i++) {
        all += (double)sorted[i] * (double)sorted[i];
        if ((size_t)i >= count) left += (double)sorted[i] * (double)sorted[i];
    }
    free(sorted);
    return sqrt(left / all);
}

static const int shapes[][2] = { { 30, 40 }, { 64, 16 }, { 9, 80 }, { 1, 50 },
                                 { 50, 1 },  { 1, 1 },   { 41, 41 } };
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

Test(psm_fit, one_factor_keeps_the_largest_entries_and_the_choice_is_never_worse)
{
    static const double shares[] = { .02, .05, .1, .2, .3, .5, 1 };
    uint64_t seed = 1;
    for (int s = 0; s < N_SHAPES; s++)
        for (int k = 0; k < 7; k++) {
            int m = shapes[s][0], n = shapes[s][1];
            float *w = random_dense(&seed, m, n);
            struct sn_fit_options options = { .budget_bytes = (size_t)(shares[k] * 4 * m * n),
                                              .settings = SETTING("factors", 1) };
            struct sn_fit one, best;
            struct sn_error error = { 0 };
            enum sn_status status = sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &one,
                                           &error);
            if (status) {
                cr_assert_lt(options.budget_bytes, psm_factor_bytes(m, n, 1, 0, 0), "%s",
                             error.message);
                cr_assert(strstr(error.message, "cannot hold"), "%s", error.message);
                free(w);
                continue;
            }
            cr_assert_leq(4 * one.matrix->n_words, options.budget_bytes);
            cr_assert_gt(4 * one.matrix->n_words + 6 + 3,
                         options.budget_bytes < (size_t)(6 * m * n) ? options.budget_bytes : 0,
                         "%d x %d: room for one more nonzero is left", m, n);
            double expected = largest_entries_error(w, m * n, one.matrix->n_values);
            cr_assert_float_eq(one.error, expected, 1e-6, "%g, expected %g", one.error,
                               expected); /* float products */
            options.settings = SETTING("factors", 0);
            cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &best, &error), SN_OK,
                         "%s", error.message);
            cr_assert_leq(4 * best.matrix->n_words, options.budget_bytes);
            cr_assert_leq(best.error, one.error + 1e-7);
            free(w);
            sn_fit_free(&one);
            sn_fit_free(&best);
        }
}

/* W = A B with rows_nonzeros entries in each row of A and B, of magnitude .3 to 1.3. */
static float *sparse_product(uint64_t *seed, int m, int inner, int n, int nonzeros_a,
                             int nonzeros_b)
{
    float *factors[2] = { calloc((size_t)m * (size_t)inner, 4),
                          calloc((size_t)inner * (size_t)n, 4) };
    float *w = calloc((size_t)m * (size_t)n, sizeof *w);
    for (int f = 0; f < 2; f++)
        for (int i = 0; i < (f ? inner : m); i++)
            for (int left = f ? nonzeros_b : nonzeros_a; left;) {
                float *entry =
                    &factors[f][i * (f ? n : inner) + random_int(seed, 0, (f ? n : inner) - 1)];
                if (*entry != 0) continue;
                *entry = (float)random_uniform(seed, .3, 1.3) * (random_int(seed, 0, 1) ? 1 : -1);
                left--;
            }
    for (int i = 0; i < m; i++)
        for (int p = 0; p < inner; p++)
            for (int j = 0; j < n; j++)
                w[i * n + j] += factors[0][i * inner + p] * factors[1][p * n + j];
    free(factors[0]), free(factors[1]);
    return w;
}

Test(psm_fit, an_exactly_sparse_matrix_is_recovered_by_one_factor)
{
    uint64_t seed = 2;
    for (int trial = 0; trial < 20; trial++) {
        int m = random_int(&seed, 5, 60), n = random_int(&seed, 5, 60),
            nonzeros = random_int(&seed, 1, 4);
        float *w = sparse_product(&seed, m, m, n, 1, nonzeros);
        size_t count = 0;
        for (int i = 0; i < m * n; i++) count += w[i] != 0;
        struct sn_fit_options options = { .budget_bytes = psm_factor_bytes(m, n, count, 0, 0) };
        struct sn_fit fit;
        struct sn_error error = { 0 };
        cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error), SN_OK, "%s",
                     error.message);
        cr_assert_eq(fit.error, 0);
        cr_assert_eq(fit.matrix->n_values, count);
        free(w);
        sn_fit_free(&fit);
    }
}

Test(psm_fit, an_exact_product_is_recovered_within_its_own_bytes)
{
    /* m, inner, n, nonzeros in a row of A, of B: from a tenth to two thirds of W are nonzero. */
    static const int products[][5] = { { 64, 64, 64, 3, 3 },     { 64, 64, 64, 4, 4 },
                                       { 64, 64, 64, 6, 6 },     { 64, 64, 64, 8, 8 },
                                       { 90, 30, 100, 3, 20 },   { 40, 30, 50, 2, 3 },
                                       { 150, 100, 200, 5, 10 }, { 20, 10, 300, 2, 30 },
                                       { 300, 20, 60, 3, 6 },    { 128, 128, 128, 4, 4 },
                                       { 100, 64, 100, 4, 4 },   { 200, 100, 300, 5, 5 } };
    uint64_t seed = 6;
    for (int s = 0; s < (int)(sizeof products / sizeof *products); s++) {
        const int *p = products[s];
        float *w = sparse_product(&seed, p[0], p[1], p[2], p[3], p[4]);
        size_t bytes = psm_factor_bytes(p[0], p[1], (size_t)(p[0] * p[3]), 0, 0)
            + psm_factor_bytes(p[1], p[2], (size_t)(p[1] * p[4]), 0, 0);
        struct sn_fit_options options = { .budget_bytes = bytes };
        struct sn_fit fit;
        struct sn_error error = { 0 };
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, p[0], p[2], &options, &fit, &error), "%s",
                  error.message);
        cr_assert_leq(4 * fit.matrix->n_words, bytes);
        cr_expect_lt(fit.error, 1e-6, "%d x %d x %d, %d and %d: %g", p[0], p[1], p[2], p[3], p[4],
                     fit.error);
        sn_fit_free(&fit);
        /* Slightly too few bytes cost a little only. */
        options.budget_bytes = bytes * 97 / 100;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, p[0], p[2], &options, &fit, &error), "%s",
                  error.message);
        cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
        cr_expect_lt(fit.error, .15, "%d x %d x %d, %d and %d: %g", p[0], p[1], p[2], p[3], p[4],
                     fit.error);
        sn_fit_free(&fit);
        free(w);
    }
}

/* Blocks of rank one in every place: no entry of W is zero, and each belongs to one atom. */
Test(psm_fit, a_butterfly_is_recovered)
{
    enum { N = 8 };
    uint64_t seed = 7;
    float w[N * N * N * N];
    double a[N * N * N], b[N * N * N];
    for (int i = 0; i < N * N * N; i++) {
        a[i] = random_uniform(&seed, .3, 1.3);
        b[i] = random_uniform(&seed, .3, 1.3);
    }
    for (int i = 0; i < N * N; i++)
        for (int j = 0; j < N * N; j++)
            w[i * N * N + j] = (float)(a[(i / N * N + j % N) * N + i % N]
                                       * b[(i / N * N + j % N) * N + j / N]);
    struct sn_fit_options options = { .budget_bytes = 2
                                          * psm_factor_bytes(N * N, N * N, N * N * N, 0, 0) };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, N * N, N * N, &options, &fit, &error), "%s",
              error.message);
    cr_assert_lt(fit.error, 1e-6, "%g", fit.error);
    sn_fit_free(&fit);
}

Test(psm_fit, two_factors_beat_one_where_rows_share_atoms)
{
    uint64_t seed = 3;
    for (int trial = 0; trial < 4; trial++) {
        float *w = sparse_product(&seed, 90, 30, 100, 3, 20);
        struct sn_fit_options options = { .budget_bytes = psm_factor_bytes(90, 100, 900, 0, 0),
                                          .settings = SETTING("factors", 1) };
        struct sn_fit one, two;
        struct sn_error error = { 0 };
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, 90, 100, &options, &one, &error));
        options.settings = SETTING("factors", 2);
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, 90, 100, &options, &two, &error), "%s",
                  error.message);
        cr_assert_eq(((const struct psm *)two.matrix)->n_factors, 2);
        cr_assert_lt(two.error, .9 * one.error, "%g, one factor %g", two.error, one.error);
        free(w);
        sn_fit_free(&one);
        sn_fit_free(&two);
    }
}

Test(psm_fit, repeats_to_the_bit)
{
    uint64_t seed = 4;
    float *w = random_dense(&seed, 50, 70);
    struct sn_fit_options options = { .budget_bytes = 4000 };
    struct sn_fit a, b;
    struct sn_error error = { 0 };
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, 50, 70, &options, &a, &error)
              && !sn_fit(sn_fit_type_find("psm"), w, 50, 70, &options, &b, &error));
    cr_assert_eq(a.matrix->n_words, b.matrix->n_words);
    cr_assert(!memcmp(a.words, b.words, 4 * a.matrix->n_words));
    free(w);
    sn_fit_free(&a);
    sn_fit_free(&b);
}

Test(psm_fit, the_smallest_budgets_are_not_zero_and_a_zero_matrix_is_fine)
{
    uint64_t seed = 5;
    for (int s = 0; s < N_SHAPES; s++) {
        int m = shapes[s][0], n = shapes[s][1];
        float *w = random_dense(&seed, m, n);
        struct sn_fit fit;
        struct sn_error error = { 0 };
        struct sn_fit_options options = { .budget_bytes = psm_factor_bytes(m, n, 1, 0, 0) };
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error), "%s",
                  error.message);
        cr_assert_lt(fit.error, 1);
        sn_fit_free(&fit);
        memset(w, 0, sizeof(float) * (size_t)(m * n));
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error), "%s",
                  error.message);
        cr_assert_eq(fit.error, 0);
        sn_fit_free(&fit);
        options.budget_bytes = (size_t)(4 * m * n);
        options.settings = SETTING("factors", 2);
        enum sn_status status = sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, &error);
        if (m * n == 1) { /* Its four bytes are the only ones without room for two factors. */
            cr_assert_eq(status, SN_BAD_INPUT);
            cr_assert_str_eq(error.message,
                             "budget of 4 bytes cannot hold two sparse factors of 1 x 1");
            cr_assert_null(fit.matrix);
        } else {
            cr_assert_eq(status, SN_OK, "%d x %d: %s", m, n, error.message);
            cr_assert_eq(fit.error, 0);
        }
        sn_fit_free(&fit);
        free(w);
    }
}

Test(psm_fit, bad_input_is_named)
{
    float w[6] = { 1, 2, 3, 4, NAN, 6 };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    struct sn_fit_options options = { .budget_bytes = 100 };
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, 2, 3, &options, &fit, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message, "row 1, column 1: found nan, expected a finite number");
    w[4] = INFINITY;
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, 2, 3, &options, &fit, &error), SN_BAD_INPUT);
    w[4] = 5;
    options.settings = SETTING("factors", 17);
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, 2, 3, &options, &fit, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message, "factors: expected a whole number from 1 to 16, found 17");
    options.settings = SETTINGS({ "factors", 3 }, { "block", 4 });
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, 2, 3, &options, &fit, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message,
                     "psm: blocks of 4 rows with 3 factors, expected at most 2 factors");
    options = (struct sn_fit_options){ .budget_bytes = 7 };
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, 2, 3, &options, &fit, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message,
                     "budget of 7 bytes cannot hold one nonzero of 2 x 3, expected at least 8");
}

/* H_64 = (H_8 x I)(I x H_8), all entries 1 or -1. */
Test(psm_fit, a_hadamard_matrix_is_recovered)
{
    enum { N = 64 };
    float w[N * N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) w[i * N + j] = __builtin_parity((unsigned)(i & j)) ? -1 : 1;
    struct sn_fit_options options = { .budget_bytes = 2 * psm_factor_bytes(N, N, 8 * N, 0, 0) };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, N, N, &options, &fit, &error), "%s",
              error.message);
    cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
    cr_assert_lt(fit.error, 1e-6, "%g", fit.error);
    sn_fit_free(&fit);
}

/* Powers of two far from 1 change no bit but those of exponents; a zero matrix has no scale at all.
 */
Test(psm_fit, the_scale_of_the_matrix_does_not_matter)
{
    enum { M = 24, N = 36 };
    static const int exponents[] = { 0, 54, -100 };
    uint64_t seed = 11;
    float *w = random_dense(&seed, M, N), scaled[M * N];
    double errors[3];
    for (int k = 0; k < 4; k++) {
        for (int i = 0; i < M * N; i++) scaled[i] = k < 3 ? ldexpf(w[i], exponents[k]) : 0;
        struct sn_fit_options options = { .budget_bytes = 2 * M * N,
                                          .settings = SETTING("factors", 2) };
        struct sn_fit fit;
        struct sn_error error = { 0 };
        cr_assert(!sn_fit(sn_fit_type_find("psm"), scaled, M, N, &options, &fit, &error), "%s",
                  error.message);
        for (size_t q = 0; q < fit.matrix->n_values; q++) cr_assert(isfinite(fit.words[q]));
        if (k < 3) errors[k] = fit.error;
        else cr_assert_eq(fit.error, 0);
        struct sn_fit again = { .matrix = fit.matrix, .words = fit.words };
        cr_assert(!sn_fit_measure(&again, scaled, NULL, &error));
        cr_assert_float_eq(again.error, fit.error, 1e-6, "%g, said %g", again.error, fit.error);
        sn_fit_free(&fit);
    }
    cr_assert_eq(errors[0], errors[1]);
    cr_assert_eq(errors[0], errors[2]);
    free(w);
}

/* ---- Forms */

/* Counts the entries of one-factor fits in every row, or every column. */
static void count_entries(const struct sn_fit *fit, int by_row, int *counts)
{
    const struct psm *s = (const struct psm *)fit->matrix;
    for (int i = 0; i < s->sizes[0]; i++)
        for (uint32_t p = s->row_starts[i]; p < s->row_starts[i + 1]; p++)
            counts[by_row ? i : (int)s->columns[p]]++;
}

Test(psm_fit, rows_or_columns_get_as_many_entries_each)
{
    enum { M = 30, N = 24, EACH = 5 };
    uint64_t seed = 31;
    float *w = random_dense(&seed, M, N);
    for (int by_row = 0; by_row < 2; by_row++) {
        int n = by_row ? M : N, counts[M] = { 0 };
        struct sn_fit_options options = {
            .budget_values = (size_t)(EACH * n),
            .settings = SETTINGS({ "factors", 1 }, { "pattern", by_row ? PSM_ROWS : PSM_COLUMNS })
        };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        count_entries(&fit, by_row, counts);
        for (int i = 0; i < n; i++) cr_assert_eq(counts[i], EACH, "%d: %d entries", i, counts[i]);
        sn_fit_free(&fit);
        options.settings = SETTINGS({ "factors", 2 },
                                    { "pattern", by_row ? PSM_ROWS : PSM_COLUMNS });
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        cr_assert_leq(fit.matrix->n_values, options.budget_values);
        cr_assert_lt(fit.error, 1);
        sn_fit_free(&fit);
    }
    free(w);
}

/* Groups of four rows share their columns, but the rows are shuffled: the fit must put them back
 * together. */
Test(psm_fit, blocks_find_the_rows_that_belong_together)
{
    enum { BLOCK = 4, GROUPS = 12, M = BLOCK * GROUPS, N = 70, EACH = 6 };
    uint64_t seed = 32;
    float *w = calloc(M * N, sizeof *w);
    int row[M];
    for (int i = 0; i < M; i++) row[i] = i;
    for (int i = M - 1; i > 0; i--) {
        int other = random_int(&seed, 0, i), swap = row[i];
        row[i] = row[other];
        row[other] = swap;
    }
    for (int g = 0; g < GROUPS; g++)
        for (int k = 0; k < EACH; k++) {
            int column = (g * 5 + k * 11) % N;
            for (int b = 0; b < BLOCK; b++)
                w[row[g * BLOCK + b] * N + column] = (float)(random_uniform(&seed, .5, 1)
                                                             * (k % 2 ? 1 : -1));
        }
    struct sn_fit_options options = { .budget_values = GROUPS * EACH * BLOCK,
                                      .settings = SETTINGS({ "factors", 1 }, { "block", BLOCK }) };
    struct sn_fit fit;
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
    cr_assert_eq(fit.error, 0);
    cr_assert_eq(fit.matrix->n_values, options.budget_values);
    sn_fit_free(&fit);
    /* A height that is no multiple, two factors, a budget in bytes. */
    options = (struct sn_fit_options){ .budget_bytes = (M - 3) * N,
                                       .settings = SETTING("block", BLOCK) };
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M - 3, N, &options, &fit, NULL));
    cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
    cr_assert_lt(fit.error, .2);
    sn_fit_free(&fit);
    free(w);
}

/* Gaps of up to 3000 columns: whatever width the indices have, the budget holds, and bytes that are
 * saved become values. */
Test(psm_fit, narrow_indices_keep_to_the_budget)
{
    enum { M = 20, N = 3000 };
    static const double shares[] = { .005, .02, .1, .4 };
    uint64_t seed = 33;
    struct sn_error error = { 0 };
    float *w = random_dense(&seed, M, N);
    for (int k = 0; k < 4; k++) {
        struct sn_fit_options options = { .budget_bytes = (size_t)(shares[k] * 4 * M * N),
                                          .settings = SETTING("factors", 1) };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        struct psm *s = (struct psm *)fit.matrix;
        cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
        size_t wide = (options.budget_bytes - psm_factor_bytes(M, N, 0, 16, 1)) / 6;
        cr_assert_geq(fit.matrix->n_values + 1, wide, "share %g: %zu values, %zu with 16 bits",
                      shares[k], fit.matrix->n_values, wide);
        /* Bitmaps and nibbles take less than two bytes an entry. */
        if (k >= 2) cr_assert_geq(fit.matrix->n_values, 1.25 * (double)wide);
        cr_assert(psm_reads_back(s, fit.words), "share %g", shares[k]);
        sn_fit_free(&fit);
        options.settings = SETTING("factors", 2);
        options.effort = SN_QUICK;
        cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, &error), SN_OK,
                     "share %g: %s", shares[k], error.message);
        cr_assert_leq(4 * fit.matrix->n_words, options.budget_bytes);
        cr_assert_lt(fit.error, 1);
        sn_fit_free(&fit);
    }
    /* The group lengths of both factors, and no entry. */
    struct sn_fit_options options = { .budget_bytes = 60, .settings = SETTING("factors", 2) };
    struct sn_fit fit;
    cr_assert_eq(sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, &error), SN_BAD_INPUT);
    cr_assert_str_eq(error.message,
                     "budget of 60 bytes cannot hold two sparse factors of 20 x 3000");
    free(w);
}

Test(psm_fit, a_stop_ends_with_what_there_is)
{
    uint64_t seed = 34;
    float *w = random_dense(&seed, 60, 70);
    volatile sig_atomic_t stop = 1;
    struct sn_fit_options options = { .budget_values = 800,
                                      .settings = SETTING("factors", 2),
                                      .effort = SN_THOROUGH,
                                      .stop = &stop };
    struct sn_fit stopped, whole;
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, 60, 70, &options, &stopped, NULL));
    cr_assert_leq(stopped.matrix->n_values, 800);
    options.stop = NULL;
    options.effort = SN_QUICK;
    cr_assert(!sn_fit(sn_fit_type_find("psm"), w, 60, 70, &options, &whole, NULL));
    cr_assert_lt(whole.error, stopped.error);
    cr_assert_lt(stopped.error, 1);
    sn_fit_free(&stopped);
    sn_fit_free(&whole);
    free(w);
}

/* A covariance of inputs of several scales that have a part in common. */
static struct sn_weighting correlated(uint64_t *seed, int n)
{
    enum { SAMPLES = 200 };
    float *x = malloc(SAMPLES * (size_t)n * sizeof *x);
    for (int s = 0; s < SAMPLES; s++) {
        double common = random_uniform(seed, -1, 1);
        for (int j = 0; j < n; j++)
            x[s * n + j] = (float)(common * (j % 3)
                                   + random_uniform(seed, -1, 1) * (1 + j % 5) / 5.);
    }
    struct sn_weighting weighting;
    cr_assert(!sn_weighting_new(NULL, 0, x, SAMPLES, n, .1, 0, &weighting, NULL));
    free(x);
    return weighting;
}

/* The error of outputs falls when it is what is minimised, for every form. */
Test(psm_fit, a_weighting_lowers_the_weighted_error)
{
    enum { M = 40, N = 50 };
    uint64_t seed = 35;
    float *w = random_dense(&seed, M, N);
    struct sn_weighting weighting = correlated(&seed, N);
    for (int n_factors = 1; n_factors <= 2; n_factors++) {
        struct sn_fit_options options = { .budget_values = 500,
                                          .settings = SETTING("factors", n_factors) };
        struct sn_fit plain, weighted;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &plain, NULL));
        options.weighting = &weighting;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &weighted, NULL));
        cr_assert(!sn_fit_measure(&plain, w, &weighting, NULL));
        /* Entries chosen by the weighting alone, their values not fitted, reach .75 with one
         * factor. */
        cr_assert_lt(weighted.weighted_error, (n_factors == 1 ? .65 : .8) * plain.weighted_error,
                     "%d factors: %g, plain %g", n_factors, weighted.weighted_error,
                     plain.weighted_error);
        sn_fit_free(&plain);
        sn_fit_free(&weighted);
    }
    sn_weighting_free(&weighting);
    free(w);
}

/* With one factor too, entries are chosen for what they can make up for. The largest of the scaled
 * matrix, with their values fitted, leave .386. */
Test(psm_fit, a_weighting_chooses_the_entries_of_one_factor)
{
    enum { M = 60, N = 90 };
    uint64_t seed = 38;
    float *w = random_dense(&seed, M, N);
    struct sn_weighting weighting = correlated(&seed, N);
    for (int effort = SN_NORMAL; effort <= SN_QUICK; effort++) {
        struct sn_fit_options options = { .budget_values = M * N / 10,
                                          .settings = SETTING("factors", 1),
                                          .weighting = &weighting,
                                          .effort = (enum sn_effort)effort };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        cr_expect_leq(fit.weighted_error, .375, "effort %d: %g", effort, fit.weighted_error);
        sn_fit_free(&fit);
    }
    sn_weighting_free(&weighting);
    free(w);
}

/* A cosine transform is near products of sparse matrices that are far from the start, W and the
 * identity. */
Test(psm_fit, patterns_change_far_beyond_the_start)
{
    enum { N = 192 };
    static const double most[] = { .36, .27 };
    uint64_t seed = 37;
    float *w = malloc(N * N * sizeof *w);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) w[i * N + j] = (float)cos(acos(-1) / N * i * (j + .5));
    struct sn_weighting weighting = correlated(&seed, N);
    for (int weighted = 0; weighted < 2; weighted++) {
        struct sn_fit_options options = { .budget_values = N * N / 5,
                                          .settings = SETTING("factors", 2),
                                          .weighting = weighted ? &weighting : NULL };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, N, N, &options, &fit, NULL));
        cr_expect_leq(fit.weighted_error, most[weighted], "weighting %d: %g", weighted,
                      fit.weighted_error);
        sn_fit_free(&fit);
    }
    sn_weighting_free(&weighting);
    free(w);
}

/* Another method, which has the error from products with L, finds next to nothing left to gain,
 * whichever factor started as the identity. */
Test(psm_fit, values_are_fitted_with_the_whole_weighting)
{
    static const int sizes[][2] = { { 40, 50 }, { 80, 30 }, { 25, 90 } };
    uint64_t seed = 36;
    for (int i = 0; i < 3; i++) {
        int m = sizes[i][0], n = sizes[i][1];
        float *w = random_dense(&seed, m, n);
        struct sn_weighting weighting = correlated(&seed, n);
        struct sn_fit_options options = { .budget_values = (size_t)m * (size_t)n / 4,
                                          .settings = SETTING("factors", 2),
                                          .weighting = &weighting };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, m, n, &options, &fit, NULL));
        double before = fit.weighted_error;
        cr_assert(!sn_refit(&fit, w, &weighting, 50, NULL, NULL));
        cr_assert(!sn_fit_measure(&fit, w, &weighting, NULL));
        cr_expect_geq(fit.weighted_error, .98 * before, "%d x %d: %g, then %g", m, n, before,
                      fit.weighted_error);
        sn_fit_free(&fit);
        sn_weighting_free(&weighting);
        free(w);
    }
}
