/* What the files of PALM share: its state, the products and the scaling of A and B. Notation and
 * method: palm.h. */
#ifndef PALM_STATE_H
#define PALM_STATE_H

#include "palm.h"
#include "weighting.h"

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
    struct palm_lines b;
    float *dual[2]; /* U of A and of B, in their layouts and scaling; A's is palm_refit's scratch */
    float *gram;    /* inner x inner */
    float *residual; /* (A B - W)^T, n x m; scratch for projections */
    float *dense;    /* a factor's dense form, or n x m: the largest of them */
    float *weighted; /* with a weighting: the filter of ADMM, then n x m for palm_refit */
    float *norms;    /* of the atoms, inner */
    float *line;     /* inner of scratch */
    double energy;   /* palm_energy */
};

/* The columns and the rows of W. */
int palm_columns(const struct palm *palm);
int palm_rows(const struct palm *palm);

/* Entries of a factor's dense form. */
size_t palm_size(const struct palm *palm, int f);

void palm_lines_free(struct palm_lines *lines);

/* W^T of the problem, scaled, n x m. */
void palm_take_w(const struct palm *palm, float *w);

/* dense += the entries of lines. */
void palm_add_lines(const struct palm *palm, const struct palm_lines *lines, float *dense);

/* b <- the entries of dense. */
void palm_take_b(struct palm *palm);

/* psm_keep for values in the layout of factor f, A^T (inner x m) or B (inner x n); uses residual.
 */
void palm_project(struct palm *palm, int f, float *values, size_t k);

/* ---- Products */

/* The sum of the squares. */
double palm_energy_of(const float *values, size_t n);

/* out = (A B)^T - minus, n x m: line j is sum_p b_pj a_p. a has A's layout, values are those of b's
 * entries; minus may be NULL. */
void palm_multiply(const struct palm *palm, const float *a, const struct palm_lines *b,
                   const float *values, const float *minus, float *out);

/* gradient = (R B^T)^T, inner x m, for R^T in residual. */
void palm_gradient_a(const struct palm *palm, const float *residual, float *gradient);

/* out[q] = (A^T R) at B's entries. */
void palm_gradient_at_b(const struct palm *palm, const float *residual, float *out);

/* ---- Norms of atoms */

/* norms[p] = the length of line p of factor f; 1 for an atom that is not used. */
void palm_atom_norms(struct palm *palm, int f);

/* Line p of A, of some form of B, or of inner lines of length values, times norms[p], or divided by
 * it. */
void palm_scale_lines(const struct palm *palm, float *values, size_t length, int divide);
void palm_scale_a(const struct palm *palm, float *a, int divide);
void palm_scale_b(const struct palm *palm, struct palm_lines *b, int divide);

/* Makes column p of A and row p of B equally long. */
void palm_balance(struct palm *palm);

#endif
