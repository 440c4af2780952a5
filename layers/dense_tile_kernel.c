/* The kernels of dense_tile.h. This file is compiled once for each instruction set, with KERNEL as
 * the name of what it offers. A product is that of some rows of A, which a strip's two vectors of
 * samples meet value by value; their sums stay in registers. */
#include "dense_tile.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL dense_tile_plain
#endif

enum {
    HALVES = TILE_STRIP / LANES,
    MOST_ROWS = 6,   /* whose sums, 12 vectors, leave registers for the factors */
    MOST_INNER = 256 /* rows of B that the first cache holds beside the others */
};

/* Where the rows of a product begin and how far entries are apart: A(i, p) = a[i row + p column].
 */
struct factor {
    const float *a;
    size_t row, column;
};

/* sums[i halves + h] += half h of row i of A B; B has 16 floats a row. */
INLINE void add_products(size_t rows, size_t halves, size_t inner, struct factor f, const float *b,
                         vec *sums)
{
    for (size_t p = 0; p < inner; p++, f.a += f.column, b += TILE_STRIP)
        for (size_t i = 0; i < rows; i++)
            for (size_t h = 0; h < halves; h++)
                sums[i * halves + h] += f.a[i * f.row] * *(const vec *)(b + h * LANES);
}

/* C += A B on one strip, C of 16 floats a row. */
INLINE void strip(size_t rows, size_t inner, struct factor f, const float *b, float *c)
{
    vec sums[MOST_ROWS * HALVES];
    for (size_t i = 0; i < rows * HALVES; i++) sums[i] = *(const vec *)(c + i * LANES);
    add_products(rows, HALVES, inner, f, b, sums);
    for (size_t i = 0; i < rows * HALVES; i++) *(vec *)(c + i * LANES) = sums[i];
}

/* C += A B on one strip, for any number of rows. */
static void multiply(size_t rows, size_t inner, struct factor f, const float *b, float *c)
{
    size_t i = 0;
    for (; i + 6 <= rows; i += 6, f.a += 6 * f.row, c += 6 * TILE_STRIP) strip(6, inner, f, b, c);
    for (; i + 3 <= rows; i += 3, f.a += 3 * f.row, c += 3 * TILE_STRIP) strip(3, inner, f, b, c);
    for (; i < rows; i++, f.a += f.row, c += TILE_STRIP) strip(1, inner, f, b, c);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Y += W X. */
static void forward(const struct dense_tile *t, const float *w, const float *x, float *y)
{
    for (size_t p = 0, inner; p < t->columns; p += inner) {
        inner = least(t->columns - p, MOST_INNER);
        for (size_t s = 0; s < t->strips; s++)
            multiply(t->rows, inner, (struct factor){ w + p, t->columns, 1 },
                     x + s * t->stride + p * TILE_STRIP, y + s * t->stride);
    }
}

/* W^T is copied in parts, as its rows would be spread over memory. */
static void backward(const struct dense_tile *t, const float *w, const float *dy, float *dx)
{
    enum { COLUMNS = 48 };
    float part[MOST_INNER * COLUMNS];
    for (size_t p = 0, inner; p < t->rows; p += inner) {
        inner = least(t->rows - p, MOST_INNER);
        for (size_t j = 0, columns; j < t->columns; j += columns) {
            columns = least(t->columns - j, COLUMNS);
            for (size_t r = 0; r < inner; r++)
                if (columns == COLUMNS)
                    memcpy(part + r * COLUMNS, w + (p + r) * t->columns + j,
                           sizeof(float[COLUMNS]));
                else
                    memcpy(part + r * columns, w + (p + r) * t->columns + j,
                           columns * sizeof *part);
            for (size_t s = 0; s < t->strips; s++)
                multiply(columns, inner, (struct factor){ part, 1, columns },
                         dy + s * t->stride + p * TILE_STRIP, dx + s * t->stride + j * TILE_STRIP);
        }
    }
}

/* ---- The gradient: the products of dY and of X^T, some columns of which are copied as rows */

enum { MOST_STRIPS = 8 };

/* to[b][j] = from[j][b] for `columns` rows of one strip; zeros behind the last. */
INLINE void turn_columns(size_t columns, const float *from, float *to)
{
    for (size_t j = 0; j < TILE_STRIP; j += LANES)
        for (size_t h = 0; h < HALVES; h++) {
            vec square[LANES];
            for (size_t r = 0; r < LANES; r++)
                square[r] = j + r < columns
                    ? *(const vec *)(from + (j + r) * TILE_STRIP + h * LANES)
                    : (vec){ 0 };
            lanes_transpose(square);
            for (size_t b = 0; b < LANES; b++)
                *(vec *)(to + (h * LANES + b) * TILE_STRIP + j) = square[b];
        }
}

/* dW += dY X^T for some rows and at most 16 columns of dW. */
INLINE void add_gradient(size_t rows, size_t columns, const struct dense_tile *t, size_t strips,
                         const float *turned, const float *dy, float *dw)
{
    vec sums[MOST_ROWS * HALVES] = { 0 };
    for (size_t i = 0; i < rows; i++) __builtin_prefetch(dw + i * t->columns, 1);
    for (size_t s = 0; s < strips; s++)
        add_products(rows, HALVES, TILE_STRIP, (struct factor){ dy + s * t->stride, TILE_STRIP, 1 },
                     turned + s * TILE_STRIP * TILE_STRIP, sums);
    for (size_t i = 0; i < rows; i++, dw += t->columns)
        for (size_t h = 0; h * LANES < columns; h++)
            if (columns - h * LANES >= LANES) *(vec *)(dw + h * LANES) += sums[i * HALVES + h];
            else
                for (size_t j = h * LANES; j < columns; j++)
                    dw[j] += sums[i * HALVES + h][j - h * LANES];
}

/* The same for all rows of dW. */
INLINE void gradient_columns(size_t columns, const struct dense_tile *t, size_t rows, size_t strips,
                             const float *turned, const float *dy, float *dw)
{
    size_t i = 0;
    for (; i + 6 <= rows; i += 6)
        add_gradient(6, columns, t, strips, turned, dy + i * TILE_STRIP, dw + i * t->columns);
    for (; i + 3 <= rows; i += 3)
        add_gradient(3, columns, t, strips, turned, dy + i * TILE_STRIP, dw + i * t->columns);
    for (; i < rows; i++)
        add_gradient(1, columns, t, strips, turned, dy + i * TILE_STRIP, dw + i * t->columns);
}

static void gradient(const struct dense_tile *t, const float *x, size_t n,
                     const struct dense_tile_gradient *blocks)
{
    float turned[MOST_STRIPS * TILE_STRIP * TILE_STRIP];
    for (size_t first = 0, strips; first < t->strips; first += strips) {
        strips = least(t->strips - first, MOST_STRIPS);
        for (size_t j = 0; j < t->columns; j += TILE_STRIP) {
            size_t columns = least(t->columns - j, TILE_STRIP);
            const float *from = x + first * t->stride + j * TILE_STRIP;
            for (size_t s = 0; s < strips; s++)
                turn_columns(columns, from + s * t->stride, turned + s * TILE_STRIP * TILE_STRIP);
            for (size_t b = 0; b < n; b++) {
                const float *dy = blocks[b].dy + first * t->stride;
                float *dw = blocks[b].dw + j;
                if (columns == TILE_STRIP)
                    gradient_columns(TILE_STRIP, t, blocks[b].rows, strips, turned, dy, dw);
                else gradient_columns(columns, t, blocks[b].rows, strips, turned, dy, dw);
            }
        }
    }
}

/* ---- Samples side by side */

static void turn(size_t size, const float *from, size_t ld, const uint32_t *order, float *to)
{
    size_t i = 0;
    for (; !order && i + LANES <= size; i += LANES)
        for (size_t h = 0; h < HALVES; h++) {
            vec square[LANES];
            for (size_t b = 0; b < LANES; b++)
                square[b] = *(const vec *)(from + (h * LANES + b) * ld + i);
            lanes_transpose(square);
            for (size_t r = 0; r < LANES; r++)
                *(vec *)(to + (i + r) * TILE_STRIP + h * LANES) = square[r];
        }
    for (; i < size; i++)
        for (size_t b = 0; b < TILE_STRIP; b++)
            to[i * TILE_STRIP + b] = from[b * ld + (order ? order[i] : i)];
}

static void turn_back(size_t size, const float *from, const uint32_t *order, float *to, size_t ld)
{
    size_t i = 0;
    for (; !order && i + LANES <= size; i += LANES)
        for (size_t h = 0; h < HALVES; h++) {
            vec square[LANES];
            for (size_t r = 0; r < LANES; r++)
                square[r] = *(const vec *)(from + (i + r) * TILE_STRIP + h * LANES);
            lanes_transpose(square);
            for (size_t b = 0; b < LANES; b++) *(vec *)(to + (h * LANES + b) * ld + i) += square[b];
        }
    for (; i < size; i++)
        for (size_t b = 0; b < TILE_STRIP; b++)
            to[b * ld + (order ? order[i] : i)] += from[i * TILE_STRIP + b];
}

const struct dense_tile_kernel KERNEL = { forward, backward, gradient, turn, turn_back };
