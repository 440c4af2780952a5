/* PSM approximation by more than two factors. */
#include "support.h"

#include <approx.h>
#include <psm.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A fit within a budget of values and bytes, of n_factors. */
static struct sn_fit fit_chain(const float *w, int m, int n, int n_factors, size_t values, size_t bytes)
{
    struct sn_fit_options options = { .budget_bytes = bytes, .budget_values = values, .n_factors = n_factors };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    cr_assert_eq(psm_fit(w, m, n, &options, &fit, &error), SN_OK, "%s", error.message);
    cr_assert_eq(((const struct psm *)fit.matrix)->n_factors, n_factors);
    if (values) cr_assert_leq(fit.matrix->n_values, values);
    if (bytes) cr_assert_leq(4 * fit.matrix->n_words, bytes);
    return fit;
}

/* A Hadamard matrix of which some rows and columns have changed their sign. */
static float *hadamard(uint64_t *seed, int n)
{
    float *w = malloc((size_t)n * (size_t)n * sizeof *w), *signs = malloc(2 * (size_t)n * sizeof *signs);
    for (int i = 0; i < 2 * n; i++) signs[i] = seed && random_int(seed, 0, 1) ? -1 : 1;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) w[i * n + j] = signs[i] * signs[n + j] * (__builtin_parity((unsigned)(i & j)) ? -1 : 1);
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
        for (int bit = 1, mirror = n / 2; mirror; bit *= 2, mirror /= 2) reversed |= i & bit ? mirror : 0;
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
                        next[(k * sizes[f][0] + i) * columns + l * sizes[f][1] + j] = w[k * *n + l] * x;
            }
        free(w);
        w = next, *m = rows, *n = columns;
    }
    return w;
}

Test(psm_chain, a_kronecker_product_of_three_is_recovered)
{
    static int products[][3][2] = { { { 4, 4 }, { 4, 4 }, { 4, 4 } }, { { 3, 3 }, { 4, 4 }, { 5, 5 } },
                                    { { 6, 6 }, { 3, 3 }, { 4, 4 } }, { { 4, 5 }, { 3, 4 }, { 5, 3 } } };
    uint64_t seed = 2;
    for (int k = 0; k < 4; k++) {
        int m, n, (*sizes)[2] = products[k];
        float *w = kronecker(&seed, sizes, &m, &n);
        /* (A x I x I)(I x B x I)(I x I x C) */
        int values = sizes[0][0] * sizes[0][1] * sizes[1][0] * sizes[2][0]
            + sizes[0][1] * sizes[1][0] * sizes[1][1] * sizes[2][0] + sizes[0][1] * sizes[1][1] * sizes[2][0] * sizes[2][1];
        struct sn_fit fit = fit_chain(w, m, n, 3, (size_t)values, 0);
        cr_assert_lt(fit.error, 2e-6, "%d: %g", k, fit.error);
        sn_fit_free(&fit);
        free(w);
    }
}
