/* Structured convolutions of every family, value size, index and block, against the definition:
 * y[f][i][j] = sum over c, ky, kx of W[f][(c, ky, kx)] x[c][i stride + ky - pad][j stride + kx -
 * pad]. */
#include "support.h"

#include <structured_layer.h>

#include <criterion/criterion.h>
#include <math.h>
#include <network.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILTERS = 12, CHANNELS = 3, HEIGHT = 9, WIDTH = 22, BATCH = 2, MOST_PLACES = 320 };

static const char *const windows[] = { "size=1", "size=3\npad=1", "size=3\nstride=2\npad=1",
                                       "size=5\nstride=3\npadding=4", "size=2\nstride=3" };
enum { N_WINDOWS = sizeof windows / sizeof *windows };

/* What a section holds beside its window, once the inputs are 3, 27, 75 or 12; %d is a number of
 * entries, a multiple of 8 up to a fifth of them. */
static const char *const families[] = {
    "[sss]\nstages=1\nbits=8",
    "[sss]\nstages=3\nstates=2\norder=both",
    "[sss]\nstages=2\nstates=1\nbits=4\norder=inputs",
    "[psm]\nnonzeros=%d",
    "[psm]\nnonzeros=%d\nindex=8\nbits=8\norder=1",
    "[psm]\nnonzeros=%d\nindex=1\nbits=3",
    "[psm]\nnonzeros=%d\nblock=4\nbits=2\ngroup=8",
    "[psm]\nnonzeros=%d\nblock=8\nindex=16",
    "[psm]\nfactors=2\ninner=10\nnonzeros=40,%d",
    "[toy]",
    "[psm]\nfactors=3\ninner=16,8\nnonzeros=64,64,%d\nblock=8\nbits=1",
};
enum { N_FAMILIES = sizeof families / sizeof *families };

static int inputs_of(const char *window)
{
    int size = window[strlen("size=")] - '0';
    return CHANNELS * size * size;
}

/* A net of one layer, linear and without biases. */
static network *make_net(const char *window, const char *family)
{
    char section[256], text[512];
    int nonzeros = (FILTERS * inputs_of(window) / 3 + 7) / 8 * 8;
    snprintf(section, sizeof section, family, nonzeros < 24 ? nonzeros : nonzeros / 2 / 8 * 8);
    snprintf(text, sizeof text,
             "[net]\nbatch=%d\nheight=%d\nwidth=%d\nchannels=%d\n%s\nfilters=%d\n%s\n"
             "activation=linear\n",
             BATCH, HEIGHT, WIDTH, CHANNELS, section, FILTERS, window);
    return net_from_text(text, 7);
}

static const float *multiplied(const layer *l) { return structured_multiplied(l); }

/* The pixel that tap k of the patch at place p sees; NULL outside the image. */
static const float *pixel_of(const layer *l, const float *image, int p, int k)
{
    int c = k / (l->size * l->size), y = p / l->out_w * l->stride + k / l->size % l->size - l->pad,
        x = p % l->out_w * l->stride + k % l->size - l->pad;
    if (y < 0 || y >= HEIGHT || x < 0 || x >= WIDTH) return NULL;
    return image + (c * HEIGHT + y) * WIDTH + x;
}

/* The outputs for one image, and the sums of their terms' magnitudes, in double. */
static void convolve(const layer *l, const float *dense, const float *image, double *y,
                     double *magnitude)
{
    int n = structured_matrix(l)->n_inputs, places = l->out_w * l->out_h;
    for (int f = 0; f < FILTERS; f++)
        for (int p = 0; p < places; p++) {
            double sum = 0, sizes = 0;
            for (int k = 0; k < n; k++) {
                const float *x = pixel_of(l, image, p, k);
                double term = x ? (double)dense[f * n + k] * (double)*x : 0;
                sum += term;
                sizes += fabs(term);
            }
            y[f * places + p] = sum;
            magnitude[f * places + p] = sizes;
        }
}

static void fill(uint64_t *seed, float *x, int n)
{
    for (int i = 0; i < n; i++) x[i] = (float)random_uniform(seed, -1, 1);
}

static void check_outputs(const char *window, const char *family)
{
    uint64_t seed = 11;
    network *net = make_net(window, family);
    const layer *l = &net->layers[0];
    const struct sn_matrix *matrix = structured_matrix(l);
    static double y[FILTERS * MOST_PLACES], magnitude[FILTERS * MOST_PLACES];
    float *dense = malloc((size_t)(matrix->n_outputs * matrix->n_inputs) * sizeof *dense);
    cr_assert_leq(l->out_w * l->out_h, MOST_PLACES);
    cr_assert(!sn_dense(matrix, multiplied(l), dense, NULL));
    fill(&seed, net->input, BATCH * net->inputs);
    for (int train = 0; train < 2; train++) {
        net->train = train;
        forward_network(net);
        for (int b = 0; b < BATCH; b++) {
            convolve(l, dense, net->input + b * net->inputs, y, magnitude);
            for (int i = 0; i < l->outputs; i++)
                cr_assert_float_eq((double)l->output[b * l->outputs + i], y[i],
                                   1e-5 * magnitude[i] + 1e-6, "%s, %s: output %d: %g, %g", window,
                                   family, i, (double)l->output[b * l->outputs + i], y[i]);
        }
    }
    free(dense);
    free_network(net);
}

Test(convolution, equals_that_of_the_matrix)
{
    for (int w = 0; w < N_WINDOWS; w++)
        for (int f = 0; f < N_FAMILIES; f++) check_outputs(windows[w], families[f]);
}

/* L = sum of c y over all outputs. */
static double loss(network *net, const float *c)
{
    const layer *l = &net->layers[0];
    double sum = 0;
    forward_network(net);
    for (int i = 0; i < BATCH * l->outputs; i++) sum += (double)c[i] * (double)l->output[i];
    return sum;
}

/* (L(x + h) - L(x - h)) / 2h by one number, which is a whole vector's: L is smooth, and linear in
 * each number of a matrix and of an image. */
static double difference(network *net, const float *c, float *number)
{
    const double h = .25;
    float kept = *number;
    *number = kept + (float)h;
    double above = loss(net, c);
    *number = kept - (float)h;
    double below = loss(net, c);
    *number = kept;
    return (above - below) / (2 * h);
}

/* Some of the numbers against what backward gave; it adds to what there is, which was 1. */
static void check_numbers(network *net, const float *c, float *numbers, const float *gradient,
                          int n, const char *what)
{
    for (int i = 0; i < n; i += n / 40 + 1) {
        double expected = difference(net, c, numbers + i), found = (double)gradient[i] - 1;
        cr_assert_float_eq(found, expected, 2e-4 * (1 + fabs(expected)), "%s %d: %g, %g", what, i,
                           found, expected);
    }
}

static void check_gradients(const char *window, const char *family)
{
    uint64_t seed = 12;
    network *net = make_net(window, family);
    layer *l = &net->layers[0];
    int n_values = (int)structured_matrix(l)->n_values, n_inputs = BATCH * net->inputs;
    float *c = malloc((size_t)(BATCH * l->outputs) * sizeof *c),
          *dx = malloc((size_t)n_inputs * sizeof *dx);
    fill(&seed, net->input, n_inputs);
    fill(&seed, c, BATCH * l->outputs);
    net->train = 1;
    forward_network(net);
    memcpy(l->delta, c, (size_t)(BATCH * l->outputs) * sizeof *c);
    for (int i = 0; i < n_values; i++) l->weight_updates[i] = 1;
    for (int i = 0; i < n_inputs; i++) dx[i] = 1;
    network at = *net;
    at.delta = dx;
    l->backward(*l, at);
    check_numbers(net, c, net->input, dx, n_inputs, family);
    check_numbers(net, c, l->weights, l->weight_updates, n_values, family);
    free(c);
    free(dx);
    free_network(net);
}

/* Of values of few bits the gradient passes straight through the rounding. */
Test(convolution, has_its_gradients)
{
    for (int w = 0; w < N_WINDOWS; w++)
        for (int f = 0; f < N_FAMILIES; f++)
            if (!strstr(families[f], "bits=")) check_gradients(windows[w], families[f]);
}

/* Whatever was there before. */
Test(convolution, patches_are_zero_outside_the_image)
{
    struct sn_window window = { 1, 2, 2, 3, 1, 1, 2, 2 };
    float image[4] = { 1, 2, 3, 4 }, patches[36], back[4] = { 0 };
    for (int i = 0; i < 36; i++) patches[i] = 9;
    sn_window_take(&window, image, patches);
    for (int p = 0; p < 4; p++)
        for (int k = 0; k < 9; k++) {
            int y = p / 2 + k / 3 - 1, x = p % 2 + k % 3 - 1,
                is_inside = y >= 0 && y < 2 && x >= 0 && x < 2;
            cr_assert_eq(patches[9 * p + k], is_inside ? image[2 * y + x] : 0, "%d, %d", p, k);
        }
    sn_window_put(&window, patches, back);
    cr_assert(!memcmp(back, image, sizeof image));
}

/* A patch that is the image as it lies is a vector: the packed form multiplies it. */
Test(convolution, may_see_the_whole_image)
{
    static const char text[] = "[net]\nbatch=2\nheight=3\nwidth=3\nchannels=2\n"
                               "[sss]\nfilters=4\nsize=3\nstages=2\nstates=3\nactivation=linear\n"
                               "[sss]\nfilters=5\nsize=3\npad=1\nstages=1\nactivation=linear\n";
    network *net = net_from_text(text, 3);
    cr_assert_eq(net->layers[0].outputs, 4);
    cr_assert_eq(net->layers[1].outputs, 5);
    cr_assert_eq(structured_matrix(&net->layers[1])->n_inputs, 36);
    free_network(net);
}

static void parse(const void *argument)
{
    char text[512];
    snprintf(text, sizeof text,
             "[net]\nheight=4\nwidth=5\nchannels=2\n[sss]\nstages=1\nactivation=linear\n%s\n",
             (const char *)argument);
    const char *path = temporary_path("net.cfg");
    write_file(path, text, strlen(text));
    free_network(parse_network_cfg((char *)path));
}

Test(convolution, refuses_what_it_is_not)
{
    static const struct {
        const char *keys, *message;
    } cases[] = {
        { "filters=3\noutput=3\nsize=1", ":8: [sss] filters: expected this or output, found both" },
        { "filters=3\nstride=2", ":9: [sss] stride: expected size= beside it, found none" },
        { "filters=3\nsize=3\ngroups=2", ":10: [sss] groups: expected 1, found 2" },
        { "filters=3\nsize=0", ":9: [sss] size: " },
        { "filters=3\nsize=3\nstride=0", ":10: [sss] stride: " },
        { "filters=3\nsize=3\npadding=-1", ":10: [sss] padding: " },
        { "filters=3\nsize=7\npadding=1",
          ":9: [sss] size: expected an output of a pixel at least, found 1 x 0 x 3" },
        { "filters=3\nsize=40000\npad=1", ":9: [sss] size: more than 2147483647 inputs" },
        { "filters=3\nsize=3\nstride=1000000000\npadding=1000000000",
          ":11: [sss] padding: more than 2147483647 pixels with the padding" },
        { "size=1", ":5: [sss] output: expected the number of outputs, found none" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char found[1200];
        cr_assert_eq(run_in_child(parse, cases[i].keys, found, sizeof found), 1, "%s",
                     cases[i].keys);
        cr_assert(strstr(found, cases[i].message), "%s: %s", cases[i].keys, found);
    }
}
