/* Every matrix product of Darknet, whose own loops are 2 to 7 times slower, goes to OpenBLAS by the
 * linker's --wrap=gemm and --wrap=gemm_cpu. */
#include "product.h"

void __wrap_gemm(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                 int ldb, float BETA, float *C, int ldc);
void __wrap_gemm_cpu(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                     int ldb, float BETA, float *C, int ldc);

/* C = ALPHA op(A) op(B) + BETA C, row-major. */
void __wrap_gemm(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                 int ldb, float BETA, float *C, int ldc)
{
    sn_product(TA, TB, M, N, K, ALPHA, A, lda, B, ldb, BETA, C, ldc);
}

void __wrap_gemm_cpu(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                     int ldb, float BETA, float *C, int ldc)
{
    __wrap_gemm(TA, TB, M, N, K, ALPHA, A, lda, B, ldb, BETA, C, ldc);
}
