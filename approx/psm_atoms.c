#include "psm_atoms.h"
#include "psm.h"
#include "psm_blocks.h"
#include "psm_peel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void psm_atoms_free(struct psm_atoms *atoms)
{
    free(atoms->sides); /* NOLINT(clang-analyzer-unix.Malloc): psm_peel sets it anew. */
    *atoms = (struct psm_atoms){ 0 };
}

size_t psm_atoms_length(const struct psm_atoms *atoms)
{
    return (size_t)atoms->m + (size_t)atoms->n;
}

double *psm_atoms_side(const struct psm_atoms *atoms, int p, int side)
{
    return atoms->sides + (size_t)p * psm_atoms_length(atoms) + (side ? atoms->m : 0);
}

int psm_atoms_append(struct psm_atoms *atoms)
{
    if (atoms->n_atoms == atoms->capacity) {
        int capacity = atoms->capacity ? 2 * atoms->capacity : 64;
        double *sides = realloc(atoms->sides,
                                (size_t)capacity * psm_atoms_length(atoms) * sizeof *sides);
        if (!sides) return -1;
        atoms->sides = sides;
        atoms->capacity = capacity;
    }
    memset(psm_atoms_side(atoms, atoms->n_atoms, 0), 0,
           psm_atoms_length(atoms) * sizeof *atoms->sides);
    return atoms->n_atoms++;
}

struct psm_budget psm_atoms_size(const struct psm_atoms *atoms)
{
    size_t nonzeros[2] = { 0 }, m = (size_t)atoms->m, length = m + (size_t)atoms->n;
    for (size_t p = 0; p < (size_t)atoms->n_atoms; p++)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): psm_peel sets it anew. */
        for (size_t k = 0; k < length; k++) nonzeros[k >= m] += atoms->sides[p * length + k] != 0;
    return (struct psm_budget){ psm_factor_bytes(atoms->m, atoms->n_atoms, nonzeros[0], 0, 1)
                                    + psm_factor_bytes(atoms->n_atoms, atoms->n, nonzeros[1], 0, 1),
                                nonzeros[0] + nonzeros[1] };
}

enum psm_peel_result psm_atoms_find(const float *w, int m, int n, struct psm_budget budget,
                                    struct psm_atoms *best)
{
    unsigned n_searches = (unsigned)fmin(40, 1 + 4e5 / ((double)m * n));
    enum psm_peel_result result = psm_blocks(w, m, n, best);
    for (unsigned seed = 0; seed < n_searches && result != PSM_PEEL_NO_MEMORY; seed++) {
        struct psm_atoms atoms;
        if (result == PSM_PEEL_WHOLE && psm_is_within(psm_atoms_size(best), budget)) break;
        enum psm_peel_result one = psm_peel(w, m, n, seed, &atoms);
        if (one == PSM_PEEL_NO_MEMORY || result == PSM_PEEL_NONE
            || (one == PSM_PEEL_WHOLE
                && psm_atoms_size(&atoms).bytes < psm_atoms_size(best).bytes)) {
            psm_atoms_free(best);
            *best = atoms;
            result = one;
        } else psm_atoms_free(&atoms);
        if (one == PSM_PEEL_NONE) break;
    }
    return result;
}
