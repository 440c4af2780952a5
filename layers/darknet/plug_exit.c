/* Every way out of Darknet leads here, and ends in status 1: our own errors by sn_die, Darknet's
 * error() by the linker's --wrap=error, its exit(0) behind a message by the compiler's
 * -Dexit=plug_exit, and memory that it takes without looking by -Dmalloc=plug_malloc and the like.
 * sn_die removes a weights file that is half written. */
#include "plug_errors.h"
#include "plug_hooks.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

void __wrap_error(const char *text) __attribute__((noreturn));
void plug_exit(int status) __attribute__((noreturn));
void *plug_malloc(size_t n_bytes);
void *plug_calloc(size_t n, size_t size);
void *plug_realloc(void *block, size_t n_bytes);

const char *sn_program = "darknet";
void (*sn_before_error)(void);
void (*sn_before_exit)(void);

int sn_warning_file = STDERR_FILENO;

void sn_warn(const char *format, ...)
{
    struct sn_error warning;
    char text[sizeof warning.message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sn_fail(&warning, SN_BAD_INPUT, "%s", text);
    dprintf(sn_warning_file, "%s: warning: %s\n", sn_program, warning.message);
}

/* Of several threads one leaves, and says why. */
static void leave_alone(void)
{
    static atomic_flag is_taken = ATOMIC_FLAG_INIT;
    static _Thread_local int is_leaving;
    if (!is_leaving && atomic_flag_test_and_set(&is_taken))
        for (;;) pause();
    is_leaving = 1;
}

void sn_die(const struct sn_error *error)
{
    leave_alone();
    if (sn_before_error) sn_before_error();
    plug_discard_save();
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", sn_program, error->message);
    exit(1);
}

void plug_die_in_table(const struct sn_error *error)
{
    fputc('\n', stderr);
    sn_die(error);
}

/* Darknet exits only after it has printed a message about a file, and then with status 0. */
void plug_exit(int status)
{
    (void)status;
    leave_alone();
    if (sn_before_exit) sn_before_exit();
    exit(1);
}

/* Darknet's error() aborts with a core dump. */
void __wrap_error(const char *text)
{
    const struct cfg_text *cfg = plug_cfg();
    struct sn_error error;
    sn_fail(&error, SN_BAD_INPUT, "%s%s%s", cfg ? cfg->path : "", cfg ? ": " : "", text);
    sn_die(&error);
}

/* ---- Memory that Darknet does not check */

/* block, which is as large as asked for. */
static void *need(void *block, double n_bytes)
{
    const struct cfg_text *cfg = plug_cfg();
    struct sn_error error;
    if (block || n_bytes == 0) return block;
    if (cfg)
        sn_fail(&error, SN_NO_MEMORY, "%s: out of memory for an array of %.0f bytes", cfg->path,
                n_bytes);
    else sn_no_memory(&error, "an array of %.0f bytes", n_bytes);
    sn_die(&error);
}

void *plug_malloc(size_t n_bytes) { return need(malloc(n_bytes), (double)n_bytes); }

/* Darknet's sizes are ints: one below 0 is far beyond any memory. */
void *plug_calloc(size_t n, size_t size) { return need(calloc(n, size), (double)n * (double)size); }

void *plug_realloc(void *block, size_t n_bytes)
{
    return need(realloc(block, n_bytes), (double)n_bytes);
}
