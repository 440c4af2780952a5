/* The nearest matrix of a sparsity pattern: entries stay as they are or become 0. */
#ifndef PSM_KEEP_H
#define PSM_KEEP_H

#include <stddef.h>

/* Which entries of a factor stay: its largest, or as many in each of its rows, or columns; or at
 * most one or two of each 4, 8 or 16 that stand side by side in a row, from a multiple on. */
enum psm_pattern {
    PSM_ENTRIES = 0,
    PSM_ROWS,
    PSM_COLUMNS,
    PSM_1_OF_4,
    PSM_2_OF_4,
    PSM_1_OF_8,
    PSM_1_OF_16
};

/* Whether the pattern limits groups in a row: nothing may be added between entries then. */
int psm_pattern_has_groups(enum psm_pattern pattern);

/* The most entries of rows x columns that the pattern lets stay. */
size_t psm_pattern_most(enum psm_pattern pattern, size_t rows, size_t columns);

/* Keeps the k entries of largest magnitude in a matrix of lines x length, stored line by line; the
 * others become 0, ties are kept by position. This is the matrix of k entries that is nearest in
 * the Frobenius norm.
 *
 * With block > 1 it keeps the k / block blocks of largest norm (k is a multiple of block). Else,
 * by the pattern, k is spread evenly over the rows or over the columns, and the largest entries of
 * each stay; or the largest of each group stay, and of these the k largest of all. The rows of the
 * matrix are its lines, or, with rows_are_lines 0, its columns.
 *
 * scratch holds lines x length floats, with blocks one for each of them. Cost: three passes, which
 * count the digits of the magnitudes (a radix selection), whatever k is. */
void psm_keep(float *values, size_t lines, size_t length, enum psm_pattern pattern,
              int rows_are_lines, size_t block, size_t k, float *scratch);

#endif
