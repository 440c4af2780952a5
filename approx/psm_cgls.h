/* Least squares over the values on a fixed pattern, by conjugate gradients. */
#ifndef PSM_CGLS_H
#define PSM_CGLS_H

#include <signal.h>
#include <stddef.h>

/* min ||R L||_F^2 over count values v on which the matrix R = R(v) depends affinely, by conjugate
 * gradients on the normal equations (CGLS): with g half of the gradient and d the direction,
 *
 *     d <- beta d - g,   beta = <g, g> / <g, g>_before
 *     v <- v + alpha d,  alpha = -<g, d> / ||J d||^2,  J d the change of R L along d.
 *
 * The problem keeps R in a form of its own and tells <g, g> and ||J d||^2 in the arithmetic that
 * suits it. A value of 0 is no part of the pattern: g is 0 there, and it stays. A value that would
 * become 0 exactly stays in the pattern, as the smallest normal number.
 *
 * Source: Björck, Numerical methods for least squares problems, SIAM, 1996, algorithm 7.4.1. */
struct psm_cgls {
    float *values;
    size_t count;
    float *gradient;                   /* count; curvature may use it as scratch */
    float *direction;                  /* count */
    const volatile sig_atomic_t *stop; /* no further step once it is set; may be NULL */

    void *context;
    double (*take_gradient)(void *context, float *gradient);    /* g; returns <g, g> */
    double (*curvature)(void *context, const float *direction); /* returns ||J d||^2 */
    void (*move)(void *context, float alpha); /* R takes the step along the last direction */
};

/* At most n_steps steps; fewer when the gradient or the curvature vanishes. Returns what ||R L||^2
 * fell by. Cost: the callbacks'. */
double psm_cgls_run(const struct psm_cgls *problem, int n_steps);

#endif
