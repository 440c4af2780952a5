/* structnet info: what a net or a checkpoint consists of. */
#include "checkpoint.h"
#include "command.h"
#include "layer_costs.h"
#include "load_net.h"

#include <plug_errors.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>

static int run(int argc, char **argv);

const struct command cmd_info = {
    .name = "info",
    .run = run,
    .summary = "layers, parameters and multiply-adds of a net; tensors of a checkpoint",
    .usage =
        "usage: structnet info CFG [WEIGHTS] [--json]\n"
        "       structnet info CHECKPOINT [--json]\n"
        "\n"
        "Prints one row per layer: input and output shape, stored values, bits of a value of\n"
        "the matrix, bytes in the .weights file (biases, batch statistics, scales and indices\n"
        "included) and multiply-adds for one input. With WEIGHTS the file is checked against\n"
        "the cfg.\n"
        "\n"
        "CHECKPOINT is a PyTorch checkpoint (.pth, .pt, .th, .bin, .ckpt, .tar, of PyTorch 1.6\n"
        "or older ones) or .safetensors: prints one row per tensor. --json adds the CRC-32 of the\n"
        "values as float32 in C order. Nothing in the file is executed.\n"
        "\n"
        "  --json  one object instead of the table\n"
};

struct row {
    const char *type;
    char input[32], output[32];
    int bits; /* of a value; 0 without values */
    double values, bytes, multiply_adds;
};

static void print_shape(char *text, size_t size, int w, int h, int c, int n)
{
    if (w > 1 || h > 1) snprintf(text, size, "%d x %d x %d", w, h, c);
    else snprintf(text, size, "%d", n);
}

static struct row describe(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    struct row row = { .type = weights_layer_name(l),
                       .bytes = (double)layer_bytes(l),
                       .multiply_adds = layer_multiply_adds(l) };
    row.values = matrix
        ? (row.bytes - (double)matrix->n_bytes) / sizeof(float) + (double)matrix->n_values
        : row.bytes / sizeof(float);
    row.bits = matrix ? matrix->bits : row.values > 0 ? 32 : 0;
    int c = matrix ? structured_window(l).channels : l->c;
    print_shape(row.input, sizeof row.input, l->w, l->h, c, l->inputs);
    print_shape(row.output, sizeof row.output, l->out_w, l->out_h, l->out_c, l->outputs);
    return row;
}

static void print_table(const network *net)
{
    double values = 0, bytes = 0, multiply_adds = 0;
    printf("%5s  %-14s %18s  %18s %12s %4s %12s %14s\n", "layer", "type", "input", "output",
           "values", "bits", "bytes", "multiply-adds");
    for (int i = 0; i < net->n; i++) {
        struct row row = describe(&net->layers[i]);
        printf("%5d  %-14s %18s  %18s %12.0f %4d %12.0f %14.0f\n", i, row.type, row.input,
               row.output, row.values, row.bits, row.bytes, row.multiply_adds);
        values += row.values;
        bytes += row.bytes;
        multiply_adds += row.multiply_adds;
    }
    printf("%5s  %-14s %18s  %18s %12.0f %4s %12.0f %14.0f\n", "total", "", "", "", values, "",
           bytes, multiply_adds);
}

static void print_json(const network *net)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i];
        struct row row = describe(l);
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "layer", i);
        cJSON_AddStringToObject(item, "type", row.type);
        cJSON_AddNumberToObject(item, "inputs", l->inputs);
        cJSON_AddNumberToObject(item, "outputs", l->outputs);
        cJSON_AddNumberToObject(item, "values", row.values);
        cJSON_AddNumberToObject(item, "bits", row.bits);
        cJSON_AddNumberToObject(item, "bytes", row.bytes);
        cJSON_AddNumberToObject(item, "multiply_adds", row.multiply_adds);
        cJSON_AddItemToArray(layers, item);
    }
    command_print_json(root);
}

static size_t tensor_bytes(const struct tensor *tensor)
{
    return tensor->n_elements * tensor_type_bytes(tensor->type);
}

static void print_tensors(const struct checkpoint *checkpoint)
{
    char shape[TENSOR_SHAPE_TEXT];
    double values = 0, bytes = 0;
    printf("%-48s %-9s %18s %12s\n", "tensor", "type", "shape", "values");
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const struct tensor *tensor = &checkpoint->tensors[i];
        tensor_print_shape(tensor->n_dimensions, tensor->shape, shape);
        printf("%-48s %-9s %18s %12zu\n", tensor->name, tensor_type_name(tensor->type), shape,
               tensor->n_elements);
        values += (double)tensor->n_elements;
        bytes += (double)tensor_bytes(tensor);
    }
    printf("%-48s %-9s %18s %12.0f\n", "total", "", "", values);
    printf("%d tensors, %.0f bytes, format %s\n", checkpoint->n_tensors, bytes, checkpoint->format);
}

/* CRC-32 of the values as float32 in C order. */
static uint32_t tensor_crc(const struct tensor *tensor)
{
    enum { CHUNK = 16384 };
    static float values[CHUNK];
    uint32_t crc = 0;
    for (size_t i = 0; i < tensor->n_elements; i += CHUNK) {
        size_t n = tensor->n_elements - i < CHUNK ? tensor->n_elements - i : CHUNK;
        tensor_floats(tensor, i, n, values);
        crc = libdeflate_crc32(crc, values, n * sizeof *values);
    }
    return crc;
}

static void print_tensors_json(const struct checkpoint *checkpoint)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "format", checkpoint->format);
    cJSON *tensors = cJSON_AddArrayToObject(root, "tensors");
    for (int i = 0; i < checkpoint->n_tensors; i++) {
        const struct tensor *tensor = &checkpoint->tensors[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", tensor->name);
        cJSON *shape = cJSON_AddArrayToObject(item, "shape");
        for (int k = 0; k < tensor->n_dimensions; k++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)tensor->shape[k]));
        cJSON_AddStringToObject(item, "type", tensor_type_name(tensor->type));
        cJSON_AddNumberToObject(item, "values", (double)tensor->n_elements);
        cJSON_AddNumberToObject(item, "crc32", (double)tensor_crc(tensor));
        cJSON_AddItemToArray(tensors, item);
    }
    command_print_json(root);
}

static void show_checkpoint(const char *path, int json)
{
    struct checkpoint checkpoint;
    struct sn_error error;
    if (checkpoint_open(path, NULL, &checkpoint, &error)) sn_die(&error);
    (json ? print_tensors_json : print_tensors)(&checkpoint);
    checkpoint_close(&checkpoint);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 } };
    int json = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'j') json = 1;
        else command_other_option(&cmd_info, option);
    }
    command_check_arguments(&cmd_info, argc, 1, 2);
    if (argc - optind == 1 && checkpoint_is_named(argv[optind])) {
        show_checkpoint(argv[optind], json);
        return 0;
    }
    network *net = load_net(argv[optind], argc - optind > 1 ? argv[optind + 1] : NULL);
    (json ? print_json : print_table)(net);
    free_network(net);
    return 0;
}
