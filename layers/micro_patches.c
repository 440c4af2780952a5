/* Layers of integers at every place of an image (micro.h). */
#include "micro.h"

/* v of a row of all channels, outside the image zero; beside it the band is zero already. */
static void take_row(const struct sn_micro_patches *s, const int8_t *in, int row, int16_t *v)
{
    size_t width = s->width;
    int is_inside = row >= 0 && row < s->height;
    in += (ptrdiff_t)row * s->width;
    v += s->pad;
    for (size_t n = s->channels; n > 0; n--, in += s->height * width, v += s->span) {
        if (is_inside) sn_micro_take(&s->input, in, 0, width, v);
        else
            for (size_t j = 0; j < width; j++) v[j] = 0;
    }
}

/* The n numbers, an even number, that stand `by` places behind go to the front. Compilers make one
 * word of two where a processor has words at any address. */
static void move_back(int16_t *to, size_t n, size_t by)
{
    for (const int16_t *from = to + by, *end = from + n; from < end; from += 2, to += 2) {
        int16_t first = from[0], second = from[1];
        to[0] = first;
        to[1] = second;
    }
}

void sn_micro_patches(const void *layer, const void *in, const void *other, void *out,
                      void *scratch)
{
    const struct sn_micro_patches *s = layer;
    size_t line = (size_t)s->channels * s->span, n = s->size * line;
    int16_t *band = scratch;
    char *to = out;
    int known = 0; /* rows at the top that the last row of outputs left */
    (void)other;
    for (size_t k = 0; k < n; k++) band[k] = 0;
    for (int i = 0; i < s->out_height; i++) {
        for (int k = known; k < s->size; k++)
            take_row(s, in, i * s->stride - s->pad + k, band + (size_t)k * line);
        for (int j = 0; j < s->out_width; j++, to += 1 << s->is_wide)
            s->run(s->layer, band + (ptrdiff_t)j * s->stride, 0, to, band + n);
        known = s->size > s->stride ? s->size - s->stride : 0;
        move_back(band, (size_t)known * line, s->stride * line);
    }
}
