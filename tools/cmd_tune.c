/* structnet tune: trains the part of a net behind its features. */
#include "choose_layer.h"
#include "command.h"
#include "copy_bytes.h"
#include "layer_costs.h"
#include "load_net.h"
#include "outputs.h"
#include "tuning.h"

#include <plug_errors.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_tune = {
    .name = "tune",
    .run = run,
    .summary = "trains the layers behind the features of a net",
    .usage =
        "usage: structnet tune CFG WEIGHTS --features NAME -o OUT [OPTION]...\n"
        "\n"
        "Trains the net from the layer on whose inputs NAME.x.npy holds (structnet features), by\n"
        "Darknet's own layers and update rules with the momentum and decay of CFG, and keeps the\n"
        "weights of the least loss on images that are held out. OUT.weights is the whole net,\n"
        "every other layer bit for bit, OUT.cfg a copy of CFG, OUT.tsv the loss of each epoch.\n"
        "\n"
        "  --features NAME NAME.x.npy and NAME.y.npy, the classes; rows of NAME.i.npy's same\n"
        "                  image are held out together\n"
        "  --valid NAME    what is held out, features of other images\n"
        "  --holdout H     fraction of the images that is held out without --valid, 0 < H < 1\n"
        "                  (default 0.2)\n"
        "  --teacher CFG WEIGHTS\n"
        "                  the targets are the softmax outputs of this net for the same features,\n"
        "                  such as those of the net before approx, instead of the classes\n"
        "  --layer N       the features' layer, counted from 0 as Darknet prints them; default:\n"
        "                  that of structnet features\n"
        "  --optimizer O   sgd (default) or adam, which needs a structured layer wherever weights\n"
        "                  are trained\n"
        "  --rate R        learning rate at first (default 0.01, with adam 0.001); cut to a third\n"
        "                  when the held-out loss stays\n"
        "  --batch B       images of a step (default 64)\n"
        "  --epochs N      at most (default 50); with 0 the net is judged and stays as it is\n"
        "  --patience P    epochs without a lower held-out loss before the rate is cut; after\n"
        "                  three cuts training ends (default 2)\n"
        "  --seed N        of the images held out and the order of the others (default 0)\n"
        "  -o OUT          output files\n"
        "  --json          one object instead of the table\n"
};

struct request {
    const char *cfg, *weights, *features, *valid, *teacher_cfg, *teacher_weights, *name;
    double holdout, rate; /* rate 0: that of the optimizer */
    int layer, adam, batch, n_epochs, patience, json;
    uint64_t seed;
};

static int read_optimizer(const char *text)
{
    if (strcmp(text, "sgd") && strcmp(text, "adam"))
        command_usage_error(&cmd_tune, "--optimizer: expected sgd or adam, found '%s'", text);
    return !strcmp(text, "adam");
}

/* --teacher takes two arguments, of which getopt_long knows the first. */
static void read_teacher(struct request *request, char **argv)
{
    request->teacher_cfg = optarg;
    request->teacher_weights = argv[optind];
    if (!argv[optind++]) command_usage_error(&cmd_tune, "--teacher: expected CFG WEIGHTS");
}

static void take_option(struct request *request, int option, char **argv)
{
    const struct command *command = &cmd_tune;
    switch (option) {
    case 'f': request->features = optarg; break;
    case 'v': request->valid = optarg; break;
    case 'H': request->holdout = command_number(command, "--holdout", optarg, 1e-9, 1); break;
    case 't': read_teacher(request, argv); break;
    case 'l': request->layer = choose_layer_option(command, optarg); break;
    case 'O': request->adam = read_optimizer(optarg); break;
    case 'r': request->rate = command_number(command, "--rate", optarg, 1e-9, 1e3); break;
    case 'b': request->batch = command_whole_number(command, "--batch", optarg, 1, 1 << 16); break;
    case 'e':
        request->n_epochs = command_whole_number(command, "--epochs", optarg, 0, 1000000);
        break;
    case 'p':
        request->patience = command_whole_number(command, "--patience", optarg, 1, 1000000);
        break;
    case 's':
        request->seed = (uint64_t)command_whole_number(command, "--seed", optarg, 0, 2147483647);
        break;
    case 'o': request->name = optarg; break;
    case 'j': request->json = 1; break;
    default: command_other_option(command, option);
    }
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = {
        { "features", 1, 0, 'f' }, { "valid", 1, 0, 'v' }, { "holdout", 1, 0, 'H' },
        { "teacher", 1, 0, 't' },  { "layer", 1, 0, 'l' }, { "optimizer", 1, 0, 'O' },
        { "rate", 1, 0, 'r' },     { "batch", 1, 0, 'b' }, { "epochs", 1, 0, 'e' },
        { "patience", 1, 0, 'p' }, { "seed", 1, 0, 's' },  { "output", 1, 0, 'o' },
        { "json", 0, 0, 'j' },     { "help", 0, 0, 'h' },  { 0 }
    };
    struct request request = {
        .layer = -1, .holdout = .2, .batch = 64, .n_epochs = 50, .patience = 2
    };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;)
        take_option(&request, option, argv);
    command_check_arguments(&cmd_tune, argc, 2, 2);
    if (!request.features) command_usage_error(&cmd_tune, "expected --features NAME");
    if (!outputs_is_name(request.name)) command_usage_error(&cmd_tune, "expected -o OUT");
    if (request.rate == 0) request.rate = request.adam ? .001 : .01;
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    return request;
}

/* What is trained, and all that it borrows. */
struct task {
    struct request request;
    network *net, *teacher_net;
    int layer;
    struct layer_matrix matrix; /* of that layer */
    struct sample_file features, valid;
    struct tail tail, teacher;
    struct tuning tuning;
};

static enum sn_status read_net(struct task *task, struct sn_error *error)
{
    const struct request *request = &task->request;
    task->net = load_net(request->cfg, request->weights);
    enum sn_status status = choose_layer(task->net, request->cfg, request->layer,
                                         &choose_layer_matrix, &task->layer, error);
    if (status) return status;
    task->matrix = layer_matrix(&task->net->layers[task->layer]);
    return SN_OK;
}

static enum sn_status check_labels(const struct task *task, const struct sample_file *file,
                                   struct sn_error *error)
{
    if (file->labels || task->request.teacher_cfg) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected classes beside it, or --teacher, found none",
                   file->x_path);
}

static enum sn_status read_features(struct task *task, struct sn_error *error)
{
    const struct request *request = &task->request;
    struct tuning *tuning = &task->tuning;
    int n_classes = task->net->outputs;
    enum sn_status status = samples_read(request->features, NULL, task->matrix.n_columns, n_classes,
                                         &task->features, error);
    if (!status) status = check_labels(task, &task->features, error);
    if (!status)
        status = tuning_take_all(&task->features, &task->matrix.window, &tuning->train, error);
    if (status) return status;
    if (!request->valid)
        return tuning_split(&tuning->train, request->holdout, request->seed, &tuning->held, error);
    status = samples_read(request->valid, NULL, task->matrix.n_columns, n_classes, &task->valid,
                          error);
    if (!status) status = check_labels(task, &task->valid, error);
    return status ? status
                  : tuning_take_all(&task->valid, &task->matrix.window, &tuning->held, error);
}

/* Darknet on a processor trains by SGD wherever a layer is its own. */
static enum sn_status check_adam(const struct task *task, struct sn_error *error)
{
    for (int i = task->layer; task->request.adam && i < task->net->n; i++) {
        const layer *l = &task->net->layers[i];
        if (l->update && !structured_matrix(l) && l->learning_rate_scale != 0
            && weights_layer_bytes(l))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d is [%s], which Darknet trains by SGD: expected a "
                           "structured layer or learning_rate=0 with --optimizer adam",
                           task->request.cfg, i, weights_layer_name(l));
    }
    return SN_OK;
}

static enum sn_status open_teacher(struct task *task, int batch, struct sn_error *error)
{
    const struct request *request = &task->request;
    struct tail_source source = { request->teacher_cfg, request->teacher_weights, NULL, 0 };
    source.net = task->teacher_net = load_net(source.cfg, source.weights);
    enum sn_status status = choose_layer(source.net, source.cfg, request->layer,
                                         &choose_layer_matrix, &source.first, error);
    if (status) return status;
    struct layer_matrix matrix = layer_matrix(&source.net->layers[source.first]);
    if (memcmp(&matrix.window, &task->matrix.window, sizeof matrix.window)
        || source.net->outputs != task->net->outputs)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: layer %d: expected %d inputs at %d places and %d outputs of the net, "
                       "found %d, %d and %d",
                       source.cfg, source.first, task->matrix.n_columns, task->matrix.n_pixels,
                       task->net->outputs, matrix.n_columns, matrix.n_pixels, source.net->outputs);
    task->tuning.teacher = &task->teacher;
    return tail_open(&task->teacher, &source, batch, 0, error);
}

static enum sn_status open_tails(struct task *task, struct sn_error *error)
{
    const struct request *request = &task->request;
    struct tail_source source = { request->cfg, request->weights, task->net, task->layer };
    struct tuning *tuning = &task->tuning;
    int batch = tuning->train.n < request->batch ? tuning->train.n : request->batch;
    enum sn_status status = check_adam(task, error);
    if (!status && request->teacher_cfg) status = open_teacher(task, batch, error);
    if (!status) status = tail_open(&task->tail, &source, batch, request->adam, error);
    tuning->tail = &task->tail;
    tuning->rate = request->rate;
    tuning->n_epochs = request->n_epochs;
    tuning->patience = request->patience;
    tuning->n_cuts = 3;
    tuning->seed = request->seed;
    return status;
}

/* Numbers that are not known leave their column empty. */
static void print_cell(FILE *file, double value)
{
    if (isfinite(value)) fprintf(file, "\t%.9g", value);
    else fputc('\t', file);
}

static void write_epoch(void *context, const struct tuning_epoch *epoch)
{
    FILE *file = context;
    fprintf(file, "%d", epoch->number);
    print_cell(file, epoch->rate);
    print_cell(file, epoch->train_loss);
    print_cell(file, epoch->held.loss);
    print_cell(file, epoch->held.top1);
    fprintf(file, "\t%d\n", epoch->is_kept);
}

/* Trains, and writes the three files or none. */
static enum sn_status tune(struct task *task, struct tuning_result *result, struct sn_error *error)
{
    const struct request *request = &task->request;
    const char *inputs[] = { request->cfg,         request->weights,         task->features.x_path,
                             request->teacher_cfg, request->teacher_weights, NULL };
    struct outputs outputs;
    FILE *cfg, *weights = NULL, *history = NULL;
    outputs_begin(&outputs, inputs);
    if (!(cfg = outputs_open_named(&outputs, request->name, "cfg", error))
        || !(weights = outputs_open_named(&outputs, request->name, "weights", error))
        || !(history = outputs_open_named(&outputs, request->name, "tsv", error))) {
        outputs_discard(&outputs);
        return error->code;
    }
    fputs("epoch\trate\ttrain_loss\tloss\ttop1\tkept\n", history);
    enum sn_status status = tuning_run(&task->tuning, write_epoch, history, result, error);
    if (!status) status = copy_file(request->cfg, cfg, error);
    if (!status) status = tail_write(&task->tail, weights, error);
    if (!status) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return status;
}

static void print_json(const struct task *task, const struct tuning_result *result, double seconds)
{
    const struct tuning_epoch *before = &result->before, *best = &result->best;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "layer", task->layer);
    cJSON_AddNumberToObject(root, "train_images", task->tuning.train.n);
    cJSON_AddNumberToObject(root, "held_out_images", task->tuning.held.n);
    cJSON_AddNumberToObject(root, "loss_before", before->held.loss);
    cJSON_AddNumberToObject(root, "loss", best->held.loss);
    if (isfinite(best->held.top1)) {
        cJSON_AddNumberToObject(root, "top1_before", before->held.top1);
        cJSON_AddNumberToObject(root, "top1", best->held.top1);
    }
    cJSON_AddNumberToObject(root, "epochs", result->n_epochs);
    cJSON_AddNumberToObject(root, "best_epoch", best->number);
    if (result->n_epochs)
        cJSON_AddNumberToObject(root, "images_per_second", result->images_per_second);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static void print_result(const struct task *task, const struct tuning_result *result,
                         double seconds)
{
    const struct tuning_epoch *before = &result->before, *best = &result->best;
    if (task->request.json) {
        print_json(task, result, seconds);
        return;
    }
    printf("layer     %d [%s]\nimages    %d, %d held out\nepochs    %d, best %d\n", task->layer,
           weights_layer_name(&task->net->layers[task->layer]), task->tuning.train.n,
           task->tuning.held.n, result->n_epochs, best->number);
    printf("loss      %.4f, before %.4f\n", best->held.loss, before->held.loss);
    if (isfinite(best->held.top1))
        printf("top-1     %.2f %%, before %.2f %%\n", 100 * best->held.top1,
               100 * before->held.top1);
    if (result->n_epochs) printf("rate      %.0f images a second\n", result->images_per_second);
    printf("seconds   %.3f\n", seconds);
    printf("files     %s.cfg .weights .tsv\n", task->request.name);
}

static void free_task(struct task *task)
{
    tail_close(&task->tail);
    tail_close(&task->teacher);
    free(task->tuning.train.input);
    free(task->tuning.held.input);
    samples_free(&task->features);
    samples_free(&task->valid);
    free_network(task->net);
    if (task->teacher_net) free_network(task->teacher_net);
}

static int run(int argc, char **argv)
{
    struct task task = { .request = read_request(argc, argv) };
    struct tuning_result result = { 0 };
    struct sn_error error;
    double start = command_seconds();
    command_use_threads(1);
    if (read_net(&task, &error) || read_features(&task, &error) || open_tails(&task, &error)
        || tune(&task, &result, &error))
        sn_die(&error);
    print_result(&task, &result, command_seconds() - start);
    free_task(&task);
    return 0;
}
