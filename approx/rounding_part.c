#include "product.h"
#include "rounding.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

/* What sn_round_rows needs to know of the rest. */
struct rest {
    float *weighted; /* Z M, b x n; NULL for I */
    float *gram;     /* Z M Z^T, b x b; NULL for I */
    float *coupling; /* O^T O, a x a; NULL for I */
    float *residual; /* O^T (W - What) M Z^T, a x b */
    float *before;   /* X, a x b */
};

static void rest_free(struct rest *rest)
{
    float *const arrays[] = { rest->weighted, rest->gram, rest->coupling, rest->residual,
                              rest->before };
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++) free(arrays[k]);
}

/* Rows first to end of Z M, and those columns of G = Z M Z^T, once all of Z M is there. */
static void weigh_rows(const struct sn_part *p, const float *moment, size_t first, size_t end,
                       float *weighted)
{
    float *out = weighted + first * p->n;
    const float *z = p->z + first * p->n;
    if (end == first) return;
    if (moment) sn_gemm(0, 0, end - first, p->n, p->n, 1, z, p->n, moment, p->n, 0, out, p->n);
    else memcpy(out, z, (end - first) * p->n * sizeof *out);
}

static void take_columns(const struct sn_part *p, const struct rest *rest, size_t first, size_t end)
{
    if (end > first)
        sn_gemm(0, 1, p->b, end - first, p->n, 1, rest->weighted, p->n, p->z + first * p->n, p->n,
                0, rest->gram + first, p->b);
}

/* The same where Z has rows of I. */
static void take_units(const struct sn_part *p, const float *moment, const struct rest *rest)
{
    const float *rows = moment ? moment + p->column * p->n : p->z + p->first * p->n;
    if (!p->n_units) return;
    memcpy(rest->weighted + p->first * p->n, rows, p->n_units * p->n * sizeof *rows);
}

static void take_unit_columns(const struct sn_part *p, const struct rest *rest)
{
    for (size_t i = 0; i < p->b && p->n_units; i++)
        memcpy(rest->gram + i * p->b + p->first, rest->weighted + i * p->n + p->column,
               p->n_units * sizeof(float));
}

static int take_gram(const struct sn_part *p, const float *moment, struct rest *rest)
{
    size_t end = p->first + p->n_units;
    if (!moment && !p->z) return 1;
    rest->weighted = malloc(p->b * p->n * sizeof(float));
    rest->gram = malloc(p->b * p->b * sizeof(float));
    if (!rest->weighted || !rest->gram) return 0;
    if (!p->z) {
        memcpy(rest->weighted, moment, p->b * p->n * sizeof(float));
        memcpy(rest->gram, moment, p->b * p->b * sizeof(float));
        return 1;
    }
    weigh_rows(p, moment, 0, p->first, rest->weighted);
    take_units(p, moment, rest);
    weigh_rows(p, moment, end, p->b, rest->weighted);
    take_columns(p, rest, 0, p->first);
    take_unit_columns(p, rest);
    take_columns(p, rest, end, p->b);
    return 1;
}

/* product <- (W - What) M Z^T, m x b. */
static void project(const struct sn_part *p, const struct rest *rest, float *product)
{
    if (rest->weighted)
        sn_gemm(0, 1, p->m, p->b, p->n, 1, p->difference, p->n, rest->weighted, p->n, 0, product,
                p->b);
    else memcpy(product, p->difference, p->m * p->b * sizeof *product);
}

static int take_residual(const struct sn_part *p, struct rest *rest)
{
    if (!(rest->residual = malloc(p->a * p->b * sizeof(float)))) return 0;
    if (!p->o) {
        project(p, rest, rest->residual);
        return 1;
    }
    float *product = malloc(p->m * p->b * sizeof *product);
    rest->coupling = malloc(p->a * p->a * sizeof(float));
    int fine = product && rest->coupling;
    if (fine) {
        project(p, rest, product);
        sn_gemm(1, 0, p->a, p->b, p->m, 1, p->o, p->a, product, p->b, 0, rest->residual, p->b);
        sn_gemm(1, 0, p->a, p->a, p->m, 1, p->o, p->a, p->o, p->a, 0, rest->coupling, p->a);
    }
    free(product);
    return fine;
}

/* W - What once X has changed, of which before holds the negative change. 0 without memory. */
static int follow(const struct sn_part *p, const float *before)
{
    const float *change = before;
    float *product = NULL;
    if (p->o && p->z) {
        if (!(product = malloc(p->m * p->b * sizeof *product))) return 0;
        sn_gemm(0, 0, p->m, p->b, p->a, 1, p->o, p->a, before, p->b, 0, product, p->b);
        change = product;
    }
    if (p->z) sn_gemm(0, 0, p->m, p->n, p->b, 1, change, p->b, p->z, p->n, 1, p->difference, p->n);
    else if (p->o)
        sn_gemm(0, 0, p->m, p->n, p->a, 1, p->o, p->a, before, p->n, 1, p->difference, p->n);
    else cblas_saxpy((int)(p->m * p->n), 1, before, 1, p->difference, 1);
    free(product);
    return 1;
}

enum sn_status sn_round_part(const struct sn_part *p, const struct sn_weighting *weighting,
                             struct sn_rounding *rounding, size_t count, int fit, int sweeps,
                             struct sn_error *error)
{
    struct rest rest = { .before = malloc(p->a * p->b * sizeof(float)) };
    enum sn_status status = SN_OK;
    int bits = rounding->bits;
    size_t size = p->a * p->b;
    if (!rest.before || !take_gram(p, weighting ? weighting->moment : NULL, &rest)
        || !take_residual(p, &rest)) {
        status = sn_no_memory(error, "rounding %zu x %zu values", p->a, p->b);
        goto done;
    }
    memcpy(rest.before, rounding->values, size * sizeof(float));
    rounding->rows = (int)p->a;
    rounding->columns = (int)p->b;
    rounding->residual = rest.residual;
    rounding->gram = rest.gram;
    rounding->coupling = rest.coupling;
    rounding->bits = 32;
    if (!rounding->is_rounded && fit) status = sn_round_rows(rounding, 0, fit, error);
    rounding->bits = bits;
    if (!status) status = sn_round_rows(rounding, count, sweeps, error);
    cblas_saxpy((int)size, -1, rounding->values, 1, rest.before, 1);
    if (!status && !follow(p, rest.before))
        status = sn_no_memory(error, "rounding %zu x %zu values", p->a, p->b);
done:
    rest_free(&rest);
    return status;
}
