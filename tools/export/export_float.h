/* The families' steps of floats (layers/micro_float.h), and what becomes of their outputs. */
#ifndef EXPORT_FLOAT_H
#define EXPORT_FLOAT_H

#include "export_parts.h"

#include <micro_float.h>
#include <psm.h>
#include <sss.h>

/* build_float of struct export_family. */
enum sn_status export_float_sss(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch);
enum sn_status export_float_psm(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch);

/* The stages of either kind, and how many numbers scratch has for them. */
enum sn_status export_stages(struct export_layer *e, const struct sss *s,
                             struct sn_micro_stages *to, size_t *n_scratch);

/* Where input `column` of factor j is: of the rightmost one an input of the layer. */
uint16_t export_column(const layer *l, const struct psm *s, int j, uint32_t column);

/* What a layer's activation does to an output. */
struct sn_micro_float_output export_float_output(const layer *l);

/* What follows sn_micro_float_ in the name of an output's activation; NULL without one. */
const char *export_float_activation(const struct sn_micro_float_output *output);

/* n rows of w (n_rows x n_columns) as panels one behind the other; returns what follows them. */
float *export_panels(const float *w, int n_rows, int n_columns, float *to);

#endif
