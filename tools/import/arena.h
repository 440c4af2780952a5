/* Memory that is released as a whole. */
#ifndef ARENA_H
#define ARENA_H

#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *blocks;
};

/* n_bytes of zeroed memory, aligned for any type, which lives until arena_free; NULL when there is
 * none. */
void *arena_alloc(struct arena *arena, size_t n_bytes);

/* A larger copy of old (n_old bytes; NULL when 0); old stays valid. */
void *arena_grow(struct arena *arena, const void *old, size_t n_old, size_t n_new);

void arena_free(struct arena *arena);

#endif
