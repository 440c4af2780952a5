/* A structured matrix applied to an image (window.h), one image at a time: y[f][place] = row f of W
 * times the patch at the place.
 *
 * Families that multiply pixels (family.h) take the image as it lies, where patches are its pixels,
 * and else a copy with its padding, in which each input is one run of pixels; outputs of runs
 * between two rows of places are not looked at. For the others patches are gathered into vectors.
 */
#ifndef CONVOLUTION_H
#define CONVOLUTION_H

#include "family.h"
#include "window.h"

/* Floats of scratch for either function. */
size_t sn_convolution_scratch(const struct sn_matrix *matrix, const struct sn_window *window);

/* Y = W X: x is the image, y n_outputs x places, overwritten. Large products are done in four parts
 * at the same time (sn_tasks), which depend on the sizes alone. Cost: n_values multiply-adds for
 * each place, those between rows included, and a pass over a copy of the image. */
void sn_convolve(const struct sn_matrix *matrix, const float *words, const struct sn_window *window,
                 const float *x, float *y, float *scratch);

/* With dy = dL/dY: dvalues[n_values] += dL/dvalues and, unless dx is NULL, dx += dL/dX, an image.
 * Cost: twice that of sn_convolve, and that once more where a product has states or factors between
 * it. */
void sn_convolve_back(const struct sn_matrix *matrix, const float *words,
                      const struct sn_window *window, const float *x, const float *dy,
                      float *dvalues, float *dx, float *scratch);

#endif
