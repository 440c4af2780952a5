#include "psm_admm.h"

#include <cblas.h>
#include <math.h>

static double penalty_in(const struct psm_admm *admm, int round)
{
    enum { MOST_STAGES = 10, LEAST_ROUNDS = 4 };
    int n_rounds = admm->n_rounds;
    int n_stages = n_rounds / LEAST_ROUNDS < MOST_STAGES ? n_rounds / LEAST_ROUNDS : MOST_STAGES;
    int stage = (int)((long)round * n_stages / n_rounds);
    return n_stages > 1 ? admm->first * pow(admm->last / admm->first, stage / (n_stages - 1.))
                        : admm->last;
}

/* T <- Z + (W' - Z + U) M' (M' + penalty I)^-1, U = kept (T - Z). sum holds W' - Z + U. */
static void feed_back(const struct psm_admm *admm, const float *z, float penalty, float kept)
{
    size_t size = (size_t)admm->rows * (size_t)admm->columns;
    float *sum = admm->sum, *target = admm->target, share = admm->weighting ? 1 : 1 / (1 + penalty);
    admm->take_w(admm->context, sum);
    for (size_t i = 0; i < size; i++) {
        sum[i] += kept * (target[i] - z[i]) - z[i];
        target[i] = z[i] + share * sum[i];
    }
    if (!admm->weighting) return;
    /* M' (M' + penalty I)^-1 = I - penalty (M' + penalty I)^-1. */
    sn_filter_apply(admm->filter, admm->columns, sum, admm->rows, admm->transposed);
    cblas_saxpy((int)size, -penalty, sum, 1, target, 1);
}

void psm_admm_run(const struct psm_admm *admm)
{
    double before = 0;
    for (int round = 0; round < admm->n_rounds && !(admm->stop && *admm->stop); round++) {
        const float *z = admm->approach(admm->context, round);
        double penalty = penalty_in(admm, round);
        if (admm->weighting && penalty != before)
            sn_filter_set(admm->weighting, (float)penalty, admm->filter);
        feed_back(admm, z, (float)penalty, before > 0 ? (float)(before / penalty) : 1);
        before = penalty;
    }
}
