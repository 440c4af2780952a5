/* Layers of floats at every place of an image (micro_float.h). */
#include "micro_float.h"

/* The patch whose corner is at row, column of the image. */
static void take_patch(const struct sn_micro_patches *s, const float *in, int row, int column,
                       float *patch)
{
    for (size_t n = s->channels; n > 0; n--, in += (size_t)s->height * s->width)
        for (int i = row; i < row + s->size; i++)
            for (int j = column; j < column + s->size; j++) {
                int is_inside = i >= 0 && i < s->height && j >= 0 && j < s->width;
                *patch++ = is_inside ? in[i * s->width + j] : 0;
            }
}

void sn_micro_float_patches(const void *layer, const void *in, const void *other, void *out,
                            void *scratch)
{
    const struct sn_micro_patches *s = layer;
    size_t n_places = (size_t)s->out_height * s->out_width;
    float *patch = scratch, *outputs = patch + (size_t)s->channels * s->size * s->size,
          *inner = outputs + s->n_floats;
    (void)other;
    for (size_t p = 0; p < n_places; p++) {
        float *to = (float *)out + p;
        take_patch(s, in, (int)(p / s->out_width * s->stride) - s->pad,
                   (int)(p % s->out_width * s->stride) - s->pad, patch);
        s->run(s->layer, patch, 0, outputs, inner);
        for (size_t k = 0; k < s->n_floats; k++, to += n_places) *to = outputs[k];
    }
}
