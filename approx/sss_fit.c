/* SSS approximation of a dense matrix: balanced truncation of Hankel blocks.
 *
 * The causal part of W is described by its Hankel blocks H_k = W[rows of stages >= k, columns of stages < k], one for
 * each boundary k; rank H_k is the state size that boundary k needs. A sweep visits the boundaries in order and keeps
 * H_k = O_k R_k with orthonormal rows in R_k. With M_k = [O_{k-1} without its first m_{k-1} rows, W[.., stage k-1]]
 *     M_k = U S V^T cut to s_k terms,   [A_{k-1} B_{k-1}] = V^T,   O_k = U S,   C_k = the first m_k rows of O_k.
 * M_k has the singular values of H_k as far as nothing was cut before. What is cut at one boundary is orthogonal to
 * what is cut at any other, hence
 *     ||W - What||_F^2 = sum over boundaries and both directions of the squared singular values cut off,
 * up to rounding. The anticausal part is the causal part of W with its rows and columns in reverse order.
 *
 * The singular values come from the eigenvalues of M M^T or M^T M in double: that leaves them an absolute error of
 * about 2e-8 ||M||, which is below the rounding noise of a float32 matrix, at a fraction of the cost of an SVD.
 *
 * Sources: Dewilde and van der Veen, Time-Varying Systems and Computations, 1998, chapters 5 and 10; Chandrasekaran
 * et al., Some fast algorithms for sequentially semiseparable representations, SIAM J. Matrix Anal. Appl. 27(2), 2005,
 * section 3. The spread of one budget over all boundaries, and the choice of segments, are this project's. */
#include "approx.h"
#include "sss.h"
#include "sss_cuts.h"

#include <cblas.h>
#include <lapacke.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CAUSAL = 0, ANTICAUSAL = 1 };

/* Rounding to float32 moves each entry by at most 2^-24 of itself, so it moves no singular value of H by more than
 * 2^-24 ||H||_F (Weyl). Singular values up to twice that are noise, and no state is spent on them. */
static const double noise_energy = 0x1p-46;

/* A segmentation with its state sizes. Boundary k lies between stages k-1 and k; boundaries 0 and n_stages carry no
 * state. */
struct plan {
    int n_stages;
    int *inputs, *outputs;  /* n_stages widths and heights */
    int *states[2];         /* causal and anticausal, n_stages+1 each */
    int storage[];
};

/* Squared singular values of every boundary's block, largest first, noise left out: n[d][k] of them from
 * energy[d] + k*cap on. */
struct spectra {
    int cap;
    int *n[2];
    double *energy[2];
};

/* One candidate that has been measured by a sweep. */
struct measured {
    struct plan *plan;
    size_t n_values;
    double lost;  /* predicted ||W - What||_F^2 */
};

struct search {
    const float *w;
    int n_outputs, n_inputs;
    size_t budget;  /* values */
    double energy;  /* ||W||_F^2 */
    const struct sn_fit_options *options;
    struct measured best;
};

static int smaller(int a, int b) { return a < b ? a : b; }
static int larger(int a, int b) { return a > b ? a : b; }

static enum sn_status no_memory(struct sn_error *error)
{
    return sn_fail(error, SN_NO_MEMORY, "out of memory for an SSS approximation");
}

/* ---- Plans ---- */

static struct plan *plan_new(int n_stages, struct sn_error *error)
{
    size_t n = (size_t)n_stages;
    struct plan *plan = calloc(1, sizeof *plan + (4 * n + 2) * sizeof(int));
    if (!plan) {
        no_memory(error);
        return NULL;
    }
    plan->n_stages = n_stages;
    plan->inputs = plan->storage;
    plan->outputs = plan->inputs + n;
    plan->states[CAUSAL] = plan->outputs + n;
    plan->states[ANTICAUSAL] = plan->states[CAUSAL] + n + 1;
    return plan;
}

static struct plan *plan_copy(const struct plan *plan, struct sn_error *error)
{
    size_t n = (size_t)plan->n_stages;
    struct plan *copy = plan_new(plan->n_stages, error);
    if (!copy) return NULL;
    memcpy(copy->inputs, plan->inputs, n * sizeof(int));
    memcpy(copy->outputs, plan->outputs, n * sizeof(int));
    for (int d = 0; d < 2; d++) memcpy(copy->states[d], plan->states[d], (n + 1) * sizeof(int));
    return copy;
}

/* Stage k of N takes entries floor(k total/N) .. floor((k+1) total/N) - 1, the cut of a cfg's stages=N. */
static struct plan *equal_plan(int n_stages, int n_outputs, int n_inputs, struct sn_error *error)
{
    struct plan *plan = plan_new(n_stages, error);
    if (!plan) return NULL;
    for (long long k = 0; k < n_stages; k++) {
        plan->inputs[k] = (int)((k + 1) * n_inputs / n_stages - k * n_inputs / n_stages);
        plan->outputs[k] = (int)((k + 1) * n_outputs / n_stages - k * n_outputs / n_stages);
    }
    return plan;
}

/* sum m_k n_k: values of the blocks D. */
static size_t diagonal_values(const struct plan *plan)
{
    size_t values = 0;
    for (int k = 0; k < plan->n_stages; k++) values += (size_t)plan->inputs[k] * (size_t)plan->outputs[k];
    return values;
}

/* Values of B and C (F and G) per state of boundary k: n_{k-1} + m_k, anticausal n_k + m_{k-1}. */
static int state_values(const struct plan *plan, int direction, int k)
{
    return direction == CAUSAL ? plan->inputs[k - 1] + plan->outputs[k] : plan->inputs[k] + plan->outputs[k - 1];
}

/* sum m_k n_k + sum s_k (n_{k-1} + m_k + s_{k-1}) + the same for the anticausal states. */
static size_t plan_values(const struct plan *plan)
{
    size_t values = diagonal_values(plan);
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            values += (size_t)plan->states[d][k]
                * ((size_t)state_values(plan, d, k) + (size_t)plan->states[d][k - 1]);
    return values;
}

/* ---- Spectra ---- */

static void spectra_free(struct spectra *spectra)
{
    for (int d = 0; d < 2; d++) {
        free(spectra->n[d]);
        free(spectra->energy[d]);
        spectra->n[d] = NULL;
        spectra->energy[d] = NULL;
    }
}

static enum sn_status spectra_new(struct spectra *spectra, int n_stages, int cap, struct sn_error *error)
{
    size_t boundaries = (size_t)n_stages + 1;
    spectra->cap = cap;
    for (int d = 0; d < 2; d++) {
        spectra->n[d] = calloc(boundaries, sizeof(int));
        spectra->energy[d] = calloc(boundaries * (size_t)cap + 1, sizeof(double));
    }
    if (spectra->n[0] && spectra->n[1] && spectra->energy[0] && spectra->energy[1]) return SN_OK;
    spectra_free(spectra);
    return no_memory(error);
}

/* ---- The sweep ---- */

/* Where a sweep stands. It numbers rows, columns, stages and boundaries in its own order, which is the order of W for
 * the causal part and the reverse order for the anticausal part. */
struct sweep {
    const struct search *search;
    const struct plan *plan;
    int direction;
    int rows, columns;  /* of M */
    int row, column;    /* of W where the last columns of M start */
    int states;         /* columns of O */
    double *m;          /* rows x columns, row-major */
    double *o;          /* O_k, rows x states, row-major */
    double *gram;       /* then one eigenvector a row, ascending */
    double *values;     /* eigenvalues, ascending */
    double *reach;      /* [A B], states x columns, row-major */
};

static int stage_of(const struct sweep *sweep, int k)
{
    return sweep->direction == CAUSAL ? k : sweep->plan->n_stages - 1 - k;
}

static int boundary_of(const struct sweep *sweep, int k)
{
    return sweep->direction == CAUSAL ? k : sweep->plan->n_stages - k;
}

static int width_of(const struct sweep *sweep, int k) { return sweep->plan->inputs[stage_of(sweep, k)]; }
static int height_of(const struct sweep *sweep, int k) { return sweep->plan->outputs[stage_of(sweep, k)]; }

/* Upper limit of the state size at boundary k of the sweep. */
static int limit_of(const struct sweep *sweep, int k)
{
    return sweep->plan->states[sweep->direction][boundary_of(sweep, k)];
}

static void sweep_free(struct sweep *sweep)
{
    free(sweep->m);
    free(sweep->o);
    free(sweep->gram);
    free(sweep->values);
    free(sweep->reach);
}

/* Scratch for the largest M, its Gram matrix, O and [A B] that the plan can lead to. */
static enum sn_status sweep_new(struct sweep *sweep, const struct search *search, const struct plan *plan,
                                int direction, struct sn_error *error)
{
    *sweep = (struct sweep){ .search = search, .plan = plan, .direction = direction };
    size_t m_size = 1, o_size = 1, reach_size = 1, order = 1;
    int rows = search->n_outputs, states = 0;
    for (int k = 1; k < plan->n_stages; k++) {
        int columns = states + width_of(sweep, k - 1);
        rows -= height_of(sweep, k - 1);
        int small = smaller(rows, columns);
        states = smaller(small, limit_of(sweep, k));
        if ((size_t)rows * (size_t)columns > m_size) m_size = (size_t)rows * (size_t)columns;
        if ((size_t)rows * (size_t)states > o_size) o_size = (size_t)rows * (size_t)states;
        if ((size_t)states * (size_t)columns > reach_size) reach_size = (size_t)states * (size_t)columns;
        if ((size_t)small > order) order = (size_t)small;
    }
    sweep->m = malloc(m_size * sizeof(double));
    sweep->o = malloc(o_size * sizeof(double));
    sweep->gram = malloc(order * order * sizeof(double));
    sweep->values = malloc(order * sizeof(double));
    sweep->reach = malloc(reach_size * sizeof(double));
    if (sweep->m && sweep->o && sweep->gram && sweep->values && sweep->reach) return SN_OK;
    sweep_free(sweep);
    return no_memory(error);
}

/* M_k = [O_{k-1} without its first m_{k-1} rows, W[rows of stages >= k, columns of stage k-1]]; returns ||M_k||_F^2. */
static double load(struct sweep *sweep, int k)
{
    int m_all = sweep->search->n_outputs, n_all = sweep->search->n_inputs;
    int width = width_of(sweep, k - 1), skip = height_of(sweep, k - 1), states = sweep->states;
    sweep->row += skip;
    sweep->rows = m_all - sweep->row;
    sweep->columns = states + width;
    double energy = 0;
    for (int i = 0; i < sweep->rows; i++) {
        const double *o = sweep->o + ((size_t)skip + (size_t)i) * (size_t)states;
        double *m = sweep->m + (size_t)i * (size_t)sweep->columns;
        int row = sweep->direction == CAUSAL ? sweep->row + i : m_all - 1 - sweep->row - i;
        const float *w = sweep->search->w + (size_t)row * (size_t)n_all;
        for (int j = 0; j < states; j++) m[j] = o[j];
        for (int j = 0; j < width; j++)
            m[states + j] = w[sweep->direction == CAUSAL ? sweep->column + j : n_all - 1 - sweep->column - j];
        for (int j = 0; j < sweep->columns; j++) energy += m[j] * m[j];
    }
    sweep->column += width;
    return energy;
}

/* M M^T = U S^2 U^T or M^T M = V S^2 V^T, whichever is smaller; order is its size. */
static enum sn_status decompose(struct sweep *sweep, int order, struct sn_error *error)
{
    int wide = sweep->rows < sweep->columns;
    cblas_dsyrk(CblasRowMajor, CblasUpper, wide ? CblasNoTrans : CblasTrans, order,
                wide ? sweep->columns : sweep->rows, 1, sweep->m, sweep->columns, 0, sweep->gram, order);
    /* Upper in row-major is lower in column-major, where eigenvectors come out as columns: our rows. */
    lapack_int info = LAPACKE_dsyevd(LAPACK_COL_MAJOR, 'V', 'L', order, sweep->gram, order, sweep->values);
    if (info == LAPACK_WORK_MEMORY_ERROR || info == LAPACK_TRANSPOSE_MEMORY_ERROR) return no_memory(error);
    if (info)
        return sn_fail(error, SN_BAD_INPUT, "the eigenvalues of a %d x %d matrix did not converge", order, order);
    return SN_OK;
}

/* Puts the eigenvectors of the largest eigenvalues first, and the eigenvalues with them. */
static void descend(double *vectors, double *values, int order)
{
    for (int low = 0, high = order - 1; low < high; low++, high--) {
        double *a = vectors + (size_t)low * (size_t)order, *b = vectors + (size_t)high * (size_t)order;
        double value = values[low];
        values[low] = values[high];
        values[high] = value;
        for (int j = 0; j < order; j++) {
            double entry = a[j];
            a[j] = b[j];
            b[j] = entry;
        }
    }
}

/* O = M V and [A B] = V^T, or with U in place of V: O = U S and [A B] = S^-1 U^T M. The latter costs a product and is
 * computed only when asked for. */
static void project(struct sweep *sweep, int order, int states, int want_reach)
{
    int wide = sweep->rows < sweep->columns;
    const double *vectors = sweep->gram;
    sweep->states = states;
    if (!states) return;
    if (!wide) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, sweep->rows, states, sweep->columns, 1, sweep->m,
                    sweep->columns, vectors, order, 0, sweep->o, states);
        memcpy(sweep->reach, vectors, (size_t)states * (size_t)order * sizeof *vectors);
        return;
    }
    if (want_reach)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, states, sweep->columns, order, 1, vectors, order,
                    sweep->m, sweep->columns, 0, sweep->reach, sweep->columns);
    for (int s = 0; s < states; s++) {
        double sigma = sqrt(sweep->values[s]);
        for (int i = 0; i < sweep->rows; i++)
            sweep->o[(size_t)i * (size_t)states + (size_t)s] = vectors[(size_t)s * (size_t)order + (size_t)i] * sigma;
        if (want_reach) cblas_dscal(sweep->columns, 1 / sigma, sweep->reach + (size_t)s * (size_t)sweep->columns, 1);
    }
}

/* t_s = 2^round(log2(sigma_s)/2). The sweep leaves the reachability Gramian of a boundary I and its observability
 * Gramian S^2. Scaling state s by sqrt(sigma_s) makes both of them S, so that gradient descent finds parameters of like
 * size on either side; a power of two does so within a factor of two and rounds nothing. */
static double balance(double energy) { return ldexp(1, (int)lrint(log2(energy) / 4)); }

/* Writes A, B of stage k-1 and C of stage k (of the sweep) into values, with x_k scaled by T_k: T_k A T_{k-1}^-1,
 * T_k B, C T_k^-1. before[s] is the scale of state s of boundary k-1 and becomes that of boundary k. */
static void store(const struct sweep *sweep, int k, int n_before, double *before, const struct sss *shape,
                  float *values)
{
    int causal = sweep->direction == CAUSAL, width = width_of(sweep, k - 1), height = height_of(sweep, k);
    struct sss_stage from = sss_stage_at(shape, values, stage_of(sweep, k - 1));
    struct sss_stage to = sss_stage_at(shape, values, stage_of(sweep, k));
    float *a = causal ? from.a : from.e, *b = causal ? from.b : from.f, *c = causal ? to.c : to.g;
    size_t lda = (size_t)limit_of(sweep, k - 1), ldc = (size_t)limit_of(sweep, k);
    for (int s = 0; s < sweep->states; s++) {
        const double *reach = sweep->reach + (size_t)s * (size_t)sweep->columns;
        double t = balance(sweep->values[s]);
        for (int j = 0; j < n_before; j++) a[(size_t)s * lda + (size_t)j] = (float)(reach[j] * t / before[j]);
        for (int j = 0; j < width; j++)
            b[(size_t)s * (size_t)width + (size_t)(causal ? j : width - 1 - j)] = (float)(reach[n_before + j] * t);
        for (int i = 0; i < height; i++)
            c[(size_t)(causal ? i : height - 1 - i) * ldc + (size_t)s]
                = (float)(sweep->o[(size_t)i * (size_t)sweep->states + (size_t)s] / t);
    }
    for (int s = 0; s < sweep->states; s++) before[s] = balance(sweep->values[s]);
}

/* One boundary: M, its singular values, how many of them stay, O. Adds what is cut to *lost. */
static enum sn_status step(struct sweep *sweep, int k, struct spectra *spectra, int want_reach, double *lost,
                           struct sn_error *error)
{
    double energy = load(sweep, k), kept = 0;
    int order = smaller(sweep->rows, sweep->columns), limit = limit_of(sweep, k), states = 0;
    if (order && energy > 0 && (limit || spectra)) {
        enum sn_status status = decompose(sweep, order, error);
        if (status) return status;
        descend(sweep->gram, sweep->values, order);
        int live = 0;
        while (live < order && sweep->values[live] > noise_energy * energy) live++;
        states = smaller(live, limit);
        for (int s = 0; s < states; s++) kept += sweep->values[s];
        if (spectra) {
            int at = boundary_of(sweep, k), n = smaller(live, spectra->cap);
            spectra->n[sweep->direction][at] = n;
            memcpy(spectra->energy[sweep->direction] + (size_t)at * (size_t)spectra->cap, sweep->values,
                   (size_t)n * sizeof *sweep->values);
        }
    }
    project(sweep, order, states, want_reach);
    *lost += fmax(0, energy - kept);
    return SN_OK;
}

/* Sweeps the part of W in one direction with at most plan->states[direction] states. Any of these may be NULL: reached
 * gets the state sizes used, spectra the singular values, values the blocks A, B, C (or E, F, G) of shape. */
static enum sn_status sweep_part(const struct search *search, const struct plan *plan, int direction, int *reached,
                                 struct spectra *spectra, double *lost, const struct sss *shape, float *values,
                                 struct sn_error *error)
{
    struct sweep sweep;
    double *scale = malloc(((size_t)smaller(search->n_outputs, search->n_inputs) + 1) * sizeof *scale);
    if (!scale) return no_memory(error);
    enum sn_status status = sweep_new(&sweep, search, plan, direction, error);
    if (status) goto done;
    for (int k = 1; k < plan->n_stages && !status; k++) {
        int n_before = sweep.states;
        status = step(&sweep, k, spectra, values != NULL, lost, error);
        if (!status && values) store(&sweep, k, n_before, scale, shape, values);
        if (!status && reached) reached[boundary_of(&sweep, k)] = sweep.states;
    }
    sweep_free(&sweep);
done:
    free(scale);
    return status;
}

/* ---- Spreading the budget over the boundaries ---- */

/* Adds states one by one while they fit and there are singular values left, each where sigma^2 per additional value is
 * largest; state s_k + 1 adds n_{k-1} + m_k + s_{k-1} + s_{k+1} values. */
static void fill(struct plan *plan, const struct spectra *spectra, size_t budget)
{
    size_t used = plan_values(plan);
    for (;;) {
        double best = 0;
        int best_d = 0, best_k = 0;
        size_t best_cost = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) {
                const int *s = plan->states[d];
                size_t cost = (size_t)state_values(plan, d, k) + (size_t)s[k - 1] + (size_t)s[k + 1];
                if (used + cost > budget || s[k] >= spectra->n[d][k]) continue;
                double gain = spectra->energy[d][(size_t)k * (size_t)spectra->cap + (size_t)s[k]] / (double)cost;
                if (gain > best) best = gain, best_d = d, best_k = k, best_cost = cost;
            }
        if (best <= 0) return;
        plan->states[best_d][best_k]++;
        used += best_cost;
    }
}

/* The number of states i for which energy[i] > lambda (c + 2 i), energies descending: what is worth its price when the
 * neighbours have as many states. */
static int worth(const double *energy, int n, double lambda, double c)
{
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (energy[middle] > lambda * (c + 2 * middle)) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* At a price of lambda per value, state i of boundary k is bought when its sigma^2 exceeds lambda (n_{k-1} + m_k +
 * 2 i). The exact price has s_{k-1} + s_{k+1} in place of 2 i, and drives neighbours apart when spectra are flat. */
static void buy(struct plan *plan, const struct spectra *spectra, double lambda)
{
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            plan->states[d][k] = worth(spectra->energy[d] + (size_t)k * (size_t)spectra->cap, spectra->n[d][k],
                                       lambda, state_values(plan, d, k));
}

/* Finds by bisection the lowest price at which the states that it buys fit into the budget, and fills up the rest. */
static void spread(struct plan *plan, const struct spectra *spectra, size_t budget)
{
    enum { ROUNDS = 50 };
    double top = 0;
    for (int d = 0; d < 2; d++)
        for (int k = 1; k < plan->n_stages; k++)
            if (spectra->n[d][k]) top = fmax(top, spectra->energy[d][(size_t)k * (size_t)spectra->cap]);
    buy(plan, spectra, 0);
    if (plan_values(plan) > budget) {
        double low = log(top) - 80, high = log(top);
        for (int round = 0; round < ROUNDS; round++) {
            double middle = (low + high) / 2;
            buy(plan, spectra, exp(middle));
            if (plan_values(plan) > budget) low = middle;
            else high = middle;
        }
        buy(plan, spectra, exp(high));
    }
    fill(plan, spectra, budget);
}

/* ---- Candidates ---- */

/* Keeps plan, with the states it has, when it is better than the best so far: a smaller error, or the same error with
 * fewer values. Errors within 2^-22 are the same, which is about what rounding the values to float32 adds. A plan
 * without values cannot be trained and never wins. */
static enum sn_status consider(struct search *search, const struct plan *plan, double lost, struct sn_error *error)
{
    struct measured *best = &search->best;
    size_t n_values = plan_values(plan);
    if (!n_values || n_values > search->budget) return SN_OK;
    if (best->plan) {
        double change = sqrt(lost) - sqrt(best->lost), rounding = 0x1p-22 * sqrt(search->energy);
        if (change > rounding || (change >= -rounding && n_values >= best->n_values)) return SN_OK;
    }
    struct plan *copy = plan_copy(plan, error);
    if (!copy) return SN_NO_MEMORY;
    free(best->plan);
    *best = (struct measured){ .plan = copy, .n_values = n_values, .lost = lost };
    return SN_OK;
}

/* Sweeps both directions with plan->states as limits and puts the sizes used in their place. */
static enum sn_status measure(const struct search *search, struct plan *plan, struct spectra *spectra, double *lost,
                              struct sn_error *error)
{
    *lost = 0;
    enum sn_status status = SN_OK;
    for (int d = 0; d < 2 && !status; d++)
        status = sweep_part(search, plan, d, plan->states[d], spectra, lost, NULL, NULL, error);
    return status;
}

/* A state size that no boundary is likely to exceed: four times the s for which s at every boundary costs the budget,
 * sum m_k n_k + 2 (N-1) s (s + (m+n)/N). */
static int likely_limit(const struct search *search, const struct plan *plan)
{
    double n = plan->n_stages, c = ((double)search->n_outputs + search->n_inputs) / n / 2;
    double values = (double)(search->budget - diagonal_values(plan)) / (2 * n - 2);
    double limit = 4 * (sqrt(c * c + values) - c) + 16;
    return (int)fmin(limit, smaller(search->n_outputs, search->n_inputs));
}

/* Singular values of all Hankel blocks, and states spread by them. The limit of likely_limit saves most of the time;
 * when the spread runs into it, it is doubled. */
static enum sn_status first_spread(const struct search *search, struct plan *plan, struct spectra *spectra,
                                   struct sn_error *error)
{
    int most = smaller(search->n_outputs, search->n_inputs), limit = likely_limit(search, plan), hit;
    double lost;
    do {
        spectra_free(spectra);
        enum sn_status status = spectra_new(spectra, plan->n_stages, limit, error);
        if (status) return status;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) plan->states[d][k] = limit;
        status = measure(search, plan, spectra, &lost, error);
        if (status) return status;
        spread(plan, spectra, search->budget);
        hit = 0;
        for (int d = 0; d < 2; d++)
            for (int k = 1; k < plan->n_stages; k++) hit |= plan->states[d][k] >= limit;
        limit = limit > most / 2 ? most : 2 * limit;
    } while (hit && spectra->cap < most);
    return SN_OK;
}

/* Spreads states over plan's boundaries and measures. The Hankel blocks overlap, so the first spread counts what is
 * lost at one boundary again at the next; the sweep that measures it sees every loss once, and a spread by its singular
 * values may do better. Candidates far behind the best are not refined. *lost gets the squared error of the first
 * spread, and is left alone where the diagonal blocks exceed the budget. */
static enum sn_status examine(struct search *search, struct plan *plan, double *lost, struct sn_error *error)
{
    enum { ROUNDS = 3 };
    if (diagonal_values(plan) > search->budget) return SN_OK;
    *lost = 0;
    if (plan->n_stages == 1) return consider(search, plan, 0, error);
    struct spectra spectra = { 0 };
    enum sn_status status = first_spread(search, plan, &spectra, error);
    double before = INFINITY;
    for (int round = 0; round < ROUNDS && !status; round++) {
        double now;
        status = measure(search, plan, &spectra, &now, error);
        if (!status) status = consider(search, plan, now, error);
        if (!round) *lost = now;
        if (status || now >= 0.999 * before || now > 1.1 * search->best.lost) break;
        before = now;
        spread(plan, &spectra, search->budget);
    }
    spectra_free(&spectra);
    return status;
}

/* examine() for a plan that may be NULL because memory ran out, and that is freed. */
static enum sn_status examine_new(struct search *search, struct plan *plan, double *lost, struct sn_error *error)
{
    *lost = INFINITY;
    if (!plan) return SN_NO_MEMORY;
    enum sn_status status = examine(search, plan, lost, error);
    free(plan);
    return status;
}

/* Widths (n, 0), heights (0, m): the only Hankel block is W, the state size is the rank, so this is the truncated
 * SVD. */
static enum sn_status examine_low_rank(struct search *search, struct sn_error *error)
{
    double lost;
    struct plan *plan = plan_new(2, error);
    if (plan) {
        plan->inputs[0] = search->n_inputs;
        plan->outputs[1] = search->n_outputs;
    }
    return examine_new(search, plan, &lost, error);
}

/* ---- Windows: everything outside one rectangle of W is zero, for budgets that hold little else ---- */

/* W[row .. row+height-1, column .. column+width-1], kept with that rank; dense when rank is 0. */
struct window {
    int row, column, height, width, rank;
    double energy;
};

/* sums[(i, j)] = ||W[first i rows, first j columns]||_F^2, (m+1) x (n+1). */
static double *prefix_sums(const struct search *search, struct sn_error *error)
{
    size_t m = (size_t)search->n_outputs, n = (size_t)search->n_inputs;
    double *sums = calloc((m + 1) * (n + 1), sizeof *sums);
    if (!sums) {
        no_memory(error);
        return NULL;
    }
    for (size_t i = 0; i < m; i++) {
        double row = 0;
        for (size_t j = 0; j < n; j++) {
            double w = search->w[i * n + j];
            row += w * w;
            sums[(i + 1) * (n + 1) + j + 1] = sums[i * (n + 1) + j + 1] + row;
        }
    }
    return sums;
}

/* The position of window, given its size, where W has most energy. */
static void place(const struct search *search, const double *sums, struct window *window)
{
    size_t stride = (size_t)search->n_inputs + 1, width = (size_t)window->width;
    window->energy = -1;
    for (int i = 0; i + window->height <= search->n_outputs; i++) {
        const double *top = sums + (size_t)i * stride, *bottom = top + (size_t)window->height * stride;
        for (int j = 0; j + window->width <= search->n_inputs; j++) {
            double energy = bottom[(size_t)j + width] - bottom[j] - top[(size_t)j + width] + top[j];
            if (energy > window->energy) window->energy = energy, window->row = i, window->column = j;
        }
    }
}

static void append(struct plan *plan, int width, int height)
{
    if (!width && !height) return;
    plan->inputs[plan->n_stages] = width;
    plan->outputs[plan->n_stages++] = height;
}

/* Stages (columns before, 0), (0, rows before), the window, (columns behind, 0), (0, rows behind); the window is one
 * stage when it is dense, else (width, 0), (0, height) with a causal state. No other boundary carries a state. */
static enum sn_status examine_window(struct search *search, const struct window *window, struct sn_error *error)
{
    enum { MOST = 6 };
    struct plan *plan = plan_new(MOST, error);
    if (!plan) return SN_NO_MEMORY;
    plan->n_stages = 0;
    append(plan, window->column, 0);
    append(plan, 0, window->row);
    append(plan, window->width, window->rank ? 0 : window->height);
    plan->states[CAUSAL][plan->n_stages] = window->rank;
    if (window->rank) append(plan, 0, window->height);
    append(plan, search->n_inputs - window->column - window->width, 0);
    append(plan, 0, search->n_outputs - window->row - window->height);
    double lost;
    enum sn_status status = measure(search, plan, NULL, &lost, error);
    if (!status) status = consider(search, plan, lost, error);
    free(plan);
    return status;
}

/* The windows that use up the budget, with heights from 1 to m in steps of a fifth: the dense one with most energy, and
 * when a rank one for all of W is too dear, one of low rank for each height. */
static enum sn_status examine_windows(struct search *search, struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs;
    size_t budget = search->budget;
    double *sums = prefix_sums(search, error);
    if (!sums) return SN_NO_MEMORY;
    enum sn_status status = SN_OK;
    struct window best = { .energy = -1 };
    for (int height = 1, next; height <= m && !status && (size_t)height <= budget; height = next) {
        next = height == m ? m + 1 : smaller(m, larger(height + 1, height + height / 5));
        size_t width = budget / (size_t)height, rest = budget - (size_t)height;
        struct window window = { .height = height, .width = width < (size_t)n ? (int)width : n };
        place(search, sums, &window);
        if (window.energy > best.energy) best = window;
        if (!rest || budget >= (size_t)m + (size_t)n) continue;
        window.width = rest < (size_t)n ? (int)rest : n;
        window.rank = (int)(budget / ((size_t)height + (size_t)window.width));
        if (window.rank > smaller(height, window.width)) continue;
        place(search, sums, &window);
        status = examine_window(search, &window, error);
    }
    if (!status) status = examine_window(search, &best, error);
    free(sums);
    return status;
}

/* ---- The search ---- */

static void report(const struct search *search, double done)
{
    double error = search->energy > 0 ? sqrt(search->best.lost / search->energy) : 0;
    if (search->options->progress && search->best.plan)
        search->options->progress(search->options->context, done, error);
}

/* The fewest equal stages whose diagonal blocks fit into the budget, at most limit+1. */
static int fewest_stages(const struct search *search, int limit)
{
    long long m = search->n_outputs, n = search->n_inputs, stages = 1;
    for (; stages <= limit; stages++) {
        size_t values = 0;
        for (long long k = 0; k < stages && values <= search->budget; k++)
            values += (size_t)(((k + 1) * m / stages - k * m / stages) * ((k + 1) * n / stages - k * n / stages));
        if (values <= search->budget) break;
    }
    return (int)stages;
}

/* Whether a search tries n_stages equal stages after first, the fewest. A small matrix has all numbers up to 64 tried,
 * a larger one those next to 2^(i/2). Common divisors of both sizes, which give stages that are all alike, are tried up
 * to any number. */
static int tries(const struct search *search, int first, int n_stages)
{
    enum { SMALL = 64 * 64, MOST = 64 };
    int m = search->n_outputs, n = search->n_inputs;
    if (n_stages == first || (m % n_stages == 0 && n % n_stages == 0)) return 1;
    if ((size_t)m * (size_t)n <= SMALL && n_stages <= MOST) return 1;
    return n_stages == (int)lrint(exp2(rint(2 * log2(n_stages)) / 2));
}

/* Steps away from stages, the best number of equal stages so far, by an eighth of it, a sixteenth, ... 1 either way. */
static enum sn_status refine_stages(struct search *search, int first, int stages, double lowest, struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs;
    enum sn_status status = SN_OK;
    for (int step = larger(1, stages / 8); step && !status; step /= 2) {
        int middle = stages;
        for (int sign = -1; sign <= 1 && !status; sign += 2) {
            int other = middle + sign * step;
            double lost;
            if (other < first || other > larger(m, n)) continue;
            status = examine_new(search, equal_plan(other, m, n, error), &lost, error);
            int won = search->best.plan && search->best.plan->n_stages == other;
            if (lost < lowest || won) lowest = lost, stages = other;
        }
    }
    return status;
}

/* Equal stages, more and more of them. The search ends when the error has not come down for a while, since it falls and
 * then rises with the number of stages, apart from wiggles. The best number is refined where it is a match for the
 * other candidates. */
static enum sn_status search_stages(struct search *search, struct sn_error *error)
{
    enum { PATIENCE = 5 };
    int m = search->n_outputs, n = search->n_inputs, most = smaller(m, n), worse = 0, best = 0;
    int first = larger(2, fewest_stages(search, larger(m, n)));
    enum sn_status status = SN_OK;
    double lowest = INFINITY;
    for (int stages = first; !status && (stages == first || stages <= most) && worse < PATIENCE; stages++) {
        if (stages > larger(m, n)) break;
        if (!tries(search, first, stages)) continue;
        double lost;
        status = examine_new(search, equal_plan(stages, m, n, error), &lost, error);
        worse++;
        int won = search->best.plan && search->best.plan->n_stages == stages;  /* Perhaps with fewer values. */
        if (lost < lowest || won) lowest = lost, best = stages, worse = 0;
        report(search, log(stages) / log(larger(3, most + 1)));
    }
    if (!status && best && lowest <= 1.1 * search->best.lost)
        status = refine_stages(search, first, best, lowest, error);
    return status;
}

static void cut_plan(const struct search *search, struct plan *plan, const struct sss_cut *cuts, int n_cuts)
{
    struct sss_cut from = { 0 }, end = { .row = search->n_outputs, .column = search->n_inputs };
    for (int k = 0; k <= n_cuts; k++) {
        struct sss_cut to = k < n_cuts ? cuts[k] : end;
        plan->outputs[k] = to.row - from.row;
        plan->inputs[k] = to.column - from.column;
        plan->states[CAUSAL][k + 1] = to.causal;
        plan->states[ANTICAUSAL][k + 1] = to.anticausal;
        from = to;
    }
}

/* The segments of W when it is exactly SSS. What counts as a rounding error is tried: a low bound takes errors for
 * structure, a high one misses structure in the small entries of a matrix with large ones. */
static enum sn_status examine_exact(struct search *search, struct sn_error *error)
{
    static const double bounds[] = { 1e-6, 3e-7, 3e-6, 1e-7, 1e-5 };
    enum sn_status status = SN_OK;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !status; i++) {
        struct sss_cut *cuts;
        int n_cuts = sss_cuts(search->w, search->n_outputs, search->n_inputs, bounds[i], &cuts);
        if (n_cuts < 0) return no_memory(error);
        if (!n_cuts) break;
        struct plan *plan = plan_new(n_cuts + 1, error);
        if (plan) cut_plan(search, plan, cuts, n_cuts);
        free(cuts);
        if (!plan) return SN_NO_MEMORY;
        double lost;
        if (plan_values(plan) <= search->budget) {
            status = measure(search, plan, NULL, &lost, error);
            if (!status) status = consider(search, plan, lost, error);
        }
        if (!status) status = examine(search, plan, &lost, error);
        free(plan);
        if (search->best.plan && search->best.lost < 1e-12 * search->energy) break;
    }
    return status;
}

/* All candidates, the one dense stage first. */
static enum sn_status search_all(struct search *search, struct sn_error *error)
{
    double lost;
    struct plan *dense = equal_plan(1, search->n_outputs, search->n_inputs, error);
    enum sn_status status = examine_new(search, dense, &lost, error);
    if (!status) status = examine_windows(search, error);
    if (!status) status = examine_low_rank(search, error);
    if (!status) status = examine_exact(search, error);
    report(search, 0);
    if (!status) status = search_stages(search, error);
    return status;
}

/* The segmentation that the caller asks for. */
static enum sn_status search_given(struct search *search, struct sn_error *error)
{
    int m = search->n_outputs, n = search->n_inputs, stages = search->options->n_stages;
    if (stages > (long long)m + n)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at most %lld, found %d", (long long)m + n, stages);
    double lost;
    struct plan *plan = equal_plan(stages, m, n, error);
    if (!plan) return SN_NO_MEMORY;
    size_t diagonal = diagonal_values(plan);
    enum sn_status status = examine_new(search, plan, &lost, error);
    if (status || search->best.plan) return status;
    if (diagonal > search->budget)
        return sn_fail(error, SN_BAD_INPUT, "the diagonal blocks of %d stages take %zu bytes, the budget is %zu",
                       stages, 4 * diagonal, search->options->budget_bytes);
    return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold a single state of %d stages",
                   search->options->budget_bytes, stages);
}

/* ---- Result ---- */

/* D_k = W[stage k, stage k]. */
static void store_diagonal(const struct search *search, const struct sss *shape, float *values)
{
    size_t row = 0, column = 0, n_all = (size_t)search->n_inputs;
    for (int k = 0; k < shape->n_stages; k++) {
        size_t m = (size_t)shape->outputs[k], n = (size_t)shape->inputs[k];
        float *d = sss_stage_at(shape, values, k).d;
        for (size_t i = 0; i < m; i++)
            if (n) memcpy(d + i * n, search->w + (row + i) * n_all + column, n * sizeof *d);
        row += m;
        column += n;
    }
}

/* The best plan as a matrix. The sweeps repeat those that measured it, so they lead to the same states. */
static enum sn_status realise(const struct search *search, struct sn_fit *fit, struct sn_error *error)
{
    const struct plan *plan = search->best.plan;
    float *words = NULL;
    double lost = 0;
    enum sn_status status = SN_NO_MEMORY;
    struct sss *shape = sss_new(plan->n_stages, plan->inputs, plan->outputs, plan->states[CAUSAL] + 1,
                                plan->states[ANTICAUSAL] + 1, error);
    if (!shape) return error && error->code ? error->code : SN_NO_MEMORY;
    words = calloc(shape->matrix.n_words, sizeof *words);
    if (!words) {
        no_memory(error);
        goto failed;
    }
    store_diagonal(search, shape, words);
    for (int d = 0; d < 2; d++) {
        status = sweep_part(search, plan, d, NULL, NULL, &lost, shape, words, error);
        if (status) goto failed;
    }
    *fit = (struct sn_fit){ .matrix = &shape->matrix, .words = words };
    status = sn_fit_measure(fit, search->w, search->options->weighting, error);
    if (!status) return SN_OK;
failed:
    free(words);
    free(shape);
    return status;
}

/* What the caller handed over, checked; *energy becomes ||W||_F^2. */
static enum sn_status check(const float *dense, int n_outputs, int n_inputs, const struct sn_fit_options *options,
                            double *energy, struct sn_error *error)
{
    if (n_outputs < 1 || n_inputs < 1)
        return sn_fail(error, SN_BAD_INPUT, "expected a matrix, found %d x %d", n_outputs, n_inputs);
    if (options->n_stages < 0)
        return sn_fail(error, SN_BAD_INPUT, "stages: expected at least 1, or 0 to search, found %d",
                       options->n_stages);
    if (options->budget_bytes < sizeof(float) && !options->budget_values)
        return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold a single value", options->budget_bytes);
    *energy = 0;
    for (int i = 0; i < n_outputs; i++)
        for (int j = 0; j < n_inputs; j++) {
            float w = dense[(size_t)i * (size_t)n_inputs + (size_t)j];
            if (!isfinite(w)) return sn_fail(error, SN_BAD_INPUT, "row %d, column %d is %f", i, j, (double)w);
            *energy += (double)w * w;
        }
    return SN_OK;
}

enum sn_status sss_fit(const float *dense, int n_outputs, int n_inputs, const struct sn_fit_options *options,
                       struct sn_fit *fit, struct sn_error *error)
{
    struct search search = { .w = dense, .n_outputs = n_outputs, .n_inputs = n_inputs, .options = options };
    enum sn_status status = check(dense, n_outputs, n_inputs, options, &search.energy, error);
    if (status) return status;
    search.budget = options->budget_bytes ? options->budget_bytes / sizeof(float) : SIZE_MAX;
    if (options->budget_values && options->budget_values < search.budget) search.budget = options->budget_values;
    if (search.budget > INT_MAX) search.budget = INT_MAX;  /* sss_new() allows no more. */
    status = options->n_stages ? search_given(&search, error) : search_all(&search, error);
    if (!status) status = realise(&search, fit, error);
    if (!status) report(&search, 1);
    free(search.best.plan);
    return status;
}
