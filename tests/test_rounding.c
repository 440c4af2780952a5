/* Values of few bits that are chosen with the whole error in view. */
#include "support.h"

#include <levels.h>
#include <rounding.h>
#include <stored.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 24, COLUMNS = 40, MOST = 48 };

static const int all_bits[] = { 1, 2, 3, 4, 8 };
enum { N_BITS = sizeof all_bits / sizeof *all_bits };

/* ||(W - O X Z) L||^2, and everything around X. */
struct problem {
    size_t m, a, b, n;
    float w[MOST * MOST], o[MOST * MOST], z[MOST * MOST], moment[MOST * MOST];
    float x[MOST * MOST], difference[MOST * MOST], scales[MOST];
    int has_o, has_z;
    struct sn_weighting weighting;
};

static void fill(float *values, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++) values[i] = (float)random_uniform(seed, -1, 1);
}

/* c = a b, m x k by k x n, in double. */
static void product(const float *a, const float *b, float *c, size_t m, size_t k, size_t n)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t l = 0; l < k; l++) sum += (double)a[i * k + l] * (double)b[l * n + j];
            c[i * n + j] = (float)sum;
        }
}

static void take_difference(const struct problem *p, const float *x, float *difference)
{
    static float first[MOST * MOST], second[MOST * MOST];
    const float *what = x;
    if (p->has_o) product(p->o, what, first, p->m, p->a, p->b), what = first;
    if (p->has_z) product(what, p->z, second, p->m, p->b, p->n), what = second;
    for (size_t i = 0; i < p->m * p->n; i++) difference[i] = p->w[i] - what[i];
}

/* The error of X, by its definition. */
static double error_of(const struct problem *p, const float *x)
{
    static float difference[MOST * MOST], image[MOST * MOST];
    double sum = 0;
    take_difference(p, x, difference);
    product(difference, p->moment, image, p->m, p->n, p->n);
    for (size_t i = 0; i < p->m * p->n; i++) sum += (double)difference[i] * (double)image[i];
    return sum;
}

/* M of random samples and the identity; X of random values, of which density are there. */
static void make(struct problem *p, int has_o, int has_z, double density, uint64_t seed)
{
    static float samples[MOST * MOST], transposed[MOST * MOST];
    *p = (struct problem){ .has_o = has_o, .has_z = has_z, .a = ROWS, .b = COLUMNS };
    p->m = has_o ? 30 : ROWS;
    p->n = has_z ? 45 : COLUMNS;
    fill(p->w, p->m * p->n, &seed);
    fill(p->o, p->m * p->a, &seed);
    fill(p->z, p->b * p->n, &seed);
    fill(p->x, p->a * p->b, &seed);
    for (size_t i = 0; i < p->a * p->b; i++)
        if (random_uniform(&seed, 0, 1) > density) p->x[i] = 0;
    fill(samples, p->n * p->n, &seed);
    for (size_t i = 0; i < p->n; i++)
        for (size_t j = 0; j < p->n; j++) transposed[j * p->n + i] = samples[i * p->n + j];
    product(transposed, samples, p->moment, p->n, p->n, p->n);
    for (size_t i = 0; i < p->n; i++) p->moment[i * (p->n + 1)] += 1;
    p->weighting = (struct sn_weighting){ .n = (int)p->n, .moment = p->moment };
    take_difference(p, p->x, p->difference);
}

static struct sn_rounding rounding_of(struct problem *p, int bits, int is_sparse)
{
    return (struct sn_rounding){
        .bits = bits, .is_sparse = is_sparse, .block = 1, .values = p->x, .scales = p->scales
    };
}

static struct sn_part part_of(struct problem *p)
{
    return (struct sn_part){
        p->m,          p->a, p->b, p->n, p->has_o ? p->o : NULL, p->has_z ? p->z : NULL,
        p->difference, 0,    0,    0
    };
}

/* Whether each entry is a level times the scale of its row, or 0 where a sparse X has none. */
static int has_levels(const struct problem *p, int bits, int is_sparse)
{
    for (size_t i = 0; i < p->a * p->b; i++) {
        float scale = p->scales[i / p->b], level = p->x[i] / scale;
        if (scale != sn_bfloat_round(scale)) return 0;
        if (p->x[i] == 0 && (is_sparse || bits == 8)) continue;
        if (fabsf(level - sn_level_near(bits, level)) > 1e-4f * sn_level_most(bits)) return 0;
    }
    return 1;
}

/* How far the error can fall when one of some entries goes to another level of its row. */
static double best_step(const struct problem *p, int bits, int is_sparse)
{
    static float x[MOST * MOST];
    double before = error_of(p, p->x), best = 0;
    memcpy(x, p->x, sizeof x);
    for (size_t i = 0; i < p->a * p->b; i += 53) {
        float scale = p->scales[i / p->b], level = p->x[i] / scale;
        if (is_sparse && p->x[i] == 0) continue;
        for (int step = -1; step <= 1; step += 2) {
            float other = level;
            while (fabsf(other) < 200 && fabsf(sn_level_near(bits, other) - level) < .5f)
                other += (float)step * .5f;
            x[i] = sn_level_near(bits, other) * scale;
            if (!is_sparse || x[i] != 0) best = fmax(best, before - error_of(p, x));
        }
        x[i] = p->x[i];
    }
    return best;
}

/* Wherever X stands, full and sparse, at every size: the difference follows X, entries are levels,
 * and no entry could be better alone, up to the rounding of sums in float32. */
Test(rounding, ends_where_no_entry_alone_can_be_better)
{
    static struct problem p;
    for (int c = 0; c < 8 * N_BITS; c++) {
        int bits = all_bits[c / 8], is_sparse = c % 2;
        static float expected[MOST * MOST];
        make(&p, c / 2 % 2, c / 4 % 2, is_sparse ? .4 : 1, (uint64_t)c);
        struct sn_rounding rounding = rounding_of(&p, bits, is_sparse);
        struct sn_part part = part_of(&p);
        cr_assert(!sn_round_part(&part, &p.weighting, &rounding, 0, 20, 500, NULL));
        cr_assert(has_levels(&p, bits, is_sparse), "%d bits, case %d", bits, c);
        take_difference(&p, p.x, expected);
        for (size_t i = 0; i < p.m * p.n; i++)
            cr_assert_float_eq(p.difference[i], expected[i], 2e-4, "case %d", c);
        static const float zeros[MOST * MOST];
        cr_assert_leq(best_step(&p, bits, is_sparse), 1e-6 * error_of(&p, zeros),
                      "%d bits, case %d", bits, c);
    }
}

/* Rows of Z that are rows of I give the same error whether that is said or not. */
Test(rounding, knows_rows_of_the_identity)
{
    enum { FIRST = 4, UNITS = 9, COLUMN = 20 };
    static struct problem said, unsaid;
    for (int c = 0; c < 4; c++) {
        struct problem *both[] = { &said, &unsaid };
        for (int k = 0; k < 2; k++) {
            struct problem *p = both[k];
            make(p, c / 2, 1, 1, (uint64_t)c + 70);
            for (size_t i = 0; i < UNITS; i++)
                for (size_t j = 0; j < p->n; j++) p->z[(FIRST + i) * p->n + j] = j == COLUMN + i;
            take_difference(p, p->x, p->difference);
            struct sn_rounding rounding = rounding_of(p, 4, 0);
            struct sn_part part = part_of(p);
            if (!k) part.first = FIRST, part.n_units = UNITS, part.column = COLUMN;
            cr_assert(
                !sn_round_part(&part, c % 2 ? &p->weighting : NULL, &rounding, 0, 20, 40, NULL));
        }
        /* Sums in another order may turn a code that lies between two, and others after it. */
        double expected = error_of(&unsaid, unsaid.x), found = error_of(&said, said.x);
        cr_assert_float_eq(found, expected, .1 * expected, "case %d: %g, %g", c, found, expected);
    }
}

/* What rounding to the nearest level loses is at least a fifth more, at the scales that were found.
 */
Test(rounding, loses_less_than_the_nearest_levels)
{
    static struct problem p;
    static float nearest[MOST * MOST];
    for (int c = 0; c < 4; c++) {
        make(&p, 0, 0, 1, (uint64_t)c + 50);
        memcpy(p.x, p.w, sizeof p.x);
        memset(p.difference, 0, sizeof p.difference);
        struct sn_rounding rounding = rounding_of(&p, all_bits[c], 0);
        struct sn_part part = part_of(&p);
        cr_assert(!sn_round_part(&part, &p.weighting, &rounding, 0, 0, 40, NULL));
        for (size_t i = 0; i < p.a * p.b; i++) {
            float scale = p.scales[i / p.b];
            nearest[i] = sn_level_near(all_bits[c], p.w[i] / scale) * scale;
        }
        cr_assert_lt(1.2 * error_of(&p, p.x), error_of(&p, nearest), "%d bits", all_bits[c]);
    }
}

/* The pattern that is chosen with the codes has as many entries as there is room for, whole blocks,
 * and loses less than the same number of the largest entries. */
Test(rounding, chooses_the_pattern_with_the_codes)
{
    static struct problem p, largest;
    for (int c = 0; c < 6; c++) {
        int block = c % 2 ? 4 : 1, bits = all_bits[c / 2 + 1];
        size_t count = 240, entries = 0;
        make(&p, 0, 0, 1, 99);
        memcpy(p.x, p.w, sizeof p.x);
        for (size_t i = 0; i < p.a * p.b; i++) /* Every fourth column, to be improved on. */
            if (i % p.b % 4) p.x[i] = 0;
        take_difference(&p, p.x, p.difference);
        largest = p;
        struct sn_rounding rounding = rounding_of(&p, bits, 1),
                           kept = rounding_of(&largest, bits, 1);
        struct sn_part part = part_of(&p), kept_part = part_of(&largest);
        rounding.block = kept.block = block;
        cr_assert(!sn_round_part(&part, &p.weighting, &rounding, count, 0, 40, NULL));
        cr_assert(!sn_round_part(&kept_part, &p.weighting, &kept, 0, 0, 40, NULL));
        for (size_t i = 0; i < p.a; i += (size_t)block)
            for (size_t j = 0; j < p.b; j++) {
                int live = 0;
                for (size_t k = i; k < i + (size_t)block; k++) live += p.x[k * p.b + j] != 0;
                cr_assert(live == 0 || live == block, "block %d: %d entries", block, live);
                entries += (size_t)live;
            }
        cr_assert_leq(entries, count);
        cr_assert_geq(entries, count * 9 / 10, "%zu entries", entries);
        cr_assert_lt(error_of(&p, p.x), error_of(&largest, largest.x), "block %d, %d bits", block,
                     bits);
    }
}

/* With 32 bits the values of a pattern come to where the gradient of each is gone. */
Test(rounding, fits_floats_on_a_pattern)
{
    static struct problem p;
    static float x[MOST * MOST];
    for (int c = 0; c < 4; c++) {
        make(&p, c % 2, c / 2, .3, 7);
        struct sn_rounding rounding = rounding_of(&p, 32, 1);
        struct sn_part part = part_of(&p);
        cr_assert(!sn_round_part(&part, &p.weighting, &rounding, 0, 0, 300, NULL));
        double least = error_of(&p, p.x);
        for (size_t i = 0; i < p.a * p.b; i += 11) {
            if (p.x[i] == 0) continue;
            for (int sign = -1; sign <= 1; sign += 2) {
                memcpy(x, p.x, sizeof x);
                x[i] += (float)sign * .02f;
                cr_assert_gt(error_of(&p, x), least * (1 - 1e-5), "case %d", c);
            }
        }
    }
}

/* ---- Through the front door */

enum { M = 60, N = 50 };

/* A matrix whose entries differ in size from row to row, and samples with correlated columns. */
static void make_example(float *w, float *x, int n_samples)
{
    uint64_t seed = 3;
    for (int i = 0; i < M; i++)
        for (int j = 0; j < N; j++)
            w[i * N + j] = (float)(random_uniform(&seed, -1, 1) * (1 + i % 5)
                                   + 2 * sin(.2 * i) * cos(.3 * j));
    for (int s = 0; s < n_samples; s++) {
        double common = random_uniform(&seed, -1, 1);
        for (int j = 0; j < N; j++)
            x[s * N + j] = (float)(random_uniform(&seed, 0, 1) + common * (j % 3));
    }
}

/* Every type at every size is within its budget in bytes, holds what it says, and more bits of the
 * same dense matrix are better. */
Test(rounding, every_type_at_every_size_is_within_its_budget)
{
    static float w[M * N], x[80 * N];
    struct sn_weighting weighting;
    const struct sn_fit_type *type;
    make_example(w, x, 80);
    cr_assert(!sn_weighting_new(NULL, 0, x, 80, N, .1, 0, &weighting, NULL));
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int c = 0; c < 2 * N_BITS; c++) {
            struct sn_fit_options options = { .budget_bytes = M * N * (size_t)(c % 2 ? 2 : 1),
                                              .bits = all_bits[c / 2],
                                              .effort = SN_QUICK,
                                              .weighting = c % 2 ? &weighting : NULL };
            struct sn_fit fit;
            struct sn_error error = { 0 };
            cr_assert(!sn_fit(type, w, M, N, &options, &fit, &error) || options.bits == 8, "%s: %s",
                      type->name, error.message);
            if (error.code) continue;
            cr_assert_leq(fit.matrix->n_bytes, options.budget_bytes, "%s, %d bits: %zu", type->name,
                          options.bits, fit.matrix->n_bytes);
            cr_assert_eq(fit.matrix->bits, options.bits);
            cr_assert_lt(fit.weighted_error, 1, "%s, %d bits", type->name, options.bits);
            sn_fit_free(&fit);
        }
    sn_weighting_free(&weighting);
}

Test(rounding, more_bits_of_a_dense_matrix_are_better)
{
    static float w[M * N], x[80 * N];
    struct sn_weighting weighting;
    double before = 1;
    make_example(w, x, 80);
    cr_assert(!sn_weighting_new(NULL, 0, x, 80, N, .1, 0, &weighting, NULL));
    for (int c = 0; c < N_BITS; c++) {
        struct sn_fit_options options = { .bits = all_bits[c], .weighting = &weighting };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("dense"), w, M, N, &options, &fit, NULL));
        cr_assert_lt(fit.weighted_error, .7 * before, "%d bits: %g", options.bits,
                     fit.weighted_error);
        before = fit.weighted_error;
        sn_fit_free(&fit);
    }
    sn_weighting_free(&weighting);
}
