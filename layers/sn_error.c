#include "sn_error.h"

#include <stdarg.h>
#include <string.h>

void sn_error_set(struct sn_error *error, enum sn_status code, const char *start,
                  const char *format, ...)
{
    if (!error) return;
    size_t n = strlen(start);
    error->code = code;
    memcpy(error->message, start, n);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message + n, sizeof error->message - n, format, arguments);
    va_end(arguments);
}
