#include "ranks.h"

#ifdef STRUCTNET_MPI
#include <limits.h>
#include <mpi.h>
#include <stdlib.h>

static int count = 1, own;

/* As the process ends; the others would wait for one that fails. */
static void end(int status, void *unused)
{
    (void)unused;
    if (status) MPI_Abort(MPI_COMM_WORLD, status);
    else MPI_Finalize();
}

/* The starters of Open MPI and of MPICH say so in the environment. */
void ranks_begin(void)
{
    int is_begun, provided;
    if (!getenv("OMPI_COMM_WORLD_SIZE") && !getenv("PMI_SIZE")) return;
    MPI_Initialized(&is_begun);
    if (is_begun) return;
    MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_size(MPI_COMM_WORLD, &count);
    MPI_Comm_rank(MPI_COMM_WORLD, &own);
    on_exit(end, NULL);
}

int ranks_count(void) { return count; }

int ranks_own(void) { return own; }

void ranks_wait(void)
{
    if (count > 1) MPI_Barrier(MPI_COMM_WORLD);
}

/* The next part of n for MPI, which counts in int. */
static int part_of(size_t n) { return n < INT_MAX ? (int)n : INT_MAX; }

void ranks_copy(void *bytes, size_t n, int from)
{
    char *at = bytes;
    for (int part; count > 1 && n; at += part, n -= (size_t)part) {
        part = part_of(n);
        MPI_Bcast(at, part, MPI_BYTE, from, MPI_COMM_WORLD);
    }
}

void ranks_average(float *values, size_t n)
{
    for (int part; count > 1 && n; values += part, n -= (size_t)part) {
        part = part_of(n);
        MPI_Allreduce(MPI_IN_PLACE, values, part, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        for (int i = 0; i < part; i++) values[i] /= (float)count;
    }
}

int ranks_most(int value)
{
    if (count > 1) MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
    return value;
}

int ranks_sum(int value)
{
    if (count > 1) MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    return value;
}

#else

void ranks_begin(void) {}

int ranks_count(void) { return 1; }

int ranks_own(void) { return 0; }

void ranks_wait(void) {}

void ranks_copy(void *bytes, size_t n, int from) { (void)bytes, (void)n, (void)from; }

void ranks_average(float *values, size_t n) { (void)values, (void)n; }

int ranks_most(int value) { return value; }

int ranks_sum(int value) { return value; }

#endif
