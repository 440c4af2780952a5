#include "outputs.h"

#include <string.h>
#include <sys/stat.h>

void outputs_begin(struct outputs *outputs)
{
    sigset_t interrupts;
    *outputs = (struct outputs){ 0 };
    sigemptyset(&interrupts);
    sigaddset(&interrupts, SIGINT);
    sigaddset(&interrupts, SIGTERM);
    sigprocmask(SIG_BLOCK, &interrupts, &outputs->signals);
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

FILE *outputs_open(struct outputs *outputs, const char *path, const char *const *inputs,
                   struct sn_error *error)
{
    struct stat output, input;
    struct whole_file *file = &outputs->files[outputs->n];
    for (; *inputs; inputs++)
        if (!stat(path, &output) && !stat(*inputs, &input) && output.st_dev == input.st_dev
            && output.st_ino == input.st_ino) {
            sn_fail(error, SN_BAD_INPUT, "%s: is an input, expected another output", path);
            return NULL;
        }
    for (int i = 0; i < outputs->n; i++)
        if (is_same(&outputs->files[i], path)) {
            sn_fail(error, SN_BAD_INPUT, "%s: expected one output in a file, found two", path);
            return NULL;
        }
    if (whole_file_open(file, path, error)) return NULL;
    outputs->n++;
    return file->file;
}

enum sn_status outputs_publish(struct outputs *outputs, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int i = 0; i < outputs->n && !status; i++)
        status = whole_file_close(&outputs->files[i], error);
    for (int i = 0; i < outputs->n && !status; i++)
        status = whole_file_publish(&outputs->files[i], error);
    outputs_discard(outputs);
    return status;
}

void outputs_discard(struct outputs *outputs)
{
    for (int i = 0; i < outputs->n; i++) whole_file_discard(&outputs->files[i]);
    outputs->n = 0;
    sigprocmask(SIG_SETMASK, &outputs->signals, NULL);
}
