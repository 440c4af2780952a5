/* The segments of a matrix that is exactly SSS: where W can be cut so that it takes the fewest
 * values.
 *
 * A cut is a point (i, j) of W where one stage ends and the next begins: its diagonal block ends
 * before row i and column j. The states there carry W[i.., ..j-1] and W[..i-1, j..], and are as
 * many as these blocks have ranks (Chandrasekaran et al., Some fast algorithms for sequentially
 * semiseparable representations, SIAM J. Matrix Anal. Appl. 27(2), 2005). In an SSS matrix every
 * inner boundary is a point where the two ranks together have a local minimum: a step aside takes a
 * row or a column of a diagonal block into one of the two. All such points are found, and the
 * cheapest chain of them by dynamic programming. */
#ifndef SSS_CUTS_H
#define SSS_CUTS_H

/* A cut before row and before column; the stages lie between the cuts. */
struct sss_cut {
    int row, column;
    int causal;     /* states there: rank W[row.., ..column-1] */
    int anticausal; /* rank W[..row-1, column..] */
};

/* The inner cuts, in order, of an SSS form of W (m x n, row-major, finite) with the fewest values.
 * Ranks are counted up to 48, and up to errors of bound times a column's norm in every column.
 * *cuts is malloc'd, the caller frees it. Returns their number; 0 when no cut saves anything, as
 * for a matrix that has no such structure, or when W has more than 2^21 entries; -1 without memory.
 *
 * Cost: 512 m n (1 + r) flops for ranks of r, less for W without structure; at most 2^25 chain
 * links. Memory: 2 m n bytes and 1 KB for each column. The ranks are those of 64 random
 * combinations of the rows, always the same ones. */
int sss_cuts(const float *w, int m, int n, double bound, struct sss_cut **cuts);

#endif
