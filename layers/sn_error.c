#include "sn_error.h"

#include <stdarg.h>
#include <stdio.h>

enum sn_status sn_fail(struct sn_error *error, enum sn_status code, const char *format, ...)
{
    if (!error) return code;
    error->code = code;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return code;
}
