/* Where in an image a matrix is applied, as Darknet's convolutions are: the image is channels x
 * height x width, and at each of out_height x out_width places, line by line, the matrix takes the
 * patch of channels x size x size pixels, in this order, whose corner is `stride` times the place
 * less `pad`. Pixels outside the image are 0.
 *
 *     out = floor((extent + 2 pad - size) / stride) + 1
 *
 * A vector of n inputs is an image of n channels of one pixel. */
#ifndef WINDOW_H
#define WINDOW_H

#include "sn_error.h"

#include <stddef.h>
#include <stdint.h>

struct sn_window {
    int channels, height, width;
    int size, stride, pad;
    int out_height, out_width;
};

/* Fills in out_height and out_width. SN_BAD_INPUT where the patch is larger than the image with its
 * padding, or a count exceeds an int; *key receives the cfg key that is at fault. */
enum sn_status sn_window_place(struct sn_window *w, const char **key, struct sn_error *error);

/* That of a vector. */
struct sn_window sn_window_of_vector(int n);

/* Floats of a patch, and of the image; the number of places. */
size_t sn_window_inputs(const struct sn_window *w);
size_t sn_window_image(const struct sn_window *w);
size_t sn_window_places(const struct sn_window *w);

/* Whether the patches are the pixels as they lie. */
int sn_window_is_pixels(const struct sn_window *w);

/* Whether there is one place whose patch is the image as it lies. */
int sn_window_is_whole(const struct sn_window *w);

/* The image with its padding in stride x stride parts, those of every stride-th row and column, so
 * that input j of the patches at all places is one run of pixels: that of place i, k lies at
 * offsets[j] + i width + k in the copy. Between the runs of two rows of places stand pixels of no
 * place, where width > out_width. */
struct sn_window_copy {
    size_t width;    /* of a part, */
    size_t plane;    /* its pixels, */
    size_t n_floats; /* of the copy; more than 2^32 - 1 of them have no offsets */
    size_t n_pixels; /* from the first place to the last */
};
struct sn_window_copy sn_window_copy_of(const struct sn_window *w);

/* offsets[sn_window_inputs]. */
void sn_window_offsets(const struct sn_window *w, uint32_t *offsets);

/* copy = the image, 0 around it; and image += the copy less its padding. */
void sn_window_spread(const struct sn_window *w, const float *image, float *copy);
void sn_window_fold(const struct sn_window *w, const float *copy, float *image);

/* Patches are places x inputs. take: patches = those of the image. put: the pixels that patches
 * hold = those of the patches, which agree where they overlap; the others stay. add: each pixel +=
 * the sum of what take made of it. */
void sn_window_take(const struct sn_window *w, const float *image, float *patches);
void sn_window_put(const struct sn_window *w, const float *patches, float *image);
void sn_window_add(const struct sn_window *w, const float *patches, float *image);

#endif
