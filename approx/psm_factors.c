#include "psm_factors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sparse matrices ---- */

void psm_sparse_free(struct psm_sparse *s)
{
    free(s->start);
    free(s->column);
    free(s->value);
    memset(s, 0, sizeof *s);
}

static float *entry_at(const struct psm_strided *dense, size_t i, size_t j)
{
    return dense->values + i * dense->step_i + j * dense->step_j;
}

/* Whether the block of rows from i on has an entry in column j. */
static int is_live(const struct psm_strided *dense, size_t i, size_t j, size_t block)
{
    for (size_t r = i; r < i + block && r < (size_t)dense->rows; r++)
        if (*entry_at(dense, r, j) != 0) return 1;
    return 0;
}

/* The blocks that are not zero, or just their number when s has no room yet. */
static size_t take_blocks(const struct psm_strided *dense, struct psm_sparse *s)
{
    size_t count = 0, block = (size_t)s->block;
    for (size_t g = 0; g < (size_t)s->n_groups; g++) {
        for (size_t j = 0; j < (size_t)s->columns; j++) {
            if (!is_live(dense, g * block, j, block)) continue;
            for (size_t b = 0; s->column && b < block && g * block + b < (size_t)s->rows; b++)
                s->value[count * block + b] = *entry_at(dense, g * block + b, j);
            if (s->column) s->column[count] = (uint32_t)j;
            count++;
        }
        if (s->column) s->start[g + 1] = (uint32_t)count;
    }
    return count;
}

int psm_sparse_new(struct psm_sparse *s, const struct psm_strided *dense, int block)
{
    *s = (struct psm_sparse){ .rows = dense->rows,
                              .columns = dense->columns,
                              .block = block,
                              .n_groups = (dense->rows + block - 1) / block };
    size_t count = take_blocks(dense, s);
    s->start = calloc((size_t)s->n_groups + 1, sizeof *s->start);
    s->value = calloc(count * (size_t)block + 1, sizeof *s->value);
    s->column = malloc((count + 1) * sizeof *s->column);
    if (!s->start || !s->column || !s->value) {
        psm_sparse_free(s);
        return 0;
    }
    take_blocks(dense, s);
    return 1;
}

size_t psm_sparse_values(const struct psm_sparse *s)
{
    return (size_t)s->start[s->n_groups] * (size_t)s->block;
}

struct psm_strided psm_factor_of(struct palm *palm, int number)
{
    int f = (number == 0) == palm->flip ? PALM_B : PALM_A, length = f == PALM_A ? palm->m : palm->n;
    float *values = palm_dense(palm, f);
    if (number == 0) return (struct psm_strided){ values, length, palm->inner, 1, (size_t)length };
    return (struct psm_strided){ values, palm->inner, length, (size_t)length, 1 };
}

int psm_take_factors(struct palm *palm, struct psm_sparse factors[2])
{
    memset(factors, 0, 2 * sizeof *factors);
    palm_balance(palm);
    palm_end(palm);
    for (int j = 0; j < 2; j++) {
        struct psm_strided dense = psm_factor_of(palm, j);
        if (!psm_sparse_new(&factors[j], &dense, palm->block)) return 0;
    }
    for (size_t q = 0; q < psm_sparse_values(&factors[1]); q++)
        factors[1].value[q] /= palm->scale[factors[1].column[q / (size_t)palm->block]];
    return 1;
}

/* ---- Budgets ---- */

struct psm_budget psm_size(const struct psm_sparse *factors, const int *bits, int n_factors)
{
    struct psm_budget size = { 0, 0 };
    for (int j = 0; j < n_factors; j++) {
        size_t values = psm_sparse_values(&factors[j]);
        size.bytes += psm_factor_bytes(factors[j].rows, factors[j].columns, values, bits[j],
                                       factors[j].block);
        size.values += values;
    }
    return size;
}

double psm_value_bytes(const struct psm_search *search, int bits)
{
    return 4 + bits / 8. / search->block;
}

int psm_is_within(struct psm_budget size, struct psm_budget budget)
{
    return size.bytes <= budget.bytes && size.values <= budget.values;
}

/* ---- Bridges ---- */

size_t psm_bridge(const struct psm_strided *dense, int block, int set)
{
    size_t n = 0;
    for (size_t i = 0; i < (size_t)dense->rows; i += (size_t)block) {
        size_t next = 0; /* The first column that follows the last block. */
        for (size_t j = 0; j < (size_t)dense->columns; j++) {
            if (!is_live(dense, i, j, (size_t)block)) continue;
            for (; j - next > 255; next += 256, n++)
                if (set) *entry_at(dense, i, next + 255) = 0x1p-100f;
            next = j + 1;
        }
    }
    return n;
}

/* ---- From factors to the result ---- */

enum sn_status psm_build(const struct psm_search *search, const struct psm_sparse *factors,
                         const int *bits, int n_factors, struct sn_fit *fit, struct sn_error *error)
{
    int *sizes = calloc(2 * (size_t)n_factors + 1, sizeof *sizes),
        *nonzeros = sizes ? sizes + n_factors + 1 : NULL;
    if (!sizes) return sn_no_memory(error, "a PSM approximation");
    sizes[0] = factors[0].rows;
    for (int j = 0; j < n_factors; j++) {
        sizes[j + 1] = factors[j].columns;
        nonzeros[j] = (int)psm_sparse_values(&factors[j]);
    }
    struct psm_layout layout = { .n_factors = n_factors,
                                 .sizes = sizes,
                                 .nonzeros = nonzeros,
                                 .index_bits = bits,
                                 .block = search->block,
                                 .has_order = search->order != NULL };
    struct psm *shape = psm_new(&layout, error);
    free(sizes);
    if (!shape) return error->code;
    fit->matrix = &shape->matrix;
    fit->words = calloc(shape->matrix.n_words + 1, sizeof *fit->words);
    if (!fit->words) {
        sn_fit_free(fit);
        return sn_no_memory(error, "a PSM approximation");
    }
    uint32_t *starts = shape->row_starts, *columns = shape->columns;
    float *values = fit->words;
    for (int j = 0; j < n_factors; j++) {
        size_t n_groups = (size_t)factors[j].n_groups, n_blocks = factors[j].start[n_groups];
        memcpy(starts, factors[j].start, (n_groups + 1) * sizeof *starts);
        memcpy(columns, factors[j].column, n_blocks * sizeof *columns);
        memcpy(values, factors[j].value, psm_sparse_values(&factors[j]) * sizeof *values);
        starts += n_groups + 1;
        columns += n_blocks;
        values += psm_sparse_values(&factors[j]);
    }
    if (search->order)
        memcpy(shape->order, search->order, (size_t)search->m * sizeof *shape->order);
    psm_pack(shape, fit->words);
    return SN_OK;
}

enum sn_status psm_measure(const struct psm_search *search, struct sn_fit *fit,
                           struct sn_error *error)
{
    size_t n = (size_t)search->n;
    const float *w = search->w;
    float *sorted = NULL;
    if (search->order) {
        if (!(sorted = malloc((size_t)search->m * n * sizeof *sorted))) {
            sn_fit_free(fit);
            return sn_no_memory(error, "a PSM approximation");
        }
        for (size_t i = 0; i < (size_t)search->m; i++)
            memcpy(sorted + search->order[i] * n, w + i * n, n * sizeof *sorted);
        w = sorted;
    }
    enum sn_status status = sn_fit_measure(fit, w, search->options->weighting, error);
    if (status) sn_fit_free(fit);
    free(sorted);
    return status;
}

void psm_keep_better(struct sn_fit *fit, struct sn_fit *other)
{
    if (other->matrix && (!fit->matrix || other->weighted_error < fit->weighted_error)) {
        struct sn_fit worse = *fit;
        *fit = *other;
        *other = worse;
    }
    sn_fit_free(other);
}

/* ---- Searching ---- */

void psm_report(const struct psm_search *search, double done, double squared_error, double energy)
{
    if (search->options->progress && squared_error < INFINITY)
        search->options->progress(search->options->context, done,
                                  energy > 0 ? sqrt(squared_error / energy) : 0);
}

/* A round of 1000 x 1280 sets the time. B's entries count when they are many: each costs about as
 * much as 18 multiply-adds of the dense product for every row of A, since a sparse product reaches
 * a part of that one's speed. Below half of the bytes that changes nothing for 1000 x 1280. */
int psm_rounds(enum sn_effort effort, const struct palm *palm, size_t most_b)
{
    static const double usual[] = { [SN_QUICK] = 40, [SN_NORMAL] = 160, [SN_THOROUGH] = 1000 };
    double dense = (double)palm->m * palm->n * palm->inner, sparse = 18. * palm->m * (double)most_b;
    double work = fmax(dense / (1000. * 1280 * 1280), (dense + sparse) / 4e9),
           rounds = usual[effort];
    return (int)fmin(fmax(rounds / work, rounds / 8), 1.25 * rounds);
}

/* ---- Exact products ---- */

struct psm_budget psm_atoms_size(const struct psm_atoms *atoms)
{
    size_t nonzeros[2] = { 0 }, m = (size_t)atoms->m, length = m + (size_t)atoms->n;
    for (size_t p = 0; p < (size_t)atoms->n_atoms; p++)
        for (size_t k = 0; k < length; k++) nonzeros[k >= m] += atoms->sides[p * length + k] != 0;
    return (struct psm_budget){ psm_factor_bytes(atoms->m, atoms->n_atoms, nonzeros[0], 0, 1)
                                    + psm_factor_bytes(atoms->n_atoms, atoms->n, nonzeros[1], 0, 1),
                                nonzeros[0] + nonzeros[1] };
}

enum psm_peel_result psm_find_atoms(const float *w, int m, int n, struct psm_budget budget,
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
