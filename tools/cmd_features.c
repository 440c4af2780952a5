/* structnet features: what the last matrix of a net sees of each image, as NumPy arrays. */
#include "choose_layer.h"
#include "command.h"
#include "feature_rows.h"
#include "image_list.h"
#include "layer_moments.h"
#include "load_net.h"
#include "npy.h"
#include "outputs.h"

#include <plug_errors.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct command cmd_features = {
    .name = "features",
    .run = run,
    .summary = "inputs of the last matrix of a net, for a list of images",
    .usage =
        "usage: structnet features CFG WEIGHTS LIST -o NAME [OPTION]...\n"
        "\n"
        "LIST names images, one path per line; of a .data file it is the train list, and its\n"
        "labels give NAME.y.npy. NAME.x.npy receives rows x inputs, float32: the inputs of the\n"
        "last connected or structured layer, or of the last convolution of one group in a net\n"
        "without one, evaluated as in prediction. Rows are in the order of LIST, one for each\n"
        "image. Of a convolution and of a structured layer with size=S every place of the\n"
        "outputs is a row, line by line, and inputs are the channels x S x S values that it\n"
        "sees. Where an image has several rows, NAME.i.npy, int32, says which image of LIST a\n"
        "row is of, counted from 0.\n"
        "\n"
        "All cores work (OPENBLAS_NUM_THREADS), each with a net of its own; the rows do not\n"
        "depend on how many. What an interrupted run has computed stays in a file beside\n"
        "NAME.x.npy, and the same command goes on from there.\n"
        "\n"
        "  -o NAME         output files\n"
        "  --list valid    of a .data file, this list\n"
        "  --labels FILE   write NAME.y.npy too, int32: the class of each row, which is its\n"
        "                  image's label's place in FILE (one label per line), counted\n"
        "                  from 0\n" PICTURES_RESIZE_HELP
        "  --layer N       layer N instead, counted from 0 as Darknet prints them\n"
        "  --augment K     K rows more for each image, behind its own: of parts at random\n"
        "                  places, as large as the net's input after --resize, 7/8 of the\n"
        "                  square without it, half of them flipped\n"
        "  --seed N        of these parts (default 0)\n"
        "  --check         run the net to its end too, and the layer and those behind it from\n"
        "                  the rows; print the largest difference of their outputs before\n"
        "                  [softmax], and fail when it is more than 1e-4 of the largest output\n"
        "  --moments       instead of rows NAME.moments.npy, their means and covariances, for\n"
        "                  approx --moments. Memory and file take inputs^2\n"
        "  --reference CFG WEIGHTS\n"
        "                  with --moments: what this net gives the same layer as well, for a\n"
        "                  layer that is to make up for those replaced before it\n"
        "  --json          one object instead of the table\n"
        "\n" PICTURES_LABEL_HELP
};

struct request {
    const char *cfg, *weights, *list, *key, *name, *labels, *reference_cfg, *reference_weights;
    int layer, resize, n_crops, check, moments, json;
    uint64_t seed;
};

/* --reference takes two arguments, of which getopt_long knows the first. */
static void read_reference(struct request *request, char **argv)
{
    request->reference_cfg = optarg;
    request->reference_weights = argv[optind];
    if (!argv[optind++]) command_usage_error(&cmd_features, "--reference: expected CFG WEIGHTS");
}

static void check_request(const struct request *request)
{
    const struct command *command = &cmd_features;
    if (!outputs_is_name(request->name)) command_usage_error(command, "expected -o NAME");
    if (strcmp(request->key, "train") && strcmp(request->key, "valid"))
        command_usage_error(command, "--list: expected train or valid, found '%s'", request->key);
    if (request->reference_cfg && !request->moments)
        command_usage_error(command, "--reference: expected --moments with it");
    if (request->moments && (request->labels || request->check))
        command_usage_error(command, "--moments: expected no %s with it",
                            request->labels ? "--labels" : "--check");
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "list", 1, 0, 'i' },
                                             { "labels", 1, 0, 'c' },
                                             { "resize", 1, 0, 'r' },
                                             { "layer", 1, 0, 'l' },
                                             { "augment", 1, 0, 'a' },
                                             { "seed", 1, 0, 's' },
                                             { "check", 0, 0, 'k' },
                                             { "moments", 0, 0, 'm' },
                                             { "reference", 1, 0, 'e' },
                                             { "output", 1, 0, 'o' },
                                             { "json", 0, 0, 'j' },
                                             { "help", 0, 0, 'h' },
                                             { 0 } };
    const struct command *command = &cmd_features;
    struct request request = { .layer = -1, .key = "train" };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 'i': request.key = optarg; break;
        case 'c': request.labels = optarg; break;
        case 'r':
            request.resize = command_whole_number(command, "--resize", optarg, 1,
                                                  PICTURES_MAX_SIZE);
            break;
        case 'l': request.layer = choose_layer_option(command, optarg); break;
        case 'a':
            request.n_crops = command_whole_number(command, "--augment", optarg, 1, 10000);
            break;
        case 's':
            request.seed = (uint64_t)command_whole_number(command, "--seed", optarg, 0, 2147483647);
            break;
        case 'k': request.check = 1; break;
        case 'm': request.moments = 1; break;
        case 'e': read_reference(&request, argv); break;
        case 'o': request.name = optarg; break;
        case 'j': request.json = 1; break;
        default: command_other_option(command, option);
        }
    }
    command_check_arguments(command, argc, 3, 3);
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    request.list = argv[optind + 2];
    check_request(&request);
    return request;
}

/* What is computed, and how far a run before this one has come. */
struct task {
    const struct request *request;
    struct features features, reference; /* the latter empty without one */
    struct lines images;
    int *class; /* of each image; NULL without labels */
    int n_classes;
    int n_before; /* views */
};

static size_t view_floats(const struct features *features)
{
    return (size_t)features->matrix.n_columns * (size_t)features->matrix.n_pixels;
}

static double n_rows(const struct features *features)
{
    return (double)features->n_views * features->matrix.n_pixels;
}

static enum sn_status fail_to_write(const struct task *task, struct sn_error *error)
{
    return sn_fail(error, SN_IO, "%s.x.npy: cannot write: %s", task->request->name,
                   strerror(errno));
}

/* Places the file behind the header and the whole batches that it has. A new one stays empty until
 * the first block is written. */
static enum sn_status resume(struct task *task, FILE *file, struct sn_error *error)
{
    const struct features *features = &task->features;
    size_t n_bytes = view_floats(features) * sizeof(float);
    struct stat status;
    if (fstat(fileno(file), &status)) return fail_to_write(task, error);
    npy_write_header(file, "<f4", 2,
                     (size_t[]){ (size_t)n_rows(features), (size_t)features->matrix.n_columns });
    long start = ftell(file);
    size_t n = status.st_size > start ? (size_t)(status.st_size - start) / n_bytes : 0;
    if (n >= (size_t)features->n_views) task->n_before = features->n_views;
    else task->n_before = (int)n / features->batch * features->batch;
    long end = start + (long)((size_t)task->n_before * n_bytes);
    if (status.st_size && fseek(file, end, SEEK_SET)) return fail_to_write(task, error);
    return SN_OK;
}

static void show_progress(const struct task *task, int n_done, double seconds)
{
    double views = 1 + task->request->n_crops, n_views = task->features.n_views,
           rate = (n_done - task->n_before) / seconds;
    int left = (int)((n_views - n_done) / rate);
    command_progress(n_done / n_views, "%.1f images/s, %d:%02d:%02d left", rate / views,
                     left / 3600, left / 60 % 60, left % 60);
}

/* What is written stays: the disk is waited for after each block, which takes seconds. */
static enum sn_status write_rows(struct task *task, FILE *file, struct sn_error *error)
{
    struct features *features = &task->features;
    size_t n_floats = view_floats(features);
    int size = features_block(features);
    double start = command_seconds();
    enum sn_status status = resume(task, file, error);
    float *rows = malloc((size_t)size * n_floats * sizeof *rows);
    if (!rows) status = sn_no_memory(error, "%d rows", size);
    for (int first = task->n_before, n; first < features->n_views && !status; first += n) {
        n = features->n_views - first < size ? features->n_views - first : size;
        status = features_compute(features, first, n, rows, error);
        if (status) break;
        fwrite(rows, sizeof *rows, (size_t)n * n_floats, file);
        if (fflush(file) || (fdatasync(fileno(file)) && errno != EINVAL))
            status = fail_to_write(task, error);
        show_progress(task, first + n, command_seconds() - start);
    }
    free(rows);
    return status;
}

/* One number for each row: that of its image in numbers, or of the image itself where numbers is
 * NULL. */
static void write_numbers(const struct task *task, const int *numbers, FILE *file)
{
    int n_views = 1 + task->request->n_crops, n_pixels = task->features.matrix.n_pixels;
    npy_write_header(file, "<i4", 1, (size_t[]){ (size_t)n_rows(&task->features) });
    for (int view = 0; view < task->features.n_views; view++)
        for (int p = 0; p < n_pixels; p++) {
            int image = view / n_views;
            fwrite(&(int32_t){ numbers ? numbers[image] : image }, sizeof(int32_t), 1, file);
        }
}

/* An image with several rows. */
static int has_numbered_images(const struct task *task)
{
    return n_rows(&task->features) > task->images.n;
}

/* All files, or none but what there is of the rows. */
static enum sn_status write_files(struct task *task, struct sn_error *error)
{
    const struct request *request = task->request;
    const char *inputs[] = { request->cfg, request->weights, request->list, request->labels, NULL };
    struct outputs outputs;
    FILE *rows = NULL, *classes = NULL, *images = NULL;
    uint32_t key;
    outputs_begin(&outputs, inputs);
    if (features_fingerprint(&task->features, &key, error)
        || !(rows = outputs_resume_named(&outputs, request->name, "x.npy", key, error))
        || (task->class && !(classes = outputs_open_named(&outputs, request->name, "y.npy", error)))
        || (has_numbered_images(task)
            && !(images = outputs_open_named(&outputs, request->name, "i.npy", error)))
        || write_rows(task, rows, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    if (classes) write_numbers(task, task->class, classes);
    if (images) write_numbers(task, NULL, images);
    return outputs_publish(&outputs, error);
}

/* NAME.moments.npy. */
static enum sn_status write_moments(struct task *task, struct sn_error *error)
{
    const struct request *request = task->request;
    const char *inputs[] = { request->cfg,           request->weights,           request->list,
                             request->reference_cfg, request->reference_weights, NULL };
    struct features *reference = request->reference_cfg ? &task->reference : NULL;
    struct sn_covariance parts[2];
    struct outputs outputs;
    enum sn_status status = layer_moments_compute(&task->features, reference, parts, error);
    if (status) return status;
    outputs_begin(&outputs, inputs);
    FILE *file = outputs_open_named(&outputs, request->name, "moments.npy", error);
    if (file) layer_moments_write(parts, file);
    layer_moments_free(parts);
    if (file) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return error->code;
}

static void print_json(const struct task *task, double seconds)
{
    const struct features *features = &task->features;
    double difference, largest;
    cJSON *root = cJSON_CreateObject();
    features_check(features, &difference, &largest);
    cJSON_AddNumberToObject(root, "images", task->images.n);
    cJSON_AddNumberToObject(root, "rows", n_rows(features));
    cJSON_AddNumberToObject(root, "rows_before", task->n_before * features->matrix.n_pixels);
    cJSON_AddNumberToObject(root, "inputs", features->matrix.n_columns);
    cJSON_AddNumberToObject(root, "layer", features->source.layer);
    if (task->class) cJSON_AddNumberToObject(root, "classes", task->n_classes);
    if (task->request->check) {
        cJSON_AddNumberToObject(root, "difference", difference);
        cJSON_AddNumberToObject(root, "largest", largest);
    }
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static void print_result(const struct task *task, double seconds)
{
    const struct features *features = &task->features;
    int layer = features->source.layer;
    double difference, largest;
    if (task->request->json) {
        print_json(task, seconds);
        return;
    }
    printf("images   %d\nrows     %.0f", task->images.n, n_rows(features));
    if (task->n_before)
        printf(", of which %d were there", task->n_before * features->matrix.n_pixels);
    printf("\ninputs   %d\nlayer    %d [%s]\n", features->matrix.n_columns, layer,
           weights_layer_name(&features->workers->net->layers[layer]));
    if (task->class) printf("classes  %d\n", task->n_classes);
    features_check(features, &difference, &largest);
    if (task->request->check)
        printf("check    outputs up to %.6g, the largest difference is %.3g\n", largest,
               difference);
    printf("seconds  %.3f\nfiles    %s", seconds, task->request->name);
    if (task->request->moments) puts(".moments.npy");
    else
        printf(".x.npy%s%s\n", task->class ? " .y.npy" : "",
               has_numbered_images(task) ? " .i.npy" : "");
}

/* Rounding differs where products are formed of other numbers of vectors. */
static enum sn_status judge(const struct task *task, struct sn_error *error)
{
    const double tolerance = 1e-4;
    double difference, largest;
    features_check(&task->features, &difference, &largest);
    if (difference <= tolerance * largest) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: outputs up to %g: expected the same from the features to %g, found a "
                   "difference of %g",
                   task->request->cfg, largest, tolerance * largest, difference);
}

static enum sn_status read_lists(struct task *task, struct sn_error *error)
{
    const struct request *request = task->request;
    if (image_list_read(request->list, request->key, &task->images, error)) return error->code;
    if (request->moments) return SN_OK;
    return image_list_classes(request->list, request->labels, &task->images, &task->class,
                              &task->n_classes, error);
}

/* Looks at a net, and loads it for each thread. */
static enum sn_status open_net(const struct task *task, const char *cfg, const char *weights,
                               int layer, struct features *features, struct sn_error *error)
{
    const struct request *request = task->request;
    struct features_source source = { .cfg = cfg,
                                      .weights = weights,
                                      .images = &task->images,
                                      .resize = request->resize,
                                      .n_crops = request->n_crops,
                                      .seed = request->seed,
                                      .is_checked = request->check };
    network *net = load_net(cfg, weights);
    enum sn_status status = pictures_check(net, cfg, request->resize, error);
    if (!status) status = choose_layer(net, cfg, layer, &choose_layer_matrix, &source.layer, error);
    return status ? status : features_open(features, &source, net, error);
}

static enum sn_status open_nets(struct task *task, struct sn_error *error)
{
    const struct request *request = task->request;
    enum sn_status status = open_net(task, request->cfg, request->weights, request->layer,
                                     &task->features, error);
    if (status || !request->reference_cfg) return status;
    return open_net(task, request->reference_cfg, request->reference_weights,
                    task->features.source.layer, &task->reference, error);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct task task = { .request = &request };
    struct sn_error error;
    double start = command_seconds();
    command_use_threads(1);
    if (read_lists(&task, &error) || open_nets(&task, &error)
        || (request.moments ? write_moments : write_files)(&task, &error))
        sn_die(&error);
    print_result(&task, command_seconds() - start);
    if (request.check && judge(&task, &error)) sn_die(&error);
    features_close(&task.features);
    features_close(&task.reference);
    free(task.class);
    lines_free(&task.images);
    return 0;
}
