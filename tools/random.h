/* Random numbers that are the same everywhere: splitmix64 (Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators", OOPSLA 2014). The state is one word, which the caller owns and
 * sets to the seed; any word will do. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stdint.h>

/* s += 0x9e3779b97f4a7c15; returns s mixed, uniform in 0..2^64-1. */
uint64_t random_next(uint64_t *state);

/* Puts n numbers into an order that the state decides (Fisher and Yates). */
void random_shuffle(int *numbers, int n, uint64_t *state);

#endif
