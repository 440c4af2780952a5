/* structnet import: a torchvision checkpoint as a Darknet net. */
#include "command.h"
#include "imagenet.h"
#include "import_net.h"
#include "outputs.h"

#include <lines.h>
#include <plug_errors.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_import = {
    .name = "import",
    .run = run,
    .summary = "turns a torchvision checkpoint into NAME.cfg and NAME.weights",
    .usage =
        "usage: structnet import ARCH FILE -o NAME [OPTION]...\n"
        "       structnet import --list ARCH\n"
        "\n"
        "ARCH is alexnet, googlenet, inception_v3, mobilenet_v2, resnet18, 34, 50, 101, 152,\n"
        "squeezenet1_0, 1_1, vgg11, 13, 16, 19 or one of these with _bn. FILE is a state dict: a\n"
        "PyTorch checkpoint, in the format of 1.6 and later or in the older one, or .safetensors.\n"
        "It may lie in a larger dict, and its names may have a prefix (backbone.), with module.,\n"
        "model. and _orig_mod. anywhere. The number of classes is the file's. Nothing in the file\n"
        "is executed; objects in it are passed over.\n"
        "\n"
        "The net takes images of 224 x 224 (inception_v3: 299 x 299), values 0 to 1, RGB; its\n"
        "first layer normalises them. Its last but [softmax] gives torchvision's logits. With\n"
        "1000 classes NAME.names gets ImageNet's names and NAME.labels its synset ids.\n"
        "\n"
        "  -o NAME           output files\n"
        "  --key KEY         the state dict under this key of the file's dict, as model_ema;\n"
        "                    without it that under state_dict, model or model_state_dict, or the\n"
        "                    dict that holds most tensors\n"
        "  --classes LABELS  keep only the classes that this file names, one per line, by name\n"
        "                    (as in NAME.names) or synset id, in its order\n"
        "  --freeze          only the last matrix trains: learning_rate=0 before it, stopbackward\n"
        "  --keep-batchnorm  batch_normalize=1 instead of folding it into the convolutions\n"
        "  --mean R,G,B      of the input's normalisation, default ImageNet's; googlenet and\n"
        "  --std R,G,B       inception_v3: 0.5, which is what transform_input makes of it\n"
        "  --list            print the tensors that ARCH needs\n"
        "  --json            one object instead of the table\n"
};

struct request {
    const char *architecture, *file, *name, *key, *classes;
    int list, json, keep_batchnorm, freeze;
    float mean[3], std[3]; /* std 0: the architecture's */
};

/* "R,G,B" with at least minimum each. */
static void read_triple(const char *option, const char *text, double minimum, float *values)
{
    int n = 0;
    for (const char *at = text; n < 3; n++) {
        char *end;
        double value = strtod(at, &end);
        if (end == at || !(value >= minimum && value <= 1e6) || *end != (n < 2 ? ',' : '\0')) break;
        values[n] = (float)value;
        at = end + 1;
    }
    if (n < 3)
        command_usage_error(&cmd_import,
                            "%s: expected three numbers R,G,B of at least %g, found '%s'", option,
                            minimum, text);
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "list", 0, 0, 'l' },
                                             { "json", 0, 0, 'j' },
                                             { "keep-batchnorm", 0, 0, 'k' },
                                             { "freeze", 0, 0, 'f' },
                                             { "classes", 1, 0, 'c' },
                                             { "key", 1, 0, 'y' },
                                             { "mean", 1, 0, 'm' },
                                             { "std", 1, 0, 's' },
                                             { "output", 1, 0, 'o' },
                                             { "help", 0, 0, 'h' },
                                             { 0 } };
    struct request request = { .mean = { NAN, NAN, NAN } };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'l': request.list = 1; break;
        case 'j': request.json = 1; break;
        case 'k': request.keep_batchnorm = 1; break;
        case 'f': request.freeze = 1; break;
        case 'c': request.classes = optarg; break;
        case 'y': request.key = optarg; break;
        case 'm': read_triple("--mean", optarg, -1e6, request.mean); break;
        case 's': read_triple("--std", optarg, 1e-6, request.std); break;
        case 'o': request.name = optarg; break;
        default: command_other_option(&cmd_import, option);
        }
    }
    command_check_arguments(&cmd_import, argc, request.list ? 1 : 2, request.list ? 1 : 2);
    if (!request.list && !outputs_is_name(request.name))
        command_usage_error(&cmd_import, "expected -o NAME");
    request.architecture = argv[optind];
    request.file = argv[optind + 1];
    return request;
}

/* ---- --list */

static void list_json(const struct architecture *a)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "architecture", a->name);
    cJSON *tensors = cJSON_AddArrayToObject(root, "tensors");
    for (int i = 0; i < a->n_parameters; i++) {
        const struct architecture_parameter *parameter = &a->parameters[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", parameter->name);
        cJSON *shape = cJSON_AddArrayToObject(item, "shape");
        for (int d = 0; d < parameter->n_dimensions; d++)
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)parameter->shape[d]));
        cJSON_AddItemToArray(tensors, item);
    }
    command_print_json(root);
}

static void list_table(const struct architecture *a)
{
    char shape[TENSOR_SHAPE_TEXT];
    printf("%-48s %18s\n", "tensor", "shape");
    for (int i = 0; i < a->n_parameters; i++) {
        tensor_print_shape(a->parameters[i].n_dimensions, a->parameters[i].shape, shape);
        printf("%-48s %18s\n", a->parameters[i].name, shape);
    }
}

static int list_tensors(const struct request *request)
{
    struct architecture architecture;
    struct sn_error error;
    if (architecture_make(request->architecture, IMAGENET_CLASSES, &architecture, &error))
        sn_die(&error);
    (request->json ? list_json : list_table)(&architecture);
    architecture_free(&architecture);
    return 0;
}

/* ---- --classes */

/* The class that a line names: a synset id, alone or before a blank, or a whole name. -1 when there
 * is none. */
static int find_class(const char *line)
{
    size_t n = strcspn(line, " \t");
    for (int i = 0; i < IMAGENET_CLASSES; i++) {
        const struct imagenet_class *class = &imagenet_classes[i];
        if (!strcmp(class->name, line)
            || (strlen(class->synset) == n && !strncmp(class->synset, line, n)))
            return i;
    }
    return -1;
}

/* The rows that the file names, in its order; *n of them. */
static enum sn_status read_classes(const char *path, int rows[IMAGENET_CLASSES], int *n,
                                   struct sn_error *error)
{
    char taken[IMAGENET_CLASSES] = { 0 };
    struct lines lines;
    enum sn_status status = lines_read(path, &lines, error);
    *n = 0;
    for (int i = 0; !status && i < lines.n; i++) {
        const char *line = lines.line[i];
        if (!*line) continue;
        int class = find_class(line);
        if (class < 0)
            status = sn_fail(error, SN_BAD_INPUT,
                             "%s:%d: expected a name or synset id of ImageNet, found '%.80s'", path,
                             i + 1, line);
        else if (taken[class]++)
            status = sn_fail(error, SN_BAD_INPUT, "%s:%d: '%.80s' is already given", path, i + 1,
                             line);
        else rows[(*n)++] = class;
    }
    lines_free(&lines);
    return status;
}

static enum sn_status choose_rows(const struct request *request, struct import_net *net, int *rows,
                                  struct sn_error *error)
{
    if (!request->classes) return SN_OK;
    if (net->n_rows != IMAGENET_CLASSES)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: %d classes, but --classes selects from ImageNet's %d", request->file,
                       net->n_rows, IMAGENET_CLASSES);
    net->rows = rows;
    return read_classes(request->classes, rows, &net->n_rows, error);
}

/* ---- files */

enum { CFG, WEIGHTS, NAMES, LABELS, N_FILES };
static const char *const suffixes[N_FILES] = { "cfg", "weights", "names", "labels" };

static void write_classes(const struct import_net *net, FILE *names, FILE *labels)
{
    for (int i = 0; i < net->n_rows; i++) {
        const struct imagenet_class *class = &imagenet_classes[net->rows ? net->rows[i] : i];
        fprintf(names, "%s\n", class->name);
        fprintf(labels, "%s\n", class->synset);
    }
}

static int has_names(const struct import_net *net)
{
    return net->rows || net->n_rows == IMAGENET_CLASSES;
}

/* All files, or none. */
static enum sn_status write_files(const struct request *request, const struct import_net *net,
                                  struct sn_error *error)
{
    const char *inputs[] = { request->file, request->classes, NULL };
    FILE *files[N_FILES];
    struct outputs outputs;
    enum sn_status status = SN_OK;
    int n = has_names(net) ? N_FILES : NAMES;
    outputs_begin(&outputs, inputs);
    outputs.is_copy = 1; /* Of the checkpoint, whose hundreds of megabytes would take longer to
                          * reach the disk than to write. */
    for (int i = 0; i < n && !status; i++)
        if (!(files[i] = outputs_open_named(&outputs, request->name, suffixes[i], error)))
            status = error->code;
    if (!status) status = import_write_cfg(net, files[CFG], error);
    if (!status) status = import_write_weights(net, files[WEIGHTS], error);
    if (!status && n == N_FILES) write_classes(net, files[NAMES], files[LABELS]);
    if (!status) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return status;
}

static double count_values(const struct import_net *net)
{
    double values = 0;
    for (int i = 0; i < net->architecture.n_parameters; i++) {
        const struct architecture_parameter *parameter = &net->architecture.parameters[i];
        double product = 1;
        for (int d = 0; d < parameter->n_dimensions; d++) product *= (double)parameter->shape[d];
        values += product;
    }
    return values;
}

static void print_result(const struct request *request, const struct import_net *net)
{
    const struct checkpoint *c = net->checkpoint;
    const char *names = has_names(net) ? " .names .labels" : "";
    if (!request->json) {
        printf("architecture %s\nformat       %s\nprefix       %s\n", net->architecture.name,
               c->format, *net->prefix ? net->prefix : "none");
        if (c->key || *c->others)
            printf("state dict   %s%s%s\n", c->key ? c->key : "the largest",
                   *c->others ? "; --key reads others: " : "", c->others);
        printf("values       %.0f\nclasses      %d\nfiles        %s.cfg .weights%s\n",
               count_values(net), net->n_rows, request->name, names);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "architecture", net->architecture.name);
    cJSON_AddStringToObject(root, "format", c->format);
    cJSON_AddStringToObject(root, "prefix", net->prefix);
    if (c->key) cJSON_AddStringToObject(root, "key", c->key);
    else cJSON_AddNullToObject(root, "key");
    cJSON_AddNumberToObject(root, "values", count_values(net));
    cJSON_AddNumberToObject(root, "classes", net->n_rows);
    command_print_json(root);
}

static void set_normalisation(const struct request *request, struct import_net *net)
{
    static const float mean[] = { 0.485f, 0.456f, 0.406f }, std[] = { 0.229f, 0.224f, 0.225f };
    const struct architecture *a = &net->architecture;
    for (int i = 0; i < 3; i++) {
        net->mean[i] = !isnan(request->mean[i]) ? request->mean[i] : a->std > 0 ? a->mean : mean[i];
        net->std[i] = request->std[i] > 0 ? request->std[i] : a->std > 0 ? a->std : std[i];
    }
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct checkpoint checkpoint;
    struct sn_error error;
    int rows[IMAGENET_CLASSES];
    if (request.list) return list_tensors(&request);
    struct import_net net = { .checkpoint = &checkpoint,
                              .keep_batchnorm = request.keep_batchnorm,
                              .freeze = request.freeze };
    if (checkpoint_open(request.file, request.key, &checkpoint, &error)) sn_die(&error);
    if (import_find(&net, request.architecture, &error)
        || choose_rows(&request, &net, rows, &error))
        sn_die(&error);
    set_normalisation(&request, &net);
    if (write_files(&request, &net, &error)) sn_die(&error);
    print_result(&request, &net);
    architecture_free(&net.architecture);
    checkpoint_close(&checkpoint);
    return 0;
}
