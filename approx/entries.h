/* Which numbers the approximators take. */
#ifndef ENTRIES_H
#define ENTRIES_H

#include "sn_error.h"

#include <stddef.h>

/* SN_BAD_INPUT, naming row and column behind "WHAT: " (what may be empty), unless all values (rows
 * x columns) are finite and |value| <= 2^60: a product of two is then a float32, as is a sum of 2^7
 * of these. sn_fit scales what it works on. */
enum sn_status sn_entries_check(const char *what, const float *values, size_t rows, size_t columns,
                                struct sn_error *error);

#endif
