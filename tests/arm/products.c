/* Products and gradients by every kernel, without a library, so that they can be compared between
 * processors: tests/arm.sh. Prints a line for each matrix: what it is, and the products of one
 * vector and of 16, and the gradients, each as sums over entries with changing signs and norms. */
#include <family.h>
#include <packed.h>
#include <product.h>
#include <psm.h>
#include <sss.h>
#include <stored.h>

#include <math.h>
#include <stdlib.h>

/* A batch of whole strips needs no BLAS. */
void sn_gemm(int ta, int tb, size_t m, size_t n, size_t k, float alpha, const float *a, size_t lda,
             const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    (void)ta, (void)tb, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)lda, (void)b;
    (void)ldb, (void)beta, (void)c, (void)ldc;
    abort();
}

void sn_product(int ta, int tb, size_t m, size_t n, size_t k, float alpha, const float *a,
                size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    sn_gemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

static uint64_t drawn = 1;

static float uniform(float from, float to)
{
    drawn ^= drawn << 13;
    drawn ^= drawn >> 7;
    drawn ^= drawn << 17;
    return from + (to - from) * (float)(drawn >> 40) / 0x1p24f;
}

static float *random_floats(size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    if (!x) abort();
    for (size_t i = 0; i < n; i++) x[i] = uniform(-1, 1);
    return x;
}

/* What a difference in any entry changes. */
static void print_sums(const float *x, size_t n)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i] * cos((double)i);
        squares += (double)x[i] * (double)x[i];
    }
    printf(" %.9g %.9g", sum / sqrt(squares + 1), sqrt(squares));
}

static void print_products(struct sn_matrix *matrix, const char *name, int bits)
{
    enum { BATCH = 16 };
    struct sn_error error = { 0 };
    if (sn_matrix_set_bits(matrix, bits, 0, &error)) abort();
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs, s = matrix->n_states;
    uint32_t *map = malloc((matrix->n_values + 1) * sizeof *map);
    float *words = random_floats(matrix->n_words);
    if (!map || sn_matrix_init(matrix, map, words, uniform, &error)) abort();
    struct sn_packed *packed = sn_pack(matrix, words, &error);
    if (!packed) abort();
    float *scratch = random_floats(sn_packed_scratch(packed)), *x = random_floats(BATCH * n),
          *y = random_floats(BATCH * m), *dy = random_floats(BATCH * m),
          *dx = random_floats(BATCH * n), *states = random_floats(BATCH * s),
          *dstates = random_floats(BATCH * s), *dvalues = random_floats(matrix->n_values);
    sn_packed_multiply(packed, x, y, scratch);
    printf("%s bits=%d", name, bits);
    print_sums(y, m);
    sn_multiply(matrix, words, BATCH, x, y, states);
    sn_gradient(matrix, words, BATCH, x, states, dy, dvalues, dx, dstates);
    print_sums(y, BATCH * m);
    print_sums(dx, BATCH * n);
    print_sums(dvalues, matrix->n_values);
    printf("\n");
    free(map), free(words), free(packed), free(scratch), free(x), free(y), free(dy), free(dx);
    free(states), free(dstates), free(dvalues);
}

static const int all_bits[] = { 32, 8, 4, 3, 2, 1 };

static void print_all_bits(struct sn_matrix *matrix, const char *name)
{
    if (!matrix) abort();
    for (size_t b = 0; b < sizeof all_bits / sizeof *all_bits; b++)
        print_products(matrix, name, all_bits[b]);
    free(matrix);
}

int main(void)
{
    static const int inputs[] = { 40, 7, 33, 25 }, outputs[] = { 9, 50, 41, 3 },
                     states[] = { 5, 17, 2 }, forms[] = { 1, 4, 8, 16, 32 }, blocks[] = { 1, 4, 8 };
    char name[64];
    print_all_bits(&sss_new(1, &(int){ 67 }, &(int){ 101 }, NULL, NULL, NULL)->matrix, "sss 1");
    print_all_bits(
        &sss_new_ordered(4, inputs, outputs, states, states, SSS_ORDER_BOTH, NULL)->matrix,
        "sss 4");
    for (int f = 0; f < 5; f++)
        for (int b = 0; b < 3; b++) {
            int sizes[] = { 57, 83, 70 }, nonzeros[] = { 960, 1600 }, bits[] = { forms[f], 16 },
                escapes[] = { f == 1 ? 30 : 0, 0 };
            struct psm_layout layout = { 2, sizes, nonzeros, bits, blocks[b], b == 1, escapes };
            snprintf(name, sizeof name, "psm index=%d block=%d", forms[f], blocks[b]);
            print_all_bits(&psm_new(&layout, NULL)->matrix, name);
        }
    return 0;
}
