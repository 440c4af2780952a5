/* PSM approximation of a dense matrix: one factor (psm_prune), or two: exactly, when the matrix is
 * the product of two sparse ones (psm_peel), else by PALM (palm.h). More factors are psm_chain's.
 */
#include "psm_atoms.h"
#include "psm_chain.h"
#include "psm_prune.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Budgets ---- */

/* Bits of an index in a factor of rows x columns that will hold about count values. Eight need a
 * bridge where a gap is wider than 256: at worst columns/256 in a group. They pay off when that is
 * little beside what they save; where values are what is counted they do not. */
static int index_bits(const struct psm_search *search, int rows, int columns, double count)
{
    double bridges = (double)(rows / search->block + 1) * ((columns - 1) / 256),
           per_bridge = 4 * search->block + 1;
    if (search->budget.values == SIZE_MAX && count / search->block > 1.6 * bridges * per_bridge)
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
 * product has a shape. number is scratch for every atom. Rows that stand in groups all stay. */
static void drop_unused_atoms(struct psm_sparse factors[2], int *number)
{
    struct psm_sparse *a = &factors[0], *b = &factors[1];
    int n_left = 0, inner = b->rows;
    if (a->block > 1) return;
    for (int p = 0; p < inner; p++) number[p] = 0;
    for (size_t q = 0; q < psm_sparse_values(a); q++) number[a->column[q]] = 1;
    for (int p = 0; p < inner; p++)
        number[p] = number[p] && b->start[p + 1] > b->start[p] ? n_left++ : -1;
    if (!n_left) number[n_left++] = 0;
    renumber(a, 0, number, n_left);
    renumber(b, 1, number, n_left);
}

/* The factors that palm holds, as a matrix when they fit; else fit->matrix stays NULL. Frees palm,
 * and the factors before the matrix is measured, so that only one of them is in memory. */
static enum sn_status finish(const struct psm_search *search, struct palm *palm, const int bits[2],
                             struct sn_fit *fit, struct sn_error *error)
{
    struct psm_sparse factors[2] = { { 0 } };
    enum sn_status status = SN_OK;
    int *number = malloc((size_t)palm->inner * sizeof *number);
    if (!number || !psm_take_factors(palm, factors))
        status = sn_no_memory(error, "a PSM approximation");
    palm_free(palm);
    if (!status) drop_unused_atoms(factors, number);
    if (!status && psm_is_within(psm_size(factors, bits, 2), search->budget))
        status = psm_build(search, factors, bits, 2, fit, error);
    for (int f = 0; f < 2; f++) psm_sparse_free(&factors[f]);
    free(number);
    return !status && fit->matrix ? psm_measure(search, fit, error) : status;
}

/* ---- Two factors by PALM ---- */

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
    targets->bits[0] = index_bits(search, m, inner, share[flip ? PALM_B : PALM_A] * values);
    targets->bits[1] = index_bits(search, inner, n, share[flip ? PALM_A : PALM_B] * values);
    double each_a = psm_value_bytes(search, targets->bits[flip]),
           each_b = psm_value_bytes(search, targets->bits[!flip]);
    double most = fmin((double)search->budget.values,
                       bytes / (share[PALM_A] * each_a + share[PALM_B] * each_b));
    values = fmin(most, INT32_MAX / 8);
    double b = fmin(fmax(search->block, thin * values), (double)inner * inner);
    double a = fmin(fmin((bytes - b * each_b) / each_a, values - b), (double)m * n);
    targets->k[PALM_A] = a >= search->block
        ? (size_t)a / (size_t)search->block * (size_t)search->block
        : 0;
    targets->k[PALM_B] = (size_t)b / (size_t)search->block * (size_t)search->block;
    return targets->k[PALM_A] && values >= 2 * search->block;
}

/* Makes room for the bridges that 8-bit indices need, and builds them. */
static void bridge_factors(struct palm *palm, const struct targets *targets)
{
    for (int j = 0; j < 2; j++) {
        if (targets->bits[j] != 8) continue;
        int f = (j == 0) == palm->flip ? PALM_B : PALM_A;
        struct psm_strided dense = psm_factor_of(palm, j);
        size_t most = targets->k[f], block = (size_t)palm->block, bridges = 0, count;
        do {
            count = most > bridges * block ? most - bridges * block : 0;
            palm_project(palm, f, dense.values, count);
            bridges = psm_bridge(&dense, palm->block, 0);
        } while (count && count + bridges * block > most);
        psm_bridge(&dense, palm->block, 1);
        if (f == PALM_B) palm_take_b(palm);
    }
}

/* Whether a run with that start is worth its memory: its factor with the identity takes inner^2
 * entries. */
static int affordable(const struct psm_search *search, int flip)
{
    double inner = flip ? search->m : search->n;
    return inner * inner <= 4. * search->m * search->n || inner <= 256;
}

static int new_problem(const struct psm_search *search, int flip, size_t most_b, struct palm *palm)
{
    struct palm_task task = { .w = search->w,
                              .rows = search->m,
                              .columns = search->n,
                              .flip = flip,
                              .most_b = most_b,
                              .block = search->block,
                              .pattern = search->pattern,
                              .weighting = search->options->weighting };
    return palm_new(palm, &task);
}

/* PALM for a start, with its values fitted. */
static enum sn_status run_start(const struct psm_search *search, int flip, struct sn_fit *fit,
                                struct sn_error *error)
{
    enum { REFIT_STEPS = 6 };
    int refit_rounds = search->options->effort == SN_QUICK ? 2 : 6;
    struct palm palm;
    struct targets targets;
    if (!set_targets(search, flip, &targets)) return SN_OK;
    if (!new_problem(search, flip, targets.k[PALM_B], &palm))
        return sn_no_memory(error, "a PSM approximation");
    int n_rounds = psm_rounds(search->options->effort, &palm, targets.k[PALM_B]);
    palm_start(&palm);
    double left = palm_run(&palm, targets.k, n_rounds, search->options->stop);
    psm_report(search, .8, left, search->energy);
    bridge_factors(&palm, &targets);
    left = palm_refit(&palm, refit_rounds, REFIT_STEPS);
    psm_report(search, .95, left, palm.energy);
    enum sn_status status = finish(search, &palm, targets.bits, fit, error);
    palm_free(&palm);
    return status;
}

/* The start, [W, I] or [I, W], whose short run comes closer; -1 when the budget holds no two
 * factors. There is memory for one problem at a time. */
static enum sn_status choose_start(const struct psm_search *search, int *best,
                                   struct sn_error *error)
{
    enum { ROUNDS = 16 };
    double least = INFINITY;
    *best = -1;
    for (int flip = 0; flip < 2; flip++) {
        struct palm palm;
        struct targets targets;
        if (!affordable(search, flip) || !set_targets(search, flip, &targets)) continue;
        if (!new_problem(search, flip, targets.k[PALM_B], &palm))
            return sn_no_memory(error, "a PSM approximation");
        palm_start(&palm);
        double left = palm_run(&palm, targets.k, ROUNDS, search->options->stop);
        palm_free(&palm);
        if (left < least) {
            least = left;
            *best = flip;
        }
        psm_report(search, .1 * (flip + 1), least, search->energy);
    }
    return SN_OK;
}

/* PALM from the better start. fit->matrix stays NULL when the budget does not hold two factors. */
static enum sn_status fit_palm(const struct psm_search *search, struct sn_fit *fit,
                               struct sn_error *error)
{
    int flip;
    enum sn_status status = choose_start(search, &flip, error);
    return status || flip < 0 ? status : run_start(search, flip, fit, error);
}

/* ---- Exact products ---- */

/* Lets PALM take entries from factors that are larger than the budget. */
static void shrink(const struct psm_search *search, struct palm *palm)
{
    enum { ROUNDS = 10, REFIT_ROUNDS = 4, REFIT_STEPS = 6 };
    size_t counts[2] = { 0 }, k[2],
           fixed = psm_factor_bytes(palm->m, palm->inner, 0, 0, 1)
        + psm_factor_bytes(palm->inner, palm->n, 0, 0, 1) + 8; /* 8: the padding. */
    for (size_t i = 0; i < palm_size(palm, PALM_A); i++) counts[PALM_A] += palm->a[i] != 0;
    counts[PALM_B] = palm->b.start[palm->inner];
    double bytes = (double)counts[0] * (palm->inner <= 65536 ? 6 : 8)
        + (double)counts[1] * (palm->n <= 65536 ? 6 : 8);
    double left = fmin(((double)search->budget.bytes - (double)fixed) / bytes,
                       (double)search->budget.values / (double)(counts[0] + counts[1]));
    if (left <= 0) return;
    for (int f = 0; f < 2; f++) k[f] = (size_t)(fmin(1, left) * (double)counts[f]);
    for (int round = 0; round < ROUNDS; round++) palm_round(palm, k);
    palm_refit(palm, REFIT_ROUNDS, REFIT_STEPS);
}

/* The factors of a product that psm_peel found: atom p is column p of S_1 and row p of S_2. */
static void palm_from_atoms(struct palm *palm, const struct psm_atoms *atoms)
{
    size_t m = (size_t)atoms->m, length = m + (size_t)atoms->n, inner = (size_t)atoms->n_atoms;
    for (size_t p = 0; p < inner; p++)
        for (size_t k = 0; k < length; k++) {
            float *side = k < m ? palm->a + p * m + k : palm->dense + p * (length - m) + k - m;
            *side = (float)atoms->sides[p * length + k];
        }
    palm_take_b(palm);
}

/* The fit that a product of sparse matrices allows, when W is found to be one; else fit->matrix
 * stays NULL. */
static enum sn_status fit_product(const struct psm_search *search, struct sn_fit *fit,
                                  struct sn_error *error)
{
    struct psm_atoms atoms;
    struct palm palm = { 0 };
    enum sn_status status = SN_OK;
    enum psm_peel_result found = psm_atoms_find(search->w, search->m, search->n, search->budget,
                                                &atoms);
    if (found == PSM_PEEL_NONE) goto done;
    struct palm_task task = { .w = search->w,
                              .rows = search->m,
                              .columns = search->n,
                              .inner = atoms.n_atoms,
                              .block = 1,
                              .most_b = SIZE_MAX };
    if (found != PSM_PEEL_WHOLE || !palm_new(&palm, &task)) {
        status = sn_no_memory(error, "a PSM approximation");
        goto done;
    }
    palm_from_atoms(&palm, &atoms);
    if (!psm_is_within(psm_atoms_size(&atoms), search->budget)) shrink(search, &palm);
    status = finish(search, &palm, (int[2]){ 0, 0 }, fit, error);
done:
    palm_free(&palm);
    psm_atoms_free(&atoms);
    return status;
}

/* ---- The choice ---- */

/* PALM, unless W is a product. */
static enum sn_status fit_two_factors(const struct psm_search *search, struct sn_fit *fit,
                                      struct sn_error *error)
{
    struct sn_fit other = { 0 };
    enum sn_status status = search->block > 1 ? SN_OK : fit_product(search, fit, error);
    if (!status && !(fit->matrix && fit->error < 1e-6)) {
        status = fit_palm(search, &other, error);
        psm_keep_better(fit, &other);
    }
    if (!status && !fit->matrix)
        status = sn_fail(error, SN_BAD_INPUT,
                         "budget of %zu bytes cannot hold two sparse factors of %d x %d",
                         search->budget.bytes, search->m, search->n);
    if (status) sn_fit_free(fit);
    return status;
}

/* One factor, two, the better of both, or a longer chain. The one is fitted again where it is the
 * better, since two take most of the memory. */
static enum sn_status fit_factors(const struct psm_search *search, struct sn_fit *fit,
                                  struct sn_error *error)
{
    if (search->n_factors > 2) return psm_chain_fit(search, fit, error);
    if (search->n_factors == 2) return fit_two_factors(search, fit, error);
    enum sn_status status = psm_prune(search, fit, error);
    if (status || search->n_factors == 1 || fit->error == 0) return status;
    double error_of_one = fit->weighted_error;
    sn_fit_free(fit);
    status = fit_two_factors(search, fit, error);
    /* A budget that is too small for two factors leaves the one. */
    if (status == SN_NO_MEMORY || (!status && fit->weighted_error < error_of_one)) return status;
    sn_fit_free(fit);
    return psm_prune(search, fit, error);
}

/* The power of two that brings W's largest entry near 1, so that sums of squares can be formed in
 * float32; 0 when they can be as it stands. */
static int exponent_of(const float *dense, size_t size)
{
    float largest = 0;
    int exponent;
    for (size_t i = 0; i < size; i++) largest = fmaxf(largest, fabsf(dense[i]));
    frexpf(largest, &exponent);
    return abs(exponent) < 20 ? 0 : exponent;
}

/* A copy of W times 2^-exponent, which is exact. */
static float *scale_copy(const float *dense, size_t size, int exponent)
{
    float *scaled = malloc(size * sizeof *scaled);
    for (size_t i = 0; scaled && i < size; i++) scaled[i] = ldexpf(dense[i], -exponent);
    return scaled;
}

/* ---- Rows in an order that suits blocks ---- */

/* similarity[i, l] = sum_j w_ij^2 w_lj^2: how much of their energy two rows have in the same
 * columns. */
static void row_similarity(const float *w, int m, int n, float *squares, float *similarity)
{
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++) squares[i] = w[i] * w[i];
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasNoTrans, m, n, 1, squares, n, 0, similarity, m);
    for (size_t i = 0; i < (size_t)m; i++)
        for (size_t l = 0; l < i; l++)
            similarity[i * (size_t)m + l] = similarity[l * (size_t)m + i];
}

/* Groups of block rows, one after the other: the row of most energy that is left, then those which
 * agree best with the group so far. The last rows make the group that is not whole. */
static void group_rows(const float *similarity, int m, int block, uint32_t *order, char *taken)
{
    for (int i = 0; i < m; i++) {
        int start = i / block * block, best = -1;
        float most = -1;
        for (int l = 0; l < m; l++) {
            if (taken[l]) continue;
            float sum = start == i ? similarity[(size_t)l * (size_t)m + (size_t)l] : 0;
            for (int k = start; k < i; k++)
                sum += similarity[(size_t)order[k] * (size_t)m + (size_t)l];
            if (sum > most) most = sum, best = l;
        }
        taken[best] = 1;
        order[i] = (uint32_t)best;
    }
}

/* Puts the rows of w in the order that order receives (row i is row order[i] of before). Cost: m^2
 * n multiply-adds. */
static enum sn_status order_rows(float *w, int m, int n, int block, uint32_t *order,
                                 struct sn_error *error)
{
    size_t rows = (size_t)m, columns = (size_t)n;
    float *squares = malloc(rows * columns * sizeof *squares),
          *similarity = malloc(rows * rows * sizeof *similarity);
    char *taken = calloc(rows, 1);
    enum sn_status status = SN_OK;
    if (!squares || !similarity || !taken) status = sn_no_memory(error, "a PSM approximation");
    else {
        row_similarity(w, m, n, squares, similarity);
        group_rows(similarity, m, block, order, taken);
        memcpy(squares, w, rows * columns * sizeof *w);
        for (size_t i = 0; i < rows; i++)
            memcpy(w + i * columns, squares + order[i] * columns, columns * sizeof *w);
    }
    free(squares);
    free(similarity);
    free(taken);
    return status;
}

static enum sn_status check_settings(int n_factors, int block, struct sn_error *error)
{
    if (block != 1 && block != 4 && block != 8)
        return sn_fail(error, SN_BAD_INPUT, "psm: blocks of %d rows, expected 1, 4 or 8", block);
    if (n_factors > 2 && block > 1)
        return sn_fail(error, SN_BAD_INPUT,
                       "psm: blocks of %d rows with %d factors, expected at most 2 factors", block,
                       n_factors);
    return SN_OK;
}

/* search->w for the matrix of the caller, in *copy when it is to be scaled by 2^-exponent or its
 * rows are to be put in order. */
static enum sn_status prepare(struct psm_search *search, const float *dense, int exponent,
                              float **copy, uint32_t *order, struct sn_error *error)
{
    size_t size = (size_t)search->m * (size_t)search->n, *bytes = &search->budget.bytes;
    size_t order_bytes = psm_order_bytes(search->m);
    const struct sn_weighting *weighting = search->options->weighting;
    enum sn_status status = SN_OK;
    search->w = dense;
    search->order = order;
    if (exponent || order) {
        search->w = *copy = scale_copy(dense, size, exponent);
        if (!*copy) return sn_no_memory(error, "a PSM approximation");
    }
    if (order) {
        if (*bytes != SIZE_MAX) *bytes -= *bytes < order_bytes ? *bytes : order_bytes;
        status = order_rows(*copy, search->m, search->n, search->block, order, error);
    }
    for (size_t i = 0, n = (size_t)search->n; i < size && !status; i++)
        search->energy += (double)search->w[i] * (double)search->w[i]
            * (weighting ? (double)weighting->moment[(i % n) * (n + 1)] : 1);
    return status;
}

static enum sn_status fit_within(const float *dense, int n_outputs, int n_inputs, int n_factors,
                                 const struct sn_fit_options *options, struct sn_fit *fit,
                                 struct sn_error *error)
{
    int block = sn_fit_setting(options, "block"), exponent;
    uint32_t *order = NULL;
    float *copy = NULL;
    struct psm_search search = { .m = n_outputs,
                                 .n = n_inputs,
                                 .n_factors = n_factors,
                                 .block = block ? block : 1,
                                 .pattern = (enum psm_pattern)sn_fit_setting(options, "pattern"),
                                 .budget = { options->budget_bytes, options->budget_values },
                                 .options = options };
    enum sn_status status = check_settings(n_factors, search.block, error);
    if (status) return status;
    exponent = exponent_of(dense, (size_t)n_outputs * (size_t)n_inputs);
    if (block > 1 && !(order = malloc((size_t)n_outputs * sizeof *order)))
        status = sn_no_memory(error, "a PSM approximation");
    if (!status) status = prepare(&search, dense, exponent, &copy, order, error);
    if (!status) status = fit_factors(&search, fit, error);
    if (!status) {
        size_t leftmost = (size_t)((struct psm *)fit->matrix)->nonzeros[0];
        for (size_t q = 0; q < leftmost; q++) fit->words[q] = ldexpf(fit->words[q], exponent);
    }
    free(copy);
    free(order);
    return status;
}

static enum sn_status fit_any(const float *dense, int n_outputs, int n_inputs,
                              const struct sn_fit_options *options, struct sn_fit *fit,
                              struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, sn_fit_setting(options, "factors"), options, fit,
                      error);
}

static enum sn_status fit_one_factor(const float *dense, int n_outputs, int n_inputs,
                                     const struct sn_fit_options *options, struct sn_fit *fit,
                                     struct sn_error *error)
{
    return fit_within(dense, n_outputs, n_inputs, 1, options, fit, error);
}

static const struct sn_fit_type types[] = {
    { "psm", "sparse product", "product of sparse matrices", &psm_family, fit_any },
    { "pruned", "pruned", "one sparse matrix", &psm_family, fit_one_factor },
    { 0 }
};

static const char *const patterns[] = { "entries", "rows", "columns", NULL };

static const struct sn_fit_option fit_options[] = {
    { "factors", "N", 1, PSM_MOST_FACTORS, NULL,
      "psm: so many factors instead of the better of 1 and 2" },
    { "block", "N", 1, 8, NULL,
      "psm: entries in blocks of 4 or 8 rows with one index each, rows reordered" },
    { "pattern", "P", 0, 2, patterns,
      "psm: entries (default): the largest of a factor; rows, columns: as\n"
      "many in each row or column of a factor" },
    { 0 }
};

const struct sn_fitter psm_fitter = { types, fit_options };
