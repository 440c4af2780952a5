/* The other layers, and nets of them. */
#include "micro.h"

/* v <- the patch of a group's channels whose corner is at row, column of the image; outside it v is
 * 0. */
static void take_patch(const struct sn_micro_convolution *c, const int8_t *in, int row, int column,
                       int16_t *v)
{
    int zero = c->input.zero, size = c->size;
    for (size_t n = c->channels; n > 0; n--, in += c->input.pixels)
        for (int i = row; i < row + size; i++)
            for (int j = column; j < column + size; j++) {
                int inside = i >= 0 && i < c->height && j >= 0 && j < c->width;
                int q = inside ? in[i * c->width + j] - zero : 0;
                *v++ = (int16_t)(q * (1 << c->input.shift));
            }
}

void sn_micro_convolution(const void *layer, const int8_t *in, const int8_t *other, void *out,
                          void *scratch)
{
    const struct sn_micro_convolution *c = layer;
    size_t step = (size_t)c->out_height * c->out_width, n = c->channels;
    (void)other;
    for (size_t p = 0, i = 0; i < c->out_height; i++)
        for (size_t j = 0; j < c->out_width; j++, p++) {
            struct sn_micro_rows rows = { c->rows.weights, c->rows.scales, c->rows.bias };
            struct sn_micro_target target = { &c->output, 0, (char *)out + (p << c->output.is_wide),
                                              step };
            int row = (int)(i * c->stride) - c->pad, column = (int)(j * c->stride) - c->pad;
            const int8_t *from = in;
            for (size_t g = 0; g < c->groups; g++, from += n * c->input.pixels) {
                if (step == 1 && c->input.pixels == 1)
                    sn_micro_take(&c->input, from, 0, 0, n, scratch);
                else take_patch(c, from, row, column, scratch);
                sn_micro_multiply(&rows, scratch, n * c->size * c->size, c->filters, &target);
            }
        }
}

void sn_micro_maxpool(const void *layer, const int8_t *in, const int8_t *other, void *out,
                      void *scratch)
{
    const struct sn_micro_maxpool *m = layer;
    int8_t *to = out;
    (void)other;
    (void)scratch;
    for (size_t c = 0; c < m->channels; c++, in += (size_t)m->height * m->width)
        for (int i = -m->before; i < m->out_height * m->stride - m->before; i += m->stride)
            for (int j = -m->before; j < m->out_width * m->stride - m->before; j += m->stride) {
                int8_t most = -128;
                for (int y = i < 0 ? 0 : i; y < i + m->size && y < m->height; y++)
                    for (int x = j < 0 ? 0 : j; x < j + m->size && x < m->width; x++)
                        if (in[y * m->width + x] > most) most = in[y * m->width + x];
                *to++ = most;
            }
}

void sn_micro_avgpool(const void *layer, const int8_t *in, const int8_t *other, void *out,
                      void *scratch)
{
    const struct sn_micro_avgpool *l = layer;
    struct sn_micro_target target = { &l->output, 0, out, 1 };
    (void)other;
    (void)scratch;
    for (size_t c = 0; c < l->channels; c++) {
        struct sn_micro_rows row = { 0, &l->scale, &l->bias };
        int32_t sum = 0;
        for (size_t p = 0; p < l->input.pixels; p++) sum += *in++ - l->input.zero;
        sum *= 1 << l->input.shift;
        sn_micro_finish(&row, &sum, 1, &target);
    }
}

void sn_micro_sum(const void *layer, const int8_t *in, const int8_t *other, void *out,
                  void *scratch)
{
    const struct sn_micro_sum *s = layer;
    (void)scratch;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t y = (in[i] - s->zero[0]) * s->m[0] + s->bias;
        if (s->m[1]) y += (other[i] - s->zero[1]) * s->m[1];
        y >>= s->e;
        if (y > s->output.high) y = s->output.high;
        if (y < s->output.low) y = s->output.low;
        if (s->output.is_wide) ((int16_t *)out)[i] = (int16_t)y;
        else ((int8_t *)out)[i] = (int8_t)(s->output.table ? s->output.table[y + 128] : y);
    }
}

void sn_micro_run(const struct sn_micro_net *net, const int8_t *input, void *output, void *memory)
{
    char *base = memory;
    for (size_t i = 0; i < net->n_steps; i++) {
        const struct sn_micro_step *s = &net->steps[i];
        const int8_t *in = s->in < 0 ? input : (const int8_t *)base + s->in,
                     *other = s->other < 0 ? input : (const int8_t *)base + s->other;
        s->run(s->layer, in, other, s->out < 0 ? output : base + s->out, base + net->scratch);
    }
}

unsigned sn_micro_largest(const int16_t *outputs, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (outputs[i] > outputs[best]) best = i;
    return best;
}
