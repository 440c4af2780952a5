/* The kernels of dense blocks W (rows x columns) for many samples that stand side by side:
 *
 *     Y += W X        dX += W^T dY        dW += dY X^T
 *
 * X and dX are columns x n, Y and dY rows x n, n samples, in strips of 16: a strip holds row after
 * row, 16 floats each, and strips are `stride` floats apart. They need neither memory of their own
 * nor a library; no array that is written overlaps another. The result depends on the instruction
 * set (isa.h) in the last bits only. */
#ifndef DENSE_TILE_H
#define DENSE_TILE_H

#include <stddef.h>
#include <stdint.h>

#define TILE_STRIP ((size_t)16)

/* W or dW: columns floats from row to row. */
struct dense_tile {
    size_t rows, columns;
    size_t strips, stride; /* strips of samples, and floats from one to the next */
};

/* One of several blocks W with the same X. */
struct dense_tile_gradient {
    size_t rows;
    const float *dy;
    float *dw;
};

struct dense_tile_kernel {
    /* Y += W X. */
    void (*forward)(const struct dense_tile *t, const float *w, const float *x, float *y);
    /* dX += W^T dY. */
    void (*backward)(const struct dense_tile *t, const float *w, const float *dy, float *dx);
    /* dW += dY X^T for n blocks, which have rows of their own instead of t's. */
    void (*gradient)(const struct dense_tile *t, const float *x, size_t n,
                     const struct dense_tile_gradient *blocks);
    /* to[i][b] = from[b][order[i]], of 16 rows of `size` floats that are ld floats apart; order
     * NULL: i itself. */
    void (*turn)(size_t size, const float *from, size_t ld, const uint32_t *order, float *to);
    /* to[b][order[i]] += from[i][b]. */
    void (*turn_back)(size_t size, const float *from, const uint32_t *order, float *to, size_t ld);
};
extern const struct dense_tile_kernel dense_tile_plain, dense_tile_avx2, dense_tile_avx512;

#endif
