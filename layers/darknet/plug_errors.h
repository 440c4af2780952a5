/* How a program that contains Darknet ends on an error. */
#ifndef PLUG_ERRORS_H
#define PLUG_ERRORS_H

#include "sn_error.h"

extern const char *sn_program; /* opens every message: "darknet", "structnet approx" */

/* Called before sn_die prints, and before Darknet itself ends the process; NULL for none. */
extern void (*sn_before_error)(void);
extern void (*sn_before_exit)(void);

/* Where warnings go: stderr, also while Darknet's is caught (load_net.h). */
extern int sn_warning_file;

/* Prints "PROGRAM: warning: text". */
void sn_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints "PROGRAM: message" on stderr and exits with status 1. */
void sn_die(const struct sn_error *error) __attribute__((noreturn));

#endif
