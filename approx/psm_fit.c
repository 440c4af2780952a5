/* PSM approximation of a dense matrix: the largest entries (one factor), or two factors: exactly, when the matrix is the
 * product of two sparse ones (psm_peel), else by PALM (palm.h). */
#include "approx.h"
#include "palm.h"
#include "psm.h"
#include "psm_peel.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sparse matrix by rows. */
struct sparse {
    int rows, columns;
    size_t *start;   /* rows+1 */
    int *column;
    float *value;
};

static enum sn_status no_memory(struct sn_error *error)
{
    return sn_fail(error, SN_NO_MEMORY, "out of memory for a PSM approximation");
}

/* ---- Sparse matrices ---- */

static void sparse_free(struct sparse *s)
{
    free(s->start);
    free(s->column);
    free(s->value);
    memset(s, 0, sizeof *s);
}

/* The entries of a dense rows x columns matrix that are not zero, divided by scale[column] unless scale is NULL. Entry
 * (i, j) lies at dense[i * step_i + j * step_j]. */
static int sparse_new(struct sparse *s, int rows, int columns, const float *dense, size_t step_i, size_t step_j,
                      const float *scale)
{
    size_t count = 0, size = (size_t)rows * (size_t)columns;
    *s = (struct sparse){ .rows = rows, .columns = columns };
    for (size_t i = 0; i < size; i++) count += dense[i] != 0;
    s->start = calloc((size_t)rows + 1, sizeof *s->start);
    s->column = malloc((count + 1) * sizeof *s->column);
    s->value = malloc((count + 1) * sizeof *s->value);
    if (!s->start || !s->column || !s->value) {
        sparse_free(s);
        return 0;
    }
    count = 0;
    for (size_t i = 0; i < (size_t)rows; i++) {
        for (size_t j = 0; j < (size_t)columns; j++) {
            float value = dense[i * step_i + j * step_j];
            if (value == 0) continue;
            s->column[count] = (int)j;
            s->value[count++] = scale ? value / scale[j] : value;
        }
        s->start[i + 1] = count;
    }
    return 1;
}

/* The factors of a problem as those of W: S_1 = A and S_2 = B, or B^T and A^T, with the columns' scaling undone. */
static int take_factors(const struct palm *palm, struct sparse factors[2])
{
    size_t m = (size_t)palm->m, n = (size_t)palm->n;
    const float *a = palm->factor[PALM_A], *b = palm->factor[PALM_B];
    memset(factors, 0, 2 * sizeof *factors);
    if (palm->flip) return sparse_new(&factors[0], palm->n, palm->inner, b, 1, n, NULL)
        && sparse_new(&factors[1], palm->inner, palm->m, a, m, 1, palm->scale);
    return sparse_new(&factors[0], palm->m, palm->inner, a, 1, m, NULL)
        && sparse_new(&factors[1], palm->inner, palm->n, b, n, 1, palm->scale);
}

/* ---- Budgets ---- */

/* What a matrix may take; SIZE_MAX where there is no limit. */
struct budget { size_t bytes, values; };

/* One call of psm_fit. */
struct search {
    const float *w;        /* m x n, its largest entry between 1/2 and 1 */
    int m, n;
    struct budget budget;
    double energy;         /* sum w_ij^2 M_jj: of W as PALM sees it */
    const struct sn_fit_options *options;
};

static struct budget budget_of(const struct sn_fit_options *options)
{
    return (struct budget){ options->budget_bytes || !options->budget_values ? options->budget_bytes : SIZE_MAX,
                            options->budget_values ? options->budget_values : SIZE_MAX };
}

/* Bytes of one nonzero in a factor of so many columns, its index included. */
static size_t entry_bytes(int columns) { return columns <= 65536 ? 6 : 8; }

static size_t factors_bytes(const struct sparse *factors, int n_factors)
{
    size_t bytes = 0;
    for (int j = 0; j < n_factors; j++)
        bytes += psm_factor_bytes(factors[j].rows, factors[j].columns, factors[j].start[factors[j].rows]);
    return bytes;
}

static int fits(const struct sparse *factors, int n_factors, struct budget budget)
{
    size_t values = 0;
    for (int j = 0; j < n_factors; j++) values += factors[j].start[factors[j].rows];
    return values <= budget.values && factors_bytes(factors, n_factors) <= budget.bytes;
}

/* The most nonzeros of one m x n factor within the budget; 0 when not even one fits. */
static size_t most_nonzeros(int m, int n, struct budget budget)
{
    size_t each = entry_bytes(n), fixed = psm_factor_bytes(m, n, 0), entries = (size_t)m * (size_t)n;
    size_t count = budget.bytes > fixed ? (budget.bytes - fixed) / each : 0;
    if (count > budget.values) count = budget.values;
    if (count > entries) count = entries;
    if (count > INT32_MAX / each) count = INT32_MAX / each;
    while (count && psm_factor_bytes(m, n, count) > budget.bytes) count--;  /* The padding. */
    return count;
}

/* ---- From factors to the result ---- */

/* Turns J sparse factors into a PSM matrix and its words. */
static enum sn_status build(const struct sparse *factors, int n_factors, struct sn_fit *fit, struct sn_error *error)
{
    int *sizes = calloc(2 * (size_t)n_factors + 1, sizeof *sizes), *nonzeros = sizes ? sizes + n_factors + 1 : NULL;
    if (!sizes) return no_memory(error);
    sizes[0] = factors[0].rows;
    for (int j = 0; j < n_factors; j++) {
        sizes[j + 1] = factors[j].columns;
        nonzeros[j] = (int)factors[j].start[factors[j].rows];
    }
    struct psm *shape = psm_new(n_factors, sizes, nonzeros, error);
    free(sizes);
    if (!shape) return error->code;
    fit->matrix = &shape->matrix;
    fit->words = calloc(shape->matrix.n_words + 1, sizeof *fit->words);
    if (!fit->words) {
        sn_fit_free(fit);
        return no_memory(error);
    }
    uint32_t *starts = shape->row_starts, *columns = shape->columns;
    float *values = fit->words;
    for (int j = 0; j < n_factors; j++) {
        for (int i = 0; i <= factors[j].rows; i++) *starts++ = (uint32_t)factors[j].start[i];
        for (size_t p = 0; p < factors[j].start[factors[j].rows]; p++) {
            *columns++ = (uint32_t)factors[j].column[p];
            *values++ = factors[j].value[p];
        }
    }
    psm_pack(shape, fit->words);
    return SN_OK;
}

/* build() with the errors of what it gives. */
static enum sn_status build_measured(const struct search *search, const struct sparse *factors, int n_factors,
                                     struct sn_fit *fit, struct sn_error *error)
{
    enum sn_status status = build(factors, n_factors, fit, error);
    if (!status) status = sn_fit_measure(fit, search->w, search->options->weighting, error);
    if (status) sn_fit_free(fit);
    return status;
}

/* Keeps the rows (rows 1) or the columns (rows 0) p with number[p] >= 0, under that number. */
static void renumber(struct sparse *s, int rows, const int *number, int n_left)
{
    size_t count = 0, start = 0;
    int row = 0;
    for (int i = 0; i < s->rows; i++) {
        size_t end = s->start[i + 1];
        for (size_t q = start; q < end && !(rows && number[i] < 0); q++) {
            int column = rows ? s->column[q] : number[s->column[q]];
            if (column < 0) continue;
            s->column[count] = column;
            s->value[count++] = s->value[q];
        }
        if (!rows || number[i] >= 0) s->start[++row] = count;
        start = end;
    }
    *(rows ? &s->rows : &s->columns) = n_left;
}

/* Leaves out the atoms that have no entry on one of their sides; one atom stays, so that the product has a shape. number
 * is scratch for every atom. */
static void drop_unused_atoms(struct sparse factors[2], int *number)
{
    struct sparse *a = &factors[0], *b = &factors[1];
    int n_left = 0, inner = b->rows;
    for (int p = 0; p < inner; p++) number[p] = 0;
    for (size_t q = 0; q < a->start[a->rows]; q++) number[a->column[q]] = 1;
    for (int p = 0; p < inner; p++) number[p] = number[p] && b->start[p + 1] > b->start[p] ? n_left++ : -1;
    if (!n_left) number[n_left++] = 0;
    renumber(a, 0, number, n_left);
    renumber(b, 1, number, n_left);
}

/* The factors that palm holds, as a matrix when they fit; else fit->matrix stays NULL. */
static enum sn_status finish(const struct search *search, struct palm *palm, struct sn_fit *fit, struct sn_error *error)
{
    struct sparse factors[2];
    enum sn_status status = SN_OK;
    palm_balance(palm);
    int *number = malloc((size_t)palm->inner * sizeof *number);
    if (!number || !take_factors(palm, factors)) status = no_memory(error);
    else {
        drop_unused_atoms(factors, number);
        if (fits(factors, 2, search->budget)) status = build_measured(search, factors, 2, fit, error);
        for (int f = 0; f < 2; f++) sparse_free(&factors[f]);
    }
    free(number);
    return status;
}

/* ---- One factor ---- */

/* min ||(W - What) L||^2 over the entries of what that are not zero, by conjugate gradients: the gradient is (What - W) M
 * at these entries. difference, direction and image are scratch of W's size. */
static void refit_pruned(const struct search *search, float *what, float *gradient, float *direction, float *image)
{
    enum { STEPS = 12 };
    const float *moment = search->options->weighting->moment;
    int m = search->m, n = search->n;
    size_t size = (size_t)m * (size_t)n;
    double before = 0;
    for (size_t i = 0; i < size; i++) image[i] = what[i] - search->w[i];
    cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, m, n, 1, moment, n, image, n, 0, gradient, n);
    for (int step = 0; step < STEPS; step++) {
        double now = 0, slope = 0, curvature = 0;
        for (size_t i = 0; i < size; i++) now += what[i] != 0 ? (double)gradient[i] * (double)gradient[i] : 0;
        if (!(now > 0)) break;
        for (size_t i = 0; i < size; i++) {
            direction[i] = what[i] != 0 ? (step ? (float)(now / before) * direction[i] : 0) - gradient[i] : 0;
            slope -= (double)gradient[i] * (double)direction[i];
        }
        cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, m, n, 1, moment, n, direction, n, 0, image, n);
        for (size_t i = 0; i < size; i++) curvature += (double)direction[i] * (double)image[i];
        if (!(curvature > 0)) break;
        float alpha = (float)(slope / curvature);
        for (size_t i = 0; i < size; i++) {
            if (what[i] != 0 && (what[i] += alpha * direction[i]) == 0) what[i] = 0x1p-126f;  /* The pattern stays. */
            gradient[i] += alpha * image[i];
        }
        before = now;
    }
}

/* The entries that carry most of the error that counts: |w_ij| sqrt(M_jj). */
static void prune(const struct search *search, float *what, size_t count)
{
    size_t m = (size_t)search->m, n = (size_t)search->n;
    const struct sn_weighting *weighting = search->options->weighting;
    for (size_t i = 0; i < m * n; i++)
        what[i] = search->w[i] * (weighting ? sqrtf(weighting->moment[(i % n) * (n + 1)]) : 1);
    keep_largest(what, m * n, count);
    for (size_t i = 0; i < m * n; i++)
        if (what[i] != 0) what[i] = search->w[i];
}

static enum sn_status fit_one_factor(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    int m = search->m, n = search->n;
    size_t size = (size_t)m * (size_t)n, count = most_nonzeros(m, n, search->budget);
    if (!count)
        return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold one nonzero of %d x %d, expected at least %zu",
                       search->budget.bytes, m, n, psm_factor_bytes(m, n, 1));
    enum sn_status status = SN_OK;
    struct sparse factor = { 0 };
    int weighted = search->options->weighting != NULL;
    float *kept = malloc((weighted ? 4 : 1) * size * sizeof *kept);
    if (!kept) return no_memory(error);
    prune(search, kept, count);
    if (weighted) refit_pruned(search, kept, kept + size, kept + 2 * size, kept + 3 * size);
    if (!sparse_new(&factor, m, n, kept, (size_t)n, 1, NULL)) status = no_memory(error);
    else status = build_measured(search, &factor, 1, fit, error);
    free(kept);
    sparse_free(&factor);
    return status;
}

/* ---- Two factors by PALM ---- */

static void report(const struct search *search, double done, double squared_error, double energy)
{
    if (search->options->progress && squared_error < INFINITY)
        search->options->progress(search->options->context, done, energy > 0 ? sqrt(squared_error / energy) : 0);
}

/* Sets the counts of A and B, the factor that starts as the identity, which gets a quarter. 0 when the budget does not
 * hold the row lengths and two nonzeros. */
static int set_targets(const struct search *search, int flip, size_t k[2])
{
    static const double thin = .25;
    int inner = flip ? search->m : search->n;
    /* A is the right factor, with W's columns, when the problem is flipped. */
    size_t each[2] = { entry_bytes(flip ? search->n : inner), entry_bytes(flip ? inner : search->n) };
    size_t fixed = psm_factor_bytes(search->m, inner, 0) + psm_factor_bytes(inner, search->n, 0) + 4;
    size_t most[2] = { (size_t)search->m * (size_t)search->n, (size_t)inner * (size_t)inner };
    if (search->budget.bytes < fixed + each[0] + each[1] || search->budget.values < 2) return 0;
    double bytes = fmin((double)(search->budget.bytes - fixed), INT32_MAX / 2), values = (double)search->budget.values;
    values = fmin(values, bytes / ((1 - thin) * (double)each[PALM_A] + thin * (double)each[PALM_B]));
    double b = fmin(fmax(1, floor(thin * values)), (double)most[PALM_B]);
    double a = fmin(fmin(floor((bytes - b * (double)each[PALM_B]) / (double)each[PALM_A]), (double)search->budget.values - b),
                    (double)most[PALM_A]);
    k[PALM_A] = a > 0 ? (size_t)a : 0;
    k[PALM_B] = (size_t)b;
    return a >= 1;
}

/* Whether a run with that start is worth its memory: its factor with the identity takes inner^2 entries. */
static int affordable(const struct search *search, int flip)
{
    double inner = flip ? search->m : search->n;
    return inner * inner <= 4. * search->m * search->n || inner <= 256;
}

static int new_problem(const struct search *search, int flip, struct palm *palm)
{
    struct palm_task task = { .w = search->w, .rows = search->m, .columns = search->n, .flip = flip, .block = 1,
                              .weighting = search->options->weighting };
    return palm_new(palm, &task);
}

/* Rounds of the last run: as many as a time that is fair for the effort allows, which a round of a matrix of 1000 x 1280
 * sets. */
static int rounds_of(const struct search *search, int flip)
{
    static const double usual[] = { [SN_QUICK] = 40, [SN_NORMAL] = 160, [SN_THOROUGH] = 1000 };
    double inner = flip ? search->m : search->n, work = (double)search->m * search->n * inner / (1000. * 1280 * 1280);
    double rounds = usual[search->options->effort];
    return (int)fmin(fmax(rounds / work, rounds / 8), 1.25 * rounds);
}

/* PALM for a start, with its values fitted. */
static enum sn_status run_start(const struct search *search, int flip, struct sn_fit *fit, struct sn_error *error)
{
    enum { REFIT_ROUNDS = 6, REFIT_STEPS = 6 };
    struct palm palm;
    size_t k[2];
    if (!set_targets(search, flip, k)) return SN_OK;
    if (!new_problem(search, flip, &palm)) return no_memory(error);
    palm_start(&palm);
    double left = palm_run(&palm, k, rounds_of(search, flip), search->options->stop);
    report(search, .8, left, search->energy);
    left = palm_refit(&palm, REFIT_ROUNDS, REFIT_STEPS, 0);
    report(search, .95, left, palm.energy);
    enum sn_status status = finish(search, &palm, fit, error);
    palm_free(&palm);
    return status;
}

/* The start, [W, I] or [I, W], whose short run comes closer; -1 when the budget holds no two factors. There is memory for
 * one problem at a time. */
static enum sn_status choose_start(const struct search *search, int *best, struct sn_error *error)
{
    enum { ROUNDS = 16 };
    double least = INFINITY;
    *best = -1;
    for (int flip = 0; flip < 2; flip++) {
        struct palm palm;
        size_t k[2];
        if (!affordable(search, flip) || !set_targets(search, flip, k)) continue;
        if (!new_problem(search, flip, &palm)) return no_memory(error);
        palm_start(&palm);
        double left = palm_run(&palm, k, ROUNDS, search->options->stop);
        palm_free(&palm);
        if (left < least) {
            least = left;
            *best = flip;
        }
        report(search, .1 * (flip + 1), least, search->energy);
    }
    return SN_OK;
}

/* PALM from the better start. fit->matrix stays NULL when the budget does not hold two factors. */
static enum sn_status fit_palm(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    int flip;
    enum sn_status status = choose_start(search, &flip, error);
    return status || flip < 0 ? status : run_start(search, flip, fit, error);
}

/* ---- Exact products ---- */

/* Lets PALM take entries from factors that are larger than the budget. */
static void shrink(const struct search *search, struct palm *palm)
{
    enum { ROUNDS = 10, REFIT_ROUNDS = 4, REFIT_STEPS = 6 };
    size_t counts[2] = { 0 }, k[2], fixed = psm_factor_bytes(palm->m, palm->inner, 0)
        + psm_factor_bytes(palm->inner, palm->n, 0) + 8;  /* 8: the padding. */
    for (int f = 0; f < 2; f++)
        for (size_t i = 0; i < palm_size(palm, f); i++) counts[f] += palm->factor[f][i] != 0;
    double bytes = (double)(counts[0] * entry_bytes(palm->inner) + counts[1] * entry_bytes(palm->n));
    double left = fmin(((double)search->budget.bytes - (double)fixed) / bytes,
                       (double)search->budget.values / (double)(counts[0] + counts[1]));
    if (left <= 0) return;
    for (int f = 0; f < 2; f++) k[f] = (size_t)(fmin(1, left) * (double)counts[f]);
    for (int round = 0; round < ROUNDS; round++) palm_round(palm, k);
    palm_refit(palm, REFIT_ROUNDS, REFIT_STEPS, 0);
}

/* The factors of a product that psm_peel found: atom p is column p of S_1 and row p of S_2. */
static void palm_from_atoms(struct palm *palm, const struct psm_atoms *atoms)
{
    size_t m = (size_t)atoms->m, length = m + (size_t)atoms->n, inner = (size_t)atoms->n_atoms;
    for (size_t p = 0; p < inner; p++)
        for (size_t k = 0; k < length; k++) {
            float *side = k < m ? palm->factor[PALM_A] + p * m + k : palm->factor[PALM_B] + p * (length - m) + k - m;
            *side = (float)atoms->sides[p * length + k];
        }
}

/* The bytes and values that the atoms of a product take as two factors. */
static struct budget atoms_size(const struct psm_atoms *atoms)
{
    size_t nonzeros[2] = { 0 }, m = (size_t)atoms->m, length = m + (size_t)atoms->n;
    for (size_t p = 0; p < (size_t)atoms->n_atoms; p++)
        for (size_t k = 0; k < length; k++) nonzeros[k >= m] += atoms->sides[p * length + k] != 0;
    return (struct budget){ psm_factor_bytes(atoms->m, atoms->n_atoms, nonzeros[0])
                            + psm_factor_bytes(atoms->n_atoms, atoms->n, nonzeros[1]), nonzeros[0] + nonzeros[1] };
}

static int is_within(struct budget size, struct budget budget)
{
    return size.bytes <= budget.bytes && size.values <= budget.values;
}

/* Atoms whose sum is W, as few bytes of them as several searches find; the first that fit into the budget do. The
 * searches of a large matrix, which take seconds, are fewer. */
static enum psm_peel_result find_atoms(const struct search *search, struct psm_atoms *best)
{
    const float *w = search->w;
    int m = search->m, n = search->n;
    unsigned n_searches = (unsigned)fmin(40, 1 + 4e5 / ((double)m * n));
    enum psm_peel_result result = psm_blocks(w, m, n, best);
    for (unsigned seed = 0; seed < n_searches && result != PSM_PEEL_NO_MEMORY; seed++) {
        struct psm_atoms atoms;
        if (result == PSM_PEEL_WHOLE && is_within(atoms_size(best), search->budget)) break;
        enum psm_peel_result one = psm_peel(w, m, n, seed, &atoms);
        if (one == PSM_PEEL_NO_MEMORY || result == PSM_PEEL_NONE
            || (one == PSM_PEEL_WHOLE && atoms_size(&atoms).bytes < atoms_size(best).bytes)) {
            psm_atoms_free(best);
            *best = atoms;
            result = one;
        } else psm_atoms_free(&atoms);
        if (one == PSM_PEEL_NONE) break;
    }
    return result;
}

/* The fit that a product of sparse matrices allows, when W is found to be one; else fit->matrix stays NULL. */
static enum sn_status fit_product(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    struct psm_atoms atoms;
    struct palm palm = { 0 };
    enum sn_status status = SN_OK;
    enum psm_peel_result found = find_atoms(search, &atoms);
    if (found == PSM_PEEL_NONE) goto done;
    struct palm_task task = { .w = search->w, .rows = search->m, .columns = search->n, .inner = atoms.n_atoms, .block = 1 };
    if (found != PSM_PEEL_WHOLE || !palm_new(&palm, &task)) {
        status = no_memory(error);
        goto done;
    }
    palm_from_atoms(&palm, &atoms);
    if (!is_within(atoms_size(&atoms), search->budget)) shrink(search, &palm);
    status = finish(search, &palm, fit, error);
done:
    palm_free(&palm);
    psm_atoms_free(&atoms);
    return status;
}

/* ---- The choice ---- */

/* *fit <- the one with the smaller error; the other is freed. */
static void keep_better(struct sn_fit *fit, struct sn_fit *other)
{
    if (other->matrix && (!fit->matrix || other->weighted_error < fit->weighted_error)) {
        struct sn_fit worse = *fit;
        *fit = *other;
        *other = worse;
    }
    sn_fit_free(other);
}

/* PALM, unless W is a product. */
static enum sn_status fit_two_factors(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    struct sn_fit other = { 0 };
    enum sn_status status = fit_product(search, fit, error);
    if (!status && !(fit->matrix && fit->error < 1e-6)) {
        status = fit_palm(search, &other, error);
        keep_better(fit, &other);
    }
    if (!status && !fit->matrix)
        status = sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold two sparse factors of %d x %d",
                         search->budget.bytes, search->m, search->n);
    if (status) sn_fit_free(fit);
    return status;
}

/* One factor, two, or the better of both. */
static enum sn_status fit_factors(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    struct sn_fit other = { 0 };
    if (search->options->n_factors == 2) return fit_two_factors(search, fit, error);
    enum sn_status status = fit_one_factor(search, fit, error);
    if (status || search->options->n_factors == 1 || fit->error == 0) return status;
    /* A budget that is too small for two factors leaves the one. */
    status = fit_two_factors(search, &other, error);
    keep_better(fit, &other);
    if (status != SN_NO_MEMORY) return SN_OK;
    sn_fit_free(fit);
    return status;
}

static enum sn_status check_finite(const float *dense, int m, int n, struct sn_error *error)
{
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++)
        if (!isfinite(dense[i]))
            return sn_fail(error, SN_BAD_INPUT, "row %zu, column %zu: found %g, expected a finite number",
                           i / (size_t)n, i % (size_t)n, (double)dense[i]);
    return SN_OK;
}

/* A copy of W, its largest entry brought near 1, in which sums of squares can be formed in float32; by a power of two,
 * which is exact. */
static float *scale_copy(const float *dense, size_t size, int *exponent)
{
    float *scaled = malloc(size * sizeof *scaled), largest = 0;
    if (!scaled) return NULL;
    for (size_t i = 0; i < size; i++) largest = fmaxf(largest, fabsf(dense[i]));
    frexpf(largest, exponent);
    for (size_t i = 0; i < size; i++) scaled[i] = ldexpf(dense[i], -*exponent);
    return scaled;
}

enum sn_status psm_fit(const float *dense, int n_outputs, int n_inputs, const struct sn_fit_options *options,
                       struct sn_fit *fit, struct sn_error *error)
{
    struct sn_error local = { 0 };
    error = error ? error : &local;
    memset(fit, 0, sizeof *fit);
    enum sn_status status = check_finite(dense, n_outputs, n_inputs, error);
    if (status) return status;
    if (options->n_factors > 2)
        return sn_fail(error, SN_BAD_INPUT, "psm: %d factors, expected 1 or 2", options->n_factors);
    size_t size = (size_t)n_outputs * (size_t)n_inputs;
    int exponent;
    float *scaled = scale_copy(dense, size, &exponent);
    if (!scaled) return no_memory(error);
    struct search search = { .w = scaled, .m = n_outputs, .n = n_inputs, .budget = budget_of(options), .options = options };
    for (size_t i = 0, n = (size_t)n_inputs; i < size; i++)
        search.energy += (double)scaled[i] * (double)scaled[i]
            * (options->weighting ? (double)options->weighting->moment[(i % n) * (n + 1)] : 1);
    status = fit_factors(&search, fit, error);
    if (!status) {
        size_t leftmost = (size_t)((struct psm *)fit->matrix)->nonzeros[0];
        for (size_t q = 0; q < leftmost; q++) fit->words[q] = ldexpf(fit->words[q], exponent);
    }
    free(scaled);
    return status;
}
