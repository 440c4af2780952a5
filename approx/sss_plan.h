/* A plan is a segmentation with its state sizes: what an SSS approximation is made to before it has
 * values.
 *
 * The states of a segmentation are spread by price. State s of boundary k costs values and saves
 * the energy of its singular value:
 *
 *     n_{k-1} + m_k + s_{k-1} + s_{k+1} values,    sigma_{k,s}^2.
 *
 * What is lost is a sum over boundaries and so is what is paid. Were a value to save more at one
 * boundary than at another, it would be better spent there; so at the best spread all boundaries
 * buy at one price, the multiplier of the budget, whatever their spectra look like. That holds as
 * far as losses add up and the costs do not depend on the neighbours, and the price is found by
 * bisection, since a higher one buys fewer states. Source: Everett, Generalized Lagrange multiplier
 * method for solving problems of optimum allocation of resources, Operations Research 11(3), 1963.
 */
#ifndef SSS_PLAN_H
#define SSS_PLAN_H

#include "sn_error.h"

#include <stddef.h>

/* Of sizes of segments and states. */
static inline int sss_smaller(int a, int b) { return a < b ? a : b; }
static inline int sss_larger(int a, int b) { return a > b ? a : b; }

enum { SSS_CAUSAL = 0, SSS_ANTICAUSAL = 1 };

/* Boundary k lies between stages k-1 and k; boundaries 0 and n_stages carry no state. One malloc
 * block, free(). */
struct sss_plan {
    int n_stages;
    int *inputs, *outputs; /* n_stages widths and heights */
    int *states[2];        /* causal and anticausal, n_stages+1 each */
    int storage[];
};

/* Squared singular values of every boundary's block, largest first, noise left out: n[d][k] of them
 * from energy[d] + k*cap on. */
struct sss_spectra {
    int cap;
    int *n[2];
    double *energy[2];
};

/* All sizes zero. NULL without memory. */
struct sss_plan *sss_plan_new(int n_stages, struct sn_error *error);
struct sss_plan *sss_plan_copy(const struct sss_plan *plan, struct sn_error *error);

/* Stage k of N takes entries floor(k total/N) .. floor((k+1) total/N) - 1, the cut of a cfg's
 * stages=N. */
struct sss_plan *sss_plan_equal(int n_stages, int n_outputs, int n_inputs, struct sn_error *error);

/* Copies with other cuts, states zero. Shifted: the cut between stages k-1 and k lies so many rows
 * and columns further on; the plan itself where that makes a size negative. Merged: stages k-1 and
 * k are one. Split: stage k is two halves. */
struct sss_plan *sss_plan_shifted(const struct sss_plan *plan, int k, int rows, int columns,
                                  struct sn_error *error);
struct sss_plan *sss_plan_merged(const struct sss_plan *plan, int k, struct sn_error *error);
struct sss_plan *sss_plan_split(const struct sss_plan *plan, int k, struct sn_error *error);

/* Whether a plan is low rank alone, which no refinement improves: its truncated SVD, weighted or
 * not, is a candidate. */
int sss_plan_is_low_rank(const struct sss_plan *plan);

/* sum m_k n_k: values of the blocks D. */
size_t sss_plan_diagonal_values(const struct sss_plan *plan);

/* sum m_k n_k + sum s_k (n_{k-1} + m_k + s_{k-1}) + the same for the anticausal states. */
size_t sss_plan_values(const struct sss_plan *plan);

/* Chooses the states of a plan, at most budget values in all, so that the energies of the states
 * that they leave out sum to little: at one price per value at every boundary, found by bisection,
 * then one by one. */
void sss_plan_spread(struct sss_plan *plan, const struct sss_spectra *spectra, size_t budget);

enum sn_status sss_spectra_new(struct sss_spectra *spectra, int n_stages, int cap,
                               struct sn_error *error);
void sss_spectra_free(struct sss_spectra *spectra);

#endif
