/* The search for the patterns of A and B: rounds of ADMM steps of both. */
#include "palm_state.h"
#include "product.h"
#include "psm_admm.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- Steps ---- */

/* Gives the atoms of factor 1-f unit norm; A B stays, and so do the duals beside their factors. */
static void normalise_other(struct palm *palm, int f)
{
    palm_atom_norms(palm, 1 - f);
    palm_scale_a(palm, palm->a, f == PALM_B);
    palm_scale_a(palm, palm->dual[PALM_A], f == PALM_B);
    palm_scale_b(palm, &palm->b, f == PALM_A);
    palm_scale_lines(palm, palm->dual[PALM_B], (size_t)palm->n, f == PALM_A);
}

/* dense = B. */
static void expand_b(const struct palm *palm)
{
    memset(palm->dense, 0, palm_size(palm, PALM_B) * sizeof(float));
    palm_add_lines(palm, &palm->b, palm->dense);
}

/* gram <- the lower triangle of the other factor's Gram matrix, plus penalty I, factored. Not
 * positive definite but for entries that are not finite: 0 then. */
static int factor_gram(struct palm *palm, int f, float penalty)
{
    int inner = palm->inner, length = f == PALM_A ? palm->n : palm->m;
    if (f == PALM_A) expand_b(palm);
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasNoTrans, inner, length, 1,
                f == PALM_A ? palm->dense : palm->a, length, 0, palm->gram, inner);
    for (size_t p = 0; p < (size_t)inner; p++) palm->gram[p * ((size_t)inner + 1)] += penalty;
    return !LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'U', inner, palm->gram, inner);
}

/* dense <- the other factor times T, in the layout of f. */
static void take_moment(struct palm *palm, int f)
{
    size_t m = (size_t)palm->m, n = (size_t)palm->n, inner = (size_t)palm->inner;
    if (f == PALM_A) palm_gradient_a(palm, palm->target, palm->dense);
    else sn_gemm(0, 1, inner, n, m, 1, palm->a, m, palm->target, m, 0, palm->dense, n);
}

/* dense <- X + U, for X = (G + penalty I)^-1 (moment + penalty (Z - U)), U the dual times kept. */
static void solve(struct palm *palm, int f, float penalty, float kept)
{
    int inner = palm->inner, length = f == PALM_A ? palm->m : palm->n;
    size_t size = palm_size(palm, f);
    float *x = palm->dense, *dual = palm->dual[f];
    cblas_sscal((int)size, kept, dual, 1);
    cblas_saxpy((int)size, -penalty, dual, 1, x, 1);
    if (f == PALM_A) cblas_saxpy((int)size, penalty, palm->a, 1, x, 1);
    else
        for (size_t p = 0; p < (size_t)inner; p++)
            for (size_t q = palm->b.start[p]; q < palm->b.start[p + 1]; q++)
                x[p * (size_t)length + (size_t)palm->b.column[q]] += penalty * palm->b.value[q];
    for (int transposed = 0; transposed < 2; transposed++)
        cblas_strsm(CblasRowMajor, CblasLeft, CblasLower, transposed ? CblasTrans : CblasNoTrans,
                    CblasNonUnit, inner, length, 1, palm->gram, inner, x, length);
    cblas_saxpy((int)size, 1, dual, 1, x, 1);
}

/* One step of ADMM for factor f: Z <- the k largest of X + U, U <- X + U - Z. */
static void step(struct palm *palm, int f, size_t k, float penalty, float kept)
{
    size_t size = palm_size(palm, f);
    normalise_other(palm, f);
    if (!factor_gram(palm, f, penalty)) return;
    take_moment(palm, f);
    solve(palm, f, penalty, kept);
    memcpy(palm->dual[f], palm->dense, size * sizeof(float));
    palm_project(palm, f, palm->dense, k);
    cblas_saxpy((int)size, -1, palm->dense, 1, palm->dual[f], 1);
    if (f == PALM_A) memcpy(palm->a, palm->dense, size * sizeof(float));
    else palm_take_b(palm);
}

/* ---- Rounds ---- */

struct rounds {
    struct palm *palm;
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
    for (int f = 0; f < 2; f++) step(rounds->palm, f, rounds->k[f], (float)penalty, (float)kept);
}

static void take_w(void *context, float *w) { palm_take_w(((struct rounds *)context)->palm, w); }

static const float *approach(void *context, int round)
{
    const struct rounds *rounds = context;
    struct palm *palm = rounds->palm;
    take_round(rounds, round);
    palm_multiply(palm, palm->a, &palm->b, palm->b.value, NULL, palm->residual);
    return palm->residual;
}

/* With a weighting the target moves, by ADMM around the rounds. */
static void run_weighted(struct rounds *rounds, const volatile sig_atomic_t *stop)
{
    struct palm *palm = rounds->palm;
    struct psm_admm admm = { .rows = palm_rows(palm),
                             .columns = palm_columns(palm),
                             .transposed = !palm->flip,
                             .weighting = palm->weighting,
                             .n_rounds = rounds->n_rounds,
                             .first = .5, /* Tried on classifiers of trained nets. */
                             .last = 1,
                             .stop = stop,
                             .target = palm->target,
                             .sum = palm->dense,
                             .filter = palm->weighted,
                             .context = rounds,
                             .take_w = take_w,
                             .approach = approach };
    psm_admm_run(&admm);
    palm_take_w(palm, palm->target);
}

double palm_run(struct palm *palm, const size_t k[2], int n_rounds,
                const volatile sig_atomic_t *stop)
{
    double density = (double)(k[PALM_A] + k[PALM_B]) / ((double)palm->m * palm->n);
    struct rounds rounds = { palm, k, n_rounds, .2, fmax(.3, .9 - .8 * density) };
    if (palm->weighting) run_weighted(&rounds, stop);
    else
        for (int round = 0; round < n_rounds && !(stop && *stop); round++)
            take_round(&rounds, round);
    palm_project(palm, PALM_A, palm->a, k[PALM_A]); /* A stop may come before the first step. */
    palm_multiply(palm, palm->a, &palm->b, palm->b.value, palm->target, palm->residual);
    return palm_energy_of(palm->residual, (size_t)palm->m * (size_t)palm->n);
}

/* A round of 1000 x 1280 sets the time. */
int palm_rounds(const struct palm_task *task, enum sn_effort effort)
{
    static const double usual[] = { [SN_QUICK] = 16, [SN_NORMAL] = 60, [SN_THOROUGH] = 300 };
    int m = task->flip ? task->columns : task->rows, n = task->flip ? task->rows : task->columns,
        inner = task->inner ? task->inner : n;
    double work = (double)m * n * inner / (1000. * 1280 * 1000), rounds = usual[effort];
    return (int)fmin(fmax(rounds / work, rounds / 4), 1.25 * rounds);
}
