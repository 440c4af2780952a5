/* How a budget is spread over layers: by what the loss of the net falls for each byte that a layer
 * gets more, the others being as they were. */
#include "compress.h"

#include "approximation.h"

#include <fit.h>

#include <math.h>
#include <string.h>

static const double shares[] = { .02, .05, .1, .2, .4 };
enum { N_SHARES = sizeof shares / sizeof *shares };

/* By what layers are compared: the simplest type of the first family with a budget, in 4 bits where
 * they are asked for. */
static struct compress_candidate probe(const struct compress_request *request)
{
    struct compress_candidate candidate = { .bits = request->bits[0], .block = 1 };
    for (int i = 0; i < request->n_bits; i++)
        if (request->bits[i] == 4) candidate.bits = 4;
    for (int i = 0; (candidate.type = sn_fit_type_at(i)); i++)
        if (candidate.type->has_budget && approximation_is_in(request->types, candidate.type))
            break;
    if (candidate.type) candidate.type = sn_fit_simplest(candidate.type->family);
    return candidate;
}

static struct compress_place place_of(const struct compress *compress, int layer)
{
    return (struct compress_place){ .net = compress->dense,
                                    .layer = compress->layers[layer].number };
}

/* Writes the loss with a layer alone replaced at one of the shares, a step each of all layers; what
 * does not fit is worse than all. */
static enum sn_status measure(struct compress *compress, void *context, int i,
                              struct sn_error *error)
{
    const double none = 1e6;
    double(*loss)[N_SHARES] = context;
    const struct compress_layer *layer = &compress->layers[i / N_SHARES];
    struct compress_candidate candidate = probe(compress->request);
    struct compress_place place = place_of(compress, i / N_SHARES);
    candidate.layer = layer->number;
    place.budget = floor(shares[i % N_SHARES] * layer->bytes);
    command_progress((double)i / (compress->n_layers * N_SHARES),
                     "layer %d at %.0f %%: what it loses", layer->number,
                     100 * shares[i % N_SHARES]);
    enum sn_status status = compress_open_place(compress, &place, error);
    if (!status) status = compress_probe(compress, &place, &candidate, error);
    loss[i / N_SHARES][i % N_SHARES] = candidate.why[0] || !isfinite(candidate.fitted.loss)
        ? none
        : candidate.fitted.loss;
    return status;
}

/* The step to a larger share that lowers the loss most for its bytes and is affordable. */
struct raise {
    int layer, to; /* layer -1: none */
    double bytes;
};

static struct raise best_raise(const struct compress *compress, double (*loss)[N_SHARES],
                               const int *at, double left)
{
    struct raise best = { .layer = -1 };
    double steepest = 0;
    for (int i = 0; i < compress->n_layers; i++)
        for (int to = at[i] + 1; to < N_SHARES; to++) {
            double bytes = (shares[to] - shares[at[i]]) * compress->layers[i].bytes,
                   slope = (loss[i][at[i]] - loss[i][to]) / bytes;
            if (bytes > left || slope <= steepest) continue;
            steepest = slope;
            best = (struct raise){ i, to, bytes };
        }
    return best;
}

/* Begins with the least share of all layers; what is left in the end is for all of them alike. */
static void spread(const struct compress *compress, double (*loss)[N_SHARES], double bytes,
                   double *allotted)
{
    int at[COMPRESS_MAX_LAYERS] = { 0 };
    double used = shares[0] * compress_dense_bytes(compress);
    for (;;) {
        struct raise raise = best_raise(compress, loss, at, bytes - used);
        if (raise.layer < 0) break;
        at[raise.layer] = raise.to;
        used += raise.bytes;
    }
    for (int i = 0; i < compress->n_layers; i++)
        allotted[i] = fmin(1, shares[at[i]] * bytes / used) * compress->layers[i].bytes;
}

enum sn_status compress_allot(struct compress *compress, double bytes,
                              double allotted[COMPRESS_MAX_LAYERS], struct sn_error *error)
{
    double loss[COMPRESS_MAX_LAYERS][N_SHARES];
    int n = compress->n_layers;
    enum sn_status status = SN_OK;
    allotted[0] = fmin(bytes, compress->layers[0].bytes);
    if (n == 1) return SN_OK;
    memset(loss, 0, sizeof loss);
    if (!probe(compress->request).type) n = 0;
    for (int i = 0; i < n && !status; i++) {
        struct compress_place place = place_of(compress, i);
        status = compress_open_place(compress, &place, error);
    }
    if (!status) status = compress_spread(compress, n * N_SHARES, measure, loss, error);
    if (!status) spread(compress, loss, bytes, allotted);
    return status;
}
