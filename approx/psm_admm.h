/* min ||(W - Z) L||_F over the matrices Z of a sparse form, by ADMM, the alternating direction
 * method of multipliers. */
#ifndef PSM_ADMM_H
#define PSM_ADMM_H

#include "weighting.h"

#include <signal.h>
#include <stddef.h>

/* The forms (k entries; products of two sparse matrices) are not convex: what comes near the target
 * once may stay there, though another pattern is better. Therefore the target moves. With a second
 * matrix X, which is free, a penalty r on its distance from Z and the multiplier U,
 *
 *     Z <- of the form, near the target T
 *     X <- argmin ||(W' - X) L'||^2 + r ||X - Z + U||^2
 *     T <- X + U = Z + (W' - Z + U) M' (M' + r I)^-1,    U = T_before - Z, times r_before / r,
 *
 * from T = W'. W' = W D are the columns of W scaled by D^2 = diag(M), M' = D^-1 M D^-1 = L' L'^T is
 * their moment; without a weighting W' = W and M' = I. What Z leaves of W adds up in T until
 * entries outside of its pattern outweigh some inside, and the pattern changes.
 *
 * The penalty moves because r sets how far T goes: a small one lets patterns change much, in the
 * first rounds, and a large one lets them settle in the last. It grows by equal factors, in at most
 * ten stages of at least four rounds, since each new one has M' + r I factored again; U is scaled
 * so that r U, which is the multiplier proper, stays.
 *
 * Source: Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends
 * Mach. Learn. 3(1), 2011, sections 9.1 and 3.4.1, where the sets are others. */
struct psm_admm {
    int rows, columns; /* of W */
    int transposed;    /* all matrices below lie column by column; else row by row */
    const struct sn_weighting *weighting; /* of the columns; NULL: M = I */
    int n_rounds;
    double first, last;                /* the penalties of the first and the last round */
    const volatile sig_atomic_t *stop; /* may be NULL; set: no more rounds */

    float *target; /* T, rows x columns: W' at the start */
    float *sum;    /* scratch of that size, also for approach */
    float *filter; /* with a weighting: scratch, sn_filter_size(columns) */

    void *context;
    void (*take_w)(void *context, float *w);            /* w <- W' */
    const float *(*approach)(void *context, int round); /* returns Z */
};

/* Cost of a round: the callbacks' and, with a weighting, rows columns^2 multiply-adds; of a stage
 * columns^3 / 6. */
void psm_admm_run(const struct psm_admm *admm);

#endif
