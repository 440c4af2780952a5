/* Calls without memory: the blocks that a function asks for are refused, each by itself and each
 * with all that follow (scarce_memory.h). */
#ifndef STARVE_H
#define STARVE_H

#include <sn_error.h>

#include <stdint.h>

/* What a call came to. */
struct outcome {
    enum sn_status status;
    int is_empty;    /* after a failure: whether nothing was made or changed */
    uint64_t digest; /* after a success: of what was made */
};

/* A call with the argument of its test. It frees what it made. */
typedef struct outcome scarce_call(const void *argument, struct sn_error *error);

/* Makes the call with every block refused that is worth it: it must not crash, must give back what
 * it took, say "out of memory" in its status and its message, and make nothing. It may go on only
 * where it could not make a block smaller; the result is the usual one then. name opens what fails.
 * Returns how many blocks the call asks for when it gets them all. */
long starve(const char *name, scarce_call *call, const void *argument);

/* FNV-1a, from the digest of what comes before. */
uint64_t digest(uint64_t before, const void *data, size_t n_bytes);
uint64_t digest_floats(const float *values, size_t n);

#endif
