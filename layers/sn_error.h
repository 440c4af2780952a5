/* How the library fills in the errors of structnet.h. */
#ifndef SN_ERROR_H
#define SN_ERROR_H

#include "structnet.h"

static inline enum sn_status sn_code(enum sn_status code) { return code; }

/* Fills *error (which may be NULL) with code and the formatted line, cut at 1023 bytes; control
 * characters, which names from files may hold, become '?'. Returns code. A macro, so that compilers
 * and analysers see what it returns. */
#define sn_fail(error, code, ...) (sn_error_set(error, code, "", __VA_ARGS__), sn_code(code))

/* The same with SN_NO_MEMORY and "out of memory for " before the formatted text, which names what
 * could not be had. */
#define sn_no_memory(error, ...) \
    (sn_error_set(error, SN_NO_MEMORY, "out of memory for ", __VA_ARGS__), sn_code(SN_NO_MEMORY))

/* Whether text is one line that a terminal shows as it is: no control characters but tabs. */
int sn_is_printable(const char *text);

void sn_error_set(struct sn_error *error, enum sn_status code, const char *start,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
