/* structnet eval: top-1 and top-5 on the valid list of a Darknet .data file. */
#include "command.h"
#include "load_net.h"
#include "pictures.h"

#include <plug_errors.h>

#include <cjson/cJSON.h>
#include <option_list.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct command cmd_eval = {
    .name = "eval",
    .run = run,
    .summary = "top-1 and top-5 accuracy on the valid list of a .data file",
    .usage = "usage: structnet eval CFG WEIGHTS DATA [--resize N] [--json]\n"
             "\n"
             "DATA is a Darknet .data file: classes, labels (one per line) and valid (image\n"
             "paths, one per line) are read. Images are decoded by Darknet.\n"
             "\n" PICTURES_LABEL_HELP "\n" PICTURES_RESIZE_HELP
             "  --json          one object instead of the table\n"
};

struct task {
    struct lines labels, images;
    int *class; /* of each image */
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
                !labels      ? "labels"
                    : !valid ? "valid"
                             : "classes");
        sn_die(&error);
    }
    int n_classes = (int)strtol(classes, NULL, 10);
    if (pictures_read_lines(labels, &task.labels, &error)
        || pictures_read_lines(valid, &task.images, &error))
        sn_die(&error);
    if (task.labels.n < n_classes || n_classes < 1) {
        sn_fail(&error, SN_BAD_INPUT, "%s: classes: %s, but %s has %d labels", path, classes,
                labels, task.labels.n);
        sn_die(&error);
    }
    while (task.labels.n > n_classes) free(task.labels.line[--task.labels.n]);
    task.class = pictures_classes(&task.images, &task.labels, &error);
    if (!task.class) sn_die(&error);
    free_list(options);
    return task;
}

static void free_task(struct task *task)
{
    pictures_free_lines(&task->labels);
    pictures_free_lines(&task->images);
    free(task->class);
}

/* The place of class among n outputs, 0 for the largest; equal outputs count as ahead, so that a
 * net which says nothing scores nothing. */
static int rank_of(const float *output, int n, int class)
{
    int ahead = 0;
    for (int i = 0; i < n; i++) ahead += i != class && !(output[i] < output[class]);
    return ahead;
}

static void count_correct(network *net, const struct task *task, int resize, int *top1, int *top5)
{
    struct sn_error error;
    *top1 = *top5 = 0;
    for (int start = 0, n; start < task->images.n; start += n) {
        if (pictures_load(net, &task->images, start, resize, &n, &error)) sn_die(&error);
        const float *output = network_predict(net, net->input);
        for (int b = 0; b < n; b++) {
            int rank = rank_of(output + (size_t)b * net->outputs, net->outputs,
                               task->class[start + b]);
            *top1 += rank < 1;
            *top5 += rank < 5;
        }
        command_progress((double)(start + n) / task->images.n, "top-1 %.2f %%",
                         100. * *top1 / (start + n));
    }
}

static void print_result(const char *weights, int n, int top1, int top5, double seconds, int json)
{
    if (!json) {
        printf("%-8s %s\n%-8s %d\n%-8s %.2f %%\n%-8s %.2f %%\n", "weights", weights, "images", n,
               "top-1", 100. * top1 / n, "top-5", 100. * top5 / n);
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

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        { "resize", 1, 0, 'r' }, { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 }
    };
    struct sn_error error;
    int json = 0, resize = 0, top1, top5;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'j') json = 1;
        else if (option == 'r')
            resize = command_whole_number(&cmd_eval, "--resize", optarg, 1, PICTURES_MAX_SIZE);
        else command_other_option(&cmd_eval, option);
    }
    command_check_arguments(&cmd_eval, argc, 3, 3);
    char **argument = argv + optind;
    double start = command_seconds();
    struct task task = read_task(argument[2]);
    network *net = load_net(argument[0], argument[1]);
    if (pictures_check(net, argument[0], resize, &error)) sn_die(&error);
    if (net->outputs != task.labels.n) {
        sn_fail(&error, SN_BAD_INPUT, "%s: %d outputs, expected %d, one per class", argument[0],
                net->outputs, task.labels.n);
        sn_die(&error);
    }
    count_correct(net, &task, resize, &top1, &top5);
    print_result(argument[1], task.images.n, top1, top5, command_seconds() - start, json);
    free_network(net);
    free_task(&task);
    return 0;
}
