/* Moments of what a layer of a net sees of images (moments.h), in two parts: of the first four
 * fifths of the images, and of the last fifth, which is held out when a weighting is chosen. What a
 * convolution sees is the patch under its filters at every pixel, channel by channel, line by line,
 * as the columns of its matrix are. Patches are made as they are needed, so that memory depends on
 * the layer alone.
 *
 * In a file they are one .npy array of float32, parts x (d + 2) x d, d being the number of inputs
 * or, with a reference, twice that: the count of vectors (in the first column), the means, the
 * covariance. */
#ifndef LAYER_MOMENTS_H
#define LAYER_MOMENTS_H

#include "feature_rows.h"

#include <moments.h>

#include <stdio.h>

/* Computes them for the layer of features, which is reference's layer too; reference may be NULL.
 * SN_BAD_INPUT when the layers differ or an image cannot be decoded, SN_NO_MEMORY; both parts are
 * empty then. The caller frees them. Memory: d^2 numbers a part, and some images. Cost: of an image
 * the layers before this one, and d^2 / 2 multiply-adds for each pixel. */
enum sn_status layer_moments_compute(struct features *features, struct features *reference,
                                     struct sn_covariance parts[2], struct sn_error *error);

void layer_moments_write(const struct sn_covariance parts[2], FILE *file);

/* Reads those of a layer of n inputs. SN_BAD_INPUT names the file and what is wrong in it. */
enum sn_status layer_moments_read(const char *path, int n, struct sn_covariance parts[2],
                                  struct sn_error *error);

void layer_moments_free(struct sn_covariance parts[2]);

#endif
