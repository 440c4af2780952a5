#include "sn_error.h"

#include <stdarg.h>
#include <string.h>

static int is_control(char c) { return ((unsigned char)c < ' ' && c != '\t') || c == 127; }

int sn_is_printable(const char *text)
{
    while (*text && !is_control(*text)) text++;
    return !*text;
}

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
    for (char *c = error->message; *c; c++)
        if (is_control(*c)) *c = '?';
}
