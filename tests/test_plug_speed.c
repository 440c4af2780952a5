/* Darknet's functions that the plug replaces, beside the stock ones. */
#include "support.h"

#include <plug_speed.h>

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static float *random_floats(uint64_t *seed, size_t n)
{
    float *x = malloc((n + 1) * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = (float)random_uniform(seed, -1, 1);
    return x;
}

static float *copy_of(const float *x, size_t n)
{
    return memcpy(malloc((n + 1) * sizeof *x), x, n * sizeof *x);
}

static void check_equal(const float *ours, const float *stock, size_t n, double relative,
                        const char *what, int trial)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(stock[i]));
    for (size_t i = 0; i < n; i++)
        cr_assert_float_eq(ours[i], stock[i], relative * most + 1e-12, "%s, trial %d, %zu: %g, %g",
                           what, trial, i, ours[i], stock[i]);
}

Test(plug_speed, im2col_and_col2im)
{
    uint64_t seed = 1;
    for (int trial = 0; trial < 400; trial++) {
        int c = random_int(&seed, 1, 3), size = random_int(&seed, 1, 7),
            stride = random_int(&seed, 1, 4), pad = random_int(&seed, 0, size),
            h = random_int(&seed, 1, 12), w = random_int(&seed, 1, 12);
        if (h + 2 * pad < size || w + 2 * pad < size) continue;
        size_t places = (size_t)((h + 2 * pad - size) / stride + 1)
            * (size_t)((w + 2 * pad - size) / stride + 1),
               n = places * (size_t)(c * size * size), area = (size_t)(c * h * w);
        float *image = random_floats(&seed, area), *columns = random_floats(&seed, n),
              *ours = copy_of(columns, n), *image_ours = copy_of(image, area);
        __wrap_im2col_cpu(image, c, h, w, size, stride, pad, ours);
        __real_im2col_cpu(image, c, h, w, size, stride, pad, columns);
        cr_assert_arr_eq(ours, columns, n * sizeof *ours, "trial %d", trial);
        __wrap_col2im_cpu(columns, c, h, w, size, stride, pad, image_ours);
        __real_col2im_cpu(columns, c, h, w, size, stride, pad, image);
        check_equal(image_ours, image, area, 1e-6, "image", trial);
        free(image), free(columns), free(ours), free(image_ours);
    }
}

/* A layer whose arrays are random; the same seed gives the same layer. */
static layer random_batchnorm(uint64_t seed, int batch, int channels, int h, int w)
{
    size_t n = (size_t)(batch * channels * h * w), m = (size_t)channels;
    layer l = { .type = CONVOLUTIONAL, .batch = batch, .out_c = channels, .out_h = h, .out_w = w };
    l.outputs = channels * h * w;
    l.output = random_floats(&seed, n), l.delta = random_floats(&seed, n);
    l.x = random_floats(&seed, n), l.x_norm = random_floats(&seed, n);
    l.scales = random_floats(&seed, m), l.biases = random_floats(&seed, m);
    l.scale_updates = random_floats(&seed, m), l.bias_updates = random_floats(&seed, m);
    l.mean = random_floats(&seed, m), l.variance = random_floats(&seed, m);
    l.mean_delta = random_floats(&seed, m), l.variance_delta = random_floats(&seed, m);
    l.rolling_mean = random_floats(&seed, m), l.rolling_variance = random_floats(&seed, m);
    for (int f = 0; f < channels; f++) l.rolling_variance[f] = fabsf(l.rolling_variance[f]) + .1f;
    return l;
}

static void check_layers(const layer *ours, const layer *stock, int trial)
{
    size_t m = (size_t)ours->out_c, n = (size_t)(ours->outputs * ours->batch);
    check_equal(ours->output, stock->output, n, 1e-5, "output", trial);
    check_equal(ours->delta, stock->delta, n, 1e-5, "delta", trial);
    check_equal(ours->x, stock->x, n, 0, "x", trial);
    check_equal(ours->x_norm, stock->x_norm, n, 1e-5, "x_norm", trial);
    check_equal(ours->rolling_mean, stock->rolling_mean, m, 1e-6, "rolling mean", trial);
    check_equal(ours->rolling_variance, stock->rolling_variance, m, 1e-6, "variance", trial);
    check_equal(ours->bias_updates, stock->bias_updates, m, 1e-5, "bias updates", trial);
    check_equal(ours->scale_updates, stock->scale_updates, m, 1e-5, "scale updates", trial);
    check_equal(ours->mean_delta, stock->mean_delta, m, 1e-5, "mean delta", trial);
    check_equal(ours->variance_delta, stock->variance_delta, m, 1e-4, "variance delta", trial);
}

Test(plug_speed, batch_normalisation)
{
    uint64_t seed = 2;
    for (int trial = 0; trial < 200; trial++) {
        int batch = random_int(&seed, 2, 5), c = random_int(&seed, 1, 4),
            h = random_int(&seed, 1, 9), w = random_int(&seed, 1, 9);
        layer ours = random_batchnorm((uint64_t)trial + 1, batch, c, h, w),
              stock = random_batchnorm((uint64_t)trial + 1, batch, c, h, w);
        network net = { .train = trial % 3 != 0 };
        __wrap_forward_batchnorm_layer(ours, net);
        __real_forward_batchnorm_layer(stock, net);
        check_layers(&ours, &stock, trial);
        __wrap_backward_batchnorm_layer(ours, net);
        __real_backward_batchnorm_layer(stock, net);
        check_layers(&ours, &stock, trial);
        free_layer(ours), free_layer(stock);
    }
}

Test(plug_speed, activations)
{
    static const ACTIVATION all[] = { LINEAR, LEAKY, RELU, LOGISTIC, TANH, ELU };
    uint64_t seed = 3;
    for (size_t a = 0; a < sizeof all / sizeof *all; a++) {
        enum { N = 37 };
        float *ours = random_floats(&seed, N), *delta = random_floats(&seed, N);
        ours[3] = 0;
        float *stock = copy_of(ours, N), *delta_stock = copy_of(delta, N);
        __wrap_activate_array(ours, N, all[a]);
        __real_activate_array(stock, N, all[a]);
        check_equal(ours, stock, N, 1e-7, "activation", (int)a);
        __wrap_gradient_array(stock, N, all[a], delta);
        __real_gradient_array(stock, N, all[a], delta_stock);
        check_equal(delta, delta_stock, N, 1e-7, "gradient", (int)a);
        free(ours), free(delta), free(stock), free(delta_stock);
    }
}

/* Darknet prints each layer that it makes. */
static void be_quiet(void) { cr_assert(freopen("/dev/null", "w", stderr)); }

Test(plug_speed, maximum_pooling)
{
    uint64_t seed = 4;
    be_quiet();
    for (int trial = 0; trial < 200; trial++) {
        int batch = random_int(&seed, 1, 3), c = random_int(&seed, 1, 3),
            size = random_int(&seed, 1, 4), stride = random_int(&seed, 1, 3),
            padding = random_int(&seed, 0, size - 1), h = random_int(&seed, 4, 11),
            w = random_int(&seed, 4, 11);
        maxpool_layer ours = __wrap_make_maxpool_layer(batch, h, w, c, size, stride, padding),
                      stock = __real_make_maxpool_layer(batch, h, w, c, size, stride, padding);
        cr_assert(ours.forward != stock.forward);
        network net = { .input = random_floats(&seed, (size_t)(batch * c * h * w)) };
        ours.forward(ours, net);
        stock.forward(stock, net);
        size_t n = (size_t)(batch * ours.outputs);
        cr_assert_arr_eq(ours.output, stock.output, n * sizeof(float), "trial %d", trial);
        cr_assert_arr_eq(ours.indexes, stock.indexes, n * sizeof(int), "trial %d", trial);
        free(net.input), free_layer(ours), free_layer(stock);
    }
}

Test(plug_speed, stock_functions_can_be_chosen)
{
    be_quiet();
    setenv("STRUCTNET_STOCK", "1", 1);
    maxpool_layer stock = __real_make_maxpool_layer(1, 4, 4, 1, 2, 2, 0),
                  chosen = __wrap_make_maxpool_layer(1, 4, 4, 1, 2, 2, 0);
    cr_assert(chosen.forward == stock.forward);
    free_layer(stock), free_layer(chosen);
}

Test(plug_speed, fills)
{
    static const float values[] = { 0, -0.f, 1.5f };
    uint64_t seed = 5;
    for (int stride = 1; stride < 3; stride++)
        for (size_t v = 0; v < sizeof values / sizeof *values; v++) {
            enum { N = 9 };
            float *ours = random_floats(&seed, 2 * N), *stock = copy_of(ours, 2 * N);
            __wrap_fill_cpu(N, values[v], ours, stride);
            __real_fill_cpu(N, values[v], stock, stride);
            cr_assert(!memcmp(ours, stock, 2 * N * sizeof *ours), "%g, stride %d",
                      (double)values[v], stride);
            free(ours), free(stock);
        }
}

/* Outputs are the stock ones to the bit, gradients are there again and were not written to, but for
 * those that a loss computes in a prediction. */
Test(plug_speed, predictions)
{
    static const char text[] =
        "[net]\nbatch=2\nheight=8\nwidth=8\nchannels=3\n"
        "[convolutional]\nfilters=4\nsize=3\nstride=1\npad=1\nbatch_normalize=1\n"
        "activation=leaky\n[maxpool]\nsize=2\nstride=2\n[route]\nlayers=-1\n"
        "[convolutional]\nfilters=4\nsize=1\nactivation=linear\n[shortcut]\nfrom=-2\n"
        "activation=linear\n[sss]\noutput=6\nstages=2\nstates=2\nactivation=linear\n[dropout]\n"
        "[connected]\noutput=5\nactivation=linear\ntruth=1\n[softmax]\n";
    uint64_t seed = 6;
    be_quiet();
    network *net = net_from_text(text, 1);
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        for (int k = 0; k < l->batch * l->outputs; k++) l->delta[k] = 7;
    }
    float *input = random_floats(&seed, (size_t)(net->batch * net->inputs));
    size_t n = (size_t)(net->batch * net->outputs);
    float *ours = copy_of(__wrap_network_predict(net, input), n);
    for (int i = 0; i + 1 < net->n; i++) cr_assert_eq(*net->layers[i].delta, 7, "layer %d", i);
    cr_assert_neq(*net->layers[net->n - 1].delta, 7);
    cr_assert(!memcmp(ours, __real_network_predict(net, input), n * sizeof *ours));
    free(input), free(ours);
    free_network(net);
}

Test(plug_speed, maximum_of_no_numbers)
{
    be_quiet();
    float input[2 * 9];
    for (int i = 0; i < 2 * 9; i++) input[i] = NAN;
    maxpool_layer l = __wrap_make_maxpool_layer(1, 3, 3, 2, 2, 1, 2);
    l.forward(l, (network){ .input = input });
    for (int i = 0; i < l.outputs; i++)
        cr_assert(l.indexes[i] >= 0 && l.indexes[i] / 9 == i / (l.outputs / 2)
                      && l.output[i] == -FLT_MAX,
                  "%d: %d", i, l.indexes[i]);
    free_layer(l);
}
