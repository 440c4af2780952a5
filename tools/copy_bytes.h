#ifndef COPY_BYTES_H
#define COPY_BYTES_H

#include <sn_error.h>

#include <stddef.h>
#include <stdio.h>

/* Copies the next n bytes of in, whose path is for messages, to out. SN_IO when in has fewer; what
 * happens to out stays in ferror(out). */
enum sn_status copy_bytes(FILE *in, FILE *out, size_t n, const char *path, struct sn_error *error);

/* Copies all of the file at path to out, likewise. */
enum sn_status copy_file(const char *path, FILE *out, struct sn_error *error);

#endif
