/* Matrix products of float32, by OpenBLAS. */
#ifndef PRODUCT_H
#define PRODUCT_H

#include <stddef.h>

/* C = alpha op(A) op(B) + beta C, op(A) m x k, op(B) k x n, C m x n, all row-major with lda, ldb,
 * ldc floats from row to row; op transposes where transpose_a or transpose_b is set. C overlaps
 * neither. Any size may be 0. m, n, k and the strides fit into an int. Large products
 * are cut into panels (panels.h). */
void sn_gemm(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, float alpha,
             const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
             size_t ldc);

/* The same for a batch of m rows, which is often one: a product of one row goes to the
 * matrix-vector kernel, which is several times faster on it and rounds differently. */
void sn_product(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, float alpha,
                const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                size_t ldc);

#endif
