#include "psm_tile.h"
#include "isa.h"

static const struct psm_tile_kernel *kernel(void)
{
#ifdef __x86_64__
    if (sn_isa() == SN_ISA_AVX2) return &psm_tile_avx2;
#endif
    return &psm_tile_plain;
}

int psm_tile_samples(int left)
{
    return left >= 64 ? 64 : left >= 32 ? 32 : left >= 16 ? 16 : left >= 8 ? 8 : 0;
}

void psm_tile_forward(const struct psm_pattern *s, const float *values, int n, const float *x,
                      float *y)
{
    kernel()->forward(s, values, n, x, y);
}

void psm_tile_backward(const struct psm_pattern *s, const float *values, int n, const float *x,
                       const float *dy, float *dvalues, float *dx)
{
    kernel()->backward(s, values, n, x, dy, dvalues, dx);
}
