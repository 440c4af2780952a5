/* A list of blocks of at least BLOCK_BYTES, filled one after the other. */
#include "arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 65536, ALIGNMENT = alignof(max_align_t) };

struct arena_block {
    struct arena_block *next;
    size_t n_bytes, used;
    alignas(max_align_t) unsigned char bytes[];
};

void *arena_alloc(struct arena *arena, size_t n_bytes)
{
    struct arena_block *block = arena->blocks;
    if (n_bytes > SIZE_MAX / 4) return NULL;
    n_bytes = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (!block || block->n_bytes - block->used < n_bytes) {
        size_t size = n_bytes > BLOCK_BYTES ? n_bytes : BLOCK_BYTES;
        block = calloc(1, sizeof *block + size);
        if (!block) return NULL;
        block->n_bytes = size;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    block->used += n_bytes;
    return block->bytes + block->used - n_bytes;
}

void *arena_grow(struct arena *arena, const void *old, size_t n_old, size_t n_new)
{
    void *grown = arena_alloc(arena, n_new);
    if (grown && n_old) memcpy(grown, old, n_old);
    return grown;
}

void arena_free(struct arena *arena)
{
    while (arena->blocks) {
        struct arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
