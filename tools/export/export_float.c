/* Each kind of layer as one of floats. */
#include "export_float.h"
#include "export_layers.h"

#include <float.h>
#include <math.h>
#include <relu6_layer.h>
#include <stdlib.h>

/* ---- What layers share */

static const struct {
    ACTIVATION activation;
    float (*activate)(float x);
    const char *name;
} activations[] = {
    { LOGISTIC, sn_micro_float_logistic, "logistic" },
    { LOGGY, sn_micro_float_loggy, "loggy" },
    { TANH, sn_micro_float_tanh, "tanh" },
    { ELU, sn_micro_float_elu, "elu" },
    { SELU, sn_micro_float_selu, "selu" },
    { RELIE, sn_micro_float_relie, "relie" },
    { RAMP, sn_micro_float_ramp, "ramp" },
    { LEAKY, sn_micro_float_leaky, "leaky" },
    { PLSE, sn_micro_float_plse, "plse" },
    { STAIR, sn_micro_float_stair, "stair" },
    { LHTAN, sn_micro_float_lhtan, "lhtan" },
};
enum { N_ACTIVATIONS = sizeof activations / sizeof *activations };

struct sn_micro_float_output export_float_output(const layer *l)
{
    struct sn_micro_float_output output = sn_micro_float_state;
    int has_activation = export_has_activation(l), is_relu6 = l->forward == forward_relu6_layer;
    if ((has_activation && l->activation == RELU) || is_relu6) output.low = 0;
    if (is_relu6) output.high = 6;
    if (!has_activation) return output;
    if (l->activation == HARDTAN) output.low = -1, output.high = 1;
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (l->activation == activations[i].activation) output.activate = activations[i].activate;
    return output;
}

const char *export_float_activation(const struct sn_micro_float_output *output)
{
    for (int i = 0; i < N_ACTIVATIONS; i++)
        if (output->activate == activations[i].activate) return activations[i].name;
    return NULL;
}

float *export_panels(const float *w, int n_rows, int n_columns, float *to)
{
    enum { ROWS = 4 };
    for (int i = 0, n; i < n_rows; i += n) {
        n = n_rows - i < ROWS ? n_rows - i : ROWS;
        for (int j = 0; j < n_columns; j++)
            for (int r = i; r < i + n; r++) *to++ = w[(size_t)r * (size_t)n_columns + (size_t)j];
    }
    return to;
}

/* ---- Kinds */

static enum sn_status convolution(struct export_layer *e, struct sn_micro_step *step,
                                  size_t *scratch)
{
    struct export_window window = export_window_of(e->l);
    int n = window.channels * window.size * window.size, m = window.filters * window.groups;
    size_t n_weights = (size_t)m * (size_t)n;
    struct sn_micro_float_convolution *to = export_allocate(e->net, 1, sizeof *to);
    float *w = calloc(n_weights + 1, sizeof *w),
          *weights = export_allocate(e->net, n_weights, sizeof *weights), *at = weights,
          *bias = export_allocate(e->net, (size_t)m, sizeof *bias);
    if (!to || !w || !weights || !bias) {
        free(w);
        return export_no_memory(e);
    }
    for (size_t i = 0; i < (size_t)m; i++) {
        double offset, gain = export_gain(e->l, (int)i, &offset);
        bias[i] = (float)offset;
        for (size_t k = i * (size_t)n; k < (i + 1) * (size_t)n; k++)
            w[k] = (float)(gain * (double)e->l->weights[k]);
    }
    for (int g = 0; g < window.groups; g++)
        at = export_panels(w + (at - weights), window.filters, n, at);
    *to = (struct sn_micro_float_convolution){
        export_float_output(e->l),   (uint16_t)window.channels,  (uint16_t)window.height,
        (uint16_t)window.width,      (uint16_t)window.filters,   (uint16_t)window.groups,
        (uint16_t)window.size,       (uint16_t)window.stride,    (uint16_t)window.pad,
        (uint16_t)window.out_height, (uint16_t)window.out_width, { weights, bias }
    };
    *scratch = e->l->type == CONNECTED ? 0 : (size_t)n * sizeof(float);
    *step = (struct sn_micro_step){ .run = sn_micro_float_convolution, .layer = to };
    free(w);
    return SN_OK;
}

static enum sn_status maxpool(struct export_layer *e, struct sn_micro_step *step)
{
    enum sn_status status = export_integers.maxpool(e, step);
    step->run = sn_micro_float_maxpool;
    return status;
}

static enum sn_status avgpool(struct export_layer *e, struct sn_micro_step *step)
{
    struct sn_micro_float_avgpool *to = export_allocate(e->net, 1, sizeof *to);
    if (!to) return export_no_memory(e);
    *to = (struct sn_micro_float_avgpool){ export_float_output(e->l), (uint16_t)e->l->c,
                                           (uint16_t)(e->l->h * e->l->w) };
    *step = (struct sn_micro_step){ .run = sn_micro_float_avgpool, .layer = to };
    return SN_OK;
}

static enum sn_status sum(struct export_layer *e, const struct export_number from[2],
                          const double factor[2], size_t n, struct sn_micro_step *step)
{
    struct sn_micro_float_sum *to = export_allocate(e->net, 1, sizeof *to);
    (void)from;
    if (!to) return export_no_memory(e);
    *to = (struct sn_micro_float_sum){ export_float_output(e->l),
                                       (uint32_t)n,
                                       { (float)factor[0], (float)factor[1] } };
    *step = (struct sn_micro_step){ .run = sn_micro_float_sum, .layer = to };
    return SN_OK;
}

const struct export_kinds export_floats = { convolution, maxpool, avgpool, sum };
