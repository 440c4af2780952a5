/* The packed form of SSS: pack of family.h. */
#ifndef SSS_PACKED_H
#define SSS_PACKED_H

#include "packed.h"

struct sn_packed *sss_packed(const struct sn_matrix *matrix, const float *words,
                             struct sn_error *error);

#endif
