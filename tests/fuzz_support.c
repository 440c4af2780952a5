#include "fuzz_support.h"

#include "attempt.h"

#include <sn_error.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

long __real_sysconf(int name);
long __wrap_sysconf(int name);

/* A machine of a mebibyte: nets that need more are refused for it, and those left are quick. */
long __wrap_sysconf(int name) { return name == _SC_PHYS_PAGES ? 256 : __real_sysconf(name); }

int fuzz_attempt(void (*action)(const void *argument), const void *argument)
{
    char text[1 << 14];
    int status = attempt(action, argument, text, sizeof text);
    if (status && (status != 1 || !strstr(text, "darknet: "))) abort();
    return status;
}

void fuzz_need_reason(const struct sn_error *error)
{
    if (!error->code || !error->message[0] || !sn_is_printable(error->message)) abort();
}
