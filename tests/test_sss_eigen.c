/* Leading eigenvalues of large matrices. */
#include "support.h"

#include <sss_eigen.h>
#include <sss_subspace.h>

#include <cblas.h>
#include <criterion/criterion.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* a (n x n) = G G^T for random G whose columns fall off by the factor fall; rank columns. */
static double *gram(int n, int rank, double fall)
{
    uint64_t seed = 1;
    double *g = malloc((size_t)n * (size_t)rank * sizeof *g),
           *a = malloc((size_t)n * (size_t)n * sizeof *a);
    for (int i = 0; i < n * rank; i++) g[i] = random_uniform(&seed, -1, 1) * pow(fall, i % rank);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, rank, 1, g, rank, g, rank, 0, a, n);
    free(g);
    return a;
}

/* The eigenvalues by LAPACK, ascending. */
static double *exact_values(const double *a, int n)
{
    size_t size = (size_t)n * (size_t)n * sizeof(double);
    double *copy = malloc(size), *values = malloc((size_t)n * sizeof *values);
    memcpy(copy, a, size);
    cr_assert(!LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'N', 'L', n, copy, n, values));
    free(copy);
    return values;
}

/* Vectors are orthonormal, hold the sum of their values, and no others hold more. */
static void check(const double *a, int n, int wanted, const double *values, const double *vectors,
                  double tolerance)
{
    double *exact = exact_values(a, n), *image = malloc((size_t)n * sizeof *image);
    double kept = 0, best = 0, trace = 0;
    for (int i = 0; i < n; i++) trace += exact[i];
    for (int i = 0; i < wanted; i++) {
        const double *v = vectors + (size_t)i * (size_t)n;
        cblas_dsymv(CblasRowMajor, CblasUpper, n, 1, a, n, v, 1, 0, image, 1);
        cr_assert_float_eq(cblas_ddot(n, v, 1, image, 1), values[i], 1e-10 * trace);
        for (int j = 0; j <= i; j++)
            cr_assert_float_eq(cblas_ddot(n, v, 1, vectors + (size_t)j * (size_t)n, 1), i == j,
                               1e-9, "rows %d and %d of %d", i, j, n);
        kept += values[i];
        best += exact[n - 1 - i];
    }
    /* And the rounding of float64 sums. */
    cr_assert_leq(best - kept, tolerance * (trace - best) + 1e-12 * trace);
    cr_assert_leq(kept - best, 1e-12 * trace);
    free(exact);
    free(image);
}

/* Spectra that fall, a flat one with few that stand out, and less rank than is wanted. */
Test(sss_subspace, holds_as_much_of_the_trace_as_the_best_subspace)
{
    static const struct {
        int n, rank;
        double fall;
        int wanted;
    } cases[] = { { 400, 400, .99, 9 },
                  { 400, 400, .9, 15 },
                  { 500, 500, 1, 5 },
                  { 400, 6, 1, 9 },
                  { 400, 9, .5, 9 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int n = cases[i].n, wanted = cases[i].wanted, found;
        double *a = gram(n, cases[i].rank, cases[i].fall), *values = malloc((size_t)n * sizeof *a),
               *vectors = malloc((size_t)n * (size_t)n * sizeof *a);
        if (i == 2) /* Rows of one direction above the noise. */
            for (int k = 0; k < wanted; k++) a[k * (n + 1)] *= 8;
        cr_assert(!sss_subspace(a, n, wanted, values, vectors, &found, NULL));
        cr_assert_eq(found, wanted, "case %zu", i);
        check(a, n, wanted, values, vectors, 1e-6);
        free(a);
        free(values);
        free(vectors);
    }
}

/* Nothing sets the wanted vectors apart, or they are too many. */
Test(sss_subspace, gives_up_where_it_would_take_longer)
{
    enum { N = 400 };
    int found = 1;
    double *a = calloc(N * N, sizeof *a), *values = malloc(N * sizeof *a),
           *vectors = malloc(N * N * sizeof *a);
    for (int i = 0; i < N; i++) a[i * (N + 1)] = 1;
    cr_assert(!sss_subspace(a, N, 9, values, vectors, &found, NULL));
    cr_assert_eq(found, 0);
    for (int i = 0; i < N; i++) a[i * (N + 1)] = pow(.9, i);
    cr_assert(!sss_subspace(a, N, 40, values, vectors, &found, NULL));
    cr_assert_eq(found, 0);
    free(a);
    free(values);
    free(vectors);
}

/* By a subspace, some by LAPACK, all by LAPACK. */
Test(sss_eigen, finds_the_largest_of_a_large_matrix)
{
    enum { N = 1040 };
    static const int wanted[] = { 30, 150, 200 };
    double *a = gram(N, N, .995), *copy = malloc(N * N * sizeof *a),
           *values = malloc(N * sizeof *a), *vectors = malloc(N * N * sizeof *a),
           *work = malloc(sss_eigen_work(N) * sizeof *a);
    int *integers = malloc(sss_eigen_integers(N) * sizeof *integers);
    for (int i = 0; i < 3; i++) {
        memcpy(copy, a, N * N * sizeof *a);
        cr_assert(!sss_eigen(copy, N, wanted[i], values, vectors, work, integers, NULL));
        check(a, N, wanted[i], values, vectors, 1e-6);
    }
    free(a);
    free(copy);
    free(values);
    free(vectors);
    free(work);
    free(integers);
}
