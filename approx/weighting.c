#include "weighting.h"
#include "panels.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first row or column that is not finite, as an error. */
static enum sn_status check_finite(const float *x, size_t n_samples, size_t n,
                                   struct sn_error *error)
{
    for (size_t i = 0; i < n_samples * n; i++)
        if (!isfinite(x[i]))
            return sn_fail(error, SN_BAD_INPUT,
                           "features: row %zu, column %zu: found %g, expected a finite number",
                           i / n, i % n, (double)x[i]);
    return SN_OK;
}

/* moment += factor (X - mean)^T (X - mean), lower triangle. mean (n) is written. 0 when memory runs
 * out. */
static int add_covariance(const float *x, size_t rows, size_t n, double factor, double *moment,
                          float *mean)
{
    double *centred = malloc((rows * n + 1) * sizeof *centred);
    if (!centred) return 0;
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without w its rows are 0. */
        for (size_t i = 0; i < rows; i++) sum += (double)x[i * n + j];
        mean[j] = (float)(sum / (double)rows);
        for (size_t i = 0; i < rows; i++)
            centred[i * n + j] = (double)x[i * n + j] - sum / (double)rows;
    }
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)n, (int)rows, factor, centred, (int)n,
                1, moment, (int)n);
    free(centred);
    return 1;
}

/* sum of (x_ij - mean_j)^2, the trace of the above with a factor of 1. */
static double spread(const float *x, size_t rows, size_t n)
{
    double trace = 0;
    for (size_t j = 0; j < n; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < rows; i++) sum += (double)x[i * n + j];
        for (size_t i = 0; i < rows; i++)
            squares += pow((double)x[i * n + j] - sum / (double)rows, 2);
        trace += squares;
    }
    return trace;
}

/* M, lower triangle. Equal samples have no covariance to shrink; those that do not differ but by
 * rounding neither. */
static int add_moment(const float *w, int m, const float *x, int n_samples, size_t n,
                      const struct sn_weighting *weighting, double *moment)
{
    double samples = spread(x, (size_t)n_samples, n), rows = w ? spread(w, (size_t)m, n) : 0;
    double s = samples > 0 ? weighting->shrinkage : 1, t = rows > 0 ? weighting->alignment : 0;
    /* The mean of W's rows is scratch, which that of the samples replaces. */
    if (t > 0
        && !add_covariance(w, (size_t)m, n, s * t * (double)n / rows, moment, weighting->mean))
        return 0;
    if (!add_covariance(x, (size_t)n_samples, n, s < 1 ? (1 - s) * (double)n / samples : 0, moment,
                        weighting->mean))
        return 0;
    for (size_t j = 0; j < n; j++) moment[j * n + j] += s * (1 - t);
    return 1;
}

enum sn_status sn_weighting_new(const float *w, int m, const float *x, int n_samples, int n,
                                double shrinkage, double alignment, struct sn_weighting *weighting,
                                struct sn_error *error)
{
    size_t count = (size_t)n;
    *weighting = (struct sn_weighting){ .n = n, .shrinkage = shrinkage, .alignment = alignment };
    enum sn_status status = check_finite(x, (size_t)n_samples, count, error);
    if (status) return status;
    double *moment = calloc(count * count, sizeof *moment);
    weighting->mean = malloc(count * sizeof(float));
    weighting->moment = malloc(count * count * sizeof(float));
    if (!moment || !weighting->mean || !weighting->moment
        || !add_moment(w, m, x, n_samples, count, weighting, moment))
        status = sn_no_memory(error, "the covariance of %d inputs", n);
    for (size_t i = 0; !status && i < count; i++)
        for (size_t j = 0; j <= i; j++)
            weighting->moment[i * count + j] = weighting->moment[j * count + i] = (float)
                moment[i * count + j];
    free(moment);
    if (status) sn_weighting_free(weighting);
    return status;
}

void sn_weighting_free(struct sn_weighting *weighting)
{
    free(weighting->mean);
    free(weighting->moment);
    memset(weighting, 0, sizeof *weighting);
}

enum sn_status sn_weighting_root(const struct sn_weighting *weighting, float **root,
                                 struct sn_error *error)
{
    size_t n = (size_t)weighting->n;
    double *exact = malloc(n * n * sizeof *exact);
    enum sn_status status = SN_OK;
    *root = malloc(n * n * sizeof **root);
    for (size_t i = 0; exact && i < n * n; i++) exact[i] = (double)weighting->moment[i];
    if (!exact || !*root) status = sn_no_memory(error, "the covariance of %zu inputs", n);
    /* Lower in row-major is upper in column-major. */
    else if (LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)n, exact, (int)n))
        status = sn_fail(error, SN_BAD_INPUT,
                         "features: the shrunk covariance is not positive definite");
    for (size_t i = 0; !status && i < n; i++)
        for (size_t j = 0; j < n; j++) (*root)[i * n + j] = j <= i ? (float)exact[i * n + j] : 0;
    free(exact);
    if (!status) return SN_OK;
    free(*root);
    *root = NULL;
    return status;
}

/* The entry (i, j), i >= j, of a lower triangle in LAPACK's rectangular full packed format (TRANSR
 * = 'N', UPLO = 'L'): the first half of the columns stands below the transposed triangle of the
 * others. */
static size_t packed_index(size_t n, size_t i, size_t j)
{
    size_t even = n % 2 == 0, half = n - n / 2, rows = n + even;
    return j < half ? i + even + j * rows : j - half + (i - half + 1 - even) * rows;
}

size_t sn_filter_size(int n) { return (size_t)n * ((size_t)n + 1) / 2; }

void sn_filter_set(const struct sn_weighting *weighting, float penalty, float *filter)
{
    size_t n = (size_t)weighting->n;
    const float *moment = weighting->moment;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            filter[packed_index(n, i, j)] = moment[i * n + j] / sqrtf(moment[i * n + i])
                    / sqrtf(moment[j * n + j])
                + (i == j ? penalty : 0);
    LAPACKE_spftrf_work(LAPACK_COL_MAJOR, 'N', 'L', (int)n, filter);
}

/* What multiplies the rows of a matrix, by panels. */
struct lines {
    const float *matrix;
    int n, lines, transposed;
    const float *x;
    float *out;
};

/* Row-major is column-major of the transpose. */
static void filter_panel(void *context, size_t first, size_t count)
{
    const struct lines *p = context;
    int transposed = p->transposed, rows = transposed ? (int)count : p->n;
    float *x = p->out + first * (transposed ? 1 : (size_t)p->n);
    for (int step = 0; step < 2; step++)
        LAPACKE_stfsm_work(LAPACK_COL_MAJOR, 'N', transposed ? 'R' : 'L', 'L',
                           (step == 0) == transposed ? 'T' : 'N', 'N', rows,
                           transposed ? p->n : (int)count, 1, p->matrix, x,
                           transposed ? p->lines : p->n);
}

void sn_filter_apply(const float *filter, int n, float *x, int lines, int transposed)
{
    struct lines p = { filter, n, lines, transposed, NULL, x };
    sn_panels((size_t)lines, (double)lines * n * n, filter_panel, &p);
}

static void multiply_panel(void *context, size_t first, size_t count)
{
    const struct lines *p = context;
    int n = p->n;
    size_t at = first * (size_t)n;
    cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, (int)count, n, 1, p->matrix, n, p->x + at, n,
                0, p->out + at, n);
}

void sn_weighting_apply(const struct sn_weighting *weighting, const float *x, int rows, float *out)
{
    int n = weighting->n;
    struct lines p = { weighting->moment, n, rows, 0, x, out };
    sn_panels((size_t)rows, (double)rows * n * n, multiply_panel, &p);
}

enum { BATCH = 64 }; /* rows at a time */

/* ||(W - What) L||_F^2 with what, or ||W L||_F^2 without, L = I without a weighting. a and b are
 * scratch of BATCH x n. */
static double weighted_energy(const float *w, const float *what, int m, int n,
                              const struct sn_weighting *weighting, float *a, float *b)
{
    double sum = 0;
    for (int first = 0; first < m; first += BATCH) {
        int rows = m - first < BATCH ? m - first : BATCH;
        size_t start = (size_t)first * (size_t)n, count = (size_t)rows * (size_t)n;
        for (size_t i = 0; i < count; i++)
            a[i] = what ? w[start + i] - what[start + i] : w[start + i];
        if (weighting) sn_weighting_apply(weighting, a, rows, b);
        for (size_t i = 0; i < count; i++) sum += (double)a[i] * (double)(weighting ? b[i] : a[i]);
    }
    return fmax(0, sum);
}

double sn_weighted_error(const float *w, const float *what, int m, int n,
                         const struct sn_weighting *weighting, struct sn_error *error)
{
    size_t count = BATCH * (size_t)n;
    float *a = malloc(2 * count * sizeof *a);
    if (!a) {
        sn_no_memory(error, "%zu entries", 2 * count);
        return -1;
    }
    double norm = weighted_energy(w, NULL, m, n, weighting, a, a + count);
    double left = weighted_energy(w, what, m, n, weighting, a, a + count);
    free(a);
    return norm > 0 ? sqrt(left / norm) : left > 0;
}
