/* reference INPUTS OUTPUTS: an exported net by the definition of its arithmetic
 * (tests/micro_reference.h), on the int8 numbers of one input after another. */
#include "net.h"

#include <micro_reference.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    static int8_t input[net_INPUTS];
    static net_output output[net_OUTPUTS];
    char *memory = calloc(net_SCRATCH_BYTES + 4, 1);
    FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL, *out = in ? fopen(argv[2], "wb") : NULL;
    if (!memory || !out) {
        fprintf(stderr, "reference: expected INPUTS and OUTPUTS that can be opened\n");
        return 1;
    }
    while (fread(input, 1, sizeof input, in) == sizeof input) {
        for (unsigned i = 0; i < net.n_steps; i++) {
            const struct sn_micro_step *s = &net.steps[i];
            micro_reference(s, s->in < 0 ? input : (int8_t *)memory + s->in,
                            s->other < 0 ? input : (int8_t *)memory + s->other,
                            s->out < 0 ? (char *)output : memory + s->out);
        }
        fwrite(output, sizeof *output, net_OUTPUTS, out);
    }
    free(memory);
    fclose(in);
    return fclose(out) ? 1 : 0;
}
