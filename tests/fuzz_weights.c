/* libFuzzer target: any bytes as the .weights of one of a few nets, which the first byte chooses.
 * With its highest bit set the rest gets the length that the net needs, so that more is looked at
 * than the length. What is accepted must multiply. */
#include "fuzz_support.h"

#include <weights_file.h>

#include <network.h>
#include <parser.h>
#include <plug_errors.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

#define NET "[net]\nbatch=1\nheight=4\nwidth=4\nchannels=2\n"

static const char *const nets[] = {
    NET "[convolutional]\nfilters=3\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
        "[connected]\noutput=4\n",
    NET "[sss]\noutput=6\nstages=3\nstates=2\norder=both\n[sss]\noutput=4\nstages=2\nstates=1\n"
        "bits=4\n",
    NET "[psm]\noutput=6\nfactors=2\ninner=5\nnonzeros=12,9\nbatch_normalize=1\n[psm]\noutput=4\n"
        "nonzeros=9\nindex=4\nbits=8\n",
    NET "[psm]\nsize=3\npad=1\nfilters=4\nnonzeros=20\nindex=1\n[psm]\noutput=8\nnonzeros=64\n"
        "block=4\nindex=32\norder=both\n",
    NET "[local]\nfilters=2\nsize=2\n[batchnorm]\n[gru]\noutput=3\n[rnn]\noutput=2\n",
};
enum { N_NETS = sizeof nets / sizeof *nets };

struct input {
    const char *cfg;
    const unsigned char *data;
    size_t size;
    int is_filled;
};

/* The file's bytes as long as the net needs them. */
static const char *filled(const network *net, const struct input *in)
{
    struct weights_header header = { 0 };
    int32_t version[3] = { 0 };
    memcpy(version, in->data, in->size < sizeof version ? in->size : sizeof version);
    header = (struct weights_header){ version[0], version[1], version[2] };
    size_t n = weights_header_bytes(&header) + weights_bytes_between(net, 0, net->n);
    char *bytes = calloc(n, 1);
    memcpy(bytes, in->data, in->size < n ? in->size : n);
    const char *path = memory_file(1, bytes, n);
    free(bytes);
    return path;
}

static void use(const void *argument)
{
    const struct input *in = argument;
    srand(1);
    network *net = parse_network_cfg((char *)in->cfg);
    const char *path = in->is_filled ? filled(net, in) : memory_file(1, in->data, in->size);
    load_weights(net, (char *)path);
    if (weights_not_finite(net) >= 0) abort();
    network_predict(net, net->input);
    free_network(net);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return setenv("STRUCTNET_SEED", "1", 1);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    if (!size) return 0;
    const char *net = nets[(*data & 127) % N_NETS];
    struct input in = { memory_file(0, net, strlen(net)), data + 1, size - 1, *data >> 7 };
    fuzz_attempt(use, &in);
    return 0;
}
