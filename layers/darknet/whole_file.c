#include "whole_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sn_status fail(struct whole_file *out, struct sn_error *error)
{
    sn_fail(error, SN_IO, "%s: cannot write: %s", out->path ? out->path : "file", strerror(errno));
    whole_file_discard(out);
    return SN_IO;
}

/* Whether NAME is START...tmpN with a process N that has ended on this machine. */
static int is_abandoned(const char *name, const char *start)
{
    const char *at = strstr(name, ".tmp"), *next;
    while (at && (next = strstr(at + 1, ".tmp"))) at = next;
    char *end = NULL;
    long number = at ? strtol(at + strlen(".tmp"), &end, 10) : 0;
    return number > 0 && number <= INT_MAX && !*end && !strncmp(name, start, strlen(start))
        && kill((pid_t)number, 0) && errno == ESRCH;
}

/* Removes it unless a process of another machine still holds its lock. */
static void remove_abandoned(int directory, const char *name)
{
    int file = openat(directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return;
    if (!flock(file, LOCK_EX | LOCK_NB)) unlinkat(directory, name, 0);
    close(file);
}

void whole_file_clean(const char *start)
{
    const char *slash = strrchr(start, '/'), *name = slash ? slash + 1 : start;
    char *directory = slash ? strndup(start, (size_t)(name - start)) : strdup(".");
    DIR *entries = directory ? opendir(directory) : NULL;
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (is_abandoned(entry->d_name, name)) remove_abandoned(dirfd(entries), entry->d_name);
    if (entries) closedir(entries);
    free(directory);
}

/* What the program prints would stand in the same file, in its place or behind it. */
static int is_standard_output(const struct stat *status)
{
    struct stat output;
    return !fstat(STDOUT_FILENO, &output) && output.st_dev == status->st_dev
        && output.st_ino == status->st_ino;
}

enum sn_status whole_file_open(struct whole_file *out, const char *path, struct sn_error *error)
{
    struct stat status;
    memset(out, 0, sizeof *out);
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the file size limit then fails, and is reported. */
    int there = !stat(path, &status), dangling = !there && !lstat(path, &status);
    int direct = dangling || (there && (!S_ISREG(status.st_mode) || !status.st_nlink));
    if (there && !direct && is_standard_output(&status))
        return sn_fail(error, SN_BAD_INPUT, "%s: is the standard output, expected another file",
                       path);
    out->path = there && !direct ? realpath(path, NULL) : strdup(path);
    if (!out->path) return fail(out, error);
    if (!direct && asprintf(&out->temporary, "%s.tmp%ld", out->path, (long)getpid()) < 0) {
        out->temporary = NULL;
        return fail(out, error);
    }
    out->file = fopen(direct ? out->path : out->temporary, "wb");
    if (out->file && !direct) flock(fileno(out->file), LOCK_EX | LOCK_NB);
    if (out->file) return SN_OK;
    free(out->temporary);
    out->temporary = NULL;
    return fail(out, error);
}

/* Whether a write has failed, now or before, with errno saying why. What it was before is lost: one
 * byte more meets the same. */
static int has_failed(FILE *file)
{
    errno = 0;
    int failed = ferror(file);
    if (failed) fputc(0, file);
    failed |= !!fflush(file);
    if (failed && !errno) errno = EIO;
    return failed;
}

enum sn_status whole_file_close(struct whole_file *out, struct sn_error *error)
{
    FILE *file = out->file;
    int broken = has_failed(file) || (out->temporary && !out->is_copy && fsync(fileno(file)));
    int reason = errno;
    out->file = NULL;
    if (fclose(file) && !broken) broken = 1, reason = errno;
    errno = reason;
    return broken ? fail(out, error) : SN_OK;
}

enum sn_status whole_file_publish(struct whole_file *out, struct sn_error *error)
{
    if (out->temporary && rename(out->temporary, out->path)) return fail(out, error);
    free(out->temporary);
    free(out->path);
    memset(out, 0, sizeof *out);
    return SN_OK;
}

void whole_file_discard(struct whole_file *out)
{
    if (out->file) fclose(out->file);
    if (out->temporary) unlink(out->temporary);
    free(out->temporary);
    free(out->path);
    memset(out, 0, sizeof *out);
}
