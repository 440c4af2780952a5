#include "progress.h"

#include <stdio.h>
#include <unistd.h>

void progress_show(const char *what, int done, int n)
{
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r%s %d/%d ", what, done, n);
}

void progress_end(void)
{
    if (isatty(STDERR_FILENO)) fputs("\r\033[K", stderr);
}
