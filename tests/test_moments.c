/* Moments in place of rows: what they say of a layer's inputs is what the rows say. */
#include "support.h"

#include <layer_moments.h>
#include <load_net.h>
#include <moments.h>
#include <npy.h>
#include <panels.h>

#include <criterion/criterion.h>
#include <im2col.h>
#include <image.h>
#include <math.h>
#include <network.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>

enum { N = 12, M = 7, ROWS = 300 };

/* Rows that vary along few directions, far from 0. */
static float *new_rows(int rows, int n, uint64_t seed)
{
    float *x = malloc((size_t)(rows * n) * sizeof *x);
    for (int i = 0; i < rows; i++) {
        double common = random_uniform(&seed, -1, 1);
        for (int j = 0; j < n; j++)
            x[i * n + j] = (float)(1 + common * (j % 4) + .3 * random_uniform(&seed, -1, 1));
    }
    return x;
}

static struct sn_covariance moments_of(const float *x, int rows, int n)
{
    struct sn_moments moments;
    struct sn_covariance covariance;
    struct sn_error error;
    float *columns = malloc((size_t)(rows * n) * sizeof *columns);
    cr_assert(!sn_moments_new(&moments, (size_t)n, &error));
    for (int first = 0, count; first < rows; first += count) {
        count = rows - first < 64 ? rows - first : 64;
        for (int i = 0; i < count; i++)
            for (int j = 0; j < n; j++) columns[j * count + i] = x[(first + i) * n + j];
        sn_moments_add(&moments, columns, (size_t)count);
    }
    sn_moments_take(&moments, &covariance);
    free(columns);
    return covariance;
}

static double largest_difference(const struct sn_covariance *a, const struct sn_covariance *b)
{
    double most = fabs(a->scale / b->scale - 1);
    for (size_t i = 0; i < a->n; i++) {
        most = fmax(most, fabs((double)a->mean[i] - (double)b->mean[i]));
        for (size_t j = 0; j <= i; j++)
            most = fmax(most,
                        fabs((double)a->values[i * a->n + j] - (double)b->values[i * a->n + j]));
    }
    return most;
}

/* Sums of 64 products of float32. */
Test(moments, are_those_of_the_rows)
{
    struct sn_covariance expected;
    struct sn_error error;
    float *x = new_rows(ROWS, N, 1);
    struct sn_covariance found = moments_of(x, ROWS, N);
    cr_assert(!sn_covariance_new(x, ROWS, N, &expected, &error));
    cr_assert_eq(found.count, ROWS);
    cr_assert_lt(largest_difference(&found, &expected), 1e-5);
    sn_covariance_free(&found);
    sn_covariance_free(&expected);
    free(x);
}

Test(moments, of_two_parts_are_those_of_the_whole)
{
    struct sn_covariance joined;
    struct sn_error error;
    float *x = new_rows(ROWS, N, 2);
    for (int i = 0; i < 100 * N; i++) x[i] += 2; /* parts whose means differ */
    struct sn_covariance a = moments_of(x, 100, N), b = moments_of(x + 100 * N, ROWS - 100, N),
                         whole = moments_of(x, ROWS, N);
    cr_assert(!sn_covariance_join(&a, &b, &joined, &error));
    cr_assert_eq(joined.count, ROWS);
    cr_assert_lt(largest_difference(&joined, &whole), 1e-5);
    sn_covariance_free(&a);
    sn_covariance_free(&b);
    sn_covariance_free(&joined);
    sn_covariance_free(&whole);
    free(x);
}

/* sum of ||W r - V x - mean||^2 over rows (x, r), n each, divided by their number. */
static double rows_error(const float *w, const float *v, const float *z, int rows,
                         const float *mean)
{
    double sum = 0;
    for (int i = 0; i < rows; i++)
        for (int k = 0; k < M; k++) {
            double y = 0;
            for (int j = 0; j < N; j++)
                y += (double)w[k * N + j] * (double)(z[i * 2 * N + N + j] - mean[N + j])
                    - (double)v[k * N + j] * (double)(z[i * 2 * N + j] - mean[j]);
            sum += y * y;
        }
    return sum / rows;
}

/* x and r are alike, as the inputs of a layer in a net and in its compressed form are. */
static float *new_pairs(uint64_t seed)
{
    float *r = new_rows(ROWS, N, seed), *z = malloc(2 * ROWS * N * sizeof *z);
    for (int i = 0; i < ROWS * N; i++) {
        int at = i / N * 2 * N + i % N;
        z[at + N] = r[i];
        z[at] = (float)(.8 * (double)r[i] + .2 * random_uniform(&seed, -1, 1));
    }
    free(r);
    return z;
}

Test(moments, errors_are_those_of_the_rows)
{
    struct sn_error error;
    float *z = new_pairs(3), *w = new_rows(M, N, 4), *v = new_rows(M, N, 5), zero[2 * N] = { 0 };
    struct sn_covariance c = moments_of(z, ROWS, 2 * N);
    double corrected = sn_moments_error(w, v, M, N, &c, c.mean, 1, &error),
           plain = sn_moments_error(w, v, M, N, &c, c.mean, 0, &error),
           expected = rows_error(w, v, z, ROWS, c.mean), whole = rows_error(w, v, z, ROWS, zero);
    cr_assert_lt(fabs(corrected / expected - 1), 1e-4);
    cr_assert_lt(fabs(plain / whole - 1), 1e-4);
    sn_covariance_free(&c);
    free(z);
    free(w);
    free(v);
}

/* No step away from the target lowers what it minimises. */
Test(moments, a_target_is_the_least_squares_solution)
{
    struct sn_weighting weighting;
    struct sn_covariance inputs;
    struct sn_error error;
    uint64_t state = 9;
    float *z = new_pairs(6), *w = new_rows(M, N, 7), target[M * N], other[M * N];
    struct sn_covariance c = moments_of(z, ROWS, 2 * N);
    cr_assert(!sn_covariance_inputs(&c, N, &inputs, &error));
    cr_assert(!sn_weighting_mix(&inputs, NULL, N, 1e-4, 0, &weighting, &error));
    cr_assert(!sn_moments_target(w, M, N, &c, &weighting, target, &error), "%s", error.message);
    double least = sn_moments_error(w, target, M, N, &c, c.mean, 1, &error);
    cr_assert_lt(least, .5 * sn_moments_error(w, w, M, N, &c, c.mean, 1, &error));
    for (int k = 0; k < 20; k++) {
        for (int i = 0; i < M * N; i++)
            other[i] = target[i] + (float)(.05 * random_uniform(&state, -1, 1));
        cr_assert_gt(sn_moments_error(w, other, M, N, &c, c.mean, 1, &error), least);
    }
    sn_weighting_free(&weighting);
    sn_covariance_free(&inputs);
    sn_covariance_free(&c);
    free(z);
    free(w);
}

/* The last fifth of the rows is held out in both. */
Test(moments, choose_the_weighting_that_rows_choose)
{
    struct sn_weighting by_rows, by_moments;
    struct sn_error error;
    const struct sn_fit_type *type = sn_fit_type_find("psm");
    struct sn_fit_options options = { .budget_bytes = 4 * M * N / 3,
                                      .settings = SETTING("factors", 1) };
    float *x = new_rows(ROWS, N, 10), *w = new_rows(M, N, 11), target[M * N];
    struct sn_covariance parts[2] = { moments_of(x, ROWS - ROWS / 5, N),
                                      moments_of(x + (ROWS - ROWS / 5) * N, ROWS / 5, N) };
    cr_assert(!sn_weighting_choose(type, &options, w, M, N, x, ROWS, &by_rows, &error));
    cr_assert(!sn_moments_choose(type, &options, w, M, N, parts, 0, &by_moments, target, &error));
    cr_assert_eq(by_rows.shrinkage, by_moments.shrinkage);
    cr_assert_eq(by_rows.alignment, by_moments.alignment);
    cr_assert(!memcmp(w, target, sizeof target));
    for (int i = 0; i < N * N; i++)
        cr_assert_lt(fabsf(by_rows.moment[i] - by_moments.moment[i]), 1e-5f);
    sn_weighting_free(&by_rows);
    sn_weighting_free(&by_moments);
    layer_moments_free(parts);
    free(x);
    free(w);
}

/* ---- Of a layer */

enum { IMAGES = 11, SIDE = 6, PIXELS = SIDE * SIDE };

struct example {
    char cfg[256], weights[256], paths[IMAGES][256], *line[IMAGES];
    struct lines images;
};

static void write_picture(struct example *example, int i, uint64_t *state)
{
    unsigned char ppm[11 + 3 * PIXELS] = "P6\n6 6\n255\n";
    char name[32];
    for (int p = 0; p < 3 * PIXELS; p++) ppm[11 + p] = (unsigned char)random_int(state, 0, 255);
    snprintf(name, sizeof name, "%d.ppm", i);
    strcpy(example->paths[i], temporary_path(name));
    write_file(example->paths[i], ppm, sizeof ppm);
    example->line[i] = example->paths[i];
}

static const char text[] = "[net]\nbatch=2\nheight=6\nwidth=6\nchannels=3\n"
                           "[convolutional]\nfilters=4\nsize=1\nstride=1\nactivation=leaky\n"
                           "[convolutional]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky\n"
                           "[connected]\noutput=3\nactivation=linear\n[softmax]\n";

static void open_example(struct example *example)
{
    uint64_t state = 8;
    network *net = net_from_text(text, 3);
    strcpy(example->cfg, temporary_path("net.cfg"));
    strcpy(example->weights, temporary_path("net.weights"));
    write_file(example->cfg, text, strlen(text));
    save_weights(net, example->weights);
    free_network(net);
    for (int i = 0; i < IMAGES; i++) write_picture(example, i, &state);
    example->images = (struct lines){ example->line, IMAGES };
}

static void open_layer(const struct example *example, int layer, struct features *features)
{
    struct sn_error error;
    struct features_source source = {
        .cfg = example->cfg, .weights = example->weights, .layer = layer, .images = &example->images
    };
    network *net = load_net(example->cfg, example->weights);
    cr_assert(!features_open(features, &source, net, &error), "%s", error.message);
}

/* What the layer sees of all images, by Darknet's im2col, row by row. */
static float *patches(const struct features *features, int *rows, int *n)
{
    network *net = features->workers->net;
    const layer *l = &net->layers[features->source.layer];
    int pixels = l->out_w * l->out_h, count;
    struct sn_error error;
    *n = l->type == CONNECTED ? l->inputs : l->c * l->size * l->size;
    if (l->type == CONNECTED) pixels = 1;
    *rows = IMAGES * pixels;
    float *x = malloc((size_t)(*rows * *n) * sizeof *x),
          *columns = malloc((size_t)(pixels * *n) * sizeof *x);
    set_batch_network(net, 1);
    for (int i = 0; i < IMAGES; i++) {
        cr_assert(!pictures_load(net, features->source.images, i, 0, &count, &error));
        network_predict(net, net->input);
        float *input = net->layers[features->source.layer - 1].output;
        if (l->type == CONNECTED) memcpy(columns, input, (size_t)*n * sizeof *x);
        else im2col_cpu(input, l->c, l->h, l->w, l->size, l->stride, l->pad, columns);
        for (int p = 0; p < pixels; p++)
            for (int k = 0; k < *n; k++) x[(i * pixels + p) * *n + k] = columns[k * pixels + p];
    }
    set_batch_network(net, features->batch);
    free(columns);
    return x;
}

static void check_layer(int layer, int n_threads)
{
    static struct example example;
    struct features features;
    struct sn_covariance parts[2], expected[2];
    struct sn_error error;
    int rows, n;
    sn_threads_set(n_threads);
    open_example(&example);
    open_layer(&example, layer, &features);
    float *x = patches(&features, &rows, &n);
    cr_assert(!layer_moments_compute(&features, NULL, parts, &error), "%s", error.message);
    int first = rows / IMAGES * (IMAGES - IMAGES / 5);
    cr_assert(!sn_covariance_new(x, (size_t)first, (size_t)n, &expected[0], &error));
    cr_assert(
        !sn_covariance_new(x + first * n, (size_t)(rows - first), (size_t)n, &expected[1], &error));
    for (int k = 0; k < 2; k++) {
        cr_assert_eq(parts[k].count, expected[k].count);
        cr_assert_lt(largest_difference(&parts[k], &expected[k]), 1e-4);
    }
    layer_moments_free(parts);
    layer_moments_free(expected);
    features_close(&features);
    free(x);
}

Test(moments, of_a_convolution_are_those_of_its_patches)
{
    check_layer(1, 1);
    check_layer(1, 3);
}

Test(moments, of_a_connected_layer_are_those_of_its_inputs) { check_layer(2, 1); }

/* With the net itself as the reference both halves are the same. */
Test(moments, with_a_reference_and_in_a_file)
{
    static struct example example;
    struct features features, reference;
    struct sn_covariance parts[2], read[2];
    struct sn_error error;
    const char *path = temporary_path("m.npy");
    open_example(&example);
    open_layer(&example, 1, &features);
    open_layer(&example, 1, &reference);
    cr_assert(!layer_moments_compute(&features, &reference, parts, &error), "%s", error.message);
    size_t n = 36, d = 72;
    cr_assert_eq(parts->n, d);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            const float value = parts->values[i * d + j];
            cr_assert_lt(fabsf(value - parts->values[(n + i) * d + n + j]), 1e-5f);
            cr_assert_lt(fabsf(value - parts->values[(n + i) * d + j]), 1e-5f);
        }
    FILE *file = fopen(path, "wb");
    layer_moments_write(parts, file);
    fclose(file);
    cr_assert(!layer_moments_read(path, (int)n, read, &error), "%s", error.message);
    for (int k = 0; k < 2; k++) cr_assert_lt(largest_difference(&parts[k], &read[k]), 1e-5);
    layer_moments_free(read);
    cr_assert_eq(layer_moments_read(path, 35, read, &error), SN_BAD_INPUT);
    cr_assert(strstr(error.message,
                     "expected moments of 35 inputs, 2 x 37 x 35 or 2 x 72 x 70 values"),
              "%s", error.message);
    layer_moments_free(parts);
    features_close(&features);
    features_close(&reference);
}
