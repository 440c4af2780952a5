#include "psm_prune.h"
#include "psm_admm.h"
#include "psm_cgls.h"
#include "psm_index.h"
#include "weighting.h"

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

/* About the most values that the budget holds in any form of their indices. */
static size_t foreseen(const struct psm_search *search)
{
    size_t wide = most_values(search, search->n <= 65536 ? 16 : 32),
           narrow = psm_index_room(search->m, search->n, search->block, 32, search->budget.bytes);
    if (narrow > search->budget.values) narrow = search->budget.values;
    return narrow > wide ? narrow : wide;
}

/* One call of psm_prune. The arrays lie in one block of memory, what first. */
struct pruning {
    const struct psm_search *search;
    size_t most;    /* values that ADMM keeps */
    float *what;    /* m x n: ADMM's Z, then the factor */
    float *scratch; /* m x n: of projections, then the direction of the fit */
    float *target;  /* m x n with a weighting, else NULL: ADMM's T, then the gradient of the fit */
    float *image;   /* m x n with a weighting: the direction times M */
    float *filter;  /* sn_filter_size(n) with a weighting */
};

static int pruning_new(struct pruning *p, const struct psm_search *search, size_t most)
{
    size_t size = (size_t)search->m * (size_t)search->n;
    int is_weighted = search->options->weighting != NULL;
    *p = (struct pruning){ .search = search, .most = most };
    p->what = malloc(((is_weighted ? 4 : 2) * size + (is_weighted ? sn_filter_size(search->n) : 0))
                     * sizeof *p->what);
    if (!p->what) return 0;
    p->scratch = p->what + size;
    if (is_weighted) {
        p->target = p->scratch + size;
        p->image = p->target + size;
        p->filter = p->image + size;
    }
    return 1;
}

/* ---- With a weighting ---- */

/* W' = W D. */
static void take_w(void *context, float *scaled)
{
    const struct psm_search *search = ((const struct pruning *)context)->search;
    size_t m = (size_t)search->m, n = (size_t)search->n;
    const float *moment = search->options->weighting->moment;
    for (size_t i = 0; i < m * n; i++) scaled[i] = search->w[i] * sqrtf(moment[i % n * (n + 1)]);
}

/* Z <- the largest entries of T. */
static const float *approach(void *context, int round)
{
    const struct pruning *p = context;
    const struct psm_search *search = p->search;
    size_t m = (size_t)search->m, n = (size_t)search->n;
    (void)round;
    memcpy(p->what, p->target, m * n * sizeof *p->what);
    psm_keep(p->what, m, n, search->pattern, 1, (size_t)search->block, p->most, p->scratch);
    return p->what;
}

/* target <- T after all rounds. */
static void find_target(struct pruning *p)
{
    const struct psm_search *search = p->search;
    struct psm_admm admm = { .rows = search->m,
                             .columns = search->n,
                             .weighting = search->options->weighting,
                             .n_rounds = search->options->effort == SN_QUICK ? 7 : 30,
                             .first = .4, /* Tried on classifiers of trained nets. */
                             .last = 1,
                             .stop = search->options->stop,
                             .target = p->target,
                             .sum = p->scratch,
                             .filter = p->filter,
                             .context = p,
                             .take_w = take_w,
                             .approach = approach };
    take_w(p, p->target);
    psm_admm_run(&admm);
}

/* out <- x M. */
static void times_moment(const struct psm_search *search, const float *x, float *out)
{
    sn_weighting_apply(search->options->weighting, x, search->m, out);
}

/* The residual (What - W) M is the gradient where What has entries; the others are not needed. */
static double take_gradient(void *context, float *g)
{
    const struct pruning *p = context;
    double sum = 0;
    for (size_t i = 0, size = (size_t)p->search->m * (size_t)p->search->n; i < size; i++) {
        if (p->what[i] == 0) g[i] = 0;
        sum += (double)g[i] * (double)g[i];
    }
    return sum;
}

static double curvature(void *context, const float *d)
{
    const struct pruning *p = context;
    double sum = 0;
    times_moment(p->search, d, p->image);
    for (size_t i = 0, size = (size_t)p->search->m * (size_t)p->search->n; i < size; i++)
        sum += (double)d[i] * (double)p->image[i];
    return sum;
}

static void move(void *context, float alpha)
{
    const struct pruning *p = context;
    for (size_t i = 0, size = (size_t)p->search->m * (size_t)p->search->n; i < size; i++)
        p->target[i] += alpha * p->image[i];
}

/* min ||(W - What) L||^2 over the entries of what that are not zero. */
static void refit(struct pruning *p)
{
    enum { STEPS = 12 };
    size_t size = (size_t)p->search->m * (size_t)p->search->n;
    struct psm_cgls problem = { .values = p->what,
                                .count = size,
                                .gradient = p->target,
                                .direction = p->scratch,
                                .stop = p->search->options->stop,
                                .context = p,
                                .take_gradient = take_gradient,
                                .curvature = curvature,
                                .move = move };
    for (size_t i = 0; i < size; i++) p->image[i] = p->what[i] - p->search->w[i];
    times_moment(p->search, p->image, p->target);
    psm_cgls_run(&problem, STEPS);
}

/* ---- Within a budget ---- */

/* what <- the count largest entries of the target, alone, or in blocks, with the scaling undone. */
static void keep(struct pruning *p, size_t count)
{
    const struct psm_search *search = p->search;
    size_t m = (size_t)search->m, n = (size_t)search->n;
    const struct sn_weighting *weighting = search->options->weighting;
    memcpy(p->what, p->target ? p->target : search->w, m * n * sizeof *p->what);
    psm_keep(p->what, m, n, search->pattern, 1, (size_t)search->block, count, p->scratch);
    for (size_t i = 0; weighting && i < m * n; i++)
        p->what[i] /= sqrtf(weighting->moment[i % n * (n + 1)]);
}

static struct psm_strided dense_form(const struct pruning *p)
{
    int m = p->search->m, n = p->search->n;
    return (struct psm_strided){ p->what, m, n, (size_t)n, 1 };
}

/* keep() within the budget, bridges included. Returns the number of values, 0 when none fits. */
static size_t keep_within(struct pruning *p, int bits)
{
    struct psm_strided dense = dense_form(p);
    size_t most = most_values(p->search, bits), count, block = (size_t)p->search->block,
           bridges = 0;
    do {
        count = most > bridges * block ? most - bridges * block : 0;
        keep(p, count);
        bridges = bits == 8 ? psm_bridge(&dense, p->search->block, 0) : 0;
    } while (count && count + bridges * block > most);
    if (bridges) psm_bridge(&dense, p->search->block, 1);
    return count;
}

/* The factor as a sparse matrix. Most of the memory goes before it is built. */
static int take_factor(struct pruning *p, struct psm_sparse *factor)
{
    size_t size = (size_t)p->search->m * (size_t)p->search->n;
    float *smaller = realloc(p->what, size * sizeof *p->what);
    if (smaller) p->what = smaller;
    struct psm_strided dense = dense_form(p);
    int fine = psm_sparse_new(factor, &dense, p->search->block);
    free(p->what);
    p->what = NULL;
    return fine;
}

/* *most <- about the most entries that the budget holds in the form of their indices that takes
 * least for them, 0 when it holds none; false position, since bytes grow with entries. Returns 0
 * when memory runs out. */
static int most_narrow(struct pruning *p, struct psm_index *form, size_t *most)
{
    enum { STEPS = 12 };
    const struct psm_search *search = p->search;
    size_t block = (size_t)search->block, budget = search->budget.bytes, low = 0,
           high = ((size_t)search->m + block - 1) / block * (size_t)search->n + 1,
           count = psm_index_room(search->m, search->n, search->block, 32, budget) / block;
    if (high > search->budget.values / block) high = search->budget.values / block + 1;
    if (count >= high) count = high - 1;
    for (int step = 0; step < STEPS && count > low && count < high; step++) {
        struct psm_index found;
        struct psm_strided dense = dense_form(p);
        keep(p, count * block);
        size_t bytes = psm_index_measure(&dense, search->block, &found);
        if (!bytes) return 0;
        if (bytes <= budget) {
            low = count;
            *form = found;
        } else high = count;
        double next = (double)count + ((double)budget - (double)bytes) / (4.5 * (double)block);
        count = (size_t)fmin(fmax(next, (double)low + 1), (double)high - 1);
    }
    *most = low * block;
    return 1;
}

/* Keeps the most entries that the budget holds: in the narrowest form of their indices, or in 8
 * bits with bridges. */
static enum sn_status keep_most(struct pruning *p, struct psm_index *form, struct sn_error *error)
{
    const struct psm_search *search = p->search;
    int m = search->m, n = search->n, bridges = !psm_pattern_has_groups(search->pattern);
    size_t most = 0;
    if (!most_narrow(p, form, &most)) return sn_no_memory(error, "a PSM approximation");
    if (bridges && keep_within(p, 8) > most) {
        *form = (struct psm_index){ .bits = 8 };
        return SN_OK;
    }
    keep(p, most);
    if (most) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "budget of %zu bytes cannot hold one nonzero of %d x %d, expected at least %.0f",
                   search->budget.bytes, m, n,
                   psm_index_foretell(m, n, search->block, 32, 0, search->block));
}

/* Indices have the form that leaves most entries. */
enum sn_status psm_prune(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error)
{
    struct pruning pruning;
    struct psm_index form;
    struct psm_sparse factor = { 0 };
    enum sn_status status = SN_OK;
    if (!pruning_new(&pruning, search, foreseen(search)))
        return sn_no_memory(error, "a PSM approximation");
    if (pruning.target) find_target(&pruning);
    status = keep_most(&pruning, &form, error);
    if (status) goto done;
    if (pruning.target) refit(&pruning);
    if (!take_factor(&pruning, &factor)) status = sn_no_memory(error, "a PSM approximation");
    if (!status) status = psm_build(search, &factor, &form.bits, &form.escapes, 1, fit, error);
done:
    free(pruning.what);
    psm_sparse_free(&factor);
    return status ? status : psm_measure(search, fit, error);
}
