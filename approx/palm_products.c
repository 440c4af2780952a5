/* PALM's products with factors of which one is dense and the other one sparse, and its scaling. */
#include "palm_state.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

double palm_energy_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += 4096) {
        int count = n - i < 4096 ? (int)(n - i) : 4096;
        sum += (double)cblas_sdot(count, values + i, 1, values + i, 1);
    }
    return sum;
}

void palm_multiply(const struct palm *palm, const float *a, const struct palm_lines *b,
                   const float *values, const float *minus, float *out)
{
    size_t m = (size_t)palm->m, size = m * (size_t)palm->n;
    if (minus)
        for (size_t i = 0; i < size; i++) out[i] = -minus[i];
    else memset(out, 0, size * sizeof *out);
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            cblas_saxpy(palm->m, values[q], a + p * m, 1, out + (size_t)b->column[q] * m, 1);
}

void palm_gradient_a(const struct palm *palm, const float *residual, float *gradient)
{
    const struct palm_lines *b = &palm->b;
    size_t m = (size_t)palm->m;
    memset(gradient, 0, palm_size(palm, PALM_A) * sizeof *gradient);
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            cblas_saxpy(palm->m, b->value[q], residual + (size_t)b->column[q] * m, 1,
                        gradient + p * m, 1);
}

void palm_gradient_at_b(const struct palm *palm, const float *residual, float *out)
{
    size_t m = (size_t)palm->m;
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = palm->b.start[p]; q < palm->b.start[p + 1]; q++)
            out[q] = cblas_sdot(palm->m, palm->a + p * m, 1,
                                residual + (size_t)palm->b.column[q] * m, 1);
}

/* ---- Atoms ---- */

void palm_scale_lines(const struct palm *palm, float *values, size_t length, int divide)
{
    for (int p = 0; p < palm->inner; p++)
        cblas_sscal((int)length, divide ? 1 / palm->norms[p] : palm->norms[p],
                    values + (size_t)p * length, 1);
}

void palm_scale_a(const struct palm *palm, float *a, int divide)
{
    palm_scale_lines(palm, a, (size_t)palm->m, divide);
}

void palm_scale_b(const struct palm *palm, struct palm_lines *b, int divide)
{
    for (int p = 0; p < palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            b->value[q] = divide ? b->value[q] / palm->norms[p] : b->value[q] * palm->norms[p];
}

void palm_atom_norms(struct palm *palm, int f)
{
    const struct palm_lines *b = &palm->b;
    size_t m = (size_t)palm->m;
    for (size_t p = 0; p < (size_t)palm->inner; p++) {
        double energy = f == PALM_A
            ? palm_energy_of(palm->a + p * m, m)
            : palm_energy_of(b->value + b->start[p], b->start[p + 1] - b->start[p]);
        palm->norms[p] = energy > 0 ? (float)sqrt(energy) : 1;
    }
}

void palm_balance(struct palm *palm)
{
    float *b_norms = palm->line;
    palm_atom_norms(palm, PALM_B);
    memcpy(b_norms, palm->norms, (size_t)palm->inner * sizeof *b_norms);
    palm_atom_norms(palm, PALM_A);
    for (int p = 0; p < palm->inner; p++) palm->norms[p] = sqrtf(palm->norms[p] / b_norms[p]);
    palm_scale_a(palm, palm->a, 1);
    palm_scale_b(palm, &palm->b, 0);
}
