/* The shapes of a net's layers, computed from a cfg before Darknet does: it computes them in ints
 * that overflow, and follows references without looking. */
#ifndef PLUG_SHAPES_H
#define PLUG_SHAPES_H

#include "cfg_text.h"

/* Every layer can be made from what the one before it, or those that it names, gives: an image
 * where it needs one, windows that fit, groups that divide, references to layers before it, lists
 * of equal lengths; and no array has more than INT_MAX numbers. SN_BAD_INPUT names file, line,
 * section and key otherwise. The values of all keys have passed plug_keys.h. */
enum sn_status plug_check_shapes(const struct cfg_text *text, struct sn_error *error);

#endif
