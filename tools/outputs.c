#include "outputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int interrupts[OUTPUTS_SIGNALS] = { SIGHUP, SIGINT, SIGTERM };

/* Handlers have no argument of their own, and a signal may be met by any thread of the process: so
 * that waiting is a matter of these, not of the mask of one thread. */
static struct outputs *volatile current;
static volatile sig_atomic_t is_held, waiting;

static void on_interrupt(int number)
{
    if (is_held) {
        waiting = number;
        return;
    }
    for (int i = 0; current && i < current->n; i++)
        if (current->files[i].temporary) unlink(current->files[i].temporary);
    signal(number, SIG_DFL);
    raise(number);
}

static void discard_current(void)
{
    if (current) outputs_discard(current);
}

static void release(void)
{
    is_held = 0;
    if (waiting) on_interrupt(waiting);
}

int outputs_is_name(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    return n && name[n - 1] != '/';
}

void outputs_begin(struct outputs *outputs, const char *const *inputs)
{
    static int is_registered;
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESTART };
    *outputs = (struct outputs){ .inputs = inputs };
    is_held = 1;
    waiting = 0;
    current = outputs;
    if (!is_registered) is_registered = !atexit(discard_current);
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the file size limit then fails, and is reported. */
    for (int i = 0; i < OUTPUTS_SIGNALS; i++) {
        sigaction(interrupts[i], NULL, &outputs->before[i]);
        if (outputs->before[i].sa_handler != SIG_IGN) sigaction(interrupts[i], &action, NULL);
    }
    release();
}

void outputs_hold(void) { is_held = 1; }

/* Interrupts do again what they did before, and one that has waited does it now. */
static void end(struct outputs *outputs)
{
    for (int i = 0; i < OUTPUTS_SIGNALS; i++) sigaction(interrupts[i], &outputs->before[i], NULL);
    current = NULL;
    if (waiting) raise(waiting);
}

/* Whether path was opened as file: its temporary name is then path with a suffix, whatever link
 * path is. */
static int is_same(const struct whole_file *file, const char *path)
{
    size_t n = strlen(path);
    return file->temporary
        ? !strncmp(file->temporary, path, n) && !strncmp(file->temporary + n, ".tmp", 4)
        : !strcmp(file->path, path);
}

static enum sn_status check_path(const struct outputs *outputs, const char *path,
                                 struct sn_error *error)
{
    struct stat output, input;
    for (const char *const *in = outputs->inputs; *in; in++)
        if (!stat(path, &output) && !stat(*in, &input) && output.st_dev == input.st_dev
            && output.st_ino == input.st_ino)
            return sn_fail(error, SN_BAD_INPUT, "%s: is an input, expected another output", path);
    for (int i = 0; i < outputs->n; i++)
        if (is_same(&outputs->files[i], path))
            return sn_fail(error, SN_BAD_INPUT, "%s: expected one output in a file, found two",
                           path);
    return SN_OK;
}

FILE *outputs_open(struct outputs *outputs, const char *path, struct sn_error *error)
{
    struct whole_file *file = &outputs->files[outputs->n];
    int was_held = is_held;
    if (check_path(outputs, path, error)) return NULL;
    is_held = 1;
    enum sn_status status = whole_file_open(file, path, error);
    file->is_copy = outputs->is_copy;
    outputs->n += !status;
    if (!was_held) release();
    return status ? NULL : file->file;
}

FILE *outputs_open_named(struct outputs *outputs, const char *name, const char *suffix,
                         struct sn_error *error)
{
    char path[4096];
    if (snprintf(path, sizeof path, "%s.%s", name, suffix) < (int)sizeof path)
        return outputs_open(outputs, path, error);
    sn_fail(error, SN_BAD_INPUT, "-o: a name of more than 4000 bytes");
    return NULL;
}

enum sn_status outputs_publish(struct outputs *outputs, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    is_held = 1;
    for (int i = 0; i < outputs->n && !status; i++)
        status = whole_file_close(&outputs->files[i], error);
    for (int i = 0; i < outputs->n && !status; i++)
        status = whole_file_publish(&outputs->files[i], error);
    outputs_discard(outputs);
    return status;
}

void outputs_discard(struct outputs *outputs)
{
    is_held = 1;
    for (int i = 0; i < outputs->n; i++) whole_file_discard(&outputs->files[i]);
    outputs->n = 0;
    end(outputs);
}
