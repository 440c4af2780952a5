#include "starve.h"

#include "scarce_memory.h"

#include <criterion/criterion.h>
#include <string.h>

/* The call with the k-th block refused. expected is its outcome with memory. */
static void refuse(const char *name, scarce_call *call, const void *argument,
                   const struct outcome *expected, long k, int is_lasting)
{
    struct sn_error error = { 0 };
    int is_silent = !is_lasting && k % 2; /* Errors may go nowhere. */
    scarce_begin(k, is_lasting);
    struct outcome outcome = call(argument, is_silent ? NULL : &error);
    struct scarce_count count = scarce_end();
    cr_expect_eq(count.left, 0, "%s: block %ld: %ld blocks are left", name, k, count.left);
    cr_assert_gt(count.failed, 0, "%s: block %ld was not asked for", name, k);
    if (outcome.status == expected->status && count.failed == count.shrunk) {
        cr_expect_eq(outcome.digest, expected->digest, "%s: block %ld: another result", name, k);
        return;
    }
    cr_expect_eq(outcome.status, SN_NO_MEMORY, "%s: block %ld: status %d", name, k, outcome.status);
    cr_expect(outcome.is_empty, "%s: block %ld: something was made", name, k);
    if (is_silent) return;
    cr_expect_eq(error.code, SN_NO_MEMORY, "%s: block %ld: code %d", name, k, error.code);
    cr_expect(strstr(error.message, "out of memory"), "%s: block %ld: '%s'", name, k,
              error.message);
}

long starve(const char *name, scarce_call *call, const void *argument)
{
    struct sn_error error = { 0 };
    scarce_begin(SCARCE_NEVER, 0);
    struct outcome expected = call(argument, &error);
    struct scarce_count count = scarce_end();
    cr_assert(expected.status == SN_OK || expected.status == SN_BAD_INPUT, "%s: %s", name,
              error.message);
    cr_assert_eq(count.left, 0, "%s: %ld blocks are left", name, count.left);
    for (long k = scarce_next(0); k < count.asked; k = scarce_next(k + 1))
        for (int is_lasting = 0; is_lasting < 2; is_lasting++)
            refuse(name, call, argument, &expected, k, is_lasting);
    return count.asked;
}

/* FNV-1a, from the digest of what comes before. */
uint64_t digest(uint64_t before, const void *data, size_t n_bytes)
{
    const unsigned char *bytes = data;
    uint64_t hash = before ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < n_bytes; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

uint64_t digest_floats(const float *values, size_t n)
{
    return digest(0, values, n * sizeof *values);
}
