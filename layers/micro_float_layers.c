/* The other layers of floats (micro_float.h). */
#include "micro_float.h"

#include <float.h>

/* v <- the patch of a group's channels whose corner is at row, column of the image; outside it v is
 * 0. */
static void take_patch(const struct sn_micro_float_convolution *c, const float *in, int row,
                       int column, float *v)
{
    for (size_t n = c->channels; n > 0; n--, in += (size_t)c->height * c->width)
        for (int i = row; i < row + c->size; i++)
            for (int j = column; j < column + c->size; j++) {
                int inside = i >= 0 && i < c->height && j >= 0 && j < c->width;
                *v++ = inside ? in[i * c->width + j] : 0;
            }
}

void sn_micro_float_convolution(const void *layer, const void *in, const void *other, void *out,
                                void *scratch)
{
    const struct sn_micro_float_convolution *c = layer;
    size_t step = (size_t)c->out_height * c->out_width, area = (size_t)c->height * c->width,
           n = (size_t)c->channels * c->size * c->size;
    (void)other;
    for (size_t p = 0; p < step; p++) {
        struct sn_micro_float_rows rows = c->rows;
        struct sn_micro_float_target target = { &c->output, 0, (float *)out + p, step };
        int row = (int)(p / c->out_width * c->stride) - c->pad,
            column = (int)(p % c->out_width * c->stride) - c->pad;
        const float *from = in;
        for (size_t g = 0; g < c->groups; g++, from += c->channels * area) {
            int is_whole = area == 1 && c->size == 1;
            if (!is_whole) take_patch(c, from, row, column, scratch);
            sn_micro_float_multiply(&rows, is_whole ? from : scratch, n, c->filters, &target);
        }
    }
}

/* The largest number in rows i .. and columns j .. of an image's window. */
static float largest(const struct sn_micro_maxpool *m, const float *in, int i, int j)
{
    float most = -FLT_MAX;
    for (int y = i < 0 ? 0 : i; y < i + m->size && y < m->height; y++)
        for (int x = j < 0 ? 0 : j; x < j + m->size && x < m->width; x++)
            if (in[y * m->width + x] > most) most = in[y * m->width + x];
    return most;
}

void sn_micro_float_maxpool(const void *layer, const void *in, const void *other, void *out,
                            void *scratch)
{
    const struct sn_micro_maxpool *m = layer;
    const float *from = in;
    float *to = out;
    (void)other;
    (void)scratch;
    for (size_t c = 0; c < m->channels; c++, from += (size_t)m->height * m->width)
        for (int i = 0; i < m->out_height; i++)
            for (int j = 0; j < m->out_width; j++)
                *to++ = largest(m, from, i * m->stride - m->before, j * m->stride - m->before);
}

void sn_micro_float_avgpool(const void *layer, const void *in, const void *other, void *out,
                            void *scratch)
{
    const struct sn_micro_float_avgpool *l = layer;
    struct sn_micro_float_target target = { &l->output, 0, out, 1 };
    struct sn_micro_float_rows none = { 0, 0 };
    const float *from = in;
    (void)other;
    (void)scratch;
    for (size_t c = 0; c < l->channels; c++) {
        float sum = 0;
        for (size_t p = 0; p < l->pixels; p++) sum += *from++;
        sum /= (float)l->pixels;
        sn_micro_float_finish(&none, &sum, 1, &target);
    }
}

void sn_micro_float_sum(const void *layer, const void *in, const void *other, void *out,
                        void *scratch)
{
    const struct sn_micro_float_sum *s = layer;
    struct sn_micro_float_target target = { &s->output, 0, out, 1 };
    struct sn_micro_float_rows none = { 0, 0 };
    const float *a = in, *b = other;
    (void)scratch;
    for (uint32_t i = 0; i < s->n; i++) {
        float sum = s->factor[0] * a[i];
        if (s->factor[1] != 0) sum += s->factor[1] * b[i];
        sn_micro_float_finish(&none, &sum, 1, &target);
    }
}

unsigned sn_micro_float_largest(const float *outputs, unsigned n)
{
    unsigned best = 0;
    for (unsigned i = 1; i < n; i++)
        if (outputs[i] > outputs[best]) best = i;
    return best;
}
