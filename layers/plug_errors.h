/* How a program that contains Darknet ends on an error. */
#ifndef PLUG_ERRORS_H
#define PLUG_ERRORS_H

#include "sn_error.h"

extern const char *sn_program;         /* opens every message: "darknet", "structnet approx" */
extern void (*sn_before_exit)(void);   /* called before the process ends on an error; NULL for none */

/* Prints "PROGRAM: message" on stderr and exits with status 1. */
void sn_die(const struct sn_error *error) __attribute__((noreturn));

#endif
