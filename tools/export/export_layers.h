/* The kinds of layers that become steps; the families' are in export_parts.h. */
#ifndef EXPORT_LAYERS_H
#define EXPORT_LAYERS_H

#include "export_parts.h"

/* The number that holds a range, 0 included. */
struct export_number export_number_of(float low, float high, int is_wide);

/* Whether a layer's activation is looked up, as anything but a limit is. */
int export_needs_table(const layer *l);

/* Whether a layer has an activation, and not only a field for one. */
int export_has_activation(const layer *l);

/* Each fills in *step but for where numbers are, and e->output's scale where it must be coarser;
 * *scratch: bytes. */
struct export_kinds {
    enum sn_status (*convolution)(struct export_layer *e, struct sn_micro_step *step,
                                  size_t *scratch); /* or connected */
    enum sn_status (*maxpool)(struct export_layer *e, struct sn_micro_step *step);
    enum sn_status (*avgpool)(struct export_layer *e, struct sn_micro_step *step);
    /* n numbers: the sum of from[k] times factor[k]. */
    enum sn_status (*sum)(struct export_layer *e, const struct export_number from[2],
                          const double factor[2], size_t n, struct sn_micro_step *step);
};
extern const struct export_kinds export_integers, export_floats;

/* Where a structured layer takes patches, makes its step one that brings them to it. */
enum sn_status export_patches(const struct export_layer *e, struct sn_micro_step *step,
                              size_t *scratch);

/* A convolution, or a connected layer, which is one of a single pixel. */
struct export_window {
    int channels, filters, groups; /* of a group */
    int height, width, size, stride, pad, out_height, out_width;
};
struct export_window export_window_of(const layer *l);

#endif
