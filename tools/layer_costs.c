#include "layer_costs.h"

#include <structured_layer.h>
#include <weights_file.h>

static int is_plain_convolution(const layer *l)
{
    int is_1x1 = l->size == 1, is_at_pixels = l->stride == 1 && l->pad == 0;
    return l->type == CONVOLUTIONAL && !l->binary && !l->xnor && (!is_1x1 || is_at_pixels);
}

static struct layer_matrix matrix_at(int n_rows, int n_blocks, struct sn_window window)
{
    return (struct layer_matrix){ n_rows, (int)sn_window_inputs(&window),
                                  (int)sn_window_places(&window), n_blocks, window };
}

struct layer_matrix layer_matrix(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    if (matrix) return matrix_at(matrix->n_outputs, 1, structured_window(l));
    if (l->type == CONNECTED) return matrix_at(l->outputs, 1, sn_window_of_vector(l->inputs));
    if (is_plain_convolution(l))
        return matrix_at(l->n, l->groups > 1 ? l->groups : 1,
                         (struct sn_window){ l->c, l->h, l->w, l->size, l->stride, l->pad, l->out_h,
                                             l->out_w });
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
