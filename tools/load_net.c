#include "load_net.h"

#include <plug_errors.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr = -1;
static FILE *captured;

/* Gives stderr back and, when the process is about to end by Darknet's hand, prints what Darknet
 * said. */
static void restore_stderr(void)
{
    if (saved_stderr < 0) return;
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    saved_stderr = -1;
}

static void report_captured(void)
{
    if (saved_stderr < 0) return;
    char text[512];
    restore_stderr();
    long end = lseek(fileno(captured), 0, SEEK_END);
    ssize_t n = pread(fileno(captured), text, sizeof text - 1, end > 500 ? end - 500 : 0);
    text[n > 0 ? n : 0] = '\0';
    while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = ' ';
    if (n > 0) fprintf(stderr, "%s: %s\n", sn_program, text);
}

void quiet_begin(void)
{
    fflush(stderr);
    if (!captured) captured = tmpfile();
    if (!captured || (saved_stderr = dup(STDERR_FILENO)) < 0) return;
    if (ftruncate(fileno(captured), 0)) rewind(captured);
    dup2(fileno(captured), STDERR_FILENO);
    lseek(STDERR_FILENO, 0, SEEK_SET);
    sn_before_error = restore_stderr;
    sn_before_exit = report_captured;
}

void quiet_end(void)
{
    restore_stderr();
    sn_before_error = sn_before_exit = NULL;
}

network *load_net(const char *cfg, const char *weights)
{
    struct sn_error error;
    quiet_begin();
    network *net = parse_network_cfg((char *)cfg);
    if (weights) {
        if (weights_check_length(net, weights, 0, net->n, 1, &error)) sn_die(&error);
        load_weights(net, (char *)weights);
    }
    quiet_end();
    return net;
}

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
    if (matrix) return (double)matrix->n_values * l->out_w * l->out_h;
    switch (l->type) {
    case CONVOLUTIONAL:
        return (double)l->n * (l->c / (l->groups ? l->groups : 1)) * l->size * l->size * l->out_h
            * l->out_w;
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
