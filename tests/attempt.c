#include "attempt.h"

#include "scarce_memory.h"

#include <plug_errors.h>

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void __real_exit(int status) __attribute__((noreturn));
void __wrap_exit(int status) __attribute__((noreturn));

static jmp_buf way_back;
static int is_attempting;

void __wrap_exit(int status)
{
    if (!is_attempting) __real_exit(status);
    longjmp(way_back, status ? status : INT_MAX); /* An exit with 0 is none that came back. */
}

/* What may be lost by the jump stands in variables that the jump does not change. */
static int run(void (*action)(const void *argument), const void *argument)
{
    int status = setjmp(way_back);
    if (!status) {
        is_attempting = 1;
        action(argument);
    }
    is_attempting = 0;
    return status;
}

int attempt(void (*action)(const void *argument), const void *argument, char *text, size_t size)
{
    static int nowhere = -1;
    char *said = NULL;
    size_t n_said = 0;
    FILE *terminal = stderr, *stream = open_memstream(&said, &n_said);
    int warning_file = sn_warning_file;
    if (nowhere < 0) nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (!stream || nowhere < 0) abort();
    stderr = stream;
    sn_warning_file = nowhere;
    scarce_begin(LONG_MAX, 0);
    int status = run(action, argument);
    scarce_release();
    stderr = terminal;
    sn_warning_file = warning_file;
    fclose(stream);
    snprintf(text, size, "%s", said);
    free(said);
    return status;
}
