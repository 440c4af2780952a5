/* Layers of floats at every place of an image (micro_float.h). */
#include "micro_float.h"

/* A row of all channels, outside the image zero; beside it the band is zero already. */
static void take_row(const struct sn_micro_patches *s, const float *in, int row, float *v)
{
    size_t width = s->width;
    int is_inside = row >= 0 && row < s->height;
    in += (ptrdiff_t)row * s->width;
    v += s->pad;
    for (size_t n = s->channels; n > 0; n--, in += s->height * width, v += s->span)
        for (size_t j = 0; j < width; j++) v[j] = is_inside ? in[j] : 0;
}

void sn_micro_float_patches(const void *layer, const void *in, const void *other, void *out,
                            void *scratch)
{
    const struct sn_micro_patches *s = layer;
    size_t n_places = (size_t)s->out_height * s->out_width, line = (size_t)s->channels * s->span,
           n = s->size * line;
    float *band = scratch, *outputs = band + n, *to = out;
    (void)other;
    for (size_t k = 0; k < n; k++) band[k] = 0;
    for (int i = 0; i < s->out_height; i++) {
        for (int k = 0; k < s->size; k++)
            take_row(s, in, i * s->stride - s->pad + k, band + (size_t)k * line);
        for (int j = 0; j < s->out_width; j++, to++) {
            s->run(s->layer, band + (ptrdiff_t)j * s->stride, 0, outputs, outputs + s->n_floats);
            for (size_t k = 0; k < s->n_floats; k++) to[k * n_places] = outputs[k];
        }
    }
}
