#include "layer_costs.h"

#include <structured_layer.h>
#include <weights_file.h>

struct layer_matrix layer_matrix(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    int is_1x1 = l->type == CONVOLUTIONAL && l->size == 1 && l->stride == 1 && l->groups <= 1
        && l->pad == 0 && !l->binary && !l->xnor;
    if (matrix)
        return (struct layer_matrix){ matrix->n_outputs, matrix->n_inputs, l->out_w * l->out_h };
    if (l->type == CONNECTED) return (struct layer_matrix){ l->outputs, l->inputs, 1 };
    if (is_1x1) return (struct layer_matrix){ l->n, l->c, l->w * l->h };
    return (struct layer_matrix){ 0 };
}

size_t layer_bytes(const layer *l)
{
    layer stored = *l;
    stored.dontload = stored.dontloadscales = 0;
    return weights_layer_bytes(&stored);
}

static double connected_multiply_adds(const layer *l) { return (double)l->inputs * l->outputs; }

double layer_multiply_adds(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    int n_channels = l->c / (l->groups ? l->groups : 1); /* that one filter of a convolution sees */
    if (matrix) return (double)matrix->n_values * l->out_w * l->out_h;
    switch (l->type) {
    case CONVOLUTIONAL: return (double)l->n * n_channels * l->size * l->size * l->out_h * l->out_w;
    case DECONVOLUTIONAL: return (double)l->n * l->c * l->size * l->size * l->h * l->w;
    case LOCAL: return (double)l->n * l->c * l->size * l->size * l->out_h * l->out_w;
    case CONNECTED: return connected_multiply_adds(l);
    case RNN:
        return connected_multiply_adds(l->input_layer) + connected_multiply_adds(l->self_layer)
            + connected_multiply_adds(l->output_layer);
    case CRNN:
        return layer_multiply_adds(l->input_layer) + layer_multiply_adds(l->self_layer)
            + layer_multiply_adds(l->output_layer);
    case LSTM: return 4 * (connected_multiply_adds(l->wf) + connected_multiply_adds(l->uf));
    case GRU: return 3 * (connected_multiply_adds(l->wz) + connected_multiply_adds(l->uz));
    default: return 0;
    }
}
