/* Text files of one thing a line, as people write them: lists of images, labels, .data files. */
#ifndef LINES_H
#define LINES_H

#include "sn_error.h"

/* The lines of a file, without byte order mark, line ends (LF or CRLF) and blanks behind. */
struct lines {
    char **line;
    int n;
};

enum { LINES_LONGEST = 16384 }; /* bytes of a line */

/* Reads path but for blank lines at its end; blank lines before others are empty. SN_IO when it
 * cannot be read, SN_BAD_INPUT when it has no lines, one that is too long, or a zero byte,
 * SN_NO_MEMORY; lines is empty then. */
enum sn_status lines_read(const char *path, struct lines *lines, struct sn_error *error);

/* The same for files in which the number of a line is the number of a thing: SN_BAD_INPUT when a
 * blank line stands before others. */
enum sn_status lines_read_full(const char *path, struct lines *lines, struct sn_error *error);

void lines_free(struct lines *lines);

#endif
