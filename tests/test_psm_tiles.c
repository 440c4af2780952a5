/* Products of sparse with dense matrices, against plain loops. */
#include "support.h"

#include <psm_sparse.h>
#include <psm_tiles.h>

#include <criterion/criterion.h>
#include <stdlib.h>

enum { MOST = 70 };

/* Sizes on both sides of a tile's 32. */
static const int sizes[][3] = { { 1, 1, 1 },    { 5, 40, 31 },  { 33, 7, 32 },
                                { 64, 33, 33 }, { 17, 70, 65 }, { 70, 64, 70 } };

static float sparse_dense[MOST * MOST], g[MOST * MOST], turned[MOST * MOST], out[MOST * MOST];
static float scratch[MOST * PSM_TILE];

static struct psm_sparse random_sparse(uint64_t *seed, int lines, int length)
{
    struct psm_sparse s;
    for (int i = 0; i < lines * length; i++)
        sparse_dense[i] = random_uniform(seed, 0, 1) < .2 ? (float)random_uniform(seed, -1, 1) : 0;
    struct psm_strided dense = { sparse_dense, lines, length, (size_t)length, 1 };
    cr_assert(psm_sparse_new(&s, &dense, 1));
    return s;
}

Test(psm_tiles, times_is_the_product_added_to_minus_what_was_there)
{
    uint64_t seed = 71;
    for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
        const int *size = sizes[k / 2];
        int lines = size[0], length = size[1], columns = size[2], subtract = k % 2;
        struct psm_sparse s = random_sparse(&seed, lines, length);
        for (int p = 0; p < length; p++)
            for (int j = 0; j < columns; j++)
                turned[j * length + p] = g[p * columns + j] = (float)random_uniform(&seed, -1, 1);
        for (int transposed = 0; transposed < 2; transposed++) {
            for (int i = 0; i < lines * columns; i++) out[i] = (float)i;
            psm_times(&s, transposed ? turned : g, (size_t)columns, transposed, subtract, out,
                      scratch);
            for (int i = 0; i < lines; i++)
                for (int j = 0; j < columns; j++) {
                    double sum = subtract ? -(i * columns + j) : 0;
                    for (int p = 0; p < length; p++)
                        sum += (double)sparse_dense[i * length + p] * (double)g[p * columns + j];
                    cr_expect_float_eq(out[i * columns + j], sum, 1e-3, "case %zu, %d: %g, not %g",
                                       k, transposed, out[i * columns + j], sum);
                }
        }
        psm_sparse_free(&s);
    }
}

Test(psm_tiles, gram_has_the_products_of_all_lines)
{
    uint64_t seed = 72;
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int lines = sizes[k][0], length = sizes[k][1];
        struct psm_sparse s = random_sparse(&seed, lines, length);
        psm_gram(&s, out, scratch);
        for (int i = 0; i < lines; i++)
            for (int j = 0; j <= i; j++) {
                double sum = 0;
                for (int p = 0; p < length; p++)
                    sum += (double)sparse_dense[i * length + p]
                        * (double)sparse_dense[j * length + p];
                cr_expect_float_eq(out[i * lines + j], sum, 1e-4, "case %zu: %d, %d", k, i, j);
            }
        psm_sparse_free(&s);
    }
}

Test(psm_tiles, the_transpose_of_the_transpose_is_the_matrix)
{
    uint64_t seed = 73;
    struct psm_sparse s = random_sparse(&seed, 23, 41), t = random_sparse(&seed, 41, 23),
                      back = random_sparse(&seed, 23, 41);
    size_t count = psm_sparse_values(&s);
    t.column = realloc(t.column, (count + 1) * sizeof *t.column);
    t.value = realloc(t.value, (count + 1) * sizeof *t.value);
    back.column = realloc(back.column, (count + 1) * sizeof *back.column);
    back.value = realloc(back.value, (count + 1) * sizeof *back.value);
    psm_transpose(&s, &t);
    psm_transpose(&t, &back);
    cr_assert_eq(psm_sparse_values(&t), count);
    cr_assert_arr_eq(s.start, back.start, 24 * sizeof *s.start);
    cr_assert_arr_eq(s.column, back.column, count * sizeof *s.column);
    cr_assert_arr_eq(s.value, back.value, count * sizeof *s.value);
    for (int i = 0; i < 23; i++)
        for (uint32_t q = s.start[i]; q < s.start[i + 1]; q++) {
            uint32_t r = t.start[s.column[q]];
            while (r < t.start[s.column[q] + 1] && t.column[r] != (uint32_t)i) r++;
            cr_assert_lt(r, t.start[s.column[q] + 1]);
            cr_expect_eq(t.value[r], s.value[q]);
        }
    psm_sparse_free(&s);
    psm_sparse_free(&t);
    psm_sparse_free(&back);
}
