#include "psm_pair.h"
#include "dsf.h"
#include "psm_atoms.h"

#include <math.h>
#include <stdlib.h>

/* ---- Budgets ---- */

/* Bits of an index in a factor of rows x columns that will hold about count values. Eight need a
 * bridge where a gap is wider than 256: at worst columns/256 in a group. They pay off when that is
 * little beside what they save; where values are what is counted they do not. */
static int index_bits(const struct psm_search *search, int rows, int columns, double count)
{
    int n_groups = rows / search->block + 1, per_group = (columns - 1) / 256;
    double bridges = (double)n_groups * per_group, per_bridge = 4 * search->block + 1;
    if (search->budget.values == SIZE_MAX && !psm_pattern_has_groups(search->pattern)
        && count / search->block > 1.6 * bridges * per_bridge)
        return 8;
    return columns <= 65536 ? 16 : 32;
}

/* Keeps the rows (rows 1) or the columns (rows 0) p with number[p] >= 0, under that number; block
 * is 1. */
static void renumber(struct psm_sparse *s, int rows, const int *number, int n_left)
{
    uint32_t count = 0, start = 0;
    int row = 0;
    for (int i = 0; i < s->rows; i++) {
        uint32_t end = s->start[i + 1];
        for (uint32_t q = start; q < end && !(rows && number[i] < 0); q++) {
            int column = rows ? (int)s->column[q] : number[s->column[q]];
            if (column < 0) continue;
            s->column[count] = (uint32_t)column;
            s->value[count++] = s->value[q];
        }
        if (!rows || number[i] >= 0) s->start[++row] = count;
        start = end;
    }
    *(rows ? &s->rows : &s->columns) = n_left;
    s->n_groups = s->rows;
}

/* Leaves out the atoms that have no entry on one of their sides; one atom stays, so that the
 * product has a shape. Rows that stand in groups all stay, and atoms whose places a pattern counts.
 * 0 when memory runs out. */
static int drop_unused_atoms(const struct psm_search *search, struct psm_sparse factors[2])
{
    struct psm_sparse *a = &factors[0], *b = &factors[1];
    int n_left = 0, inner = b->rows, *number;
    if (a->block > 1 || psm_pattern_has_groups(search->pattern)) return 1;
    if (!(number = malloc((size_t)inner * sizeof *number))) return 0;
    for (int p = 0; p < inner; p++) number[p] = 0;
    for (size_t q = 0; q < psm_sparse_values(a); q++) number[a->column[q]] = 1;
    for (int p = 0; p < inner; p++)
        number[p] = number[p] && b->start[p + 1] > b->start[p] ? n_left++ : -1;
    if (!n_left) number[n_left++] = 0;
    renumber(a, 0, number, n_left);
    renumber(b, 1, number, n_left);
    free(number);
    return 1;
}

/* The factors that dsf holds, as a matrix when they fit; else fit->matrix stays NULL. Frees dsf,
 * and the factors before the matrix is measured, so that only one of them is in memory. */
static enum sn_status finish(const struct psm_search *search, struct dsf *dsf, const int bits[2],
                             struct sn_fit *fit, struct sn_error *error)
{
    struct psm_sparse factors[2] = { { 0 } };
    enum sn_status status = SN_OK;
    if (!dsf_take_factors(dsf, factors) || !drop_unused_atoms(search, factors))
        status = sn_no_memory(error, "a PSM approximation");
    dsf_free(dsf);
    if (!status && psm_is_within(psm_size(factors, bits, 2), search->budget))
        status = psm_build(search, factors, bits, NULL, 2, fit, error);
    for (int f = 0; f < 2; f++) psm_sparse_free(&factors[f]);
    return !status && fit->matrix ? psm_measure(search, fit, error) : status;
}

/* ---- Double sparse factorisation ---- */

/* What a run may use: counts of A and B, the factor that starts as the identity, which gets less
 * than half; bits of the indices in the left and the right factor. */
struct targets {
    size_t k[2];
    int bits[2];
};

/* 0 when the budget does not hold the group lengths and two entries. */
static int set_targets(const struct psm_search *search, int flip, struct targets *targets)
{
    static const double thin = .4;
    int m = search->m, n = search->n, inner = flip ? m : n;
    size_t fixed = psm_factor_bytes(m, inner, 0, 0, search->block)
        + psm_factor_bytes(inner, n, 0, 0, search->block) + 8;
    double bytes = search->budget.bytes > fixed
        ? fmin((double)(search->budget.bytes - fixed), INT32_MAX / 2)
        : 0;
    double values = fmin((double)search->budget.values, bytes / (4 + 1. / search->block)),
           share[2] = { 1 - thin, thin };
    /* A is the right factor when the problem is flipped. */
    targets->bits[0] = index_bits(search, m, inner, share[flip ? DSF_B : DSF_A] * values);
    targets->bits[1] = index_bits(search, inner, n, share[flip ? DSF_A : DSF_B] * values);
    double each_a = psm_value_bytes(search, targets->bits[flip]),
           each_b = psm_value_bytes(search, targets->bits[!flip]);
    double most = fmin((double)search->budget.values,
                       bytes / (share[DSF_A] * each_a + share[DSF_B] * each_b));
    values = fmin(most, INT32_MAX / 8);
    double most_a = (double)psm_pattern_most(search->pattern, (size_t)m, (size_t)n),
           most_b = (double)psm_pattern_most(search->pattern, (size_t)inner, (size_t)inner);
    double b = fmin(fmax(search->block, thin * values), most_b);
    double a = fmin(fmin((bytes - b * each_b) / each_a, values - b), most_a);
    targets->k[DSF_A] = a >= search->block
        ? (size_t)a / (size_t)search->block * (size_t)search->block
        : 0;
    targets->k[DSF_B] = (size_t)b / (size_t)search->block * (size_t)search->block;
    return targets->k[DSF_A] && values >= 2 * search->block;
}

/* Makes room for the bridges that 8-bit indices need, and builds them. */
static void bridge_factors(const struct psm_search *search, struct dsf *dsf,
                           const struct targets *targets)
{
    for (int j = 0; j < 2; j++) {
        if (targets->bits[j] != 8) continue;
        struct psm_strided dense = dsf_factor(dsf, j);
        size_t most = targets->k[dsf_side(dsf, j)], block = (size_t)search->block, bridges = 0,
               count;
        do {
            count = most > bridges * block ? most - bridges * block : 0;
            dsf_keep(dsf, j, count);
            bridges = psm_bridge(&dense, search->block, 0);
        } while (count && count + bridges * block > most);
        psm_bridge(&dense, search->block, 1);
        dsf_take(dsf, j);
    }
}

static struct dsf_task task_of(const struct psm_search *search, int flip, size_t most_b)
{
    return (struct dsf_task){ .w = search->w,
                              .rows = search->m,
                              .columns = search->n,
                              .flip = flip,
                              .most_b = most_b,
                              .block = search->block,
                              .pattern = search->pattern,
                              .weighting = search->options->weighting };
}

/* A search from [W, I] or [I, W], with its values fitted. */
static enum sn_status run_start(const struct psm_search *search, int flip, struct sn_fit *fit,
                                struct sn_error *error)
{
    enum { REFIT_ROUNDS = 2, REFIT_STEPS = 6 };
    struct targets targets;
    if (!set_targets(search, flip, &targets)) return SN_OK;
    struct dsf_task task = task_of(search, flip, targets.k[DSF_B]);
    struct dsf *dsf = dsf_new(&task);
    if (!dsf) return sn_no_memory(error, "a PSM approximation");
    dsf_start(dsf);
    double left = dsf_run(dsf, targets.k, dsf_rounds(&task, search->options->effort),
                          search->options->stop);
    psm_report(search, .8, left, search->energy);
    bridge_factors(search, dsf, &targets);
    left = dsf_refit(dsf, REFIT_ROUNDS, REFIT_STEPS);
    psm_report(search, .95, left, dsf_energy(dsf));
    return finish(search, dsf, targets.bits, fit, error);
}

/* The start of a square matrix, [W, I] or [I, W], whose short run comes closer; -1 when the budget
 * holds no two factors. There is memory for one problem at a time. */
static enum sn_status choose_start(const struct psm_search *search, int *best,
                                   struct sn_error *error)
{
    enum { PART = 4 };
    double least = INFINITY;
    *best = -1;
    for (int flip = 0; flip < 2; flip++) {
        struct targets targets;
        if (!set_targets(search, flip, &targets)) continue;
        struct dsf_task task = task_of(search, flip, targets.k[DSF_B]);
        struct dsf *dsf = dsf_new(&task);
        if (!dsf) return sn_no_memory(error, "a PSM approximation");
        int n_rounds = dsf_rounds(&task, search->options->effort) / PART;
        dsf_start(dsf);
        double left = dsf_run(dsf, targets.k, n_rounds, search->options->stop);
        dsf_free(dsf);
        if (left < least) {
            least = left;
            *best = flip;
        }
        psm_report(search, .1 * (flip + 1), least, search->energy);
    }
    return SN_OK;
}

/* The smaller side lies between the factors. fit->matrix stays NULL when the budget does not hold
 * two factors. */
static enum sn_status fit_pair(const struct psm_search *search, struct sn_fit *fit,
                               struct sn_error *error)
{
    int flip = search->m < search->n;
    enum sn_status status = search->m == search->n ? choose_start(search, &flip, error) : SN_OK;
    return status || flip < 0 ? status : run_start(search, flip, fit, error);
}

/* ---- Exact products ---- */

/* Lets a search take entries from factors that are larger than the budget. */
static void shrink(const struct psm_search *search, int inner, struct dsf *dsf)
{
    enum { ROUNDS = 10, REFIT_ROUNDS = 4, REFIT_STEPS = 6 };
    size_t counts[2] = { dsf_count(dsf, DSF_A), dsf_count(dsf, DSF_B) }, k[2],
           fixed = psm_factor_bytes(search->m, inner, 0, 0, 1)
        + psm_factor_bytes(inner, search->n, 0, 0, 1) + 8; /* 8: the padding. */
    double bytes = (double)counts[0] * (inner <= 65536 ? 6 : 8)
        + (double)counts[1] * (search->n <= 65536 ? 6 : 8);
    double left = fmin(((double)search->budget.bytes - (double)fixed) / bytes,
                       (double)search->budget.values / (double)(counts[0] + counts[1]));
    if (left <= 0) return;
    for (int f = 0; f < 2; f++) k[f] = (size_t)(fmin(1, left) * (double)counts[f]);
    dsf_run(dsf, k, ROUNDS, search->options->stop);
    dsf_refit(dsf, REFIT_ROUNDS, REFIT_STEPS);
}

/* The factors of a product that psm_peel found: atom p is column p of S_1 and row p of S_2. */
static void take_atoms(struct dsf *dsf, const struct psm_atoms *atoms)
{
    for (int number = 0; number < 2; number++) {
        struct psm_strided factor = dsf_factor(dsf, number);
        size_t n = (size_t)(number ? atoms->n : atoms->m),
               step = number ? factor.step_j : factor.step_i,
               step_p = number ? factor.step_i : factor.step_j;
        for (int p = 0; p < atoms->n_atoms; p++) {
            const double *side = psm_atoms_side(atoms, p, number);
            for (size_t k = 0; k < n; k++)
                factor.values[(size_t)p * step_p + k * step] = (float)side[k];
        }
        dsf_take(dsf, number);
    }
}

/* The fit that a product of sparse matrices allows, when W is found to be one; else fit->matrix
 * stays NULL. */
static enum sn_status fit_product(const struct psm_search *search, struct sn_fit *fit,
                                  struct sn_error *error)
{
    struct psm_atoms atoms;
    struct dsf *dsf = NULL;
    enum sn_status status = SN_OK;
    enum psm_peel_result found = psm_atoms_find(search->w, search->m, search->n, search->budget,
                                                &atoms);
    if (found == PSM_PEEL_NONE) goto done;
    struct dsf_task task = { .w = search->w,
                             .rows = search->m,
                             .columns = search->n,
                             .inner = atoms.n_atoms,
                             .block = 1,
                             .most_b = SIZE_MAX };
    if (found != PSM_PEEL_WHOLE || !(dsf = dsf_new(&task))) {
        status = sn_no_memory(error, "a PSM approximation");
        goto done;
    }
    take_atoms(dsf, &atoms);
    if (!psm_is_within(psm_atoms_size(&atoms), search->budget)) shrink(search, atoms.n_atoms, dsf);
    status = finish(search, dsf, (int[2]){ 0, 0 }, fit, error);
done:
    psm_atoms_free(&atoms);
    return status;
}

/* ---- The choice ---- */

enum sn_status psm_pair_fit(const struct psm_search *search, struct sn_fit *fit,
                            struct sn_error *error)
{
    struct sn_fit other = { 0 };
    int may_be_exact = search->block == 1 && !psm_pattern_has_groups(search->pattern);
    enum sn_status status = may_be_exact ? fit_product(search, fit, error) : SN_OK;
    if (!status && !(fit->matrix && fit->error < 1e-6)) {
        status = fit_pair(search, &other, error);
        psm_keep_better(fit, &other);
    }
    if (!status && !fit->matrix)
        status = sn_fail(error, SN_BAD_INPUT,
                         "budget of %zu bytes cannot hold two sparse factors of %d x %d",
                         search->budget.bytes, search->m, search->n);
    if (status) sn_fit_free(fit);
    return status;
}
