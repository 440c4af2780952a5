/* structnet check: are a cfg and its weights right? */
#include "command.h"
#include "load_net.h"

#include <plug_errors.h>
#include <weights_file.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Reads the words of layer number i; those that are floats must be finite. */
static enum sn_status check_layer(const layer *l, int i, FILE *file, const char *path,
                                  struct sn_error *error)
{
    struct weights_words words = weights_layer_words(l);
    for (size_t k = 0; k < words.n_words; k++) {
        float value;
        int is_index = k >= words.first_index && k - words.first_index < words.n_indices;
        if (fread(&value, sizeof value, 1, file) != 1)
            return sn_fail(error, SN_IO, "%s: cannot read", path);
        if (!is_index && !isfinite(value))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d [%s]: value %zu is %g, expected a finite number", path, i,
                           weights_layer_name(l), k, (double)value);
    }
    return SN_OK;
}

/* Everything stored is finite: read from the file itself, since a net keeps some of it in other
 * places. */
static enum sn_status check_finite(const network *net, const char *path, struct sn_error *error)
{
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    FILE *file = status ? NULL : fopen(path, "rb");
    if (!file || fseek(file, (long)span.header_bytes, SEEK_SET)) {
        if (file) fclose(file);
        return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    }
    for (int i = 0; i < net->n && !status; i++)
        status = check_layer(&net->layers[i], i, file, path, error);
    fclose(file);
    return status;
}

static int run(int argc, char **argv)
{
    static const struct option options[] = { { "help", 0, 0, 'h' }, { 0 } };
    for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;)
        command_other_option(&cmd_check, option);
    command_check_arguments(&cmd_check, argc, 2, 2);
    struct sn_error error;
    network *net = load_net(argv[optind], argv[optind + 1]);
    if (check_finite(net, argv[optind + 1], &error)) sn_die(&error);
    printf("ok\n");
    free_network(net);
    return 0;
}
