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

static int take_gram(const struct sn_part *p, const float *moment, struct rest *rest)
{
    if (!moment && !p->z) return 1;
    rest->weighted = malloc(p->b * p->n * sizeof(float));
    rest->gram = malloc(p->b * p->b * sizeof(float));
    if (!rest->weighted || !rest->gram) return 0;
    if (moment && p->z)
        sn_gemm(0, 0, p->b, p->n, p->n, 1, p->z, p->n, moment, p->n, 0, rest->weighted, p->n);
    else memcpy(rest->weighted, moment ? moment : p->z, p->b * p->n * sizeof(float));
    if (p->z)
        sn_gemm(0, 1, p->b, p->b, p->n, 1, rest->weighted, p->n, p->z, p->n, 0, rest->gram, p->b);
    else memcpy(rest->gram, rest->weighted, p->b * p->b * sizeof(float));
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
