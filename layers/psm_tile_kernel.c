/* The kernels of psm_tile.h. This file is compiled once for each instruction set, with KERNEL as
 * the name of what it offers. A strip is some vectors of samples side by side, few enough for their
 * sums to stay in registers. */
#include "psm_tile.h"

#include "lanes_vec.h"

#ifndef KERNEL
#define KERNEL psm_tile_plain
#endif

/* Y += S X on one strip, for `height` rows that share the columns of `count` blocks. values are
 * those of the first of the rows, `block` floats from one column to the next; y has n floats a
 * row. */
INLINE void forward_strip(size_t height, size_t vectors, size_t block, const float *values,
                          const uint32_t *columns, size_t count, size_t n, const float *x, float *y)
{
    vec sums[8];
    for (size_t r = 0; r < height; r++)
        for (size_t k = 0; k < vectors; k++)
            sums[r * vectors + k] = *(const vec *)(y + r * n + k * LANES);
    for (size_t p = 0; p < count; p++) {
        const float *from = x + columns[p] * n;
        for (size_t r = 0; r < height; r++) {
            float value = values[p * block + r];
            for (size_t k = 0; k < vectors; k++)
                sums[r * vectors + k] += value * *(const vec *)(from + k * LANES);
        }
    }
    for (size_t r = 0; r < height; r++)
        for (size_t k = 0; k < vectors; k++)
            *(vec *)(y + r * n + k * LANES) = sums[r * vectors + k];
}

/* The vectors of products of some columns with `height` rows each. */
INLINE void products_of(size_t height, size_t vectors, const float *const x[LANES], size_t n,
                        const float *dy, vec products[LANES])
{
    vec sums[LANES] = { 0 };
    for (size_t k = 0; k < vectors; k++)
        for (size_t q = 0; q < LANES / height; q++) {
            vec input = *(const vec *)(x[q] + k * LANES);
            for (size_t r = 0; r < height; r++)
                sums[q * height + r] += input * *(const vec *)(dy + r * n + k * LANES);
        }
    for (size_t r = 0; r < LANES; r++) products[r] = sums[r];
}

/* dS += dY X^T for some entries of `height` rows, in steps of as many as have LANES values: their
 * vectors of products are summed together. values stand as in forward_strip; n is vectors times
 * LANES. */
INLINE void entry_gradients(size_t height, size_t vectors, size_t block, const uint32_t *columns,
                            size_t count, size_t n, const float *x, const float *dy, float *dvalues)
{
    size_t step = LANES / height;
    vec products[LANES], sums;
    for (size_t p = 0; p < count; p += step) {
        size_t found = count - p < step ? count - p : step; /* the last of which is repeated */
        const float *xs[LANES];
        for (size_t q = 0; q < step; q++) xs[q] = x + columns[p + (q < found ? q : found - 1)] * n;
        products_of(height, vectors, xs, n, dy, products);
        lanes_sums(products, &sums);
        if (found == step && (block == 1 || block == height)) *(vec *)(dvalues + p * block) += sums;
        else
            for (size_t q = 0; q < found * height; q++)
                dvalues[(p + q / height) * block + q % height] += sums[q];
    }
}

/* dX += S^T dY on one strip, for the rows of forward_strip. */
INLINE void backward_strip(size_t height, size_t vectors, size_t block, const float *values,
                           const uint32_t *columns, size_t count, size_t n, const float *dy,
                           float *dx)
{
    vec d[8];
    for (size_t r = 0; r < height; r++)
        for (size_t k = 0; k < vectors; k++)
            d[r * vectors + k] = *(const vec *)(dy + r * n + k * LANES);
    for (size_t p = 0; p < count; p++) {
        float *to = dx + columns[p] * n, value[4];
        for (size_t r = 0; r < height; r++) value[r] = values[p * block + r];
        for (size_t k = 0; k < vectors; k++) {
            vec sum = *(const vec *)(to + k * LANES);
            for (size_t r = 0; r < height; r++) sum += value[r] * d[r * vectors + k];
            *(vec *)(to + k * LANES) = sum;
        }
    }
}

/* A strip with its numbers of rows and vectors as constants. */
INLINE void forward_rows(size_t height, size_t vectors, size_t block, const float *values,
                         const uint32_t *columns, size_t count, size_t n, const float *x, float *y)
{
    if (height == 4 && vectors == 2) forward_strip(4, 2, block, values, columns, count, n, x, y);
    else if (height == 4) forward_strip(4, 1, block, values, columns, count, n, x, y);
    else if (vectors == 8) forward_strip(1, 8, block, values, columns, count, n, x, y);
    else if (vectors == 4) forward_strip(1, 4, block, values, columns, count, n, x, y);
    else if (vectors == 2) forward_strip(1, 2, block, values, columns, count, n, x, y);
    else forward_strip(1, 1, block, values, columns, count, n, x, y);
}

INLINE void backward_rows(size_t height, size_t vectors, size_t block, const float *values,
                          const uint32_t *columns, size_t count, size_t n, const float *dy,
                          float *dx)
{
    if (height == 4 && vectors == 2) backward_strip(4, 2, block, values, columns, count, n, dy, dx);
    else if (height == 4) backward_strip(4, 1, block, values, columns, count, n, dy, dx);
    else if (vectors == 8) backward_strip(1, 8, block, values, columns, count, n, dy, dx);
    else if (vectors == 4) backward_strip(1, 4, block, values, columns, count, n, dy, dx);
    else if (vectors == 2) backward_strip(1, 2, block, values, columns, count, n, dy, dx);
    else backward_strip(1, 1, block, values, columns, count, n, dy, dx);
}

INLINE void gradients_of_rows(size_t height, size_t vectors, size_t block, const uint32_t *columns,
                              size_t count, size_t n, const float *x, const float *dy,
                              float *dvalues)
{
    if (height == 4) entry_gradients(4, vectors, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 8) entry_gradients(1, 8, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 4) entry_gradients(1, 4, block, columns, count, n, x, dy, dvalues);
    else if (vectors == 2) entry_gradients(1, 2, block, columns, count, n, x, dy, dvalues);
    else entry_gradients(1, 1, block, columns, count, n, x, dy, dvalues);
}

/* Rows that go together when so many are left of a group: four of a block, or one. */
static size_t rows_together(const struct psm_pattern *s, size_t left)
{
    return s->block > 1 && left >= 4 ? 4 : 1;
}

/* Samples of a strip of so many rows. */
static size_t strip_samples(size_t n, size_t rows)
{
    enum { FEW = 16 };
    return rows == 1 || n < FEW ? n : FEW;
}

/* ---- Panels: columns whose samples the first cache holds, for some groups. A group's blocks of a
 * panel are those from a cursor on that are below the panel's end. */

enum { PANEL_FLOATS = 8192, MOST_GROUPS = 256, AHEAD = 4 };

struct panels {
    const struct psm_pattern *s;
    size_t first, n_groups; /* the groups */
    uint32_t end;           /* of the columns */
    uint32_t cursors[MOST_GROUPS];
};

static void start_groups(struct panels *p, size_t first)
{
    size_t left = psm_count_groups(p->s->rows, p->s->block) - first;
    p->first = first;
    p->n_groups = left < MOST_GROUPS ? left : MOST_GROUPS;
    p->end = 0;
    for (size_t g = 0; g < p->n_groups; g++) p->cursors[g] = p->s->row_starts[first + g];
}

/* Goes on to the next panel. Returns 0 when there is none. */
static int next_panel(struct panels *p, size_t n)
{
    uint32_t width = (uint32_t)p->s->width, step = (uint32_t)(PANEL_FLOATS / n);
    if (p->end == width) return 0;
    p->end = width - p->end < step ? width : p->end + step;
    return 1;
}

/* The blocks of a group in the panel: *start receives the first, the cursor moves behind the last.
 */
static size_t take_blocks(struct panels *p, size_t g, size_t *start)
{
    uint32_t at = p->cursors[g], last = p->s->row_starts[p->first + g + 1];
    *start = at;
    while (at < last && p->s->columns[at] < p->end) at++;
    p->cursors[g] = at;
    return at - *start;
}

/* The rows of one group in one panel: forward, or backward where dvalues is not NULL. */
struct task {
    size_t n; /* samples */
    const float *values, *x, *dy;
    float *y, *dvalues, *dx;
};

/* Y += S X for the rows of group g and `count` of its blocks. */
static void group_forward(const struct psm_pattern *s, const struct task *t, size_t g, size_t start,
                          size_t count)
{
    size_t n = t->n, block = (size_t)s->block,
           height = (size_t)psm_group_height(s->rows, s->block, g);
    for (size_t r = 0, rows; r < height; r += rows) {
        rows = rows_together(s, height - r);
        size_t strip = strip_samples(n, rows);
        for (size_t b = 0; b < n; b += strip)
            forward_rows(rows, strip / LANES, block, t->values + start * block + r,
                         s->columns + start, count, n, t->x + b, t->y + (g * block + r) * n + b);
    }
}

/* dS += dY X^T and dX += S^T dY for the same; dX unless it is NULL. */
static void group_backward(const struct psm_pattern *s, const struct task *t, size_t g,
                           size_t start, size_t count)
{
    size_t n = t->n, block = (size_t)s->block,
           height = (size_t)psm_group_height(s->rows, s->block, g);
    for (size_t r = 0, rows; r < height; r += rows) {
        rows = rows_together(s, height - r);
        size_t strip = strip_samples(n, rows), first = start * block + r;
        const float *from = t->dy + (g * block + r) * n;
        gradients_of_rows(rows, n / LANES, block, s->columns + start, count, n, t->x, from,
                          t->dvalues + first);
        for (size_t b = 0; t->dx && b < n; b += strip)
            backward_rows(rows, strip / LANES, block, t->values + first, s->columns + start, count,
                          n, from + b, t->dx + b);
    }
}

/* Does a task for all groups, panel by panel. What comes soon is fetched ahead, since panels jump
 * from row to row. */
static void go_through(const struct psm_pattern *s, const struct task *t,
                       void (*group)(const struct psm_pattern *s, const struct task *t, size_t g,
                                     size_t start, size_t count))
{
    size_t n_groups = psm_count_groups(s->rows, s->block);
    struct panels p = { .s = s };
    for (size_t first = 0; first < n_groups; first += MOST_GROUPS)
        for (start_groups(&p, first); next_panel(&p, t->n);)
            for (size_t g = 0, start; g < p.n_groups; g++) {
                if (g + AHEAD < p.n_groups) {
                    const uint32_t next = p.cursors[g + AHEAD];
                    __builtin_prefetch(s->columns + next);
                    __builtin_prefetch(s->columns + next + 16);
                    for (size_t q = 0; q < 32 * (size_t)s->block; q += 16)
                        __builtin_prefetch(t->values + next * (size_t)s->block + q);
                    if (t->dvalues)
                        for (size_t q = 0; q < 32 * (size_t)s->block; q += 16)
                            __builtin_prefetch(t->dvalues + next * (size_t)s->block + q, 1);
                }
                size_t count = take_blocks(&p, g, &start);
                if (count) group(s, t, first + g, start, count);
            }
}

static void forward(const struct psm_pattern *s, const float *values, int n_samples, const float *x,
                    float *y)
{
    struct task t = { .n = (size_t)n_samples, .values = values, .x = x, .y = y };
    memset(y, 0, (size_t)s->rows * t.n * sizeof *y);
    go_through(s, &t, group_forward);
}

static void backward(const struct psm_pattern *s, const float *values, int n_samples,
                     const float *x, const float *dy, float *dvalues, float *dx)
{
    struct task t = { (size_t)n_samples, values, x, dy, NULL, dvalues, dx };
    go_through(s, &t, group_backward);
}

const struct psm_tile_kernel KERNEL = { forward, backward };
