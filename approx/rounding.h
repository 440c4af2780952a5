/* Few-bit values that know the data. A matrix X (rows x columns) enters W ~ What = A + O X Z, and
 *
 *     ||(W - What) L||_F^2
 *
 * is to be lowered over matrices X whose entries are the levels of a code of few bits (levels.h)
 * times a scale, or 0 where a sparse X has no entry. With
 *
 *     G = Z M Z^T,    Q = O^T O,    R = O^T (W - What) M Z^T,    M = L L^T,
 *
 * an entry (i, j) that grows by d adds Q_ii G_jj d^2 - 2 d R_ij to the error and takes
 * d Q_ki G_jl from each R_kl. So the best level of one entry, all others being fixed, is the one
 * next to X_ij + R_ij / (Q_ii G_jj), and entries are visited in turn until they stay: coordinate
 * descent, of which no step raises the error. An entry that a sparse X need not have is worth its
 * place when it lowers the error by more than a price; the price is moved until as many stay as
 * there is room for, so that pattern and codes are chosen together. Scales are fitted between the
 * sweeps by least squares.
 *
 * A start that is rounded entry by entry carries the error into what is not yet rounded: with U U^T
 * = G^-1 turned into its upper Cholesky factor, U_jl / U_jj of the error of column j goes to column
 * l > j. Where G is far from diagonal, coordinate descent ends lower from there.
 *
 * Sources: Frantar et al., GPTQ: accurate post-training quantization for generative pre-trained
 * transformers, ICLR 2023, algorithm 1, for the start; Hassibi and Stork, Second order derivatives
 * for network pruning: optimal brain surgeon, NIPS 1992, for U. */
#ifndef ROUNDING_H
#define ROUNDING_H

#include "fit.h"

struct sn_rounding {
    int rows, columns;
    int bits;          /* of a code; 32: X stays a float matrix, and is fitted */
    int is_sparse;     /* an X of 0 is no entry, and an entry is never 0 */
    int is_rounded;    /* X has codes already, which are improved */
    int block;         /* rows of a sparse X that have their entries in the same columns; else 1 */
    float *values;     /* X; it is a float matrix at the start */
    float *residual;   /* R, which follows X */
    const float *gram; /* G, symmetric with a positive diagonal; NULL: I */
    const float *coupling;             /* Q, likewise, rows x rows; NULL: I */
    float *scales;                     /* rows, as bfloat16 holds them */
    const volatile sig_atomic_t *stop; /* may be NULL */
};

/* Rounds X: scales, codes by coordinate descent in sweeps rounds, and the scales again. A full X
 * without coupling starts by carrying errors on. With count < the entries of a sparse X, or more,
 * pattern and codes are chosen together such that count of them are left at most, whole blocks;
 * with a coupling, or 0 sweeps, those of least gain go; 0 keeps the pattern. SN_NO_MEMORY is the
 * only failure; X is undefined then. Cost: a sweep takes rows columns^2 multiply-adds, with
 * coupling rows^2 columns more; the start columns^3. Scratch: some rows of X, a copy of G for the
 * start, of X with coupling. */
enum sn_status sn_round_rows(struct sn_rounding *rounding, size_t count, int sweeps,
                             struct sn_error *error);

/* Where X stands in W ~ What = A + O X Z, X of a x b. */
struct sn_part {
    size_t m, a, b, n;
    const float *o;                /* m x a; NULL: I, with m = a */
    const float *z;                /* b x n; NULL: I, with b = n */
    float *difference;             /* W - What, m x n, which follows X */
    size_t first, n_units, column; /* rows first and on of z, so many, are I's from column on; they
                                    * cost nothing */
};

/* Rounds the X of rounding (values, scales, bits, flags and stop set; values is a x b) in its
 * place: unless it is rounded already, first fits its float values in fit sweeps. count and sweeps
 * as in sn_round_rows. weighting has M, NULL: I. SN_NO_MEMORY is the only failure. Cost, besides
 * sn_round_rows's, with c = b - n_units:
 * m n b + c n^2 + b c n multiply-adds, with an O m a (n + a) more. */
enum sn_status sn_round_part(const struct sn_part *part, const struct sn_weighting *weighting,
                             struct sn_rounding *rounding, size_t count, int fit, int sweeps,
                             struct sn_error *error);

#endif
