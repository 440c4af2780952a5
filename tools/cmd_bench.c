/* structnet bench: time of the heads of nets, side by side. */
#include "choose_layer.h"
#include "command.h"
#include "layer_costs.h"
#include "load_net.h"

#include <plug_errors.h>
#include <sn_error.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int run(int argc, char **argv);

const struct command cmd_bench = {
    .name = "bench",
    .run = run,
    .summary = "time of the heads of nets, side by side",
    .usage =
        "usage: structnet bench [OPTION]... CFG WEIGHTS [CFG WEIGHTS]...\n"
        "\n"
        "Times the last connected or structured layer of each net on one image (batch 1,\n"
        "random input): warm, again and again, and cold, after other data has filled the caches,\n"
        "as in a net whose layers do not fit into them; last, what the whole net takes. The nets\n"
        "take turns in one run; medians are printed, and their ratios to the first net's.\n"
        "\n"
        "  --layer N       layer N of each net instead, counted from 0 as Darknet prints them\n"
        "  --json          one object instead of the table\n"
};

enum { ROUNDS = 301, COLD_ROUNDS = 21, NET_ROUNDS = 11 };

struct head {
    const char *cfg;
    network *net;
    layer *l;
    float *input, *image;                                      /* of the layer and of the net */
    double warm[ROUNDS], cold[COLD_ROUNDS], whole[NET_ROUNDS]; /* ns, sorted in the end */
};

static double median_warm(const struct head *head) { return head->warm[ROUNDS / 2]; }
static double median_cold(const struct head *head) { return head->cold[COLD_ROUNDS / 2]; }
static double median_whole(const struct head *head) { return head->whole[NET_ROUNDS / 2]; }

static float *random_floats(int n)
{
    struct sn_error error = { 0 };
    float *x = malloc((size_t)n * sizeof *x);
    if (!x) {
        sn_no_memory(&error, "%d inputs", n);
        sn_die(&error);
    }
    for (int i = 0; i < n; i++) x[i] = rand_uniform(-1, 1);
    return x;
}

static struct head prepare(const char *cfg, const char *weights, int layer)
{
    struct head head = { .cfg = cfg, .net = load_net(cfg, weights) };
    struct sn_error error;
    int i;
    set_batch_network(head.net, 1);
    if (choose_layer(head.net, cfg, layer, &choose_layer_matrix, &i, &error)) sn_die(&error);
    head.l = &head.net->layers[i];
    head.input = random_floats(head.l->inputs);
    head.image = random_floats(head.net->inputs);
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

static void measure_warm(struct head *heads, int n)
{
    enum { SLICE_NS = 200000 };
    for (int round = -1; round < ROUNDS; round++) /* Round -1 warms up. */
        for (int i = 0; i < n; i++) {
            double ns = time_once(&heads[i], 1);
            int repeats = ns < SLICE_NS ? (int)(SLICE_NS / (ns + 1)) + 1 : 1;
            ns = time_once(&heads[i], repeats);
            if (round >= 0) heads[i].warm[round] = ns;
        }
    for (int i = 0; i < n; i++) qsort(heads[i].warm, ROUNDS, sizeof *heads[i].warm, compare);
}

/* What drives everything else out of the caches when it is written: twice the last one, of which
 * some systems count the parts that this core cannot fill. */
static size_t cache_bytes(void)
{
    const size_t most = (size_t)1 << 28;
    long bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (bytes <= 0) return (size_t)1 << 26;
    return 2 * (size_t)bytes < most ? 2 * (size_t)bytes : most;
}

static int measure_cold(struct head *heads, int n)
{
    size_t n_bytes = cache_bytes();
    volatile char *other = calloc(n_bytes, 1);
    if (!other) return 0;
    for (int round = 0; round < COLD_ROUNDS; round++)
        for (int i = 0; i < n; i++) {
            for (size_t line = 0; line < n_bytes; line += 64) other[line]++;
            heads[i].cold[round] = time_once(&heads[i], 1);
        }
    free((void *)other);
    for (int i = 0; i < n; i++) qsort(heads[i].cold, COLD_ROUNDS, sizeof *heads[i].cold, compare);
    return 1;
}

static void measure_whole(struct head *heads, int n)
{
    for (int round = -1; round < NET_ROUNDS; round++) /* Round -1 warms up. */
        for (int i = 0; i < n; i++) {
            double start = command_seconds();
            network_predict(heads[i].net, heads[i].image);
            if (round >= 0) heads[i].whole[round] = 1e9 * (command_seconds() - start);
        }
    for (int i = 0; i < n; i++) qsort(heads[i].whole, NET_ROUNDS, sizeof *heads[i].whole, compare);
}

static void print_table(const struct head *heads, int n)
{
    printf("%-10s %10s %14s %10s %7s %10s %7s %12s  %s\n", "head", "bytes", "multiply-adds",
           "warm us", "ratio", "cold us", "ratio", "whole net us", "net");
    for (int i = 0; i < n; i++)
        printf("%-10s %10zu %14.0f %10.2f %7.3f %10.2f %7.3f %12.0f  %s\n",
               weights_layer_name(heads[i].l), layer_bytes(heads[i].l),
               layer_multiply_adds(heads[i].l), median_warm(&heads[i]) / 1000,
               median_warm(&heads[i]) / median_warm(&heads[0]), median_cold(&heads[i]) / 1000,
               median_cold(&heads[i]) / median_cold(&heads[0]), median_whole(&heads[i]) / 1000,
               heads[i].cfg);
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
        cJSON_AddNumberToObject(item, "ns", median_warm(&heads[i]));
        cJSON_AddNumberToObject(item, "ns_cold", median_cold(&heads[i]));
        cJSON_AddNumberToObject(item, "ns_net", median_whole(&heads[i]));
        cJSON_AddItemToArray(array, item);
    }
    command_print_json(root);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = {
        { "layer", 1, 0, 'l' }, { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 }
    };
    struct sn_error error = { 0 };
    int json = 0, layer = -1;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'j') json = 1;
        else if (option == 'l') layer = choose_layer_option(&cmd_bench, optarg);
        else command_other_option(&cmd_bench, option);
    }
    int n = (argc - optind) / 2;
    if (n < 1 || (argc - optind) % 2)
        command_usage_error(&cmd_bench, "expected pairs of CFG and WEIGHTS");
    struct head *heads = calloc((size_t)n, sizeof *heads);
    if (!heads) return 1;
    for (int i = 0; i < n; i++)
        heads[i] = prepare(argv[optind + 2 * i], argv[optind + 2 * i + 1], layer);
    measure_warm(heads, n);
    measure_whole(heads, n);
    if (!measure_cold(heads, n)) {
        sn_no_memory(&error, "%zu bytes", cache_bytes());
        sn_die(&error);
    }
    (json ? print_json : print_table)(heads, n);
    for (int i = 0; i < n; i++) {
        free(heads[i].input);
        free(heads[i].image);
        free_network(heads[i].net);
    }
    free(heads);
    return 0;
}
