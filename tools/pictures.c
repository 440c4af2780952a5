#include "pictures.h"

#include <evaluation.h>
#include <picture_file.h>

#include <image.h>
#include <stdlib.h>
#include <string.h>

enum sn_status pictures_check(const network *net, const char *cfg, int resize,
                              struct sn_error *error)
{
    if (net->w < 1 || net->h < 1 || net->c != 3 || net->inputs != net->w * net->h * net->c)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: [net]: expected width x height x 3 inputs, found %d x %d x %d (%d)",
                       cfg, net->w, net->h, net->c, net->inputs);
    int least = net->w > net->h ? net->w : net->h;
    if (resize && resize < least)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: --resize %d: expected at least %d, as the net takes %d x %d pixels",
                       cfg, resize, least, net->w, net->h);
    return SN_OK;
}

/* A square of 7/8 of the shorter side, in the net's size. */
static void take_square(image picture, const network *net, const struct resample_place *place,
                        float *input)
{
    int side = picture.w < picture.h ? picture.w : picture.h, part = (7 * side + 7) / 8,
        x = (int)((picture.w - part + 1) * place->across),
        y = (int)((picture.h - part + 1) * place->down);
    image square = crop_image(picture, x, y, part, part),
          resized = resize_image(square, net->w, net->h);
    memcpy(input, resized.data, (size_t)net->inputs * sizeof *input);
    free_image(square);
    free_image(resized);
}

enum sn_status pictures_prepare(image picture, const network *net, int resize,
                                const struct pictures_view *view, float *input,
                                struct sn_error *error)
{
    enum sn_status status = SN_OK;
    if (resize)
        status = resample_crop(picture, resize, net->w, net->h, view ? &view->place : NULL, input,
                               error);
    else if (view) take_square(picture, net, &view->place, input);
    else evaluation_crop(net, picture, input);
    if (!status && view && view->is_flipped)
        flip_image((image){ .w = net->w, .h = net->h, .c = net->c, .data = input });
    return status;
}

enum sn_status pictures_load(network *net, const struct lines *images, int start, int resize,
                             int *n, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    *n = images->n - start < net->batch ? images->n - start : net->batch;
    for (int b = 0; b < *n && !status; b++) {
        image picture;
        status = picture_decode(images->line[start + b], &picture, error);
        if (status) break;
        status = pictures_prepare(picture, net, resize, NULL,
                                  net->input + (size_t)b * (size_t)net->inputs, error);
        free_image(picture);
    }
    return status;
}
