/* Statistics of batch normalisation taken again: they are what the net gives, the layers before
 * being normalised by theirs. */
#include "support.h"

#include <calibration.h>
#include <load_net.h>
#include <panels.h>
#include <random.h>
#include <weights_file.h>

#include <criterion/criterion.h>
#include <math.h>
#include <network.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 120, PIXELS = 36 };

static const char text[] =
    "[net]\nbatch=3\nheight=6\nwidth=6\nchannels=3\n"
    "[convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\nbatch_normalize=1\n"
    "activation=leaky\n"
    "[dropout]\nprobability=.5\n"
    "[psm]\noutput=6\nsize=1\nfactors=1\nnonzeros=12\nbatch_normalize=1\n"
    "bits=4\nactivation=leaky\n"
    "[convolutional]\nfilters=2\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
    "[connected]\noutput=5\nbatch_normalize=1\nactivation=linear\n[softmax]\n";

struct example {
    char cfg[256], weights[256], paths[MOST][256];
    char *line[MOST];
    struct lines images;
    struct features features;
};

/* A picture of random pixels, the more of red the later it comes. */
static void write_picture(struct example *example, int i, uint64_t *state)
{
    unsigned char ppm[11 + 3 * PIXELS] = "P6\n6 6\n255\n";
    char name[32];
    for (int p = 0; p < 3 * PIXELS; p++)
        ppm[11 + p] = (unsigned char)random_int(state, p % 3 ? 0 : i, p % 3 ? 255 : 100 + i);
    snprintf(name, sizeof name, "%d.ppm", i);
    strcpy(example->paths[i], temporary_path(name));
    write_file(example->paths[i], ppm, sizeof ppm);
    example->line[i] = example->paths[i];
}

static void open_example(struct example *example, int n_images, int n_threads)
{
    uint64_t state = 7;
    network *net = net_from_text(text, 3);
    struct sn_error error;
    sn_threads_set(n_threads);
    strcpy(example->cfg, temporary_path("net.cfg"));
    strcpy(example->weights, temporary_path("net.weights"));
    write_file(example->cfg, text, strlen(text));
    save_weights(net, example->weights);
    free_network(net);
    for (int i = 0; i < n_images; i++) write_picture(example, i, &state);
    example->images = (struct lines){ example->line, n_images };
    struct features_source source = { .cfg = example->cfg,
                                      .weights = example->weights,
                                      .images = &example->images };
    net = load_net(example->cfg, example->weights);
    cr_assert(!features_open(&example->features, &source, net, &error), "%s", error.message);
}

static struct calibration calibrate(struct example *example)
{
    struct calibration calibration;
    struct sn_error error;
    cr_assert(!calibration_run(&example->features, &calibration, &error), "%s", error.message);
    return calibration;
}

/* The largest difference between the statistics of a layer and those of what it normalises, image
 * by image, in deviations. */
static double difference(const struct example *example, int number)
{
    network *net = example->features.workers->net;
    const layer *l = &net->layers[number];
    int n_pixels = l->out_w * l->out_h, n = example->images.n * n_pixels;
    double *sums = calloc(2 * (size_t)l->out_c, sizeof *sums), most = 0;
    for (int i = 0; i < example->images.n; i++) {
        struct sn_error error;
        int count;
        set_batch_network(net, 1);
        cr_assert(!pictures_load(net, &example->images, i, 0, &count, &error));
        network_predict(net, net->input);
        for (int j = 0; j < l->out_c * n_pixels; j++) {
            sums[2 * (j / n_pixels)] += (double)l->x[j];
            sums[2 * (j / n_pixels) + 1] += (double)l->x[j] * (double)l->x[j];
        }
    }
    for (int f = 0; f < l->out_c; f++) {
        double mean = sums[2 * f] / n,
               variance = (sums[2 * f + 1] - n * mean * mean) / (n - 1) + 1e-5;
        most = fmax(most, fabs(mean - (double)l->rolling_mean[f]) / sqrt(variance));
        most = fmax(most, fabs(1 - sqrt((double)l->rolling_variance[f] / variance)));
    }
    set_batch_network(net, example->features.batch);
    free(sums);
    return most;
}

static const int normalised[] = { 0, 2, 4 };

/* Sums of floats differ by 1e-5. The second time nothing is left to change. */
Test(calibration, statistics_are_those_of_the_images)
{
    static struct example example;
    open_example(&example, MOST, 1);
    struct calibration found = calibrate(&example);
    cr_assert_eq(found.n_layers, 3);
    cr_assert_eq(found.n_channels, 4 + 6 + 5);
    cr_assert_gt(found.change, .1);
    for (int k = 0; k < 3; k++) cr_assert_lt(difference(&example, normalised[k]), 1e-5);
    found = calibrate(&example);
    cr_assert_lt(found.change, 1e-4);
    features_close(&example.features);
}

/* The file with the statistics that the net in memory has. */
static char *written(const struct example *example, size_t *n_bytes)
{
    struct sn_error error;
    char *bytes;
    FILE *file = open_memstream(&bytes, n_bytes);
    cr_assert(!calibration_write(example->weights, example->features.workers->net, file, &error),
              "%s", error.message);
    cr_assert(!fclose(file));
    return bytes;
}

/* A channel of no weights stays as quiet as it is. */
Test(calibration, constant_channels_are_not_amplified)
{
    static struct example example;
    open_example(&example, 20, 1);
    network *net = example.features.workers->net;
    const layer *l = &net->layers[0];
    for (int i = 0; i < l->nweights / l->n; i++) l->weights[i] *= 1e-6f;
    calibrate(&example);
    network_predict(net, net->input);
    for (int i = 0; i < PIXELS; i++) cr_assert_lt(fabsf(l->output[i] - l->biases[0]), 1e-3f);
    features_close(&example.features);
}

Test(calibration, threads_change_no_bit)
{
    static struct example one, three;
    size_t n_one, n_three;
    open_example(&one, 50, 1);
    calibrate(&one);
    open_example(&three, 50, 3);
    calibrate(&three);
    char *a = written(&one, &n_one), *b = written(&three, &n_three);
    cr_assert_eq(n_one, n_three);
    cr_assert(!memcmp(a, b, n_one));
    free(a);
    free(b);
    features_close(&one.features);
    features_close(&three.features);
}

Test(calibration, other_bytes_stay)
{
    static struct example example;
    size_t n_before, n_after, n_changed = 0;
    open_example(&example, 10, 1);
    calibrate(&example);
    char *after = written(&example, &n_after),
         *before = read_file_bytes(example.weights, &n_before);
    cr_assert_eq(n_before, n_after);
    for (size_t i = 0; i < n_after; i += 4) n_changed += memcmp(before + i, after + i, 4) != 0;
    cr_assert_eq(n_changed, 2 * (4 + 6 + 5));
    write_file(example.weights, after, n_after);
    network *net = load_net(example.cfg, example.weights);
    for (int k = 0; k < 3; k++) {
        const layer *l = &net->layers[normalised[k]],
                    *expected = &example.features.workers->net->layers[normalised[k]];
        size_t n = (size_t)l->out_c * sizeof(float);
        cr_assert(!memcmp(l->rolling_mean, expected->rolling_mean, n));
        cr_assert(!memcmp(l->rolling_variance, expected->rolling_variance, n));
    }
    free_network(net);
    free(after);
    free(before);
    features_close(&example.features);
}

Test(calibration, one_image_has_no_variance_of_a_vector)
{
    static struct example example;
    struct calibration calibration;
    struct sn_error error;
    open_example(&example, 1, 1);
    cr_assert_eq(calibration_run(&example.features, &calibration, &error), SN_BAD_INPUT);
    cr_assert(strstr(error.message, "layer 4: expected at least 2 images, found 1"), "%s",
              error.message);
    features_close(&example.features);
}
