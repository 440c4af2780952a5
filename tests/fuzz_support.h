/* What the libFuzzer targets share. */
#ifndef FUZZ_SUPPORT_H
#define FUZZ_SUPPORT_H

#include "memory_file.h"

/* An attempt (attempt.h) whose last line on stderr must say something when it did not come back.
 * Returns its status. */
int fuzz_attempt(void (*action)(const void *argument), const void *argument);

/* Ends the run as a finding when a refusal has no reason. */
struct sn_error;
void fuzz_need_reason(const struct sn_error *error);

#endif
