/* structnet eval: top-1 and top-5 on the valid list of a Darknet .data file. */
#include "command.h"
#include "load_net.h"
#include "pictures.h"

#include <evaluation.h>
#include <plug_errors.h>
#include <task.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

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

/* The valid list of a .data file. */
struct judged {
    struct task task;
    struct lines images;
    int *class; /* of each image */
};

static struct judged read_judged(const char *path)
{
    struct judged judged;
    struct sn_error error = { 0 };
    if (task_open(path, &judged.task, &error) || !task_value(&judged.task, "valid", &error)
        || task_read_labels(&judged.task, &error)
        || task_images(&judged.task, "valid", &judged.images, &judged.class, &error))
        sn_die(&error);
    return judged;
}

static void free_judged(struct judged *judged)
{
    lines_free(&judged->images);
    task_free(&judged->task);
    free(judged->class);
}

static void count_correct(network *net, const struct judged *judged, int resize, int *top1,
                          int *top5)
{
    struct sn_error error;
    *top1 = *top5 = 0;
    for (int start = 0, n; start < judged->images.n; start += n) {
        if (pictures_load(net, &judged->images, start, resize, &n, &error)) sn_die(&error);
        const float *output = network_predict(net, net->input);
        for (int b = 0; b < n; b++) {
            int rank = evaluation_rank(output + (size_t)b * net->outputs, net->outputs,
                                       judged->class[start + b]);
            *top1 += rank < 1;
            *top5 += rank < 5;
        }
        command_progress((double)(start + n) / judged->images.n, "top-1 %.2f %%",
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
    struct judged judged = read_judged(argument[2]);
    network *net = load_net(argument[0], argument[1]);
    if (pictures_check(net, argument[0], resize, &error)) sn_die(&error);
    if (net->outputs != judged.task.n_classes) {
        sn_fail(&error, SN_BAD_INPUT, "%s: %d outputs, expected %d, one per class", argument[0],
                net->outputs, judged.task.n_classes);
        sn_die(&error);
    }
    count_correct(net, &judged, resize, &top1, &top5);
    print_result(argument[1], judged.images.n, top1, top5, command_seconds() - start, json);
    free_network(net);
    free_judged(&judged);
    return 0;
}
