/* Each kind of layer as one of integers, and what those of floats need too. */
#include "export_layers.h"

#include <activations.h>
#include <math.h>
#include <micro_float.h>
#include <relu6_layer.h>
#include <stdlib.h>
#include <string.h>
#include <structured_layer.h>

/* ---- What layers share */

void *export_allocate(struct export_net *net, size_t n, size_t size)
{
    void **blocks = realloc(net->blocks, (net->n_blocks + 1) * sizeof *blocks);
    if (!blocks) return NULL;
    net->blocks = blocks;
    void *block = calloc(n + 1, size);
    if (block) net->blocks[net->n_blocks++] = block;
    return block;
}

const struct export_family *export_family(const struct sn_matrix *structured)
{
    static const struct export_family *const families[] = { &export_sss, &export_psm };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (!strcmp(families[i]->name, sn_family_name(structured->family))) return families[i];
    return NULL;
}

int export_has_patches(const layer *l)
{
    struct sn_window window = structured_window(l);
    return !sn_window_is_pixels(&window) && !sn_window_is_whole(&window);
}

int export_pixels(const layer *l)
{
    struct sn_window window = structured_window(l);
    return export_has_patches(l) ? 1 : (int)sn_window_places(&window);
}

/* Numbers of a line of the band. */
static size_t span_of(const struct sn_window *window)
{
    return ((size_t)window->width + 2 * (size_t)window->pad + 1) / 2 * 2;
}

size_t export_band(const layer *l)
{
    struct sn_window window = structured_window(l);
    return (size_t)window.size * (size_t)window.channels * span_of(&window);
}

uint32_t export_place(const layer *l, uint32_t j)
{
    struct sn_window window = structured_window(l);
    uint32_t size = (uint32_t)window.size, channel = j / (size * size);
    if (!export_has_patches(l)) return j;
    return (j / size % size * (uint32_t)window.channels + channel) * (uint32_t)span_of(&window)
        + j % size;
}

enum sn_status export_patches(const struct export_layer *e, struct sn_micro_step *step,
                              size_t *scratch)
{
    struct sn_window window = structured_window(e->l);
    int is_float = e->input.is_float;
    if (!export_has_patches(e->l)) return SN_OK;
    struct sn_micro_patches *to = export_allocate(e->net, 1, sizeof *to);
    if (!to) return export_no_memory(e);
    *to = (struct sn_micro_patches){ export_input(e, 1),
                                     (uint16_t)window.channels,
                                     (uint16_t)window.height,
                                     (uint16_t)window.width,
                                     (uint16_t)window.size,
                                     (uint16_t)window.stride,
                                     (uint16_t)window.pad,
                                     (uint16_t)window.out_height,
                                     (uint16_t)window.out_width,
                                     (uint16_t)span_of(&window),
                                     (uint8_t)e->output.is_wide,
                                     (uint16_t)(is_float ? e->l->out_c : 0),
                                     step->run,
                                     step->layer };
    *scratch += is_float ? sizeof(float) * (export_band(e->l) + to->n_floats)
                         : sizeof(int16_t) * export_band(e->l);
    *step = (struct sn_micro_step){ .run = is_float ? sn_micro_float_patches : sn_micro_patches,
                                    .layer = to };
    return SN_OK;
}

const float *export_words(const layer *l)
{
    return structured_matrix(l)->bits == 32 ? l->weights : l->binary_weights;
}

double export_gain(const layer *l, int i, double *bias)
{
    *bias = (double)l->biases[i];
    if (!l->batch_normalize) return 1;
    double gain = (double)l->scales[i] / (sqrt((double)l->rolling_variance[i]) + 1e-6);
    *bias -= gain * (double)l->rolling_mean[i];
    return gain;
}

enum sn_status export_u16(struct export_layer *e, const uint32_t *from, size_t n,
                          const uint16_t **to)
{
    *to = NULL;
    if (!from) return SN_OK;
    uint16_t *copy = export_allocate(e->net, n, sizeof *copy);
    if (!copy) return export_no_memory(e);
    for (size_t i = 0; i < n; i++) copy[i] = (uint16_t)from[i];
    *to = copy;
    return SN_OK;
}

struct sn_micro_input export_input(const struct export_layer *e, int pixels)
{
    return (struct sn_micro_input){ (int16_t)e->input.zero, (uint8_t)e->shift, (uint16_t)pixels };
}

/* Pools and such have no activation, whatever their field holds. */
int export_has_activation(const layer *l)
{
    return structured_matrix(l) || l->type == CONVOLUTIONAL || l->type == CONNECTED
        || l->type == SHORTCUT || (l->type == ACTIVE && l->forward != forward_relu6_layer);
}

int export_needs_table(const layer *l)
{
    return export_has_activation(l) && l->activation != LINEAR && l->activation != RELU;
}

struct export_number export_number_of(float low, float high, int is_wide)
{
    double least = fmin(0, (double)low), most = fmax(0, (double)high);
    if (is_wide) {
        double scale = 2 * fmax(-least, most) / 32767; /* What samples did not show has room too. */
        return (struct export_number){ scale > 0 ? scale : 1, 0, 1, 0 };
    }
    double scale = (most - least) / 255;
    if (!(scale > 0)) return (struct export_number){ 1, 0, 0, 0 };
    return (struct export_number){ scale, (int)fmax(-128, fmin(127, rint(-128 - least / scale))), 0,
                                   0 };
}

enum sn_status export_output(struct export_layer *e, struct sn_micro_output *output)
{
    const layer *l = e->l;
    int is_relu = export_has_activation(l) && l->activation == RELU,
        is_relu6 = l->forward == forward_relu6_layer, low = e->output.is_wide ? -32767 : -128,
        high = e->output.is_wide ? 32767 : 127;
    if (is_relu || is_relu6) low = e->output.zero;
    if (is_relu6) high = (int)fmin(high, floor(6 / e->output.scale + e->output.zero + .5));
    *output = (struct sn_micro_output){
        (int16_t)low, (int16_t)high, (uint8_t)e->output.is_wide, 1, (uint16_t)(l->out_w * l->out_h),
        NULL
    };
    if (!export_needs_table(l)) return SN_OK;
    int8_t *table = export_allocate(e->net, 256, 1);
    if (!table) return export_no_memory(e);
    for (int q = -128; q < 128; q++) {
        double x = (q - e->output.zero) * e->output.scale,
               y = (double)activate((float)x, l->activation) / e->behind.scale + e->behind.zero;
        table[q + 128] = (int8_t)fmax(-128, fmin(127, rint(y)));
    }
    output->table = table;
    return SN_OK;
}

/* ---- Kinds */

/* m rows of n columns for each of the groups. */
static enum sn_status take_rows(struct export_layer *e, const float *weights, int n_rows,
                                int n_columns, struct export_rows *rows)
{
    float *w = malloc(((size_t)n_columns + 1) * sizeof *w);
    if (!w) return export_no_memory(e);
    for (int i = 0; i < n_rows; i++) {
        struct export_row row = { .is_output = 1, .n_inputs = n_columns };
        double gain = export_gain(e->l, i, &row.bias);
        for (int j = 0; j < n_columns; j++)
            w[j] = (float)(gain * (double)weights[(size_t)i * (size_t)n_columns + (size_t)j]);
        export_add_row(rows, w, n_columns, row);
    }
    free(w);
    return SN_OK;
}

struct export_window export_window_of(const layer *l)
{
    if (l->type == CONNECTED)
        return (struct export_window){ l->inputs, l->outputs, 1, 1, 1, 1, 1, 0, 1, 1 };
    return (
        struct export_window){ l->c / l->groups, l->n / l->groups, l->groups, l->h,     l->w,
                               l->size,          l->stride,        l->pad,    l->out_h, l->out_w };
}

static enum sn_status convolution(struct export_layer *e, struct sn_micro_step *step,
                                  size_t *scratch)
{
    struct export_window window = export_window_of(e->l);
    int n = window.channels * window.size * window.size;
    struct export_rows rows = { 0 };
    struct sn_micro_convolution *to = export_allocate(e->net, 1, sizeof *to);
    enum sn_status status = to
        ? take_rows(e, e->l->weights, window.filters * window.groups, n, &rows)
        : export_no_memory(e);
    if (!status) status = export_scale(e, &rows, 0);
    if (!status) {
        *to = (struct sn_micro_convolution){ .input = export_input(e, window.height * window.width),
                                             .channels = (uint16_t)window.channels,
                                             .height = (uint16_t)window.height,
                                             .width = (uint16_t)window.width,
                                             .filters = (uint16_t)window.filters,
                                             .groups = (uint16_t)window.groups,
                                             .size = (uint16_t)window.size,
                                             .stride = (uint16_t)window.stride,
                                             .pad = (uint16_t)window.pad,
                                             .out_height = (uint16_t)window.out_height,
                                             .out_width = (uint16_t)window.out_width };
        status = export_output(e, &to->output);
    }
    if (!status) status = export_finish(e, &rows, e->v_scale, 1, &to->rows);
    *scratch = SN_MICRO_BATCH * sizeof(int32_t)
        + sizeof(int16_t) * (((size_t)n + 3) / 4 * 4 + SN_MICRO_SLACK);
    *step = (struct sn_micro_step){ .run = sn_micro_convolution, .layer = to };
    export_rows_free(&rows);
    return status;
}

static enum sn_status maxpool(struct export_layer *e, struct sn_micro_step *step)
{
    const layer *l = e->l;
    struct sn_micro_maxpool *to = export_allocate(e->net, 1, sizeof *to);
    if (!to) return export_no_memory(e);
    *to = (struct sn_micro_maxpool){ (uint16_t)l->c,      (uint16_t)l->h,
                                     (uint16_t)l->w,      (uint16_t)l->size,
                                     (uint16_t)l->stride, (uint16_t)(l->pad / 2),
                                     (uint16_t)l->out_h,  (uint16_t)l->out_w };
    e->output = e->input;
    *step = (struct sn_micro_step){ .run = sn_micro_maxpool, .layer = to };
    return SN_OK;
}

static enum sn_status avgpool(struct export_layer *e, struct sn_micro_step *step)
{
    const layer *l = e->l;
    int pixels = l->h * l->w;
    struct sn_micro_avgpool *to = export_allocate(e->net, 1, sizeof *to);
    if (!to) return export_no_memory(e);
    e->shift = 7;
    while (e->shift > 0 && ldexp(255. * pixels, e->shift) > 1 << 30) e->shift--;
    double scale = ldexp(e->input.scale, -e->shift) / pixels;
    e->output.scale = fmax(e->output.scale, export_least_scale(scale));
    *to = (struct sn_micro_avgpool){ .input = export_input(e, pixels), .channels = (uint16_t)l->c };
    to->scale = export_word(scale / e->output.scale, e->output.zero, &to->bias);
    *step = (struct sn_micro_step){ .run = sn_micro_avgpool, .layer = to };
    return export_output(e, &to->output);
}

static enum sn_status sum(struct export_layer *e, const struct export_number from[2],
                          const double factor[2], size_t n, struct sn_micro_step *step)
{
    enum { MOST = 1 << 20 };
    struct sn_micro_sum *to = export_allocate(e->net, 1, sizeof *to);
    if (!to) return export_no_memory(e);
    double m[2] = { factor[0] * from[0].scale / e->output.scale,
                    factor[1] * from[1].scale / e->output.scale },
           most = fmax(fabs(m[0]), fabs(m[1]));
    int shift = 20;
    while (shift > 0 && ldexp(most, shift) > MOST) shift--;
    *to = (struct sn_micro_sum){ .n = (uint32_t)n, .e = (uint8_t)shift };
    for (int k = 0; k < 2; k++) {
        to->zero[k] = (int16_t)from[k].zero;
        to->m[k] = (int32_t)fmax(-MOST, fmin(MOST, rint(ldexp(m[k], shift))));
    }
    to->bias = e->output.zero * (1 << shift) + ((1 << shift) >> 1);
    *step = (struct sn_micro_step){ .run = sn_micro_sum, .layer = to };
    return export_output(e, &to->output);
}

const struct export_kinds export_integers = { convolution, maxpool, avgpool, sum };
