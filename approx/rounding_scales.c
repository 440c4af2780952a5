#include "rounding_scales.h"
#include "levels.h"

#include <math.h>

float sn_rounding_nearest(const struct sn_rounding *r, float x, float scale)
{
    if (r->bits == 32) return x;
    if (!(scale > 0)) return 0;
    float level = sn_level_near(r->bits, x / scale);
    return (level == 0 && r->is_sparse ? copysignf(1, x) : level) * scale;
}

static double rounding_error(const struct sn_rounding *r, float scale, size_t count,
                             const float *values, const float *weights)
{
    double sum = 0;
    for (size_t k = 0; k < count; k++) {
        double left = (double)sn_rounding_nearest(r, values[k], scale) - (double)values[k];
        sum += left * left * (double)weights[k];
    }
    return sum;
}

/* The scale of least error among those that put the largest value between a fifth below and three
 * times above the largest level. */
static float search_scale(const struct sn_rounding *r, size_t count, const float *values,
                          const float *weights)
{
    enum { CANDIDATES = 40 };
    float largest = 0, best = 0;
    double least = INFINITY;
    for (size_t k = 0; k < count; k++) largest = fmaxf(largest, fabsf(values[k]));
    for (int c = 0; c < CANDIDATES && largest > 0; c++) {
        float scale = sn_bfloat_round(largest / sn_level_most(r->bits)
                                      * (1.2f - (float)c * (.9f / (CANDIDATES - 1))));
        double error = rounding_error(r, scale, count, values, weights);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

void sn_rounding_scales(struct sn_rounding *r, float *values, float *weights)
{
    size_t n = (size_t)r->columns;
    for (size_t i = 0; i < (size_t)r->rows; i++) {
        size_t count = 0;
        for (size_t j = 0; j < n; j++) {
            if (r->values[i * n + j] == 0) continue;
            values[count] = r->values[i * n + j];
            weights[count++] = r->gram ? r->gram[j * (n + 1)] : 1;
        }
        r->scales[i] = search_scale(r, count, values, weights);
    }
}
