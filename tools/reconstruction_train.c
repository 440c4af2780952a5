#include "reconstruction.h"

#include "command.h"
#include "random.h"

#include <structured_layer.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

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
    size_t size = reconstruction_width(net, block->first);
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
    size_t stride = reconstruction->stride, size = reconstruction_width(net, block->end);
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
    const size_t n[] = { structured_matrix(l)->n_values, (size_t)l->out_c, (size_t)l->out_c };
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
        if (step % n_batches == 0) random_shuffle(reconstruction->order, reconstruction->n, state);
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
    size_t stride = reconstruction->stride, size = reconstruction_width(net, block->end);
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
    if (!status) status = reconstruction_inputs(reconstruction, error);
    if (!status)
        status = reconstruct(reconstruction, &reconstruction->blocks[n], request->n_together,
                             &state, error);
    command_progress(1, " ");
    return status;
}
