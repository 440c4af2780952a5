#include "product.h"
#include "panels.h"

#include <cblas.h>

/* BLAS refuses a stride of 0, which matrices without columns have. */
static int stride(size_t ld) { return ld ? (int)ld : 1; }

/* A product on its way into panels: of rows where C has more rows than columns. */
struct product {
    int transpose_a, transpose_b, by_rows;
    size_t m, n, k;
    float alpha, beta;
    const float *a, *b;
    size_t lda, ldb, ldc;
    float *c;
};

static void multiply_panel(void *context, size_t first, size_t count)
{
    const struct product *p = context;
    size_t row = p->by_rows ? first : 0, column = p->by_rows ? 0 : first;
    const float *a = p->a + (p->transpose_a ? row : row * p->lda);
    const float *b = p->b + (p->transpose_b ? column * p->ldb : column);
    cblas_sgemm(CblasRowMajor, p->transpose_a ? CblasTrans : CblasNoTrans,
                p->transpose_b ? CblasTrans : CblasNoTrans, (int)(p->by_rows ? count : p->m),
                (int)(p->by_rows ? p->n : count), (int)p->k, p->alpha, a, stride(p->lda), b,
                stride(p->ldb), p->beta, p->c + row * p->ldc + column, (int)p->ldc);
}

void sn_gemm(int transpose_a, int transpose_b, size_t m, size_t n, size_t k, float alpha,
             const float *a, size_t lda, const float *b, size_t ldb, float beta, float *c,
             size_t ldc)
{
    struct product p = { transpose_a, transpose_b, m > n, m,   n,   k,   alpha,
                         beta,        a,           b,     lda, ldb, ldc, c };
    if (!m || !n) return;
    sn_panels(p.by_rows ? m : n, (double)m * (double)n * (double)k, multiply_panel, &p);
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
