/* structnet calibrate: the statistics of batch normalisation, taken again over images. */
#include "calibration.h"
#include "command.h"
#include "image_list.h"
#include "load_net.h"
#include "outputs.h"
#include "pictures.h"

#include <plug_errors.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_calibrate = {
    .name = "calibrate",
    .run = run,
    .summary = "statistics of batch normalisation, taken again over images",
    .usage =
        "usage: structnet calibrate CFG WEIGHTS LIST -o FILE [OPTION]...\n"
        "\n"
        "Writes WEIGHTS with new means and variances for all layers with batch_normalize=1:\n"
        "those of what the layer's matrix gives at all pixels of all images, layer by layer,\n"
        "the layers before being normalised by their new ones. Every other byte stays. No\n"
        "labels and no training: for nets whose layers were replaced one by one, or that see\n"
        "other images than they were trained on. Layers that were fitted to a reference\n"
        "(features --reference) bring their means with them and have little to gain.\n"
        "\n"
        "LIST names images, one path per line; of a .data file it is the train list. A few\n"
        "hundred images are enough: each is evaluated once for every layer, up to there. The\n"
        "result does not depend on how many cores there are.\n"
        "\n"
        "  -o FILE         the new .weights\n"
        "  --images N      of LIST, N images spread evenly, instead of all\n" PICTURES_RESIZE_HELP
        "  --json          one object instead of the table\n"
};

struct request {
    const char *cfg, *weights, *list, *output;
    int n_images, resize, json;
};

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "images", 1, 0, 'i' }, { "resize", 1, 0, 'r' },
                                             { "output", 1, 0, 'o' }, { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },   { 0 } };
    const struct command *command = &cmd_calibrate;
    struct request request = { 0 };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'i':
            request.n_images = command_whole_number(command, "--images", optarg, 2, 100000000);
            break;
        case 'r':
            request.resize = command_whole_number(command, "--resize", optarg, 1,
                                                  PICTURES_MAX_SIZE);
            break;
        case 'o': request.output = optarg; break;
        case 'j': request.json = 1; break;
        default: command_other_option(command, option);
        }
    }
    command_check_arguments(command, argc, 3, 3);
    if (!request.output) command_usage_error(command, "expected -o FILE");
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    request.list = argv[optind + 2];
    return request;
}

static enum sn_status write_file(const struct request *request, const network *net,
                                 struct sn_error *error)
{
    const char *inputs[] = { request->cfg, request->weights, request->list, NULL };
    struct outputs outputs;
    outputs_begin(&outputs, inputs);
    FILE *file = outputs_open(&outputs, request->output, error);
    if (!file || calibration_write(request->weights, net, file, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    return outputs_publish(&outputs, error);
}

static enum sn_status open_nets(const struct request *request, const struct lines *images,
                                struct features *features, struct sn_error *error)
{
    struct features_source source = { .cfg = request->cfg,
                                      .weights = request->weights,
                                      .images = images,
                                      .resize = request->resize };
    network *net = load_net(request->cfg, request->weights);
    enum sn_status status = pictures_check(net, request->cfg, request->resize, error);
    return status ? status : features_open(features, &source, net, error);
}

static void print_result(const struct request *request, int n_images,
                         const struct calibration *found, double seconds)
{
    if (!request->json) {
        printf("images   %d\nlayers   %d, %d channels\nchange   %.3g deviations at most\n"
               "seconds  %.3f\nfile     %s\n",
               n_images, found->n_layers, found->n_channels, found->change, seconds,
               request->output);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "images", n_images);
    cJSON_AddNumberToObject(root, "layers", found->n_layers);
    cJSON_AddNumberToObject(root, "channels", found->n_channels);
    cJSON_AddNumberToObject(root, "change", found->change);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct calibration calibration;
    struct features features;
    struct lines images;
    struct sn_error error;
    double start = command_seconds();
    command_use_threads(1);
    if (image_list_read(request.list, "train", &images, &error)) sn_die(&error);
    image_list_thin(&images, request.n_images);
    if (open_nets(&request, &images, &features, &error)
        || calibration_run(&features, &calibration, &error)
        || write_file(&request, features.workers->net, &error))
        sn_die(&error);
    print_result(&request, images.n, &calibration, command_seconds() - start);
    features_close(&features);
    lines_free(&images);
    return 0;
}
