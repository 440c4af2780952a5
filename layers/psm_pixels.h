/* PSM for the pixels of an image (pixel_kernel.h). */
#ifndef PSM_PIXELS_H
#define PSM_PIXELS_H

#include "psm.h"
#include "psm_kernel.h"

/* What the kernels see of factor j. *first receives the position of its first value. The order of
 * the outputs belongs to the leftmost factor. */
struct psm_pattern psm_pattern_at(const struct psm *shape, int j, size_t *first);

/* Of several factors a tile of pixels goes through all before the next one, so that what is between
 * factors stays in a cache; backward it is computed anew. */
extern const struct sn_pixel_products psm_pixels;

#endif
