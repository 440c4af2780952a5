#include "plug_random.h"

#include "plug_errors.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

/* Set by the first srand() with a seed, before there are other threads. */
static int is_seeded;
static uint64_t own_seed;

static _Thread_local uint64_t state;

/* Splitmix64 of Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014. */
static uint64_t next_number(void)
{
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* What Darknet calls when nothing is asked of us. */
/* NOLINTNEXTLINE(cert-msc30-c, cert-msc50-cpp) */
int plug_rand(void) { return is_seeded ? (int)(next_number() >> 33) : rand(); }

static uint64_t read_seed(const char *text)
{
    struct sn_error error;
    char *end;
    errno = 0;
    uint64_t seed = strtoull(text, &end, 10);
    if (!errno && !*end && isdigit((unsigned char)*text)) return seed;
    sn_fail(&error, SN_BAD_INPUT, "STRUCTNET_SEED: expected a whole number from 0 on, found '%s'",
            text);
    sn_die(&error);
}

void plug_srand(unsigned seed)
{
    const char *text = getenv("STRUCTNET_SEED");
    if (text) {
        static uint64_t calls;
        is_seeded = 1;
        state = own_seed = read_seed(text);
        state = next_number() + ++calls;
    } else srand(seed);
}

int plug_random_is_seeded(void) { return is_seeded; }

void plug_random_begin(uint64_t batch, uint64_t place)
{
    state = ~own_seed;
    state = next_number() + batch;
    state = next_number() + place;
}
