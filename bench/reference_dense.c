#include "reference.h"

#include <lanes_vec.h>

enum { STREAMS = 8 };

void reference_dense(int rows, int columns, const float *w, const float *x, float *y)
{
    size_t n = (size_t)columns, whole = n / LANES * LANES;
    int i = 0;
    for (; i + STREAMS <= rows; i += STREAMS, w += STREAMS * n) {
        vec sums[STREAMS] = { 0 };
        for (size_t j = 0; j < whole; j += LANES)
            for (size_t r = 0; r < STREAMS; r++)
                sums[r] += *(const vec *)(w + r * n + j) * *(const vec *)(x + j);
        for (size_t r = 0; r < STREAMS; r++) {
            for (size_t j = whole; j < n; j++) sums[r][0] += w[r * n + j] * x[j];
            y[i + (int)r] += lanes_sum(sums[r]);
        }
    }
    for (; i < rows; i++, w += n)
        for (size_t j = 0; j < n; j++) y[i] += w[j] * x[j];
}
