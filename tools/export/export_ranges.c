/* Samples through the layers, one by one: what numbers they take. */
#include "export_layers.h"

#include <activations.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <structured_layer.h>

static void widen(float *low, float *high, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        *low = fminf(*low, x[i]);
        *high = fmaxf(*high, x[i]);
    }
}

/* The largest state at all places of an input; scratch has room for the patches and three of
 * everything. */
static float largest_state(const layer *l, const float *input, float *scratch)
{
    const struct sn_matrix *structured = structured_matrix(l);
    struct sn_window window = structured_window(l);
    size_t n = sn_window_inputs(&window), places = sn_window_places(&window);
    float most = 0;
    sn_window_take(&window, input, scratch);
    for (size_t p = 0; p < places; p++)
        most = fmaxf(most,
                     export_family(structured)
                         ->state(structured, export_words(l), scratch + p * n,
                                 scratch + places * n));
    return most;
}

static size_t scratch_of(const network *net, int first, int last)
{
    size_t most = 0;
    for (int i = first; i <= last; i++) {
        const layer *l = &net->layers[i];
        const struct sn_matrix *structured = structured_matrix(l);
        if (!structured) continue;
        size_t places = (size_t)l->out_w * (size_t)l->out_h, inputs = (size_t)structured->n_inputs,
               n = (places + 3) * inputs + 4 * (size_t)structured->n_outputs
            + 2 * structured->n_states;
        most = n > most ? n : most;
    }
    return most;
}

/* Layer i on net.input. */
static void run_layer(network net, int i, struct export_range *range, float *scratch)
{
    layer l = net.layers[i];
    ACTIVATION activation = l.activation;
    size_t n = (size_t)l.outputs;
    int is_looked_up = export_needs_table(&l);
    if (is_looked_up) l.activation = LINEAR;
    if (structured_matrix(&l))
        range->state = fmaxf(range->state, largest_state(&l, net.input, scratch));
    l.forward(l, net);
    widen(&range->pre_low, &range->pre_high, l.output, n);
    if (is_looked_up) activate_array(l.output, l.outputs, activation);
    widen(&range->low, &range->high, l.output, n);
}

enum sn_status export_ranges(network *net, int first, int last, const float *x, size_t n,
                             size_t step, struct export_range *input, struct export_range *ranges,
                             float *outputs, struct sn_error *error)
{
    size_t n_inputs = (size_t)net->layers[first].inputs,
           n_outputs = (size_t)net->layers[last].outputs;
    float *row = malloc((n_inputs + 1) * sizeof *row),
          *scratch = malloc((scratch_of(net, first, last) + 1) * sizeof *scratch);
    if (!row || !scratch) {
        free(row);
        free(scratch);
        return sn_no_memory(error, "%zu inputs", n_inputs);
    }
    memset(ranges, 0, (size_t)net->n * sizeof *ranges);
    *input = (struct export_range){ 0 };
    network run = *net;
    run.train = 0;
    run.delta = NULL;
    for (size_t i = 0; i < n; i++) {
        memcpy(row, x + i * step * n_inputs, n_inputs * sizeof *row);
        widen(&input->low, &input->high, row, n_inputs);
        run.input = row;
        for (int k = first; k <= last; k++) {
            run.index = k;
            run_layer(run, k, &ranges[k], scratch);
            run.input = net->layers[k].output;
        }
        if (outputs)
            memcpy(outputs + i * n_outputs, net->layers[last].output, n_outputs * sizeof *outputs);
    }
    free(row);
    free(scratch);
    return SN_OK;
}
