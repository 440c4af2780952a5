#include "sss_refine.h"
#include "product.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A stage as one direction sees it, numbered in the order in which its state runs. */
struct link {
    float *d, *c, *a, *b;   /* D, C, A, B or D, G, E, F */
    size_t m, n, s, s_next; /* outputs, inputs, states before and after it */
    size_t row, column;     /* of W where it starts */
};

struct refine {
    const struct sss *shape;
    const float *w;
    const struct sn_weighting *weighting;
    size_t m, n;
    struct link *links;   /* n_stages, of the direction at work */
    size_t *at;           /* n_stages+1: where Gamma_k starts in moments */
    float *residual;      /* (W - What) M, m x n */
    float *moments;       /* Gamma_k = O_k^T (W - What) M, s_k x n each */
    float *q, *qm;        /* Q and Q M, (n_k + s_k) x n; the same array without a weighting */
    float *next, *next_m; /* R_{k+1} and R_{k+1} M, s_{k+1} x n; likewise */
    float *h;             /* [I 0; 0 O_{k+1}]^T (W - What) M, (m_k + s_{k+1}) x n */
    float *change;        /* what Gamma_k lacks, s_k x n */
    float *kf;            /* dK, (m_k + s_{k+1}) x (n_k + s_k); products on their way to doubles */
    double *gram;         /* Q M Q^T, then its factor */
    double *k;            /* dK; or [C; A] by columns */
    double *gauge;        /* R_k M R_k^T = gauge gauge^T when the states were changed, s_k x s_k */
    double *tau;          /* for QR, s_k; a diagonal */
    double *work;         /* scratch of QR, n_work: blocks of 64 of the widest states */
    int n_work;
    int fits; /* whether there are these arrays */
};

/* The most that the arrays may take: so many copies of W, or so many bytes. With a weighting W and
 * M lie in memory in order too. */
enum { MOST_COPIES = 5, MOST_WEIGHTED_COPIES = 2, LEAST_BYTES = 1 << 22 };

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

/* Fills in the links of one direction. */
static void find_links(struct refine *refine, float *values, int causal)
{
    const struct sss *shape = refine->shape;
    int n_stages = shape->n_stages;
    size_t row = 0, column = 0;
    for (int stage = 0; stage < n_stages; stage++) {
        struct sss_stage at = sss_stage_at(shape, values, stage);
        struct link *link = &refine->links[causal ? stage : n_stages - 1 - stage];
        *link = (struct link){ .d = at.d,
                               .m = (size_t)shape->outputs[stage],
                               .n = (size_t)shape->inputs[stage],
                               .row = row,
                               .column = column };
        link->c = causal ? at.c : at.g;
        link->a = causal ? at.a : at.e;
        link->b = causal ? at.b : at.f;
        link->s = (size_t)(causal ? shape->causal[stage] : shape->anticausal[stage + 1]);
        link->s_next = (size_t)(causal ? shape->causal[stage + 1] : shape->anticausal[stage]);
        row += link->m;
        column += link->n;
    }
}

/* ---- The pass from the last stage to the first ---- */

/* Moves the columns of [C; A] between the blocks and k, where they lie column by column. */
static void copy_columns(const struct refine *refine, const struct link *link, int back)
{
    size_t rows = link->m + link->s_next;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < link->s; j++) {
            float *entry = i < link->m ? link->c + i * link->s + j
                                       : link->a + (i - link->m) * link->s + j;
            double *other = refine->k + j * rows + i;
            if (back) *entry = (float)*other;
            else *other = *entry;
        }
}

/* The s_next x (n, s) blocks B and A of the stage before become T B and T A for the upper
 * triangular T. */
static void transform_states(const struct link *before, const double *t, size_t ldt)
{
    float *blocks[] = { before->b, before->a };
    const size_t widths[] = { before->n, before->s };
    for (int i = 0; i < 2; i++)
        for (size_t j = 0; j < widths[i]; j++)
            for (size_t s = 0; s < before->s_next; s++) {
                double sum = 0;
                for (size_t p = s; p < before->s_next; p++)
                    sum += t[p * ldt + s] * blocks[i][p * widths[i] + j];
                blocks[i][s * widths[i] + j] = (float)sum;
            }
}

/* [C; A] = Q T with orthonormal Q, which takes its place; T goes to the stage before. */
static void orthonormalise(const struct refine *refine, const struct link *link,
                           const struct link *before)
{
    int rows = (int)(link->m + link->s_next), s = (int)link->s;
    copy_columns(refine, link, 0);
    LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, rows, s, refine->k, rows, refine->tau, refine->work,
                        refine->n_work);
    transform_states(before, refine->k, (size_t)rows);
    LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, rows, s, s, refine->k, rows, refine->tau, refine->work,
                        refine->n_work);
    copy_columns(refine, link, 1);
}

/* Gamma_k = C^T (rows of the stage) + A^T Gamma_{k+1}, after [C; A] became orthonormal, for all
 * stages but the first. */
static void pass_back(const struct refine *refine)
{
    size_t n = refine->n;
    for (int k = refine->shape->n_stages - 1; k > 0; k--) {
        const struct link *link = &refine->links[k];
        float *moments = refine->moments + refine->at[k];
        if (!link->s) continue;
        orthonormalise(refine, link, link - 1);
        sn_gemm(1, 0, link->s, n, link->m, 1, link->c, link->s, refine->residual + link->row * n, n,
                0, moments, n);
        sn_gemm(1, 0, link->s, n, link->s_next, 1, link->a, link->s,
                refine->moments + refine->at[k + 1], n, 1, moments, n);
    }
}

/* ---- The pass from the first stage to the last ---- */

/* a = T T^T for the symmetric a (order x order, its upper triangle row by row): T takes the place
 * of its lower triangle. As much is added to the diagonal as makes a positive definite to working
 * precision. */
static void factor(const struct refine *refine, double *a, size_t order)
{
    enum { TRIALS = 9 }; /* Up to a million times the mean of the diagonal. */
    double mean = 0, *diagonal = refine->tau;
    for (size_t i = 0; i < order; i++) mean += (diagonal[i] = a[i * order + i]) / (double)order;
    if (!(mean > 0)) mean = 1;
    double ridge = 1e-10;
    for (int trial = 0; trial < TRIALS; trial++) {
        for (size_t i = 0; i < order; i++) {
            a[i * order + i] = diagonal[i] + ridge * mean;
            for (size_t j = 0; j < i; j++) a[i * order + j] = a[j * order + i];
        }
        /* Upper by columns is lower by rows. */
        if (!LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'U', (int)order, a, (int)order)) return;
        ridge *= 100;
    }
}

/* to (rows x (n_k + s_k)) = from Q^T for from (rows x n). */
static void times_q(const struct refine *refine, const struct link *link, const float *from,
                    size_t rows, double *to)
{
    size_t n = refine->n, columns = link->n + link->s;
    float *kf = refine->kf;
    for (size_t i = 0; i < rows; i++)
        if (link->n) memcpy(kf + i * columns, from + i * n + link->column, link->n * sizeof *kf);
    sn_gemm(0, 1, rows, link->s, n, 1, from, n, refine->q + link->n * n, n, 0, kf + link->n,
            columns);
    for (size_t i = 0; i < rows * columns; i++) to[i] = kf[i];
}

/* Q = [I_k; R_k] and Q M; R_k and R_k M are in next and next_m. */
static void load_q(const struct refine *refine, const struct link *link)
{
    size_t n = refine->n;
    memset(refine->q, 0, link->n * n * sizeof(float));
    for (size_t j = 0; j < link->n; j++) refine->q[j * n + link->column + j] = 1;
    memcpy(refine->q + link->n * n, refine->next, link->s * n * sizeof(float));
    if (!refine->weighting) return;
    memcpy(refine->qm, refine->weighting->moment + link->column * n, link->n * n * sizeof(float));
    memcpy(refine->qm + link->n * n, refine->next_m, link->s * n * sizeof(float));
}

/* h = [rows of the stage; Gamma_{k+1}] + [C; A] change: what the changes to earlier stages have
 * made of it. */
static void load_h(const struct refine *refine, const struct link *link, int k)
{
    size_t n = refine->n;
    float *below = refine->h + link->m * n;
    memcpy(refine->h, refine->residual + link->row * n, link->m * n * sizeof(float));
    memcpy(below, refine->moments + refine->at[k + 1], link->s_next * n * sizeof(float));
    sn_gemm(0, 0, link->m, n, link->s, 1, link->c, link->s, refine->change, n, 1, refine->h, n);
    sn_gemm(0, 0, link->s_next, n, link->s, 1, link->a, link->s, refine->change, n, 1, below, n);
}

/* C and A become C gauge and A gauge: the states before the stage are R_k u with R_k = gauge^-1
 * times what it was. */
static void take_gauge(const struct refine *refine, const struct link *link)
{
    float *blocks[] = { link->c, link->a };
    const size_t heights[] = { link->m, link->s_next }, s = link->s;
    for (int i = 0; i < 2; i++)
        for (size_t row = 0; row < heights[i]; row++) {
            float *entries = blocks[i] + row * s;
            for (size_t j = 0; j < s; j++) {
                double sum = 0;
                for (size_t p = j; p < s; p++) sum += entries[p] * refine->gauge[p * s + j];
                entries[j] = (float)sum;
            }
        }
}

/* Adds dK to the stage's blocks. */
static void add_change(const struct refine *refine, const struct link *link)
{
    const float *kf = refine->kf;
    for (size_t i = 0; i < link->m + link->s_next; i++) {
        size_t below = i - link->m;
        float *over_inputs = i < link->m ? link->d + i * link->n : link->b + below * link->n;
        float *over_states = i < link->m ? link->c + i * link->s : link->a + below * link->s;
        for (size_t j = 0; j < link->n; j++) over_inputs[j] += *kf++;
        for (size_t j = 0; j < link->s; j++) over_states[j] += *kf++;
    }
}

/* The best change of one stage; h gets what it leaves. */
static void improve(const struct refine *refine, const struct link *link)
{
    size_t n = refine->n, rows = link->m + link->s_next, columns = link->n + link->s;
    if (!rows || !columns) return;
    times_q(refine, link, refine->qm, columns, refine->gram);
    factor(refine, refine->gram, columns);
    times_q(refine, link, refine->h, rows, refine->k);
    LAPACKE_dpotrs_work(LAPACK_COL_MAJOR, 'U', (int)columns, (int)rows, refine->gram, (int)columns,
                        refine->k, (int)columns);
    for (size_t i = 0; i < rows * columns; i++) refine->kf[i] = (float)refine->k[i];
    add_change(refine, link);
    sn_gemm(0, 0, rows, n, columns, -1, refine->kf, columns, refine->qm, n, 1, refine->h, n);
}

/* x := T^-1 x for the lower triangular T = gauge (s x s) and x (s x n). */
static void solve_gauge(const struct refine *refine, size_t s, float *x, size_t n)
{
    for (size_t i = 0; i < s; i++) {
        const double *t = refine->gauge + i * s;
        for (size_t p = 0; p < i; p++)
            if (n) cblas_saxpy((int)n, (float)-t[p], x + p * n, 1, x + i * n, 1);
        if (n) cblas_sscal((int)n, (float)(1 / t[i]), x + i * n, 1);
    }
}

/* R_{k+1} = [B A] Q, with states such that R_{k+1} M R_{k+1}^T = I. */
static void advance(const struct refine *refine, const struct link *link)
{
    size_t n = refine->n, s = link->s_next;
    const float *from[] = { refine->q, refine->qm };
    float *to[] = { refine->next, refine->next_m };
    int two = refine->weighting != NULL;
    for (int i = 0; i <= two; i++) {
        sn_gemm(0, 0, s, n, link->n, 1, link->b, link->n, from[i], n, 0, to[i], n);
        sn_gemm(0, 0, s, n, link->s, 1, link->a, link->s, from[i] + link->n * n, n, 1, to[i], n);
    }
    sn_gemm(0, 1, s, s, n, 1, refine->next, n, refine->next_m, n, 0, refine->kf, s);
    for (size_t i = 0; i < s * s; i++) refine->gauge[i] = refine->kf[i];
    if (s) factor(refine, refine->gauge, s);
    for (int i = 0; i <= two; i++) solve_gauge(refine, s, to[i], n);
    solve_gauge(refine, s, link->b, link->n);
    solve_gauge(refine, s, link->a, link->s);
}

static void pass_forward(const struct refine *refine)
{
    size_t n = refine->n;
    for (int k = 0; k < refine->shape->n_stages; k++) {
        const struct link *link = &refine->links[k];
        load_q(refine, link);
        load_h(refine, link, k);
        take_gauge(refine, link);
        improve(refine, link);
        memcpy(refine->residual + link->row * n, refine->h, link->m * n * sizeof(float));
        for (size_t i = 0; i < link->s_next * n; i++)
            refine->change[i] = refine->h[link->m * n + i] - refine->moments[refine->at[k + 1] + i];
        advance(refine, link);
    }
}

/* ---- Rounds ---- */

/* The sum of the squares of count entries, stride apart. */
static double squares(const float *x, size_t count, size_t stride)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)x[i * stride] * (double)x[i * stride];
    return sum;
}

/* Powers of two between the two sides of every state that make them of like size, for training's
 * sake; they round nothing. */
static void balance(const struct refine *refine)
{
    for (int k = 1; k < refine->shape->n_stages; k++) {
        const struct link *link = &refine->links[k], *before = link - 1;
        for (size_t s = 0; s < link->s; s++) {
            double in = squares(before->b + s * before->n, before->n, 1)
                + squares(before->a + s * before->s, before->s, 1);
            double out = squares(link->c + s, link->m, link->s)
                + squares(link->a + s, link->s_next, link->s);
            if (!(in > 0) || !(out > 0)) continue;
            float t = (float)ldexp(1, (int)lrint(log2(out / in) / 4));
            if (before->n) cblas_sscal((int)before->n, t, before->b + s * before->n, 1);
            if (before->s) cblas_sscal((int)before->s, t, before->a + s * before->s, 1);
            if (link->m) cblas_sscal((int)link->m, 1 / t, link->c + s, (int)link->s);
            if (link->s_next) cblas_sscal((int)link->s_next, 1 / t, link->a + s, (int)link->s);
        }
    }
}

/* residual = (W - What) M; *lost = ||(W - What) L||_F^2. h is scratch. */
static enum sn_status measure(const struct refine *refine, const float *words, double *lost,
                              struct sn_error *error)
{
    size_t n = refine->n, count = refine->m * n;
    enum sn_status status = sn_dense(&refine->shape->matrix, words, refine->h, error);
    if (status) return status;
    for (size_t i = 0; i < count; i++) refine->h[i] = refine->w[i] - refine->h[i];
    if (refine->weighting)
        sn_gemm(0, 0, refine->m, n, n, 1, refine->h, n, refine->weighting->moment, n, 0,
                refine->residual, n);
    else memcpy(refine->residual, refine->h, count * sizeof(float));
    *lost = 0;
    for (size_t i = 0; i < count; i++) *lost += (double)refine->h[i] * (double)refine->residual[i];
    *lost = fmax(0, *lost);
    return SN_OK;
}

/* Where the Gammas lie. Returns 0 when a state is larger than what the stages on a side of it can
 * carry, so that its O cannot have orthonormal columns. */
static int place_moments(const struct refine *refine)
{
    size_t at = 0;
    int n_stages = refine->shape->n_stages, fits = 1;
    for (int k = 0; k < n_stages; k++) {
        const struct link *link = &refine->links[k];
        refine->at[k] = at;
        at += link->s * refine->n;
        fits &= link->s <= link->m + link->s_next && link->s_next <= link->n + link->s;
    }
    refine->at[n_stages] = at;
    return fits;
}

static void refine_free(struct refine *refine)
{
    void *all[] = { refine->links, refine->at,    refine->residual, refine->moments, refine->q,
                    refine->next,  refine->h,     refine->change,   refine->kf,      refine->gram,
                    refine->k,     refine->gauge, refine->tau,      refine->work };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    if (!refine->weighting) return; /* The others are the same arrays. */
    free(refine->qm);
    free(refine->next_m);
}

/* The arrays, large enough for both directions; none, and fits = 0, where they would be too large.
 */
static enum sn_status refine_new(struct refine *refine, struct sn_error *error)
{
    const struct sss *shape = refine->shape;
    size_t n = refine->n, rows = refine->m, columns = 1, states = 1, block = 1,
           moments[2] = { 1, 1 };
    for (int k = 0; k < shape->n_stages; k++)
        for (int d = 0; d < 2; d++) {
            size_t s = (size_t)(d ? shape->anticausal[k + 1] : shape->causal[k]);
            size_t next = (size_t)(d ? shape->anticausal[k] : shape->causal[k + 1]);
            size_t height = (size_t)shape->outputs[k] + next, width = (size_t)shape->inputs[k] + s;
            rows = largest(rows, height);
            columns = largest(columns, width);
            states = largest(states, s);
            block = largest(block, height * width);
            block = largest(block, height * s);
            moments[d] += s * n;
        }
    size_t product = largest(block, largest(columns * columns, states * states)),
           gammas = largest(moments[0], moments[1]);
    float **floats[] = { &refine->residual, &refine->moments, &refine->q,
                         &refine->next,     &refine->h,       &refine->change,
                         &refine->kf,       &refine->qm,      &refine->next_m };
    const size_t n_floats[] = { refine->m * n, gammas,  columns * n, states * n, rows * n,
                                states * n,    product, columns * n, states * n };
    double **doubles[] = { &refine->gram, &refine->k, &refine->gauge, &refine->tau };
    const size_t n_doubles[] = { columns * columns, block, states * states,
                                 largest(columns, states) };
    int weighted = refine->weighting != NULL, fine = 1;
    size_t bytes = 0, copies = weighted ? MOST_WEIGHTED_COPIES : MOST_COPIES;
    for (int i = 0; i < 7 + 2 * weighted; i++) bytes += n_floats[i] * sizeof(float);
    for (int i = 0; i < 4; i++) bytes += n_doubles[i] * sizeof(double);
    refine->fits = bytes <= largest(LEAST_BYTES, copies * refine->m * n * sizeof(float));
    if (!refine->fits) return SN_OK;
    for (int i = 0; i < 7 + 2 * weighted; i++)
        fine &= (*floats[i] = malloc(n_floats[i] * sizeof(float))) != NULL;
    for (int i = 0; i < 4; i++)
        fine &= (*doubles[i] = malloc(n_doubles[i] * sizeof(double))) != NULL;
    refine->n_work = 64 * (int)largest(states, 1);
    fine &= (refine->work = malloc((size_t)refine->n_work * sizeof(double))) != NULL;
    if (!weighted) refine->qm = refine->q, refine->next_m = refine->next;
    refine->links = calloc((size_t)shape->n_stages, sizeof *refine->links);
    refine->at = calloc((size_t)shape->n_stages + 1, sizeof *refine->at);
    if (fine && refine->links && refine->at) return SN_OK;
    return sn_no_memory(error, "the refinement of %zu x %zu", refine->m, n);
}

/* One round of each direction on words, as far as it can be refined. *lost is that of the words
 * before it at first. */
static enum sn_status round_of_both(struct refine *refine, float *words, double *lost,
                                    struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int causal = 1; causal >= 0 && !status; causal--) {
        find_links(refine, words, causal);
        if (!place_moments(refine)) continue;
        pass_back(refine);
        pass_forward(refine);
        balance(refine);
        status = measure(refine, words, lost, error);
    }
    return status;
}

enum sn_status sss_refine(const struct sss *shape, float *words, const float *w,
                          const struct sn_weighting *weighting, int rounds,
                          const volatile sig_atomic_t *stop, struct sn_error *error)
{
    struct refine refine = { .shape = shape,
                             .w = w,
                             .weighting = weighting,
                             .m = (size_t)shape->matrix.n_outputs,
                             .n = (size_t)shape->matrix.n_inputs };
    size_t bytes = shape->matrix.n_words * sizeof *words;
    float *best = NULL;
    double lost, lowest;
    enum sn_status status = refine_new(&refine, error);
    if (status || !refine.fits) goto done;
    if (!(best = malloc(bytes + 1))) {
        status = sn_no_memory(error, "%zu bytes", bytes);
        goto done;
    }
    memcpy(best, words, bytes);
    if ((status = measure(&refine, words, &lost, error))) goto done;
    for (int round = 0; round < rounds && !(stop && *stop); round++) {
        lowest = lost;
        if ((status = round_of_both(&refine, words, &lost, error))) break;
        if (!(lost < lowest)) break;
        memcpy(best, words, bytes);
        if (lost > (1 - 2e-3) * lowest) break;
    }
    memcpy(words, best, bytes);
done:
    refine_free(&refine);
    free(best);
    return status;
}

/* ---- What a column would keep in another stage ---- */

/* energy[stage][j] += sum of squares of column j of block (rows x n). */
static void add_squares(float *energy, const float *block, size_t rows, size_t n)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++) energy[j] += block[i * n + j] * block[i * n + j];
}

enum sn_status sss_captured(const struct sss *shape, float *words, const float *w, float *energy,
                            struct sn_error *error)
{
    struct refine refine = { .shape = shape,
                             .w = w,
                             .m = (size_t)shape->matrix.n_outputs,
                             .n = (size_t)shape->matrix.n_inputs };
    size_t n = refine.n, n_stages = (size_t)shape->n_stages;
    memset(energy, 0, n_stages * n * sizeof *energy);
    enum sn_status status = refine_new(&refine, error);
    int fits = refine.fits;
    for (int causal = 1; causal >= 0 && !status && fits; causal--) {
        find_links(&refine, words, causal);
        fits = place_moments(&refine);
        if (!fits) continue;
        memcpy(refine.residual, w, refine.m * n * sizeof *w);
        pass_back(&refine); /* Gamma_k = O_k^T W. */
        for (size_t k = 0; k < n_stages; k++) {
            const struct link *link = &refine.links[k];
            float *stage = energy + (causal ? k : n_stages - 1 - k) * n;
            if (causal) add_squares(stage, w + link->row * n, link->m, n);
            add_squares(stage, refine.moments + refine.at[k + 1], link->s_next, n);
        }
    }
    if (!fits) memset(energy, 0, n_stages * n * sizeof *energy);
    refine_free(&refine);
    return status;
}
