#include "product.h"

#include <cblas.h>

void sn_product(int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a,
                int lda, const float *b, int ldb, float beta, float *c, int ldc)
{
    if (m == 1 && !transpose_a && n > 0 && k > 0) /* c = alpha op(B)^T a + beta c */
        cblas_sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans, transpose_b ? n : k,
                    transpose_b ? k : n, alpha, b, ldb, a, 1, beta, c, 1);
    else
        cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                    transpose_b ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta,
                    c, ldc);
}
