/* Output files that appear whole or not at all: written under a temporary name beside the target
 * (TARGET.tmpPID, of the file that a link leads to),
 * synchronised to the disk, then renamed. A link keeps being one: the file behind it is replaced. A
 * target that exists and is no file (a device, a pipe, a link to nothing), or a file that no folder
 * holds any more, is written directly. */
#ifndef WHOLE_FILE_H
#define WHOLE_FILE_H

#include "sn_error.h"

#include <stdio.h>

struct whole_file {
    FILE *file;
    char *path;
    char *temporary; /* NULL when path is written directly */
    /* Set after opening when what is written can be made again: the disk is not waited for. */
    int is_copy;
};

/* Opens the file for writing; the process ignores SIGXFSZ from then on. SN_IO when it cannot be
 * created, SN_BAD_INPUT when it is the standard output as a file; nothing is left then. */
enum sn_status whole_file_open(struct whole_file *out, const char *path, struct sn_error *error);

/* Flushes, synchronises unless is_copy, and closes; the target is still as it was. On failure the
 * temporary file is gone. */
enum sn_status whole_file_close(struct whole_file *out, struct sn_error *error);

/* Renames the closed file to its path. On failure the temporary file is gone. */
enum sn_status whole_file_publish(struct whole_file *out, struct sn_error *error);

/* Removes the temporary files whose paths begin with start and whose processes have ended. Cost: a
 * pass over the directory. */
void whole_file_clean(const char *start);

/* Removes what was written, at any stage before whole_file_publish. Legal on a zeroed struct. */
void whole_file_discard(struct whole_file *out);

#endif
