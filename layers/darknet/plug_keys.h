/* The sections and keys of a cfg, checked before Darknet sees them: it takes an unknown key for a
 * remark, what is no number for 0, the first of two equal keys, and any number for a size. */
#ifndef PLUG_KEYS_H
#define PLUG_KEYS_H

#include "cfg_text.h"

#include <darknet.h>

/* What Darknet takes a section for: NETWORK, a type of layer, CONNECTED for a family, ACTIVE for
 * [relu6], BLANK for none. */
LAYER_TYPE plug_section_type(const struct cfg_section *section);

/* The keys of one section: the type and range of each value (plug_keys_tables.h). Of a key that
 * nobody knows or that is given twice, sections of ours are refused, and Darknet's get a warning;
 * text is what holds the section, NULL being enough for one of ours. SN_BAD_INPUT names file, line,
 * section and key. */
enum sn_status plug_check_keys(const struct cfg_text *text, const struct cfg_section *section,
                               struct sn_error *error);

/* Sections: [net] first, then layers that Darknet or a family knows, at least one; their keys as
 * plug_check_keys; then what layers need of each other (plug_shapes.h). */
enum sn_status plug_check_sections(const struct cfg_text *text, struct sn_error *error);

#endif
