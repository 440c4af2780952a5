/* Layers of integers at every place of an image (micro.h). */
#include "micro.h"

/* The patch whose corner is at row, column of the image. */
static void take_patch(const struct sn_micro_patches *s, const int8_t *in, int row, int column,
                       int8_t *patch)
{
    int size = s->size, height = s->height, width = s->width,
        is_inside = row >= 0 && row + size <= height && column >= 0 && column + size <= width;
    for (size_t n = s->channels; n > 0; n--, in += (size_t)height * (size_t)width)
        for (int i = row; i < row + size; i++) {
            const int8_t *from = in + (ptrdiff_t)i * width;
            if (is_inside)
                for (int j = column; j < column + size; j++) *patch++ = from[j];
            else
                for (int j = column; j < column + size; j++)
                    *patch++ = (int8_t)(i >= 0 && i < height && j >= 0 && j < width ? from[j]
                                                                                    : s->zero);
        }
}

void sn_micro_patches(const void *layer, const void *in, const void *other, void *out,
                      void *scratch)
{
    const struct sn_micro_patches *s = layer;
    size_t n = (size_t)s->channels * s->size * s->size;
    char *inner = (char *)scratch + (n + 3) / 4 * 4, *to = out;
    (void)other;
    for (int i = 0; i < s->out_height; i++)
        for (int j = 0; j < s->out_width; j++, to += 1 << s->is_wide) {
            take_patch(s, in, i * s->stride - s->pad, j * s->stride - s->pad, scratch);
            s->run(s->layer, scratch, 0, to, inner);
        }
}
