/* The processes of one training, its ranks: `mpirun -n N darknet classifier train ...` starts N of
 * them, each of which sees its share of every batch; those of `mpirun -n N structnet compress ...`
 * or sweep try one candidate each. Compiled with STRUCTNET_MPI they talk through MPI; without it,
 * or without mpirun, there is one rank, 0, and nothing here does anything.
 *
 * All but the first three are called by all ranks at the same place, from the main thread. When MPI
 * fails, or a process exits with a status other than 0, all ranks end. */
#ifndef RANKS_H
#define RANKS_H

#include <stddef.h>

/* Finds out how many there are; may be called again. */
void ranks_begin(void);

int ranks_count(void);
int ranks_own(void); /* 0 .. ranks_count()-1 */

/* Returns when all ranks are here. */
void ranks_wait(void);

/* Overwrites the bytes by those of rank `from`. */
void ranks_copy(void *bytes, size_t n, int from);

/* values[i] = the mean of values[i] over the ranks, the same on all of them. */
void ranks_average(float *values, size_t n);

/* The largest of the ranks' values, and their sum. */
int ranks_most(int value);
int ranks_sum(int value);

#endif
