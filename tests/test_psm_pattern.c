/* Fits whose factors have at most N of each M entries side by side. */
#include "support.h"

#include <fit.h>
#include <psm.h>
#include <psm_keep.h>

#include <criterion/criterion.h>
#include <stdlib.h>

static const struct {
    enum psm_pattern pattern;
    int stay, size;
} patterns[] = {
    { PSM_1_OF_4, 1, 4 }, { PSM_2_OF_4, 2, 4 }, { PSM_1_OF_8, 1, 8 }, { PSM_1_OF_16, 1, 16 }
};

/* The most entries that a group of some row of some factor has. */
static int fullest(const struct sn_fit *fit, int size)
{
    const struct psm *s = (const struct psm *)fit->matrix;
    const uint32_t *start = s->row_starts, *column = s->columns;
    int most = 0;
    for (int j = 0; j < s->n_factors; j++) {
        for (int i = 0; i < s->sizes[j]; i++) {
            int count = 0, group = -1;
            for (uint32_t q = start[i]; q < start[i + 1]; q++) {
                count = (int)column[q] / size == group ? count + 1 : 1;
                group = (int)column[q] / size;
                if (count > most) most = count;
            }
        }
        column += start[s->sizes[j]];
        start += s->sizes[j] + 1;
    }
    return most;
}

/* Wide rows and few bytes tempt a fit to bridge gaps for indices of 8 bits. */
Test(psm_pattern, no_group_has_more_than_its_share)
{
    enum { M = 23, N = 1030 };
    uint64_t seed = 61;
    float *w = malloc(M * N * sizeof *w);
    for (int i = 0; i < M * N; i++) w[i] = (float)random_uniform(&seed, -1, 1);
    for (int i = 0; i < 8 * 2; i++) {
        int p = i / 4, n_factors = 1 + i / 2 % 2, of_bytes = i % 2;
        struct sn_fit_options options = {
            .settings = SETTINGS({ "factors", n_factors }, { "pattern", (int)patterns[p].pattern })
        };
        if (of_bytes) options.budget_bytes = M * N / 3;
        else options.budget_values = M * N / 5;
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        cr_expect_eq(fullest(&fit, patterns[p].size), patterns[p].stay, "case %d: %d", i,
                     fullest(&fit, patterns[p].size));
        cr_expect_lt(fit.error, 1);
        sn_fit_free(&fit);
    }
    free(w);
}

/* One factor with room for more than the pattern lets stay has all that it lets stay, in a last
 * group that is narrower too. */
Test(psm_pattern, one_factor_fills_every_group)
{
    enum { M = 6, N = 35 };
    static const int in_row[] = { 9, 18, 5, 3 };
    uint64_t seed = 62;
    float w[M * N];
    for (int i = 0; i < M * N; i++) w[i] = (float)random_uniform(&seed, .5, 1);
    for (int p = 0; p < 4; p++) {
        struct sn_fit_options options = {
            .budget_values = M * N,
            .settings = SETTINGS({ "factors", 1 }, { "pattern", (int)patterns[p].pattern })
        };
        struct sn_fit fit;
        cr_assert(!sn_fit(sn_fit_type_find("psm"), w, M, N, &options, &fit, NULL));
        cr_expect_eq(fit.matrix->n_values, (size_t)(M * in_row[p]), "pattern %d", p);
        sn_fit_free(&fit);
    }
}

Test(psm_pattern, groups_go_with_two_factors_at_most_and_without_blocks)
{
    float w[16 * 16] = { 1 };
    struct sn_fit fit;
    struct sn_fit_options options = {
        .budget_values = 100, .settings = SETTINGS({ "factors", 3 }, { "pattern", PSM_1_OF_4 })
    };
    cr_expect_eq(sn_fit(sn_fit_type_find("psm"), w, 16, 16, &options, &fit, NULL), SN_BAD_INPUT);
    options.settings = SETTINGS({ "block", 4 }, { "pattern", PSM_1_OF_4 });
    cr_expect_eq(sn_fit(sn_fit_type_find("psm"), w, 16, 16, &options, &fit, NULL), SN_BAD_INPUT);
}
