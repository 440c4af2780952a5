/* torchvision's preprocessing for evaluation, Resize(N) and CenterCrop on 8-bit PIL images, exact
 * to the bit. */
#ifndef RESAMPLE_H
#define RESAMPLE_H

#include <sn_error.h>

#include <darknet.h>

/* Where pixels are cut out of more: 0 at the left or upper edge, towards 1 at the other. */
struct resample_place {
    double across, down;
};

/* Resizes picture so that its shorter side is `shorter` pixels and the longer one floor(shorter *
 * long / short), and writes w x h pixels of it to output (channels x h x w, values v/255.f): those
 * at its centre where place is NULL, else those from floor((size - crop + 1) place) on.
 *
 * Along an axis from n_in to n_out pixels, with the scale s = n_in / n_out and a triangle as wide
 * as f = max(1, s) to each side (so that shrinking does not alias),
 *
 *     y_i = sum_j w_ij x_j,    w_ij = t_ij / sum_j t_ij,
 *     t_ij = max(0, 1 - |j + 1/2 - (i + 1/2) s| / f),
 *
 * weights rounded to 22 binary digits. Rows first, then columns; each result is rounded to 8 bits.
 * With n_out = n_in this is the identity. The centre starts at (size - crop) / 2, halves to even.
 *
 * picture holds bytes as Darknet reads them, v/255; it is borrowed. shorter must be at least w and
 * h. SN_NO_MEMORY when the weights and one channel of rows (w bytes for each row of picture at
 * most) do not fit. Cost: 2 f multiply-adds for each value after either pass; pixels that the crop
 * drops are not computed.
 *
 * Sources: torchvision/transforms/functional.py, resize and center_crop; Pillow,
 * src/libImaging/Resample.c, precompute_coeffs and ImagingResampleHorizontal_8bpc, ..Vertical_8bpc.
 */
enum sn_status resample_crop(image picture, int shorter, int w, int h,
                             const struct resample_place *place, float *output,
                             struct sn_error *error);

#endif
