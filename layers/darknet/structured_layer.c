#include "structured_layer.h"

#include "panels.h"
#include "stored.h"
#include "structured_batch.h"

#include <activations.h>
#include <batchnorm_layer.h>
#include <blas.h>
#include <cblas.h>
#include <convolutional_layer.h>

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct sn_matrix *structured_matrix(const layer *l)
{
    return l->forward == forward_structured_layer ? (struct sn_matrix *)l->cweights : NULL;
}

/* Values of few bits have a rounded copy of the words and a scale map. */
static int has_few_bits(const struct sn_matrix *matrix) { return matrix->bits != 32; }

static uint32_t *scale_map(const layer *l) { return (uint32_t *)l->indexes; }

const float *structured_multiplied(const layer *l)
{
    return has_few_bits(structured_matrix(l)) ? l->binary_weights : l->weights;
}

struct sn_window structured_window(const layer *l)
{
    int n = structured_matrix(l)->n_inputs;
    return (struct sn_window){
        n / l->size / l->size, l->h, l->w, l->size, l->stride, l->pad, l->out_h, l->out_w
    };
}

/* n zeroed floats; *missing is set when there is no memory. One float at least, so that NULL always
 * means failure. */
static float *zeros(double n, int *missing)
{
    float *values = n > (double)(SIZE_MAX / 8) ? NULL : calloc((size_t)n + 1, sizeof *values);
    if (!values) *missing = 1;
    return values;
}

static void allocate_batchnorm(layer *l, int *missing)
{
    double m = l->out_c;
    l->scales = zeros(m, missing);
    l->scale_updates = zeros(m, missing);
    l->mean = zeros(m, missing);
    l->mean_delta = zeros(m, missing);
    l->variance = zeros(m, missing);
    l->variance_delta = zeros(m, missing);
    l->rolling_mean = zeros(m, missing);
    l->rolling_variance = zeros(m, missing);
    l->x = zeros((double)l->batch * l->outputs, missing);
    l->x_norm = zeros((double)l->batch * l->outputs, missing);
    for (int i = 0; i < l->out_c && !*missing; i++) l->scales[i] = 1;
}

/* First and second moments for Adam: free_layer releases only m and v, so those of biases and
 * scales live in them. */
static void allocate_moments(layer *l, size_t n_values, int *missing)
{
    size_t m = (size_t)l->out_c;
    l->m = zeros((double)n_values + 2. * (double)m, missing);
    l->v = zeros((double)n_values + 2. * (double)m, missing);
    if (*missing) return;
    l->bias_m = l->m + n_values;
    l->bias_v = l->v + n_values;
    l->scale_m = l->bias_m + m;
    l->scale_v = l->bias_v + m;
}

/* What Darknet is to take the layer for, without its arrays. */
static layer describe_layer(int batch, const struct sn_window *window, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize)
{
    int m = matrix->n_outputs;
    return (layer){ .type = LOCAL,
                    .activation = activation,
                    .batch_normalize = batch_normalize,
                    .batch = batch,
                    .inputs = (int)sn_window_image(window),
                    .outputs = m * (int)sn_window_places(window),
                    .h = window->height,
                    .w = window->width,
                    .out_h = window->out_height,
                    .out_w = window->out_width,
                    .out_c = m,
                    .n = 1,
                    .size = window->size,
                    .stride = window->stride,
                    .pad = window->pad,
                    .learning_rate_scale = 1,
                    .cweights = (char *)matrix,
                    .forward = forward_structured_layer,
                    .backward = backward_structured_layer,
                    .update = update_structured_layer };
}

static enum sn_status allocate_arrays(layer *l, const struct sn_matrix *matrix, int adam,
                                      struct sn_error *error)
{
    int missing = 0, m = l->out_c;
    struct structured_room room = structured_room(l);
    l->output = zeros((double)l->batch * l->outputs, &missing);
    l->delta = zeros((double)l->batch * l->outputs, &missing);
    l->biases = zeros(m, &missing);
    l->bias_updates = zeros(m, &missing);
    l->weights = zeros(fmax(l->c, (double)matrix->n_words), &missing);
    if (has_few_bits(matrix)) {
        l->binary_weights = zeros((double)matrix->n_words, &missing);
        l->indexes = calloc(matrix->n_values + 1, sizeof *l->indexes);
        missing |= !l->indexes;
    }
    l->map = calloc(1, sizeof *l->map);
    missing |= !l->map;
    l->weight_updates = zeros((double)matrix->n_values, &missing);
    l->concat = zeros(((double)room.n_parts - 1) * (double)matrix->n_values, &missing);
    if (!sn_threads()) sn_threads_set(openblas_get_num_threads());
    l->state = zeros(room.n_floats, &missing);
    l->state_delta = zeros(room.n_back_floats, &missing);
    if (l->batch_normalize) allocate_batchnorm(l, &missing);
    if (adam) allocate_moments(l, matrix->n_values, &missing);
    return missing ? sn_fail(error, SN_NO_MEMORY, "out of memory for %d values and a batch of %d",
                             l->c, l->batch)
                   : SN_OK;
}

/* The largest number of floats that one image has before, behind or in the layer. */
static double widest_image(const struct sn_window *window, const struct sn_matrix *matrix)
{
    return fmax((double)sn_window_copy_of(window).n_floats,
                (double)sn_window_places(window) * matrix->n_outputs);
}

layer make_structured_layer(int batch, const struct sn_window *window, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize, int adam,
                            struct sn_error *error)
{
    double payload = (double)matrix->n_bytes / 4 + (batch_normalize ? 3. * matrix->n_outputs : 0);
    double widest = widest_image(window, matrix);
    if (batch * widest > INT_MAX) {
        sn_fail(error, SN_BAD_INPUT, "a batch of %d, expected at most %.0f", batch,
                floor(INT_MAX / widest));
        free(matrix);
        return (layer){ 0 };
    }
    layer l = describe_layer(batch, window, matrix, activation, batch_normalize);
    if (payload > INT_MAX) {
        sn_fail(error, SN_BAD_INPUT, "%.0f values, expected at most %d", payload, INT_MAX);
        goto fail;
    }
    l.c = (int)payload;
    if (!allocate_arrays(&l, matrix, adam, error)
        && !sn_matrix_init(matrix, scale_map(&l), l.weights, rand_uniform, error)) {
        round_structured_layer(&l);
        return l;
    }
fail:
    free_layer(l);
    return (layer){ 0 };
}

void forward_structured_layer(layer l, network net)
{
    structured_multiply(&l, net.train, net.input);
    if (l.batch_normalize) forward_batchnorm_layer(l, net);
    else add_bias(l.output, l.biases, l.batch, l.out_c, l.out_w * l.out_h);
    activate_array(l.output, l.outputs * l.batch, l.activation);
}

void backward_structured_layer(layer l, network net)
{
    gradient_array(l.output, l.outputs * l.batch, l.activation, l.delta);
    if (l.batch_normalize) backward_batchnorm_layer(l, net);
    else backward_bias(l.bias_updates, l.delta, l.batch, l.out_c, l.out_w * l.out_h);
    structured_back_multiply(&l, net.input, net.delta);
}

/* x += rate/batch d; d *= momentum, where d -= decay batch x comes first. */
static void sgd(int n, float *x, float *d, float rate, float momentum, float decay, int batch)
{
    if (decay != 0) axpy_cpu(n, -decay * (float)batch, x, 1, d, 1);
    axpy_cpu(n, rate / (float)batch, d, 1, x, 1);
    scal_cpu(n, momentum, d, 1);
}

/* g = d - decay batch x; m = B1 m + (1-B1) g; v = B2 v + (1-B2) g^2; x += rate mhat/(sqrt(vhat) +
 * eps); d = 0. Darknet's gradients point downhill, hence the plus. */
static void adam(size_t n, float *x, float *d, float *m, float *v, float rate, update_args a)
{
    double m_scale = 1 / (1 - pow(a.B1, a.t)), v_scale = 1 / (1 - pow(a.B2, a.t));
    for (size_t i = 0; i < n; i++) {
        float g = d[i] - a.decay * (float)a.batch * x[i];
        m[i] = a.B1 * m[i] + (1 - a.B1) * g;
        v[i] = a.B2 * v[i] + (1 - a.B2) * g * g;
        x[i] += (float)(rate * (m[i] * m_scale) / (sqrt(v[i] * v_scale) + a.eps));
        d[i] = 0;
    }
}

void update_structured_layer(layer l, update_args a)
{
    size_t m = (size_t)l.out_c, n = structured_matrix(&l)->n_values;
    float rate = a.learning_rate * l.learning_rate_scale;
    if (a.adam) {
        adam(m, l.biases, l.bias_updates, l.bias_m, l.bias_v, rate, a);
        if (l.batch_normalize) adam(m, l.scales, l.scale_updates, l.scale_m, l.scale_v, rate, a);
        adam(n, l.weights, l.weight_updates, l.m, l.v, rate, a);
    } else {
        sgd(l.out_c, l.biases, l.bias_updates, rate, a.momentum, 0, a.batch);
        if (l.batch_normalize)
            sgd(l.out_c, l.scales, l.scale_updates, rate, a.momentum, 0, a.batch);
        sgd((int)n, l.weights, l.weight_updates, rate, a.momentum, a.decay, a.batch);
    }
    round_structured_layer(&l);
}

void round_structured_layer(layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    *l->map = 0;
    if (has_few_bits(matrix)) sn_round(matrix, scale_map(l), l->weights, l->binary_weights);
}

enum sn_status prepare_structured_layer(layer *l, struct sn_error *error)
{
    round_structured_layer(l);
    struct sn_packed *packed = sn_pack(structured_matrix(l), l->weights, error);
    if (!packed) return SN_NO_MEMORY;
    size_t n_scratch = sn_packed_scratch(packed) + 1;
    float *scratch = malloc(n_scratch * sizeof *scratch);
    if (!scratch) {
        free(packed);
        return sn_no_memory(error, "%zu floats of scratch", n_scratch);
    }
    free(l->z_cpu);
    free(l->r_cpu);
    l->z_cpu = (float *)packed;
    l->r_cpu = scratch;
    *l->map = 1;
    return SN_OK;
}

int structured_load_words(const layer *l)
{
    return l->batch_normalize && l->dontloadscales ? l->c - 3 * l->out_c : l->c;
}

enum sn_status structured_dress(layer *l, struct structured_shape *shape, struct sn_error *error)
{
    int missing = 0;
    float *payload = has_few_bits(structured_matrix(l)) ? zeros(l->c, &missing) : l->weights;
    if (missing) return sn_no_memory(error, "%d stored words", l->c);
    *shape = (struct structured_shape){ l->outputs, l->out_w, l->out_h, l->size, l->c, l->weights };
    l->outputs = l->out_c;
    l->out_w = l->out_h = l->size = 1;
    l->weights = payload;
    return SN_OK;
}

void structured_undress(layer *l, const struct structured_shape *shape)
{
    if (l->weights != shape->words) free(l->weights);
    l->outputs = shape->outputs;
    l->out_w = shape->out_w;
    l->out_h = shape->out_h;
    l->size = shape->size;
    l->c = shape->c;
    l->weights = shape->words;
}

enum sn_status unpack_structured_layer(layer *l, const struct structured_shape *shape,
                                       struct sn_error *error)
{
    struct sn_matrix *matrix = structured_matrix(l);
    size_t m = (size_t)l->out_c;
    const float *statistics = l->weights + matrix->n_bytes / sizeof *statistics;
    if (l->batch_normalize && !l->dontloadscales) {
        memcpy(l->scales, statistics, m * sizeof *statistics);
        memcpy(l->rolling_mean, statistics + m, m * sizeof *statistics);
        memcpy(l->rolling_variance, statistics + 2 * m, m * sizeof *statistics);
    }
    return sn_restore(matrix, (const char *)l->weights, scale_map(l), shape->words, error);
}

void pack_structured_layer(layer *l, const struct structured_shape *shape)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    size_t m = (size_t)l->out_c;
    float *statistics = l->weights + matrix->n_bytes / sizeof *statistics;
    if (l->weights != shape->words)
        sn_store(matrix, scale_map(l), shape->words, (char *)l->weights);
    if (!l->batch_normalize) return;
    memcpy(statistics, l->scales, m * sizeof *statistics);
    memcpy(statistics + m, l->rolling_mean, m * sizeof *statistics);
    memcpy(statistics + 2 * m, l->rolling_variance, m * sizeof *statistics);
}
