/* The hooks of Darknet's examples/classifier.c (plug_classifier.h). */
#define PLUG_IMPLEMENTATION
#include "plug_classifier.h"

#include "labels.h"
#include "plug_errors.h"
#include "plug_parallel.h"
#include "plug_training.h"
#include "ranks.h"
#include "task.h"

#include <list.h>
#include <option_list.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of the command that runs; labels is NULL unless it has to know the classes of images. */
static struct task task;

/* All images of the training list where several ranks share it. */
static struct lines shared;

char *plug_find_label(const char *path, const char *label)
{
    static _Thread_local const char *last; /* callers ask for one label after the other */
    static _Thread_local int class;
    if (!task.labels) return strstr(path, label);
    if (path != last) {
        class = -1;
        labels_of_path(task.labels, path, &class, NULL);
        last = path;
    }
    return class >= 0 && !strcmp(task.names.line[class], label) ? (char *)path : NULL;
}

static int trains(const char *function) { return !strcmp(function, "train_classifier"); }

static int validates(const char *function) { return !strncmp(function, "validate_", 9); }

/* Whether it prints the names of classes. */
static int names(const char *function)
{
    return !strcmp(function, "predict_classifier") || !strcmp(function, "try_classifier")
        || !strcmp(function, "label_classifier");
}

/* What can be said before there is a net. */
static enum sn_status check_data(const char *function, const char *cfg, struct sn_error *error)
{
    struct lines images;
    int *class, has_tags = trains(function) && task_find(&task, "tag");
    if (names(function) && task_find(&task, "classes")) return task_read_classes(&task, error);
    if (!trains(function) && !validates(function)) return SN_OK;
    if (!has_tags && task_read_labels(&task, error)) return error->code;
    if (trains(function)) return plug_training_check(&task, cfg, error);
    if (task_images(&task, "valid", &images, &class, error)) return error->code;
    int n = images.n, least = strcmp(function, "validate_classifier_crop") ? 1 : 1000;
    enum sn_status status = task_check_pictures(&images, error);
    lines_free(&images);
    free(class);
    if (status || n >= least) return status;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: valid: expected at least %d images, as they are judged by the thousand, "
                   "found %d",
                   task.path, least, n);
}

/* A net over a tree of classes has outputs for the branches too. */
static enum sn_status check_outputs(const network *net, const char *cfg, struct sn_error *error)
{
    int has_tree = net->hierarchy || task_find(&task, "tree"), n = task.n_classes;
    if (!n || n == net->outputs || (has_tree && n < net->outputs)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: %d outputs, expected %d, one per class of %s", cfg,
                   net->outputs, n, task.path);
}

static enum sn_status check_names(const network *net, struct sn_error *error)
{
    struct lines lines;
    const char *path = task_find(&task, "names");
    if (!path && !(path = task_value(&task, "labels", error))) return error->code;
    if (lines_read_full(path, &lines, error)) return error->code;
    int n = lines.n;
    lines_free(&lines);
    if (n >= net->outputs) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected %d names, one per output, found %d", path,
                   net->outputs, n);
}

/* Darknet looks for the `top` largest outputs, however few there are. */
static enum sn_status check_top(const network *net, struct sn_error *error)
{
    const char *top = task_find(&task, "top");
    char *end = NULL;
    long n = top ? strtol(top, &end, 10) : 1;
    if (n >= 1 && n <= net->outputs && (!end || !*end)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: top: expected 1 to %d, found '%s'", task.path,
                   net->outputs, top);
}

static enum sn_status check_net(const char *function, network *net, const char *cfg,
                                struct sn_error *error)
{
    if (check_outputs(net, cfg, error)) return error->code;
    if (trains(function) && plug_parallel_begin(net, error)) return error->code;
    if (trains(function)) return plug_training_begin(net, error);
    if (names(function) && check_names(net, error)) return error->code;
    return names(function) || validates(function) ? check_top(net, error) : SN_OK;
}

enum sn_status plug_check_task(const network *net, const char *data, const char *cfg,
                               struct sn_error *error)
{
    static const char function[] = "train_classifier";
    enum sn_status status = task_open(data, &task, error);
    if (!status) status = check_data(function, cfg, error);
    if (!status) status = check_outputs(net, cfg, error);
    if (!status) status = plug_training_check_net(net, error);
    if (!status && !task_find(&task, "tree")
        && (task_find(&task, "names") || task_find(&task, "labels")))
        status = check_names(net, error);
    return status ? status : check_top(net, error);
}

static void need_cfg(const char *cfg)
{
    struct sn_error error;
    if (cfg) return;
    sn_fail(&error, SN_BAD_INPUT, "expected DATA CFG, found no cfg");
    sn_die(&error);
}

/* All ranks draw from one seed. */
static void share_seed(void)
{
    char text[24];
    unsigned long long seed = (unsigned long long)time(NULL);
    ranks_copy(&seed, sizeof seed, 0);
    snprintf(text, sizeof text, "%llu", seed);
    if (ranks_count() > 1) setenv("STRUCTNET_SEED", text, 0);
}

/* Ranks but 0 are silent about its layers. */
static network *load_on_ranks(char *cfg, char *weights, int clear)
{
    FILE *terminal = stderr, *nothing = ranks_own() ? fopen("/dev/null", "w") : NULL;
    if (nothing) stderr = nothing;
    network *net = load_network(cfg, weights, clear);
    stderr = terminal;
    if (nothing) fclose(nothing);
    return net;
}

network *plug_load_network(const char *function, char *data, char *cfg, char *weights, int clear)
{
    struct sn_error error = { 0 };
    if (trains(function)) {
        ranks_begin();
        share_seed();
        if (ranks_own()) ranks_wait(); /* for rank 0, which says what is wrong for all */
    }
    need_cfg(cfg);
    if (task_open(data, &task, &error) || check_data(function, cfg, &error)) sn_die(&error);
    network *net = load_on_ranks(cfg, weights, clear);
    if (trains(function) && !ranks_own()) ranks_wait();
    if (check_net(function, net, cfg, &error)) sn_die(&error);
    return net;
}

/* Training asks for the cfg's name before it loads a net. */
char *plug_basecfg(char *cfg)
{
    need_cfg(cfg);
    return basecfg(cfg);
}

void plug_top_k(float *outputs, int n, int k, int *index)
{
    struct sn_error error;
    if (k >= 1 && k <= n) {
        top_k(outputs, n, k, index);
        return;
    }
    sn_fail(&error, SN_BAD_INPUT, "-t: expected 1 to %d, the net's outputs, found %d", n, k);
    sn_die(&error);
}

static list *list_of(const struct lines *lines)
{
    list *made = make_list();
    for (int i = 0; i < lines->n; i++) list_insert(made, lines->line[i]);
    return made;
}

/* Darknet takes over the strings, of which the keys and values of options are parts. */
list *plug_read_data_cfg(char *path)
{
    struct sn_error error;
    struct lines data;
    if (task_read_data(path, &data, &error)) sn_die(&error);
    list *options = make_list();
    for (int i = 0; i < data.n; i++)
        if (!read_option(data.line[i], options)) free(data.line[i]);
    free(data.line);
    return options;
}

/* In training by several ranks Darknet counts epochs by this rank's share of the list. */
list *plug_get_paths(const char *function, char *path)
{
    struct sn_error error;
    struct lines lines;
    if (lines_read_full(path, &lines, &error)) sn_die(&error);
    int n = trains(function) ? ranks_count() : 1;
    if (n > 1) shared = lines;
    lines.n = (lines.n + n - 1) / n;
    list *paths = list_of(&lines);
    if (n == 1) free(lines.line);
    return paths;
}

pthread_t plug_load_data(load_args args)
{
    if (shared.n) {
        args.paths = shared.line;
        args.m = shared.n;
    }
    return plug_parallel_load(args);
}

char **plug_get_labels(char *path)
{
    struct sn_error error;
    struct lines lines;
    if (lines_read_full(path, &lines, &error)) sn_die(&error);
    return lines.line;
}

static int is_silent(const char *function)
{
    return trains(function) && (ranks_own() || !plug_training_is_stock_log());
}

int plug_printf(const char *function, const char *format, ...)
{
    va_list arguments;
    if (is_silent(function)) return 0;
    va_start(arguments, format);
    int n = vprintf(format, arguments);
    va_end(arguments);
    return n;
}
