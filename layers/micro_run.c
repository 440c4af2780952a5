/* Nets, of integers or of floats (micro.h). */
#include "micro.h"

void sn_micro_run(const struct sn_micro_net *net, const void *input, void *output, void *memory)
{
    char *base = memory;
    for (const struct sn_micro_step *s = net->steps; s != net->steps + net->n_steps; s++) {
        const void *in = s->in < 0 ? input : base + s->in,
                   *other = s->other < 0 ? input : base + s->other;
        void *out = s->out < 0 ? output : base + s->out, *scratch = base + net->scratch;
        s->run(s->layer, in, other, out, scratch);
    }
}

unsigned sn_micro_largest(const int16_t *outputs, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (outputs[i] > outputs[best]) best = i;
    return best;
}
