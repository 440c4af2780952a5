/* structnet export: a net, or a layer of one, as C for a microcontroller. */
#include "choose_layer.h"
#include "command.h"
#include "export_net.h"
#include "image_list.h"
#include "load_net.h"
#include "npy.h"
#include "outputs.h"
#include "pictures.h"

#include <entries.h>
#include <plug_errors.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_export = {
    .name = "export",
    .run = run,
    .summary = "a net, or a layer of one, as C for a microcontroller",
    .usage =
        "usage: structnet export CFG WEIGHTS --features X.npy -o NAME [OPTION]...\n"
        "       structnet export CFG WEIGHTS --images LIST -o NAME [OPTION]...\n"
        "\n"
        "NAME.c and NAME.h receive the net as constants, with batch normalisation folded into\n"
        "them; they need layers/micro*.h and the layers/micro_*.c, which take no library, no heap\n"
        "and no file. [softmax], [cost] and [dropout] at the end are left out. Every second\n"
        "sample says what ranges integers take, the others judge: the error of the outputs\n"
        "against those of Darknet, and how often the largest is the same.\n"
        "\n"
        "  -o NAME           output files; its last part begins what is declared in them\n"
        "  --features X.npy  float32 samples of what goes in: rows x inputs, as\n"
        "                    \"structnet features\" writes them for --layer\n"
        "  --images LIST     images, one path per line, for a whole net\n" PICTURES_RESIZE_HELP
        "  --bits B          8 (default): integers; 32: floats\n"
        "  --layer N         layer N alone instead of the net, counted from 0\n"
        "  --vectors         write NAME.inputs and NAME.outputs too: all samples as the\n"
        "                    numbers that go in, and those that come out\n"
        "  --json            one object instead of the table\n"
};

struct request {
    const char *cfg, *weights, *features, *images, *name;
    int layer, bits, resize, has_vectors, json;
};

/* The last part of a path. */
static const char *identifier_of(const char *path)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): a name that is none has ended it. */
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int is_identifier(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_') return 0;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && *name != '_') return 0;
    return 1;
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "features", 1, 0, 'f' }, { "images", 1, 0, 'i' },
                                             { "resize", 1, 0, 'r' },   { "layer", 1, 0, 'l' },
                                             { "bits", 1, 0, 'b' },     { "output", 1, 0, 'o' },
                                             { "vectors", 0, 0, 'v' },  { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },     { 0 } };
    const struct command *command = &cmd_export;
    struct request request = { .layer = -1, .bits = 8 };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'f': request.features = optarg; break;
        case 'i': request.images = optarg; break;
        case 'r':
            request.resize = command_whole_number(command, "--resize", optarg, 1,
                                                  PICTURES_MAX_SIZE);
            break;
        case 'l': request.layer = choose_layer_option(command, optarg); break;
        case 'b': request.bits = command_whole_number(command, "--bits", optarg, 8, 32); break;
        case 'o': request.name = optarg; break;
        case 'v': request.has_vectors = 1; break;
        case 'j': request.json = 1; break;
        default: command_other_option(command, option);
        }
    }
    command_check_arguments(command, argc, 2, 2);
    if (!outputs_is_name(request.name)) command_usage_error(command, "expected -o NAME");
    if (!is_identifier(identifier_of(request.name)))
        command_usage_error(command, "-o: expected a name of C, found '%s'",
                            identifier_of(request.name));
    if (request.bits != 8 && request.bits != 32)
        command_usage_error(command, "--bits: expected 8 or 32, found %d", request.bits);
    if (!request.features == !request.images)
        command_usage_error(command, "expected --features X.npy or --images LIST");
    if (request.images && request.layer >= 0)
        command_usage_error(command, "--images: expected --features with --layer");
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    return request;
}

/* ---- Samples */

struct samples {
    float *x;
    size_t n;
};

static enum sn_status read_features(const struct request *request, size_t n_inputs,
                                    struct samples *samples, struct sn_error *error)
{
    struct npy x;
    enum sn_status status = npy_read(request->features, &x, error);
    if (status) return status;
    samples->x = x.values;
    samples->n = x.n_dimensions ? x.shape[0] : 0;
    if (x.n_dimensions < 2 || !samples->n || x.n_values / samples->n != n_inputs) {
        char found[NPY_SHAPE_TEXT];
        npy_print_shape(&x, found);
        return sn_fail(error, SN_BAD_INPUT, "%s: expected rows of %zu values, found %s",
                       request->features, n_inputs, found);
    }
    return sn_entries_check(request->features, x.values, samples->n, n_inputs, error);
}

static enum sn_status read_images(const struct request *request, network *net,
                                  struct samples *samples, struct sn_error *error)
{
    struct lines images;
    size_t n_inputs = (size_t)net->inputs;
    enum sn_status status = pictures_check(net, request->cfg, request->resize, error);
    if (!status) status = image_list_read(request->images, "train", &images, error);
    if (status) return status;
    samples->n = (size_t)images.n;
    samples->x = malloc(samples->n * n_inputs * sizeof *samples->x);
    if (!samples->x) status = sn_no_memory(error, "%zu images", samples->n);
    for (int i = 0, n; i < images.n && !status; i += n) {
        status = pictures_load(net, &images, i, request->resize, &n, error);
        if (!status)
            memcpy(samples->x + (size_t)i * n_inputs, net->input,
                   (size_t)n * n_inputs * sizeof(float));
        command_progress((double)(i + 1) / images.n, "%d of %d images", i + 1, images.n);
    }
    lines_free(&images);
    return status;
}

/* ---- Judging */

struct judgement {
    double error;     /* of the outputs, relative */
    double agreement; /* share of samples whose largest output is the same */
    size_t n;
};

/* The first of the largest of n outputs. */
static size_t largest(const float *y, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (y[i] > y[best]) best = i;
    return best;
}

/* Every step-th row of x, n in all; expected: their outputs by floats. */
static enum sn_status judge(const struct export_net *net, const float *x, size_t step,
                            const float *expected, size_t n, struct judgement *judgement,
                            struct sn_error *error)
{
    size_t n_bytes = export_memory_bytes(net), same = 0;
    void *memory = malloc(n_bytes);
    float *y = malloc((net->n_outputs + 1) * sizeof *y);
    double difference = 0, norm = 0;
    enum sn_status status = memory && y ? SN_OK : sn_no_memory(error, "%zu bytes", n_bytes);
    for (size_t i = 0; i < n && !status; i++) {
        const float *e = expected + i * net->n_outputs;
        export_run(net, x + i * step * net->n_inputs, y, memory);
        for (size_t k = 0; k < net->n_outputs; k++) {
            difference += pow((double)y[k] - (double)e[k], 2);
            norm += pow((double)e[k], 2);
        }
        same += largest(y, net->n_outputs) == largest(e, net->n_outputs);
    }
    *judgement = (struct judgement){ norm > 0 ? sqrt(difference / norm) : difference > 0,
                                     (double)same / (double)n, n };
    free(memory);
    free(y);
    return status;
}

/* The net from every second sample, as lists are often sorted by class; the others judge. A single
 * one does both. */
static enum sn_status build(network *net, int first, int last, int is_float,
                            const struct samples *samples, struct export_net *out,
                            struct judgement *judgement, struct sn_error *error)
{
    size_t half = (samples->n + 1) / 2, rest = samples->n > 1 ? samples->n / 2 : 1;
    const float *x = samples->x + (samples->n > 1 ? (size_t)net->layers[first].inputs : 0);
    struct export_range input, unused, *ranges = calloc((size_t)net->n, sizeof *ranges),
                                       *others = calloc((size_t)net->n, sizeof *others);
    float *expected = malloc(rest * (size_t)net->layers[last].outputs * sizeof *expected);
    enum sn_status status = ranges && others && expected ? SN_OK
                                                         : sn_no_memory(error, "%zu samples", rest);
    if (!status)
        status = export_ranges(net, first, last, samples->x, half, 2, &input, ranges, NULL, error);
    if (!status) status = export_build(net, first, last, is_float, &input, ranges, out, error);
    if (!status)
        status = export_ranges(net, first, last, x, rest, 2, &unused, others, expected, error);
    if (!status) status = judge(out, x, 2, expected, rest, judgement, error);
    free(ranges);
    free(others);
    free(expected);
    return status;
}

/* ---- Files */

static enum sn_status write_vectors(const struct export_net *net, const struct samples *samples,
                                    FILE *inputs, FILE *results, struct sn_error *error)
{
    void *memory = malloc(export_memory_bytes(net));
    if (!memory) return sn_no_memory(error, "%zu inputs", net->n_inputs);
    for (size_t i = 0; i < samples->n; i++) {
        const void *out = export_run(net, samples->x + i * net->n_inputs, NULL, memory);
        fwrite(memory, 1, export_input_bytes(net), inputs);
        fwrite(out, 1, export_output_bytes(net), results);
    }
    free(memory);
    return SN_OK;
}

static enum sn_status write_files(const struct request *request, struct export_net *net,
                                  const struct samples *samples, struct sn_error *error)
{
    const char *inputs[] = { request->cfg, request->weights,
                             request->features ? request->features : request->images, NULL };
    const char *name = identifier_of(request->name);
    struct outputs outputs;
    FILE *source = NULL, *header = NULL, *in = NULL, *out = NULL;
    outputs_begin(&outputs, inputs);
    enum sn_status status = SN_OK;
    if (!(source = outputs_open_named(&outputs, request->name, "c", error))
        || !(header = outputs_open_named(&outputs, request->name, "h", error))
        || (request->has_vectors
            && (!(in = outputs_open_named(&outputs, request->name, "inputs", error))
                || !(out = outputs_open_named(&outputs, request->name, "outputs", error)))))
        status = error->code;
    if (!status) {
        status = export_write_source(net, name, samples->x, source, error);
        export_write_header(net, name, header);
    }
    if (!status && in) status = write_vectors(net, samples, in, out, error);
    if (!status) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return status;
}

static void print_result(const struct request *request, const struct export_net *net,
                         const struct judgement *judgement)
{
    size_t ram = export_input_bytes(net) + export_output_bytes(net) + net->n_bytes;
    if (!request->json) {
        printf("inputs         %zu\noutputs        %zu, %s\n", net->n_inputs, net->n_outputs,
               net->output.is_float      ? "float32"
                   : net->output.is_wide ? "int16"
                                         : "int8");
        printf("flash          %zu bytes of constants\n", net->const_bytes);
        printf("RAM            %zu bytes, inputs and outputs included\n", ram);
        printf("multiply-adds  %.0f\n", net->multiply_adds);
        printf("error          %.3g relative, on %zu samples\n", judgement->error, judgement->n);
        printf("same largest   %.2f %%\n", 100 * judgement->agreement);
        printf("files          %s.c .h\n", request->name);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "inputs", (double)net->n_inputs);
    cJSON_AddNumberToObject(root, "outputs", (double)net->n_outputs);
    cJSON_AddNumberToObject(root, "flash", (double)net->const_bytes);
    cJSON_AddNumberToObject(root, "ram", (double)ram);
    cJSON_AddNumberToObject(root, "multiply_adds", net->multiply_adds);
    cJSON_AddNumberToObject(root, "error", judgement->error);
    cJSON_AddNumberToObject(root, "agreement", judgement->agreement);
    cJSON_AddNumberToObject(root, "samples", (double)judgement->n);
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct samples samples = { 0 };
    struct export_net exported;
    struct judgement judgement;
    network *net = load_net(request.cfg, request.weights);
    set_batch_network(net, 1);
    int first = 0, last;
    if (choose_layer(net, request.cfg, request.layer, &choose_layer_outputs, &last, &error))
        sn_die(&error);
    if (request.layer >= 0) first = last;
    if (export_check(net, request.cfg, first, &last, &error)
        || (request.features
                ? read_features(&request, (size_t)net->layers[first].inputs, &samples, &error)
                : read_images(&request, net, &samples, &error))
        || build(net, first, last, request.bits == 32, &samples, &exported, &judgement, &error)
        || write_files(&request, &exported, &samples, &error))
        sn_die(&error);
    print_result(&request, &exported, &judgement);
    export_free(&exported);
    free(samples.x);
    free_network(net);
    return 0;
}
