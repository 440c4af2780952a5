#include "psm_tile.h"

#include "isa.h"

int psm_tile_samples(int left)
{
    return left >= 64 ? 64 : left >= 32 ? 32 : left >= 16 ? 16 : left >= 8 ? 8 : 0;
}

void psm_tile_forward(const struct psm_pattern *s, const float *values, int n, const float *x,
                      float *y)
{
    sn_kernels()->psm_tile->forward(s, values, n, x, y);
}

void psm_tile_backward(const struct psm_pattern *s, const float *values, int n, const float *x,
                       const float *dy, float *dvalues, float *dx)
{
    sn_kernels()->psm_tile->backward(s, values, n, x, dy, dvalues, dx);
}
