/* OpenBLAS chooses its kernels by the processor's model, and for a model that it does not know it
 * may take some of 2004 without a word, several times slower. A program whose kernels use older
 * instruction sets than the processor has therefore starts itself once more, with OPENBLAS_CORETYPE
 * set: OpenBLAS reads it before any code of the program runs. What the user set there stays. */
#include "plug_blas.h"

#include <cblas.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

const char *plug_blas_core(void) { return openblas_get_corename(); }

/* ---- Room for OpenBLAS
 *
 * OpenBLAS takes a buffer for each thread that multiplies. Where it cannot have one (the address
 * space is limited: ulimit -v) it tries for ever, and one that it takes as the program is loaded
 * ends in a signal. So before it is loaded its threads become as many as there is room for, and
 * then all buffers are taken at once. */

enum {
    BUFFER = 32 << 22, /* bytes, on the processors with the largest ones */
    STACK = 8 << 20,   /* of a thread, and what else it takes */
};

/* OpenBLAS's own, in no header. */
void *blas_memory_alloc(int position) __attribute__((weak));
void blas_memory_free(void *buffer) __attribute__((weak));

static int is_limited(void)
{
    struct rlimit space, data;
    return !getrlimit(RLIMIT_AS, &space) && !getrlimit(RLIMIT_DATA, &data)
        && (space.rlim_cur != RLIM_INFINITY || data.rlim_cur != RLIM_INFINITY);
}

static int is_room_for(size_t n_bytes)
{
    void *room = mmap(NULL, n_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return room != MAP_FAILED && !munmap(room, n_bytes);
}

/* As OpenBLAS counts them: those that the user asks for, up to a thread for each core. */
static int threads_asked_for(void)
{
    static const char *const names[] = { "OPENBLAS_NUM_THREADS", "GOTO_NUM_THREADS",
                                         "OMP_NUM_THREADS" };
    cpu_set_t cores;
    int n = sched_getaffinity(0, sizeof cores, &cores) ? 1 : CPU_COUNT(&cores);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *text = getenv(names[i]);
        long asked = text ? strtol(text, NULL, 10) : 0;
        if (asked > 0) return asked < n ? (int)asked : n;
    }
    return n;
}

/* The C library has no environment yet, and will take the one of before: the program starts again
 * with another. */
static void limit_threads(int argc, char **argv, char **environment)
{
    environ = environment;
    int asked = is_limited() ? threads_asked_for() : 0, n = asked;
    char text[16];
    while (n > 0 && !is_room_for((size_t)n * (BUFFER + STACK) + STACK)) n--;
    if (n == asked) return;
    snprintf(text, sizeof text, "%d", n);
    if (n > 0 && !setenv("OPENBLAS_NUM_THREADS", text, 1)) execv("/proc/self/exe", argv);
    const char *path = argc > 0 ? *argv : "", *slash = strrchr(path, '/');
    dprintf(STDERR_FILENO, "%s: cannot take %d bytes of memory for OpenBLAS: %s (ulimit -v)\n",
            slash ? slash + 1 : path, BUFFER + 2 * STACK, strerror(ENOMEM));
    _exit(1);
}

/* Runs before what libraries do as they are loaded. */
typedef void start_function(int argc, char **argv, char **environment);
__attribute__((section(".preinit_array"),
               used)) static start_function *const before_libraries = limit_threads;

__attribute__((constructor)) static void take_buffers(void)
{
    enum { MOST = 64 }; /* OpenBLAS keeps no more */
    void *buffers[MOST];
    int n = blas_memory_alloc && blas_memory_free && is_limited() ? threads_asked_for() : 0;
    if (n > MOST) n = MOST;
    for (int i = 0; i < n; i++) buffers[i] = blas_memory_alloc(0);
    for (int i = 0; i < n; i++) blas_memory_free(buffers[i]);
}

/* ---- Its kernels */

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
