#include "calibration.h"

#include "command.h"
#include "copy_bytes.h"

#include <structured_layer.h>
#include <weights_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What is known of the values of one channel: how many, their mean, and the sum of the squares of
 * their differences from it. */
struct channel {
    double n, mean, squares;
};

struct run {
    struct features *features;
    int n_layers, n_channels; /* that have statistics; of all of these */
    int *layers;              /* their numbers */
    int now;                  /* the one that is measured */
    size_t widest;            /* channels of a layer */
    struct channel *batch;    /* of each batch of a block: widest */
    struct channel *channel;  /* widest */
};

/* ---- Layers */

/* Whether the weights file holds statistics of what the layer's matrix gives. */
static int has_statistics(const layer *l)
{
    int is_known = structured_matrix(l) || l->type == CONVOLUTIONAL || l->type == CONNECTED;
    return is_known && l->batch_normalize && !l->dontload && !l->dontloadscales && !l->numload;
}

static int count_layers(const network *net)
{
    int n = 0;
    for (int i = 0; i < net->n; i++) n += has_statistics(&net->layers[i]);
    return n;
}

static void run_free(struct run *run)
{
    free(run->layers);
    free(run->batch);
    free(run->channel);
}

static enum sn_status run_new(struct run *run, struct features *features, struct sn_error *error)
{
    const network *net = features->workers->net;
    int n = count_layers(net);
    *run = (struct run){ .features = features };
    if (!n)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected a layer with batch_normalize=1 whose statistics %s holds, "
                       "found none",
                       features->source.cfg, features->source.weights);
    run->layers = malloc((size_t)n * sizeof *run->layers);
    for (int i = 0; run->layers && i < net->n; i++) {
        const layer *l = &net->layers[i];
        if (!has_statistics(l)) continue;
        run->layers[run->n_layers++] = i;
        run->n_channels += l->out_c;
        if ((size_t)l->out_c > run->widest) run->widest = (size_t)l->out_c;
    }
    size_t n_batches = (size_t)(features_block(features) / features->batch);
    run->channel = calloc(run->widest + 1, sizeof *run->channel);
    run->batch = calloc(n_batches * run->widest + 1, sizeof *run->batch);
    if (run->layers && run->channel && run->batch) return SN_OK;
    run_free(run);
    return sn_no_memory(error, "the statistics of %d layers", n);
}

/* ---- Sums */

/* What the values of channel f are in the first count images. */
static struct channel measure(const layer *l, int f, int count)
{
    size_t pixels = (size_t)l->out_w * (size_t)l->out_h, image = pixels * (size_t)l->out_c;
    const float *x = l->x + (size_t)f * pixels;
    struct channel found = { .n = (double)count * (double)pixels };
    for (int b = 0; b < count; b++)
        for (size_t i = 0; i < pixels; i++) found.mean += (double)x[(size_t)b * image + i];
    found.mean /= found.n;
    for (int b = 0; b < count; b++)
        for (size_t i = 0; i < pixels; i++) {
            double d = (double)x[(size_t)b * image + i] - found.mean;
            found.squares += d * d;
        }
    return found;
}

static void add(struct channel *all, const struct channel *more)
{
    double n = all->n + more->n, d = more->mean - all->mean;
    if (!(n > 0)) return;
    all->mean += d * more->n / n;
    all->squares += more->squares + d * d * all->n * more->n / n;
    all->n = n;
}

/* Runs the net to the layer that is measured, which leaves in x what it normalised. */
static void visit(void *context, struct features_worker *worker, int start, int count)
{
    const struct run *run = context;
    network *net = worker->net;
    const layer *l = &net->layers[run->layers[run->now]];
    int n_layers = net->n;
    struct channel *own = run->batch + (size_t)(start / run->features->batch) * run->widest;
    net->n = run->layers[run->now] + 1;
    network_predict(net, net->input);
    net->n = n_layers;
    for (int f = 0; f < l->out_c; f++) own[f] = measure(l, f, count);
}

/* Fills in channel of the layer that is measured. */
static enum sn_status measure_images(struct run *run, struct sn_error *error)
{
    struct features *features = run->features;
    int size = features_block(features), n_views = features->n_views,
        number = run->layers[run->now], n_channels = features->workers->net->layers[number].out_c;
    memset(run->channel, 0, run->widest * sizeof *run->channel);
    for (int first = 0; first < n_views; first += size) {
        int n = n_views - first < size ? n_views - first : size;
        enum sn_status status = features_visit(features, first, n, visit, run, error);
        if (status) return status;
        for (int b = 0; b * features->batch < n; b++)
            for (int f = 0; f < n_channels; f++)
                add(&run->channel[f], &run->batch[(size_t)b * run->widest + (size_t)f]);
        command_progress((run->now + (double)(first + n) / n_views) / run->n_layers, "layer %d",
                         number);
    }
    return SN_OK;
}

/* ---- Statistics */

static double variance_of(const struct channel *found)
{
    return found->squares / (found->n - 1) + CALIBRATION_EPSILON;
}

/* What is new in the statistics of a layer: a mean or a deviation, over the deviation. */
static double change_of(const layer *l, const struct channel *channel)
{
    double change = 0;
    for (int f = 0; f < l->out_c; f++) {
        double deviation = sqrt(variance_of(&channel[f])),
               before = sqrt(fmax(0, (double)l->rolling_variance[f])),
               moved = fmax(fabs(channel[f].mean - (double)l->rolling_mean[f]),
                            fabs(deviation - before));
        change = fmax(change, moved / deviation);
    }
    return change;
}

/* Sets those of the layer that was measured in all nets. */
static void set_layer(const struct run *run)
{
    for (int w = 0; w < run->features->n_workers; w++) {
        const layer *l = &run->features->workers[w].net->layers[run->layers[run->now]];
        for (int f = 0; f < l->out_c; f++) {
            l->rolling_mean[f] = (float)run->channel[f].mean;
            l->rolling_variance[f] = (float)variance_of(&run->channel[f]);
        }
    }
}

static enum sn_status renew(struct run *run, double *change, struct sn_error *error)
{
    int number = run->layers[run->now];
    enum sn_status status = measure_images(run, error);
    if (status) return status;
    if (run->channel->n < 2)
        return sn_fail(error, SN_BAD_INPUT, "%s: layer %d: expected at least 2 images, found 1",
                       run->features->source.cfg, number);
    *change = fmax(*change, change_of(&run->features->workers->net->layers[number], run->channel));
    set_layer(run);
    return SN_OK;
}

enum sn_status calibration_run(struct features *features, struct calibration *calibration,
                               struct sn_error *error)
{
    struct run run;
    *calibration = (struct calibration){ 0 };
    enum sn_status status = run_new(&run, features, error);
    if (status) return status;
    for (run.now = 0; run.now < run.n_layers && !status; run.now++)
        status = renew(&run, &calibration->change, error);
    calibration->n_layers = run.n_layers;
    calibration->n_channels = run.n_channels;
    run_free(&run);
    return status;
}

/* ---- The file */

/* Bytes of a layer before its means: those of the file where it ends in its statistics, as all but
 * convolutions do. */
static size_t bytes_before(const layer *l)
{
    size_t m = (size_t)l->out_c * sizeof(float);
    return structured_matrix(l) || l->type == CONNECTED ? weights_layer_bytes(l) - 2 * m : 2 * m;
}

static enum sn_status write_layers(const char *path, const network *net, FILE *in, size_t n_left,
                                   FILE *file, struct sn_error *error)
{
    size_t at = 0; /* bytes of layers that are written */
    enum sn_status status = SN_OK;
    for (int i = 0; i < net->n && !status; i++) {
        const layer *l = &net->layers[i];
        size_t m = (size_t)l->out_c, n_bytes = 2 * m * sizeof(float);
        if (!has_statistics(l)) continue;
        size_t next = weights_bytes_between(net, 0, i) + bytes_before(l);
        status = copy_bytes(in, file, next - at, path, error);
        fwrite(l->rolling_mean, sizeof(float), m, file);
        fwrite(l->rolling_variance, sizeof(float), m, file);
        at = next + n_bytes;
        if (!status && fseek(in, (long)n_bytes, SEEK_CUR))
            status = sn_fail(error, SN_IO, "%s: cannot read", path);
    }
    return status ? status : copy_bytes(in, file, n_left - at, path, error);
}

enum sn_status calibration_write(const char *path, const network *net, FILE *file,
                                 struct sn_error *error)
{
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    FILE *in = status ? NULL : fopen(path, "rb");
    if (!in) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    status = copy_bytes(in, file, span.header_bytes, path, error);
    if (!status)
        status = write_layers(path, net, in, span.file_bytes - span.header_bytes, file, error);
    fclose(in);
    return status;
}
