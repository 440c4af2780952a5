/* Matrix products of float32, by OpenBLAS. */
#ifndef PRODUCT_H
#define PRODUCT_H

/* C = alpha op(A) op(B) + beta C, op(A) m x k, op(B) k x n, C m x n, all row-major with lda, ldb,
 * ldc floats from row to row; op transposes where transpose_a or transpose_b is set. C overlaps
 * neither. A product of one row goes to the matrix-vector kernel, which is several times faster on
 * it. */
void sn_product(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                int lda, const float *b, int ldb, float beta, float *c, int ldc);

#endif
