#include "structured_layer.h"

#include "panels.h"
#include "stored.h"

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

/* The words that products and gradients take. */
static const float *multiplied_words(const layer *l)
{
    return has_few_bits(structured_matrix(l)) ? l->binary_weights : l->weights;
}

/* ---- The packed form, which inference takes for a few vectors while *map says that it is that of
 * the words. z_cpu is the form, r_cpu its scratch. */

enum { MOST_PACKED = 7 }; /* vectors: more are worth a tile */

static const struct sn_packed *packed_form(const layer *l)
{
    return *l->map ? (const struct sn_packed *)l->z_cpu : NULL;
}

/* ---- Many vectors, which are spread over threads in parts that depend on the sizes alone, so that
 * results do not depend on the number of threads. Each part but the first has gradients of the
 * values of its own, in concat, which are added up in the end. */

/* Two parts, or four of at least 64 vectors, in whole strips of the kernels. */
static size_t part_size(int n_vectors)
{
    enum { STRIP = 32, MANY = 256 };
    size_t n = (size_t)n_vectors, n_parts = n >= MANY ? 4 : 2;
    return ((n + n_parts - 1) / n_parts + STRIP - 1) / STRIP * STRIP;
}

/* 1 where threads would take longer to start than they save. */
static size_t count_parts(const layer *l, int n_vectors)
{
    double multiply_adds = (double)structured_matrix(l)->n_values * n_vectors;
    size_t size = part_size(n_vectors);
    return multiply_adds < 0x1p23 ? 1 : ((size_t)n_vectors + size - 1) / size;
}

struct spread {
    const layer *l;
    int n_vectors;
    const float *x, *dy;
    float *y, *dx;
};

/* The first vector of part i; *count receives how many there are. */
static size_t part_at(const struct spread *s, size_t i, int *count)
{
    size_t n = (size_t)s->n_vectors,
           size = count_parts(s->l, s->n_vectors) > 1 ? part_size(s->n_vectors) : n;
    *count = (int)(n - i * size < size ? n - i * size : size);
    return i * size;
}

static void multiply_part(void *context, size_t i)
{
    const struct spread *s = context;
    const struct sn_matrix *matrix = structured_matrix(s->l);
    int count;
    size_t first = part_at(s, i, &count);
    sn_multiply(matrix, multiplied_words(s->l), count, s->x + first * (size_t)matrix->n_inputs,
                s->y + first * (size_t)matrix->n_outputs, s->l->state + first * matrix->n_states);
}

static void back_multiply_part(void *context, size_t i)
{
    const struct spread *s = context;
    const struct sn_matrix *matrix = structured_matrix(s->l);
    int count;
    size_t first = part_at(s, i, &count);
    float *dvalues = i ? s->l->concat + (i - 1) * matrix->n_values : s->l->weight_updates;
    if (i) memset(dvalues, 0, matrix->n_values * sizeof *dvalues);
    sn_gradient(matrix, multiplied_words(s->l), count, s->x + first * (size_t)matrix->n_inputs,
                s->l->state + first * matrix->n_states, s->dy + first * (size_t)matrix->n_outputs,
                dvalues, s->dx ? s->dx + first * (size_t)matrix->n_inputs : NULL,
                s->l->state_delta + first * matrix->n_states);
}

/* dvalues += those of all vectors, dx += dY W unless it is NULL. */
static void back_multiply(const layer *l, int n_vectors, const float *x, const float *dy, float *dx)
{
    struct spread s = { .l = l, .n_vectors = n_vectors, .x = x, .dy = dy, .dx = dx };
    size_t n_values = structured_matrix(l)->n_values, n_parts = count_parts(l, n_vectors);
    sn_tasks(n_parts, back_multiply_part, &s);
    for (size_t i = 1; i < n_parts; i++)
        axpy_cpu((int)n_values, 1, l->concat + (i - 1) * n_values, 1, l->weight_updates, 1);
}

/* Y += X W^T for vectors next to each other. */
static void multiply(const layer *l, int train, int n_vectors, const float *x, float *y)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    const struct sn_packed *packed = packed_form(l);
    if (train || !packed || n_vectors > MOST_PACKED) {
        struct spread s = { .l = l, .n_vectors = n_vectors, .x = x, .y = y };
        sn_tasks(count_parts(l, n_vectors), multiply_part, &s);
        return;
    }
    for (int i = 0; i < n_vectors; i++, x += matrix->n_inputs, y += matrix->n_outputs)
        sn_packed_multiply(packed, x, y, l->r_cpu);
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

/* The pixels to which the matrix is applied, one by one. */
static int n_pixels(const layer *l) { return l->out_w * l->out_h; }

/* Floats of scratch for one direction: the states and, with more than one pixel, inputs and outputs
 * pixel by pixel. */
static double scratch_floats(const layer *l, const struct sn_matrix *matrix)
{
    double vectors = (double)l->batch * n_pixels(l);
    return vectors
        * ((double)matrix->n_states
           + (n_pixels(l) > 1 ? (double)matrix->n_inputs + matrix->n_outputs : 0));
}

/* What Darknet is to take the layer for, without its arrays. */
static layer describe_layer(int batch, int w, int h, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize)
{
    int m = matrix->n_outputs;
    return (layer){ .type = LOCAL,
                    .activation = activation,
                    .batch_normalize = batch_normalize,
                    .batch = batch,
                    .inputs = matrix->n_inputs * w * h,
                    .outputs = m * w * h,
                    .h = h,
                    .w = w,
                    .out_h = h,
                    .out_w = w,
                    .out_c = m,
                    .n = 1,
                    .size = 1,
                    .stride = 1,
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
    l->concat = zeros(((double)count_parts(l, l->batch * n_pixels(l)) - 1)
                          * (double)matrix->n_values,
                      &missing);
    if (!sn_threads()) sn_threads_set(openblas_get_num_threads());
    l->state = zeros(scratch_floats(l, matrix), &missing);
    l->state_delta = zeros(scratch_floats(l, matrix), &missing);
    if (l->batch_normalize) allocate_batchnorm(l, &missing);
    if (adam) allocate_moments(l, matrix->n_values, &missing);
    return missing ? sn_fail(error, SN_NO_MEMORY, "out of memory for %d values and a batch of %d",
                             l->c, l->batch)
                   : SN_OK;
}

layer make_structured_layer(int batch, int w, int h, struct sn_matrix *matrix,
                            ACTIVATION activation, int batch_normalize, int adam,
                            struct sn_error *error)
{
    double payload = (double)matrix->n_bytes / 4 + (batch_normalize ? 3. * matrix->n_outputs : 0);
    double widest = (double)w * h * fmax(matrix->n_outputs, matrix->n_inputs);
    if (batch * widest > INT_MAX) {
        sn_fail(error, SN_BAD_INPUT, "a batch of %d, expected at most %.0f", batch,
                floor(INT_MAX / widest));
        free(matrix);
        return (layer){ 0 };
    }
    layer l = describe_layer(batch, w, h, matrix, activation, batch_normalize);
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

/* to[b][j][i] += from[b][i][j] for n images of rows x columns. */
static void add_transposed(int n, int rows, int columns, const float *from, float *to)
{
    size_t n_rows = (size_t)rows, n_columns = (size_t)columns, area = n_rows * n_columns;
    for (int b = 0; b < n; b++, from += area, to += area)
        for (size_t i = 0; i < n_rows; i++)
            for (size_t j = 0; j < n_columns; j++) to[j * n_rows + i] += from[i * n_columns + j];
}

/* The inputs and outputs pixel by pixel, behind the states in one direction's scratch. */
static float *pixel_inputs(const layer *l, float *scratch)
{
    return scratch + (size_t)l->batch * (size_t)n_pixels(l) * structured_matrix(l)->n_states;
}

static float *pixel_outputs(const layer *l, float *scratch)
{
    return pixel_inputs(l, scratch) + (size_t)l->batch * (size_t)l->inputs;
}

/* Darknet's images are channels x pixels, the families' vectors are rows: pixels x channels. */
static void multiply_pixels(const layer *l, int train, const float *x)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    int pixels = n_pixels(l);
    float *xt = pixel_inputs(l, l->state), *yt = pixel_outputs(l, l->state);
    memset(xt, 0, (size_t)l->batch * (size_t)(l->inputs + l->outputs) * sizeof *xt);
    add_transposed(l->batch, matrix->n_inputs, pixels, x, xt);
    multiply(l, train, l->batch * pixels, xt, yt);
    add_transposed(l->batch, pixels, matrix->n_outputs, yt, l->output);
}

static void back_multiply_pixels(const layer *l, float *dx)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    int pixels = n_pixels(l);
    float *dxt = pixel_inputs(l, l->state_delta), *dyt = pixel_outputs(l, l->state_delta);
    memset(dxt, 0, (size_t)l->batch * (size_t)(l->inputs + l->outputs) * sizeof *dxt);
    add_transposed(l->batch, matrix->n_outputs, pixels, l->delta, dyt);
    back_multiply(l, l->batch * pixels, pixel_inputs(l, l->state), dyt, dx ? dxt : NULL);
    if (dx) add_transposed(l->batch, pixels, matrix->n_inputs, dxt, dx);
}

void forward_structured_layer(layer l, network net)
{
    fill_cpu(l.outputs * l.batch, 0, l.output, 1);
    if (n_pixels(&l) > 1) multiply_pixels(&l, net.train, net.input);
    else multiply(&l, net.train, l.batch, net.input, l.output);
    if (l.batch_normalize) forward_batchnorm_layer(l, net);
    else add_bias(l.output, l.biases, l.batch, l.out_c, n_pixels(&l));
    activate_array(l.output, l.outputs * l.batch, l.activation);
}

void backward_structured_layer(layer l, network net)
{
    gradient_array(l.output, l.outputs * l.batch, l.activation, l.delta);
    if (l.batch_normalize) backward_batchnorm_layer(l, net);
    else backward_bias(l.bias_updates, l.delta, l.batch, l.out_c, n_pixels(&l));
    if (n_pixels(&l) > 1) back_multiply_pixels(&l, net.delta);
    else back_multiply(&l, l.batch, net.input, l.delta, net.delta);
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
    *shape = (struct structured_shape){ l->outputs, l->out_w, l->out_h, l->c, l->weights };
    l->outputs = l->out_c;
    l->out_w = l->out_h = 1;
    l->weights = payload;
    return SN_OK;
}

void structured_undress(layer *l, const struct structured_shape *shape)
{
    if (l->weights != shape->words) free(l->weights);
    l->outputs = shape->outputs;
    l->out_w = shape->out_w;
    l->out_h = shape->out_h;
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
