/* Tuning of a tail on features: what Darknet's training of the whole net does, step by step. */
#include "support.h"

#include <command.h>
#include <layer_costs.h>
#include <load_net.h>
#include <random.h>
#include <tail.h>
#include <tuning.h>
#include <weights_file.h>

#include <criterion/criterion.h>
#include <math.h>
#include <network.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>

enum { N = 14, BATCH = 4, N_CLASSES = 5, N_EPOCHS = 6 };

/* A net whose first layer stands still, and the same net's files. */
struct example {
    char text[1024], cfg[256], weights[256];
    network *net;
    int first;
    float images[N * 48];
    struct sample_file features;
};

static void write_text(struct example *example, const char *tail, const char *net_keys)
{
    snprintf(example->text, sizeof example->text,
             "[net]\nbatch=%d\nheight=4\nwidth=4\nchannels=3\nlearning_rate=0.05\nmomentum=0.8\n"
             "decay=0.001\npolicy=constant\n%s[convolutional]\nfilters=6\nsize=3\nstride=1\npad=1\n"
             "activation=leaky\nlearning_rate=0\n%s[softmax]\n",
             BATCH, net_keys, tail);
    strcpy(example->cfg, temporary_path("whole.cfg"));
    strcpy(example->weights, temporary_path("whole.weights"));
    write_file(example->cfg, example->text, strlen(example->text));
}

/* Where the first layer of the tail is applied. */
static struct sn_window window_of(const struct example *example)
{
    return layer_matrix(&example->net->layers[example->first]).window;
}

/* Rows of the features: of one image the patches that the first layer of the tail sees. */
static void take_features(struct example *example)
{
    struct sample_file *file = &example->features;
    struct sn_window window = window_of(example);
    int n_places = (int)sn_window_places(&window);
    uint64_t state = 3;
    *file = (struct sample_file){ .n = N * n_places, .n_columns = (int)sn_window_inputs(&window) };
    file->x = calloc((size_t)(file->n * file->n_columns), sizeof *file->x);
    file->labels = calloc((size_t)file->n, sizeof *file->labels);
    for (int i = 0; i < N * 48; i++) example->images[i] = (float)random_uniform(&state, 0, 1);
    for (int i = 0; i < N; i++) {
        memcpy(example->net->input, example->images + i * 48, 48 * sizeof(float));
        network_predict(example->net, example->net->input);
        sn_window_take(&window, example->net->layers[0].output,
                       file->x + i * n_places * file->n_columns);
        for (int p = 0; p < n_places; p++) file->labels[i * n_places + p] = i % N_CLASSES;
    }
}

static void make_example(struct example *example, const char *tail, const char *net_keys)
{
    write_text(example, tail, net_keys);
    example->first = 1;
    example->net = net_from_text(example->text, 5);
    load_begin_quiet();
    save_weights(example->net, example->weights);
    load_end_quiet();
    take_features(example);
}

static void free_example(struct example *example)
{
    free_network(example->net);
    samples_free(&example->features);
}

/* What the whole net is trained on, beside the tail. */
struct twin {
    struct example *example;
    const struct tuning *tuning;
    int n_epochs;
};

/* The epoch's batches, through the whole net. */
static double train_whole(const struct example *example, const int *order)
{
    network *net = example->net;
    double loss = 0;
    int n_batches = N / BATCH;
    for (int i = 0; i < n_batches; i++) {
        memset(net->truth, 0, BATCH * N_CLASSES * sizeof *net->truth);
        for (int b = 0; b < BATCH; b++) {
            int image = order[i * BATCH + b];
            memcpy(net->input + b * 48, example->images + image * 48, 48 * sizeof(float));
            net->truth[b * N_CLASSES + image % N_CLASSES] = 1;
        }
        loss += (double)train_network_datum(net) / BATCH;
    }
    return loss / n_batches;
}

static void follow(void *context, const struct tuning_epoch *epoch)
{
    struct twin *twin = context;
    const network *tail = twin->tuning->tail->net, *whole = twin->example->net;
    if (!epoch->number) return;
    double expected = train_whole(twin->example, twin->tuning->train.input);
    twin->n_epochs++;
    cr_expect_float_eq(epoch->train_loss, expected, 1e-6 * expected,
                       "epoch %d: %.9g, expected %.9g", epoch->number, epoch->train_loss, expected);
    for (int i = 0; i < tail->n; i++) {
        const layer *found = &tail->layers[i], *l = &whole->layers[i + twin->example->first];
        size_t n = weights_layer_words(l).n_words;
        if (!n) continue;
        n -= (size_t)l->out_c;
        cr_expect(!memcmp(found->biases, l->biases, (size_t)l->out_c * sizeof(float)), "epoch %d",
                  epoch->number);
        cr_expect(!memcmp(found->weights, l->weights, n * sizeof(float)), "epoch %d",
                  epoch->number);
    }
}

static void ignore(void *context, const struct tuning_epoch *epoch)
{
    (void)context;
    (void)epoch;
}

static void check_training(const char *tail_text, const char *net_keys, int adam)
{
    struct example example;
    struct sn_error error;
    struct tuning_result result;
    make_example(&example, tail_text, net_keys);
    struct tail_source source = { example.cfg, example.weights, example.net, example.first };
    struct sn_window window = window_of(&example);
    struct tail tail;
    cr_assert_eq(tail_open(&tail, &source, BATCH, adam, &error), SN_OK, "%s", error.message);
    struct tuning tuning = {
        .tail = &tail, .rate = .05, .n_epochs = N_EPOCHS, .patience = N_EPOCHS, .seed = 9
    };
    cr_assert_eq(tuning_take_all(&example.features, &window, &tuning.train, &error), SN_OK);
    cr_assert_eq(tuning_take_all(&example.features, &window, &tuning.held, &error), SN_OK);
    struct twin twin = { &example, &tuning, 0 };
    cr_assert_eq(tuning_run(&tuning, follow, &twin, &result, &error), SN_OK);
    cr_expect_eq(twin.n_epochs, N_EPOCHS);
    cr_expect_lt(result.best.held.loss, result.before.held.loss);
    free(tuning.train.input);
    free(tuning.held.input);
    tail_close(&tail);
    free_example(&example);
}

static const char DENSE_HEAD[] = "[connected]\noutput=5\nactivation=linear\n";
static const char SSS_HEAD[] = "[sss]\noutput=5\nactivation=linear\nstages=2\nstates=2\n";
static const char PSM_HEAD[] = "[psm]\noutput=5\nactivation=linear\nfactors=2\ninner=8\n"
                               "nonzeros=40,200\n";

Test(tuning, trains_as_the_whole_net_does)
{
    check_training(DENSE_HEAD, "", 0);
    check_training(SSS_HEAD, "", 0);
    check_training(PSM_HEAD, "", 0);
}

Test(tuning, trains_by_adam_as_the_whole_net_does)
{
    check_training(SSS_HEAD, "adam=1\n", 1);
    check_training(PSM_HEAD, "adam=1\n", 1);
}

Test(tuning, trains_several_layers_as_the_whole_net_does)
{
    static const char tail[] = "[sss]\noutput=12\nactivation=leaky\nstages=3\nstates=2\n"
                               "[connected]\noutput=12\nactivation=leaky\n[shortcut]\nfrom=1\n"
                               "activation=linear\n[connected]\noutput=5\nactivation=linear\n";
    check_training(tail, "", 0);
}

Test(tuning, trains_a_convolution_as_the_whole_net_does)
{
    static const char pixels[] =
        "[sss]\noutput=5\nsize=1\nactivation=linear\nstages=2\nstates=2\n[avgpool]\n";
    static const char patches[] = "[psm]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=linear\n"
                                  "nonzeros=120\n[avgpool]\n";
    check_training(pixels, "", 0);
    check_training(patches, "", 0);
}

/* At first every step ends in numbers that are not finite; each cut of the rate goes back to what
 * was kept. */
Test(tuning, comes_back_from_a_rate_that_is_too_high)
{
    struct example example;
    struct sn_error error;
    struct tuning_result result;
    make_example(&example, SSS_HEAD, "");
    struct tail_source source = { example.cfg, example.weights, example.net, example.first };
    struct sn_window window = window_of(&example);
    struct tail tail;
    cr_assert_eq(tail_open(&tail, &source, BATCH, 0, &error), SN_OK, "%s", error.message);
    struct tuning tuning = {
        .tail = &tail, .rate = 1e9, .n_epochs = 60, .patience = 1, .n_cuts = 40
    };
    cr_assert_eq(tuning_take_all(&example.features, &window, &tuning.train, &error), SN_OK);
    cr_assert_eq(tuning_take_all(&example.features, &window, &tuning.held, &error), SN_OK);
    cr_assert_eq(tuning_run(&tuning, ignore, NULL, &result, &error), SN_OK);
    cr_expect_lt(result.best.held.loss, .95 * result.before.held.loss, "%g, before %g",
                 result.best.held.loss, result.before.held.loss);
    /* A matrix that was loaded multiplies in its packed form, which rounds otherwise. */
    cr_expect_float_eq(tuning_score(&tuning, &tuning.held, NULL).loss, result.best.held.loss, 1e-6);
    free(tuning.train.input);
    free(tuning.held.input);
    tail_close(&tail);
    free_example(&example);
}

static const struct sn_window vector = { 1, 1, 1, 1, 1, 0, 1, 1 };

/* Features of N images, none of which is read. */
static struct sample_file numbered(int *images, int n)
{
    return (struct sample_file){ .n = n, .n_columns = 1, .images = images };
}

Test(tuning, holds_out_whole_images)
{
    enum { N_IMAGES = 20, VIEWS = 3 };
    int images[N_IMAGES * VIEWS], is_held[N_IMAGES] = { 0 }, count[N_IMAGES] = { 0 };
    struct sn_error error;
    struct tuning_set set, held;
    for (int i = 0; i < N_IMAGES * VIEWS; i++) images[i] = i / VIEWS;
    struct sample_file file = numbered(images, N_IMAGES * VIEWS);
    cr_assert_eq(tuning_take_all(&file, &vector, &set, &error), SN_OK);
    cr_assert_eq(tuning_split(&set, .25, 1, &held, &error), SN_OK);
    cr_expect_eq(held.n, VIEWS * N_IMAGES / 4);
    cr_expect_eq(set.n + held.n, N_IMAGES * VIEWS);
    for (int i = 0; i < held.n; i++) is_held[images[held.input[i]]] = 1;
    for (int i = 0; i < held.n; i++) count[images[held.input[i]]]++;
    for (int i = 0; i < set.n; i++) cr_expect(!is_held[images[set.input[i]]]);
    for (int i = 0; i < N_IMAGES; i++) cr_expect_eq(count[i], is_held[i] ? VIEWS : 0);
    free(set.input);
    free(held.input);
}

Test(tuning, needs_images_on_both_sides)
{
    struct sn_error error;
    struct tuning_set set, held;
    struct sample_file file = numbered(NULL, 2);
    file.x_path = (char *)"f.x.npy";
    cr_assert_eq(tuning_take_all(&file, &vector, &set, &error), SN_OK);
    cr_expect_eq(tuning_split(&set, .1, 1, &held, &error), SN_BAD_INPUT);
    cr_expect_str_eq(error.message,
                     "f.x.npy: expected images to train and images to hold out, found 2 and 0");
    free(set.input);
    free(held.input);
}

Test(tail, refuses_layers_before_it)
{
    struct example example;
    struct sn_error error;
    struct tail tail;
    make_example(&example,
                 "[connected]\noutput=96\nactivation=linear\n[shortcut]\nfrom=0\n"
                 "activation=linear\n[connected]\noutput=5\nactivation=linear\n",
                 "");
    struct tail_source source = { example.cfg, example.weights, example.net, 1 };
    cr_expect_eq(tail_open(&tail, &source, BATCH, 0, &error), SN_BAD_INPUT);
    cr_expect(strstr(error.message,
                     "[shortcut] from: expected layers from the features' layer 1 "
                     "on, found layer 0"),
              "%s", error.message);
    free_example(&example);
}

/* The bytes of the whole file but for those of the tail, which are the kept ones. */
Test(tail, writes_every_other_byte_as_it_was)
{
    struct example example;
    struct sn_error error;
    struct tail tail;
    size_t n_before, n_after;
    make_example(&example, SSS_HEAD, "");
    struct tail_source source = { example.cfg, example.weights, example.net, 1 };
    cr_assert_eq(tail_open(&tail, &source, BATCH, 0, &error), SN_OK);
    tail.net->layers[0].biases[0] = 7;
    cr_assert_eq(tail_keep(&tail, &error), SN_OK);
    tail.net->layers[0].biases[0] = 8;
    tail_restore(&tail);
    cr_expect_eq(tail.net->layers[0].biases[0], 7);
    char path[256];
    strcpy(path, temporary_path("written.weights"));
    FILE *file = fopen(path, "wb");
    cr_assert_eq(tail_write(&tail, file, &error), SN_OK, "%s", error.message);
    fclose(file);
    char *before = read_file_bytes(example.weights, &n_before),
         *after = read_file_bytes(path, &n_after);
    cr_assert_eq(n_before, n_after);
    size_t at = tail.n_before;
    cr_expect(!memcmp(before, after, at));
    cr_expect_eq(*(float *)(after + at), 7);
    cr_expect(!memcmp(before + at + 4, after + at + 4, n_after - at - 4));
    free(before);
    free(after);
    tail_close(&tail);
    free_example(&example);
}
