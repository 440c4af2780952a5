/* Structured layers with size=1: 1x1 convolutions. */
#include "support.h"

#include <structured_layer.h>

#include <criterion/criterion.h>
#include <math.h>
#include <network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_BATCHES = 20 };

/* A net of three 1x1 convolutions, of which the one at position is structured or not, with keys;
 * one stage is a dense matrix. */
static network *make_net(int position, int structured, int batch_normalize, const char *keys)
{
    char text[2048] = "[net]\nbatch=4\nheight=5\nwidth=3\nchannels=4\n"
                      "learning_rate=0.01\nmomentum=0.9\ndecay=0.001\n";
    for (int i = 0; i < 3; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%s%s\nbatch_normalize=%d\nactivation=leaky\nsize=1\n",
                 structured && i == position ? "[sss]\noutput=6\nstages=1\n"
                                             : "[convolutional]\nfilters=6\nstride=1\npad=0\n",
                 structured && i == position ? keys : "", batch_normalize);
    strcat(text, "[avgpool]\n[softmax]\n");
    return net_from_text(text, 5);
}

/* With one dense stage the layer trains as Darknet's convolution does: the losses of all batches
 * agree to rounding. */
Test(pixelwise, trains_as_a_convolution)
{
    for (int i = 0; i < 6; i++) {
        int position = i % 3, batch_normalize = i / 3;
        float expected[N_BATCHES], found[N_BATCHES];
        network *dense = make_net(position, 0, batch_normalize, ""),
                *sss = make_net(position, 1, batch_normalize, "");
        for (int k = 0; k < 3; k++) {
            const layer *from = &dense->layers[k];
            memcpy(sss->layers[k].weights, from->weights,
                   (size_t)(from->c * from->n) * sizeof(float));
        }
        cr_assert_eq(sss->layers[position].out_w, 3);
        cr_assert_eq(sss->layers[position].outputs, 90);
        train_random(dense, N_BATCHES, 9, expected);
        train_random(sss, N_BATCHES, 9, found);
        for (int b = 0; b < N_BATCHES; b++)
            cr_assert_lt(fabsf(found[b] - expected[b]), 1e-4f * fabsf(expected[b]),
                         "position %d, batch %d: %g, %g", position, b, (double)found[b],
                         (double)expected[b]);
        cr_assert_neq(expected[0], expected[N_BATCHES - 1]);
        net_free(dense);
        net_free(sss);
    }
}

/* A layer of few bits multiplies every pixel by the rounded values: as a convolution with these. */
Test(pixelwise, multiplies_by_values_of_few_bits)
{
    for (int position = 0; position < 3; position++) {
        network *dense = make_net(position, 0, 0, ""), *sss = make_net(position, 1, 0, "bits=3");
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
        net_free(dense);
        net_free(sss);
    }
}

/* Its file holds one bias per channel, and loading gives back what was saved. */
Test(pixelwise, save_and_load)
{
    static const struct {
        const char *keys;
        size_t n_bytes; /* of a 6 x 6 matrix */
    } cases[] = { { "", 4 * 36 }, { "bits=8", 12 + 36 }, { "bits=3\ngroup=16", 8 + 16 } };
    for (int i = 0; i < 6; i++) {
        int batch_normalize = i % 2;
        float losses[N_BATCHES];
        size_t n, n_again;
        char first[256], second[256];
        snprintf(first, sizeof first, "%s", temporary_path("first.weights"));
        snprintf(second, sizeof second, "%s", temporary_path("second.weights"));
        network *net = make_net(1, 1, batch_normalize, cases[i / 2].keys),
                *other = make_net(1, 1, batch_normalize, cases[i / 2].keys);
        train_random(net, N_BATCHES, 3, losses);
        save_weights(net, first);
        load_weights(other, first);
        *other->seen = *net->seen;
        save_weights(other, second);
        char *saved = read_file_bytes(first, &n), *again = read_file_bytes(second, &n_again);
        size_t floats = (size_t)(4 * 6 + 6 * 6 + 3 * 6 + (batch_normalize ? 9 * 6 : 0));
        cr_assert_eq(n, 20 + 4 * floats + cases[i / 2].n_bytes, "%zu bytes", n);
        cr_assert(n == n_again && !memcmp(saved, again, n));
        free(saved);
        free(again);
        net_free(net);
        net_free(other);
    }
}
