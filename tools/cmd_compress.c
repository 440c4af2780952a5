/* structnet compress: a smaller net from a trained one, the best of many. */
#include "approximation.h"
#include "command.h"
#include "compress.h"
#include "compress_report.h"
#include "copy_bytes.h"
#include "outputs.h"
#include "pictures.h"
#include "whole.h"
#include "whole_output.h"

#include <plug_errors.h>
#include <ranks.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);
static void print_options(void);

const struct command cmd_compress = {
    .name = "compress",
    .run = run,
    .summary = "a smaller net from a trained one, chosen among many",
    .usage =
        "usage: structnet compress CFG WEIGHTS DATA --share S -o NAME [OPTION]...\n"
        "       structnet compress CFG WEIGHTS DATA --max-drop P -o NAME [OPTION]...\n"
        "\n"
        "Replaces the matrix of a layer, or those of several, by the best that is found within a\n"
        "budget, and writes NAME.cfg and NAME.weights, NAME.report.html and, with the same\n"
        "figures, NAME.report.tsv. DATA is a Darknet .data file with classes, labels, train and\n"
        "valid: every type, number of bits and size of blocks is fitted to a part of the train\n"
        "list, tuned briefly behind its features, and the best few fully; the rest of the list\n"
        "chooses. The valid list only gives the top-1 in the end. Where DATA has a list test too,\n"
        "valid chooses and test gives the top-1.\n"
        "\n"
        "What is computed stays in the folder NAME.parts-XXXXXXXX; the same command, after an\n"
        "interrupt or with another budget, goes on from there. The folder may be removed.\n"
        "Where MPI is there, mpirun -n N structnet compress ... tries N candidates at a time, on\n"
        "machines that all see that folder.\n"
        "\n"
        "  --share S       budget: bytes over bytes of the dense matrices, 0 < S <= 1, indices\n"
        "                  counted\n"
        "  --bytes B       budget in bytes, instead of --share\n"
        "  --max-drop P    instead of a budget: the smallest net whose top-1 on the images that\n"
        "                  choose is at most P points below that of CFG\n"
        "  --layers L      numbers of layers separated by commas, counted from 0 as Darknet\n"
        "                  prints them: connected ones and convolutions, one after the other,\n"
        "                  each fitted to what those before it give; all: those that hold at\n"
        "                  least a thousandth of the bytes of CFG, in a whole net the others\n"
        "                  too, in 8 bits, as convolutions of groups are there; default: the\n"
        "                  last connected layer, or the last convolution in a net without one\n"
        "\n"
        "Several layers with convolutions among them are a whole net: a few images fit it,\n"
        "without labels and without training. Each layer is tried in several forms, the budget\n"
        "is spread so that the errors of the layers' outputs are least, every layer is fitted\n"
        "to what CFG gives there by what the replaced ones before it give, and the statistics\n"
        "of batch normalisation are taken again. The report has, in one run, the bytes,\n"
        "multiply-adds, images a second and top-1 of CFG, of it in a few bits, and of this net.\n"
        "\n"
        "  --madds S       of a whole net, with a budget or instead of one: multiply-adds over\n"
        "                  those of the layers as they are, 0 < S <= 1\n"
        "  --block B       of a whole net: sparse matrices have blocks of 4 or 8 rows, which are\n"
        "                  faster and cost more accuracy (structnet approx --help)\n"
        "  --parts P,...   of a whole net: parts of its entries that a sparse matrix may have\n"
        "                  (default 0.5,0.3,0.2,0.12); where types, bits and this leave one form\n"
        "                  of a layer, all layers take it\n"
        "  --images N      of the train list, that fit a whole net (default 256)\n"
        "  --baselines B,...\n"
        "                  of a whole net: bits of the dense nets that it is compared with\n"
        "                  (default 4,3,2), or none\n"
        "  --target T      of a whole net with --max-drop: what is to be least, bytes (default)\n"
        "                  or madds\n"
        "  --tune T        of a whole net: none (default); layers: the values are trained so\n"
        "                  that its blocks give what those of CFG give (structnet reconstruct),\n"
        "                  without labels; or whole: the net goes on learning the classes of the\n"
        "                  train list by \"darknet classifier train\", the patterns kept, in\n"
        "                  batches of CFG's size, of 64 images where that is 1\n"
        "  --tune-images N of the train list, for --tune layers (default 1024)\n"
        "  --tune-batches N of --tune whole (default: two passes over the train list)\n"
        "  --tune-rate R   of --tune whole, the learning rate at first, which falls to 0 along a\n"
        "                  line (default: a tenth of CFG's)\n",
    .print_options = print_options,
    .usage_end =
        "  --bits B,...    of a value, of 32, 8, 4, 3, 2 and 1 (default: all; of a whole net 8,\n"
        "                  4 and 2)\n"
        "  --holdout H     fraction of the train list that chooses, 0 < H < 1 (default 0.2)\n"
        "  --effort E      of a fit: quick (default), normal or thorough (structnet approx\n"
        "                  --help)\n" PICTURES_RESIZE_HELP
        "  --seed N        of all draws (default 0)\n"
        "  -o NAME         output files\n"
        "  --json          one object instead of the table\n"
        "\n" PICTURES_LABEL_HELP
};

static void print_options(void)
{
    printf("  --types T,...   of %s (default: all, of a whole net\n"
           "                  pruned,dense; structnet approx --help)\n",
           approximation_names());
}

struct arguments {
    struct compress_request request;
    int json;
};

static void read_layers(struct compress_request *request, const char *list)
{
    char text[16];
    request->n_layers = 0;
    request->all_layers = !strcmp(list, "all");
    for (const char *at = list; !request->all_layers; at++) {
        size_t n = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), at);
        if (request->n_layers == COMPRESS_MAX_LAYERS)
            command_usage_error(&cmd_compress, "--layers: expected at most %d",
                                COMPRESS_MAX_LAYERS);
        request->layers[request->n_layers++] = command_whole_number(&cmd_compress, "--layers", text,
                                                                    0, 1000000);
        if (!*(at += n)) return;
    }
}

static void read_parts(struct compress_request *request, const char *list)
{
    char text[32];
    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), at);
        if (request->n_parts == COMPRESS_MAX_PARTS)
            command_usage_error(&cmd_compress, "--parts: expected at most %d", COMPRESS_MAX_PARTS);
        request->parts[request->n_parts++] = command_number(&cmd_compress, "--parts", text, 1e-9,
                                                            1);
        if (!*(at += n)) return;
    }
}

static enum compress_tune read_tune(const char *text)
{
    if (!strcmp(text, "none")) return COMPRESS_TUNE_NONE;
    if (!strcmp(text, "layers")) return COMPRESS_TUNE_LAYERS;
    if (!strcmp(text, "whole")) return COMPRESS_TUNE_WHOLE;
    command_usage_error(&cmd_compress, "--tune: expected none, layers or whole, found '%s'", text);
}

static int read_target(const char *text)
{
    if (strcmp(text, "bytes") && strcmp(text, "madds"))
        command_usage_error(&cmd_compress, "--target: expected bytes or madds, found '%s'", text);
    return !strcmp(text, "madds");
}

static int read_count(const char *option, int least)
{
    return command_whole_number(&cmd_compress, option, optarg, least, 100000000);
}

static int read_block(const char *text)
{
    int block = command_whole_number(&cmd_compress, "--block", text, 4, 8);
    if (block == 4 || block == 8) return block;
    command_usage_error(&cmd_compress, "--block: expected 4 or 8, found %d", block);
}

static void take_option(struct arguments *arguments, int option)
{
    const struct command *command = &cmd_compress;
    struct compress_request *request = &arguments->request;
    switch (option) {
    case 's': request->share = command_number(command, "--share", optarg, 1e-12, 1); break;
    case 'b': request->bytes = command_number(command, "--bytes", optarg, 1, 1e12); break;
    case 'd':
        request->max_drop = command_number(command, "--max-drop", optarg, 0, 100) / 100;
        break;
    case 'm': request->madds = command_number(command, "--madds", optarg, 1e-12, 1); break;
    case 'i': request->n_images = read_count("--images", 1); break;
    case 'L':
        request->has_baselines = 1;
        if (strcmp(optarg, "none"))
            request->n_baselines = request_read_bits(command, optarg, request->baselines);
        break;
    case 'T': request->tune = read_tune(optarg); break;
    case 'E': request->n_tune_images = read_count("--tune-images", 2); break;
    case 'N': request->n_tune_batches = read_count("--tune-batches", 1); break;
    case 'R': request->tune_rate = command_number(command, "--tune-rate", optarg, 1e-9, 1e3); break;
    case 'g': request->is_of_madds = read_target(optarg); break;
    case 'P': read_parts(request, optarg); break;
    case 'k': request->block = read_block(optarg); break;
    case 'l': read_layers(request, optarg); break;
    case 't': approximation_check_types(command, request->types = optarg); break;
    case 'B': request->n_bits = request_read_bits(command, optarg, request->bits); break;
    case 'H': request->holdout = command_number(command, "--holdout", optarg, 1e-9, 1); break;
    case 'e':
        request_read_effort(command, optarg);
        request->effort = optarg;
        break;
    case 'r':
        request->resize = command_whole_number(command, "--resize", optarg, 1, PICTURES_MAX_SIZE);
        break;
    case 'S':
        request->seed = (uint64_t)command_whole_number(command, "--seed", optarg, 0, 2147483647);
        break;
    case 'o': request->name = optarg; break;
    case 'j': arguments->json = 1; break;
    default: command_other_option(command, option);
    }
}

static void check_request(const struct compress_request *request)
{
    int n = (request->share > 0) + (request->bytes > 0) + (request->max_drop >= 0);
    if (n > 1 || (!n && !(request->madds > 0)))
        command_usage_error(&cmd_compress,
                            "expected one of --share, --bytes and --max-drop, found %s",
                            n ? "several" : "none");
    const char *wrong = request->n_tune_images && request->tune != COMPRESS_TUNE_LAYERS
        ? "--tune-images: expected --tune layers"
        : request->n_tune_batches && request->tune != COMPRESS_TUNE_WHOLE
        ? "--tune-batches: expected --tune whole"
        : request->tune_rate > 0 && request->tune != COMPRESS_TUNE_WHOLE
        ? "--tune-rate: expected --tune whole"
        : NULL;
    if (wrong) command_usage_error(&cmd_compress, "%s", wrong);
    if (!outputs_is_name(request->name)) command_usage_error(&cmd_compress, "expected -o NAME");
}

/* What depends on whether a whole net is to be made. */
static void complete_request(struct compress_request *request, int is_whole)
{
    static const int all[] = { 32, 8, 4, 3, 2, 1 }, few[] = { 8, 4, 2 };
    static const int compared[] = { 4, 3, 2 };
    static const double parts[] = { .5, .3, .2, .12 };
    const char *wrong = is_whole ? NULL
        : request->madds > 0     ? "--madds"
        : request->n_images      ? "--images"
        : request->block         ? "--block"
        : request->n_parts       ? "--parts"
        : request->tune          ? "--tune"
        : request->has_baselines ? "--baselines"
        : request->is_of_madds   ? "--target"
                                 : NULL;
    if (wrong)
        command_usage_error(&cmd_compress, "%s: expected layers that are a whole net", wrong);
    if (!request->types) request->types = is_whole ? "pruned,dense" : approximation_names();
    if (!request->n_images) request->n_images = WHOLE_IMAGES;
    if (!request->block) request->block = 1;
    if (!request->n_tune_images) request->n_tune_images = WHOLE_TUNE_IMAGES;
    if (is_whole && !request->has_baselines) {
        request->n_baselines = sizeof compared / sizeof *compared;
        memcpy(request->baselines, compared, sizeof compared);
    }
    if (!request->n_parts) {
        request->n_parts = sizeof parts / sizeof *parts;
        memcpy(request->parts, parts, sizeof parts);
    }
    if (request->n_bits) return;
    request->n_bits = is_whole ? sizeof few / sizeof *few : sizeof all / sizeof *all;
    memcpy(request->bits, is_whole ? few : all, (size_t)request->n_bits * sizeof *all);
}

static struct arguments read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        { "share", 1, 0, 's' },        { "bytes", 1, 0, 'b' },     { "max-drop", 1, 0, 'd' },
        { "layers", 1, 0, 'l' },       { "madds", 1, 0, 'm' },     { "images", 1, 0, 'i' },
        { "block", 1, 0, 'k' },        { "parts", 1, 0, 'P' },     { "baselines", 1, 0, 'L' },
        { "target", 1, 0, 'g' },       { "tune", 1, 0, 'T' },      { "tune-images", 1, 0, 'E' },
        { "tune-batches", 1, 0, 'N' }, { "tune-rate", 1, 0, 'R' }, { "types", 1, 0, 't' },
        { "bits", 1, 0, 'B' },         { "holdout", 1, 0, 'H' },   { "effort", 1, 0, 'e' },
        { "resize", 1, 0, 'r' },       { "seed", 1, 0, 'S' },      { "output", 1, 0, 'o' },
        { "json", 0, 0, 'j' },         { "help", 0, 0, 'h' },      { 0 }
    };
    struct arguments arguments = { .request = {
                                       .effort = "quick", .max_drop = -1, .holdout = .2 } };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;)
        take_option(&arguments, option);
    command_check_arguments(&cmd_compress, argc, 3, 3);
    check_request(&arguments.request);
    arguments.request.cfg = argv[optind];
    arguments.request.weights = argv[optind + 1];
    arguments.request.data = argv[optind + 2];
    return arguments;
}

/* Judges the net as it was and the chosen one on the test images. */
static enum sn_status judge(struct compress *compress, struct compress_report *report,
                            struct sn_error *error)
{
    const struct compress_net *dense = &compress->dense;
    int first = compress->layers[0].number, last = compress->layers[compress->n_layers - 1].number;
    char before[STEPS_MAX_PATH], after[STEPS_MAX_PATH];
    struct compress_net front;
    if (compress_features(compress, dense, first, "test", before, error)
        || compress_replaced(compress, compress->n_layers - 1, &front, error)
        || compress_replaced(compress, compress->n_layers, &report->net, error)
        || (compress->n_layers > 1
            && compress_features(compress, &front, last, "test", after, error))
        || class_scores_read(dense->cfg, dense->weights, first, before, &report->dense, error))
        return error->code;
    return class_scores_read(report->net.cfg, report->net.weights, last,
                             compress->n_layers > 1 ? after : before, &report->chosen, error);
}

/* All files, or none. */
static enum sn_status write_files(const struct compress_report *report, struct sn_error *error)
{
    const struct compress_request *request = report->compress->request;
    const char *inputs[] = { request->cfg, request->weights, request->data, NULL };
    struct outputs outputs;
    FILE *cfg, *weights, *page, *table;
    outputs_begin(&outputs, inputs);
    if (!(cfg = outputs_open_named(&outputs, request->name, "cfg", error))
        || !(weights = outputs_open_named(&outputs, request->name, "weights", error))
        || !(page = outputs_open_named(&outputs, request->name, "report.html", error))
        || !(table = outputs_open_named(&outputs, request->name, "report.tsv", error))
        || copy_file(report->net.cfg, cfg, error) || copy_file(report->net.weights, weights, error)
        || compress_report_write(report, page, table, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    return outputs_publish(&outputs, error);
}

static void print_json(const struct compress_report *report, double seconds)
{
    const struct compress *compress = report->compress;
    cJSON *root = cJSON_CreateObject();
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    for (int i = 0; i < compress->n_layers; i++) {
        const struct compress_candidate *chosen = &compress->candidates[compress->run.chosen[i]];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "layer", chosen->layer);
        cJSON_AddStringToObject(item, "type", chosen->type->name);
        cJSON_AddNumberToObject(item, "bits", chosen->bits);
        cJSON_AddNumberToObject(item, "block", chosen->block);
        cJSON_AddNumberToObject(item, "bytes", chosen->bytes);
        cJSON_AddNumberToObject(item, "multiply_adds", chosen->madds);
        cJSON_AddItemToArray(layers, item);
    }
    cJSON_AddNumberToObject(root, "bytes", compress->run.bytes);
    cJSON_AddNumberToObject(root, "dense_bytes", compress_dense_bytes(compress));
    cJSON_AddNumberToObject(root, "held_top1", compress->run.score.top1);
    cJSON_AddNumberToObject(root, "dense_held_top1", compress->score.top1);
    cJSON_AddNumberToObject(root, "held_images", compress->held.n);
    cJSON_AddNumberToObject(root, "top1", report->chosen.top1);
    cJSON_AddNumberToObject(root, "dense_top1", report->dense.top1);
    cJSON_AddNumberToObject(root, "test_images", compress->test.n);
    cJSON_AddNumberToObject(root, "candidates", compress->n);
    cJSON_AddNumberToObject(root, "steps_run", report->n_steps);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static void print_result(const struct compress_report *report, double seconds)
{
    const struct compress *compress = report->compress;
    const char *name = compress->request->name;
    double bytes = compress_dense_bytes(compress);
    for (int i = 0; i < compress->n_layers; i++) {
        const struct compress_candidate *chosen = &compress->candidates[compress->run.chosen[i]];
        char label[COMPRESS_MAX_LABEL];
        compress_label(chosen, label);
        printf("layer    %d, %s, %.0f bytes of %.0f\n", chosen->layer, label, chosen->bytes,
               compress->layers[i].bytes);
    }
    printf("share    %.4f of the bytes\n", compress->run.bytes / bytes);
    printf("held     top-1 %.2f %%, dense %.2f %%, %d images\n", 100 * compress->run.score.top1,
           100 * compress->score.top1, compress->held.n);
    printf("test     top-1 %.2f %%, dense %.2f %%, %d images\n", 100 * report->chosen.top1,
           100 * report->dense.top1, compress->test.n);
    printf("steps    %d run, what was known before was taken from %s\n", report->n_steps,
           compress->folder);
    printf("seconds  %.3f\nfiles    %s.cfg .weights .report.html .report.tsv\n", seconds, name);
}

/* ---- Whole nets */

static enum sn_status run_whole(struct compress *compress, int json, const struct step *self,
                                double start, struct sn_error *error)
{
    static struct whole whole;
    if (ranks_count() > 1)
        return sn_fail(error, SN_BAD_INPUT, "a whole net: expected one rank, found %d",
                       ranks_count());
    command_ranks_go();
    enum sn_status status = whole_run(&whole, compress, error);
    char *command = steps_join(self);
    if (!status) status = whole_output_write(&whole, command, error);
    free(command);
    if (!status)
        (json ? whole_output_print_json : whole_output_print)(&whole, command_seconds() - start);
    return status;
}

/* ---- The last layers */

static enum sn_status run_search(struct compress *compress, int json, const struct step *self,
                                 double start, struct sn_error *error)
{
    struct compress_report report = { .compress = compress, .command = steps_join(self) };
    enum sn_status status = compress_report_check(error);
    if (!status) {
        command_ranks_go();
        status = compress_search(compress, error);
        if (!status) status = judge(compress, &report, error);
        if (status && !compress->steps.is_alone) command_ranks_await();
    }
    if (!status) report.n_steps = steps_n_run(&compress->steps);
    if (!status && !ranks_own()) {
        status = write_files(&report, error);
        if (!status) (json ? print_json : print_result)(&report, command_seconds() - start);
    }
    class_scores_free(&report.dense);
    class_scores_free(&report.chosen);
    free(report.command);
    return status;
}

static int run(int argc, char **argv)
{
    command_ranks_begin();
    struct step self = { .n = 0 };
    for (int i = 0; i < argc; i++) steps_add(&self, "%s", i ? argv[i] : cmd_compress.name);
    struct arguments arguments = read_arguments(argc, argv);
    struct compress compress;
    struct sn_error error = { 0 };
    double start = command_seconds();
    command_use_threads(1);
    if (compress_open(&compress, &arguments.request, &error)) sn_die(&error);
    int is_whole = compress_is_whole(&compress);
    complete_request(&arguments.request, is_whole);
    if (is_whole ? run_whole(&compress, arguments.json, &self, start, &error)
                 : run_search(&compress, arguments.json, &self, start, &error))
        sn_die(&error);
    compress_free(&compress);
    return 0;
}
