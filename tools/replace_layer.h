/* A problem's layer as a structured one: the net it came from with that layer replaced, or, for a
 * matrix from a file, a net of one layer. */
#ifndef REPLACE_LAYER_H
#define REPLACE_LAYER_H

#include "approximation.h"

#include <stdio.h>

/* Whether what a type makes can stand where the problem's layer stands: SN_BAD_INPUT as
 * problem_check_type, and it names the first key that the type's family sets itself, or that no
 * structured section has. */
enum sn_status replace_check(const struct problem *problem, const struct sn_fit_type *type,
                             struct sn_error *error);

/* Writes the net: the cfg with its comments and order, every other weight bit for bit, the count of
 * images seen set to 0, and what the approximation's bias is in the layer. The caller checks both
 * files. */
enum sn_status replace_write(const struct problem *problem,
                             const struct approximation *approximation, FILE *cfg, FILE *weights,
                             struct sn_error *error);

#endif
