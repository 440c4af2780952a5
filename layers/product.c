#include "product.h"

#include <cblas.h>

/* BLAS refuses a stride of 0, which matrices without columns have. */
static int stride(size_t ld) { return ld ? (int)ld : 1; }

void sn_gemm(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, float alpha,
             const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
             size_t ldc)
{
    if (!m || !n) return;
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
                stride(lda), b, stride(ldb), beta, c, (int)ldc);
}

void sn_product(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, float alpha,
                const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
                size_t ldc)
{
    if (m == 1 && !transpose_a && n && k) /* c = alpha op(B)^T a + beta c */
        cblas_sgemv(CblasRowMajor, transpose_b ? CblasNoTrans : CblasTrans,
                    (int)(transpose_b ? n : k), (int)(transpose_b ? k : n), alpha, b, (int)ldb, a,
                    1, beta, c, 1);
    else sn_gemm(transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
