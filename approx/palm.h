/* W ~ A B with sparse factors A (m x inner) and B (inner x n), by PALM4MSA (Le Magoarou and
 * Gribonval, Flexible multi-layer sparse approximations of matrices and applications, IEEE J. Sel.
 * Top. Signal Process. 10(4), 2016, fig. 4):
 * ||W - A B||_F^2 is minimised by projected gradient steps in turn,
 *     S <- the k largest entries of  S - grad / l,   l the Lipschitz constant of the gradient.
 * Four things are this project's. The rows of B (columns of A) have unit norm while A (B) is
 * stepped, so that |entry|^2 is the energy that an entry carries and the k largest are the right
 * ones. The start is exact, A = W and B = I. Steps are extrapolated (Pock and Sabach, iPALM, SIAM
 * J. Imaging Sci. 9(4), 2016). The values on the final pattern are fitted by conjugate gradients,
 * one factor after the other.
 *
 * And the steps are those of ||T - A B||_F^2, where the target T is W at first and then what ADMM
 * makes of W and A B: with a penalty r on the distance of X from A B, X = argmin ||W - X||_F^2 + r
 * ||X - A B + U||_F^2 and the multiplier U, T = X + U = A B + (W - A B + U) / (1 + r),    U =
 * T_before - A B, times r_before / r where r has changed. What the product leaves of W adds up in T
 * until entries outside of the pattern outweigh some inside, so that the pattern goes on to change
 * where PALM alone stays: much while r is small, in the first rounds, and less as r grows. Source:
 * Boyd et al., Distributed optimization and statistical learning via ADMM, Found. Trends Mach.
 * Learn. 3(1), 2011, section 9.1, where the sets are others.
 *
 * A weighting (weighting.h) enters three times: the columns of W are scaled by the square root of
 * M's diagonal while patterns are looked for; X minimises the error with M' = D^-1 M D^-1, the
 * moment of the scaled columns, so that T = A B + (W - A B + U) M' (M' + r I)^-1; and the values
 * are fitted with the whole of M. */
#ifndef PALM_H
#define PALM_H

#include "fit.h"
#include "psm_keep.h"

#include <stddef.h>

enum { PALM_A, PALM_B };

/* Which problem of a matrix. */
struct palm_task {
    const float *w; /* rows x columns, row-major, borrowed until palm_free or palm_end */
    int rows, columns;
    int flip;      /* 0: W = A B as it stands; 1: W^T = A B, so that W = B^T A^T */
    int inner;     /* 0: the n of the problem, which palm_start needs */
    size_t most_b; /* the most entries that B will have */
    int block; /* entries come in blocks of so many rows of the product's factors x 1 column: 1, 4,
                  8 */
    enum psm_pattern pattern;
    const struct sn_weighting
        *weighting; /* of W's columns, borrowed until palm_free or palm_end; may be NULL */
};

/* The entries of B by atoms, which are its rows. */
struct palm_lines {
    size_t *start; /* inner+1 */
    int *column;
    float *value;
};

struct palm {
    int m, n, inner, flip, block;
    enum psm_pattern pattern;
    float *scale; /* d of W's columns: sqrt(M_jj), 1 without a weighting */
    const struct sn_weighting *weighting;
    const float *source; /* W as the task gave it */
    float *target;       /* T^T, scaled: n x m, so that a column is one line */
    float *a;            /* A^T, inner x m: an atom is a line */
    float *a_previous;   /* of one step before, in the same scaling; scratch for palm_refit */
    struct palm_lines b, b_previous;
    float *residual; /* (A B - W)^T, n x m */
    float
        *dense; /* A's gradient, or B's dense form, inner x n, or n x m: as large as the largest */
    float *weighted;   /* with a weighting: M' + r I as a filter for palm_run, then n x m for
                          palm_refit */
    float *vector[2];  /* of the power iterations, inner */
    float *product[2]; /* their images: m, n */
    float *norms;      /* of the atoms, inner */
    float *line;       /* max(m, n, inner) of scratch, twice */
    double energy;     /* ||W||^2 as palm_refit sees it, with the whole of M */
};

/* Scratch for all of it: five matrices of W's size, with a weighting one more. 0 when memory runs
 * out; palm_free is legal then. */
int palm_new(struct palm *palm, const struct palm_task *task);
void palm_free(struct palm *palm);

/* Frees what only steps need; the factors stay. */
void palm_end(struct palm *palm);

/* Entries of a factor's dense form. */
size_t palm_size(const struct palm *palm, int f);

/* A = W, B = I; inner == n. */
void palm_start(struct palm *palm);

/* n_rounds of steps of both factors, with k[f] entries (a multiple of block) in factor f. Ends
 * early when *stop is set. Returns the squared error in the scaled norm; that of the fitted values
 * is less. Cost of a round: 5 nonzeros(B) m + inner m n multiply-adds, with a weighting of p
 * columns m n p more, and 10 p^3 in all. */
double palm_run(struct palm *palm, const size_t k[2], int n_rounds,
                const volatile sig_atomic_t *stop);

/* ADMM's penalty in a round: from first to last by equal factors, in at most ten stages of at least
 * four rounds. */
double palm_penalty(int round, int n_rounds, double first, double last);

/* One round without extrapolation and with T = W, for factors that are already near their counts.
 */
void palm_round(struct palm *palm, const size_t k[2]);

/* Fits the values of the entries that are not zero: n_rounds times n_steps steps of conjugate
 * gradients for each factor. Returns the squared error, in the norm in which palm->energy is W's.
 * The target and the steps before are gone then, so that only palm_free, palm_end and what takes
 * the factors can follow. */
double palm_refit(struct palm *palm, int n_rounds, int n_steps);

/* The dense form of a factor, A^T (inner x m) or B (inner x n). B's lies in palm->dense; what is
 * changed there counts after palm_take_b. */
float *palm_dense(struct palm *palm, int f);
void palm_take_b(struct palm *palm);

/* psm_keep for values in the layout of factor f; uses residual. */
void palm_project(struct palm *palm, int f, float *values, size_t k);

/* Makes column p of A and row p of B equally long. */
void palm_balance(struct palm *palm);

#endif
