#include "isa.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static enum sn_isa choose(void)
{
#ifdef __x86_64__
    const char *forced = getenv("STRUCTNET_ISA");
    int is_plain = forced && !strcmp(forced, "plain");
    if (!is_plain && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return SN_ISA_AVX2;
#endif
    return SN_ISA_PLAIN;
}

enum sn_isa sn_isa(void)
{
    static atomic_int known; /* 1 more than the set; threads that look it up at once agree. */
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = 1 + (int)choose();
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return (enum sn_isa)(found - 1);
}
