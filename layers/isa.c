#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct sn_kernels plain = { "plain",       &psm_tile_plain,   &dense_plain,
                                         &sparse_plain, &dense_tile_plain, &pixel_plain };
#ifdef __x86_64__
static const struct sn_kernels avx2 = { "avx2",       &psm_tile_avx2,   &dense_avx2,
                                        &sparse_avx2, &dense_tile_avx2, &pixel_avx2 };
static const struct sn_kernels avx512 = { "avx512",       &psm_tile_avx512,   &dense_avx512,
                                          &sparse_avx512, &dense_tile_avx512, &pixel_avx512 };

static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static int has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
        && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
}
#endif

static const struct sn_kernels *choose(void)
{
#ifdef __x86_64__
    const char *forced = getenv("STRUCTNET_ISA");
    if (forced && !strcmp(forced, "plain")) return &plain;
    if (has_avx512() && !(forced && !strcmp(forced, "avx2"))) return &avx512;
    if (has_avx2()) return &avx2;
#endif
    return &plain;
}

int sn_rounds_inputs(void)
{
    const char *x8 = getenv("STRUCTNET_X8");
    return x8 && !strcmp(x8, "1");
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
