/* The Darknet layer: bit-identical to [connected] where it is the same mathematics, whatever
 * surrounds it. */
#include "support.h"

#include <panels.h>
#include <structured_layer.h>

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N_BATCHES = 20 };

static const char *const activations[] = { "logistic", "loggy", "relu",    "elu",   "selu",
                                           "relie",    "plse",  "hardtan", "lhtan", "linear",
                                           "ramp",     "leaky", "tanh",    "stair" };

/* A net of three matrix layers and a softmax, in which the layers of mask are of the given type. */
static void write_net(char *text, size_t size, int mask, const char *type, const char *keys,
                      const char *activation, int batch_normalize, const char *net_keys)
{
    static const int outputs[] = { 24, 17, 10 };
    int n = snprintf(
        text, size,
        "[net]\nbatch=8\nsubdivisions=2\nheight=4\nwidth=4\nchannels=3\nlearning_rate=0.05\n"
        "momentum=0.9\ndecay=0.001\npolicy=steps\nsteps=6\nscales=.5\n%s",
        net_keys);
    for (int i = 0; i < 3; i++) {
        int ours = mask >> i & 1;
        n += snprintf(text + n, size - (size_t)n,
                      "[%s]\noutput=%d\nactivation=%s\nbatch_normalize=%d\n%s",
                      ours ? type : "connected", outputs[i], i < 2 ? activation : "linear",
                      batch_normalize && i < 2, ours ? keys : "");
    }
    snprintf(text + n, size - (size_t)n, "[softmax]\n");
}

static void losses_of(const char *text, float *losses)
{
    network *net = net_from_text(text, 7);
    train_random(net, N_BATCHES, 11, losses);
    free_network(net);
}

Test(layer, one_dense_sss_stage_is_bit_identical_to_connected)
{
    char text[2048];
    float expected[N_BATCHES], found[N_BATCHES];
    for (size_t a = 0; a < sizeof activations / sizeof *activations; a++)
        for (int batch_normalize = 0; batch_normalize < 2; batch_normalize++) {
            write_net(text, sizeof text, 0, "connected", "", activations[a], batch_normalize, "");
            losses_of(text, expected);
            for (int mask = 1; mask < 8;
                 mask++) { /* First, middle and last position, and all their mixtures. */
                write_net(text, sizeof text, mask, "sss", "stages=1\n", activations[a],
                          batch_normalize, "");
                losses_of(text, found);
                cr_assert(!memcmp(expected, found, sizeof found),
                          "%s, batch_normalize=%d, mask %d: %g, expected %g", activations[a],
                          batch_normalize, mask, found[N_BATCHES - 1], expected[N_BATCHES - 1]);
            }
        }
}

Test(layer, one_full_psm_factor_agrees_with_connected)
{
    static const struct {
        int mask;
        const char *keys;
    } cases[] = { { 1, "factors=1\nnonzeros=1152\n" },
                  { 2, "factors=1\nnonzeros=408\n" },
                  { 4, "factors=1\nnonzeros=170\n" } };
    char text[2048];
    float expected[N_BATCHES], found[N_BATCHES];
    for (int i = 0; i < 3; i++) {
        write_net(text, sizeof text, 0, "connected", "", "leaky", 0, "");
        losses_of(text, expected);
        write_net(text, sizeof text, cases[i].mask, "psm", cases[i].keys, "leaky", 0, "");
        losses_of(text, found);
        for (int k = 0; k < N_BATCHES;
             k++) /* Sums are formed in another order; twenty updates amplify that little. */
            cr_assert_float_eq(found[k], expected[k], 1e-5 * fabs(expected[k]),
                               "mask %d, batch %d: %.9g, expected %.9g", cases[i].mask, k, found[k],
                               expected[k]);
    }
}

Test(layer, a_frozen_layer_keeps_its_values)
{
    char text[2048];
    float losses[N_BATCHES];
    write_net(text, sizeof text, 2, "sss", "stages=3\nstates=2\nlearning_rate=0\n", "leaky", 0, "");
    network *net = net_from_text(text, 3);
    const layer *l = &net->layers[1];
    size_t bytes = structured_matrix(l)->n_values * sizeof(float);
    float *before = malloc(bytes);
    memcpy(before, l->weights, bytes);
    train_random(net, N_BATCHES, 5, losses);
    cr_assert(!memcmp(before, l->weights, bytes));
    free(before);
    free_network(net);
}

/* x after one step of Adam on gradient g, written down from Kingma and Ba's algorithm 1 in double.
 */
static double adam_step(double x, double g, double *m, double *v, int t, double rate)
{
    *m = .9 * *m + .1 * g;
    *v = .999 * *v + .001 * g * g;
    return x + rate * (*m / (1 - pow(.9, t))) / (sqrt(*v / (1 - pow(.999, t))) + 1e-7);
}

Test(layer, adam_follows_the_paper_on_the_cpu)
{
    char text[2048];
    write_net(text, sizeof text, 2, "psm", "factors=2\ninner=9\nnonzeros=60,80\n", "leaky", 1,
              "adam=1\n");
    network *net = net_from_text(text, 3);
    layer l = net->layers[1];
    update_args a = { .batch = 8,
                      .learning_rate = .01f,
                      .decay = .001f,
                      .adam = 1,
                      .B1 = .9f,
                      .B2 = .999f,
                      .eps = 1e-7f };
    uint64_t seed = 1;
    float *arrays[] = { l.weights, l.biases, l.scales },
          *updates[] = { l.weight_updates, l.bias_updates, l.scale_updates };
    double m[3] = { 0 }, v[3] = { 0 }, expected[3];
    for (int k = 0; k < 3; k++) expected[k] = arrays[k][5];
    for (a.t = 1; a.t <= 30; a.t++) {
        for (int k = 0; k < 3; k++) {
            double g = random_uniform(&seed, -3, 4);
            updates[k][5] = (float)g;
            expected[k] = adam_step(expected[k], g - a.decay * 8 * expected[k], &m[k], &v[k], a.t,
                                    .01);
        }
        update_structured_layer(l, a);
        for (int k = 0; k < 3; k++) {
            cr_assert_float_eq(arrays[k][5], expected[k], 1e-5, "step %d, array %d", a.t,
                               k); /* float against double */
            cr_assert_eq(updates[k][5], 0);
        }
    }
    free_network(net);
}

Test(layer, training_lowers_the_loss_with_every_family_and_optimiser)
{
    static const struct {
        const char *type, *keys;
    } cases[] = { { "sss", "stages=4\nstates=3\n" },
                  { "psm", "factors=1\nnonzeros=80\n" },
                  { "psm", "factors=3\ninner=12,12\nnonzeros=60,60,60\n" } };
    static const char *const optimisers[] = { "", "adam=1\nlearning_rate=0.01\n" };
    char text[2048];
    for (int i = 0; i < 6; i++) {
        write_net(text, sizeof text, 7, cases[i / 2].type, cases[i / 2].keys, "leaky", 1,
                  optimisers[i % 2]);
        network *net = net_from_text(text, 3);
        float first = 0, last = 0;
        for (int epoch = 0; epoch < 60; epoch++) {
            float losses[4];
            train_random(
                net, 4, 5,
                losses); /* The same four batches again and again can be learnt by heart. */
            last = losses[0] + losses[1] + losses[2] + losses[3];
            if (!epoch) first = last;
        }
        cr_assert_lt(last, first / 2, "%s %s: %g after %g", cases[i / 2].type, optimisers[i % 2],
                     last, first);
        free_network(net);
    }
}

/* A layer large enough for parts, trained with so many threads: its words after two batches. */
static float *words_after(const char *section, int n_threads, int *n_words)
{
    char text[1024];
    float losses[2];
    snprintf(text, sizeof text,
             "[net]\nbatch=200\nsubdivisions=1\ninputs=300\nlearning_rate=0.05\nmomentum=0.9\n"
             "decay=0.001\npolicy=constant\n[connected]\noutput=400\nactivation=leaky\n%s"
             "activation=linear\n[softmax]\n",
             section);
    sn_threads_set(n_threads);
    network *net = net_from_text(text, 7);
    train_random(net, 2, 11, losses);
    *n_words = (int)structured_matrix(&net->layers[1])->n_words;
    float *words = malloc((size_t)*n_words * sizeof *words);
    memcpy(words, net->layers[1].weights, (size_t)*n_words * sizeof *words);
    free_network(net);
    return words;
}

Test(layer, the_number_of_threads_changes_nothing)
{
    static const char *const sections[] = { "[sss]\noutput=300\nstages=4\nstates=40\n",
                                            "[psm]\noutput=300\nnonzeros=60000\n" };
    for (int i = 0; i < 2; i++) {
        int n, m;
        float *one = words_after(sections[i], 1, &n), *three = words_after(sections[i], 3, &m);
        cr_assert_eq(n, m);
        cr_assert(!memcmp(one, three, (size_t)n * sizeof *one), "%s", sections[i]);
        free(one), free(three);
    }
}

/* The parts of a large batch together do what the family does with all of it. */
Test(layer, parts_add_up)
{
    network *net = net_from_text("[net]\nbatch=200\nsubdivisions=1\ninputs=400\n[psm]\noutput=300\n"
                                 "nonzeros=60000\nactivation=linear\n[softmax]\n",
                                 7);
    layer *l = &net->layers[0];
    const struct sn_matrix *matrix = structured_matrix(l);
    size_t batch = 200, m = 300, n = 400;
    uint64_t seed = 3;
    float *x = malloc(batch * n * sizeof *x), *y = calloc(batch * m, sizeof *y),
          *dx = calloc(batch * n, sizeof *dx), *found = calloc(batch * n, sizeof *found),
          *dvalues = calloc(matrix->n_values, sizeof *dvalues),
          *states = malloc(batch * matrix->n_states * sizeof *states),
          *dstates = malloc(batch * matrix->n_states * sizeof *dstates);
    for (size_t i = 0; i < batch * n; i++) x[i] = (float)random_uniform(&seed, -1, 1);
    network part = *net;
    part.input = x;
    part.delta = found;
    part.train = 1;
    l->forward(*l, part);
    for (size_t i = 0; i < batch * m; i++) l->delta[i] = (float)random_uniform(&seed, -1, 1);
    l->backward(*l, part);
    sn_multiply(matrix, l->weights, (int)batch, x, y, states);
    sn_gradient(matrix, l->weights, (int)batch, x, states, l->delta, dvalues, dx, dstates);
    for (size_t i = 0; i < batch * m; i++) cr_assert_float_eq(l->output[i], y[i], 1e-4);
    for (size_t i = 0; i < batch * n; i++) cr_assert_float_eq(found[i], dx[i], 1e-4);
    for (size_t i = 0; i < matrix->n_values; i++)
        cr_assert_float_eq(l->weight_updates[i], dvalues[i], 1e-3);
    free(x), free(y), free(dx), free(found), free(dvalues), free(states), free(dstates);
    free_network(net);
}
