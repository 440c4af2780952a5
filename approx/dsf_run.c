/* The search for the patterns of A and B: rounds of ADMM steps of both. */
#include "dsf_state.h"
#include "panels.h"
#include "product.h"
#include "psm_admm.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- Steps ---- */

/* Gives the atoms of factor 1-f unit norm; A B stays, and so do the duals beside their factors. */
static void normalise_other(struct dsf *dsf, int f)
{
    dsf_atom_norms(dsf, 1 - f);
    dsf_scale_a(dsf, dsf->a, f == DSF_B);
    dsf_scale_a(dsf, dsf->dual[DSF_A], f == DSF_B);
    dsf_scale_b(dsf, f == DSF_A);
    dsf_scale_lines(dsf, dsf->dual[DSF_B], (size_t)dsf->n, f == DSF_A);
}

/* gram <- the lower triangle of the other factor's Gram matrix, plus penalty I, factored. Not
 * positive definite but for entries that are not finite: 0 then. */
static int factor_gram(struct dsf *dsf, int f, int is_sparse, float penalty)
{
    int inner = dsf->inner;
    if (is_sparse) psm_gram(f == DSF_A ? &dsf->b : &dsf->lines, dsf->gram, dsf->tile);
    else
        cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, inner, dsf->m, 1, dsf->a, dsf->m, 0,
                    dsf->gram, inner);
    for (size_t p = 0; p < (size_t)inner; p++) dsf->gram[p * ((size_t)inner + 1)] += penalty;
    return !LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', inner, dsf->gram, inner);
}

/* dense <- the other factor times T, in the layout of f. */
static void take_moment(struct dsf *dsf, int f, int is_sparse)
{
    size_t m = (size_t)dsf->m, n = (size_t)dsf->n, inner = (size_t)dsf->inner;
    if (f == DSF_A) dsf_gradient_a(dsf, dsf->target, dsf->dense);
    else if (is_sparse) psm_times(&dsf->lines, dsf->target, n, 1, 0, dsf->dense, dsf->tile);
    else sn_gemm(0, 1, inner, n, m, 1, dsf->a, m, dsf->target, m, 0, dsf->dense, n);
}

/* L L^T X = right sides, length of them, which X replaces. */
struct system {
    const float *gram; /* L, inner x inner */
    float *x;          /* inner x length */
    int inner, length;
};

static void solve_panel(void *context, size_t first, size_t count)
{
    const struct system *s = context;
    for (int transposed = 0; transposed < 2; transposed++)
        cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, transposed ? CblasTrans : CblasNoTrans,
                    CblasNonUnit, s->inner, (int)count, 1, s->gram, s->inner, s->x + first,
                    s->length);
}

/* dense <- X + U, for X = (G + penalty I)^-1 (moment + penalty (Z - U)), U the dual times kept. */
static void solve(struct dsf *dsf, int f, float penalty, float kept)
{
    int inner = dsf->inner, length = f == DSF_A ? dsf->m : dsf->n;
    size_t size = dsf_size(dsf, f);
    float *x = dsf->dense, *dual = dsf->dual[f];
    cblas_sscal((int)size, kept, dual, 1);
    cblas_saxpy((int)size, -penalty, dual, 1, x, 1);
    if (f == DSF_A) cblas_saxpy((int)size, penalty, dsf->a, 1, x, 1);
    else
        for (size_t p = 0; p < (size_t)inner; p++)
            for (size_t q = dsf->b.start[p]; q < dsf->b.start[p + 1]; q++)
                x[p * (size_t)length + dsf->b.column[q]] += penalty * dsf->b.value[q];
    struct system system = { dsf->gram, x, inner, length };
    sn_panels((size_t)length, (double)inner * inner * length, solve_panel, &system);
    cblas_saxpy((int)size, 1, dual, 1, x, 1);
}

/* One step of ADMM for factor f: Z <- the k largest of X + U, U <- X + U - Z. */
static void step(struct dsf *dsf, int f, size_t k, float penalty, float kept)
{
    size_t size = dsf_size(dsf, f);
    normalise_other(dsf, f);
    int is_sparse = f == DSF_A || dsf_take_lines(dsf);
    if (!factor_gram(dsf, f, is_sparse, penalty)) return;
    take_moment(dsf, f, is_sparse);
    solve(dsf, f, penalty, kept);
    memcpy(dsf->dual[f], dsf->dense, size * sizeof(float));
    dsf_project(dsf, f, dsf->dense, k);
    cblas_saxpy((int)size, -1, dsf->dense, 1, dsf->dual[f], 1);
    if (f == DSF_A) memcpy(dsf->a, dsf->dense, size * sizeof(float));
    else dsf_take_b(dsf);
}

/* ---- Rounds ---- */

struct rounds {
    struct dsf *dsf;
    const size_t *k;
    int n_rounds;
    double first, last; /* the penalties, which grow by equal factors */
};

static double penalty_in(const struct rounds *rounds, int round)
{
    double part = rounds->n_rounds > 1 ? round / (rounds->n_rounds - 1.) : 1;
    return rounds->first * pow(rounds->last / rounds->first, part);
}

/* A first, since B has nothing to gain at the start. */
static void take_round(const struct rounds *rounds, int round)
{
    double penalty = penalty_in(rounds, round),
           kept = round ? penalty_in(rounds, round - 1) / penalty : 1;
    for (int f = 0; f < 2; f++) step(rounds->dsf, f, rounds->k[f], (float)penalty, (float)kept);
}

static void take_w(void *context, float *w) { dsf_take_w(((struct rounds *)context)->dsf, w); }

static const float *approach(void *context, int round)
{
    const struct rounds *rounds = context;
    struct dsf *dsf = rounds->dsf;
    take_round(rounds, round);
    dsf_multiply(dsf, dsf->a, dsf->b.value, NULL, dsf->residual);
    return dsf->residual;
}

/* With a weighting the target moves, by ADMM around the rounds. */
static void run_weighted(struct rounds *rounds, const volatile sig_atomic_t *stop)
{
    struct dsf *dsf = rounds->dsf;
    struct psm_admm admm = { .rows = dsf_rows(dsf),
                             .columns = dsf_columns(dsf),
                             .transposed = !dsf->flip,
                             .weighting = dsf->weighting,
                             .n_rounds = rounds->n_rounds,
                             .first = .5, /* Tried on classifiers of trained nets. */
                             .last = 1,
                             .stop = stop,
                             .target = dsf->target,
                             .sum = dsf->dense,
                             .filter = dsf->weighted,
                             .context = rounds,
                             .take_w = take_w,
                             .approach = approach };
    psm_admm_run(&admm);
    dsf_take_w(dsf, dsf->target);
}

/* Tried on layers of trained nets. Where many entries stay, patterns settle by themselves, but not
 * beside a B that has all of its entries. */
static double last_penalty(const struct dsf *dsf, const size_t k[2])
{
    double density = (double)(k[DSF_A] + k[DSF_B]) / ((double)dsf->m * dsf->n),
           free_b = 1 - (double)k[DSF_B] / (double)dsf_size(dsf, DSF_B);
    return fmax(.3, .9 - .8 * density * free_b);
}

double dsf_run(struct dsf *dsf, const size_t k[2], int n_rounds, const volatile sig_atomic_t *stop)
{
    struct rounds rounds = { dsf, k, n_rounds, .2, last_penalty(dsf, k) };
    dsf->stop = stop;
    if (dsf->weighting) run_weighted(&rounds, stop);
    else
        for (int round = 0; round < n_rounds && !(stop && *stop); round++)
            take_round(&rounds, round);
    dsf_project(dsf, DSF_A, dsf->a, k[DSF_A]); /* A stop may come before the first step. */
    dsf_multiply(dsf, dsf->a, dsf->b.value, dsf->target, dsf->residual);
    return dsf_energy_of(dsf->residual, (size_t)dsf->m * (size_t)dsf->n);
}

/* A round of 1000 x 1280 sets the time; larger matrices get fewer rounds, but not too few. */
int dsf_rounds(const struct dsf_task *task, enum sn_effort effort)
{
    static const double usual[] = { [SN_QUICK] = 20, [SN_NORMAL] = 80, [SN_THOROUGH] = 400 },
                        least[] = { [SN_QUICK] = 5, [SN_NORMAL] = 60, [SN_THOROUGH] = 200 };
    int m = task->flip ? task->columns : task->rows, n = task->flip ? task->rows : task->columns,
        inner = task->inner ? task->inner : n;
    double work = (double)m * n * inner / (1000. * 1280 * 1000), rounds = usual[effort];
    return (int)fmin(fmax(rounds / work, least[effort]), 1.5 * rounds);
}
