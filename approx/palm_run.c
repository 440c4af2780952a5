/* PALM's steps, and the rounds of them that ADMM drives. */
#include "palm_state.h"
#include "product.h"
#include "psm_admm.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* dense = B + momentum (B - previous). */
static void extrapolate(struct palm *palm, float momentum)
{
    memset(palm->dense, 0, palm_size(palm, PALM_B) * sizeof(float));
    palm_add_lines(palm, &palm->b, 1 + momentum, palm->dense);
    palm_add_lines(palm, &palm->b_previous, -momentum, palm->dense);
}

/* residual = (A B)^T - T for the B that lies in dense. */
static void multiply_dense(struct palm *palm)
{
    enum { DENSE = 5 }; /* An entry alone takes about so many times as long as in sgemm. */
    size_t m = (size_t)palm->m, n = (size_t)palm->n, count = 0;
    const float *row = palm->dense;
    for (size_t i = 0; i < palm_size(palm, PALM_B); i++) count += row[i] != 0;
    if (count > palm_size(palm, PALM_B) / DENSE) {
        memcpy(palm->residual, palm->target, m * n * sizeof *row);
        sn_product(1, 0, palm->n, palm->m, palm->inner, 1, row, palm->n, palm->a, palm->m, -1,
                   palm->residual, palm->m);
        return;
    }
    for (size_t i = 0; i < m * n; i++) palm->residual[i] = -palm->target[i];
    for (size_t p = 0; p < (size_t)palm->inner; p++, row += n)
        for (size_t j = 0; j < n; j++)
            if (row[j] != 0)
                cblas_saxpy(palm->m, row[j], palm->a + p * m, 1, palm->residual + j * m, 1);
}

/* y = x S and x = y S^T for factor f. */
static void power_products(struct palm *palm, int f, float *x, float *y)
{
    const struct palm_lines *b = &palm->b;
    int inner = palm->inner;
    if (f == PALM_A) {
        cblas_sgemv(CblasRowMajor, CblasTrans, inner, palm->m, 1, palm->a, palm->m, x, 1, 0, y, 1);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, inner, palm->m, 1, palm->a, palm->m, y, 1, 0, x,
                    1);
        return;
    }
    memset(y, 0, (size_t)palm->n * sizeof *y);
    for (int p = 0; p < inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            y[b->column[q]] += b->value[q] * x[p];
    for (int p = 0; p < inner; p++) {
        x[p] = 0;
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            x[p] += b->value[q] * y[b->column[q]];
    }
}

/* The largest eigenvalue of S^T S by power iteration, with a margin for its slow end. The vector
 * stays from call to call, while the factor changes little. */
static double norm_squared(struct palm *palm, int f)
{
    enum { STEPS = 3 };
    float *x = palm->vector[f];
    double growth = 0;
    for (int step = 0; step < STEPS; step++) {
        double before = palm_energy_of(x, (size_t)palm->inner);
        power_products(palm, f, x, palm->product[f]);
        double after = palm_energy_of(x, (size_t)palm->inner);
        growth = sqrt(after / before);
        if (after > 0) cblas_sscal(palm->inner, (float)(1 / sqrt(after)), x, 1);
        else
            for (int p = 0; p < palm->inner; p++) x[p] = 1;
    }
    return 1.03 * growth;
}

/* Gives the atoms of factor 1-f unit norm; A B stays. */
static void normalise_other(struct palm *palm, int f)
{
    palm_atom_norms(palm, 1 - f);
    palm_scale_a(palm, palm->a, f == PALM_B);
    palm_scale_a(palm, palm->a_previous, f == PALM_B);
    palm_scale_b(palm, &palm->b, f == PALM_A);
    palm_scale_b(palm, &palm->b_previous, f == PALM_A);
}

/* A <- the k largest of Y - grad(Y)/l at Y = A + momentum (A - previous). Y takes the place of
 * previous, and becomes the new A. */
static void step_a(struct palm *palm, size_t k, float momentum)
{
    size_t size = palm_size(palm, PALM_A);
    normalise_other(palm, PALM_A);
    float *now = palm->a, *point = palm->a_previous;
    for (size_t i = 0; i < size; i++) point[i] = now[i] + momentum * (now[i] - point[i]);
    palm->a_previous = now;
    palm->a = point;
    palm_multiply(palm, point, &palm->b, palm->b.value, palm->target, palm->residual);
    palm_gradient_a(palm, palm->residual, palm->dense);
    double norm = norm_squared(palm, PALM_B);
    if (norm > 0) cblas_saxpy((int)size, (float)(-1 / norm), palm->dense, 1, point, 1);
    palm_project(palm, PALM_A, point, k);
}

/* The same for B, which is dense meanwhile. */
static void step_b(struct palm *palm, size_t k, float momentum)
{
    normalise_other(palm, PALM_B);
    extrapolate(palm, momentum);
    multiply_dense(palm);
    double norm = norm_squared(palm, PALM_A);
    size_t m = (size_t)palm->m, n = (size_t)palm->n, inner = (size_t)palm->inner;
    if (norm > 0)
        sn_gemm(0, 1, inner, n, m, (float)(-1 / norm), palm->a, m, palm->residual, m, 1,
                palm->dense, n);
    palm_project(palm, PALM_B, palm->dense, k);
    struct palm_lines now = palm->b;
    palm->b = palm->b_previous;
    palm->b_previous = now;
    palm_take_b(palm);
}

void palm_round(struct palm *palm, const size_t k[2])
{
    step_a(palm, k[PALM_A], 0);
    step_b(palm, k[PALM_B], 0);
}

/* ---- Rounds ---- */

struct rounds {
    struct palm *palm;
    const size_t *k;
};

static void take_w(void *context, float *w) { palm_take_w(((struct rounds *)context)->palm, w); }

/* A step of each factor: A first, since B has no slope at the start. */
static const float *approach(void *context, int round)
{
    static const double most = .95;
    const struct rounds *rounds = context;
    struct palm *palm = rounds->palm;
    float momentum = (float)(most * round / (round + 3));
    step_a(palm, rounds->k[PALM_A], momentum);
    step_b(palm, rounds->k[PALM_B], momentum);
    palm_multiply(palm, palm->a, &palm->b, palm->b.value, NULL, palm->residual);
    return palm->residual;
}

double palm_run(struct palm *palm, const size_t k[2], int n_rounds,
                const volatile sig_atomic_t *stop)
{
    struct rounds rounds = { palm, k };
    struct psm_admm admm = { .rows = palm_rows(palm),
                             .columns = palm_columns(palm),
                             .transposed = !palm->flip,
                             .weighting = palm->weighting,
                             .n_rounds = n_rounds,
                             .first = .27, /* Tried on classifiers of trained nets. */
                             .last = .5,
                             .stop = stop,
                             .target = palm->target,
                             .sum = palm->dense,
                             .filter = palm->weighted,
                             .context = &rounds,
                             .take_w = take_w,
                             .approach = approach };
    psm_admm_run(&admm);
    palm_project(palm, PALM_A, palm->a, k[PALM_A]); /* A stop may come before the first step. */
    palm_take_w(palm, palm->target);
    palm_multiply(palm, palm->a, &palm->b, palm->b.value, palm->target, palm->residual);
    return palm_energy_of(palm->residual, (size_t)palm->m * (size_t)palm->n);
}

/* A round of 1000 x 1280 sets the time. B's entries count when they are many: each costs about as
 * much as 18 multiply-adds of the dense product for every row of A, since a sparse product reaches
 * a part of that one's speed. Below half of the bytes that changes nothing for 1000 x 1280. */
int palm_rounds(const struct palm_task *task, enum sn_effort effort)
{
    static const double usual[] = { [SN_QUICK] = 40, [SN_NORMAL] = 160, [SN_THOROUGH] = 1000 };
    int m = task->flip ? task->columns : task->rows, n = task->flip ? task->rows : task->columns,
        inner = task->inner ? task->inner : n;
    double dense = (double)m * n * inner, sparse = 18. * m * (double)task->most_b;
    double work = fmax(dense / (1000. * 1280 * 1280), (dense + sparse) / 4e9),
           rounds = usual[effort];
    return (int)fmin(fmax(rounds / work, rounds / 8), 1.25 * rounds);
}
