#include "psm_blocks.h"

#include <math.h>

/* Takes the block of rows i0 + i i_step, columns j0 + j j_step (height x width) as one atom when it
 * has rank one up to rounding. Returns 1, 0 when it has not, -1 without memory. A zero block makes
 * no atom. */
static int take_block(const float *w, struct psm_atoms *atoms, size_t i0, size_t i_step,
                      size_t height, size_t j0, size_t j_step, size_t width)
{
    size_t n = (size_t)atoms->n, i_most = i0, j_most = j0;
    for (size_t i = 0; i < height; i++)
        for (size_t j = 0; j < width; j++)
            if (fabsf(w[(i0 + i * i_step) * n + j0 + j * j_step]) > fabsf(w[i_most * n + j_most]))
                i_most = i0 + i * i_step, j_most = j0 + j * j_step;
    double most = w[i_most * n + j_most];
    if (most == 0) return 1;
    for (size_t i = 0; i < height; i++)
        for (size_t j = 0; j < width; j++) {
            size_t row = i0 + i * i_step, column = j0 + j * j_step;
            double expected = (double)w[row * n + j_most] * (double)w[i_most * n + column] / most;
            if (fabs((double)w[row * n + column] - expected) > 1e-6 * fabs(most)) return 0;
        }
    int p = psm_atoms_append(atoms);
    if (p < 0) return -1;
    double *a = psm_atoms_side(atoms, p, 0), *b = psm_atoms_side(atoms, p, 1);
    for (size_t i = 0; i < height; i++)
        a[i0 + i * i_step] = w[(i0 + i * i_step) * n + j_most] / most;
    for (size_t j = 0; j < width; j++) b[j0 + j * j_step] = w[i_most * n + j0 + j * j_step];
    return 1;
}

/* The ways in which the rows i = i1 height + i2 and the columns j = j1 wide + j2 can make blocks:
 * of one i1 or of one i2, of one j2 or of one j1. */
enum { STRIDED_ROWS = 1, WHOLE_COLUMNS = 2, N_GRIDS = 4 };

/* All blocks of a grid. Returns as take_block does. */
static int take_blocks(const float *w, struct psm_atoms *atoms, size_t height, size_t wide,
                       int grid)
{
    size_t m = (size_t)atoms->m, n = (size_t)atoms->n, tall = m / height, width = n / wide;
    int strided = grid & STRIDED_ROWS, whole = grid & WHOLE_COLUMNS;
    atoms->n_atoms = 0;
    for (size_t k = 0; k < (strided ? height : tall); k++)
        for (size_t l = 0; l < (whole ? width : wide); l++) {
            int one = take_block(w, atoms, strided ? k : k * height, strided ? height : 1,
                                 strided ? tall : height, whole ? l * wide : l, whole ? 1 : wide,
                                 whole ? wide : width);
            if (one < 1) return one;
        }
    return 1;
}

enum psm_peel_result psm_blocks(const float *w, int m, int n, struct psm_atoms *atoms)
{
    /* Blocks of 2 x 2, as H_4 has, save nothing but divide. */
    size_t least = (size_t)m * (size_t)n + 1;
    *atoms = (struct psm_atoms){ .m = m, .n = n };
    for (int height = 1; height <= m; height++)
        for (int wide = 1; wide <= n && m % height == 0; wide++)
            for (int grid = 0; grid < N_GRIDS && n % wide == 0; grid++) {
                size_t rows = (size_t)(grid & STRIDED_ROWS ? m / height : height);
                size_t columns = (size_t)(grid & WHOLE_COLUMNS ? wide : n / wide);
                size_t n_blocks = (size_t)m / rows * ((size_t)n / columns);
                if (n_blocks > (size_t)m + (size_t)n || n_blocks * (rows + columns) >= least)
                    continue;
                struct psm_atoms tried = { .m = m, .n = n };
                int whole = take_blocks(w, &tried, (size_t)height, (size_t)wide, grid);
                size_t nonzeros = psm_atoms_size(&tried).values;
                if (whole == 1 && nonzeros < least) {
                    psm_atoms_free(atoms);
                    *atoms = tried;
                    least = nonzeros;
                } else psm_atoms_free(&tried);
                if (whole < 0) {
                    psm_atoms_free(atoms);
                    return PSM_PEEL_NO_MEMORY;
                }
            }
    return atoms->n_atoms ? PSM_PEEL_WHOLE : PSM_PEEL_NONE;
}
