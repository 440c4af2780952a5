#include "weighting.h"

#include "entries.h"
#include "panels.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum sn_status sn_covariance_new(const float *x, size_t rows, size_t n, struct sn_covariance *c,
                                 struct sn_error *error)
{
    enum { BLOCK = 256 }; /* columns at a time, so that the exact sums take little memory */
    double *centred = malloc((rows * n + 1) * sizeof *centred), trace = 0;
    double *part = malloc((BLOCK * n + 1) * sizeof *part);
    *c = (struct sn_covariance){ .n = n,
                                 .count = rows,
                                 .mean = malloc((n + 1) * sizeof *c->mean),
                                 .values = malloc((n * n + 1) * sizeof *c->values) };
    enum sn_status status = centred && part && c->mean && c->values
        ? SN_OK
        : sn_no_memory(error, "the covariance of %zu inputs", n);
    for (size_t j = 0; !status && j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++) sum += (double)x[i * n + j];
        c->mean[j] = (float)(sum / (double)rows);
        for (size_t i = 0; i < rows; i++) {
            double d = (double)x[i * n + j] - sum / (double)rows;
            centred[i * n + j] = d;
            trace += d * d;
        }
    }
    double scale = trace > 0 ? (double)n / trace : 0;
    for (size_t first = 0; !status && first < n; first += BLOCK) {
        size_t columns = n - first < BLOCK ? n - first : BLOCK;
        cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)(n - first), (int)columns,
                    (int)rows, scale, centred + first, (int)n, centred + first, (int)n, 0, part,
                    (int)columns);
        for (size_t i = first; i < n; i++)
            for (size_t j = first; j <= i && j < first + columns; j++)
                c->values[i * n + j] = (float)part[(i - first) * columns + j - first];
    }
    c->varies = trace > 0;
    c->scale = rows ? trace / (double)n / (double)rows : 0;
    free(centred);
    free(part);
    if (status) sn_covariance_free(c);
    return status;
}

void sn_covariance_free(struct sn_covariance *c)
{
    free(c->mean);
    free(c->values);
    memset(c, 0, sizeof *c);
}

enum sn_status sn_weighting_mix(const struct sn_covariance *samples,
                                const struct sn_covariance *rows, int n, double shrinkage,
                                double alignment, struct sn_weighting *weighting,
                                struct sn_error *error)
{
    size_t count = (size_t)n;
    /* Equal samples have no covariance to shrink; those that do not differ but by rounding
     * neither. */
    double s = samples->varies ? shrinkage : 1, t = rows && rows->varies ? alignment : 0;
    const float *c = samples->values, *v = t > 0 ? rows->values : NULL;
    *weighting = (struct sn_weighting){ .n = n, .shrinkage = shrinkage, .alignment = alignment };
    weighting->mean = malloc(count * sizeof(float));
    weighting->moment = malloc(count * count * sizeof(float));
    if (!weighting->mean || !weighting->moment) {
        sn_weighting_free(weighting);
        return sn_no_memory(error, "the covariance of %d inputs", n);
    }
    memcpy(weighting->mean, samples->mean, count * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= i; j++) {
            double m = i == j ? s * (1 - t) : 0;
            if (s < 1) m += (1 - s) * (double)c[i * count + j];
            if (v) m += s * t * (double)v[i * count + j];
            weighting->moment[i * count + j] = weighting->moment[j * count + i] = (float)m;
        }
    return SN_OK;
}

enum sn_status sn_weighting_new(const float *w, int m, const float *x, int n_samples, int n,
                                double shrinkage, double alignment, struct sn_weighting *weighting,
                                struct sn_error *error)
{
    struct sn_covariance samples = { 0 }, rows = { 0 };
    *weighting = (struct sn_weighting){ 0 };
    enum sn_status status = sn_entries_check("features", x, (size_t)n_samples, (size_t)n, error);
    if (!status) status = sn_covariance_new(x, (size_t)n_samples, (size_t)n, &samples, error);
    if (!status && w && alignment > 0)
        status = sn_covariance_new(w, (size_t)m, (size_t)n, &rows, error);
    if (!status)
        status = sn_weighting_mix(&samples, &rows, n, shrinkage, alignment, weighting, error);
    sn_covariance_free(&samples);
    sn_covariance_free(&rows);
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
    /* Not ssymm, which takes longer to copy M than to multiply by it when rows are few. */
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, n, n, 1, p->x + at, n,
                p->matrix, n, 0, p->out + at, n);
}

void sn_weighting_apply(const struct sn_weighting *weighting, const float *x, int rows, float *out)
{
    int n = weighting->n;
    struct lines p = { weighting->moment, n, rows, 0, x, out };
    sn_panels((size_t)rows, (double)rows * n * n, multiply_panel, &p);
}

enum { BATCH = 256 }; /* rows at a time */

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
