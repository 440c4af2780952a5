/* Products with B, which is sparse, and the scaling of atoms. */
#include "dsf_state.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

double dsf_energy_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += 4096) {
        int count = n - i < 4096 ? (int)(n - i) : 4096;
        sum += (double)cblas_sdot(count, values + i, 1, values + i, 1);
    }
    return sum;
}

void dsf_multiply(struct dsf *dsf, const float *a, const float *values, const float *minus,
                  float *out)
{
    size_t m = (size_t)dsf->m;
    struct psm_sparse b = dsf->b;
    b.value = (float *)values; /* It is only read. */
    psm_transpose(&b, &dsf->turned);
    if (minus) memcpy(out, minus, m * (size_t)dsf->n * sizeof *out);
    psm_times(&dsf->turned, a, m, 0, minus != NULL, out, dsf->tile);
}

void dsf_gradient_a(struct dsf *dsf, const float *residual, float *gradient)
{
    psm_times(&dsf->b, residual, (size_t)dsf->m, 0, 0, gradient, dsf->tile);
}

void dsf_gradient_at_b(const struct dsf *dsf, const float *residual, float *out)
{
    size_t m = (size_t)dsf->m;
    for (size_t p = 0; p < (size_t)dsf->inner; p++)
        for (size_t q = dsf->b.start[p]; q < dsf->b.start[p + 1]; q++)
            out[q] = cblas_sdot(dsf->m, dsf->a + p * m, 1, residual + (size_t)dsf->b.column[q] * m,
                                1);
}

/* ---- Atoms ---- */

void dsf_scale_lines(const struct dsf *dsf, float *values, size_t length, int divide)
{
    for (int p = 0; p < dsf->inner; p++)
        cblas_sscal((int)length, divide ? 1 / dsf->norms[p] : dsf->norms[p],
                    values + (size_t)p * length, 1);
}

void dsf_scale_a(const struct dsf *dsf, float *a, int divide)
{
    dsf_scale_lines(dsf, a, (size_t)dsf->m, divide);
}

void dsf_scale_b(struct dsf *dsf, int divide)
{
    struct psm_sparse *b = &dsf->b;
    for (int p = 0; p < dsf->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            b->value[q] = divide ? b->value[q] / dsf->norms[p] : b->value[q] * dsf->norms[p];
}

void dsf_atom_norms(struct dsf *dsf, int f)
{
    const struct psm_sparse *b = &dsf->b;
    size_t m = (size_t)dsf->m;
    for (size_t p = 0; p < (size_t)dsf->inner; p++) {
        double energy = f == DSF_A
            ? dsf_energy_of(dsf->a + p * m, m)
            : dsf_energy_of(b->value + b->start[p], b->start[p + 1] - b->start[p]);
        dsf->norms[p] = energy > 0 ? (float)sqrt(energy) : 1;
    }
}

void dsf_balance(struct dsf *dsf)
{
    float *b_norms = dsf->line;
    dsf_atom_norms(dsf, DSF_B);
    memcpy(b_norms, dsf->norms, (size_t)dsf->inner * sizeof *b_norms);
    dsf_atom_norms(dsf, DSF_A);
    for (int p = 0; p < dsf->inner; p++) dsf->norms[p] = sqrtf(dsf->norms[p] / b_norms[p]);
    dsf_scale_a(dsf, dsf->a, 1);
    dsf_scale_b(dsf, 0);
}
