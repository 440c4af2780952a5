#include "psm_prune.h"
#include "weighting.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The most values, whole blocks of them, of one m x n factor within the budget; 0 when not even one
 * fits. */
static size_t most_values(const struct psm_search *search, int bits)
{
    int m = search->m, n = search->n;
    size_t block = (size_t)search->block, fixed = psm_factor_bytes(m, n, 0, bits, search->block);
    double bytes = search->budget.bytes > fixed ? (double)(search->budget.bytes - fixed) : 0;
    double values = fmin(fmin(bytes / psm_value_bytes(search, bits), (double)search->budget.values),
                         INT32_MAX / 8);
    size_t groups = ((size_t)m + block - 1) / block, count = (size_t)(values / (double)block);
    if (count > groups * (size_t)n) count = groups * (size_t)n;
    /* The padding. */
    while (count
           && psm_factor_bytes(m, n, count * block, bits, search->block) > search->budget.bytes)
        count--;
    return count * block;
}

/* W' = W D. */
static void scale_columns(const struct psm_search *search, float *scaled)
{
    size_t m = (size_t)search->m, n = (size_t)search->n;
    const float *moment = search->options->weighting->moment;
    for (size_t i = 0; i < m * n; i++) scaled[i] = search->w[i] * sqrtf(moment[i % n * (n + 1)]);
}

/* target <- T after all steps, for count entries. kept and sum are scratch of W's size, filter of
 * sn_filter_size(n). */
static void feed_back(const struct psm_search *search, size_t count, float *target, float *kept,
                      float *sum, float *filter)
{
    static const double first = .4, last = 1; /* Tried on classifiers of trained nets. */
    int m = search->m, n = search->n, n_rounds = search->options->effort == SN_QUICK ? 7 : 30;
    size_t size = (size_t)m * (size_t)n;
    double penalty = 0;
    scale_columns(search, target);
    for (int round = 0; round < n_rounds && !(search->options->stop && *search->options->stop);
         round++) {
        double now = palm_penalty(round, n_rounds, first, last);
        float ratio = penalty > 0 ? (float)(penalty / now) : 1;
        memcpy(kept, target, size * sizeof *kept);
        psm_keep(kept, (size_t)m, (size_t)n, search->pattern, 1, (size_t)search->block, count, sum);
        if (now != penalty) sn_filter_set(search->options->weighting, (float)now, filter);
        scale_columns(search, sum);
        for (size_t i = 0; i < size; i++) {
            sum[i] += ratio * (target[i] - kept[i]) - kept[i];
            target[i] = kept[i] + sum[i];
        }
        /* M' (M' + r I)^-1 = I - r (M' + r I)^-1. */
        sn_filter_apply(filter, n, sum, m, 0);
        cblas_saxpy((int)size, (float)-now, sum, 1, target, 1);
        penalty = now;
    }
}

/* min ||(W - What) L||^2 over the entries of what that are not zero, by conjugate gradients: the
 * gradient is (What - W) M at these entries. gradient, direction and image are scratch of W's size.
 */
static void refit_pruned(const struct psm_search *search, float *what, float *gradient,
                         float *direction, float *image)
{
    enum { STEPS = 12 };
    const float *moment = search->options->weighting->moment;
    int m = search->m, n = search->n;
    size_t size = (size_t)m * (size_t)n;
    double before = 0;
    for (size_t i = 0; i < size; i++) image[i] = what[i] - search->w[i];
    cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, m, n, 1, moment, n, image, n, 0, gradient,
                n);
    for (int step = 0; step < STEPS; step++) {
        double now = 0, slope = 0, curvature = 0;
        for (size_t i = 0; i < size; i++)
            now += what[i] != 0 ? (double)gradient[i] * (double)gradient[i] : 0;
        if (!(now > 0)) break;
        for (size_t i = 0; i < size; i++) {
            direction[i] = what[i] != 0
                ? (step ? (float)(now / before) * direction[i] : 0) - gradient[i]
                : 0;
            slope -= (double)gradient[i] * (double)direction[i];
        }
        cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, m, n, 1, moment, n, direction, n, 0,
                    image, n);
        for (size_t i = 0; i < size; i++) curvature += (double)direction[i] * (double)image[i];
        if (!(curvature > 0)) break;
        float alpha = (float)(slope / curvature);
        for (size_t i = 0; i < size; i++) {
            if (what[i] != 0 && (what[i] += alpha * direction[i]) == 0)
                what[i] = 0x1p-126f; /* The pattern stays. */
            gradient[i] += alpha * image[i];
        }
        before = now;
    }
}

/* what <- the count largest entries of the target, alone, or in blocks, with the scaling undone. */
static void keep(const struct psm_search *search, const float *target, size_t count, float *what,
                 float *norms)
{
    size_t m = (size_t)search->m, n = (size_t)search->n;
    const struct sn_weighting *weighting = search->options->weighting;
    memcpy(what, target, m * n * sizeof *what);
    psm_keep(what, m, n, search->pattern, 1, (size_t)search->block, count, norms);
    for (size_t i = 0; weighting && i < m * n; i++)
        what[i] /= sqrtf(weighting->moment[i % n * (n + 1)]);
}

/* keep() within the budget, bridges included. Returns the number of values, 0 when none fits. */
static size_t keep_within(const struct psm_search *search, const float *target, int bits,
                          float *what, float *norms)
{
    struct psm_strided dense = { what, search->m, search->n, (size_t)search->n, 1 };
    size_t most = most_values(search, bits), count = most, block = (size_t)search->block,
           bridges = 0;
    do {
        count = most > bridges * block ? most - bridges * block : 0;
        keep(search, target, count, what, norms);
        bridges = bits == 8 ? psm_bridge(&dense, search->block, 0) : 0;
    } while (count && count + bridges * block > most);
    if (bridges) psm_bridge(&dense, search->block, 1);
    return count;
}

/* Indices have the width that leaves most entries. */
enum sn_status psm_prune(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error)
{
    int m = search->m, n = search->n, weighted = search->options->weighting != NULL,
        wide = n <= 65536 ? 16 : 32;
    size_t size = (size_t)m * (size_t)n, most = most_values(search, wide);
    float *scratch = malloc(((weighted ? 4 : 2) * size + (weighted ? sn_filter_size(n) : 0))
                            * sizeof *scratch);
    if (!scratch) return sn_no_memory(error, "a PSM approximation");
    float *kept = scratch, *norms = kept + size, *image = norms + size, *fed = image + size,
          *filter = fed + size;
    const float *target = weighted ? fed : search->w;
    enum sn_status status = SN_OK;
    struct psm_sparse factor = { 0 };
    if (weighted) feed_back(search, most, fed, kept, norms, filter);
    int bits = search->budget.values == SIZE_MAX
            && keep_within(search, target, 8, kept, norms) > most
        ? 8
        : wide;
    if (bits == wide && !keep_within(search, target, wide, kept, norms)) {
        status =
            sn_fail(error, SN_BAD_INPUT,
                    "budget of %zu bytes cannot hold one nonzero of %d x %d, expected at least %zu",
                    search->budget.bytes, m, n,
                    psm_factor_bytes(m, n, (size_t)search->block, wide, search->block));
        goto done;
    }
    if (weighted) refit_pruned(search, kept, norms, fed, image);
    float *smaller = realloc(scratch, size * sizeof *scratch);
    if (smaller) kept = scratch = smaller;
    struct psm_strided dense = { kept, m, n, (size_t)n, 1 };
    if (!psm_sparse_new(&factor, &dense, search->block))
        status = sn_no_memory(error, "a PSM approximation");
    free(scratch);
    scratch = NULL;
    if (!status) status = psm_build(search, &factor, &bits, 1, fit, error);
done:
    free(scratch);
    psm_sparse_free(&factor);
    return status ? status : psm_measure(search, fit, error);
}
