#include "window.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static int places(int extent, const struct sn_window *w)
{
    double padded = (double)extent + 2. * w->pad - w->size;
    return padded < 0 ? 0 : (int)(fmin(padded, INT_MAX) / w->stride) + 1;
}

/* At least those of the copy in parts. */
static double padded_pixels(const struct sn_window *w)
{
    double more = 2. * w->pad + w->stride;
    return w->channels * (w->height + more) * (w->width + more);
}

enum sn_status sn_window_place(struct sn_window *w, const char **key, struct sn_error *error)
{
    w->out_height = places(w->height, w);
    w->out_width = places(w->width, w);
    *key = "size";
    if (!w->out_height || !w->out_width)
        return sn_fail(error, SN_BAD_INPUT,
                       "%d pixels are more than an image of %d x %d with a padding of %d has",
                       w->size, w->width, w->height, w->pad);
    if ((double)w->channels * w->size * w->size > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "more than %d inputs", INT_MAX);
    *key = "padding";
    if (padded_pixels(w) > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT, "more than %d pixels with the padding", INT_MAX);
    return SN_OK;
}

struct sn_window sn_window_of_vector(int n) { return (struct sn_window){ n, 1, 1, 1, 1, 0, 1, 1 }; }

size_t sn_window_inputs(const struct sn_window *w)
{
    return (size_t)w->channels * (size_t)w->size * (size_t)w->size;
}

size_t sn_window_image(const struct sn_window *w)
{
    return (size_t)w->channels * (size_t)w->height * (size_t)w->width;
}

size_t sn_window_places(const struct sn_window *w)
{
    return (size_t)w->out_height * (size_t)w->out_width;
}

int sn_window_is_pixels(const struct sn_window *w)
{
    return w->size == 1 && w->stride == 1 && w->pad == 0;
}

int sn_window_is_whole(const struct sn_window *w)
{
    return w->size == w->height && w->size == w->width && w->pad == 0;
}

/* Moves n floats of a patch's row between the image and the patch. */
typedef void move_row(float *image, float *patch, size_t n);

/* The rows of the patch at one place, whose corner is at top, left. */
static inline void move_patch(const struct sn_window *w, int top, int left, float *image,
                              float *patch, move_row *move)
{
    int first = left < 0 ? -left : 0, end = w->width - left < w->size ? w->width - left : w->size;
    for (int c = 0; c < w->channels; c++, image += (size_t)w->height * (size_t)w->width)
        for (int y = top; y < top + w->size; y++, patch += w->size)
            if (y >= 0 && y < w->height && first < end)
                move(image + (size_t)y * (size_t)w->width + left + first, patch + first,
                     (size_t)(end - first));
}

static inline void move_patches(const struct sn_window *w, float *image, float *patches,
                                move_row *move)
{
    size_t n = sn_window_inputs(w);
    for (int i = 0; i < w->out_height; i++)
        for (int j = 0; j < w->out_width; j++, patches += n)
            move_patch(w, i * w->stride - w->pad, j * w->stride - w->pad, image, patches, move);
}

static void take_row(float *image, float *patch, size_t n)
{
    for (size_t i = 0; i < n; i++) patch[i] = image[i];
}

static void put_row(float *image, float *patch, size_t n)
{
    for (size_t i = 0; i < n; i++) image[i] = patch[i];
}

static void add_row(float *image, float *patch, size_t n)
{
    for (size_t i = 0; i < n; i++) image[i] += patch[i];
}

void sn_window_take(const struct sn_window *w, const float *image, float *patches)
{
    if (w->pad) memset(patches, 0, sn_window_places(w) * sn_window_inputs(w) * sizeof *patches);
    move_patches(w, (float *)image, patches, take_row);
}

void sn_window_put(const struct sn_window *w, const float *patches, float *image)
{
    move_patches(w, image, (float *)patches, put_row);
}

void sn_window_add(const struct sn_window *w, const float *patches, float *image)
{
    move_patches(w, image, (float *)patches, add_row);
}

/* ---- The copy in parts */

struct sn_window_copy sn_window_copy_of(const struct sn_window *w)
{
    size_t stride = (size_t)w->stride, pad = (size_t)w->pad,
           height = ((size_t)w->height + 2 * pad + stride - 1) / stride,
           width = ((size_t)w->width + 2 * pad + stride - 1) / stride, plane = height * width;
    return (struct sn_window_copy){ width, plane, (size_t)w->channels * stride * stride * plane,
                                    ((size_t)w->out_height - 1) * width + (size_t)w->out_width };
}

/* Where row y, column x of a channel with its padding is. */
static size_t place_in(const struct sn_window *w, const struct sn_window_copy *copy, int channel,
                       int y, int x)
{
    size_t stride = (size_t)w->stride, row = (size_t)y, column = (size_t)x;
    return (((size_t)channel * stride + row % stride) * stride + column % stride) * copy->plane
        + row / stride * copy->width + column / stride;
}

void sn_window_offsets(const struct sn_window *w, uint32_t *offsets)
{
    struct sn_window_copy copy = sn_window_copy_of(w);
    for (int c = 0; c < w->channels; c++)
        for (int y = 0; y < w->size; y++)
            for (int x = 0; x < w->size; x++) *offsets++ = (uint32_t)place_in(w, &copy, c, y, x);
}

/* Calls move for the pixels of each row of the image that are `stride` apart. */
static inline void move_image(const struct sn_window *w, float *image, float *copy,
                              void (*move)(float *image, float *copy, int n, int stride))
{
    struct sn_window_copy is = sn_window_copy_of(w);
    for (int c = 0; c < w->channels; c++)
        for (int y = 0; y < w->height; y++, image += w->width)
            for (int x = 0; x < w->stride && x < w->width; x++)
                move(image + x, copy + place_in(w, &is, c, y + w->pad, x + w->pad),
                     (w->width - x + w->stride - 1) / w->stride, w->stride);
}

static void spread_row(float *image, float *copy, int n, int stride)
{
    if (stride == 1) memcpy(copy, image, (size_t)n * sizeof *copy);
    else
        for (int i = 0; i < n; i++) copy[i] = image[(ptrdiff_t)i * stride];
}

static void fold_row(float *image, float *copy, int n, int stride)
{
    for (int i = 0; i < n; i++) image[(ptrdiff_t)i * stride] += copy[i];
}

void sn_window_spread(const struct sn_window *w, const float *image, float *copy)
{
    memset(copy, 0, sn_window_copy_of(w).n_floats * sizeof *copy);
    move_image(w, (float *)image, copy, spread_row);
}

void sn_window_fold(const struct sn_window *w, const float *copy, float *image)
{
    move_image(w, image, (float *)copy, fold_row);
}
