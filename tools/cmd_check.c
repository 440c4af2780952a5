/* structnet check: are a cfg, its weights and what it is to learn right? */
#include "command.h"
#include "load_net.h"

#define PLUG_IMPLEMENTATION
#include <plug_classifier.h>
#include <plug_errors.h>

#include <malloc.h>
#include <stdio.h>

static int run(int argc, char **argv);

const struct command cmd_check = {
    .name = "check",
    .run = run,
    .summary = "validates a cfg, its weights and a .data file",
    .usage = "usage: structnet check CFG WEIGHTS [DATA]\n"
             "\n"
             "Checks every section and key, the length of the weights to the byte, the indices of\n"
             "sparse factors, and that every stored value is finite; of a .data file classes,\n"
             "labels, the lists train and valid, the header of every image, and the backup\n"
             "directory: all that \"darknet classifier train\", \"valid\" and \"predict\" check.\n"
             "Prints the first thing that is wrong and exits with status 1, or \"ok\" and the\n"
             "bytes of memory that the net takes, and with DATA those of the images of a batch.\n"
};

static double allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (double)info.uordblks + (double)info.hblkhd;
}

/* Darknet trains with one batch while it loads the next. */
static double image_bytes(const network *net)
{
    double n = (double)net->batch * net->subdivisions;
    return 2 * sizeof(float) * n * ((double)net->inputs + net->outputs);
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "help", 0, 0, 'h' }, { 0 } };
    struct sn_error error;
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        command_other_option(&cmd_check, option);
    command_check_arguments(&cmd_check, argc, 2, 3);
    const char *cfg = argv[optind], *data = argc - optind == 3 ? argv[optind + 2] : NULL;
    double before = allocated_bytes();
    network *net = load_net(cfg, argv[optind + 1]);
    double net_bytes = allocated_bytes() - before;
    if (data && plug_check_task(net, data, cfg, &error)) sn_die(&error);
    printf("ok\nmemory   %.0f bytes for the net, to run or to train it\n", net_bytes);
    if (data) printf("images   %.0f bytes for two batches, to train it\n", image_bytes(net));
    free_network(net);
    return 0;
}
