/* The output files of one command, which appear together or not at all, and never in place of an
 * input. From begin to publish or discard an interrupt waits, so that it leaves no part behind. */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include <whole_file.h>

#include <signal.h>

enum { OUTPUTS_MAX = 4 };

struct outputs {
    int n;
    struct whole_file files[OUTPUTS_MAX];
    sigset_t signals; /* that were blocked before */
};

void outputs_begin(struct outputs *outputs);

/* Opens path for writing, which must not be one of the inputs (NULL at the end) nor opened before.
 * NULL and error when it cannot be had. The caller closes with outputs_publish or outputs_discard,
 * never the file itself. */
FILE *outputs_open(struct outputs *outputs, const char *path, const char *const *inputs,
                   struct sn_error *error);

/* Closes and renames all. On failure all that have not been renamed are gone. */
enum sn_status outputs_publish(struct outputs *outputs, struct sn_error *error);

/* Removes what was written. */
void outputs_discard(struct outputs *outputs);

#endif
