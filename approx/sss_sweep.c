#include "sss_sweep.h"
#include "panels.h"
#include "sss_eigen.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rounding to float32 moves each entry by at most 2^-24 of itself, so it moves no singular value of
 * H by more than 2^-24 ||H||_F (Weyl). Singular values up to twice that are noise, and no state is
 * spent on them. */
static const double noise_energy = 0x1p-46;

/* Where a sweep stands. It numbers rows, columns, stages and boundaries in its own order, which is
 * the order of W for the causal part and the reverse order for the anticausal part. */
struct sweep {
    const float *w;
    int n_outputs, n_inputs;
    const struct sss_plan *plan;
    int direction;
    int rows, columns; /* of M */
    int row, column;   /* of W where the last columns of M start */
    int states;        /* columns of O */
    double *m;         /* rows x columns, row-major */
    double *gram;      /* o and reach take its place once it is decomposed */
    double *o;         /* O_k, rows x states, row-major */
    double *reach;     /* [A B], states x columns, row-major, behind o */
    double *vectors;   /* eigenvectors, one a row, descending */
    double *values;    /* eigenvalues, likewise */
    double *work;      /* of the eigenvalue solver */
    int *integers;
};

static int stage_of(const struct sweep *sweep, int k)
{
    return sweep->direction == SSS_CAUSAL ? k : sweep->plan->n_stages - 1 - k;
}

static int boundary_of(const struct sweep *sweep, int k)
{
    return sweep->direction == SSS_CAUSAL ? k : sweep->plan->n_stages - k;
}

static int width_of(const struct sweep *sweep, int k)
{
    return sweep->plan->inputs[stage_of(sweep, k)];
}
static int height_of(const struct sweep *sweep, int k)
{
    return sweep->plan->outputs[stage_of(sweep, k)];
}

/* Upper limit of the state size at boundary k of the sweep. */
static int limit_of(const struct sweep *sweep, int k)
{
    return sweep->plan->states[sweep->direction][boundary_of(sweep, k)];
}

static void sweep_free(struct sweep *sweep)
{
    free(sweep->m);
    free(sweep->gram);
    free(sweep->vectors);
    free(sweep->values);
    free(sweep->work);
    free(sweep->integers);
}

/* Scratch for the largest M, its Gram matrix, O and [A B] that the plan can lead to. */
static enum sn_status sweep_new(struct sweep *sweep, struct sn_error *error)
{
    const struct sss_plan *plan = sweep->plan;
    size_t m_size = 1, o_size = 1, reach_size = 1, order = 1;
    int rows = sweep->n_outputs, states = 0;
    for (int k = 1; k < plan->n_stages; k++) {
        int columns = states + width_of(sweep, k - 1);
        rows -= height_of(sweep, k - 1);
        int small = sss_smaller(rows, columns);
        states = sss_smaller(small, limit_of(sweep, k));
        if ((size_t)rows * (size_t)columns > m_size) m_size = (size_t)rows * (size_t)columns;
        if ((size_t)rows * (size_t)states > o_size) o_size = (size_t)rows * (size_t)states;
        if ((size_t)states * (size_t)columns > reach_size)
            reach_size = (size_t)states * (size_t)columns;
        if ((size_t)small > order) order = (size_t)small;
    }
    sweep->m = malloc(m_size * sizeof(double));
    size_t both = o_size + reach_size;
    sweep->gram = malloc((both > order * order ? both : order * order) * sizeof(double));
    sweep->vectors = malloc(order * order * sizeof(double));
    sweep->values = malloc(order * sizeof(double));
    sweep->work = malloc(sss_eigen_work(order) * sizeof(double));
    sweep->integers = malloc(sss_eigen_integers(order) * sizeof(int));
    if (!sweep->m || !sweep->gram || !sweep->vectors || !sweep->values || !sweep->work
        || !sweep->integers) {
        sweep_free(sweep);
        return sn_no_memory(error, "an SSS approximation");
    }
    sweep->o = sweep->gram;
    sweep->reach = sweep->gram + o_size;
    return SN_OK;
}

/* M_k = [O_{k-1} without its first m_{k-1} rows, W[rows of stages >= k, columns of stage k-1]];
 * returns ||M_k||_F^2. */
static double load(struct sweep *sweep, int k)
{
    int m_all = sweep->n_outputs, n_all = sweep->n_inputs;
    int width = width_of(sweep, k - 1), skip = height_of(sweep, k - 1), states = sweep->states;
    sweep->row += skip;
    sweep->rows = m_all - sweep->row;
    sweep->columns = states + width;
    double energy = 0;
    for (int i = 0; i < sweep->rows; i++) {
        const double *o = sweep->o + ((size_t)skip + (size_t)i) * (size_t)states;
        double *m = sweep->m + (size_t)i * (size_t)sweep->columns;
        int row = sweep->direction == SSS_CAUSAL ? sweep->row + i : m_all - 1 - sweep->row - i;
        const float *w = sweep->w + (size_t)row * (size_t)n_all;
        for (int j = 0; j < states; j++) m[j] = o[j];
        for (int j = 0; j < width; j++)
            m[states + j] = w[sweep->direction == SSS_CAUSAL ? sweep->column + j
                                                             : n_all - 1 - sweep->column - j];
        for (int j = 0; j < sweep->columns; j++) energy += m[j] * m[j];
    }
    sweep->column += width;
    return energy;
}

/* Rows first .. first+count-1 of the upper triangle of M M^T or M^T M. */
static void gram_panel(void *context, size_t first, size_t count)
{
    const struct sweep *sweep = context;
    int wide = sweep->rows < sweep->columns, ld = sweep->columns, n = (int)count,
        order = wide ? sweep->rows : sweep->columns, depth = wide ? sweep->columns : sweep->rows,
        behind = order - (int)first - n;
    const double *m = sweep->m + first * (wide ? (size_t)ld : 1),
                 *next = m + count * (wide ? (size_t)ld : 1);
    double *gram = sweep->gram + first * ((size_t)order + 1);
    cblas_dsyrk(CblasRowMajor, CblasUpper, wide ? CblasNoTrans : CblasTrans, n, depth, 1, m, ld, 0,
                gram, order);
    if (behind)
        cblas_dgemm(CblasRowMajor, wide ? CblasNoTrans : CblasTrans,
                    wide ? CblasTrans : CblasNoTrans, n, behind, depth, 1, m, ld, next, ld, 0,
                    gram + count, order);
}

/* M M^T = U S^2 U^T or M^T M = V S^2 V^T, whichever is smaller; order is its size. At least the
 * wanted values and vectors, the largest, are found. */
static enum sn_status decompose(struct sweep *sweep, int order, int wanted, struct sn_error *error)
{
    double multiply_adds = (double)sweep->rows * sweep->columns * order / 2;
    sn_panels((size_t)order, multiply_adds, gram_panel, sweep);
    return sss_eigen(sweep->gram, order, wanted, sweep->values, sweep->vectors, sweep->work,
                     sweep->integers, error);
}

/* O = M V and [A B] = V^T, or with U in place of V: O = U S and [A B] = S^-1 U^T M. The latter
 * costs a product and is computed only when asked for. */
static void project(struct sweep *sweep, int order, int states, int want_reach)
{
    int wide = sweep->rows < sweep->columns;
    const double *vectors = sweep->vectors;
    sweep->states = states;
    if (!states) return;
    if (!wide) {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, sweep->rows, states, sweep->columns, 1,
                    sweep->m, sweep->columns, vectors, order, 0, sweep->o, states);
        memcpy(sweep->reach, vectors, (size_t)states * (size_t)order * sizeof *vectors);
        return;
    }
    if (want_reach)
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, states, sweep->columns, order, 1,
                    vectors, order, sweep->m, sweep->columns, 0, sweep->reach, sweep->columns);
    for (int s = 0; s < states; s++) {
        double sigma = sqrt(sweep->values[s]);
        for (int i = 0; i < sweep->rows; i++)
            sweep->o[(size_t)i * (size_t)states + (size_t)s] =
                vectors[(size_t)s * (size_t)order + (size_t)i] * sigma;
        if (want_reach)
            cblas_dscal(sweep->columns, 1 / sigma,
                        sweep->reach + (size_t)s * (size_t)sweep->columns, 1);
    }
}

/* t_s = 2^round(log2(sigma_s)/2). The sweep leaves the reachability Gramian of a boundary I and its
 * observability Gramian S^2. Scaling state s by sqrt(sigma_s) makes both of them S, so that
 * gradient descent finds parameters of like size on either side; a power of two does so within a
 * factor of two and rounds nothing. */
static double balance(double energy) { return ldexp(1, (int)lrint(log2(energy) / 4)); }

/* Writes A, B of stage k-1 and C of stage k (of the sweep) into values, with x_k scaled by T_k: T_k
 * A T_{k-1}^-1, T_k B, C T_k^-1. before[s] is the scale of state s of boundary k-1 and becomes that
 * of boundary k. */
static void store(const struct sweep *sweep, int k, int n_before, double *before,
                  const struct sss *shape, float *values)
{
    int causal = sweep->direction == SSS_CAUSAL, width = width_of(sweep, k - 1),
        height = height_of(sweep, k);
    struct sss_stage from = sss_stage_at(shape, values, stage_of(sweep, k - 1));
    struct sss_stage to = sss_stage_at(shape, values, stage_of(sweep, k));
    float *a = causal ? from.a : from.e, *b = causal ? from.b : from.f, *c = causal ? to.c : to.g;
    size_t lda = (size_t)limit_of(sweep, k - 1), ldc = (size_t)limit_of(sweep, k);
    for (int s = 0; s < sweep->states; s++) {
        const double *reach = sweep->reach + (size_t)s * (size_t)sweep->columns;
        double t = balance(sweep->values[s]);
        for (int j = 0; j < n_before; j++)
            a[(size_t)s * lda + (size_t)j] = (float)(reach[j] * t / before[j]);
        for (int j = 0; j < width; j++)
            b[(size_t)s * (size_t)width + (size_t)(causal ? j : width - 1 - j)] =
                (float)(reach[n_before + j] * t);
        for (int i = 0; i < height; i++)
            c[(size_t)(causal ? i : height - 1 - i) * ldc + (size_t)s] =
                (float)(sweep->o[(size_t)i * (size_t)sweep->states + (size_t)s] / t);
    }
    for (int s = 0; s < sweep->states; s++) before[s] = balance(sweep->values[s]);
}

/* One boundary: M, its singular values, how many of them stay, O. *lost is what is cut. */
static enum sn_status step(struct sweep *sweep, int k, struct sss_spectra *spectra, int want_reach,
                           double *lost, struct sn_error *error)
{
    double energy = load(sweep, k), kept = 0;
    int order = sss_smaller(sweep->rows, sweep->columns), limit = limit_of(sweep, k), states = 0;
    if (order && energy > 0 && (limit || spectra)) {
        int wanted = sss_smaller(order, sss_larger(limit, spectra ? spectra->cap : 0)), live = 0;
        enum sn_status status = decompose(sweep, order, wanted, error);
        if (status) return status;
        while (live < wanted && sweep->values[live] > noise_energy * energy) live++;
        states = sss_smaller(live, limit);
        for (int s = 0; s < states; s++) kept += sweep->values[s];
        if (spectra) {
            int at = boundary_of(sweep, k), n = sss_smaller(live, spectra->cap);
            spectra->n[sweep->direction][at] = n;
            memcpy(spectra->energy[sweep->direction] + (size_t)at * (size_t)spectra->cap,
                   sweep->values, (size_t)n * sizeof *sweep->values);
        }
    }
    project(sweep, order, states, want_reach);
    *lost = fmax(0, energy - kept);
    return SN_OK;
}

enum sn_status sss_sweep(const float *w, int n_outputs, int n_inputs, const struct sss_plan *plan,
                         int direction, int *reached, struct sss_spectra *spectra, double *lost,
                         const struct sss *shape, float *values, struct sn_error *error)
{
    struct sweep sweep = {
        .w = w, .n_outputs = n_outputs, .n_inputs = n_inputs, .plan = plan, .direction = direction
    };
    double *scale = malloc(((size_t)sss_smaller(n_outputs, n_inputs) + 1) * sizeof *scale);
    if (!scale) return sn_no_memory(error, "an SSS approximation");
    enum sn_status status = sweep_new(&sweep, error);
    if (status) goto done;
    for (int k = 1; k < plan->n_stages && !status; k++) {
        int n_before = sweep.states;
        double cut;
        status = step(&sweep, k, spectra, values != NULL, &cut, error);
        if (!status && lost) lost[k] = cut;
        if (!status && values) store(&sweep, k, n_before, scale, shape, values);
        if (!status && reached) reached[boundary_of(&sweep, k)] = sweep.states;
    }
    sweep_free(&sweep);
done:
    free(scale);
    return status;
}
