#include "sn_error.h"

#include <stdarg.h>
#include <string.h>

static void fill(struct sn_error *error, enum sn_status code, const char *start, const char *format,
                 va_list arguments)
{
    if (!error) return;
    size_t n = strlen(start);
    error->code = code;
    memcpy(error->message, start, n);
    vsnprintf(error->message + n, sizeof error->message - n, format, arguments);
}

enum sn_status sn_fail(struct sn_error *error, enum sn_status code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, code, "", format, arguments);
    va_end(arguments);
    return code;
}

enum sn_status sn_no_memory(struct sn_error *error, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, SN_NO_MEMORY, "out of memory for ", format, arguments);
    va_end(arguments);
    return SN_NO_MEMORY;
}
