#include "reconstruction.h"

#include "command.h"
#include "copy_bytes.h"
#include "load_net.h"
#include "random.h"

#include <cfg_text.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <math.h>
#include <network.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>

/* ---- Nets for a batch */

/* Copies a cfg, but for what [net] says of batches, which are of so many images, and of Adam. */
static enum sn_status write_cfg(const char *path, int batch, FILE *out, struct sn_error *error)
{
    static const char *const own[] = { "batch", "subdivisions", "adam" };
    struct cfg_text *cfg = cfg_read(path, error);
    if (!cfg) return error->code;
    for (int s = 0; s < cfg->n_sections; s++) {
        const struct cfg_section *section = &cfg->sections[s];
        fprintf(out, "[%s]\n", section->name);
        if (!s) fprintf(out, "batch=%d\nsubdivisions=1\nadam=1\n", batch);
        for (int k = 0; k < section->n_keys; k++) {
            int is_own = 0;
            for (size_t i = 0; i < sizeof own / sizeof *own && !s; i++)
                is_own |= !strcmp(section->keys[k].key, own[i]);
            if (!is_own) fprintf(out, "%s=%s\n", section->keys[k].key, section->keys[k].value);
        }
    }
    cfg_free(cfg);
    if (!fflush(out) && !ferror(out)) return SN_OK;
    return sn_fail(error, SN_IO, "%s: cannot write a temporary file", path);
}

static enum sn_status load_for_batch(const char *cfg, const char *weights, int batch, network **net,
                                     struct sn_error *error)
{
    char path[32];
    FILE *file = tmpfile();
    if (!file) return sn_fail(error, SN_IO, "%s: cannot make a temporary file", cfg);
    enum sn_status status = write_cfg(cfg, batch, file, error);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fileno(file));
    if (!status) *net = load_net(path, weights);
    fclose(file);
    return status;
}

static enum sn_status check_nets(const struct reconstruction_request *request, const network *net,
                                 const network *reference, struct sn_error *error)
{
    if (net->n != reference->n)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected the %d layers of %s, found %d",
                       request->cfg, reference->n, request->reference_cfg, net->n);
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i], *other = &reference->layers[i];
        if (l->inputs != other->inputs || l->outputs != other->outputs)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d: expected %d inputs and %d outputs as in %s, found %d and "
                           "%d",
                           request->cfg, i, other->inputs, other->outputs, request->reference_cfg,
                           l->inputs, l->outputs);
        if (l->dontload || l->dontloadscales)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d [%s] has dontload=1 or dontloadscales=1, so that %s does "
                           "not hold all of it",
                           request->cfg, i, weights_layer_name(l), request->weights);
    }
    return SN_OK;
}

/* ---- Blocks */

/* The first layer whose output layer i takes; i itself where it takes the net's input alone. */
static int first_taken(const network *net, int i)
{
    const layer *l = &net->layers[i];
    int first = i - 1;
    if (l->type == SHORTCUT && l->index < first) first = l->index;
    if (l->type == ROUTE) first = i;
    for (int k = 0; l->type == ROUTE && k < l->n; k++)
        if (l->input_layers[k] < first) first = l->input_layers[k];
    return first;
}

/* The layers that there are before those which only say what the outputs cost. */
static int count_layers(const network *net)
{
    int n = net->n;
    while (n > 1 && net->layers[n - 1].type == COST) n--;
    return n;
}

/* Whether layers from i on take no output from before but that of layer i - 1. */
static int is_border(const network *net, int i)
{
    for (int k = i; k < net->n; k++)
        if (first_taken(net, k) < i - 1) return 0;
    return 1;
}

static int count_structured(const network *net, int first, int end)
{
    int n = 0;
    for (int i = first; i < end; i++) n += structured_matrix(&net->layers[i]) != NULL;
    return n;
}

/* The layer that the first block begins with: the last border before all structured layers. */
static int find_first(const network *net)
{
    int first = 0;
    for (int i = 1; i < count_layers(net) && !count_structured(net, 0, i); i++)
        if (is_border(net, i)) first = i;
    return first;
}

/* The least block from there on; what would be left without a structured layer belongs to it. */
static int find_end(const network *net, int first)
{
    int n = count_layers(net);
    for (int i = first + 1; i < n; i++)
        if (is_border(net, i) && count_structured(net, first, i) >= RECONSTRUCTION_SPAN
            && count_structured(net, i, n))
            return i;
    return n;
}

static enum sn_status find_blocks(struct reconstruction *reconstruction, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    const network *net = reconstruction->net;
    int first = find_first(net), n = count_layers(net);
    if (!count_structured(net, 0, n))
        return sn_fail(error, SN_BAD_INPUT, "%s: expected a structured layer, found none",
                       request->cfg);
    reconstruction->blocks = calloc((size_t)net->n + 1, sizeof *reconstruction->blocks);
    if (!reconstruction->blocks) return sn_no_memory(error, "%d blocks", net->n);
    for (int at = first, end; at < n; at = end) {
        end = find_end(net, at);
        reconstruction->blocks[reconstruction->n_blocks++] = (struct reconstruction_block){
            .first = at, .end = end
        };
    }
    reconstruction->blocks[reconstruction->n_blocks++] = (struct reconstruction_block){
        .first = first, .end = n
    };
    return SN_OK;
}

/* ---- What the first block takes */

static size_t inputs_of(const network *net, int first)
{
    return (size_t)(first ? net->layers[first - 1].outputs : net->inputs);
}

static enum sn_status allocate(struct reconstruction *reconstruction, struct sn_error *error)
{
    const network *net = reconstruction->net;
    int n = reconstruction->request->images->n;
    for (int i = 0; i < reconstruction->n_blocks; i++) {
        const struct reconstruction_block *block = &reconstruction->blocks[i];
        size_t in = inputs_of(net, block->first), out = inputs_of(net, block->end);
        if (in > reconstruction->stride) reconstruction->stride = in;
        if (out > reconstruction->stride) reconstruction->stride = out;
    }
    size_t image = reconstruction->stride * sizeof(float);
    reconstruction->x = calloc((size_t)n, image);
    reconstruction->r = calloc((size_t)n, image);
    reconstruction->order = malloc((size_t)n * sizeof *reconstruction->order);
    if (reconstruction->x && reconstruction->r && reconstruction->order) return SN_OK;
    return sn_no_memory(error, "what blocks take of %d images", n);
}

/* Puts images, which stand behind each other, the stride apart. */
static void spread(float *images, int n, size_t size, size_t stride)
{
    for (size_t i = (size_t)n; i-- > 0;)
        memmove(images + i * stride, images + i * size, size * sizeof *images);
}

static enum sn_status take_inputs(const struct reconstruction *reconstruction, const char *cfg,
                                  const char *weights, float *inputs, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    int first = reconstruction->blocks->first;
    struct features_source source = { .cfg = cfg,
                                      .weights = weights,
                                      .layer = first,
                                      .images = request->images,
                                      .resize = request->resize };
    struct features features;
    network *net = load_net(cfg, weights);
    enum sn_status status = pictures_check(net, cfg, request->resize, error);
    if (status) {
        free_network(net);
        return status;
    }
    size_t size = inputs_of(net, first);
    status = features_open(&features, &source, net, error);
    for (int i = 0, n; i < request->images->n && !status; i += n) {
        n = request->images->n - i < features_block(&features) ? request->images->n - i
                                                               : features_block(&features);
        status = features_inputs(&features, i, n, inputs + (size_t)i * size, error);
        command_progress((double)(i + n) / request->images->n, "images");
    }
    features_close(&features);
    if (!status) spread(inputs, request->images->n, size, reconstruction->stride);
    return status;
}

static enum sn_status take_all_inputs(const struct reconstruction *reconstruction,
                                      struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    enum sn_status status = take_inputs(reconstruction, request->reference_cfg,
                                        request->reference_weights, reconstruction->r, error);
    return status
        ? status
        : take_inputs(reconstruction, request->cfg, request->weights, reconstruction->x, error);
}

static void shuffle(int *numbers, int n, uint64_t *state)
{
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(random_next(state) % ((uint64_t)i + 1)), number = numbers[i];
        numbers[i] = numbers[j];
        numbers[j] = number;
    }
}

/* The images that are held out are spread evenly. */
static enum sn_status split(struct reconstruction *reconstruction, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    int n = request->images->n, n_held = (int)lround(request->holdout * n);
    for (int i = 0; i < n; i++) {
        int is_held = (int)((i + 1.) * n_held / n) > (int)((double)i * n_held / n);
        reconstruction->order[is_held ? n - 1 - reconstruction->n_held++ : reconstruction->n++] = i;
    }
    if (n_held > 0 && reconstruction->n >= request->batch) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "expected at least %d images to train, a batch, and one to hold out, found %d "
                   "and %d",
                   request->batch, reconstruction->n, n_held);
}

enum sn_status reconstruction_open(struct reconstruction *reconstruction,
                                   const struct reconstruction_request *request,
                                   struct sn_error *error)
{
    *reconstruction = (struct reconstruction){ .request = request };
    if (load_for_batch(request->cfg, request->weights, request->batch, &reconstruction->net, error)
        || load_for_batch(request->reference_cfg, request->reference_weights, request->batch,
                          &reconstruction->reference, error)
        || check_nets(request, reconstruction->net, reconstruction->reference, error)
        || find_blocks(reconstruction, error) || allocate(reconstruction, error)
        || split(reconstruction, error) || take_all_inputs(reconstruction, error))
        return error->code;
    return SN_OK;
}

void reconstruction_close(struct reconstruction *reconstruction)
{
    if (reconstruction->net) free_network(reconstruction->net);
    if (reconstruction->reference) free_network(reconstruction->reference);
    free(reconstruction->x);
    free(reconstruction->r);
    free(reconstruction->order);
    free(reconstruction->blocks);
    *reconstruction = (struct reconstruction){ 0 };
}

/* ---- A block */

/* Darknet's layers first to end - 1 of a net, with what it passes them. Its dropout, which would
 * drop in training alone, does nothing. */
static void forward(network *whole, int first, int end)
{
    network net = *whole;
    net.truth = NULL;
    if (first) net.input = net.layers[first - 1].output;
    for (int i = first; i < end; i++) {
        layer l = net.layers[i];
        net.index = i;
        net.train = l.batch_normalize && whole->train;
        if (l.delta) memset(l.delta, 0, (size_t)l.outputs * (size_t)l.batch * sizeof *l.delta);
        if (l.type != DROPOUT) l.forward(l, net);
        net.input = l.output;
    }
}

/* Nothing needs the gradient of what the block takes; layers but structured ones add to it anyway.
 */
static void backward(network *whole, int first, int end)
{
    network net = *whole;
    for (int i = end - 1; i >= first; i--) {
        layer l = net.layers[i];
        net.index = i;
        net.train = l.batch_normalize && whole->train;
        net.input = i ? net.layers[i - 1].output : whole->input;
        net.delta = i && (i > first || !structured_matrix(&l)) ? net.layers[i - 1].delta : NULL;
        if (l.type != DROPOUT) l.backward(l, net);
    }
}

static void update(const network *net, int first, int end, float rate, int step)
{
    update_args a = { .batch = net->batch,
                      .learning_rate = rate,
                      .adam = 1,
                      .B1 = net->B1,
                      .B2 = net->B2,
                      .eps = net->eps,
                      .t = step };
    for (int i = first; i < end; i++)
        if (structured_matrix(&net->layers[i])) net->layers[i].update(net->layers[i], a);
}

/* What the block gives of a batch of images, which the last ones fill up. Returns the outputs. */
static const float *compute(network *net, const struct reconstruction_block *block,
                            const float *images, size_t stride, const int *order, int n)
{
    size_t size = inputs_of(net, block->first);
    float *input = block->first ? net->layers[block->first - 1].output : net->input;
    for (int b = 0; b < net->batch; b++)
        memcpy(input + (size_t)b * size, images + (size_t)order[b < n ? b : n - 1] * stride,
               size * sizeof *input);
    forward(net, block->first, block->end);
    return net->layers[block->end - 1].output;
}

static double squares_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
    return sum;
}

/* delta = target - output, over the targets' root mean square, in the block's last layer: the
 * gradient that Darknet's layers go down by, of half the squares, or of the cross-entropy where the
 * layer is a softmax. */
static void set_delta(const network *net, const struct reconstruction_block *block,
                      const float *targets, size_t stride, const int *order)
{
    const layer *l = &net->layers[block->end - 1];
    size_t n = (size_t)l->outputs;
    double squares = 0;
    for (int b = 0; b < net->batch; b++)
        squares += squares_of(targets + (size_t)order[b] * stride, n);
    float unit = squares > 0 ? (float)sqrt((double)n * net->batch / squares) : 1;
    for (int b = 0; b < net->batch; b++) {
        const float *target = targets + (size_t)order[b] * stride,
                    *output = l->output + (size_t)b * n;
        for (size_t i = 0; i < n; i++) l->delta[(size_t)b * n + i] = unit * (target[i] - output[i]);
    }
}

static void train_batch(struct reconstruction *reconstruction,
                        const struct reconstruction_block *block, int start, float rate, int step)
{
    network *net = reconstruction->net;
    const int *order = reconstruction->order + start;
    compute(net, block, reconstruction->x, reconstruction->stride, order, net->batch);
    set_delta(net, block, reconstruction->r, reconstruction->stride, order);
    backward(net, block->first, block->end);
    update(net, block->first, block->end, rate, step);
}

/* The relative squared error of the held-out images. */
static double measure(const struct reconstruction *reconstruction,
                      const struct reconstruction_block *block)
{
    network *net = reconstruction->net;
    size_t stride = reconstruction->stride, size = inputs_of(net, block->end);
    double error = 0, all = 0;
    for (int at = 0, n; at < reconstruction->n_held; at += n) {
        const int *order = reconstruction->order + reconstruction->n + at;
        n = reconstruction->n_held - at < net->batch ? reconstruction->n_held - at : net->batch;
        const float *found = compute(net, block, reconstruction->x, stride, order, n);
        for (int b = 0; b < n; b++, found += size) {
            const float *target = reconstruction->r + (size_t)order[b] * stride;
            all += squares_of(target, size);
            for (size_t i = 0; i < size; i++) {
                double d = (double)target[i] - (double)found[i];
                error += d * d;
            }
        }
    }
    return all > 0 ? error / all : error;
}

/* ---- Layers as they are trained */

/* How many floats training moves: values, biases, scales of batch normalisation. */
static size_t count_trained(const layer *l)
{
    return structured_matrix(l)->n_values + (size_t)l->out_c * (l->batch_normalize ? 2 : 1);
}

/* Copies them from the layer to kept, or back. Returns the end of kept. */
static float *keep(layer *l, float *kept, int is_back)
{
    size_t n[] = { structured_matrix(l)->n_values, (size_t)l->out_c, (size_t)l->out_c };
    float *parts[] = { l->weights, l->biases, l->scales };
    for (int i = 0; i < (l->batch_normalize ? 3 : 2); kept += n[i++])
        memcpy(is_back ? parts[i] : kept, is_back ? kept : parts[i], n[i] * sizeof *kept);
    if (is_back) round_structured_layer(l);
    return kept;
}

static void keep_block(const network *net, const struct reconstruction_block *block, float *kept,
                       int is_back)
{
    for (int i = block->first; i < block->end; i++)
        if (structured_matrix(&net->layers[i])) kept = keep(&net->layers[i], kept, is_back);
}

/* Moments of zero, and a rate relative to the values. */
static void begin_layer(layer *l)
{
    size_t n = structured_matrix(l)->n_values, n_all = n + 2 * (size_t)l->out_c;
    l->learning_rate_scale = n ? (float)sqrt(squares_of(l->weights, n) / (double)n) : 0;
    memset(l->m, 0, n_all * sizeof *l->m);
    memset(l->v, 0, n_all * sizeof *l->v);
}

/* ---- Training */

static void train(struct reconstruction *reconstruction, const struct reconstruction_block *block,
                  int n_epochs, uint64_t *state)
{
    network *net = reconstruction->net;
    int n_batches = reconstruction->n / net->batch, n_steps = n_epochs * n_batches;
    for (int i = block->first; i < block->end; i++)
        if (structured_matrix(&net->layers[i])) begin_layer(&net->layers[i]);
    for (int step = 0; step < n_steps; step++) {
        double left = 1 - (double)step / n_steps;
        if (step % n_batches == 0) shuffle(reconstruction->order, reconstruction->n, state);
        train_batch(reconstruction, block, step % n_batches * net->batch,
                    (float)(reconstruction->request->rate * left), step + 1);
        command_progress(1 - left, "layers %d to %d", block->first, block->end - 1);
    }
}

static enum sn_status train_block(struct reconstruction *reconstruction,
                                  struct reconstruction_block *block, int n_epochs, uint64_t *state,
                                  struct sn_error *error)
{
    const network *net = reconstruction->net;
    size_t n = 1;
    for (int i = block->first; i < block->end; i++)
        if (structured_matrix(&net->layers[i])) n += count_trained(&net->layers[i]);
    float *kept = malloc(n * sizeof *kept);
    if (!kept) return sn_no_memory(error, "%zu values", n);
    keep_block(net, block, kept, 0);
    block->before = block->after = measure(reconstruction, block);
    train(reconstruction, block, n_epochs, state);
    double after = measure(reconstruction, block);
    if (after < block->before) block->after = after;
    else keep_block(net, block, kept, 1);
    free(kept);
    return SN_OK;
}

/* All images as a net's block gives them, in place of what it takes. */
static void pass(const struct reconstruction *reconstruction, network *net,
                 const struct reconstruction_block *block, float *images)
{
    size_t stride = reconstruction->stride, size = inputs_of(net, block->end);
    int n_all = reconstruction->n + reconstruction->n_held;
    for (int at = 0, n; at < n_all; at += n) {
        const int *order = reconstruction->order + at;
        n = n_all - at < net->batch ? n_all - at : net->batch;
        const float *outputs = compute(net, block, images, stride, order, n);
        for (int b = 0; b < n; b++)
            memcpy(images + (size_t)order[b] * stride, outputs + (size_t)b * size,
                   size * sizeof *images);
    }
}

/* Trains one block, the targets being what it gives in the reference. */
static enum sn_status reconstruct(struct reconstruction *reconstruction,
                                  struct reconstruction_block *block, int n_epochs, uint64_t *state,
                                  struct sn_error *error)
{
    pass(reconstruction, reconstruction->reference, block, reconstruction->r);
    enum sn_status status = train_block(reconstruction, block, n_epochs, state, error);
    if (!status) pass(reconstruction, reconstruction->net, block, reconstruction->x);
    return status;
}

enum sn_status reconstruction_run(struct reconstruction *reconstruction, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    int n = reconstruction->n_blocks - 1;
    uint64_t state = request->seed;
    enum sn_status status = SN_OK;
    reconstruction->net->train = 1;
    for (int i = 0; i < n && !status; i++)
        status = reconstruct(reconstruction, &reconstruction->blocks[i], request->n_epochs, &state,
                             error);
    if (!status) status = take_all_inputs(reconstruction, error);
    if (!status)
        status = reconstruct(reconstruction, &reconstruction->blocks[n], request->n_together,
                             &state, error);
    command_progress(1, " ");
    return status;
}

enum sn_status reconstruction_write(const struct reconstruction *reconstruction, FILE *file,
                                    struct sn_error *error)
{
    const char *path = reconstruction->request->weights;
    char temporary[32];
    FILE *state = tmpfile();
    if (!state) return sn_fail(error, SN_IO, "%s: cannot make a temporary file", path);
    snprintf(temporary, sizeof temporary, "/proc/self/fd/%d", fileno(state));
    load_begin_quiet();
    save_weights(reconstruction->net, temporary);
    load_end_quiet();
    enum sn_status status = copy_file(temporary, file, error);
    fclose(state);
    return status;
}
