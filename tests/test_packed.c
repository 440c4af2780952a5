/* Packed matrices give the product of the words that they were made from. */
#include "support.h"

#include <family.h>
#include <levels.h>
#include <packed.h>
#include <psm.h>
#include <sss.h>
#include <stored.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

static uint64_t drawn = 5;

/* Now and then exactly 0, for which codes of few bits have no level. */
static float uniform(float from, float to)
{
    float value = (float)random_uniform(&drawn, from, to);
    return drawn % 97 ? value : 0;
}

static float *random_vector(int n)
{
    float *x = malloc(((size_t)n + 1) * sizeof *x);
    for (int i = 0; i < n; i++) x[i] = uniform(-1, 1);
    return x;
}

/* Whether matrices of 8 bits round their inputs, and what such an input looks like. */
static int rounds;

static void round_vector(float *x, size_t n)
{
    float most = 0;
    for (size_t i = 0; i < n; i++) most = fmaxf(most, fabsf(x[i]));
    for (size_t i = 0; i < n && most > 0; i++) x[i] = roundf(127 * x[i] / most) * (most / 127);
}

/* The norm of the difference of packed and plain products, over that of the product and 1 for each
 * output, since sums may cancel. Behind x and
 * the scratch, which begin anywhere, there is nothing. */
static double packed_error(struct sn_matrix *matrix)
{
    struct sn_error error = { 0 };
    size_t m = (size_t)matrix->n_outputs, n = (size_t)matrix->n_inputs;
    uint32_t *map = malloc((matrix->n_values + 1) * sizeof *map);
    float *words = calloc(matrix->n_words + 1, sizeof *words);
    cr_assert_eq(sn_matrix_init(matrix, map, words, uniform, &error), SN_OK);
    struct sn_packed *packed = sn_pack(matrix, words, &error);
    cr_assert(packed, "%s", error.message);
    float *states = malloc((matrix->n_states + 1) * sizeof *states),
          *room = malloc((sn_packed_scratch(packed) + 1) * sizeof *room),
          *x = random_vector((int)n), *y[2] = { random_vector((int)m), malloc(m * sizeof **y) };
    for (size_t i = 0; i <= sn_packed_scratch(packed); i++) room[i] = NAN;
    memcpy(y[1], y[0], m * sizeof **y);
    if (rounds) round_vector(x, n);
    sn_multiply(matrix, words, 1, x, y[0], states);
    sn_packed_multiply(packed, x, y[1], room);
    double difference = 0, norm = (double)m;
    for (size_t i = 0; i < m; i++) {
        difference += pow((double)y[0][i] - (double)y[1][i], 2);
        norm += pow((double)y[0][i], 2);
    }
    free(map), free(words), free(packed), free(states), free(room), free(x), free(y[0]), free(y[1]);
    return sqrt(difference / norm);
}

static const int all_bits[] = { 32, 8, 4, 3, 2, 1 };

/* Checks a shape in every number of bits, and frees it. Where inputs are rounded, so are the
 * vectors between the parts of a chain. */
static void check_bits(struct sn_matrix *matrix, const char *what, int trial, int is_chain)
{
    for (size_t b = 0; b < sizeof all_bits / sizeof *all_bits; b++)
        for (int group = 0; group <= (all_bits[b] == 32 ? 0 : 16); group += 16) {
            cr_assert_eq(sn_matrix_set_bits(matrix, all_bits[b], group, NULL), SN_OK);
            double error = packed_error(matrix),
                   most = rounds && is_chain && all_bits[b] == 8 && !group ? .02 : 1e-6;
            cr_assert_lt(error, most, "%s %d, %d bits, groups of %d: %g", what, trial, all_bits[b],
                         group, error);
        }
    free(matrix);
}

static void check_sss(int trial)
{
    enum { MOST = 6 };
    int stages = 1 + trial % MOST, inputs[MOST], outputs[MOST], causal[MOST], anticausal[MOST];
    uint64_t seed = (uint64_t)trial + 1;
    for (int k = 0; k < stages; k++) {
        inputs[k] = random_int(&seed, k == 0, 40);
        outputs[k] = random_int(&seed, k == 0, stages == 1 ? 90 : 40);
        causal[k] = random_int(&seed, 0, 9) * random_int(&seed, 0, 2);
        anticausal[k] = random_int(&seed, 0, 9) * random_int(&seed, 0, 2);
    }
    struct sn_error error = { 0 };
    struct sss *shape = sss_new_ordered(stages, inputs, outputs, causal, anticausal,
                                        (enum sss_order)(trial / MOST % 4), &error);
    cr_assert(shape, "%s", error.message);
    check_bits(&shape->matrix, "sss", trial, stages > 1);
}

static void check_psm(int trial)
{
    static const int forms[] = { 1, 4, 8, 16, 32 }, blocks[] = { 1, 4, 8 };
    uint64_t seed = (uint64_t)trial + 1;
    int n = 1 + trial / 15 % 2, sizes[3], nonzeros[2], bits[2] = { forms[trial % 5], 16 },
        escapes[2] = { 0 };
    struct psm_layout layout = { .n_factors = n,
                                 .sizes = sizes,
                                 .nonzeros = nonzeros,
                                 .index_bits = bits,
                                 .block = blocks[trial / 5 % 3],
                                 .has_order = trial % 2,
                                 .escapes = escapes };
    for (int j = 0; j <= n; j++) sizes[j] = random_int(&seed, 1, 150);
    for (int j = 0; j < n; j++) {
        int groups = (sizes[j] + layout.block - 1) / layout.block;
        nonzeros[j] = layout.block
            * (groups * sizes[j + 1] / random_int(&seed, 1, trial % 4 ? 20 : 1));
        if (bits[j] == 4)
            escapes[j] = nonzeros[j] / layout.block < 15 ? 0 : groups * (sizes[j + 1] / 16);
    }
    struct sn_error error = { 0 };
    struct psm *shape = psm_new(&layout, &error);
    cr_assert(shape, "trial %d: %s", trial, error.message);
    check_bits(&shape->matrix, "psm", trial, n > 1);
}

static void check_all(const char *instructions)
{
    setenv("STRUCTNET_ISA", instructions, 1);
    for (int trial = 0; trial < 48; trial++) check_sss(trial);
    for (int trial = 0; trial < 120; trial++) check_psm(trial);
}

static void check_rounding(const char *instructions)
{
    setenv("STRUCTNET_X8", "1", 1);
    rounds = 1;
    check_all(instructions);
}

Test(packed, rounds_inputs) { check_rounding("best"); }
Test(packed, rounds_inputs_with_avx2) { check_rounding("avx2"); }
Test(packed, rounds_inputs_in_plain_c) { check_rounding("plain"); }

Test(packed, has_the_product_of_its_words) { check_all("best"); }
Test(packed, has_the_product_of_its_words_with_avx2) { check_all("avx2"); }
Test(packed, has_the_product_of_its_words_in_plain_c) { check_all("plain"); }

/* Wider than 16-bit columns reach. */
Test(packed, wide_rows)
{
    static const int forms[] = { 1, 4, 8, 32 };
    for (int form = 0; form < 4; form++) {
        int sizes[] = { 9, 70000 }, nonzeros[] = { 9 * 5000 },
            escapes[] = { form == 1 ? 9 * 4400 : 0 };
        struct psm_layout layout = { 1, sizes, nonzeros, &forms[form], 1, 0, escapes };
        struct sn_error error = { 0 };
        struct psm *shape = psm_new(&layout, &error);
        cr_assert(shape, "%s", error.message);
        check_bits(&shape->matrix, "wide", forms[form], 0);
    }
}
