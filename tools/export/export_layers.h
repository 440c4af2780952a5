/* The kinds of layers that become steps; the families' are in export_parts.h. */
#ifndef EXPORT_LAYERS_H
#define EXPORT_LAYERS_H

#include "export_parts.h"

/* The number that holds a range, 0 included. */
struct export_number export_number_of(float low, float high, int is_wide);

/* Whether a layer's activation is looked up, as anything but a limit is. */
int export_needs_table(const layer *l);

/* Each fills in *step but for where numbers are, and e->output's scale where it must be coarser;
 * *scratch: bytes. */
enum sn_status export_convolution(struct export_layer *e, struct sn_micro_step *step,
                                  size_t *scratch);
enum sn_status export_maxpool(struct export_layer *e, struct sn_micro_step *step);
enum sn_status export_avgpool(struct export_layer *e, struct sn_micro_step *step);

/* n numbers: the sum of from[k] times factor[k]. */
enum sn_status export_sum(struct export_layer *e, const struct export_number from[2],
                          const double factor[2], size_t n, struct sn_micro_step *step);

#endif
