/* Which entries of a matrix stay. */
#include "support.h"

#include <psm_keep.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 12, LENGTH = 20, SIZE = LINES * LENGTH };

static void random_values(uint64_t *seed, float *values)
{
    for (int i = 0; i < SIZE; i++) values[i] = (float)random_uniform(seed, -1, 1);
}

/* How many of values[first], values[first + step], .. stay as in before; the others must be 0, and
 * no larger than those that stay. */
static int count_kept(const float *values, const float *before, int count, int first, int step)
{
    float least_kept = INFINITY, most_gone = 0;
    int kept = 0;
    for (int i = 0, at = first; i < count; i++, at += step) {
        if (values[at] != 0) cr_assert_eq(values[at], before[at]);
        if (values[at] != 0) least_kept = fminf(least_kept, fabsf(before[at]));
        else most_gone = fmaxf(most_gone, fabsf(before[at]));
        kept += values[at] != 0;
    }
    cr_assert_geq(least_kept, most_gone);
    return kept;
}

Test(psm_keep, the_largest_entries_stay)
{
    uint64_t seed = 1;
    float values[SIZE], before[SIZE], scratch[SIZE];
    for (int k = 0; k <= SIZE; k += 30) {
        random_values(&seed, before);
        for (int i = 0; i < SIZE; i++) before[i] = ldexpf(before[i], random_int(&seed, -30, 30));
        memcpy(values, before, sizeof values);
        psm_keep(values, LINES, LENGTH, PSM_ENTRIES, 1, 1, (size_t)k, scratch);
        cr_assert_eq(count_kept(values, before, SIZE, 0, 1), k);
    }
}

Test(psm_keep, ties_are_kept_by_position)
{
    float values[] = { 1, -2, 2, 1, -2, 3 };
    static const float expected[] = { 0, -2, 2, 0, 0, 3 };
    float scratch[6];
    psm_keep(values, 2, 3, PSM_ENTRIES, 1, 1, 3, scratch);
    cr_assert(!memcmp(values, expected, sizeof values));
}

Test(psm_keep, rows_and_columns_share_evenly)
{
    uint64_t seed = 2;
    float values[SIZE], before[SIZE], scratch[SIZE];
    for (int by_row = 0; by_row < 2; by_row++)
        for (int rows_are_lines = 0; rows_are_lines < 2; rows_are_lines++) {
            int by_line = by_row == rows_are_lines, n = by_line ? LINES : LENGTH, k = 3 * n + 5;
            random_values(&seed, before);
            memcpy(values, before, sizeof values);
            psm_keep(values, LINES, LENGTH, by_row ? PSM_ROWS : PSM_COLUMNS, rows_are_lines, 1,
                     (size_t)k, scratch);
            int total = 0;
            for (int i = 0; i < n; i++) {
                int kept = by_line ? count_kept(values, before, LENGTH, i * LENGTH, 1)
                                   : count_kept(values, before, LINES, i, LENGTH);
                cr_assert(kept == 3 || kept == 4, "%d: %d", i, kept);
                total += kept;
            }
            cr_assert_eq(total, k);
        }
}

/* Blocks of four rows: 4 lines at one place, or 4 places of one line. */
Test(psm_keep, the_blocks_of_largest_norm_stay_whole)
{
    enum { BLOCK = 4, KEPT = 7 };
    uint64_t seed = 3;
    float values[SIZE], before[SIZE], scratch[SIZE];
    for (int rows_are_lines = 0; rows_are_lines < 2; rows_are_lines++) {
        int step = rows_are_lines ? LENGTH : 1, kept = 0;
        double least_kept = INFINITY, most_gone = 0;
        random_values(&seed, before);
        memcpy(values, before, sizeof values);
        psm_keep(values, LINES, LENGTH, PSM_ENTRIES, rows_are_lines, BLOCK, BLOCK * KEPT, scratch);
        for (int b = 0; b < SIZE / BLOCK; b++) {
            int first = rows_are_lines ? b / LENGTH * BLOCK * LENGTH + b % LENGTH : b * BLOCK;
            double energy = 0;
            int n = 0;
            for (int i = 0; i < BLOCK; i++) {
                float x = before[first + i * step];
                energy += (double)x * (double)x;
                n += values[first + i * step] == x;
                cr_assert(values[first + i * step] == x || values[first + i * step] == 0);
            }
            cr_assert(n == 0 || n == BLOCK, "block %d: %d entries", b, n);
            if (n) least_kept = fmin(least_kept, energy);
            else most_gone = fmax(most_gone, energy);
            kept += n == BLOCK;
        }
        cr_assert_eq(kept, KEPT);
        cr_assert_geq(least_kept, most_gone);
    }
}
