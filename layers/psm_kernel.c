/* The kernels go group by group: all rows of a group share their columns, so that one x_p is read
 * for `block` multiply-adds, and the sums of the rows stay in registers until the group is done. */
#include "psm_kernel.h"

enum { MOST_ROWS = 8 }; /* of a block */

size_t psm_count_groups(int rows, int block)
{
    return ((size_t)rows + (size_t)block - 1) / (size_t)block;
}

int psm_group_height(int rows, int block, size_t group)
{
    size_t left = (size_t)rows - group * (size_t)block;
    return left < (size_t)block ? (int)left : block;
}

static size_t output_of(const struct psm_pattern *s, size_t row)
{
    return s->order ? s->order[row] : row;
}

/* y_i += sum_p S_ip x_p for the rows of one group. Inlined with a constant block and height, its
 * loops over the rows become vector instructions. */
static inline __attribute__((always_inline)) void group_forward(const struct psm_pattern *s,
                                                                size_t group, int block, int height,
                                                                const float *values, const float *x,
                                                                float *y)
{
    float sums[MOST_ROWS] = { 0 };
    for (size_t p = s->row_starts[group], end = s->row_starts[group + 1]; p < end; p++)
        for (int r = 0; r < height; r++)
            sums[r] += values[p * (size_t)block + (size_t)r] * x[s->columns[p]];
    for (int r = 0; r < height; r++) y[output_of(s, group * (size_t)block + (size_t)r)] += sums[r];
}

/* group_forward for blocks of one row. A sum waits for the one before it, so that four go side by
 * side. */
static void entries_forward(const struct psm_pattern *s, size_t group, const float *values,
                            const float *x, float *y)
{
    size_t p = s->row_starts[group], end = s->row_starts[group + 1];
    const uint32_t *columns = s->columns;
    float sum0 = 0, sum1 = 0, sum2 = 0, sum3 = 0;
    for (; p + 4 <= end; p += 4) {
        sum0 += values[p] * x[columns[p]];
        sum1 += values[p + 1] * x[columns[p + 1]];
        sum2 += values[p + 2] * x[columns[p + 2]];
        sum3 += values[p + 3] * x[columns[p + 3]];
    }
    for (; p < end; p++) sum0 += values[p] * x[columns[p]];
    y[output_of(s, group)] += (sum0 + sum1) + (sum2 + sum3);
}

/* dS_ip += dy_i x_p, and dx_p += sum_i S_ip dy_i unless dx is NULL, for the rows i of one group. */
static inline __attribute__((always_inline)) void group_backward(const struct psm_pattern *s,
                                                                 size_t group, int block,
                                                                 int height, const float *values,
                                                                 const float *x, const float *dy,
                                                                 float *dvalues, float *dx)
{
    float d[MOST_ROWS];
    for (int r = 0; r < height; r++) d[r] = dy[output_of(s, group * (size_t)block + (size_t)r)];
    for (size_t p = s->row_starts[group], end = s->row_starts[group + 1]; p < end; p++) {
        size_t first = p * (size_t)block;
        float input = x[s->columns[p]], sum = 0;
        for (int r = 0; r < height; r++) dvalues[first + (size_t)r] += d[r] * input;
        if (!dx) continue;
        for (int r = 0; r < height; r++) sum += d[r] * values[first + (size_t)r];
        dx[s->columns[p]] += sum;
    }
}

void psm_factor_forward(const struct psm_pattern *s, const float *values, int batch, const float *x,
                        float *y)
{
    size_t n_groups = psm_count_groups(s->rows, s->block);
    for (int b = 0; b < batch; b++, x += s->width, y += s->rows)
        for (size_t g = 0; g < n_groups; g++) {
            int height = psm_group_height(s->rows, s->block, g);
            if (s->block == 1) entries_forward(s, g, values, x, y);
            else if (height == 4 && s->block == 4) group_forward(s, g, 4, 4, values, x, y);
            else if (height == 8) group_forward(s, g, 8, 8, values, x, y);
            else group_forward(s, g, s->block, height, values, x, y);
        }
}

void psm_factor_backward(const struct psm_pattern *s, const float *values, int batch,
                         const float *x, const float *dy, float *dvalues, float *dx)
{
    size_t n_groups = psm_count_groups(s->rows, s->block);
    for (int b = 0; b < batch; b++, x += s->width, dy += s->rows) {
        for (size_t g = 0; g < n_groups; g++) {
            int height = psm_group_height(s->rows, s->block, g);
            if (height == 1 && s->block == 1)
                group_backward(s, g, 1, 1, values, x, dy, dvalues, dx);
            else if (height == 4 && s->block == 4)
                group_backward(s, g, 4, 4, values, x, dy, dvalues, dx);
            else if (height == 8) group_backward(s, g, 8, 8, values, x, dy, dvalues, dx);
            else group_backward(s, g, s->block, height, values, x, dy, dvalues, dx);
        }
        if (dx) dx += s->width;
    }
}
