#include "sss_order.h"
#include "sss_refine.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Seriation ---- */

struct key {
    double value;
    uint32_t index;
};

static int compare_keys(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

/* The indices 0..n-1 by ascending values[i] / roots[i]; those without a root, which nothing
 * couples, last. */
static enum sn_status sort_by(const double *values, const double *roots, int n, uint32_t *order,
                              struct sn_error *error)
{
    struct key *keys = malloc((size_t)n * sizeof *keys);
    if (!keys) return sn_no_memory(error, "the order of rows and columns");
    for (int i = 0; i < n; i++)
        keys[i] = (struct key){ roots[i] > 0 ? values[i] / roots[i] : HUGE_VAL, (uint32_t)i };
    qsort(keys, (size_t)n, sizeof *keys, compare_keys);
    for (int i = 0; i < n; i++) order[i] = keys[i].index;
    free(keys);
    return SN_OK;
}

/* a = R^-1/2 A C^-1/2; r and c become the roots of the row and column sums. */
static void normalise(const float *w, size_t m, size_t n, double *a, double *r, double *c)
{
    memset(r, 0, m * sizeof *r);
    memset(c, 0, n * sizeof *c);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double x = w[i * n + j];
            a[i * n + j] = x * x;
            r[i] += x * x;
            c[j] += x * x;
        }
    for (size_t i = 0; i < m; i++) r[i] = sqrt(r[i]);
    for (size_t j = 0; j < n; j++) c[j] = sqrt(c[j]);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            a[i * n + j] = r[i] > 0 && c[j] > 0 ? a[i * n + j] / (r[i] * c[j]) : 0;
}

/* The eigenvector of the second largest eigenvalue of a a^T (wide) or a^T a, its order (at least 2)
 * in all. Overwrites gram. */
static enum sn_status second_vector(const double *a, int m, int n, int wide, double *gram,
                                    double *vector, struct sn_error *error)
{
    int order = wide ? m : n, found;
    lapack_int support[2];
    double *values = malloc((size_t)order * sizeof *values);
    if (!values) return sn_no_memory(error, "the order of rows and columns");
    cblas_dsyrk(CblasRowMajor, CblasUpper, wide ? CblasNoTrans : CblasTrans, order, wide ? n : m, 1,
                a, n, 0, gram, order);
    lapack_int info = LAPACKE_dsyevr(LAPACK_COL_MAJOR, 'V', 'I', 'L', order, gram, order, 0, 0,
                                     order - 1, order - 1, 0, &found, values, vector, order,
                                     support);
    free(values);
    /* One that does not converge leaves the order to the assignment. */
    if (info > 0) memset(vector, 0, (size_t)order * sizeof *vector);
    return info < 0 ? sn_no_memory(error, "the order of rows and columns") : SN_OK;
}

enum sn_status sss_seriate(const float *w, int m, int n, uint32_t *rows, uint32_t *columns,
                           struct sn_error *error)
{
    size_t count = (size_t)m * (size_t)n;
    int wide = m < n, order = wide ? m : n;
    double *a = malloc(count * sizeof *a),
           *gram = malloc((size_t)order * (size_t)order * sizeof *gram);
    double *r = malloc(2 * ((size_t)m + (size_t)n) * sizeof *r);
    enum sn_status status = a && gram && r ? SN_OK
                                           : sn_no_memory(error, "the order of rows and columns");
    if (!status) {
        double *c = r + m, *u = c + n, *v = u + m;
        normalise(w, (size_t)m, (size_t)n, a, r, c);
        memset(u, 0, ((size_t)m + (size_t)n) * sizeof *u);
        if (order > 1) status = second_vector(a, m, n, wide, gram, wide ? u : v, error);
        cblas_dgemv(CblasRowMajor, wide ? CblasTrans : CblasNoTrans, m, n, 1, a, n, wide ? u : v, 1,
                    0, wide ? v : u, 1);
        if (!status) status = sort_by(u, r, m, rows, error);
        if (!status) status = sort_by(v, c, n, columns, error);
    }
    free(a);
    free(gram);
    free(r);
    return status;
}

/* ---- Assignment ---- */

struct assignment {
    int n, n_stages;
    const float *energy; /* n_stages x n */
    int *stage;          /* n: where column j is */
    double *gain;        /* n_stages x n_stages: the most that moving a column from a to b gains */
    int *mover;          /* that column; -1 when a has none */
    double *potential;   /* n_stages */
    int *before;         /* n_stages */
};

/* Row a of gain and mover. */
static void find_movers(const struct assignment *as, int a)
{
    int n_stages = as->n_stages;
    for (int b = 0; b < n_stages; b++) as->mover[a * n_stages + b] = -1;
    for (int j = 0; j < as->n; j++) {
        if (as->stage[j] != a) continue;
        for (int b = 0; b < n_stages; b++) {
            double gain = (double)as->energy[(size_t)b * (size_t)as->n + (size_t)j]
                - (double)as->energy[(size_t)a * (size_t)as->n + (size_t)j];
            int at = a * n_stages + b;
            if (as->mover[at] >= 0 && gain <= as->gain[at]) continue;
            as->gain[at] = gain;
            as->mover[at] = j;
        }
    }
}

/* A stage on a cycle that gains more than least on each of its moves on average, by Bellman and
 * Ford; -1 when there is none. */
static int find_cycle(const struct assignment *as, double least)
{
    int n_stages = as->n_stages, last = 0;
    for (int k = 0; k < n_stages; k++) as->potential[k] = 0, as->before[k] = -1;
    for (int round = 0; round <= n_stages && last >= 0; round++) {
        last = -1;
        for (int a = 0; a < n_stages; a++)
            for (int b = 0; b < n_stages; b++) {
                int at = a * n_stages + b;
                double reached = as->potential[a] + as->gain[at] - least;
                if (a == b || as->mover[at] < 0 || reached <= as->potential[b]) continue;
                as->potential[b] = reached;
                as->before[b] = a;
                last = b;
            }
    }
    for (int k = 0; k < n_stages && last >= 0; k++) last = as->before[last];
    return last;
}

/* Moves one column along each step of the cycle through stage. */
static void turn(const struct assignment *as, int stage)
{
    int b = stage;
    do {
        int a = as->before[b];
        as->stage[as->mover[a * as->n_stages + b]] = b;
        b = a;
    } while (b != stage);
    do {
        find_movers(as, b);
        b = as->before[b];
    } while (b != stage);
}

/* The best assignment, up to one part in 10^6 of the energy. */
static enum sn_status assign(int n, int n_stages, const float *energy, int *stage,
                             struct sn_error *error)
{
    size_t stages = (size_t)n_stages;
    struct assignment as = { .n = n,
                             .n_stages = n_stages,
                             .energy = energy,
                             .stage = stage,
                             .gain = calloc(stages * stages, sizeof(double)),
                             .mover = calloc(stages * stages, sizeof(int)),
                             .potential = malloc(stages * sizeof(double)),
                             .before = calloc(stages, sizeof(int)) };
    enum sn_status status = as.gain && as.mover && as.potential && as.before
        ? SN_OK
        : sn_no_memory(error, "the order of rows and columns");
    double total = 0;
    for (size_t i = 0; i < stages * (size_t)n; i++) total = fmax(total, (double)energy[i]);
    for (int a = 0; a < n_stages && !status; a++) find_movers(&as, a);
    for (int moves = 0; moves < 4 * n && !status; moves++) {
        int cycle = find_cycle(&as, 1e-6 * total);
        if (cycle < 0) break;
        turn(&as, cycle);
    }
    free(as.gain);
    free(as.mover);
    free(as.potential);
    free(as.before);
    return status;
}

/* What^T has the blocks D^T; for causal ones C = F^T, A = E^T, B = G^T; for anticausal ones G =
 * B^T, E = A^T, F = C^T. */
static struct sss *transpose(const struct sss *shape, const float *words, float **turned,
                             struct sn_error *error)
{
    struct sss *other = sss_new(shape->n_stages, shape->outputs, shape->inputs,
                                shape->anticausal + 1, shape->causal + 1, error);
    *turned = malloc(shape->matrix.n_values * sizeof **turned);
    if (!other || !*turned) {
        free(other);
        sn_no_memory(error, "the order of rows and columns");
        return NULL;
    }
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage from = sss_stage_at(shape, (float *)words, k),
                         to = sss_stage_at(other, *turned, k);
        int m = shape->outputs[k], n = shape->inputs[k], s = shape->causal[k],
            s_next = shape->causal[k + 1];
        int t = shape->anticausal[k], t_next = shape->anticausal[k + 1];
        const struct {
            const float *from;
            float *to;
            int rows, columns;
        } blocks[] = {
            { from.d, to.d, m, n },      { from.f, to.c, t, n },      { from.e, to.a, t, t_next },
            { from.g, to.b, m, t_next }, { from.b, to.g, s_next, n }, { from.a, to.e, s_next, s },
            { from.c, to.f, m, s },
        };
        for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
            for (int row = 0; row < blocks[i].rows; row++)
                for (int column = 0; column < blocks[i].columns; column++)
                    blocks[i].to[column * blocks[i].rows + row] =
                        blocks[i].from[row * blocks[i].columns + column];
    }
    return other;
}

/* The order that lists the columns stage by stage. */
static void list_by_stage(const int *stage, int n, int n_stages, uint32_t *order)
{
    for (int k = 0; k < n_stages; k++)
        for (int j = 0; j < n; j++)
            if (stage[j] == k) *order++ = (uint32_t)j;
}

static enum sn_status reassign_columns(const struct sss *shape, float *words, const float *w,
                                       uint32_t *order, struct sn_error *error)
{
    int n = shape->matrix.n_inputs, n_stages = shape->n_stages;
    float *energy = malloc((size_t)n_stages * (size_t)n * sizeof *energy);
    int *stage = calloc((size_t)n, sizeof *stage);
    enum sn_status status = energy && stage ? SN_OK
                                            : sn_no_memory(error, "the order of rows and columns");
    if (!status) {
        for (int k = 0, j = 0; k < n_stages; k++)
            for (int i = 0; i < shape->inputs[k]; i++) stage[j++] = k;
        status = sss_captured(shape, words, w, energy, error);
    }
    if (!status) status = assign(n, n_stages, energy, stage, error);
    if (!status) list_by_stage(stage, n, n_stages, order);
    free(energy);
    free(stage);
    return status;
}

enum sn_status sss_reassign(const struct sss *shape, float *words, const float *w, int by_rows,
                            uint32_t *order, struct sn_error *error)
{
    if (!by_rows) return reassign_columns(shape, words, w, order, error);
    size_t m = (size_t)shape->matrix.n_outputs, n = (size_t)shape->matrix.n_inputs;
    float *turned_words = NULL, *turned = malloc(m * n * sizeof *turned);
    struct sss *other = transpose(shape, words, &turned_words, error);
    enum sn_status status = other && turned ? SN_OK
                                            : sn_no_memory(error, "the order of rows and columns");
    for (size_t i = 0; i < m && !status; i++)
        for (size_t j = 0; j < n; j++) turned[j * m + i] = w[i * n + j];
    if (!status) status = reassign_columns(other, turned_words, turned, order, error);
    free(turned_words);
    free(turned);
    free(other);
    return status;
}
