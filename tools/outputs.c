#include "outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const int interrupts[OUTPUTS_SIGNALS] = { SIGHUP, SIGINT, SIGTERM };

/* Handlers have no argument of their own, and a signal may be met by any thread of the process: so
 * that waiting is a matter of these, not of the mask of one thread. */
static struct outputs *volatile current;
static volatile sig_atomic_t is_held, waiting;

/* Whether anything of it has reached the disk. */
static int has_bytes(const struct whole_file *file)
{
    struct stat status;
    return !stat(file->temporary, &status) && status.st_size;
}

static void on_interrupt(int number)
{
    if (is_held) {
        waiting = number;
        return;
    }
    for (int i = 0; current && i < current->n; i++)
        if (current->files[i].temporary && !(current->is_part[i] && has_bytes(&current->files[i])))
            unlink(current->files[i].temporary);
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

/* Whether path is what was opened as file, by whatever link. */
static int is_same(const struct whole_file *file, const char *path)
{
    char *resolved = realpath(path, NULL);
    int same = !strcmp(file->path, path) || (resolved && !strcmp(file->path, resolved));
    free(resolved);
    return same;
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
    if (!status && file->temporary) whole_file_clean(file->path);
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

/* Puts the part in the place of the temporary file that was opened, and locks it. */
static enum sn_status take_part(struct whole_file *file, uint32_t key, struct sn_error *error)
{
    char *part;
    if (asprintf(&part, "%s.part-%08x", file->path, key) < 0)
        return sn_no_memory(error, "the name of a file");
    int descriptor = open(part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    FILE *opened = descriptor < 0 ? NULL : fdopen(descriptor, "r+b");
    if (!opened || flock(descriptor, LOCK_EX | LOCK_NB)) {
        sn_fail(error, SN_IO, "%s: cannot write: %s", part,
                opened && errno == EWOULDBLOCK ? "another process does" : strerror(errno));
        if (opened) fclose(opened);
        free(part);
        return SN_IO;
    }
    fclose(file->file);
    unlink(file->temporary);
    free(file->temporary);
    file->file = opened;
    file->temporary = part;
    return SN_OK;
}

FILE *outputs_resume_named(struct outputs *outputs, const char *name, const char *suffix,
                           uint32_t key, struct sn_error *error)
{
    if (!outputs_open_named(outputs, name, suffix, error)) return NULL;
    int i = outputs->n - 1, was_held = is_held;
    struct whole_file *file = &outputs->files[i];
    if (!file->temporary) return file->file;
    is_held = 1;
    enum sn_status status = take_part(file, key, error);
    outputs->is_part[i] = !status;
    if (!was_held) release();
    return status ? NULL : file->file;
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

/* Closes a part without removing it, unless it is empty. */
static void leave_part(struct whole_file *file)
{
    if (!file->temporary || !has_bytes(file)) return;
    free(file->temporary);
    file->temporary = NULL;
}

void outputs_discard(struct outputs *outputs)
{
    is_held = 1;
    for (int i = 0; i < outputs->n; i++) {
        if (outputs->is_part[i]) leave_part(&outputs->files[i]);
        whole_file_discard(&outputs->files[i]);
    }
    outputs->n = 0;
    end(outputs);
}
