#include "moments.h"
#include "panels.h"
#include "product.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sums */

enum sn_status sn_moments_new(struct sn_moments *moments, size_t n, struct sn_error *error)
{
    *moments = (struct sn_moments){ .n = n,
                                    .sum = calloc(n + 1, sizeof *moments->sum),
                                    .mean = malloc((n + 1) * sizeof *moments->mean),
                                    .products = calloc(n * n + 1, sizeof *moments->products) };
    if (moments->sum && moments->mean && moments->products) return SN_OK;
    sn_moments_free(moments);
    return sn_no_memory(error, "the moments of %zu inputs", n);
}

void sn_moments_free(struct sn_moments *moments)
{
    free(moments->sum);
    free(moments->mean);
    free(moments->products);
    *moments = (struct sn_moments){ 0 };
}

struct added {
    struct sn_moments *moments;
    const float *z;
    size_t count;
};

/* Rows first .. first + rows of the products, up to the diagonal and a little beyond. */
static void add_panel(void *context, size_t first, size_t rows)
{
    enum { BLOCK = 256 };
    const struct added *a = context;
    size_t n = a->moments->n;
    for (size_t i = first, end = first + rows, part; i < end; i += part) {
        part = end - i < BLOCK ? end - i : BLOCK;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)part, (int)(i + part),
                    (int)a->count, 1, a->z + i * a->count, (int)a->count, a->z, (int)a->count, 1,
                    a->moments->products + i * n, (int)n);
    }
}

void sn_moments_add(struct sn_moments *moments, const float *z, size_t count)
{
    struct added added = { moments, z, count };
    size_t n = moments->n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < count; k++) moments->sum[i] += (double)z[i * count + k];
    moments->count += count;
    sn_panels(n, (double)n * (double)n * (double)count, add_panel, &added);
}

/* ---- Covariances */

/* Scales values to a trace of n. */
static void scale_values(struct sn_covariance *c)
{
    size_t n = c->n;
    double trace = 0;
    for (size_t i = 0; i < n; i++) trace += (double)c->values[i * (n + 1)];
    c->varies = trace > 0;
    c->scale = trace > 0 ? trace / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            c->values[i * n + j] = trace > 0 ? (float)((double)c->values[i * n + j] / c->scale) : 0;
}

void sn_moments_take(struct sn_moments *moments, struct sn_covariance *covariance)
{
    size_t n = moments->n;
    double count = moments->count ? (double)moments->count : 1, *mean = moments->sum;
    float *values = moments->products;
    for (size_t i = 0; i < n; i++) mean[i] /= count;
    for (size_t i = 0; i < n; i++) {
        moments->mean[i] = (float)mean[i];
        for (size_t j = 0; j <= i; j++)
            values[i * n + j] = (float)((double)values[i * n + j] / count - mean[i] * mean[j]);
        values[i * (n + 1)] = fmaxf(values[i * (n + 1)], 0);
    }
    *covariance = (struct sn_covariance){
        .n = n, .count = moments->count, .mean = moments->mean, .values = values
    };
    scale_values(covariance);
    free(moments->sum);
    *moments = (struct sn_moments){ 0 };
}

static enum sn_status covariance_new(struct sn_covariance *c, size_t n, size_t count,
                                     struct sn_error *error)
{
    *c = (struct sn_covariance){ .n = n,
                                 .count = count,
                                 .mean = malloc((n + 1) * sizeof *c->mean),
                                 .values = malloc((n * n + 1) * sizeof *c->values) };
    if (c->mean && c->values) return SN_OK;
    sn_covariance_free(c);
    return sn_no_memory(error, "the covariance of %zu inputs", n);
}

enum sn_status sn_covariance_join(const struct sn_covariance *a, const struct sn_covariance *b,
                                  struct sn_covariance *joined, struct sn_error *error)
{
    size_t n = a->n;
    enum sn_status status = covariance_new(joined, n, a->count + b->count, error);
    if (status) return status;
    double part = joined->count ? (double)b->count / (double)joined->count : 0;
    double of_a = (1 - part) * a->scale, of_b = part * b->scale, between = part * (1 - part);
    for (size_t i = 0; i < n; i++) {
        double d = (double)b->mean[i] - (double)a->mean[i];
        joined->mean[i] = (float)((double)a->mean[i] + part * d);
        for (size_t j = 0; j <= i; j++)
            joined->values[i * n + j] = (float)(of_a * (double)a->values[i * n + j]
                                                + of_b * (double)b->values[i * n + j]
                                                + between * d
                                                    * ((double)b->mean[j] - (double)a->mean[j]));
    }
    scale_values(joined);
    return SN_OK;
}

enum sn_status sn_covariance_inputs(const struct sn_covariance *c, size_t n,
                                    struct sn_covariance *inputs, struct sn_error *error)
{
    enum sn_status status = covariance_new(inputs, n, c->count, error);
    if (status) return status;
    memcpy(inputs->mean, c->mean, n * sizeof *inputs->mean);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++)
            inputs->values[i * n + j] = (float)(c->scale * (double)c->values[i * c->n + j]);
    scale_values(inputs);
    return SN_OK;
}

/* ---- Errors */

/* sum over rows of D (rows x d) of D_i C D_i^T + (D_i offset)^2; image is rows x d. */
static double energy_of(const float *rows, size_t n_rows, const struct sn_covariance *c,
                        const float *offset, float *image)
{
    size_t d = c->n;
    double sum = 0;
    cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, (int)n_rows, (int)d, 1, c->values, (int)d,
                rows, (int)d, 0, image, (int)d);
    for (size_t i = 0; i < n_rows; i++) {
        double along = 0;
        for (size_t j = 0; j < d; j++) {
            sum += c->scale * (double)rows[i * d + j] * (double)image[i * d + j];
            along += (double)rows[i * d + j] * (double)offset[j];
        }
        sum += along * along;
    }
    return sum;
}

/* Rows of D. */
static void set_rows(const float *w, const float *what, size_t rows, size_t n, size_t d, float *out)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) {
            float v = what ? what[i * n + j] : 0;
            out[i * d + j] = d > n ? -v : w[i * n + j] - v;
            if (d > n) out[i * d + n + j] = w[i * n + j];
        }
}

double sn_moments_error(const float *w, const float *what, size_t m, size_t n,
                        const struct sn_covariance *judge, const float *mean, int corrected,
                        struct sn_error *error)
{
    enum { ROWS = 128 };
    size_t d = judge->n, size = ROWS * d;
    double sum = 0;
    float *rows = malloc((2 * size + d) * sizeof *rows);
    if (!rows) {
        sn_no_memory(error, "the errors of %zu outputs", m);
        return -1;
    }
    float *offset = rows + 2 * size;
    for (size_t j = 0; j < d; j++)
        offset[j] = what ? judge->mean[j] - (corrected ? mean[j] : 0) : 0;
    for (size_t first = 0; first < m; first += ROWS) {
        size_t count = m - first < ROWS ? m - first : ROWS;
        set_rows(w + first * n, what ? what + first * n : NULL, count, n, d, rows);
        sum += energy_of(rows, count, judge, offset, rows + size);
    }
    free(rows);
    return fmax(0, sum);
}

/* ---- Targets */

/* change (m x n) <- W (C_rx - C_xx) in units of the inputs' covariance. */
static int turn(const float *w, size_t m, size_t n, const struct sn_covariance *samples,
                float *change)
{
    size_t d = samples->n;
    float *block = malloc(n * n * sizeof *block);
    double trace = 0;
    for (size_t i = 0; i < n; i++) trace += (double)samples->values[i * (d + 1)];
    double unit = trace > 0 ? (double)n / trace : 0;
    for (size_t i = 0; block && i < n; i++)
        for (size_t j = 0; j < n; j++) {
            double own = (double)samples->values[i > j ? i * d + j : j * d + i];
            block[i * n + j] = (float)(unit * ((double)samples->values[(n + i) * d + j] - own));
        }
    if (block) sn_gemm(0, 0, m, n, n, 1, w, n, block, n, 0, change, n);
    free(block);
    return block != NULL;
}

/* change <- change M^-1; 0 without memory, -1 when M is not positive definite. */
static int solve(const struct sn_weighting *weighting, size_t m, float *change)
{
    size_t n = (size_t)weighting->n;
    float *factor = malloc(n * n * sizeof *factor);
    if (!factor) return 0;
    memcpy(factor, weighting->moment, n * n * sizeof *factor);
    int failed = LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', (int)n, factor, (int)n);
    if (!failed)
        LAPACKE_spotrs_work(LAPACK_COL_MAJOR, 'L', (int)n, (int)m, factor, (int)n, change, (int)n);
    free(factor);
    return failed ? -1 : 1;
}

enum sn_status sn_moments_target(const float *w, size_t m, size_t n,
                                 const struct sn_covariance *samples,
                                 const struct sn_weighting *weighting, float *target,
                                 struct sn_error *error)
{
    memcpy(target, w, m * n * sizeof *target);
    if (samples->n == n) return SN_OK;
    float *change = malloc(m * n * sizeof *change);
    int done = change && turn(w, m, n, samples, change) ? solve(weighting, m, change) : 0;
    if (done > 0)
        cblas_saxpy((int)(m * n), (float)(1 - weighting->shrinkage), change, 1, target, 1);
    free(change);
    return done > 0 ? SN_OK
        : done < 0
        ? sn_fail(error, SN_BAD_INPUT, "moments: the shrunk covariance is not positive definite")
        : sn_no_memory(error, "a target of %zu x %zu", m, n);
}
