#include "sss_subspace.h"
#include "panels.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* One call. Vectors are rows of n. */
struct subspace {
    const double *a;
    int n, r, t, q, l; /* order; rows wanted, at tau, of the bound, all */
    double trace;
    double *x, *y, *z; /* l x n: X, X A or R, scratch */
    double *h, *g;     /* l x l */
    double *theta, *tau, *work;
    int n_work;
    double *proof; /* n x n */
};

static void subspace_free(struct subspace *s)
{
    double *all[] = { s->x, s->y, s->z, s->h, s->g, s->theta, s->tau, s->work, s->proof };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

static enum sn_status subspace_new(struct subspace *s, struct sn_error *error)
{
    size_t n = (size_t)s->n, l = (size_t)s->l;
    double **arrays[] = {
        &s->x, &s->y, &s->z, &s->h, &s->g, &s->theta, &s->tau, &s->work, &s->proof
    };
    const size_t sizes[] = { l * n, l * n, l * n, l * l, l * l, l, l, 64 * l, n * n };
    int fine = 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        fine &= (*arrays[i] = malloc(sizes[i] * sizeof(double))) != NULL;
    s->n_work = 64 * s->l;
    for (size_t i = 0; i < n; i++) s->trace += s->a[i * n + i];
    return fine ? SN_OK : sn_no_memory(error, "the eigenvalues of a %d x %d matrix", s->n, s->n);
}

struct product {
    const struct subspace *s;
    double alpha, beta;
    const double *from;
    double *to;
};

static void multiply(void *context, size_t first, size_t count)
{
    const struct product *p = context;
    int n = p->s->n;
    cblas_dsymm(CblasRowMajor, CblasRight, CblasUpper, (int)count, n, p->alpha, p->s->a, n,
                p->from + first * (size_t)n, n, p->beta, p->to + first * (size_t)n, n);
}

/* to = alpha from A + beta to. */
static void times_a(const struct subspace *s, double alpha, const double *from, double beta,
                    double *to)
{
    struct product p = { s, alpha, beta, from, to };
    sn_panels((size_t)s->l, (double)s->n * s->n * s->l, multiply, &p);
}

static void orthonormalise(struct subspace *s)
{
    LAPACKE_dgeqrf_work(LAPACK_COL_MAJOR, s->n, s->l, s->x, s->n, s->tau, s->work, s->n_work);
    LAPACKE_dorgqr_work(LAPACK_COL_MAJOR, s->n, s->l, s->l, s->x, s->n, s->tau, s->work, s->n_work);
}

/* X = Y A, Y uniform in -1 .. 1: what a random subspace finds of A's range. */
static void start(struct subspace *s)
{
    uint64_t random = 1;
    for (size_t i = 0, size = (size_t)s->l * (size_t)s->n; i < size; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        s->y[i] = (double)(random >> 11) * 0x1p-52 - 1;
    }
    times_a(s, 1, s->y, 0, s->x);
    orthonormalise(s);
}

/* *rows = H *rows for the l x l matrix H; z changes places with it. */
static void rotate(struct subspace *s, double **rows)
{
    double *rotated = s->z;
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, s->l, s->n, s->l, 1, s->h, s->l, *rows,
                s->n, 0, rotated, s->n);
    s->z = *rows;
    *rows = rotated;
}

/* theta and X, descending, and y = R. 0 where LAPACK fails. */
static int find_ritz(struct subspace *s)
{
    int l = s->l;
    times_a(s, 1, s->x, 0, s->y);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, l, l, s->n, -1, s->x, s->n, s->y, s->n, 0,
                s->h, l);
    /* Of -X A X^T, ascending. */
    if (LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'V', 'L', l, s->h, l, s->theta, s->work, s->n_work))
        return 0;
    for (int i = 0; i < l; i++) s->theta[i] = -s->theta[i];
    rotate(s, &s->x);
    rotate(s, &s->y);
    for (int i = 0; i < l; i++)
        cblas_daxpy(s->n, -s->theta[i], s->x + (size_t)i * (size_t)s->n, 1,
                    s->y + (size_t)i * (size_t)s->n, 1);
    return 1;
}

/* theta_1 + .. + theta_r. */
static double kept(const struct subspace *s)
{
    double sum = 0;
    for (int i = 0; i < s->r; i++) sum += s->theta[i];
    return sum;
}

/* What the bound exceeds the sum of the thetas by; infinite where there is none. */
static double excess(const struct subspace *s)
{
    int q = s->q;
    double gap = s->theta[s->r - 1] - s->theta[s->t - 1], sum = 0;
    if (!(gap > 0)) return INFINITY;
    cblas_dsyrk(CblasRowMajor, CblasUpper, CblasNoTrans, q, s->n, 1 / gap, s->y, s->n, 0, s->g, q);
    for (int i = 0; i < q; i++) s->g[(size_t)i * ((size_t)q + 1)] += s->theta[i];
    if (LAPACKE_dsyev_work(LAPACK_COL_MAJOR, 'N', 'L', q, s->g, q, s->tau, s->work, s->n_work))
        return INFINITY;
    for (int i = 0; i < s->r; i++) sum += s->tau[q - 1 - i];
    return fmax(0, sum - kept(s));
}

/* Whether tau I - P A P is positive definite, P A P = A - X^T B - B^T X with B = diag(theta) X / 2
 * + R, of the first q rows. */
static int prove(struct subspace *s)
{
    size_t n = (size_t)s->n, rows = (size_t)s->q;
    double tau = s->theta[s->t - 1];
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < n; j++)
            s->z[i * n + j] = s->theta[i] / 2 * s->x[i * n + j] + s->y[i * n + j];
    for (size_t i = 0; i < n; i++)
        for (size_t j = i; j < n; j++) s->proof[i * n + j] = (i == j ? tau : 0) - s->a[i * n + j];
    cblas_dsyr2k(CblasRowMajor, CblasUpper, CblasTrans, s->n, s->q, 1, s->x, s->n, s->z, s->n, 1,
                 s->proof, s->n);
    return !LAPACKE_dpotrf_work(LAPACK_COL_MAJOR, 'L', s->n, s->proof, s->n);
}

/* How fast p grows with its degree: of degree d it is cosh(d growth(lambda)) at lambda > theta_l,
 * and at most 1 from 0 to theta_l. */
static double growth(const struct subspace *s, double lambda)
{
    double least = s->theta[s->l - 1];
    return least > 0 && lambda > least ? acosh(2 * lambda / least - 1) : 0;
}

/* X <- X p(A) for p of that degree, made 1 at theta_1: with c = e = theta_l / 2,
 *     p_1(A) = f_1 (A - c I) / e,    p_i+1(A) = 2 f_i+1 p_i(A) (A - c I) / e - f_i f_i+1 p_i-1(A),
 *     f_1 = e / (theta_1 - c),       f_i+1 = 1 / (2 / f_1 - f_i). */
static void filter(struct subspace *s, int degree)
{
    size_t size = (size_t)s->l * (size_t)s->n;
    double e = s->theta[s->l - 1] / 2, first = e / (s->theta[0] - e), f = first;
    double *now = s->y, *before = s->x;
    memcpy(now, s->x, size * sizeof *now);
    times_a(s, f / e, s->x, -f, now);
    for (int i = 1; i < degree; i++) {
        double next = 1 / (2 / first - f), *to = before;
        times_a(s, 2 * next / e, now, -f * next, to);
        for (size_t j = 0; j < size; j++) to[j] -= 2 * next * now[j];
        before = now;
        now = to;
        f = next;
    }
    s->y = before;
    s->x = now;
}

/* The degree of the next filter: as many products as will do, and no more than float64 can hold the
 * wanted directions apart in. 0 when all of them would exceed the limit. */
static int choose_degree(const struct subspace *s, double excess_allowed, double excess_now,
                         int limit)
{
    const double most_range = 25; /* e^25 */
    double speed = growth(s, s->theta[s->r - 1]), range = growth(s, s->theta[0]);
    if (!(speed > 0)) return 0;
    double products = ceil(.5 * log(fmin(excess_now, s->trace) / excess_allowed) / speed) + 1;
    if (!(products <= limit)) return 0;
    return (int)fmax(1, fmin(products, floor(most_range / range)));
}

/* Rounds until there is proof. Returns whether there is. limit is in products with A. */
static int iterate(struct subspace *s, int limit)
{
    enum { OTHER = 2 }; /* products that take as long as the rest of a round */
    static const double tolerance = 1e-6, noise = 0x1p-46;
    start(s);
    for (int failures = 0; failures < 2 && find_ritz(s);) {
        double left = s->trace - kept(s), allowed = tolerance * left;
        if (left <= noise * s->trace) return 1;
        double now = excess(s);
        if (now <= allowed) {
            if (prove(s)) return 1;
            failures++;
        }
        int degree = choose_degree(s, allowed, now, limit);
        if (!degree) return 0;
        limit -= degree + OTHER;
        filter(s, degree);
        orthonormalise(s);
    }
    return 0;
}

/* LAPACK takes about as long as 2 n / l products. Between theta_r and theta_q, tau = theta_t leaves
 * one room to be above the eigenvalues on the complement, and the other to be above tau. */
enum sn_status sss_subspace(const double *a, int order, int wanted, double *values, double *vectors,
                            int *found, struct sn_error *error)
{
    enum { LEAST_MORE = 18, LARGEST_PART = 12 };
    int more = wanted / 2 > LEAST_MORE ? wanted / 2 : LEAST_MORE;
    struct subspace s = { .a = a,
                          .n = order,
                          .r = wanted,
                          .t = wanted + more / 3,
                          .q = wanted + 2 * more / 3,
                          .l = wanted + more };
    *found = 0;
    if (s.l > order / LARGEST_PART) return SN_OK;
    enum sn_status status = subspace_new(&s, error);
    if (!status && iterate(&s, 2 * order / s.l)) {
        *found = wanted;
        memcpy(values, s.theta, (size_t)wanted * sizeof *values);
        memcpy(vectors, s.x, (size_t)wanted * (size_t)order * sizeof *vectors);
    }
    subspace_free(&s);
    return status;
}
