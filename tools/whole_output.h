/* What structnet compress writes and prints of a whole net. */
#ifndef WHOLE_OUTPUT_H
#define WHOLE_OUTPUT_H

#include "whole.h"

/* All files, or none. command is the line that called for them; NULL: not known. SN_IO,
 * SN_BAD_INPUT when one is an input. */
enum sn_status whole_output_write(const struct whole *whole, const char *command,
                                  struct sn_error *error);

void whole_output_print(const struct whole *whole, double seconds);
void whole_output_print_json(const struct whole *whole, double seconds);

#endif
