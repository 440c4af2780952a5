/* structnet check: are a cfg and its weights right? */
#include "command.h"
#include "load_net.h"

#include <stdio.h>

static int run(int argc, char **argv);

const struct command cmd_check = {
    .name = "check",
    .run = run,
    .summary = "validates a cfg and its weights",
    .usage = "usage: structnet check CFG WEIGHTS\n"
             "\n"
             "Checks every section and key, the length of the weights to the byte, the indices of\n"
             "sparse factors, and that every stored value is finite. Prints the first thing that\n"
             "is wrong and exits with status 1, or \"ok\".\n"
};

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "help", 0, 0, 'h' }, { 0 } };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        command_other_option(&cmd_check, option);
    command_check_arguments(&cmd_check, argc, 2, 2);
    network *net = load_net(argv[optind], argv[optind + 1]);
    printf("ok\n");
    free_network(net);
    return 0;
}
