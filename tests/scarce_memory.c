#include "scarce_memory.h"

#include <errno.h>
#include <execinfo.h>
#include <lapacke.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
char *__real_strdup(const char *text);
char *__real_realpath(const char *path, char *resolved);
lapack_int __real_LAPACKE_dsyevr(int layout, char job, char range, char triangle, lapack_int n,
                                 double *a, lapack_int lda, double vl, double vu, lapack_int il,
                                 lapack_int iu, double abstol, lapack_int *m, double *w, double *z,
                                 lapack_int ldz, lapack_int *isuppz);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);
char *__wrap_strdup(const char *text);
char *__wrap_realpath(const char *path, char *resolved);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
lapack_int __wrap_LAPACKE_dsyevr(int layout, char job, char range, char triangle, lapack_int n,
                                 double *a, lapack_int lda, double vl, double vu, lapack_int il,
                                 lapack_int iu, double abstol, lapack_int *m, double *w, double *z,
                                 lapack_int ldz, lapack_int *isuppz);

enum { MOST_BLOCKS = 1 << 14, MOST_ASKED = 1 << 16, N_CHAINS = 1 << 20, MOST_CALLS = 64 };

static struct {
    int is_on, is_lasting;
    long first;
    struct scarce_count count;
    struct {
        void *start;
        size_t size;
    } blocks[MOST_BLOCKS]; /* count.left of them */
} scarce;

/* The blocks of the last time without refusals, by number, and the chains of calls, by a hash. */
static struct {
    long asked;
    char is_new[MOST_ASKED];
    unsigned char uses[N_CHAINS];
} seen;

void scarce_begin(long first, int is_lasting)
{
    scarce.count = (struct scarce_count){ 0 };
    scarce.first = first;
    scarce.is_lasting = is_lasting;
    if (first < 0) memset(&seen, 0, sizeof seen);
    scarce.is_on = 1;
}

struct scarce_count scarce_end(void)
{
    scarce.is_on = 0;
    return scarce.count;
}

void scarce_release(void)
{
    scarce.is_on = 0;
    while (scarce.count.left) __real_free(scarce.blocks[--scarce.count.left].start);
}

long scarce_next(long k)
{
    while (k < seen.asked && !seen.is_new[k]) k++;
    return k;
}

static void see(void)
{
    void *calls[MOST_CALLS];
    uint64_t hash = 0;
    int n = backtrace(calls, MOST_CALLS);
    for (int i = 0; i < n; i++) hash = (hash ^ (uintptr_t)calls[i]) * 0x9e3779b97f4a7c15u;
    unsigned char *uses = &seen.uses[(hash >> 32) % N_CHAINS];
    if (seen.asked == MOST_ASKED) abort();
    seen.is_new[seen.asked++] = *uses < 2;
    *uses += *uses < 2;
}

/* Whether the block that is asked for now is to be had. */
static int is_granted(void)
{
    if (!scarce.is_on) return 1;
    long number = scarce.count.asked++;
    if (scarce.first < 0) see();
    if (scarce.first < 0 || number < scarce.first) return 1;
    if (number > scarce.first && !scarce.is_lasting) return 1;
    scarce.count.failed++;
    errno = ENOMEM;
    return 0;
}

static void *note(void *block, size_t size)
{
    if (!scarce.is_on || !block) return block;
    if (scarce.count.left == MOST_BLOCKS) abort();
    scarce.blocks[scarce.count.left].start = block;
    scarce.blocks[scarce.count.left++].size = size;
    return block;
}

/* The place of a block among those given; -1 for one that was there before, or is a library's. */
static long find(const void *block)
{
    long i = scarce.is_on ? scarce.count.left - 1 : -1;
    while (i >= 0 && scarce.blocks[i].start != block) i--;
    return i;
}

static void forget(long i)
{
    if (i >= 0) scarce.blocks[i] = scarce.blocks[--scarce.count.left];
}

void *__wrap_malloc(size_t size) { return is_granted() ? note(__real_malloc(size), size) : NULL; }

void *__wrap_calloc(size_t count, size_t size)
{
    return is_granted() ? note(__real_calloc(count, size), count * size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return is_granted() ? note(__real_aligned_alloc(alignment, size), size) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    long i = find(block);
    if (!is_granted()) {
        scarce.count.shrunk += i >= 0 && size <= scarce.blocks[i].size;
        return NULL;
    }
    forget(i);
    return note(__real_realloc(block, size), size);
}

void __wrap_free(void *block)
{
    forget(find(block));
    __real_free(block);
}

char *__wrap_strdup(const char *text)
{
    return is_granted() ? note(__real_strdup(text), strlen(text) + 1) : NULL;
}

char *__wrap_realpath(const char *path, char *resolved)
{
    if (resolved) return __real_realpath(path, resolved);
    return is_granted() ? note(__real_realpath(path, NULL), 0) : NULL;
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list arguments;
    if (!is_granted()) return -1;
    va_start(arguments, format);
    int length = vasprintf(text, format, arguments);
    va_end(arguments);
    if (length >= 0) note(*text, (size_t)length + 1);
    return length;
}

lapack_int __wrap_LAPACKE_dsyevr(int layout, char job, char range, char triangle, lapack_int n,
                                 double *a, lapack_int lda, double vl, double vu, lapack_int il,
                                 lapack_int iu, double abstol, lapack_int *m, double *w, double *z,
                                 lapack_int ldz, lapack_int *isuppz)
{
    return is_granted() ? __real_LAPACKE_dsyevr(layout, job, range, triangle, n, a, lda, vl, vu, il,
                                                iu, abstol, m, w, z, ldz, isuppz)
                        : LAPACK_WORK_MEMORY_ERROR;
}
