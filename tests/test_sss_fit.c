/* sss_fit: exact where W is SSS, never worse than a truncated SVD of as many values, far better
 * where W has low-rank Hankel blocks, within every budget, with an error that is the one foretold.
 */
#include "support.h"

#include "sss.h"
#include "sss_order.h"
#include <fit.h>
#include <weighting.h>

#include <cblas.h>
#include <criterion/criterion.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

/* xorshift64*, Vigna 2016: uniform in [-1, 1). */
static double uniform(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (double)(random_state * 2685821657736338717u >> 11) * 0x1p-52 - 1;
}

/* From 0 to n-1. */
static int random_below(int n) { return (int)((uniform() + 1) / 2 * n); }

static void *allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    cr_assert_not_null(block);
    return block;
}

static int part(int total, int n, int k)
{
    return (int)((k + 1L) * total / n - (long)k * total / n);
}

/* ---- Matrices ---- */

/* W = sum over j < i of C_i A_{i-1} .. A_{j+1} B_j for one direction, by running unit vectors
 * through the recursion in double. flip reverses rows and columns. s[k] is the state size at
 * boundary k. The values are uniform; A is scaled such that states neither die out nor grow. */
static void add_causal(double *w, int m, int n, int n_stages, const int *s, int flip)
{
    int most = 1, column = 0, row = 0;
    for (int k = 0; k < n_stages; k++) most = s[k] > most ? s[k] : most;
    double *x = allocate((size_t)most * (size_t)n, sizeof *x),
           *next = allocate((size_t)most * (size_t)n, sizeof *x);
    for (int k = 0; k < n_stages; k++) {
        int width = part(n, n_stages, flip ? n_stages - 1 - k : k);
        int height = part(m, n_stages, flip ? n_stages - 1 - k : k);
        for (int i = 0; i < height; i++, row++)
            for (int a = 0; a < s[k]; a++) {
                double c = uniform();
                for (int j = 0; j < column; j++)
                    w[flip ? (m - 1 - row) * n + n - 1 - j : row * n + j] += c * x[a * n + j];
            }
        for (int b = 0; b < s[k + 1]; b++) {
            for (int j = 0; j < n; j++) next[b * n + j] = 0;
            for (int a = 0; a < s[k]; a++) {
                double value = uniform() * sqrt(3. / s[k]);
                for (int j = 0; j < column; j++) next[b * n + j] += value * x[a * n + j];
            }
            for (int j = column; j < column + width; j++) next[b * n + j] = uniform();
        }
        memcpy(x, next, (size_t)most * (size_t)n * sizeof *x);
        column += width;
    }
    free(x);
    free(next);
}

/* An SSS matrix with equal segments, the given states at its boundaries, and diagonal blocks of
 * random values; rounded to float32 only at the end. */
static float *sss_matrix(int m, int n, int n_stages, const int *causal, const int *anticausal)
{
    double *w = allocate((size_t)m * (size_t)n, sizeof *w);
    float *rounded = allocate((size_t)m * (size_t)n, sizeof *rounded);
    int *reversed = allocate((size_t)n_stages + 1, sizeof *reversed);
    for (int k = 0; k <= n_stages; k++) reversed[k] = anticausal[n_stages - k];
    add_causal(w, m, n, n_stages, causal, 0);
    add_causal(w, m, n, n_stages, reversed, 1);
    for (int k = 0, row = 0, column = 0; k < n_stages; k++) {
        int height = part(m, n_stages, k), width = part(n, n_stages, k);
        for (int i = 0; i < height; i++)
            for (int j = 0; j < width; j++) w[(row + i) * n + column + j] = 2 * uniform();
        row += height;
        column += width;
    }
    for (int i = 0; i < m * n; i++) rounded[i] = (float)w[i];
    free(w);
    free(reversed);
    return rounded;
}

enum kind { NOISE, SMOOTH_KERNEL, BLOCK, CAUCHY, EXPONENTIAL, SPIKE, N_KINDS };
static const char *const kind_names[] = { "random", "smooth",      "block",
                                          "cauchy", "exponential", "spike" };

/* Entry (i, j) of W on points x of the rows and y of the columns, equally spaced in (0, 1). */
static float entry(enum kind kind, double x, double y, double shift)
{
    switch (kind) {
    case SMOOTH_KERNEL: return (float)exp(-8 * (x - y) * (x - y));
    case BLOCK: return (float)(((int)(5 * x) == (int)(5 * y) ? 1 : 0.1) * uniform());
    case CAUCHY: return (float)(1 / (x - y + shift));
    case EXPONENTIAL: return (float)exp(-30 * fabs(x - y));
    case SPIKE:
        return (float)(fabs(x - 0.7) < 0.1 && fabs(y - 0.2) < 0.1 ? 1 + 0.1 * uniform()
                                                                  : 1e-3 * uniform());
    default: return (float)uniform();
    }
}

static float *make(enum kind kind, int m, int n)
{
    float *w = allocate((size_t)m * (size_t)n, sizeof *w);
    random_state = 88172645463325252u + (uint64_t)kind;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n;
             j++) /* The shift, incommensurable with the grid, keeps Cauchy's x - y off zero. */
            w[i * n + j] = entry(kind, (i + 0.5) / m, (j + 0.5) / n, 0.3183 / (m > n ? m : n));
    return w;
}

/* A band of the given half width, of values in +-1, and noise everywhere; rows and columns shuffled
 * where asked. */
static float *banded(int n, int half, double noise, int shuffled)
{
    float *w = allocate((size_t)n * (size_t)n, sizeof *w);
    int *rows = allocate((size_t)n, sizeof *rows), *columns = allocate((size_t)n, sizeof *columns);
    random_state = 977;
    for (int i = 0; i < n; i++) rows[i] = columns[i] = i;
    for (int i = n - 1; i > 0; i--)
        for (int side = 0; side < 2; side++) {
            int *order = side ? rows : columns, other = random_below(i + 1), swap = order[i];
            order[i] = order[other];
            order[other] = swap;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            w[shuffled ? rows[i] * n + columns[j] : i * n + j] =
                (float)((abs(i - j) <= half) * uniform() + noise * uniform());
    free(rows);
    free(columns);
    return w;
}

/* ---- Running ---- */

struct seen {
    int calls;
    double done, error; /* of the last call */
    int orderly;        /* done never fell or left 0..1, error never rose */
};

static void watch(void *context, double done, double error)
{
    struct seen *seen = context;
    if (done < seen->done || done > 1 || (seen->calls && error > seen->error * (1 + 1e-6) + 1e-6))
        seen->orderly = 0;
    *seen = (struct seen){ seen->calls + 1, done, error, seen->orderly };
}

/* Fits with room for n_values values, asserting what holds for every fit: success, the budget kept,
 * the error measured. */
static struct sn_fit fit_within(const float *w, int m, int n, size_t n_values, int n_stages,
                                struct seen *seen)
{
    struct sn_fit_options options = { .budget_bytes = 4 * n_values + 3,
                                      .settings = SETTING("stages", n_stages) };
    struct sn_fit fit = { 0 };
    struct sn_error error = { 0 };
    if (seen) {
        *seen = (struct seen){ .orderly = 1 };
        options.progress = watch;
        options.context = seen;
    }
    cr_assert_eq(sn_fit(sn_fit_type_find("sss"), w, m, n, &options, &fit, &error), SN_OK,
                 "%d x %d in %zu: %s", m, n, n_values, error.message);
    cr_assert(fit.matrix->n_words <= n_values, "%d x %d: %zu values, not %zu", m, n,
              fit.matrix->n_words, n_values);
    struct sn_fit again = { .matrix = fit.matrix, .words = fit.words };
    cr_assert(!sn_fit_measure(&again, w, NULL, NULL));
    cr_assert_eq(fit.error, again.error);
    return fit;
}

static struct sn_fit fit_as(const char *type, const float *w, int m, int n,
                            const struct sn_fit_options *options)
{
    struct sn_fit fit = { 0 };
    struct sn_error error = { 0 };
    cr_assert_eq(sn_fit(sn_fit_type_find(type), w, m, n, options, &fit, &error), SN_OK, "%s",
                 error.message);
    cr_assert(4 * fit.matrix->n_words <= options->budget_bytes);
    return fit;
}

static struct sn_fit fit_with(const float *w, int m, int n, const struct sn_fit_options *options)
{
    return fit_as("sss", w, m, n, options);
}

static void release(struct sn_fit *fit)
{
    free(fit->matrix);
    free(fit->words);
}

/* Singular values of W, LAPACK's in double, which shares nothing with the eigenvalues that sss_fit
 * uses. */
static double *singular_values(const float *w, int m, int n)
{
    int small = m < n ? m : n;
    double *a = allocate((size_t)m * (size_t)n, sizeof *a), *s = allocate((size_t)small, sizeof *s);
    for (int i = 0; i < m * n; i++) a[i] = w[i];
    cr_assert_eq(LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', n, m, a, n, s, NULL, 1, NULL, 1), 0);
    free(a);
    return s;
}

/* ||W - W_r||_F / ||W||_F for the best W_r of rank r. */
static double truncation_error(const double *s, int small, int r)
{
    double lost = 0, all = 0;
    for (int i = small - 1; i >= 0; i--) {
        all += s[i] * s[i];
        if (i >= r) lost += s[i] * s[i];
    }
    return sqrt(lost / all);
}

/* ---- Exact recovery ---- */

struct exact {
    int m, n, n_stages;
    int causal[13], anticausal[13];
};

static const struct exact exact[] = {
    { 24, 30, 2, { 0, 4, 0 }, { 0, 2, 0 } },
    { 30, 24, 3, { 0, 1, 5, 0 }, { 0, 3, 0, 0 } },
    { 60, 35, 5, { 0, 2, 5, 3, 1, 0 }, { 0, 0, 2, 4, 2, 0 } },
    { 56, 56, 7, { 0, 1, 2, 3, 2, 1, 2, 0 }, { 0, 4, 1, 4, 1, 4, 1, 0 } },
    { 40, 88, 8, { 0, 3, 3, 3, 3, 3, 3, 3, 0 }, { 0, 0, 0, 0, 0, 0, 0, 0, 0 } },
    { 60,
      72,
      12,
      { 0, 1, 1, 2, 2, 3, 3, 4, 4, 3, 2, 1, 0 },
      { 0, 2, 2, 2, 2, 0, 0, 0, 2, 2, 2, 2, 0 } },
    { 240, 240, 8, { 0, 0, 0, 0, 30, 0, 0, 0, 0 }, { 0 } }, /* All states at one boundary. */
    { 47,
      53,
      6,
      { 0, 2, 3, 3, 3, 2, 0 },
      { 0, 1, 2, 2, 2, 1, 0 } }, /* Segments that differ by one. */
};
enum { N_EXACT = sizeof exact / sizeof *exact };

static float *exact_matrix(int i, size_t *own)
{
    const struct exact *e = &exact[i];
    int inputs[12], outputs[12];
    for (int k = 0; k < e->n_stages; k++) {
        inputs[k] = part(e->n, e->n_stages, k);
        outputs[k] = part(e->m, e->n_stages, k);
    }
    struct sss *shape = sss_new(e->n_stages, inputs, outputs, e->causal + 1, e->anticausal + 1,
                                NULL);
    cr_assert_not_null(shape);
    *own = shape->matrix.n_values;
    free(shape);
    random_state = 4101842887655102017u + (uint64_t)i;
    return sss_matrix(e->m, e->n, e->n_stages, e->causal, e->anticausal);
}

/* 1e-5: three boundaries' worth of float32 rounding (6e-8) times the growth through a chain of 12
 * stages leaves a wide margin; the results are near 2e-7. */
static const double exact_tolerance = 1e-5;

Test(sss_fit, sss_matrix_is_recovered_at_its_own_size)
{
    for (int i = 0; i < N_EXACT; i++) {
        size_t own;
        float *w = exact_matrix(i, &own);
        struct sn_fit fit = fit_within(w, exact[i].m, exact[i].n, own, exact[i].n_stages, NULL);
        cr_expect(fit.error < exact_tolerance, "case %d: error %g", i, fit.error);
        release(&fit);
        free(w);
    }
}

Test(sss_fit, sss_matrix_is_recovered_by_the_search)
{
    for (int i = 0; i < N_EXACT; i++) {
        size_t own;
        float *w = exact_matrix(i, &own);
        struct sn_fit fit = fit_within(w, exact[i].m, exact[i].n, own, 0, NULL);
        cr_expect(fit.error < exact_tolerance, "case %d: error %g", i, fit.error);
        release(&fit);
        free(w);
    }
}

/* Cuts total into n parts at random places; some parts are empty. */
static void random_parts(int total, int n, int *parts)
{
    memset(parts, 0, (size_t)n * sizeof *parts);
    int empty = random_below(n);
    for (int i = 0, k; i < total; i++) {
        do k = random_below(n);
        while (k == empty);
        parts[k]++;
    }
}

/* Ragged segments, some of zero width or height, and sizes whose equal segments the search would
 * not come by. */
Test(sss_fit, sss_matrix_of_any_segments_is_recovered_by_the_search)
{
    static const struct {
        int m, n, n_stages, states;
    } cases[] = {
        { 40, 60, 5, 3 },    { 64, 64, 8, 2 },   { 100, 30, 6, 2 },
        { 200, 300, 10, 5 }, { 150, 100, 7, 4 }, { 300, 300, 13, 3 },
    };
    random_state = 17;
    for (size_t i = 0; i < 4 * sizeof cases / sizeof *cases; i++) {
        int m = cases[i / 4].m, n = cases[i / 4].n, n_stages = cases[i / 4].n_stages;
        int inputs[13], outputs[13], causal[12], anticausal[12];
        random_parts(n, n_stages, inputs);
        random_parts(m, n_stages, outputs);
        for (int k = 0; k < n_stages - 1; k++) {
            causal[k] = random_below(cases[i / 4].states + 1);
            anticausal[k] = random_below(cases[i / 4].states + 1);
        }
        struct sss *shape = sss_new(n_stages, inputs, outputs, causal, anticausal, NULL);
        float *words = malloc(shape->matrix.n_words * sizeof *words),
              *w = malloc((size_t)m * (size_t)n * sizeof *w);
        for (size_t k = 0; k < shape->matrix.n_words; k++) words[k] = (float)uniform();
        cr_assert_eq(sn_dense(&shape->matrix, words, w, NULL), SN_OK);
        struct sn_fit fit = fit_within(w, m, n, shape->matrix.n_values, 0, NULL);
        cr_expect(fit.error < exact_tolerance, "case %zu: error %g", i, fit.error);
        release(&fit);
        free(words);
        free(w);
        free(shape);
    }
}

Test(sss_fit, slack_is_not_spent_on_rounding_noise)
{
    for (int i = 0; i < 2 * N_EXACT; i++) { /* Given stages, then the search. */
        size_t own;
        const struct exact *e = &exact[i % N_EXACT];
        float *w = exact_matrix(i % N_EXACT, &own);
        struct sn_fit fit = fit_within(w, e->m, e->n, own + own / 2, i < N_EXACT ? e->n_stages : 0,
                                       NULL);
        cr_expect(fit.error < exact_tolerance, "case %d: error %g", i, fit.error);
        cr_expect(fit.matrix->n_values <= own, "case %d: %zu values, %zu suffice", i,
                  fit.matrix->n_values, own);
        release(&fit);
        free(w);
    }
}

/* ---- Against the truncated SVD ---- */

static const int shapes[][2] = { { 48, 40 }, { 90, 20 }, { 20, 90 }, { 1, 50 },
                                 { 50, 1 },  { 1, 1 },   { 2, 3 } };
enum { N_SHAPES = sizeof shapes / sizeof *shapes };
static const double shares[] = { .02, .05, .1, .2, .3, .5, 1 };
enum { N_SHARES = sizeof shares / sizeof *shares };

/* SN_QUICK, since more effort only adds candidates to the same choice. */
Test(sss_fit, not_worse_than_truncated_svd_of_as_many_values)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < N_SHAPES; i++) {
            int m = shapes[i][0], n = shapes[i][1];
            float *w = make(kind, m, n);
            double *s = singular_values(w, m, n);
            for (int j = 0; j < N_SHARES; j++) {
                size_t values = (size_t)(shares[j] * m * n);
                if (!values) continue;
                struct sn_fit_options options = { .budget_bytes = 4 * values, .effort = SN_QUICK };
                struct sn_fit fit = fit_with(w, m, n, &options);
                double svd = truncation_error(s, m < n ? m : n, (int)(values / (size_t)(m + n)));
                /* 1e-6: float32 rounds the values by 6e-8, their products and sums by a few times
                 * that. */
                cr_expect(fit.error <= svd + 1e-6, "%s %d x %d at %g: %g, svd %g", kind_names[kind],
                          m, n, shares[j], fit.error, svd);
                release(&fit);
            }
            free(w);
            free(s);
        }
}

Test(sss_fit, ten_times_better_than_svd_on_low_rank_hankel_blocks)
{
    static const enum kind kinds[] = { CAUCHY, EXPONENTIAL };
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++) {
            int m = 96, n = j ? 96 : 72;
            size_t values = (size_t)(0.3 * m * n);
            float *w = make(kinds[i], m, n);
            double *s = singular_values(w, m, n);
            struct sn_fit fit = fit_within(w, m, n, values, 0, NULL);
            double svd = truncation_error(s, n, (int)(values / (size_t)(m + n)));
            cr_expect(fit.error < svd / 10, "%s %d x %d: %g, svd %g", kind_names[kinds[i]], m, n,
                      fit.error, svd);
            release(&fit);
            free(w);
            free(s);
        }
}

/* A matrix too large for all numbers of stages to be tried: those tried come within 3% of the best
 * number. */
Test(sss_fit, search_finds_a_good_number_of_stages)
{
    enum { M = 80, N = 90 };
    float *w = make(CAUCHY, M, N);
    for (int j = 1; j < 4; j++) {
        size_t values = (size_t)(shares[j] * M * N);
        struct sn_fit fit = fit_within(w, M, N, values, 0, NULL);
        double lowest = 1;
        for (int n_stages = 2; n_stages <= 80; n_stages++) {
            if ((size_t)((M / n_stages + 1) * (N / n_stages + 1) * n_stages) > values) continue;
            struct sn_fit other = fit_within(w, M, N, values, n_stages, NULL);
            lowest = fmin(lowest, other.error);
            release(&other);
        }
        cr_expect(fit.error < 1.03 * lowest, "share %g: %g, best %g", shares[j], fit.error, lowest);
        release(&fit);
    }
    free(w);
}

/* The inverse of a tridiagonal matrix has Hankel blocks of rank 1 (Gantmacher and Krein), so that
 * 2x2 segments need 7 values a row; here (T^-1)_ij = min(i,j) (n+1 - max(i,j)) / (n+1) for the
 * second difference matrix T. */
Test(sss_fit, inverse_of_a_tridiagonal_matrix_takes_seven_values_a_row)
{
    enum { N = 64 };
    float *w = allocate(N * N, sizeof *w);
    for (int i = 1; i <= N; i++)
        for (int j = 1; j <= N; j++)
            w[(i - 1) * N + j - 1] = (float)((i < j ? i : j) * (N + 1. - (i > j ? i : j))
                                             / (N + 1));
    struct sn_fit fit = fit_within(w, N, N, 7 * N, 0, NULL);
    cr_expect(fit.error < exact_tolerance, "error %g", fit.error);
    release(&fit);
    free(w);
}

/* ---- 300 x 300 ---- */

enum { SIZE = 300 };

static double *uniform_matrix(int m, int n)
{
    double *a = allocate((size_t)m * (size_t)n, sizeof *a);
    for (int i = 0; i < m * n; i++) a[i] = uniform();
    return a;
}

/* a b for a with SIZE rows, b with SIZE columns; frees both. */
static double *product(double *a, double *b, int inner)
{
    double *c = allocate(SIZE * SIZE, sizeof *c);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIZE, SIZE, inner, 1, a, inner, b, SIZE,
                0, c, SIZE);
    free(a);
    free(b);
    return c;
}

static float *rounded(double *a)
{
    float *w = allocate(SIZE * SIZE, sizeof *w);
    for (int i = 0; i < SIZE * SIZE; i++) w[i] = (float)a[i];
    free(a);
    return w;
}

/* Values in +-1 on 2 diagonals on either side; the diagonal of a dominant one exceeds the rest of
 * its row by 0.01. */
static double *pentadiagonal(int dominant)
{
    double *a = allocate(SIZE * SIZE, sizeof *a);
    for (int i = 0; i < SIZE; i++) {
        double sum = 0.01;
        for (int j = i - 2; j <= i + 2; j++)
            if (j >= 0 && j < SIZE)
                a[i * SIZE + j] = uniform(), sum += j == i ? 0 : fabs(a[i * SIZE + j]);
        if (dominant) a[i * SIZE + i] = sum;
    }
    return a;
}

static double *inverse_of_pentadiagonal(void)
{
    double *a = pentadiagonal(1), *b = allocate(SIZE * SIZE, sizeof *b);
    lapack_int pivots[SIZE];
    for (int i = 0; i < SIZE; i++) b[i * SIZE + i] = 1;
    cr_assert_eq(LAPACKE_dgesv(LAPACK_ROW_MAJOR, SIZE, SIZE, a, SIZE, pivots, b, SIZE), 0);
    free(a);
    return b;
}

static double *band_plus_low_rank(void)
{
    double *band = pentadiagonal(0),
           *sum = product(uniform_matrix(SIZE, 1), uniform_matrix(1, SIZE), 1);
    for (int i = 0; i < SIZE * SIZE; i++) sum[i] += band[i] + 1e-3 * uniform();
    free(band);
    return sum;
}

static double *toeplitz(double (*symbol)(int distance))
{
    double *a = allocate(SIZE * SIZE, sizeof *a);
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) a[i * SIZE + j] = symbol(abs(i - j));
    return a;
}

static double hyperbola(int distance) { return 1. / (1 + distance); }
static double decay(int distance) { return exp(-distance / 10.); }

static double *regular_cauchy(void)
{
    double *a = allocate(SIZE * SIZE, sizeof *a);
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) a[i * SIZE + j] = 1 / (i - j + 0.3183);
    return a;
}

static double *hyperbolic_toeplitz(void) { return toeplitz(hyperbola); }
static double *exponential_toeplitz(void) { return toeplitz(decay); }

/* All at a share of 0.1: there the results are 100 times better than the truncated SVD at least. */
Test(sss_fit, ten_times_better_than_svd_at_size_300)
{
    enum { VALUES = SIZE * SIZE / 10 };
    static const struct {
        const char *name;
        double *(*make)(void);
    } cases[] = {
        { "band plus low rank plus noise", band_plus_low_rank },
        { "Cauchy", regular_cauchy },
        { "1/(1+|i-j|)", hyperbolic_toeplitz },
        { "exp(-|i-j|/10)", exponential_toeplitz },
        { "inverse of a band", inverse_of_pentadiagonal },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        random_state = 2463534242u + i;
        float *w = rounded(cases[i].make());
        double *s = singular_values(w, SIZE, SIZE),
               svd = truncation_error(s, SIZE, VALUES / (2 * SIZE));
        struct sn_fit fit = fit_within(w, SIZE, SIZE, VALUES, 0, NULL);
        cr_expect(fit.error < svd / 10, "%s: %g, svd %g", cases[i].name, fit.error, svd);
        release(&fit);
        free(w);
        free(s);
    }
}

static double *random_matrix(void) { return uniform_matrix(SIZE, SIZE); }

/* U V^T with the singular vectors of a random matrix. */
static double *orthogonal(void)
{
    double *a = uniform_matrix(SIZE, SIZE), s[SIZE];
    double *u = allocate(SIZE * SIZE, sizeof *u), *vt = allocate(SIZE * SIZE, sizeof *vt);
    cr_assert_eq(LAPACKE_dgesdd(LAPACK_ROW_MAJOR, 'A', SIZE, SIZE, a, SIZE, s, u, SIZE, vt, SIZE),
                 0);
    free(a);
    return product(u, vt, SIZE);
}

/* Of rank 100. */
static double *low_rank(void)
{
    return product(uniform_matrix(SIZE, 100), uniform_matrix(100, SIZE), 100);
}

static double *random_toeplitz(void)
{
    double *a = allocate(SIZE * SIZE, sizeof *a), diagonals[2 * SIZE - 1];
    for (int k = 0; k < 2 * SIZE - 1; k++) diagonals[k] = uniform();
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) a[i * SIZE + j] = diagonals[i - j + SIZE - 1];
    return a;
}

static double *random_cauchy(void)
{
    double *a = allocate(SIZE * SIZE, sizeof *a), x[SIZE], y[SIZE];
    for (int i = 0; i < SIZE; i++) x[i] = uniform(), y[i] = uniform();
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) a[i * SIZE + j] = 1 / (x[i] + y[j]);
    return a;
}

/* One entry in ten, in 0..1. */
static double *sparse(void)
{
    double *a = uniform_matrix(SIZE, SIZE);
    for (int i = 0; i < SIZE * SIZE; i++) a[i] = a[i] > 0.8 ? (a[i] - 0.8) * 5 : 0;
    return a;
}

static double *sparse_product(void)
{
    double *a = product(sparse(), sparse(), SIZE);
    return product(a, sparse(), SIZE);
}

/* The classes of matrices on which MatthiasKi/structurednets compares its approximators,
 * testmatrices/ there, but for the hierarchical ones, those with a linear spectrum, and the
 * semiseparable ones, which follow. SN_QUICK, as above. */
Test(sss_fit, not_worse_than_svd_on_the_matrices_of_structurednets)
{
    static const struct {
        const char *name;
        double *(*make)(void);
    } cases[] = {
        { "random", random_matrix }, { "orthogonal", orthogonal },
        { "low rank", low_rank },    { "Toeplitz", random_toeplitz },
        { "Cauchy", random_cauchy }, { "sparse product", sparse_product },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        random_state = 362436069u + i;
        float *w = rounded(cases[i].make());
        double *s = singular_values(w, SIZE, SIZE);
        for (int j = 0; shares[j] < 1; j++) {
            size_t values = (size_t)(shares[j] * SIZE * SIZE);
            struct sn_fit_options options = { .budget_bytes = 4 * values, .effort = SN_QUICK };
            struct sn_fit fit = fit_with(w, SIZE, SIZE, &options);
            double svd = truncation_error(s, SIZE, (int)(values / (2 * SIZE)));
            cr_expect(fit.error <= svd + 1e-6, "%s at %g: %g, svd %g", cases[i].name, shares[j],
                      fit.error, svd);
            release(&fit);
        }
        free(w);
        free(s);
    }
}

/* Their semiseparable class: 30 segments of 10, at most 5 states at every boundary. It takes 10,200
 * values, a share of 0.113; below that the truncated SVD is far behind. */
Test(sss_fit, semiseparable_matrix_of_structurednets_is_recovered)
{
    int states[31] = { 0 };
    for (int k = 1; k < 30; k++) states[k] = 5;
    random_state = 521288629;
    float *w = sss_matrix(SIZE, SIZE, 30, states, states);
    double *s = singular_values(w, SIZE, SIZE);
    for (int j = 0; shares[j] < 1; j++) {
        size_t values = (size_t)(shares[j] * SIZE * SIZE);
        struct sn_fit_options options = { .budget_bytes = 4 * values, .effort = SN_QUICK };
        struct sn_fit fit = fit_with(w, SIZE, SIZE, &options);
        double svd = truncation_error(s, SIZE, (int)(values / (2 * SIZE)));
        double most = values < 10200 ? svd + 1e-6 : exact_tolerance;
        cr_expect(fit.error <= most, "at %g: %g, svd %g", shares[j], fit.error, svd);
        release(&fit);
    }
    free(w);
    free(s);
}

/* Diagonal blocks of unequal widths, a background of rank 2 and noise, in the values that the
 * blocks' own segments take with two states each: at least twice as good as equal segments, any
 * number of them. */
Test(sss_fit, cuts_find_unequal_blocks)
{
    enum { N = 120, VALUES = 5100 };
    static const int widths[] = { 7, 31, 12, 50, 20 };
    double u[2][N], v[2][N];
    float *w = allocate(N * N, sizeof *w);
    random_state = 123456789;
    for (int i = 0; i < 2 * N; i++) u[i / N][i % N] = uniform(), v[i / N][i % N] = uniform();
    for (int k = 0, end = widths[0], i = 0; i < N; i++) {
        if (i == end) end += widths[++k];
        for (int j = 0; j < N; j++) {
            double block = j < end && j >= end - widths[k] ? uniform() : 0;
            w[i * N + j] = (float)(block + 0.3 * (u[0][i] * v[0][j] + u[1][i] * v[1][j])
                                   + 0.01 * uniform());
        }
    }
    struct sn_fit fit = fit_within(w, N, N, VALUES, 0, NULL);
    for (int n_stages = 3; n_stages <= 24; n_stages++) { /* Two diagonal blocks take 7200 values. */
        struct sn_fit equal = fit_within(w, N, N, VALUES, n_stages, NULL);
        cr_expect(fit.error < equal.error / 2, "error %g, of %d equal segments %g", fit.error,
                  n_stages, equal.error);
        release(&equal);
    }
    release(&fit);
    free(w);
}

/* ---- Budgets ---- */

Test(sss_fit, tiny_budgets_keep_something)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < N_SHAPES; i++) {
            int m = shapes[i][0], n = shapes[i][1];
            float *w = make(kind, m, n);
            for (size_t values = 1; values < (size_t)(m + n); values += 1 + values / 2) {
                struct sn_fit_options options = { .budget_bytes = 4 * values, .effort = SN_QUICK };
                struct sn_fit fit = fit_with(w, m, n, &options);
                cr_expect(fit.error < 1, "%s %d x %d in %zu: error %g", kind_names[kind], m, n,
                          values, fit.error);
                release(&fit);
            }
            free(w);
        }
}

/* 12 x 11 entries of about 1 in a matrix of 1e-3: rank one of that block takes 23 values and leaves
 * the noise in it, 6% of the norm, and what is outside, 4%. Any other window of 23 values misses a
 * row or a column at least, 1/sqrt(12). */
Test(sss_fit, small_budget_finds_the_window_that_matters)
{
    int m = 60, n = 55;
    float *w = make(SPIKE, m, n);
    struct sn_fit fit = fit_within(w, m, n, 23, 0, NULL);
    cr_expect(fit.error < 0.1, "error %g", fit.error);
    release(&fit);
    free(w);
}

Test(sss_fit, given_stages_are_kept)
{
    float *w = make(CAUCHY, 45, 50);
    for (int n_stages = 1; n_stages <= 12; n_stages++) {
        struct sn_fit fit = fit_within(w, 45, 50, 45 * 50, n_stages, NULL);
        const struct sss *shape = (const struct sss *)fit.matrix;
        cr_expect_eq(shape->n_stages, n_stages);
        for (int k = 0; k < shape->n_stages; k++) {
            cr_expect_eq(shape->inputs[k], part(50, n_stages, k));
            cr_expect_eq(shape->outputs[k], part(45, n_stages, k));
        }
        release(&fit);
    }
    free(w);
}

Test(sss_fit, zero_matrix_has_error_zero)
{
    static float zeros[12 * 9];
    for (size_t values = 1; values <= 12 * 9; values += 7)
        for (int n_stages = 0; n_stages <= 3; n_stages += 3) {
            if (n_stages && values < 12 * 9 / 3)
                continue; /* Three diagonal blocks need 36 values. */
            struct sn_fit fit = fit_within(zeros, 12, 9, values, n_stages, NULL);
            cr_expect_eq(fit.error, 0);
            cr_expect(fit.matrix->n_values > 0); /* Something to train, and to store. */
            release(&fit);
        }
}

/* ---- The error and the values ---- */

static void watch_half_way(void *context, double done, double error)
{
    if (done == 0.5) *(double *)context = error;
}

/* At the end of the search, half way, progress reports the error that the discarded singular values
 * foretell; the result has the one measured, without refinement in an SN_QUICK fit. 1e-4 of it,
 * plus 1e-6 for the rounding to float32 where the error is that small. */
Test(sss_fit, discarded_singular_values_foretell_the_error)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int n_stages = 0; n_stages <= 12; n_stages += 6)
            for (int j = 2; j < N_SHARES; j++) {
                double foretold = -1;
                float *w = make(kind, 50, 60);
                size_t values = (size_t)(shares[j] * 50 * 60)
                    + 300; /* Six diagonal blocks take 500. */
                struct sn_fit_options options = { .budget_bytes = 4 * values,
                                                  .settings = SETTING("stages", n_stages),
                                                  .effort = SN_QUICK,
                                                  .progress = watch_half_way,
                                                  .context = &foretold };
                struct sn_fit fit = fit_with(w, 50, 60, &options);
                cr_expect(fabs(foretold - fit.error) <= 1e-4 * fit.error + 1e-6,
                          "%s, %d stages, %g: %g, %g", kind_names[kind], n_stages, shares[j],
                          foretold, fit.error);
                release(&fit);
                free(w);
            }
}

Test(sss_fit, progress_rises_to_one_and_error_falls)
{
    for (int n_stages = 0; n_stages <= 6; n_stages += 6) {
        struct seen seen;
        float *w = make(CAUCHY, 40, 60);
        struct sn_fit fit = fit_within(w, 40, 60, 500, n_stages, &seen);
        cr_expect(seen.orderly);
        cr_expect_eq(seen.done, 1);
        cr_expect(seen.calls >= (n_stages ? 1 : 10));
        release(&fit);
        free(w);
    }
}

static void watch_orders(void *context, double done, double error)
{
    (void)error;
    *(int *)context += done >= 0.8 && done < 1;
}

/* Every round of the search for orders reports; two without a gain end it. */
Test(sss_fit, progress_goes_on_in_the_search_for_orders)
{
    enum { N = 60 };
    int calls = 0;
    float *w = banded(N, 4, 1e-3, 1);
    struct sn_fit_options options = { .budget_bytes = 4 * N * N / 3,
                                      .progress = watch_orders,
                                      .context = &calls };
    struct sn_fit fit = fit_with(w, N, N, &options);
    cr_expect(calls >= 2, "%d calls", calls);
    release(&fit);
    free(w);
}

Test(sss_fit, same_input_gives_the_same_words)
{
    float *w = make(BLOCK, 60, 50);
    struct sn_fit one = fit_within(w, 60, 50, 900, 0, NULL),
                  two = fit_within(w, 60, 50, 900, 0, NULL);
    cr_assert_eq(one.matrix->n_words, two.matrix->n_words);
    cr_expect_arr_eq(one.words, two.words, one.matrix->n_words * sizeof(float));
    release(&one);
    release(&two);
    free(w);
}

/* Rank r of a random matrix as stages (n, 0), (0, m): B = T V^T and C = U S T^-1, with T^2 within a
 * factor of two of S. 1e-3: room for the orthonormality of U and V after rounding. */
Test(sss_fit, both_sides_of_a_state_are_of_like_size)
{
    int m = 48, n = 40;
    float *w = make(NOISE, m, n);
    for (int i = 0; i < m * n; i++) w[i] *= 1000;
    struct sn_fit fit = fit_within(w, m, n, 5 * (48 + 40), 0, NULL);
    const struct sss *shape = (const struct sss *)fit.matrix;
    cr_assert(shape->n_stages == 2 && shape->causal[1] == 5 && shape->inputs[0] == n);
    const float *b = sss_stage_at(shape, fit.words, 0).b, *c = sss_stage_at(shape, fit.words, 1).c;
    for (int s = 0; s < 5; s++) {
        double in = 0, out = 0;
        for (int j = 0; j < n; j++) in += (double)b[s * n + j] * (double)b[s * n + j];
        for (int i = 0; i < m; i++) out += (double)c[i * 5 + s] * (double)c[i * 5 + s];
        double ratio = sqrt(in / out);
        cr_expect(ratio > 0.5 / 1.001 && ratio < 2 * 1.001, "state %d: %g", s, ratio);
    }
    release(&fit);
    free(w);
}

/* ---- Refined, weighted, reordered ---- */

Test(sss_fit, shuffled_band_comes_back_in_order)
{
    enum { N = 200 };
    struct sn_fit_options options = { .budget_bytes = 4 * N * N / 4 };
    float *w = banded(N, 4, 1e-3, 1);
    struct sn_fit fit = fit_with(w, N, N, &options);
    options.effort = SN_QUICK; /* Without orders. */
    struct sn_fit unordered = fit_with(w, N, N, &options);
    cr_expect_eq(((const struct sss *)fit.matrix)->order, SSS_ORDER_BOTH);
    cr_expect_eq(((const struct sss *)unordered.matrix)->order, SSS_ORDER_NONE);
    cr_expect(fit.error < unordered.error / 5, "error %g, unordered %g", fit.error,
              unordered.error);
    release(&fit);
    release(&unordered);
    free(w);
}

/* Three diagonal blocks, of which every block's first column (row) lies in the next: only a cycle
 * of moves mends it. */
Test(sss_fit, columns_and_rows_find_their_stages)
{
    enum { N = 9 };
    static const int sizes[] = { 3, 3, 3 }, none[] = { 0, 0 };
    static const uint32_t expected[] = { 1, 2, 3, 4, 5, 6, 0, 7, 8 };
    for (int by_rows = 0; by_rows < 2; by_rows++) {
        float w[N * N] = { 0 }, words[27] = { 0 };
        uint32_t order[N];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                int block = j % 3 ? j / 3 : (j / 3 + 2) % 3;
                if (i / 3 == block) w[by_rows ? j * N + i : i * N + j] = (float)(1 + i + j);
            }
        struct sss *shape = sss_new(3, sizes, sizes, none, none, NULL);
        cr_assert_eq(sss_reassign(shape, words, w, by_rows, order, NULL), SN_OK);
        for (int j = 0; j < N; j++)
            cr_expect_eq(order[j], expected[j], "%d: %u, expected %u", j, order[j], expected[j]);
        free(shape);
    }
}

/* Samples x = z A + z' with a random A of rank 5, so that a few directions have most of the
 * variance. */
static struct sn_weighting low_dimensional(int n, int n_samples)
{
    float *x = allocate((size_t)n_samples * (size_t)n, sizeof *x),
          *a = allocate(5 * (size_t)n, sizeof *a);
    struct sn_weighting weighting;
    struct sn_error error = { 0 };
    random_state = 4711;
    for (int i = 0; i < 5 * n; i++) a[i] = (float)(2 * uniform());
    for (int i = 0; i < n_samples; i++)
        for (int k = 0; k < 6; k++) {
            double z = uniform();
            for (int j = 0; j < n; j++)
                x[i * n + j] += (float)(k < 5 ? z * (double)a[k * n + j] : 0.3 * uniform());
        }
    cr_assert_eq(sn_weighting_new(NULL, 0, x, n_samples, n, 0.1, 0, &weighting, &error), SN_OK,
                 "%s", error.message);
    free(x);
    free(a);
    return weighting;
}

Test(sss_fit, weighted_error_is_not_above_that_of_weighted_low_rank)
{
    for (int kind = 0; kind < N_KINDS; kind++)
        for (int i = 0; i < 3; i++) {
            int m = shapes[i][0], n = shapes[i][1];
            float *w = make(kind, m, n), *wl = allocate((size_t)m * (size_t)n, sizeof *wl);
            struct sn_weighting weighting = low_dimensional(n, 3 * n);
            float *root;
            cr_assert_eq(sn_weighting_root(&weighting, &root, NULL), SN_OK);
            for (int row = 0; row < m; row++)
                for (int k = 0; k < n; k++)
                    for (int j = k; j < n; j++) wl[row * n + k] += w[row * n + j] * root[j * n + k];
            double *s = singular_values(wl, m, n);
            for (int j = 0; j < N_SHARES; j += 2)
                for (int effort = SN_NORMAL; effort <= SN_QUICK; effort++) {
                    size_t values = (size_t)(shares[j] * m * n);
                    struct sn_fit_options options = { .budget_bytes = 4 * values,
                                                      .weighting = &weighting,
                                                      .effort = effort };
                    struct sn_fit fit = fit_with(w, m, n, &options);
                    double svd = truncation_error(s, m < n ? m : n,
                                                  (int)(values / (size_t)(m + n)));
                    /* 2e-6: W L is rounded here too, and amplifies what float32 rounds in W. */
                    cr_expect(fit.weighted_error <= svd + 2e-6, "%s %d x %d at %g: %g, svd %g",
                              kind_names[kind], m, n, shares[j], fit.weighted_error, svd);
                    release(&fit);
                }
            sn_weighting_free(&weighting);
            free(root);
            free(s);
            free(wl);
            free(w);
        }
}

/* SN_QUICK does not refine. With the weighting the sweeps are off by far, so that the refinement
 * takes off a twentieth at least; without one it may find little. */
Test(sss_fit, refinement_lowers_the_error)
{
    enum { N = 60 };
    struct sn_weighting weighting = low_dimensional(N, 3 * N);
    float *w = make(CAUCHY, N, N);
    for (int weighted = 0; weighted < 2; weighted++) {
        struct sn_fit_options options = { .budget_bytes = 4 * N * N / 4,
                                          .weighting = weighted ? &weighting : NULL,
                                          .effort = SN_QUICK,
                                          .settings = SETTING("stages", 6) };
        struct sn_fit swept = fit_with(w, N, N, &options);
        options.effort = SN_NORMAL;
        struct sn_fit refined = fit_with(w, N, N, &options);
        cr_expect(refined.weighted_error < (weighted ? 0.95 : 1) * swept.weighted_error,
                  "%g, swept %g", refined.weighted_error, swept.weighted_error);
        cr_expect_eq(refined.matrix->n_words, swept.matrix->n_words);
        release(&swept);
        release(&refined);
    }
    sn_weighting_free(&weighting);
    free(w);
}

Test(sss_fit, low_rank_alone_is_two_stages)
{
    enum { M = 48, N = 40 };
    float *w = make(EXPONENTIAL, M, N);
    struct sn_weighting weighting = low_dimensional(N, 3 * N);
    for (int weighted = 0; weighted < 2; weighted++) {
        struct sn_fit_options options = { .budget_bytes = 4 * 5 * (M + N) + 40,
                                          .weighting = weighted ? &weighting : NULL };
        struct sn_fit fit = fit_as("lowrank", w, M, N, &options);
        const struct sss *shape = (const struct sss *)fit.matrix;
        cr_expect(shape->n_stages == 2 && shape->causal[1] == 5 && shape->inputs[0] == N
                  && shape->outputs[1] == M);
        release(&fit);
        options.budget_bytes = 4 * (M + N) - 4; /* Below rank one. */
        fit = fit_as("lowrank", w, M, N, &options);
        cr_expect(fit.error < 1, "error %g", fit.error);
        release(&fit);
    }
    sn_weighting_free(&weighting);
    free(w);
}

Test(sss_fit, stop_ends_with_the_best_so_far)
{
    volatile sig_atomic_t stop = 1;
    float *w = make(NOISE, 48, 40);
    double *s = singular_values(w, 48, 40);
    struct seen seen = { .orderly = 1 };
    struct sn_fit_options options = { .budget_bytes = 4 * 400,
                                      .stop = &stop,
                                      .effort = SN_THOROUGH,
                                      .progress = watch,
                                      .context = &seen };
    struct sn_fit fit = fit_with(w, 48, 40, &options);
    cr_expect(seen.orderly && seen.calls <= 4,
              "%d calls; the search alone reports each number of stages", seen.calls);
    cr_expect(fit.error <= truncation_error(s, 40, 400 / 88) + 1e-6);
    release(&fit);
    free(s);
    free(w);
}

/* ---- Bad input ---- */

static void expect_refused(const float *w, int m, int n, size_t bytes, int n_stages,
                           const char *message)
{
    struct sn_fit_options options = { .budget_bytes = bytes,
                                      .settings = SETTING("stages", n_stages) };
    struct sn_fit fit = { 0 };
    struct sn_error error = { 0 };
    cr_expect_eq(sn_fit(sn_fit_type_find("sss"), w, m, n, &options, &fit, &error), SN_BAD_INPUT);
    cr_expect_str_eq(error.message, message);
    cr_expect_null(fit.matrix);
    cr_expect_null(fit.words);
}

Test(sss_fit, bad_input_is_named)
{
    float *w = make(NOISE, 6, 8);
    expect_refused(w, 6, 8, 3, 0, "budget of 3 bytes cannot hold a single value");
    expect_refused(w, 6, 8, 0, 2, "budget of 0 bytes cannot hold a single value");
    expect_refused(w, 0, 8, 100, 0, "expected a matrix, found 0 x 8");
    expect_refused(w, 6, 8, 100, -1, "stages: expected a whole number from 1 to 1000000, found -1");
    expect_refused(w, 6, 8, 100, 15, "stages: expected at most 14, found 15");
    expect_refused(w, 6, 8, 95, 2,
                   "the diagonal blocks of 2 stages take 96 bytes, the budget is 95");
    w[2 * 8 + 5] = NAN;
    expect_refused(w, 6, 8, 100, 0, "row 2, column 5: found nan, expected a finite number");
    w[2 * 8 + 5] = -INFINITY;
    expect_refused(w, 6, 8, 100, 0, "row 2, column 5: found -inf, expected a finite number");
    free(w);
}
