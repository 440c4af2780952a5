/* The images that a command looks at without their classes. */
#ifndef IMAGE_LIST_H
#define IMAGE_LIST_H

#include <lines.h>

/* Reads the lines of a file, or the train list of a .data file, and keeps n of them, spread evenly;
 * 0 keeps all. SN_BAD_INPUT, SN_IO, SN_NO_MEMORY. The caller frees with lines_free. */
enum sn_status image_list_read(const char *path, int n, struct lines *images,
                               struct sn_error *error);

#endif
