/* Random numbers that repeat. Darknet draws with rand(), in training also from 32 threads at once
 * that load images, so that the order of the threads decides who gets which number. With
 * STRUCTNET_SEED in the environment each thread has a sequence of its own instead: srand() starts
 * that of the calling thread, and plug_random_begin() that of an image in a thread which loads it.
 * Without the variable everything is the C library's.
 *
 * The compiler's -Drand and -Dsrand bring Darknet's calls here. */
#ifndef PLUG_RANDOM_H
#define PLUG_RANDOM_H

#include <stdint.h>

/* 0 .. RAND_MAX */
int plug_rand(void);

/* With a seed in the environment, its own argument does not count: the k-th call starts the k-th
 * sequence of that seed. Ends the process with one line when the variable is no whole number. */
void plug_srand(unsigned seed);

/* Whether srand() has found a seed. */
int plug_random_is_seeded(void);

/* Starts the calling thread's sequence of an image: that of its place in a batch. */
void plug_random_begin(uint64_t batch, uint64_t place);

#endif
