/* The other layers of integers (micro.h). */
#include "micro.h"

/* v <- the patch of a group's channels whose corner is at row, column of the image; outside it v is
 * 0. */
static void take_patch(const struct sn_micro_convolution *c, const int8_t *in, int row, int column,
                       int16_t *v)
{
    int one = 1 << c->input.shift, zero = c->input.zero, size = c->size, height = c->height,
        width = c->width,
        is_inside = row >= 0 && row + size <= height && column >= 0 && column + size <= width;
    for (size_t n = c->channels; n > 0; n--, in += c->input.pixels)
        for (int i = row; i < row + size; i++) {
            const int8_t *from = in + (ptrdiff_t)i * width;
            if (is_inside)
                for (int j = column; j < column + size; j++)
                    *v++ = (int16_t)((from[j] - zero) * one);
            else
                for (int j = column; j < column + size; j++) {
                    int is_pixel = i >= 0 && i < height && j >= 0 && j < width;
                    *v++ = (int16_t)(is_pixel ? (from[j] - zero) * one : 0);
                }
        }
}

void sn_micro_convolution(const void *layer, const void *in, const void *other, void *out,
                          void *scratch)
{
    const struct sn_micro_convolution *c = layer;
    size_t n = c->channels;
    int32_t *sums = scratch;
    int16_t *v = (int16_t *)(void *)(sums + SN_MICRO_BATCH);
    (void)other;
    for (size_t p = 0, i = 0; i < c->out_height; i++)
        for (size_t j = 0; j < c->out_width; j++, p++) {
            struct sn_micro_rows rows = { c->rows.weights, c->rows.scales, c->rows.bias };
            struct sn_micro_target target = { &c->output, 0,
                                              (char *)out + (p << c->output.is_wide) };
            int row = (int)(i * c->stride) - c->pad, column = (int)(j * c->stride) - c->pad;
            const int8_t *from = in;
            for (size_t g = 0; g < c->groups; g++, from += n * c->input.pixels) {
                if (c->output.step == 1 && c->input.pixels == 1)
                    sn_micro_take(&c->input, from, 0, n, v);
                else take_patch(c, from, row, column, v);
                sn_micro_multiply(&rows, sums, n * c->size * c->size, c->filters, &target);
            }
        }
}

/* The largest of some rows of some columns of an image. */
static inline int8_t largest(const int8_t *from, int rows, int columns, int width)
{
    int8_t most = -128;
    for (; rows > 0; rows--, from += width)
        for (int x = 0; x < columns; x++)
            if (from[x] > most) most = from[x];
    return most;
}

static inline int between(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

void sn_micro_maxpool(const void *layer, const void *in, const void *other, void *out,
                      void *scratch)
{
    const struct sn_micro_maxpool *m = layer;
    const int8_t *from = in;
    int8_t *to = out;
    int height = m->height, width = m->width, size = m->size;
    (void)other;
    (void)scratch;
    for (size_t c = m->channels; c > 0; c--, from += (ptrdiff_t)height * width)
        for (int i = 0; i < m->out_height; i++) {
            int top = between(i * m->stride - m->before, 0, height),
                bottom = between(i * m->stride - m->before + size, 0, height);
            const int8_t *line = from + (ptrdiff_t)top * width;
            for (int j = 0, x = -m->before; j < m->out_width; j++, x += m->stride) {
                int left = between(x, 0, width), right = between(x + size, 0, width);
                *to++ = largest(line + left, bottom - top, right - left, width);
            }
        }
}

void sn_micro_avgpool(const void *layer, const void *in, const void *other, void *out,
                      void *scratch)
{
    const struct sn_micro_avgpool *l = layer;
    struct sn_micro_target target = { &l->output, 0, out };
    const int8_t *from = in;
    (void)other;
    (void)scratch;
    for (size_t c = 0; c < l->channels; c++) {
        struct sn_micro_rows row = { 0, &l->scale, &l->bias };
        int32_t sum = 0;
        for (size_t p = 0; p < l->input.pixels; p++) sum += *from++ - l->input.zero;
        sum *= 1 << l->input.shift;
        sn_micro_finish(&row, &sum, 1, &target);
    }
}

void sn_micro_sum(const void *layer, const void *in, const void *other, void *out, void *scratch)
{
    const struct sn_micro_sum *s = layer;
    const int8_t *a = in, *b = other;
    (void)scratch;
    for (uint32_t i = 0; i < s->n; i++) {
        int32_t y = (a[i] - s->zero[0]) * s->m[0] + s->bias;
        if (s->m[1]) y += (b[i] - s->zero[1]) * s->m[1];
        y >>= s->e;
        if (y > s->output.high) y = s->output.high;
        if (y < s->output.low) y = s->output.low;
        if (s->output.is_wide) ((int16_t *)out)[i] = (int16_t)y;
        else ((int8_t *)out)[i] = (int8_t)(s->output.table ? s->output.table[y + 128] : y);
    }
}
