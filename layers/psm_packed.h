/* The packed form of PSM: pack of family.h. */
#ifndef PSM_PACKED_H
#define PSM_PACKED_H

#include "packed.h"

struct sn_packed *psm_packed(const struct sn_matrix *matrix, const float *words,
                             struct sn_error *error);

#endif
