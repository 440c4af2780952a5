/* libFuzzer target: any bytes as a cfg. Whatever the checks before Darknet accept, Darknet must be
 * able to make, to run and to train for a batch, or to refuse. */
#include "fuzz_support.h"

#include <plug_keys.h>
#include <plug_training.h>

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

static void use(const void *path)
{
    srand(1);
    network *net = parse_network_cfg((char *)path);
    network_predict(net, net->input);
    struct sn_error error = { 0 };
    if (!plug_training_check_layers(net, "net", &error)) train_network_datum(net);
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
