#include "psm_pixels.h"

#include "isa.h"

#include <string.h>

#define TILE ((size_t)128)

/* The rows of pixels from number `first` on. */
static struct pixel_rows moved(const struct pixel_rows *rows, size_t first)
{
    return (struct pixel_rows){ rows->at + first, rows->offsets, rows->ld };
}

/* Of all vectors between factors. */
static size_t inner_size(const struct psm *shape)
{
    size_t n = 0;
    for (int j = 1; j < shape->n_factors; j++) n += (size_t)shape->sizes[j];
    return n;
}

/* A tile's vectors between the factors and their gradients. */
static size_t scratch_floats(const struct sn_matrix *matrix)
{
    return 2 * TILE * inner_size((const struct psm *)matrix);
}

/* The results of factors J-1 .. 1 for n pixels into inner, one behind the other; the outputs too
 * unless y is NULL. */
static void tile_forward(const struct psm *shape, const float *words, size_t n, struct pixel_rows x,
                         const struct pixel_rows *y, float *inner)
{
    for (int j = shape->n_factors - 1; j >= (y ? 0 : 1); j--) {
        size_t first;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        struct pixel_rows to = { inner, NULL, TILE };
        sn_kernels()->pixel->forward(&s, words + first, n, &x, j ? &to : y);
        inner += TILE * (size_t)s.rows;
        x = to;
    }
}

static void forward(const struct sn_matrix *matrix, const float *words, size_t n,
                    const struct pixel_rows *x, const struct pixel_rows *y, float *scratch)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t tile = shape->n_factors == 1 ? n : TILE;
    for (size_t q = 0, count; q < n; q += count) {
        struct pixel_rows to = moved(y, q);
        count = n - q < tile ? n - q : tile;
        tile_forward(shape, words, count, moved(x, q), &to, scratch);
    }
}

/* One tile: vectors between factors are in inner, from the rightmost factor on, and their gradients
 * lie as far behind as all of them are. */
static void tile_backward(const struct psm *shape, const float *words, size_t n,
                          const struct pixel_rows *x, struct pixel_rows dy, float *dvalues,
                          const struct pixel_rows *dx, float *inner)
{
    size_t all = TILE * inner_size(shape), at = all;
    memset(inner + all, 0, all * sizeof *inner);
    for (int j = 0; j < shape->n_factors; j++) {
        size_t first;
        struct psm_pattern s = psm_pattern_at(shape, j, &first);
        int is_last = j == shape->n_factors - 1;
        if (!is_last) at -= TILE * (size_t)s.width;
        struct pixel_rows from = { inner + at, NULL, TILE }, to = { inner + all + at, NULL, TILE };
        sn_kernels()->pixel->gradient(&s, n, is_last ? x : &from, &dy, dvalues + first);
        if (!is_last) sn_kernels()->pixel->backward(&s, words + first, n, &dy, &to);
        else if (dx) sn_kernels()->pixel->backward(&s, words + first, n, &dy, dx);
        dy = to;
    }
}

static void backward(const struct sn_matrix *matrix, const float *words, size_t n,
                     const struct pixel_rows *x, const struct pixel_rows *dy, float *dvalues,
                     const struct pixel_rows *dx, float *scratch)
{
    const struct psm *shape = (const struct psm *)matrix;
    size_t tile = shape->n_factors == 1 ? n : TILE;
    for (size_t q = 0, count; q < n; q += count) {
        struct pixel_rows from = moved(x, q), to = { 0 };
        count = n - q < tile ? n - q : tile;
        if (dx) to = moved(dx, q);
        tile_forward(shape, words, count, from, NULL, scratch);
        tile_backward(shape, words, count, &from, moved(dy, q), dvalues, dx ? &to : NULL, scratch);
    }
}

const struct sn_pixel_products psm_pixels = { scratch_floats, forward, backward };
