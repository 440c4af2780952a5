/* structnet features: what the last matrix of a net sees of each image, as NumPy arrays. */
#include "choose_layer.h"
#include "command.h"
#include "layer_costs.h"
#include "load_net.h"
#include "npy.h"
#include "outputs.h"
#include "pictures.h"

#include <plug_errors.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <network.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_features = {
    .name = "features",
    .run = run,
    .summary = "inputs of the last matrix of a net, for a list of images",
    .usage = "usage: structnet features CFG WEIGHTS LIST -o NAME [OPTION]...\n"
             "\n"
             "LIST names images, one path per line, as the train and valid lists of a .data file\n"
             "do. NAME.x.npy receives rows x inputs, float32: the inputs of the last connected or\n"
             "structured layer, or of the last 1x1 convolution in a net without one, evaluated as\n"
             "in prediction. Rows are in the order of LIST, one for each image. Of a 1x1\n"
             "convolution and of a structured layer with size=1 every pixel is a row, line by\n"
             "line, and inputs are its channels.\n"
             "\n"
             "  -o NAME         output files\n"
             "  --labels FILE   write NAME.y.npy too, int32: the class of each row, which is its\n"
             "                  image's label's place in FILE (one label per line), counted\n"
             "                  from 0\n" PICTURES_RESIZE_HELP
             "  --layer N       layer N instead, counted from 0 as Darknet prints them\n"
             "  --json          one object instead of the table\n"
             "\n" PICTURES_LABEL_HELP
};

struct request {
    const char *cfg, *weights, *list, *name, *labels;
    int layer, resize, json;
};

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "labels", 1, 0, 'c' },
                                             { "resize", 1, 0, 'r' },
                                             { "layer", 1, 0, 'l' },
                                             { "output", 1, 0, 'o' },
                                             { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },
                                             { 0 } };
    const struct command *command = &cmd_features;
    struct request request = { .layer = -1 };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'c': request.labels = optarg; break;
        case 'r':
            request.resize = command_whole_number(command, "--resize", optarg, 1,
                                                  PICTURES_MAX_SIZE);
            break;
        case 'l': request.layer = choose_layer_option(command, optarg); break;
        case 'o': request.name = optarg; break;
        case 'j': request.json = 1; break;
        default: command_other_option(command, option);
        }
    }
    command_check_arguments(command, argc, 3, 3);
    if (!outputs_is_name(request.name)) command_usage_error(command, "expected -o NAME");
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    request.list = argv[optind + 2];
    return request;
}

/* An image's inputs, channel by channel, pixel by pixel. */
static void write_pixels(const float *input, const struct layer_matrix *matrix, float *row,
                         FILE *file)
{
    for (int p = 0; p < matrix->n_pixels; p++) {
        for (int c = 0; c < matrix->n_columns; c++)
            row[c] = input[(size_t)c * (size_t)matrix->n_pixels + (size_t)p];
        fwrite(row, sizeof *row, (size_t)matrix->n_columns, file);
    }
}

/* Runs the layers before the given one only, so that none behind it can touch its inputs. */
static enum sn_status write_inputs(const struct request *request, network *net, int layer,
                                   const struct lines *images, FILE *file, struct sn_error *error)
{
    struct layer_matrix matrix = layer_matrix(&net->layers[layer]);
    const float *inputs = layer ? net->layers[layer - 1].output : net->input;
    size_t n_inputs = (size_t)matrix.n_columns * (size_t)matrix.n_pixels;
    enum sn_status status = SN_OK;
    int n_layers = net->n;
    float *row = malloc((size_t)matrix.n_columns * sizeof *row);
    if (!row) return sn_no_memory(error, "%d inputs", matrix.n_columns);
    npy_write_header(file, "<f4", 2,
                     (size_t[]){ (size_t)images->n * (size_t)matrix.n_pixels,
                                 (size_t)matrix.n_columns });
    net->n = layer;
    for (int start = 0, n; start < images->n && !status; start += n) {
        status = pictures_load(net, images, start, request->resize, &n, error);
        if (!status) network_predict(net, net->input);
        for (int b = 0; b < n && !status; b++)
            write_pixels(inputs + (size_t)b * n_inputs, &matrix, row, file);
        command_progress((double)(start + n) / images->n, "%d of %d", start + n, images->n);
    }
    net->n = n_layers;
    free(row);
    return status;
}

static void write_classes(const int *class, int n_images, int n_pixels, FILE *file)
{
    npy_write_header(file, "<i4", 1, (size_t[]){ (size_t)n_images * (size_t)n_pixels });
    for (int i = 0; i < n_images; i++)
        for (int p = 0; p < n_pixels; p++) fwrite(&(int32_t){ class[i] }, sizeof(int32_t), 1, file);
}

/* Both files, or none; class may be NULL. */
static enum sn_status write_files(const struct request *request, network *net, int layer,
                                  const struct lines *images, const int *class,
                                  struct sn_error *error)
{
    const char *inputs[] = { request->cfg, request->weights, request->list, request->labels, NULL };
    struct outputs outputs;
    FILE *rows = NULL, *classes = NULL;
    outputs_begin(&outputs, inputs);
    if (!(rows = outputs_open_named(&outputs, request->name, "x.npy", error))
        || (class && !(classes = outputs_open_named(&outputs, request->name, "y.npy", error)))
        || write_inputs(request, net, layer, images, rows, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    if (class) write_classes(class, images->n, layer_matrix(&net->layers[layer]).n_pixels, classes);
    return outputs_publish(&outputs, error);
}

static void print_result(const struct request *request, const network *net, int layer, int n_images,
                         int n_classes, double seconds)
{
    struct layer_matrix matrix = layer_matrix(&net->layers[layer]);
    double rows = (double)n_images * matrix.n_pixels;
    if (!request->json) {
        printf("images   %d\nrows     %.0f\ninputs   %d\nlayer    %d [%s]\n", n_images, rows,
               matrix.n_columns, layer, weights_layer_name(&net->layers[layer]));
        if (n_classes) printf("classes  %d\n", n_classes);
        printf("seconds  %.3f\nfiles    %s.x.npy%s\n", seconds, request->name,
               n_classes ? " .y.npy" : "");
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "images", n_images);
    cJSON_AddNumberToObject(root, "rows", rows);
    cJSON_AddNumberToObject(root, "inputs", matrix.n_columns);
    cJSON_AddNumberToObject(root, "layer", layer);
    if (n_classes) cJSON_AddNumberToObject(root, "classes", n_classes);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct sn_error error;
    struct lines images, labels = { 0 };
    int *class = NULL, layer;
    double start = command_seconds();
    if (pictures_read_lines(request.list, &images, &error)) sn_die(&error);
    if (request.labels
        && (pictures_read_lines(request.labels, &labels, &error)
            || !(class = pictures_classes(&images, &labels, &error))))
        sn_die(&error);
    network *net = load_net(request.cfg, request.weights);
    if (pictures_check(net, request.cfg, request.resize, &error)
        || choose_layer(net, request.cfg, request.layer, &choose_layer_matrix, &layer, &error))
        sn_die(&error);
    if (write_files(&request, net, layer, &images, class, &error)) sn_die(&error);
    print_result(&request, net, layer, images.n, labels.n, command_seconds() - start);
    free_network(net);
    free(class);
    pictures_free_lines(&images);
    pictures_free_lines(&labels);
    return 0;
}
