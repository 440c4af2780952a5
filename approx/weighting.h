/* The error that counts: of the outputs on real inputs x rather than of the matrix. With the bias
 * corrected by (W - What) mean(x) the mean squared output error is
 *
 *     E ||(W - What)(x - mean)||^2 = ||(W - What) L||_F^2,
 *     L L^T = M = E (x - mean)(x - mean)^T.
 *
 * With fewer samples than inputs the estimate of M is singular, and it is shrunk towards a target
 * of the same trace:
 *
 *     M = (1 - s) C + s ((1 - t) I + t V^T V),    0 < s <= 1,    0 <= t < 1,
 *
 * C the covariance of the samples, V the rows of W less their mean; C, I and V^T V are scaled to a
 * trace of n, which relative errors do not see. V^T V stands for what trained classifiers show: the
 * means of the classes lie along the rows of W, so that the features vary most where V does.
 *
 * Sources: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
 * J. Multivariate Anal. 88(2), 2004; Papyan, Han and Donoho, Prevalence of neural collapse during
 * the terminal phase of deep learning training, PNAS 117(40), 2020. */
#ifndef WEIGHTING_H
#define WEIGHTING_H

#include "sn_error.h"

#include <stddef.h>

/* The covariance of rows of n numbers, scaled to a trace of n. */
struct sn_covariance {
    size_t n, count;      /* numbers of a row; rows */
    double scale;         /* what values are to be multiplied by: trace / n */
    float *mean, *values; /* n; n x n, lower triangle */
    int varies;           /* the rows differ; if they do not, values are 0 */
};

/* Of the rows of x (rows x n), summed in double. The caller frees with sn_covariance_free, also on
 * failure. Cost: rows n^2 / 2 multiply-adds; scratch: rows n doubles. */
enum sn_status sn_covariance_new(const float *x, size_t rows, size_t n, struct sn_covariance *c,
                                 struct sn_error *error);
void sn_covariance_free(struct sn_covariance *c);

/* sn_weighting_new from the covariances of x and of w's rows, the latter NULL or one of no rows
 * where there is no w: what several weightings of the same samples share. Cost: n^2. */
enum sn_status sn_weighting_mix(const struct sn_covariance *samples,
                                const struct sn_covariance *rows, int n, double shrinkage,
                                double alignment, struct sn_weighting *weighting,
                                struct sn_error *error);

/* *root becomes L of M = L L^T, n x n, lower triangular with a positive diagonal; the caller frees
 * it. SN_BAD_INPUT when M is not positive definite as rounded, which only a shrinkage of next to
 * nothing leads to. Cost: n^3/3 multiply-adds. */
enum sn_status sn_weighting_root(const struct sn_weighting *weighting, float **root,
                                 struct sn_error *error);

/* out <- X M, X of rows x n, row-major; out is another array. Cost: rows n^2 multiply-adds. */
void sn_weighting_apply(const struct sn_weighting *weighting, const float *x, int rows, float *out);

/* filter <- the Cholesky factor of M' + penalty I, M' = D^-1 M D^-1 with D^2 the diagonal of M: the
 * moment of columns that are scaled to count alike. filter has sn_filter_size(n) floats; penalty >
 * 0, so that the factor exists. Cost: n^3 / 6 multiply-adds. */
size_t sn_filter_size(int n);
void sn_filter_set(const struct sn_weighting *weighting, float penalty, float *filter);

/* X <- X (M' + penalty I)^-1, X of lines x n, row-major or, transposed, column-major. Cost: lines
 * n^2 multiply-adds. */
void sn_filter_apply(const float *filter, int n, float *x, int lines, int transposed);

#endif
