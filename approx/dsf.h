/* Double sparse factorisation: W ~ A B with sparse factors A (m x inner) and B (inner x n), one
 * after the other: given one, the other is a least-squares problem with a Gram matrix G of inner x
 * inner. For A^T and B alike, with the penalty r and the dual U, a step of ADMM is
 *
 *     X <- (G + r I)^-1 (S T + r (Z - U)),   S the other factor, of unit atoms, T the target
 *     Z <- the k largest entries of X + U,   U <- X + U - Z,
 *
 * and Z is the factor. U stays from round to round, so that entries outside of the pattern add up
 * until they outweigh some inside. The penalty grows by equal factors, r U staying: a small one
 * lets patterns change, a large one lets them settle.
 *
 * Sources: Boza and Macko, Two sparse matrices are better than one, arXiv 2409.18850, for the
 * alternation; Boyd et al. 2011 (psm_admm.h) for ADMM. The growing penalty, one step a turn with
 * its pattern free, and these are this project's:
 *
 *   * The start is exact, A = W and B = I. Nothing of W is lost before the first projection.
 *   * With a weighting the target T is what ADMM makes of W and A B (psm_admm.h); else it is W.
 *   * The values on the final pattern are fitted by conjugate gradients (psm_cgls.h), one factor
 *     after the other.
 *
 * A weighting (weighting.h) enters three times. The columns of W are scaled by the square root of
 * M's diagonal while patterns are looked for; ADMM minimises the error with the moment of the
 * scaled columns; and the values are fitted with the whole of M. */
#ifndef DSF_H
#define DSF_H

#include "fit.h"
#include "psm_keep.h"
#include "psm_sparse.h"

#include <stddef.h>

enum { DSF_A, DSF_B };

/* Which problem of a matrix. */
struct dsf_task {
    const float *w; /* rows x columns, row-major, borrowed until dsf_take_factors or dsf_free */
    int rows, columns;
    int flip;      /* 0: W = A B as it stands; 1: W^T = A B, so that W = B^T A^T */
    int inner;     /* 0: the n of the problem, which dsf_start needs */
    size_t most_b; /* the most entries that B will have */
    int block;     /* entries come in blocks of so many rows of W's factors x 1 column: 1, 4, 8 */
    enum psm_pattern pattern;
    const struct sn_weighting *weighting; /* of W's columns, borrowed as w is; may be NULL */
};

struct dsf;

/* NULL when memory runs out. Scratch for all of it: at most nine matrices of W's size, with a
 * weighting one more. */
struct dsf *dsf_new(const struct dsf_task *task);

/* Legal on NULL. */
void dsf_free(struct dsf *dsf);

/* ---- The search */

/* A = W, B = I; inner == n. */
void dsf_start(struct dsf *dsf);

/* As many rounds as a time that is fair for the effort allows. */
int dsf_rounds(const struct dsf_task *task, enum sn_effort effort);

/* n_rounds of steps of both factors, with k[f] entries (a multiple of block) in factor f, DSF_A or
 * DSF_B. Ends early when *stop is set. Returns the squared error in the scaled norm; that of the
 * fitted values is less. Cost of a round, in multiply-adds: (m + n) inner^2 + inner^3 / 3 dense
 * ones, and nonzeros(A) (n + inner / 2) + nonzeros(B) (m + inner / 2) sparse ones; with a weighting
 * of p columns m n p more, and 10 p^3 in all. */
double dsf_run(struct dsf *dsf, const size_t k[2], int n_rounds, const volatile sig_atomic_t *stop);

/* Frees what only dsf_run needs, which cannot follow then. */
void dsf_end_run(struct dsf *dsf);

/* Fits the values of the entries that are not zero: n_rounds times n_steps steps of conjugate
 * gradients for each factor. Returns the squared error, in the norm in which dsf_energy is W's.
 * The target and the steps before are gone then, so that only what takes the factors can follow. */
double dsf_refit(struct dsf *dsf, int n_rounds, int n_steps);

/* ||W||^2 as dsf_refit saw it, with the whole of M. */
double dsf_energy(const struct dsf *dsf);

/* ---- The factors */

/* Whether factor number of W (0: the left one) is DSF_A or DSF_B. */
int dsf_side(const struct dsf *dsf, int number);

/* The entries of DSF_A or DSF_B that are not zero. */
size_t dsf_count(const struct dsf *dsf, int f);

/* Factor number of W as a dense matrix, until the next call. What is changed there counts after
 * dsf_take. */
struct psm_strided dsf_factor(struct dsf *dsf, int number);
void dsf_take(struct dsf *dsf, int number);

/* Keeps the k largest entries of what dsf_factor gave for that number. */
void dsf_keep(struct dsf *dsf, int number, size_t k);

/* Both factors of W, balanced, with the columns' scaling undone; dsf is only good for dsf_free
 * then. 0 when memory runs out; freeing both is legal then. */
int dsf_take_factors(struct dsf *dsf, struct psm_sparse factors[2]);

#endif
