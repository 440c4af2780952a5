/* structnet run: a net's outputs for an array of inputs. */
#include "choose_layer.h"
#include "command.h"
#include "load_net.h"
#include "npy.h"
#include "outputs.h"

#include <plug_errors.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <network.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_run = {
    .name = "run",
    .run = run,
    .summary = "outputs of a net for an array of inputs",
    .usage = "usage: structnet run CFG WEIGHTS --input X.npy -o Y.npy [--layer N] [--json]\n"
             "\n"
             "X.npy holds float32 inputs, n x channels x height x width or n x inputs. Y.npy\n"
             "receives n x outputs, float32: of the last layer that is not [softmax], [cost] or\n"
             "[dropout] (the logits of a classifier), evaluated as in prediction.\n"
             "\n"
             "  --layer N  the outputs of layer N instead, counted from 0 as Darknet prints them\n"
             "  --json     one object instead of the table\n"
};

struct request {
    const char *cfg, *weights, *input, *output;
    int layer, json;
};

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "input", 1, 0, 'i' }, { "output", 1, 0, 'o' },
                                             { "layer", 1, 0, 'l' }, { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },  { 0 } };
    struct request request = { .layer = -1 };
    for (int option; (option = getopt_long(argc, argv, "hi:o:", options, NULL)) != -1;) {
        switch (option) {
        case 'i': request.input = optarg; break;
        case 'o': request.output = optarg; break;
        case 'l': request.layer = choose_layer_option(&cmd_run, optarg); break;
        case 'j': request.json = 1; break;
        default: command_other_option(&cmd_run, option);
        }
    }
    command_check_arguments(&cmd_run, argc, 2, 2);
    if (!request.input || !request.output)
        command_usage_error(&cmd_run, "expected --input X.npy and -o Y.npy");
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    return request;
}

static enum sn_status check_input(const struct request *request, const network *net,
                                  const struct npy *x, struct sn_error *error)
{
    const size_t *s = x->shape;
    int is_flat = x->n_dimensions == 2 && s[1] == (size_t)net->inputs;
    int is_image = x->n_dimensions == 4 && s[1] == (size_t)net->c && s[2] == (size_t)net->h
        && s[3] == (size_t)net->w;
    if (is_flat || is_image) return SN_OK;
    char found[NPY_SHAPE_TEXT];
    npy_print_shape(x, found);
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected n x %d x %d x %d or n x %d values for %s, found %s",
                   request->input, net->c, net->h, net->w, net->inputs, request->cfg, found);
}

/* Evaluates all inputs, a batch at a time, and writes the outputs of l. */
static void write_rows(network *net, const layer *l, const struct npy *x, FILE *file)
{
    size_t n = x->shape[0], inputs = (size_t)net->inputs, batch = (size_t)net->batch,
           outputs = (size_t)l->outputs;
    npy_write_header(file, "<f4", 2, (size_t[]){ n, outputs });
    for (size_t i = 0; i < n; i += batch) {
        size_t count = n - i < batch ? n - i : batch;
        memset(net->input, 0, batch * inputs * sizeof(float));
        memcpy(net->input, x->values + i * inputs, count * inputs * sizeof(float));
        network_predict(net, net->input);
        fwrite(l->output, sizeof(float), count * outputs, file);
        command_progress((double)(i + count) / (double)n, "%zu of %zu", i + count, n);
    }
}

static enum sn_status write_file(const struct request *request, network *net, int layer,
                                 const struct npy *x, struct sn_error *error)
{
    const char *inputs[] = { request->cfg, request->weights, request->input, NULL };
    struct outputs outputs;
    outputs_begin(&outputs, inputs);
    FILE *file = outputs_open(&outputs, request->output, error);
    if (!file) {
        outputs_discard(&outputs);
        return error->code;
    }
    write_rows(net, &net->layers[layer], x, file);
    return outputs_publish(&outputs, error);
}

static void print_result(const struct request *request, const network *net, int layer, size_t n,
                         double seconds)
{
    const struct layer *l = &net->layers[layer];
    if (!request->json) {
        printf("inputs   %zu\nlayer    %d [%s]\noutputs  %d\nseconds  %.3f\nfile     %s\n", n,
               layer, weights_layer_name(l), l->outputs, seconds, request->output);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "inputs", (double)n);
    cJSON_AddNumberToObject(root, "layer", layer);
    cJSON_AddNumberToObject(root, "outputs", l->outputs);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct sn_error error;
    struct npy x;
    int layer;
    if (npy_read(request.input, &x, &error)) sn_die(&error);
    network *net = load_net(request.cfg, request.weights);
    if (choose_layer(net, request.cfg, request.layer, &choose_layer_outputs, &layer, &error)
        || check_input(&request, net, &x, &error))
        sn_die(&error);
    double start = command_seconds();
    if (write_file(&request, net, layer, &x, &error)) sn_die(&error);
    print_result(&request, net, layer, x.shape[0], command_seconds() - start);
    free(x.values);
    free_network(net);
    return 0;
}
