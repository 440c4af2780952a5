/* libFuzzer target: any bytes as a cfg. Whatever the checks before Darknet accept, Darknet must be
 * able to make, to run and to train for a batch, or to refuse. */
#include "fuzz_support.h"

#include <plug_keys.h>

#include <network.h>
#include <parser.h>
#include <plug_errors.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setenv("STRUCTNET_SEED", "1", 1);
}

/* With FUZZ_TRAIN set nets are trained too: Darknet still writes out of bounds in some that are
 * accepted, as with a [softmax] before other layers, or padding of 1x1 convolutions. It trains
 * neither GRU nor LSTM on a CPU, which is said before training (plug_training.c). */
static int can_train(const network *net)
{
    if (!getenv("FUZZ_TRAIN")) return 0;
    for (int i = 0; i < net->n; i++)
        if (net->layers[i].type == GRU || net->layers[i].type == LSTM) return 0;
    return 1;
}

static void use(const void *path)
{
    srand(1);
    network *net = parse_network_cfg((char *)path);
    network_predict(net, net->input);
    if (can_train(net)) train_network_datum(net);
    free_network(net);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const char *path = memory_file(0, data, size);
    struct sn_error error = { 0 };
    struct cfg_text *cfg = cfg_read(path, &error);
    int is_fine = cfg && !plug_check_sections(cfg, &error);
    cfg_free(cfg);
    if (is_fine) fuzz_attempt(use, path);
    else fuzz_need_reason(&error);
    return 0;
}
