#include "feature_rows.h"

#include "load_net.h"
#include "random.h"

#include <libdeflate.h>
#include <math.h>
#include <network.h>
#include <panels.h>
#include <picture_file.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Images that a net evaluates at once. More would only take memory: convolutions go image by image.
 */
enum { MOST_IMAGES = 8, BATCHES_OF_BLOCK = 16 };

static enum sn_status open_worker(const struct features_source *source, network *net,
                                  struct features_worker *worker, struct sn_error *error)
{
    *worker = (struct features_worker){ .net = net, .failed = -1 };
    if (net->batch > MOST_IMAGES) set_batch_network(net, MOST_IMAGES);
    struct tail_source tail = { source->cfg, source->weights, net, source->layer };
    return source->is_checked ? tail_open(&worker->tail, &tail, net->batch, 0, error) : SN_OK;
}

/* No more workers than there are batches. */
static int count_workers(int n_views, int batch)
{
    int n_threads = sn_threads(), n_batches = n_views / batch + 1;
    if (n_threads < 2) return 1;
    return n_threads < n_batches ? n_threads : n_batches;
}

static enum sn_status open_workers(struct features *features, network *net, struct sn_error *error)
{
    const struct features_source *source = &features->source;
    enum sn_status status = SN_OK;
    for (int i = 0; i < features->n_workers && !status; i++) {
        network *own = i ? load_net(source->cfg, source->weights) : net;
        status = open_worker(source, own, &features->workers[i], error);
    }
    features->batch = net->batch;
    return status;
}

enum sn_status features_open(struct features *features, const struct features_source *source,
                             network *net, struct sn_error *error)
{
    double n_views = (double)source->images->n * (1 + source->n_crops);
    *features = (struct features){ .source = *source,
                                   .matrix = layer_matrix(&net->layers[source->layer]) };
    if (n_views > INT32_MAX / 2) {
        free_network(net);
        return sn_fail(error, SN_BAD_INPUT, "expected at most %d views of images, found %.0f",
                       INT32_MAX / 2, n_views);
    }
    features->n_views = (int)n_views;
    features->n_workers = count_workers(features->n_views, net->batch);
    features->workers = calloc((size_t)features->n_workers, sizeof *features->workers);
    if (!features->workers) {
        free_network(net);
        return sn_no_memory(error, "%d nets", features->n_workers);
    }
    enum sn_status status = open_workers(features, net, error);
    if (status) features_close(features);
    return status;
}

void features_close(struct features *features)
{
    for (int i = 0; features->workers && i < features->n_workers; i++) {
        tail_close(&features->workers[i].tail);
        if (features->workers[i].net) free_network(features->workers[i].net);
    }
    free(features->workers);
    *features = (struct features){ 0 };
}

int features_block(const struct features *features)
{
    return features->batch * features->n_workers * BATCHES_OF_BLOCK;
}

/* ---- one batch */

/* A number in 0 <= u < 1. */
static double uniform(uint64_t *state) { return (double)(random_next(state) >> 11) * 0x1p-53; }

static struct pictures_view draw_view(uint64_t seed, int view)
{
    uint64_t state = seed;
    state = random_next(&state) ^ (uint64_t)view;
    struct pictures_view drawn = { .place.across = uniform(&state) };
    drawn.place.down = uniform(&state);
    drawn.is_flipped = random_next(&state) >> 63 ? 1 : 0;
    return drawn;
}

/* Views first to end as the net's inputs; an image is decoded once for all of its views here. */
static enum sn_status load_views(const struct features_source *source, network *net, int first,
                                 int end, struct sn_error *error)
{
    int n_views = 1 + source->n_crops;
    enum sn_status status = SN_OK;
    image picture = { 0 };
    for (int view = first; view < end && !status; view++) {
        float *input = net->input + (size_t)(view - first) * (size_t)net->inputs;
        struct pictures_view part = draw_view(source->seed, view);
        if (view == first || view % n_views == 0) {
            free_image(picture);
            picture = (image){ 0 };
            status = picture_decode(source->images->line[view / n_views], &picture, error);
        }
        if (!status)
            status = pictures_prepare(picture, net, source->resize, (view % n_views) ? &part : NULL,
                                      input, error);
    }
    free_image(picture);
    return status;
}

/* The layer whose outputs are compared: the last before [softmax], which hides differences. */
static int compared_layer(const network *net, int first)
{
    int i = net->n - 1;
    while (i > first && (net->layers[i].type == SOFTMAX || net->layers[i].type == COST)) i--;
    return i;
}

/* Of all rows of a view. */
static size_t row_floats(const struct features *features)
{
    return (size_t)features->matrix.n_columns * (size_t)features->matrix.n_pixels;
}

static void check_rows(const struct features *features, struct features_worker *worker, int count,
                       const float *rows)
{
    network *net = worker->net, *tail = worker->tail.net;
    int first = features->source.layer, last = compared_layer(net, first);
    const float *expected = net->layers[last].output, *found = tail->layers[last - first].output;
    size_t n_row = row_floats(features);
    for (int b = 0; b < count; b++)
        sn_window_put(&features->matrix.window, rows + (size_t)b * n_row,
                      tail->input + (size_t)b * (size_t)tail->inputs);
    network_predict(net, net->input);
    network_predict(tail, tail->input);
    for (size_t i = 0; i < (size_t)count * (size_t)net->layers[last].outputs; i++) {
        worker->difference = fmax(worker->difference, fabs((double)expected[i] - found[i]));
        worker->largest = fmax(worker->largest, fabs((double)expected[i]));
    }
}

/* Runs the layers before the asked one only, so that none behind it can touch its inputs. */
static const float *compute_inputs(network *net, int layer)
{
    int n_layers = net->n;
    net->n = layer;
    network_predict(net, net->input);
    net->n = n_layers;
    return layer ? net->layers[layer - 1].output : net->input;
}

/* ---- all batches */

struct block {
    struct features *features;
    int first, count;
    features_visitor *visit;
    void *context;
    atomic_int next, is_over;
};

/* Batches are taken in order: when one fails, all before it are done or under way. */
static void work(void *context, size_t i)
{
    struct block *block = context;
    struct features *features = block->features;
    struct features_worker *worker = &features->workers[i];
    int batch = features->batch, n_batches = (block->count + batch - 1) / batch;
    for (int b; !block->is_over && (b = atomic_fetch_add(&block->next, 1)) < n_batches;) {
        int start = b * batch, left = block->count - start, count = left < batch ? left : batch,
            first = block->first + start;
        if (!load_views(&features->source, worker->net, first, first + count, &worker->error)) {
            block->visit(block->context, worker, start, count);
            continue;
        }
        worker->failed = b;
        block->is_over = 1;
    }
}

enum sn_status features_visit(struct features *features, int first, int count,
                              features_visitor *visit, void *context, struct sn_error *error)
{
    struct block block = {
        .features = features, .first = first, .count = count, .visit = visit, .context = context
    };
    const struct features_worker *failed = NULL;
    sn_tasks((size_t)features->n_workers, work, &block);
    for (int i = 0; i < features->n_workers; i++) {
        const struct features_worker *worker = &features->workers[i];
        if (worker->failed >= 0 && (!failed || worker->failed < failed->failed)) failed = worker;
    }
    if (!failed) return SN_OK;
    *error = failed->error;
    return error->code;
}

/* Where a layer's inputs go. */
struct taken {
    const struct features *features;
    float *rows;
};

static void visit_rows(void *context, struct features_worker *worker, int start, int count)
{
    const struct taken *taken = context;
    const struct features *features = taken->features;
    const struct sn_window *window = &features->matrix.window;
    const float *inputs = compute_inputs(worker->net, features->source.layer);
    size_t n_row = row_floats(features), n_image = sn_window_image(window);
    float *rows = taken->rows + (size_t)start * n_row;
    for (int b = 0; b < count; b++)
        sn_window_take(window, inputs + (size_t)b * n_image, rows + (size_t)b * n_row);
    if (features->source.is_checked) check_rows(features, worker, count, rows);
}

enum sn_status features_compute(struct features *features, int first, int count, float *rows,
                                struct sn_error *error)
{
    struct taken taken = { features, rows };
    return features_visit(features, first, count, visit_rows, &taken, error);
}

static void visit_inputs(void *context, struct features_worker *worker, int start, int count)
{
    const struct taken *taken = context;
    int layer = taken->features->source.layer;
    size_t n = (size_t)worker->net->layers[layer].inputs;
    const float *inputs = compute_inputs(worker->net, layer);
    memcpy(taken->rows + (size_t)start * n, inputs, (size_t)count * n * sizeof *inputs);
}

enum sn_status features_inputs(struct features *features, int first, int count, float *inputs,
                               struct sn_error *error)
{
    struct taken taken = { features, inputs };
    return features_visit(features, first, count, visit_inputs, &taken, error);
}

void features_check(const struct features *features, double *difference, double *largest)
{
    *difference = *largest = 0;
    for (int i = 0; i < features->n_workers; i++) {
        *difference = fmax(*difference, features->workers[i].difference);
        *largest = fmax(*largest, features->workers[i].largest);
    }
}

/* ---- fingerprint */

static enum sn_status add_file(const char *path, uint32_t *crc, struct sn_error *error)
{
    char buffer[65536];
    FILE *file = fopen(path, "rb");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read", path);
    for (size_t n; (n = fread(buffer, 1, sizeof buffer, file));)
        *crc = libdeflate_crc32(*crc, buffer, n);
    int is_broken = ferror(file);
    fclose(file);
    return is_broken ? sn_fail(error, SN_IO, "%s: cannot read", path) : SN_OK;
}

/* An image that is not there is met when it is decoded. */
static void add_image(const char *path, uint32_t *crc)
{
    struct stat status = { 0 };
    int64_t numbers[3] = { stat(path, &status), 0, 0 };
    numbers[1] = status.st_size;
    numbers[2] = (int64_t)status.st_mtim.tv_sec * 1000000000 + status.st_mtim.tv_nsec;
    *crc = libdeflate_crc32(*crc, path, strlen(path) + 1);
    *crc = libdeflate_crc32(*crc, numbers, sizeof numbers);
}

enum sn_status features_fingerprint(const struct features *features, uint32_t *crc,
                                    struct sn_error *error)
{
    const struct features_source *source = &features->source;
    uint64_t numbers[] = { (uint64_t)source->layer, (uint64_t)source->resize,
                           (uint64_t)source->n_crops, source->seed };
    *crc = libdeflate_crc32(0, numbers, sizeof numbers);
    enum sn_status status = add_file(source->cfg, crc, error);
    if (!status) status = add_file(source->weights, crc, error);
    for (int i = 0; i < source->images->n && !status; i++) add_image(source->images->line[i], crc);
    return status;
}
