/* Darknet's functions that take most of the time beside matrix products, rewritten: rows instead of
 * single pixels, one pass instead of several, no choice within a loop. The linker's --wrap puts
 * them in the place of the stock ones, which STRUCTNET_STOCK=1 brings back. Results agree with
 * those but for the order of sums. */
#include "plug_speed.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static int is_stock(void)
{
    static int known; /* 1: ours, 2: stock */
    if (!known) {
        const char *wish = getenv("STRUCTNET_STOCK");
        known = wish && !strcmp(wish, "1") ? 2 : 1;
    }
    return known == 2;
}

/* ---- Sums of many floats, eight at a time */

enum { LANES = 8 };

static float sum_lanes(const float *sums)
{
    return ((sums[0] + sums[4]) + (sums[2] + sums[6]))
        + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

static float sum(size_t n, const float *x)
{
    float sums[LANES] = { 0 }, rest = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) sums[k] += x[i + (size_t)k];
    for (; i < n; i++) rest += x[i];
    return sum_lanes(sums) + rest;
}

/* sum_i (x_i - mean)^2 */
static float squares(size_t n, const float *x, float mean)
{
    float sums[LANES] = { 0 }, rest = 0;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float d = x[i + (size_t)k] - mean;
            sums[k] += d * d;
        }
    for (; i < n; i++) rest += (x[i] - mean) * (x[i] - mean);
    return sum_lanes(sums) + rest;
}

/* *sum_d += sum_i d_i; *sum_dx += sum_i d_i (x_i - mean) */
static void products(size_t n, const float *d, const float *x, float mean, float *sum_d,
                     float *sum_dx)
{
    float ds[LANES] = { 0 }, dxs[LANES] = { 0 };
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            ds[k] += d[i + (size_t)k];
            dxs[k] += d[i + (size_t)k] * (x[i + (size_t)k] - mean);
        }
    for (int k = 0; i < n; i++, k++) {
        ds[k] += d[i];
        dxs[k] += d[i] * (x[i] - mean);
    }
    *sum_d += sum_lanes(ds);
    *sum_dx += sum_lanes(dxs);
}

/* ---- Convolutions as matrix products */

/* Of the positions 0 .. n-1 those that a tap at `offset` finds inside 0 .. size-1: from *first on,
 * below *end. */
static void inside(int n, int stride, int offset, int size, int *first, int *end)
{
    *first = offset < 0 ? (-offset + stride - 1) / stride : 0;
    *end = size > offset ? (size - offset + stride - 1) / stride : 0;
    if (*end > n) *end = n;
    if (*first > *end) *first = *end;
}

/* Row (c, kh, kw) of data_col holds the pixel that tap (kh, kw) of the kernel sees in channel c at
 * each place; 0 outside the image. */
void __wrap_im2col_cpu(float *data_im, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_col)
{
    if (is_stock()) {
        __real_im2col_cpu(data_im, channels, height, width, ksize, stride, pad, data_col);
        return;
    }
    int out_h = (height + 2 * pad - ksize) / stride + 1;
    int out_w = (width + 2 * pad - ksize) / stride + 1;
    for (int c = 0; c < channels * ksize * ksize; c++) {
        int kw = c % ksize - pad, kh = c / ksize % ksize - pad, first, end;
        const float *image = data_im + (size_t)(c / ksize / ksize) * (size_t)(height * width);
        inside(out_w, stride, kw, width, &first, &end);
        for (int h = 0; h < out_h; h++, data_col += out_w) {
            int row = kh + h * stride;
            if (row < 0 || row >= height) {
                memset(data_col, 0, (size_t)out_w * sizeof *data_col);
                continue;
            }
            const float *from = image + (ptrdiff_t)row * width + kw;
            for (int w = 0; w < first; w++) data_col[w] = 0;
            if (stride == 1)
                memcpy(data_col + first, from + first, (size_t)(end - first) * sizeof *from);
            else
                for (int w = first; w < end; w++) data_col[w] = from[(ptrdiff_t)w * stride];
            for (int w = end; w < out_w; w++) data_col[w] = 0;
        }
    }
}

/* The transpose: each pixel of data_im receives the sum of what im2col made of it. */
void __wrap_col2im_cpu(float *data_col, int channels, int height, int width, int ksize, int stride,
                       int pad, float *data_im)
{
    if (is_stock()) {
        __real_col2im_cpu(data_col, channels, height, width, ksize, stride, pad, data_im);
        return;
    }
    int out_h = (height + 2 * pad - ksize) / stride + 1;
    int out_w = (width + 2 * pad - ksize) / stride + 1;
    for (int c = 0; c < channels * ksize * ksize; c++) {
        int kw = c % ksize - pad, kh = c / ksize % ksize - pad, first, end;
        float *image = data_im + (size_t)(c / ksize / ksize) * (size_t)(height * width);
        inside(out_w, stride, kw, width, &first, &end);
        for (int h = 0; h < out_h; h++, data_col += out_w) {
            int row = kh + h * stride;
            if (row < 0 || row >= height) continue;
            float *to = image + (ptrdiff_t)row * width + kw;
            if (stride == 1)
                for (int w = first; w < end; w++) to[w] += data_col[w];
            else
                for (int w = first; w < end; w++) to[(ptrdiff_t)w * stride] += data_col[w];
        }
    }
}

/* ---- Batch normalisation */

/* Where channels are single values, the stock functions have no long rows to run along either. */
enum { LEAST_PIXELS = 8 };

/* A layer's arrays are batch x channels x pixels. */
static float *row_of(const layer *l, float *array, int b, int f)
{
    return array
        + ((size_t)b * (size_t)l->out_c + (size_t)f) * ((size_t)l->out_h * (size_t)l->out_w);
}

static void measure_channel(const layer *l, int f)
{
    size_t pixels = (size_t)l->out_h * (size_t)l->out_w;
    float mean = 0, variance = 0;
    for (int b = 0; b < l->batch; b++) mean += sum(pixels, row_of(l, l->output, b, f));
    mean /= (float)l->batch * (float)pixels;
    for (int b = 0; b < l->batch; b++)
        variance += squares(pixels, row_of(l, l->output, b, f), mean);
    variance /= (float)l->batch * (float)pixels - 1;
    l->mean[f] = mean;
    l->variance[f] = variance;
    l->rolling_mean[f] = .99f * l->rolling_mean[f] + .01f * mean;
    l->rolling_variance[f] = .99f * l->rolling_variance[f] + .01f * variance;
}

/* x <- y; x_norm <- (y - mean) / (sqrt(variance) + 1e-6); y <- scale x_norm + bias. */
static void normalize_channel(const layer *l, int f, int train)
{
    size_t pixels = (size_t)l->out_h * (size_t)l->out_w;
    float mean = train ? l->mean[f] : l->rolling_mean[f],
          variance = train ? l->variance[f] : l->rolling_variance[f],
          factor = 1 / (sqrtf(variance) + .000001f), scale = l->scales[f], bias = l->biases[f];
    for (int b = 0; b < l->batch; b++) {
        float *restrict y = row_of(l, l->output, b, f),
                        *restrict x_norm = row_of(l, l->x_norm, b, f);
        memcpy(row_of(l, l->x, b, f), y, pixels * sizeof *y);
        if (train)
            for (size_t i = 0; i < pixels; i++) {
                x_norm[i] = (y[i] - mean) * factor;
                y[i] = x_norm[i] * scale + bias;
            }
        else
            for (size_t i = 0; i < pixels; i++) y[i] = (y[i] - mean) * factor * scale + bias;
    }
}

void __wrap_forward_batchnorm_layer(layer l, network net)
{
    if (is_stock() || l.out_h * l.out_w < LEAST_PIXELS) {
        __real_forward_batchnorm_layer(l, net);
        return;
    }
    for (int f = 0; f < l.out_c; f++) {
        if (net.train) measure_channel(&l, f);
        normalize_channel(&l, f, net.train);
    }
}

/* With d = scale dL/dy, n values a channel, v = variance + 1e-5, the gradient of the inputs is
 *
 *     d / sqrt(v) - sum(d) / (n sqrt(v)) - (x - mean) sum(d (x - mean)) / (n v sqrt(v)) */
static void backward_channel(const layer *l, int f)
{
    size_t pixels = (size_t)l->out_h * (size_t)l->out_w;
    float mean = l->mean[f], v = l->variance[f] + .00001f, n = (float)l->batch * (float)pixels,
          sum_d = 0, sum_dx = 0, scale = l->scales[f];
    for (int b = 0; b < l->batch; b++)
        products(pixels, row_of(l, l->delta, b, f), row_of(l, l->x, b, f), mean, &sum_d, &sum_dx);
    l->bias_updates[f] += sum_d;
    l->scale_updates[f] += sum_dx / (sqrtf(l->variance[f]) + .000001f);
    l->mean_delta[f] = -scale * sum_d / sqrtf(v);
    l->variance_delta[f] = -.5f * scale * sum_dx / (v * sqrtf(v));
    float of_d = scale / sqrtf(v), of_x = 2 * l->variance_delta[f] / n,
          all = l->mean_delta[f] / n - of_x * mean;
    for (int b = 0; b < l->batch; b++) {
        float *d = row_of(l, l->delta, b, f);
        const float *x = row_of(l, l->x, b, f);
        for (size_t i = 0; i < pixels; i++) d[i] = d[i] * of_d + x[i] * of_x + all;
    }
}

void __wrap_backward_batchnorm_layer(layer l, network net)
{
    if (is_stock() || !net.train || l.out_h * l.out_w < LEAST_PIXELS) {
        __real_backward_batchnorm_layer(l, net);
        return;
    }
    for (int f = 0; f < l.out_c; f++) backward_channel(&l, f);
}

/* ---- Activations */

void __wrap_activate_array(float *x, const int n, const ACTIVATION a)
{
    if (is_stock() || (a != LINEAR && a != LEAKY && a != RELU)) __real_activate_array(x, n, a);
    else if (a == LEAKY)
        for (int i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] : .1f * x[i];
    else if (a == RELU)
        for (int i = 0; i < n; i++) x[i] = x[i] > 0 ? x[i] : 0 * x[i];
}

void __wrap_gradient_array(const float *x, const int n, const ACTIVATION a, float *delta)
{
    if (is_stock() || (a != LINEAR && a != LEAKY && a != RELU)) {
        __real_gradient_array(x, n, a, delta);
        return;
    }
    if (a == LINEAR) return;
    float below = a == LEAKY ? .1f : 0;
    for (int i = 0; i < n; i++) delta[i] *= x[i] > 0 ? 1 : below;
}

/* ---- Maximum pooling */

/* The index of the largest entry of one window: of the rows and columns from the first to below the
 * last; that of the first one when none is above -FLT_MAX, as where all are NaN. The stock one
 * gives -1 then, where the backward pass writes. */
static int largest(const float *image, int width, int top, int bottom, int left, int right,
                   float *most)
{
    int index = top * width + left;
    *most = -FLT_MAX;
    for (int h = top; h < bottom; h++)
        for (int w = left; w < right; w++) {
            float value = image[h * width + w];
            index = value > *most ? h * width + w : index;
            *most = value > *most ? value : *most;
        }
    return index;
}

static int least_of(int a, int b) { return a < b ? a : b; }

static void forward_maxpool(const layer l, network net)
{
    int area = l.w * l.h, shift = l.pad / 2;
    float *output = l.output;
    int *indexes = l.indexes;
    for (int plane = 0; plane < l.batch * l.c; plane++) {
        const float *image = net.input + (size_t)plane * (size_t)area;
        for (int i = 0; i < l.out_h; i++)
            for (int j = 0; j < l.out_w; j++) {
                int top = i * l.stride - shift, left = j * l.stride - shift;
                *indexes++ = plane * area
                    + largest(image, l.w, top < 0 ? 0 : top, least_of(top + l.size, l.h),
                              left < 0 ? 0 : left, least_of(left + l.size, l.w), output++);
            }
    }
}

maxpool_layer __wrap_make_maxpool_layer(int batch, int h, int w, int c, int size, int stride,
                                        int padding)
{
    maxpool_layer l = __real_make_maxpool_layer(batch, h, w, c, size, stride, padding);
    if (!is_stock()) l.forward = forward_maxpool;
    return l;
}

/* ---- Filling, and predictions */

/* x[i * stride] = value for i < n. */
void __wrap_fill_cpu(int n, float value, float *x, int stride)
{
    if (is_stock() || value != 0 || signbit(value) || stride != 1)
        __real_fill_cpu(n, value, x, stride);
    else if (n > 0) memset(x, 0, (size_t)n * sizeof *x);
}

/* Whether the layer's forward pass leaves its gradient alone. */
static int keeps_delta(const layer *l)
{
    switch (l->type) {
    case RNN:
    case GRU:
    case LSTM:
    case CRNN:
    case REGION:
    case YOLO:
    case DETECTION:
    case ISEG:
    case SOFTMAX:
    case LOGXENT:
    case COST: return 0;
    default: return 1;
    }
}

/* Predictions need no gradients, which forward_network fills with 0 wherever there are any: as much
 * memory as the outputs take, which is not even there before it is written. */
float *__wrap_network_predict(network *net, float *input)
{
    const int n = net->n;
    float **deltas = is_stock() ? NULL : malloc((size_t)n * sizeof *deltas);
    if (!deltas) return __real_network_predict(net, input);
    for (int i = 0; i < n; i++) {
        layer *l = &net->layers[i];
        deltas[i] = l->delta;
        if (keeps_delta(l)) l->delta = NULL;
    }
    float *output = __real_network_predict(net, input);
    for (int i = 0; i < n; i++) net->layers[i].delta = deltas[i];
    free(deltas);
    return output;
}
