/* The dense matrix of a sparse product. */
#include "support.h"

#include <psm.h>
#include <psm_dense.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 1;

static float uniform(float from, float to) { return (float)random_uniform(&seed, from, to); }

/* One to four factors, in blocks and in another order of rows, with rows that a block lacks. */
Test(psm_dense, is_what_products_with_unit_vectors_give)
{
    static const char *const sections[] = {
        "factors=1\nnonzeros=80",
        "factors=1\nnonzeros=80\nblock=4\norder=1",
        "factors=2\ninner=20\nnonzeros=100,90",
        "factors=2\ninner=20\nnonzeros=96,88\nblock=8\norder=1",
        "factors=3\ninner=20,31\nnonzeros=100,90,110",
        "factors=4\ninner=9,31,14\nnonzeros=60,90,110,80\nindex=8,16,32,8",
        "factors=4\ninner=9,31,14\nnonzeros=60,88,108,80\nblock=4\norder=1",
    };
    enum { M = 23, N = 17 };
    float dense[M * N], expected[M * N];
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
        char text[256];
        struct cfg_text *cfg;
        struct sn_error error = { 0 };
        snprintf(text, sizeof text, "[psm]\noutput=%d\n%s\n", M, sections[i]);
        struct sn_matrix *matrix = matrix_from_text(text, M, N, &cfg, &error);
        cr_assert(matrix, "%s", error.message);
        float *words = calloc(matrix->n_words, sizeof *words);
        cr_assert(!psm_family.init(matrix, words, uniform, &error), "%s", error.message);
        for (size_t q = 0; q < matrix->n_values; q++) words[q] = uniform(-1, 1);
        struct psm *shape = (struct psm *)matrix;
        for (int row = 0; shape->order && row < M; row++)
            shape->order[row] = (uint32_t)(row * 5 % M);
        cr_assert(!sn_dense(matrix, words, expected, NULL));
        memset(dense, 1, sizeof dense);
        cr_assert(!psm_dense(matrix, words, dense, NULL));
        for (int q = 0; q < M * N; q++)
            cr_assert_float_eq(dense[q], expected[q], 1e-6 * (1 + fabs(expected[q])), "%s",
                               sections[i]);
        free(words);
        free(matrix);
        cfg_free(cfg);
    }
}
