#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct sn_kernels plain = { &psm_tile_plain, &dense_plain, &sparse_plain,
                                         &dense_tile_plain };
#ifdef __x86_64__
static const struct sn_kernels avx2 = { &psm_tile_avx2, &dense_avx2, &sparse_avx2,
                                        &dense_tile_avx2 };
#endif

static const struct sn_kernels *choose(void)
{
#ifdef __x86_64__
    const char *forced = getenv("STRUCTNET_ISA");
    int is_plain = forced && !strcmp(forced, "plain");
    if (!is_plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2;
#endif
    return &plain;
}

const struct sn_kernels *sn_kernels(void)
{
    /* Threads that look it up at once find the same. */
    static _Atomic(const struct sn_kernels *) known;
    const struct sn_kernels *found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = choose();
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found;
}
