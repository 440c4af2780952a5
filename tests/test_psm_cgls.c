/* Conjugate gradients on a fixed pattern. */
#include "support.h"

#include <psm_cgls.h>

#include <criterion/criterion.h>
#include <math.h>

enum { M = 12, N = 6 };

/* min ||A v - b||^2 over the values that are not zero. */
struct least_squares {
    float a[M][N], residual[M], image[M], values[N], gradient[N], direction[N];
};

static double take_gradient(void *context, float *gradient)
{
    const struct least_squares *s = context;
    double sum = 0;
    for (int j = 0; j < N; j++) {
        gradient[j] = 0;
        for (int i = 0; i < M && s->values[j] != 0; i++) gradient[j] += s->a[i][j] * s->residual[i];
        sum += (double)gradient[j] * (double)gradient[j];
    }
    return sum;
}

static double curvature(void *context, const float *direction)
{
    struct least_squares *s = context;
    double sum = 0;
    for (int i = 0; i < M; i++) {
        s->image[i] = 0;
        for (int j = 0; j < N; j++) s->image[i] += s->a[i][j] * direction[j];
        sum += (double)s->image[i] * (double)s->image[i];
    }
    return sum;
}

static void move(void *context, float alpha)
{
    struct least_squares *s = context;
    for (int i = 0; i < M; i++) s->residual[i] += alpha * s->image[i];
}

static double squares(const float *x)
{
    double sum = 0;
    for (int i = 0; i < M; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

/* After as many steps as there are values the gradient is gone; without steps nothing moves. */
Test(psm_cgls, as_many_steps_as_values_find_the_minimum)
{
    uint64_t seed = 1;
    struct least_squares s;
    struct psm_cgls problem = { .values = s.values,
                                .count = N,
                                .gradient = s.gradient,
                                .direction = s.direction,
                                .context = &s,
                                .take_gradient = take_gradient,
                                .curvature = curvature,
                                .move = move };
    for (int j = 0; j < N; j++) s.values[j] = j == 2 ? 0 : 1;
    for (int i = 0; i < M; i++) {
        s.residual[i] = -(float)random_uniform(&seed, -1, 1);
        for (int j = 0; j < N; j++) {
            s.a[i][j] = (float)random_uniform(&seed, -1, 1);
            s.residual[i] += s.a[i][j] * s.values[j];
        }
        s.residual[i] -= s.a[i][2] * s.values[2];
    }
    double before = squares(s.residual), steepness = take_gradient(&s, s.gradient);
    cr_assert_eq(psm_cgls_run(&problem, 0), 0);
    double fall = psm_cgls_run(&problem, N - 1);
    cr_assert_lt(take_gradient(&s, s.gradient), 1e-9 * steepness);
    cr_assert_float_eq(before - squares(s.residual), fall, 1e-5 * before);
    cr_assert_eq(s.values[2], 0);
}

/* A value whose best is 0 stays in the pattern. */
Test(psm_cgls, a_value_that_becomes_zero_stays_in_the_pattern)
{
    struct least_squares s = { .values = { 1 } };
    struct psm_cgls problem = { .values = s.values,
                                .count = N,
                                .gradient = s.gradient,
                                .direction = s.direction,
                                .context = &s,
                                .take_gradient = take_gradient,
                                .curvature = curvature,
                                .move = move };
    s.a[0][0] = s.residual[0] = 1;
    psm_cgls_run(&problem, 5);
    cr_assert_neq(s.values[0], 0);
    cr_assert_lt(fabsf(s.values[0]), 1e-30f);
}
