#include "psm_pair.h"
#include "dsf.h"
#include "psm_atoms.h"
#include "psm_index.h"

#include <math.h>
#include <stdlib.h>

/* ---- Budgets ---- */

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

/* The factors that dsf holds, as a matrix when they fit; else fit->matrix stays NULL. Bridges keep
 * all atoms, since they may be what an atom has. Frees dsf, and the factors before the matrix is
 * measured, so that only one of them is in memory. */
static enum sn_status finish(const struct psm_search *search, struct dsf *dsf, int has_bridges,
                             struct sn_fit *fit, struct sn_error *error)
{
    struct psm_sparse factors[2] = { { 0 } };
    struct psm_budget size = { 0 };
    int bits[2], escapes[2];
    enum sn_status status = SN_OK;
    if (!dsf_take_factors(dsf, factors) || (!has_bridges && !drop_unused_atoms(search, factors)))
        status = sn_no_memory(error, "a PSM approximation");
    dsf_free(dsf);
    for (int j = 0; j < 2 && !status; j++) {
        struct psm_index form = psm_index_narrowest(&factors[j]);
        bits[j] = form.bits;
        escapes[j] = form.escapes;
        size.values += psm_sparse_values(&factors[j]);
        size.bytes += form.bytes + 4 * psm_sparse_values(&factors[j]);
    }
    if (!status && psm_is_within(size, search->budget))
        status = psm_build(search, factors, bits, escapes, 2, fit, error);
    for (int f = 0; f < 2; f++) psm_sparse_free(&factors[f]);
    return !status && fit->matrix ? psm_measure(search, fit, error) : status;
}

/* ---- Double sparse factorisation ---- */

/* The entries that A and B may have of so many. B, which starts as the identity, gets less than
 * half. */
static void share_out(const struct psm_search *search, int inner, double values, double k[2])
{
    static const double thin = .4;
    size_t m = (size_t)search->m, n = (size_t)search->n, side = (size_t)inner;
    k[DSF_B] = fmin(fmax(search->block, thin * values),
                    (double)psm_pattern_most(search->pattern, side, side));
    k[DSF_A] = fmax(0, fmin(values - k[DSF_B], (double)psm_pattern_most(search->pattern, m, n)));
}

/* Bytes of both factors with so many entries. */
static double foretell(const struct psm_search *search, int flip, double values)
{
    int m = search->m, n = search->n, inner = flip ? m : n,
        bridges = !psm_pattern_has_groups(search->pattern);
    double k[2];
    share_out(search, inner, values, k);
    return psm_index_foretell(m, inner, search->block, 32, bridges, k[flip ? DSF_B : DSF_A])
        + psm_index_foretell(inner, n, search->block, 32, bridges, k[flip ? DSF_A : DSF_B]);
}

/* k <- the counts of A and B that the budget is foretold to hold; 0 when these are none. */
static int set_targets(const struct psm_search *search, int flip, size_t k[2])
{
    double low = 0, high = fmin((double)search->budget.values, INT32_MAX / 8),
           full = 2. * search->m * search->n, share[2];
    size_t block = (size_t)search->block;
    high = fmin(high, full);
    if (foretell(search, flip, high) <= (double)search->budget.bytes) low = high;
    while (high - low > 1) {
        double middle = (low + high) / 2;
        if (foretell(search, flip, middle) <= (double)search->budget.bytes) low = middle;
        else high = middle;
    }
    share_out(search, flip ? search->m : search->n, low, share);
    for (int f = 0; f < 2; f++) k[f] = (size_t)share[f] / block * block;
    return k[DSF_A] && low >= 2 * search->block;
}

/* Factor j of dsf in the form that takes fewer bytes: its narrowest, or 8 bits with bridges, which
 * it then needs. */
struct form {
    double bytes;
    int has_bridges;
};

/* Without memory the bytes are 0. */
static struct form measure(const struct psm_search *search, struct dsf *dsf, int j)
{
    struct psm_strided dense = dsf_factor(dsf, j);
    struct psm_index narrowest;
    struct form form = { .bytes = (double)psm_index_measure(&dense, search->block, &narrowest) };
    if (!(form.bytes > 0) || psm_pattern_has_groups(search->pattern)) return form;
    size_t count = ((size_t)form.bytes - narrowest.bytes) / 4
        + psm_bridge(&dense, search->block, 0) * (size_t)search->block;
    double bridged = (double)psm_factor_bytes(dense.rows, dense.columns, count, 8, search->block);
    form.has_bridges = bridged < form.bytes;
    form.bytes = fmin(form.bytes, bridged);
    return form;
}

/* Lets the smallest entries go until both factors are within the budget, and builds bridges. 0 when
 * memory runs out. */
static int keep_within(const struct psm_search *search, struct dsf *dsf, size_t k[2],
                       int *has_bridges)
{
    size_t block = (size_t)search->block;
    for (double excess = 2; excess > 1 && k[DSF_A] + k[DSF_B] > 0;) {
        struct form forms[2];
        for (int j = 0; j < 2; j++)
            if (!((forms[j] = measure(search, dsf, j)).bytes > 0)) return 0;
        excess = (forms[0].bytes + forms[1].bytes) / (double)search->budget.bytes;
        for (int j = 0; j < 2; j++) {
            size_t *count = &k[dsf_side(dsf, j)];
            struct psm_strided dense = dsf_factor(dsf, j);
            if (excess > 1) {
                *count = (size_t)(.9995 / excess * (double)*count) / block * block;
                dsf_keep(dsf, j, *count);
            } else if (forms[j].has_bridges && psm_bridge(&dense, search->block, 1))
                *has_bridges = 1;
            dsf_take(dsf, j);
        }
    }
    return 1;
}

/* B has room for its bridges. */
static struct dsf_task task_of(const struct psm_search *search, int flip, size_t most_b)
{
    size_t side = (size_t)(flip ? search->m : search->n);
    most_b += (side / 256 + 1) * (side + (size_t)search->block);
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
    size_t k[2];
    int has_bridges = 0;
    if (!set_targets(search, flip, k)) return SN_OK;
    struct dsf_task task = task_of(search, flip, k[DSF_B]);
    struct dsf *dsf = dsf_new(&task);
    if (!dsf) return sn_no_memory(error, "a PSM approximation");
    dsf_start(dsf);
    double left = dsf_run(dsf, k, dsf_rounds(&task, search->options->effort),
                          search->options->stop);
    psm_report(search, .8, left, search->energy);
    dsf_end_run(dsf);
    if (search->budget.bytes < SIZE_MAX && !keep_within(search, dsf, k, &has_bridges)) {
        dsf_free(dsf);
        return sn_no_memory(error, "a PSM approximation");
    }
    left = dsf_refit(dsf, REFIT_ROUNDS, REFIT_STEPS);
    psm_report(search, .95, left, dsf_energy(dsf));
    return finish(search, dsf, has_bridges, fit, error);
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
        size_t k[2];
        if (!set_targets(search, flip, k)) continue;
        struct dsf_task task = task_of(search, flip, k[DSF_B]);
        struct dsf *dsf = dsf_new(&task);
        if (!dsf) return sn_no_memory(error, "a PSM approximation");
        int n_rounds = dsf_rounds(&task, search->options->effort) / PART;
        dsf_start(dsf);
        double left = dsf_run(dsf, k, n_rounds, search->options->stop);
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
    status = finish(search, dsf, 0, fit, error);
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
