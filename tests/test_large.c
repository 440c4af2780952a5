/* Matrices of 1024 x 2048: errors against bounds that are known. */
#include "support.h"

#include <criterion/criterion.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { M = 1024, N = 2048, SIZE = M * N, BUDGET = SIZE / 10 };

/* Rows with scales that fall, plus rank 20. */
static float *new_matrix(void)
{
    enum { RANK = 20 };
    uint64_t seed = 1;
    float *w = malloc(SIZE * sizeof *w), *v = malloc(RANK * N * sizeof *v);
    for (int i = 0; i < RANK * N; i++) v[i] = (float)random_uniform(&seed, -1, 1);
    for (int i = 0; i < M; i++) {
        float scale = expf(-(float)i / M);
        for (int j = 0; j < N; j++) w[i * N + j] = scale * (float)random_uniform(&seed, -1, 1);
        for (int k = 0; k < RANK; k++) {
            float u = (float)random_uniform(&seed, -.3, .3);
            for (int j = 0; j < N; j++) w[i * N + j] += u * v[k * N + j];
        }
    }
    free(v);
    return w;
}

/* A quick fit within BUDGET floats; its error, and how many values it has that are not next to
 * nothing. */
static double error_of(const char *type, const float *w, size_t *kept)
{
    struct sn_fit_options options = { .budget_bytes = BUDGET * sizeof(float), .effort = SN_QUICK };
    struct sn_fit fit;
    struct sn_error error = { 0 };
    cr_assert_eq(sn_fit(sn_fit_type_find(type), w, M, N, &options, &fit, &error), SN_OK, "%s",
                 error.message);
    cr_assert_leq(fit.matrix->n_words, BUDGET);
    double reached = fit.error;
    if (kept) *kept = 0;
    for (size_t i = 0; kept && i < fit.matrix->n_values; i++) *kept += fabsf(fit.words[i]) > 1e-6F;
    sn_fit_free(&fit);
    return reached;
}

static double energy_of(const float *w)
{
    double energy = 0;
    for (int i = 0; i < SIZE; i++) energy += (double)w[i] * (double)w[i];
    return energy;
}

/* sqrt of what the largest `rank` singular values leave, by LAPACK's SVD. */
static double tail_of(const float *w, int rank)
{
    float *copy = malloc(SIZE * sizeof *copy), *sigma = malloc(M * sizeof *sigma), unused;
    double sum = 0;
    memcpy(copy, w, SIZE * sizeof *copy);
    cr_assert(!LAPACKE_sgesdd(LAPACK_COL_MAJOR, 'N', N, M, copy, N, sigma, &unused, 1, &unused, 1));
    for (int i = rank; i < M; i++) sum += (double)sigma[i] * (double)sigma[i];
    free(copy);
    free(sigma);
    return sqrt(sum);
}

static int ascending(const void *a, const void *b)
{
    float x = fabsf(*(const float *)a), y = fabsf(*(const float *)b);
    return (x > y) - (x < y);
}

/* sqrt of the sum of the squares of all entries but the `kept` largest. */
static double rest_of(const float *w, size_t kept)
{
    float *copy = malloc(SIZE * sizeof *copy);
    double sum = 0;
    memcpy(copy, w, SIZE * sizeof *copy);
    qsort(copy, SIZE, sizeof *copy, ascending);
    for (size_t i = 0; i < SIZE - kept; i++) sum += (double)copy[i] * (double)copy[i];
    free(copy);
    return sqrt(sum);
}

/* Singular values in float32 are known to some 1e-6 of the largest. SSS contains low rank. */
Test(large, low_rank_is_the_truncated_svd_and_sss_not_worse)
{
    float *w = new_matrix();
    double norm = sqrt(energy_of(w)), low_rank = error_of("lowrank", w, NULL);
    cr_assert_float_eq(low_rank, tail_of(w, BUDGET / (M + N)) / norm, 1e-5);
    cr_assert_leq(error_of("sss", w, NULL), low_rank * (1 + 1e-6));
    free(w);
}

/* An entry takes five bytes with 8-bit indices, and a row two for its length. Some entries next to
 * nothing bridge columns that are far apart. */
Test(large, one_factor_keeps_the_largest_entries_and_two_are_not_worse)
{
    size_t kept;
    float *w = new_matrix();
    double pruned = error_of("pruned", w, &kept);
    cr_assert_geq(kept, .98 * (4 * BUDGET - 2 * M) / 5);
    cr_assert_float_eq(pruned, rest_of(w, kept) / sqrt(energy_of(w)), 1e-6);
    cr_assert_leq(error_of("psm", w, NULL), pruned * (1 + 1e-6));
    free(w);
}
