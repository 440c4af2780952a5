/* structnet bench: time of the heads of nets, side by side. */
#include "choose_layer.h"
#include "command.h"
#include "layer_costs.h"
#include "load_net.h"

#include <structured_layer.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);

const struct command cmd_bench = {
    .name = "bench",
    .run = run,
    .summary = "time of the heads of nets, side by side",
    .usage =
        "usage: structnet bench [--json] CFG WEIGHTS [CFG WEIGHTS]...\n"
        "\n"
        "Times the last connected or structured layer of each net on one image (batch 1,\n"
        "random input). The nets take turns in one run; the median of the rounds is printed, and\n"
        "its ratio to the first net's.\n"
        "\n"
        "  --json  one object instead of the table\n"
};

enum { ROUNDS = 301 };

struct head {
    const char *cfg;
    network *net;
    layer *l;
    float *input;
    double ns[ROUNDS];
    double median_ns;
};

static struct head prepare(const char *cfg, const char *weights)
{
    struct head head = { .cfg = cfg, .net = load_net(cfg, weights) };
    int i;
    set_batch_network(head.net, 1);
    if (choose_layer(head.net, cfg, -1, &choose_layer_matrix, &i, NULL))
        command_usage_error(&cmd_bench, "%s has no connected or structured layer", cfg);
    head.l = &head.net->layers[i];
    head.input = calloc((size_t)head.l->inputs, sizeof *head.input);
    for (int k = 0; head.input && k < head.l->inputs; k++) head.input[k] = rand_uniform(-1, 1);
    return head;
}

/* Time of one forward pass, averaged over enough passes to stand above the clock. */
static double time_once(struct head *head, int repeats)
{
    network net = *head->net;
    net.input = head->input;
    net.train = 0;
    double start = command_seconds();
    for (int i = 0; i < repeats; i++) head->l->forward(*head->l, net);
    return 1e9 * (command_seconds() - start) / repeats;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct head *heads, int n)
{
    enum { SLICE_NS = 200000 };
    for (int round = -1; round < ROUNDS; round++) /* Round -1 warms up. */
        for (int i = 0; i < n; i++) {
            double ns = time_once(&heads[i], 1);
            int repeats = ns < SLICE_NS ? (int)(SLICE_NS / (ns + 1)) + 1 : 1;
            ns = time_once(&heads[i], repeats);
            if (round >= 0) heads[i].ns[round] = ns;
        }
    for (int i = 0; i < n; i++) {
        qsort(heads[i].ns, ROUNDS, sizeof *heads[i].ns, compare);
        heads[i].median_ns = heads[i].ns[ROUNDS / 2];
    }
}

static void print_table(const struct head *heads, int n)
{
    printf("%-10s %12s %14s %14s %8s  %s\n", "head", "bytes", "multiply-adds", "us per image",
           "ratio", "net");
    for (int i = 0; i < n; i++)
        printf("%-10s %12zu %14.0f %14.2f %8.3f  %s\n", weights_layer_name(heads[i].l),
               layer_bytes(heads[i].l), layer_multiply_adds(heads[i].l), heads[i].median_ns / 1000,
               heads[i].median_ns / heads[0].median_ns, heads[i].cfg);
}

static void print_json(const struct head *heads, int n)
{
    cJSON *root = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(root, "heads");
    for (int i = 0; i < n; i++) {
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "cfg", heads[i].cfg);
        cJSON_AddStringToObject(item, "type", weights_layer_name(heads[i].l));
        cJSON_AddNumberToObject(item, "bytes", (double)layer_bytes(heads[i].l));
        cJSON_AddNumberToObject(item, "multiply_adds", layer_multiply_adds(heads[i].l));
        cJSON_AddNumberToObject(item, "ns", heads[i].median_ns);
        cJSON_AddItemToArray(array, item);
    }
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 } };
    int json = 0;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'j') json = 1;
        else command_other_option(&cmd_bench, option);
    }
    int n = (argc - optind) / 2;
    if (n < 1 || (argc - optind) % 2)
        command_usage_error(&cmd_bench, "expected pairs of CFG and WEIGHTS");
    struct head *heads = calloc((size_t)n, sizeof *heads);
    if (!heads) return 1;
    for (int i = 0; i < n; i++) heads[i] = prepare(argv[optind + 2 * i], argv[optind + 2 * i + 1]);
    measure(heads, n);
    (json ? print_json : print_table)(heads, n);
    for (int i = 0; i < n; i++) {
        free(heads[i].input);
        free_network(heads[i].net);
    }
    free(heads);
    return 0;
}
