/* Products with single vectors as the formulas say them, compiled without optimisation and with it:
 * what a first version in C looks like. NAME is the suffix of the names. */
#include "reference.h"

#define JOIN(a, b)  a##b
#define NAMED(a, b) JOIN(a, b)

/* y += M x, M m x n. */
static void multiply(int m, int n, const float *block, const float *x, float *y)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) y[i] += block[i * n + j] * x[j];
}

void NAMED(reference_sss_, NAME)(const struct sss *shape, const float *words, const float *x,
                                 float *y, float *states)
{
    const float *u = x;
    float *out = y;
    for (int k = 0; k < (int)shape->states[shape->n_stages]; k++) states[k] = 0;
    for (int k = 0; k < shape->n_stages; k++) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        float *s = states + shape->states[k], *s_next = states + shape->states[k + 1];
        multiply(shape->outputs[k], shape->inputs[k], at.d, u, out);
        multiply(shape->outputs[k], shape->causal[k], at.c, s, out);
        multiply(shape->causal[k + 1], shape->causal[k], at.a, s, s_next);
        multiply(shape->causal[k + 1], shape->inputs[k], at.b, u, s_next);
        u += shape->inputs[k];
        out += shape->outputs[k];
    }
    for (int k = shape->n_stages - 1; k >= 0; k--) {
        struct sss_stage at = sss_stage_at(shape, (float *)words, k);
        float *t = states + shape->states[k] + shape->causal[k],
              *t_next = states + shape->states[k + 1] + shape->causal[k + 1];
        u -= shape->inputs[k];
        out -= shape->outputs[k];
        multiply(shape->outputs[k], shape->anticausal[k + 1], at.g, t_next, out);
        multiply(shape->anticausal[k], shape->anticausal[k + 1], at.e, t_next, t);
        multiply(shape->anticausal[k], shape->inputs[k], at.f, u, t);
    }
}

void NAMED(reference_psm_, NAME)(const struct psm *shape, const float *words, const float *x,
                                 float *y)
{
    for (int i = 0; i < shape->sizes[0]; i++)
        for (unsigned p = shape->row_starts[i]; p < shape->row_starts[i + 1]; p++)
            y[i] += words[p] * x[shape->columns[p]];
}
