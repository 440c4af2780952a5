/* First and second moments of what a layer sees, where its inputs are too many to keep: those of a
 * convolution at all pixels of all images. For N vectors z of d numbers
 *
 *     m = sum z / N,    C = sum (z - m)(z - m)^T / N.
 *
 * z is the layer's input x (d = n), or x with the input r that another net, the reference, gives
 * the same layer behind it (d = 2n). A layer W is then replaced by a What that stands behind
 * replaced layers and is to give what W gives in the reference:
 *
 *     E ||W r + b - What x - b'||^2 = ||D L||_F^2,    D = [-What, W],    L L^T = C,
 *
 * once b' = b + W E r - What E x; without a reference r is x, and D = W - What. */
#ifndef MOMENTS_H
#define MOMENTS_H

#include "structnet.h"
#include "weighting.h"

struct sn_moments {
    size_t n, count; /* d; vectors so far */
    double *sum;     /* n */
    float *mean;     /* n, for sn_moments_take */
    float *products; /* n x n, lower triangle: sum z z^T */
};

/* Of no vectors yet. SN_NO_MEMORY. The caller frees with sn_moments_free or sn_moments_take. */
enum sn_status sn_moments_new(struct sn_moments *moments, size_t n, struct sn_error *error);
void sn_moments_free(struct sn_moments *moments);

/* Adds count vectors, the columns of z (n x count, row-major). Sums over calls are float32: calls
 * of a thousand vectors and more keep them exact to 1e-5. Cost: count n^2 / 2 multiply-adds. */
void sn_moments_add(struct sn_moments *moments, const float *z, size_t count);

/* m and C, scaled as in struct sn_covariance; *moments is empty then. */
void sn_moments_take(struct sn_moments *moments, struct sn_covariance *covariance);

/* The moments of two sets of vectors together. SN_NO_MEMORY. The caller frees. */
enum sn_status sn_covariance_join(const struct sn_covariance *a, const struct sn_covariance *b,
                                  struct sn_covariance *joined, struct sn_error *error);

/* Those of x alone, the first n of d numbers. SN_NO_MEMORY. The caller frees. */
enum sn_status sn_covariance_inputs(const struct sn_covariance *c, size_t n,
                                    struct sn_covariance *inputs, struct sn_error *error);

/* E ||D (z - mean)||^2, mean being that of the fit; corrected is 0 for E ||D z||^2, the error
 * without the bias that makes up for the mean. what NULL: of W r itself, less its mean. w and what
 * are m x n. Negative without memory (error filled). Cost: m d^2 multiply-adds. */
double sn_moments_error(const float *w, const float *what, size_t m, size_t n,
                        const struct sn_covariance *judge, const float *mean, int corrected,
                        struct sn_error *error);

/* target (m x n) <- what a dense What would be that minimises
 *
 *     (1 - s) E ||W (r - E r) - What (x - E x)||^2 + s ||(W - What) A^(1/2)||^2
 *
 * for the weighting M = (1 - s) C_xx + s A: W + (1 - s) W (C_rx - C_xx) M^-1. A What of a format
 * loses what it differs from the target, weighed by M, beside what the target itself cannot give.
 * Without a reference it is W. SN_NO_MEMORY, SN_BAD_INPUT when M is not positive definite as
 * rounded. Cost: n^3 / 3 + 2 m n^2 multiply-adds. */
enum sn_status sn_moments_target(const float *w, size_t m, size_t n,
                                 const struct sn_covariance *samples,
                                 const struct sn_weighting *weighting, float *target,
                                 struct sn_error *error);

/* What sn_weighting_choose does, from the moments of two parts, samples that fit and others that
 * are held out: the weighting is that of both together. target (m x n) receives the matrix to
 * approximate, sn_moments_target's. shrinkage > 0 is taken instead of the chosen one. */
enum sn_status sn_moments_choose(const struct sn_fit_type *type,
                                 const struct sn_fit_options *options, const float *dense, int m,
                                 int n, const struct sn_covariance *parts, double shrinkage,
                                 struct sn_weighting *weighting, float *target,
                                 struct sn_error *error);

#endif
