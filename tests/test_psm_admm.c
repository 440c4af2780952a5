/* ADMM. */
#include <psm_admm.h>

#include <criterion/criterion.h>
#include <string.h>

enum { N = 6, ROUNDS = 40 };

/* ADMM whose form is the multiples of one vector, which is convex: T must lead to the nearest. */
struct line {
    float w[N], target[N], sum[N], z[N];
};

static void take_w(void *context, float *w)
{
    memcpy(w, ((struct line *)context)->w, N * sizeof *w);
}

static const float *approach(void *context, int round)
{
    struct line *line = context;
    double mean = 0;
    (void)round;
    for (int j = 0; j < N; j++) mean += (double)line->target[j] / N;
    for (int j = 0; j < N; j++) line->z[j] = (float)mean;
    return line->z;
}

Test(psm_admm, a_convex_form_is_met_at_its_nearest_matrix)
{
    volatile sig_atomic_t stop = 1;
    struct line line = { .w = { 3, 1, 4, 1, 5, 9 } };
    struct psm_admm admm = { .rows = 1,
                             .columns = N,
                             .n_rounds = ROUNDS,
                             .first = .3,
                             .last = 2,
                             .stop = &stop,
                             .target = line.target,
                             .sum = line.sum,
                             .context = &line,
                             .take_w = take_w,
                             .approach = approach };
    for (int j = 0; j < N; j++) line.target[j] = -7;
    psm_admm_run(&admm);
    cr_assert_eq(line.target[0], -7); /* Stopped before the first round. */
    stop = 0;
    psm_admm_run(&admm);
    cr_assert_float_eq(line.z[0], 23. / N, 1e-4, "%g", line.z[0]);
    /* What Z leaves of W adds up in T, up to U = (W - Z) / r. Only a U that is scaled when r
     * changes is there after the four rounds of the last stage. */
    for (int j = 0; j < N; j++)
        cr_assert_float_eq(line.target[j] - line.z[j], (line.w[j] - 23. / N) / 2, 1e-4, "%d: %g", j,
                           line.target[j] - line.z[j]);
}
