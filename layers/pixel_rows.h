/* Rows of pixels side by side, as products with the pixels of an image take and give them. Each row
 * lies on its own, so that all the rows that a convolution sees may be one image, moved by some
 * pixels. */
#ifndef PIXEL_ROWS_H
#define PIXEL_ROWS_H

#include <stddef.h>
#include <stdint.h>

/* Pixel q of row j is at[offsets[j] + q], or at[j ld + q] where offsets is NULL. */
struct pixel_rows {
    float *at;
    const uint32_t *offsets;
    size_t ld;
};

static inline float *pixel_row(const struct pixel_rows *rows, size_t j)
{
    return rows->at + (rows->offsets ? rows->offsets[j] : j * rows->ld);
}

#endif
