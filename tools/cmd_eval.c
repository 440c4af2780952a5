/* structnet eval: top-1 and top-5 on the valid list of a Darknet .data file. */
#include "command.h"
#include "labels.h"
#include "load_net.h"

#include <plug_errors.h>

#include <cjson/cJSON.h>
#include <image.h>
#include <option_list.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct command eval_command = {
    "eval", run, "top-1 and top-5 accuracy on the valid list of a .data file",
    "usage: structnet eval CFG WEIGHTS DATA [--json]\n"
    "\n"
    "DATA is a Darknet .data file: classes, labels (one per line) and valid (image\n"
    "paths, one per line) are read. Images are decoded by Darknet and centre-cropped as by\n"
    "\"darknet classifier valid\". An image's label names its directory, or stands in its\n"
    "file name as a whole word; a path that matches no label or several is an error.\n"
    "\n"
    "  --json  one object instead of the table\n"
};

struct lines { char **line; int n; };

/* The lines of a file, without empty ones and line ends. */
static struct lines read_lines(const char *path)
{
    struct lines lines = { 0 };
    struct sn_error error;
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "r");
    if (!file) {
        sn_fail(&error, SN_IO, "%s: cannot read", path);
        sn_die(&error);
    }
    while (getline(&line, &size, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (!*line) continue;
        char **grown = realloc(lines.line, (size_t)(lines.n + 1) * sizeof *grown);
        if (grown) lines.line = grown;
        if (!grown || !(lines.line[lines.n] = strdup(line))) {
            sn_fail(&error, SN_NO_MEMORY, "%s: out of memory", path);
            sn_die(&error);
        }
        lines.n++;
    }
    free(line);
    fclose(file);
    return lines;
}

static void free_lines(struct lines *lines)
{
    for (int i = 0; i < lines->n; i++) free(lines->line[i]);
    free(lines->line);
}

struct task {
    struct lines labels, images;
    int *class;  /* of each image */
};

static struct task read_task(const char *path)
{
    struct task task;
    struct sn_error error = { 0 };
    if (access(path, R_OK)) sn_fail(&error, SN_IO, "%s: cannot read", path);
    if (error.code) sn_die(&error);
    list *options = read_data_cfg((char *)path);
    char *labels = option_find(options, "labels"), *valid = option_find(options, "valid");
    char *classes = option_find(options, "classes");
    if (!labels || !valid || !classes) {
        sn_fail(&error, SN_BAD_INPUT, "%s: %s: expected a value, found none", path,
                !labels ? "labels" : !valid ? "valid" : "classes");
        sn_die(&error);
    }
    task.labels = read_lines(labels);
    task.images = read_lines(valid);
    if (task.labels.n < atoi(classes) || atoi(classes) < 1)
        sn_fail(&error, SN_BAD_INPUT, "%s: classes: %s, but %s has %d labels", path, classes, labels, task.labels.n);
    else if (!task.images.n) sn_fail(&error, SN_BAD_INPUT, "%s: expected images, found none", valid);
    if (error.code) sn_die(&error);
    int n_classes = atoi(classes);
    task.class = calloc((size_t)task.images.n, sizeof *task.class);
    for (int i = 0; task.class && i < task.images.n; i++)
        if (label_of_path(task.images.line[i], task.labels.line, n_classes, &task.class[i], &error)) sn_die(&error);
    if (!task.class) {
        sn_fail(&error, SN_NO_MEMORY, "%s: out of memory", path);
        sn_die(&error);
    }
    while (task.labels.n > n_classes) free(task.labels.line[--task.labels.n]);
    
    free_list(options);
    return task;
}

static void free_task(struct task *task)
{
    free_lines(&task->labels);
    free_lines(&task->images);
    free(task->class);
}

/* Decodes and crops one image into input, as "darknet classifier valid" does. */
static void load_input(const network *net, const char *path, float *input)
{
    quiet_begin();
    image decoded = load_image_color((char *)path, 0, 0);
    image cropped = center_crop_image(decoded, net->w, net->h);
    quiet_end();
    memcpy(input, cropped.data, (size_t)net->inputs * sizeof *input);
    free_image(decoded);
    free_image(cropped);
}

/* The place of class among n outputs, 0 for the largest; equal outputs count as ahead, so that a net which says nothing
 * scores nothing. */
static int rank_of(const float *output, int n, int class)
{
    int ahead = 0;
    for (int i = 0; i < n; i++) ahead += i != class && !(output[i] < output[class]);
    return ahead;
}

static void count_correct(network *net, const struct task *task, int *top1, int *top5)
{
    float *inputs = net->input;
    *top1 = *top5 = 0;
    for (int start = 0; start < task->images.n; start += net->batch) {
        int n = task->images.n - start < net->batch ? task->images.n - start : net->batch;
        for (int b = 0; b < n; b++) load_input(net, task->images.line[start + b], inputs + (size_t)b * net->inputs);
        const float *output = network_predict(net, inputs);
        for (int b = 0; b < n; b++) {
            int rank = rank_of(output + (size_t)b * net->outputs, net->outputs, task->class[start + b]);
            *top1 += rank < 1;
            *top5 += rank < 5;
        }
        command_progress((double)(start + n) / task->images.n, "top-1 %.2f %%", 100. * *top1 / (start + n));
    }
}

static void print_result(const char *weights, int n, int top1, int top5, double seconds, int json)
{
    if (!json) {
        printf("%-8s %s\n%-8s %d\n%-8s %.2f %%\n%-8s %.2f %%\n", "weights", weights, "images", n, "top-1",
               100. * top1 / n, "top-5", 100. * top5 / n);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "weights", weights);
    cJSON_AddNumberToObject(root, "images", n);
    cJSON_AddNumberToObject(root, "top1", (double)top1 / n);
    cJSON_AddNumberToObject(root, "top5", (double)top5 / n);
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

static void check_net(const network *net, const struct task *task, const char *cfg)
{
    struct sn_error error = { 0 };
    if (net->w < 1 || net->h < 1 || net->c != 3 || net->inputs != net->w * net->h * net->c)
        sn_fail(&error, SN_BAD_INPUT, "%s: [net]: expected width x height x 3 inputs, found %d x %d x %d (%d)", cfg,
                net->w, net->h, net->c, net->inputs);
    else if (net->outputs != task->labels.n)
        sn_fail(&error, SN_BAD_INPUT, "%s: %d outputs, expected %d, one per class", cfg, net->outputs, task->labels.n);
    if (error.code) sn_die(&error);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 } };
    int json = 0, top1, top5;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'j') json = 1;
        else command_other_option(&eval_command, option);
    }
    command_check_arguments(&eval_command, argc, 3, 3);
    char **argument = argv + optind;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    struct task task = read_task(argument[2]);
    network *net = load_net(argument[0], argument[1]);
    check_net(net, &task, argument[0]);
    count_correct(net, &task, &top1, &top5);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    print_result(argument[1], task.images.n, top1, top5, seconds, json);
    free_network(net);
    free_task(&task);
    return 0;
}
