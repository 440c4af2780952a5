/* How the library fills in the errors of structnet.h. */
#ifndef SN_ERROR_H
#define SN_ERROR_H

#include "structnet.h"

/* Fills *error (which may be NULL) with code and the formatted line, cut at 1023 bytes. Returns
 * code. */
enum sn_status sn_fail(struct sn_error *error, enum sn_status code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with SN_NO_MEMORY and "out of memory for " before the formatted text, which names what
 * could not be had. */
enum sn_status sn_no_memory(struct sn_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
