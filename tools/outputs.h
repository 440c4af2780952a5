/* The output files of one command, which appear together or not at all, and never in place of an
 * input. One set of them is open at a time. Until it is published, whatever ends the process (an
 * interrupt, Darknet, sn_die) removes what was written, but for files to resume. */
#ifndef OUTPUTS_H
#define OUTPUTS_H

#include <whole_file.h>

#include <signal.h>
#include <stdint.h>

enum { OUTPUTS_MAX = 4, OUTPUTS_SIGNALS = 3 };

struct outputs {
    const char *const *inputs; /* paths, NULL at the end */
    int is_copy;               /* of all files, as in struct whole_file; may be set after begin */
    int n;
    struct whole_file files[OUTPUTS_MAX];
    int is_part[OUTPUTS_MAX]; /* the file stays, under its temporary name, when it is not published
                               */
    struct sigaction before[OUTPUTS_SIGNALS]; /* what interrupts did */
};

/* Whether files can be called NAME.suffix. */
int outputs_is_name(const char *name);

/* inputs are borrowed until the end. */
void outputs_begin(struct outputs *outputs, const char *const *inputs);

/* Lets interrupts wait until the end: for files that take moments, after work that took long. */
void outputs_hold(void);

/* Opens path for writing, which must be none of the inputs nor opened before, and removes what
 * processes that were killed left of it. NULL and error when
 * it cannot be had. The caller closes with outputs_publish or outputs_discard, never the file
 * itself. */
FILE *outputs_open(struct outputs *outputs, const char *path, struct sn_error *error);

/* The same for the path NAME.suffix. */
FILE *outputs_open_named(struct outputs *outputs, const char *name, const char *suffix,
                         struct sn_error *error);

/* The same for a file that takes long: NAME.suffix.part-KEY holds what is written, for as long as
 * NAME.suffix is not published, and is opened again by the same call, with the stream at its
 * beginning. An empty one goes. SN_IO when another process has it. */
FILE *outputs_resume_named(struct outputs *outputs, const char *name, const char *suffix,
                           uint32_t key, struct sn_error *error);

/* Closes and renames all. On failure all that have not been renamed are gone. */
enum sn_status outputs_publish(struct outputs *outputs, struct sn_error *error);

/* Removes what was written. */
void outputs_discard(struct outputs *outputs);

#endif
