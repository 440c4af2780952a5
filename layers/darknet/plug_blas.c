/* OpenBLAS chooses its kernels by the processor's model, and for a model that it does not know it
 * may take some of 2004 without a word, several times slower. A program whose kernels use older
 * instruction sets than the processor has therefore starts itself once more, with OPENBLAS_CORETYPE
 * set: OpenBLAS reads it before any code of the program runs. What the user set there stays. */
#include "plug_blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *plug_blas_core(void) { return openblas_get_corename(); }

#ifdef __x86_64__

enum instructions { SSE, AVX, AVX2, AVX512 };

/* What the kernels of a core use; those that are not listed are newer than the list. */
static enum instructions used_by(const char *core)
{
    static const struct {
        const char *core;
        enum instructions used;
    } cores[] = {
        { "Katmai", SSE },       { "Coppermine", SSE }, { "Northwood", SSE },
        { "Prescott", SSE },     { "Banias", SSE },     { "Atom", SSE },
        { "Core2", SSE },        { "Penryn", SSE },     { "Dunnington", SSE },
        { "Nehalem", SSE },      { "Athlon", SSE },     { "Opteron", SSE },
        { "Opteron_SSE3", SSE }, { "Barcelona", SSE },  { "Nano", SSE },
        { "Bobcat", SSE },       { "Unknown", SSE },    { "Sandybridge", AVX },
        { "Bulldozer", AVX },    { "Piledriver", AVX }, { "Steamroller", AVX },
        { "Excavator", AVX2 },   { "Haswell", AVX2 },   { "Zen", AVX2 },
    };
    for (size_t i = 0; i < sizeof cores / sizeof *cores; i++)
        if (!strcmp(cores[i].core, core)) return cores[i].used;
    return AVX512;
}

/* What processor and system offer. */
static enum instructions offered(void)
{
    if (__builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
        && __builtin_cpu_supports("avx512dq"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AVX2;
    return __builtin_cpu_supports("avx") ? AVX : SSE;
}

/* glibc hands a constructor what it hands main. Where the program cannot start again, it goes on
 * with the kernels it has. */
__attribute__((constructor)) static void start_with_core(int argc, char **argv)
{
    static const char *const best[] = {
        [AVX] = "Sandybridge", [AVX2] = "Haswell", [AVX512] = "SkylakeX"
    };
    __builtin_cpu_init();
    enum instructions most = offered();
    if (argc < 1 || getenv("OPENBLAS_CORETYPE") || used_by(plug_blas_core()) >= most) return;
    const char *core = most == AVX2 && __builtin_cpu_is("amd") ? "Zen" : best[most];
    if (!setenv("OPENBLAS_CORETYPE", core, 1)) execv("/proc/self/exe", argv);
}

#endif
