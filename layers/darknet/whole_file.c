#include "whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sn_status fail(struct whole_file *out, struct sn_error *error)
{
    sn_fail(error, SN_IO, "%s: cannot write: %s", out->path ? out->path : "file", strerror(errno));
    whole_file_discard(out);
    return SN_IO;
}

enum sn_status whole_file_open(struct whole_file *out, const char *path, struct sn_error *error)
{
    struct stat status;
    memset(out, 0, sizeof *out);
    int there = !stat(path, &status), dangling = !there && !lstat(path, &status);
    int direct = dangling || (there && !S_ISREG(status.st_mode));
    out->path = there && !direct ? realpath(path, NULL) : strdup(path);
    if (!out->path) return fail(out, error);
    if (!direct && asprintf(&out->temporary, "%s.tmp%ld", path, (long)getpid()) < 0) {
        out->temporary = NULL;
        return fail(out, error);
    }
    out->file = fopen(direct ? out->path : out->temporary, "wb");
    if (out->file) return SN_OK;
    free(out->temporary);
    out->temporary = NULL;
    return fail(out, error);
}

enum sn_status whole_file_close(struct whole_file *out, struct sn_error *error)
{
    FILE *file = out->file;
    int broken = fflush(file) || ferror(file)
        || (out->temporary && !out->is_copy && fsync(fileno(file)));
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
