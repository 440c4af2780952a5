/* Structured layers that are convolutions, against those of Darknet. */
#include "support.h"

#include <structured_layer.h>

#include <criterion/criterion.h>
#include <math.h>
#include <network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_BATCHES = 20 };

static const char one[] = "size=1\nstride=1\npad=0\n", three[] = "size=3\nstride=1\npad=1\n",
                  halved[] = "size=3\nstride=2\npadding=1\n",
                  two[] = "size=2\nstride=1\npadding=1\ngroups=1\n";
static const char *const windows[] = { one, three, halved, two };
enum { N_WINDOWS = sizeof windows / sizeof *windows };

/* A net of three convolutions with that window, of which the one at position is structured or not,
 * with keys; one stage is a dense matrix. */
static network *make_net(const char *window, int position, int structured, int batch_normalize,
                         const char *keys)
{
    char text[2048] = "[net]\nbatch=4\nheight=5\nwidth=3\nchannels=4\n"
                      "learning_rate=0.01\nmomentum=0.9\ndecay=0.001\n";
    for (int i = 0; i < 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "[%s]\nfilters=6\n%s%s\nbatch_normalize=%d\nactivation=leaky\n",
                 structured && i == position ? "sss" : "convolutional", window,
                 structured && i == position ? keys : "", batch_normalize);
    strcat(text, "[avgpool]\n[softmax]\n");
    return net_from_text(text, 5);
}

/* With one dense stage the layer trains as Darknet's convolution does: the losses of all batches
 * agree to rounding. */
static void check_training(const char *window, int position, int batch_normalize)
{
    float expected[N_BATCHES], found[N_BATCHES];
    network *dense = make_net(window, position, 0, batch_normalize, ""),
            *sss = make_net(window, position, 1, batch_normalize, "stages=1");
    for (int k = 0; k < 3; k++) {
        const layer *from = &dense->layers[k], *to = &sss->layers[k];
        memcpy(to->weights, from->weights, (size_t)from->nweights * sizeof(float));
        cr_assert(to->out_w == from->out_w && to->out_h == from->out_h && to->out_c == 6);
        cr_assert_eq(to->outputs, from->outputs);
        cr_assert_eq(to->inputs, from->inputs);
    }
    train_random(dense, N_BATCHES, 9, expected);
    train_random(sss, N_BATCHES, 9, found);
    for (int b = 0; b < N_BATCHES; b++)
        cr_assert_lt(fabsf(found[b] - expected[b]), 1e-4f * fabsf(expected[b]),
                     "%s position %d, batch %d: %g, %g", window, position, b, (double)found[b],
                     (double)expected[b]);
    cr_assert_neq(expected[0], expected[N_BATCHES - 1]);
    free_network(dense);
    free_network(sss);
}

Test(pixelwise, trains_as_a_convolution)
{
    for (int w = 0; w < N_WINDOWS; w++)
        for (int i = 0; i < 6; i++) check_training(windows[w], i % 3, i / 3);
}

/* A layer of few bits multiplies every pixel by the rounded values: as a convolution with these. */
Test(pixelwise, multiplies_by_values_of_few_bits)
{
    for (int position = 0; position < 3; position++) {
        network *dense = make_net(one, position, 0, 0, ""),
                *sss = make_net(one, position, 1, 0, "stages=1\nbits=3");
        for (int step = 0; step < 5; step++) {
            float expected, found;
            for (int k = 0; k < 3; k++) {
                const layer *from = &sss->layers[k], *to = &dense->layers[k];
                memcpy(to->weights, k == position ? from->binary_weights : from->weights,
                       (size_t)(to->c * to->n) * sizeof(float));
                memcpy(to->biases, from->biases, 6 * sizeof(float));
            }
            train_random(dense, 1, 9 + (uint64_t)step, &expected);
            train_random(sss, 1, 9 + (uint64_t)step, &found);
            /* Sums in another order. */
            cr_assert_lt(fabsf(found - expected), 1e-5f * fabsf(expected), "position %d: %g, %g",
                         position, (double)found, (double)expected);
        }
        free_network(dense);
        free_network(sss);
    }
}

/* Its file holds one bias per channel, and loading gives back what was saved. */
static void check_file(const char *window, int batch_normalize, const char *keys, size_t n_bytes)
{
    float losses[N_BATCHES];
    size_t n, n_again;
    char first[256], second[256];
    snprintf(first, sizeof first, "%s", temporary_path("first.weights"));
    snprintf(second, sizeof second, "%s", temporary_path("second.weights"));
    network *net = make_net(window, 1, 1, batch_normalize, keys),
            *other = make_net(window, 1, 1, batch_normalize, keys);
    train_random(net, N_BATCHES, 3, losses);
    save_weights(net, first);
    load_weights(other, first);
    *other->seen = *net->seen;
    cr_assert_eq(other->layers[1].size, net->layers[1].size);
    save_weights(other, second);
    char *saved = read_file_bytes(first, &n), *again = read_file_bytes(second, &n_again);
    size_t floats = (size_t)(3 * 6 + net->layers[0].nweights + net->layers[2].nweights
                             + (batch_normalize ? 9 * 6 : 0));
    cr_assert_eq(n, 20 + 4 * floats + n_bytes, "%zu bytes", n);
    cr_assert(n == n_again && !memcmp(saved, again, n));
    free(saved);
    free(again);
    free_network(net);
    free_network(other);
}

Test(pixelwise, save_and_load)
{
    for (int batch_normalize = 0; batch_normalize < 2; batch_normalize++) {
        check_file(one, batch_normalize, "stages=1", 4 * 36);
        check_file(one, batch_normalize, "stages=1\nbits=8", 12 + 36);
        check_file(one, batch_normalize, "stages=1\nbits=3\ngroup=16", 8 + 16);
        check_file(halved, batch_normalize, "stages=1", 4 * 6 * 54);
        check_file(three, batch_normalize, "stages=1\nbits=8", 12 + 6 * 54);
    }
}
