/* The levels of a matrix that is rounded, and the scales to start with. */
#ifndef ROUNDING_SCALES_H
#define ROUNDING_SCALES_H

#include "rounding.h"

/* The level times scale that is next to x; of a sparse matrix not 0. */
float sn_rounding_nearest(const struct sn_rounding *rounding, float x, float scale);

/* Sets the scale of each row such that its values, each rounded alone, lose least. values and
 * weights are scratch of columns floats each. */
void sn_rounding_scales(struct sn_rounding *rounding, float *values, float *weights);

#endif
