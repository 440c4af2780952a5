#include "memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { FIRST_FILE = 200 };

const char *memory_file(int i, const void *data, size_t n_bytes)
{
    static char paths[N_MEMORY_FILES][32];
    int file = FIRST_FILE + i;
    if (!paths[i][0]) {
        int made = memfd_create("file", 0);
        if (made < 0 || dup2(made, file) < 0 || close(made)) abort();
        snprintf(paths[i], sizeof paths[i], "/proc/self/fd/%d", file);
    }
    if (ftruncate(file, 0) || pwrite(file, data, n_bytes, 0) != (ssize_t)n_bytes) abort();
    return paths[i];
}
