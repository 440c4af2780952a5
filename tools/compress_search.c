/* The search of compress: which candidates there are, which of them stay, and how many bytes each
 * layer gets. */
#include "compress.h"

#include "approximation.h"

#include <fit.h>
#include <ranks.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum sn_status compress_spread(struct compress *compress, int n,
                               enum sn_status (*work)(struct compress *compress, void *context,
                                                      int i, struct sn_error *error),
                               void *context, struct sn_error *error)
{
    int n_ranks = compress->steps.is_alone ? 1 : ranks_count(), own = ranks_own();
    enum sn_status status = SN_OK;
    for (int i = 0; i < n && !status; i++) {
        if (n_ranks > 1 && i % n_ranks == 0) {
            compress->steps.is_alone = 1;
            if (i + own < n && work(compress, context, i + own, error)) return error->code;
            compress->steps.is_alone = 0;
            ranks_wait();
        }
        status = work(compress, context, i, error);
    }
    return status;
}

/* ---- Candidates */

static enum sn_status add(struct compress *compress, struct compress_candidate candidate,
                          struct sn_error *error)
{
    size_t size = ((size_t)compress->n + 1) * sizeof *compress->candidates;
    struct compress_candidate *grown = realloc(compress->candidates, size);
    if (!grown) return sn_no_memory(error, "%d candidates", compress->n + 1);
    compress->candidates = grown;
    grown[compress->n++] = candidate;
    return SN_OK;
}

/* Adds every type in every number of bits and, where it has blocks, of every size. A dense matrix
 * of floats is what is replaced. */
static enum sn_status add_candidates(struct compress *compress, int layer, struct sn_error *error)
{
    static const int blocks[] = { 1, 4, 8 };
    const struct compress_score unknown = { NAN, NAN };
    const struct compress_request *request = compress->request;
    const struct sn_fit_type *type;
    for (int t = 0; (type = sn_fit_type_at(t)); t++) {
        int n_blocks = type->has_budget && sn_fit_has_option(type, "block")
            ? sizeof blocks / sizeof *blocks
            : 1;
        if (!approximation_is_in(request->types, type)) continue;
        for (int i = 0; i < request->n_bits * n_blocks; i++) {
            struct compress_candidate candidate = { .type = type,
                                                    .layer = layer,
                                                    .bits = request->bits[i / n_blocks],
                                                    .block = blocks[i % n_blocks],
                                                    .bytes = NAN,
                                                    .madds = NAN,
                                                    .us = NAN,
                                                    .net_us = NAN,
                                                    .fitted = unknown,
                                                    .brief = unknown,
                                                    .full = unknown };
            if (!type->has_budget && candidate.bits == 32) continue;
            if (add(compress, candidate, error)) return error->code;
        }
    }
    return SN_OK;
}

/* ---- One layer */

static int is_better(struct compress_score a, struct compress_score b)
{
    return a.top1 != b.top1 ? a.top1 > b.top1 : a.loss < b.loss;
}

/* How many of the candidates from first on are better than number i, those before it when equal. */
static int place_of(const struct compress *compress, int first, int i)
{
    int place = 0;
    struct compress_score own = compress_best_score(&compress->candidates[i]);
    for (int j = first; j < compress->n; j++) {
        const struct compress_candidate *other = &compress->candidates[j];
        struct compress_score score = compress_best_score(other);
        if (j == i || other->why[0] || isnan(score.loss)) continue;
        place += is_better(score, own) || (j < i && !is_better(own, score));
    }
    return place;
}

/* Candidates of a place; those from first on are its own. */
struct contest {
    const struct compress_place *place;
    int first;
    int best[COMPRESS_BEST], n_best;
};

static void show(double done, const struct compress_candidate *candidate, const char *what)
{
    char label[COMPRESS_MAX_LABEL];
    compress_label(candidate, label);
    command_progress(done, "layer %d: %s%s", candidate->layer, label, what);
}

/* Tries number i. Nets that cannot become one of the best go at once. */
static enum sn_status try_one(struct compress *compress, void *context, int i,
                              struct sn_error *error)
{
    const struct contest *contest = context;
    int first = contest->first;
    struct compress_candidate *all = compress->candidates;
    show((double)i / (compress->n - first), &all[first + i], "");
    enum sn_status status = compress_try(compress, contest->place, &all[first + i], error);
    if (status || compress->steps.is_alone) return status;
    for (int j = first; j <= first + i; j++)
        if (!all[j].why[0] && place_of(compress, first, j) >= COMPRESS_BEST)
            compress_forget(compress, &all[j], "brief");
    return SN_OK;
}

static void find_best(const struct compress *compress, struct contest *contest)
{
    for (int i = contest->first; i < compress->n; i++)
        if (!compress->candidates[i].why[0]
            && place_of(compress, contest->first, i) < COMPRESS_BEST)
            contest->best[contest->n_best++] = i;
}

static enum sn_status finish_one(struct compress *compress, void *context, int i,
                                 struct sn_error *error)
{
    const struct contest *contest = context;
    struct compress_candidate *candidate = &compress->candidates[contest->best[i]];
    show((double)i / contest->n_best, candidate, ", to the end");
    return compress_finish(compress, contest->place, 0, candidate, error);
}

/* Tries the candidates from first on, and trains the best to the end. */
static enum sn_status hold_contest(struct compress *compress, const struct compress_place *place,
                                   int first, struct sn_error *error)
{
    struct contest contest = { place, first, { 0 }, 0 };
    enum sn_status status = compress_spread(compress, compress->n - first, try_one, &contest,
                                            error);
    find_best(compress, &contest);
    if (!status) status = compress_spread(compress, contest.n_best, finish_one, &contest, error);
    command_progress(1, " ");
    return status;
}

/* Whether the score is good enough to take the smallest. */
static int is_enough(const struct compress *compress, struct compress_score score)
{
    double drop = compress->request->max_drop;
    return drop >= 0 && score.top1 >= compress->score.top1 - drop - 1e-9;
}

/* The best of those that are trained to the end or, where some keep to --max-drop, the smallest of
 * these; -1: none. */
static int choose(const struct compress *compress, int first, int is_last)
{
    int chosen = -1;
    for (int i = first; i < compress->n; i++) {
        const struct compress_candidate *a = &compress->candidates[i],
                                        *b = &compress->candidates[chosen < 0 ? i : chosen];
        if (a->why[0] || isnan(a->full.loss)) continue;
        int a_fits = is_last && is_enough(compress, a->full),
            b_fits = is_last && is_enough(compress, b->full);
        if (chosen < 0 || a_fits > b_fits
            || (a_fits && b_fits ? a->bytes < b->bytes
                                 : a_fits == b_fits && is_better(a->full, b->full)))
            chosen = i;
    }
    return chosen;
}

/* What did not fit, and why not. */
static enum sn_status fail_to_fit(const struct compress *compress, int first, double budget,
                                  struct sn_error *error)
{
    const struct compress_candidate *candidate = &compress->candidates[first];
    if (first == compress->n)
        return sn_fail(error, SN_BAD_INPUT,
                       "expected types and bits that make the matrix smaller, found none");
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: layer %d: expected a matrix of at most %.0f bytes, found none: %s",
                   compress->request->cfg, candidate->layer, budget, candidate->why);
}

/* Writes the candidate that replaces the place's layer to *chosen. */
static enum sn_status replace(struct compress *compress, struct compress_place *place, int is_last,
                              int *chosen, struct sn_error *error)
{
    int first = compress->n;
    if (compress_open_place(compress, place, error) || add_candidates(compress, place->layer, error)
        || hold_contest(compress, place, first, error))
        return error->code;
    *chosen = choose(compress, first, is_last);
    if (*chosen < 0) return fail_to_fit(compress, first, place->budget, error);
    for (int i = first; i < compress->n; i++)
        if (i != *chosen) compress_forget(compress, &compress->candidates[i], "full");
    return compress_finish(compress, place, 1, &compress->candidates[*chosen], error);
}

/* ---- All layers */

enum sn_status compress_run_budget(struct compress *compress, double bytes,
                                   struct compress_run *run, struct sn_error *error)
{
    double allotted[COMPRESS_MAX_LAYERS];
    struct compress_place place = { .net = compress->dense };
    enum sn_status status = compress_allot(compress, bytes, allotted, error);
    *run = (struct compress_run){ 0 };
    for (int i = 0, n = compress->n_layers; i < n && !status; i++) {
        place.layer = compress->layers[i].number;
        place.budget = floor(allotted[i] + 1e-6);
        status = replace(compress, &place, i == n - 1, &run->chosen[i], error);
        if (status) break;
        const struct compress_candidate *chosen = &compress->candidates[run->chosen[i]];
        run->bytes += chosen->bytes;
        run->score = chosen->full;
        status = compress_net_of(compress, chosen, "full", &place.net, error);
    }
    return status;
}

double compress_dense_bytes(const struct compress *compress)
{
    double bytes = 0;
    for (int i = 0; i < compress->n_layers; i++) bytes += compress->layers[i].bytes;
    return bytes;
}

/* Halves the interval between a share that keeps to --max-drop and one that does not, on a
 * logarithmic scale, SEARCHES times. What fits nothing does not keep to it. */
static enum sn_status search_drop(struct compress *compress, struct sn_error *error)
{
    enum { SEARCHES = 7 };
    double least = log(1. / 256), most = log(.5), bytes = compress_dense_bytes(compress);
    compress->run.bytes = INFINITY;
    for (int i = 0; i < SEARCHES; i++) {
        struct compress_run run;
        double share = i ? (least + most) / 2 : most;
        enum sn_status status = compress_run_budget(compress, exp(share) * bytes, &run, error);
        if (status && status != SN_BAD_INPUT) return status;
        int is_kept = !status && is_enough(compress, run.score);
        if (!i && !is_kept)
            return status ? status
                          : sn_fail(error, SN_BAD_INPUT,
                                    "%s: expected top-1 of at least %.2f %% on the held images, "
                                    "found %.2f %% at half of the bytes",
                                    compress->request->cfg,
                                    100 * (compress->score.top1 - compress->request->max_drop),
                                    100 * run.score.top1);
        if (is_kept && run.bytes < compress->run.bytes) compress->run = run;
        if (is_kept) most = fmin(share, log(run.bytes / bytes));
        else least = share;
        if (most <= least) break;
    }
    return SN_OK;
}

enum sn_status compress_search(struct compress *compress, struct sn_error *error)
{
    const struct compress_request *request = compress->request;
    double bytes = request->bytes > 0 ? request->bytes
                                      : request->share * compress_dense_bytes(compress);
    enum sn_status status = SN_OK;
    for (int i = 0; i < compress->n_layers && !status; i++)
        status = compress_score_dense(compress, i, error);
    if (!status)
        status = request->max_drop >= 0
            ? search_drop(compress, error)
            : compress_run_budget(compress, bytes, &compress->run, error);
    for (int i = 0; i < compress->n_layers && !status; i++)
        compress->candidates[compress->run.chosen[i]].is_chosen = 1;
    return status;
}
