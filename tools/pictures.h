/* Images as inputs of a net. */
#ifndef PICTURES_H
#define PICTURES_H

#include "resample.h"

#include <lines.h>
#include <sn_error.h>

#include <darknet.h>

/* What --help says about --resize and about the class of an image. */
#define PICTURES_RESIZE_HELP                                                                    \
    "  --resize N      prepare images as torchvision does for evaluation: shorter side to\n"    \
    "                  N pixels (antialiased, bilinear), then the centre of the net's size;\n"  \
    "                  256 for nets of 224, 342 for inception_v3. Bit for bit what Resize(N)\n" \
    "                  and CenterCrop make of an 8-bit PIL image. Without it: the centre\n"     \
    "                  square, resized as by \"darknet classifier valid\".\n"
#define PICTURES_LABEL_HELP                                                                       \
    "An image's label names its directory, or stands in its file name as a whole word; else it\n" \
    "names the innermost of the directories around. A path that matches no label or several is\n" \
    "an error.\n"

enum { PICTURES_MAX_SIZE = 100000 }; /* of --resize, in pixels */

/* SN_BAD_INPUT unless the net of that cfg takes colour images, and resize, the argument of --resize
 * (0: none), is at least its width and height. */
enum sn_status pictures_check(const network *net, const char *cfg, int resize,
                              struct sn_error *error);

/* A part of an image: with resize > 0 the net's size at this place of the resized image, else a
 * square of 7/8 of the shorter side at this place; and whether left and right are swapped. */
struct pictures_view {
    struct resample_place place;
    int is_flipped;
};

/* Writes an image as the net's input. As resample_crop does with resize > 0; else as "darknet
 * classifier valid". view NULL: the middle. SN_NO_MEMORY. May be called by several threads. */
enum sn_status pictures_prepare(image picture, const network *net, int resize,
                                const struct pictures_view *view, float *input,
                                struct sn_error *error);

/* Decodes and prepares the images from start on, a batch at most, into net->input; *n of them.
 * Fails as picture_decode and the functions above do. */
enum sn_status pictures_load(network *net, const struct lines *images, int start, int resize,
                             int *n, struct sn_error *error);

#endif
