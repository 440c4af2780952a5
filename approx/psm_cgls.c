#include "psm_cgls.h"

/* d <- beta d - g, without the first term in the first step. Returns -<g, d>. */
static double turn(const struct psm_cgls *problem, int is_first, float beta)
{
    const float *g = problem->gradient;
    float *d = problem->direction;
    double descent = 0;
    for (size_t i = 0; i < problem->count; i++) {
        d[i] = (is_first ? 0 : beta * d[i]) - g[i];
        descent -= (double)g[i] * (double)d[i];
    }
    return descent;
}

static void move_values(const struct psm_cgls *problem, float alpha)
{
    float *values = problem->values;
    for (size_t i = 0; i < problem->count; i++)
        if (values[i] != 0 && (values[i] += alpha * problem->direction[i]) == 0)
            values[i] = 0x1p-126f;
}

double psm_cgls_run(const struct psm_cgls *problem, int n_steps)
{
    double before = 0, fall = 0;
    for (int step = 0; step < n_steps && !(problem->stop && *problem->stop); step++) {
        double now = problem->take_gradient(problem->context, problem->gradient);
        if (!(now > 0)) break;
        double descent = turn(problem, !step, step ? (float)(now / before) : 0);
        double curvature = problem->curvature(problem->context, problem->direction);
        if (!(curvature > 0)) break;
        float alpha = (float)(descent / curvature);
        move_values(problem, alpha);
        problem->move(problem->context, alpha);
        fall += descent * descent / curvature;
        before = now;
    }
    return fall;
}
