/* The sections and keys of a cfg, checked before Darknet sees them: it takes an unknown key for a
 * remark, what is no number for 0, and the first of two equal keys. */
#ifndef PLUG_KEYS_H
#define PLUG_KEYS_H

#include "cfg_text.h"

/* Every key of a structured section or of [relu6] must be known and given once, and those of
 * Darknet's with a fixed range must keep to it. SN_BAD_INPUT names the first that does not. Other
 * sections are Darknet's. */
enum sn_status plug_check_keys(const struct cfg_section *section, struct sn_error *error);

/* Sections: [net] first, then layers that Darknet or a family knows, at least one. Their keys as
 * plug_check_keys. */
enum sn_status plug_check_sections(const struct cfg_text *text, struct sn_error *error);

#endif
