#include "psm_keep.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static uint32_t magnitude_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits & 0x7fffffff;
}

/* The bits of the k-th largest magnitude, 1 <= k <= n; *above receives how many are larger.
 * Magnitudes order as their bits do, so the digits are found from the top by counting. */
static uint32_t kth_magnitude(const float *values, size_t n, size_t k, size_t *above)
{
    enum { DIGITS = 3, BITS = 11 };
    static const int shifts[DIGITS] = { 20, 9, -2 };
    uint32_t prefix = 0, mask = 0;
    *above = 0;
    for (int d = 0; d < DIGITS; d++) {
        size_t count[1 << BITS] = { 0 };
        int shift = shifts[d] < 0 ? 0 : shifts[d],
            digits = shifts[d] < 0 ? 1 << (BITS + shifts[d]) : 1 << BITS;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = magnitude_bits(values[i]);
            if ((bits & mask) == prefix) count[bits >> shift & (uint32_t)(digits - 1)]++;
        }
        int digit = digits - 1;
        while (digit > 0 && *above + count[digit] < k) *above += count[digit--];
        prefix |= (uint32_t)digit << shift;
        mask |= (uint32_t)(digits - 1) << shift;
    }
    return prefix;
}

/* The k largest of values by magnitude stay, ties by position. */
static void keep_largest(float *values, size_t n, size_t k)
{
    if (k >= n) return;
    if (!k) {
        memset(values, 0, n * sizeof *values);
        return;
    }
    size_t above;
    uint32_t threshold = kth_magnitude(values, n, k, &above);
    size_t ties = k - above;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits = magnitude_bits(values[i]);
        if (bits > threshold || (bits == threshold && ties && ties--)) continue;
        values[i] = 0;
    }
}

/* keep_largest for the count entries values[0], values[stride], .. */
static void keep_strided(float *values, size_t count, size_t stride, size_t k, float *scratch)
{
    for (size_t i = 0; i < count; i++) scratch[i] = values[i * stride];
    keep_largest(scratch, count, k);
    for (size_t i = 0; i < count; i++) values[i * stride] = scratch[i];
}

/* k entries of a lines x length matrix, spread evenly over its lines, or over its columns. */
static void keep_in_each(float *values, size_t lines, size_t length, int by_line, size_t k,
                         float *scratch)
{
    size_t n = by_line ? lines : length;
    for (size_t i = 0; i < n; i++) {
        size_t share = (i + 1) * k / n - i * k / n;
        if (by_line) keep_largest(values + i * length, length, share);
        else keep_strided(values + i, lines, length, share, scratch);
    }
}

/* ---- Groups in a row ---- */

/* So many of each size entries stay; size 0: no groups. */
struct groups {
    size_t stay, size;
};

static struct groups groups_of(enum psm_pattern pattern)
{
    static const struct groups all[] = { [PSM_1_OF_4] = { 1, 4 },
                                         [PSM_2_OF_4] = { 2, 4 },
                                         [PSM_1_OF_8] = { 1, 8 },
                                         [PSM_1_OF_16] = { 1, 16 } };
    return all[pattern];
}

int psm_pattern_has_groups(enum psm_pattern pattern) { return groups_of(pattern).size > 0; }

size_t psm_pattern_most(enum psm_pattern pattern, size_t rows, size_t columns)
{
    struct groups groups = groups_of(pattern);
    if (!groups.size) return rows * columns;
    size_t rest = columns % groups.size;
    return rows * (columns / groups.size * groups.stay + (rest < groups.stay ? rest : groups.stay));
}

/* The stay largest of the count entries values[0], values[stride], .., ties by position. */
static void keep_group(float *values, size_t count, size_t stride, size_t stay)
{
    enum { MOST = 16 };
    uint32_t bits[MOST];
    for (size_t i = 0; i < count; i++) bits[i] = magnitude_bits(values[i * stride]);
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;
        for (size_t l = 0; l < count; l++)
            before += bits[l] > bits[i] || (l < i && bits[l] == bits[i]);
        if (before >= stay) values[i * stride] = 0;
    }
}

/* The k largest of what the groups of each row leave. */
static void keep_groups(float *values, size_t lines, size_t length, struct groups groups,
                        int rows_are_lines, size_t k)
{
    size_t rows = rows_are_lines ? lines : length, columns = rows_are_lines ? length : lines,
           step_row = rows_are_lines ? length : 1, stride = rows_are_lines ? 1 : length;
    for (size_t j = 0; j < columns; j += groups.size)
        for (size_t i = 0; i < rows; i++)
            keep_group(values + i * step_row + j * stride,
                       columns - j < groups.size ? columns - j : groups.size, stride, groups.stay);
    keep_largest(values, lines * length, k);
}

/* ---- Blocks ---- */

/* The norm of one block: along != 0 as consecutive entries of a line, else as consecutive lines at
 * one place. */
static float block_norm(const float *values, size_t lines, size_t length, size_t line, size_t place,
                        size_t block, int along)
{
    float sum = 0;
    for (size_t i = 0; i < block; i++) {
        size_t l = along ? line : line * block + i, p = along ? place * block + i : place;
        if (l < lines && p < length) sum += values[l * length + p] * values[l * length + p];
    }
    return sqrtf(sum);
}

/* Keeps the k/block blocks of largest norm; norms has room for all of them. */
static void keep_blocks(float *values, size_t lines, size_t length, size_t block, int along,
                        size_t k, float *norms)
{
    size_t n_lines = along ? lines : (lines + block - 1) / block,
           n_places = along ? (length + block - 1) / block : length;
    for (size_t l = 0; l < n_lines; l++)
        for (size_t p = 0; p < n_places; p++)
            norms[l * n_places + p] = block_norm(values, lines, length, l, p, block, along);
    keep_largest(norms, n_lines * n_places, k / block);
    for (size_t l = 0; l < lines; l++)
        for (size_t p = 0; p < length; p++)
            if (norms[along ? l * n_places + p / block : l / block * n_places + p] == 0)
                values[l * length + p] = 0;
}

void psm_keep(float *values, size_t lines, size_t length, enum psm_pattern pattern,
              int rows_are_lines, size_t block, size_t k, float *scratch)
{
    if (block > 1) keep_blocks(values, lines, length, block, !rows_are_lines, k, scratch);
    else if (pattern == PSM_ENTRIES) keep_largest(values, lines * length, k);
    else if (psm_pattern_has_groups(pattern))
        keep_groups(values, lines, length, groups_of(pattern), rows_are_lines, k);
    else keep_in_each(values, lines, length, (pattern == PSM_ROWS) == rows_are_lines, k, scratch);
}
