/* What the files of the double sparse factorisation share: its state, the products and the scaling
 * of A and B. Notation and method: dsf.h. */
#ifndef DSF_STATE_H
#define DSF_STATE_H

#include "dsf.h"
#include "psm_tiles.h"
#include "weighting.h"

struct dsf {
    int m, n, inner, flip, block;
    enum psm_pattern pattern;
    float *scale; /* d of W's columns: sqrt(M_jj), 1 without a weighting */
    const struct sn_weighting *weighting;
    const float *source;      /* W as the task gave it */
    float *target;            /* T^T, scaled: n x m, so that a column is one line */
    float *a;                 /* A^T, inner x m: an atom is a line */
    struct psm_sparse b;      /* the entries of B by atoms, which are its rows */
    struct psm_sparse turned; /* B^T, for dsf_multiply */
    struct psm_sparse lines;  /* A^T while it has few entries (dsf_take_lines) */
    size_t most_lines;        /* the entries that lines has room for */
    float *tile;              /* scratch of psm_tiles.h */
    float *dual[2];  /* U of A and of B, in their layouts and scaling; A's is dsf_refit's scratch */
    float *gram;     /* inner x inner */
    float *residual; /* (A B - W)^T, n x m; scratch for projections */
    float *dense;    /* a factor's dense form, or n x m: the largest of them */
    float *weighted; /* with a weighting: the filter of ADMM, then n x m for dsf_refit */
    float *norms;    /* of the atoms, inner */
    float *line;     /* inner of scratch */
    double energy;   /* dsf_energy */
    const volatile sig_atomic_t *stop; /* of the last dsf_run, for dsf_refit too; may be NULL */
};

/* The columns and the rows of W. */
int dsf_columns(const struct dsf *dsf);
int dsf_rows(const struct dsf *dsf);

/* Entries of a factor's dense form. */
size_t dsf_size(const struct dsf *dsf, int f);

/* W^T of the problem, scaled, n x m. */
void dsf_take_w(const struct dsf *dsf, float *w);

/* dense = B. */
void dsf_expand_b(const struct dsf *dsf);

/* lines <- the entries of A. 0 when they are more than a quarter of all, where dense products are
 * as fast; lines is of no use then. */
int dsf_take_lines(struct dsf *dsf);

/* b <- the entries of dense. */
void dsf_take_b(struct dsf *dsf);

/* psm_keep for values in the layout of factor f, A^T (inner x m) or B (inner x n); uses residual.
 */
void dsf_project(struct dsf *dsf, int f, float *values, size_t k);

/* ---- Products */

/* The sum of the squares. */
double dsf_energy_of(const float *values, size_t n);

/* out = (A B)^T - minus, n x m. a has A's layout, values are those of B's entries; minus may be
 * NULL. */
void dsf_multiply(struct dsf *dsf, const float *a, const float *values, const float *minus,
                  float *out);

/* gradient = (R B^T)^T, inner x m, for R^T in residual. */
void dsf_gradient_a(struct dsf *dsf, const float *residual, float *gradient);

/* out[q] = (A^T R) at B's entries. */
void dsf_gradient_at_b(const struct dsf *dsf, const float *residual, float *out);

/* ---- Norms of atoms */

/* norms[p] = the length of line p of factor f; 1 for an atom that is not used. */
void dsf_atom_norms(struct dsf *dsf, int f);

/* Line p of A, of B, or of inner lines of length values, times norms[p], or divided by
 * it. */
void dsf_scale_lines(const struct dsf *dsf, float *values, size_t length, int divide);
void dsf_scale_a(const struct dsf *dsf, float *a, int divide);
void dsf_scale_b(struct dsf *dsf, int divide);

/* Makes column p of A and row p of B equally long. */
void dsf_balance(struct dsf *dsf);

#endif
