/* Files that are of this process' memory and never on a disk. */
#ifndef MEMORY_FILE_H
#define MEMORY_FILE_H

#include <stddef.h>

enum { N_MEMORY_FILES = 3 };

/* Makes file number i hold these bytes. The path, a constant, is that of a regular file:
 * "/proc/self/fd/200" for the first, and so on. */
const char *memory_file(int i, const void *data, size_t n_bytes);

#endif
