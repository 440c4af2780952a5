/* The rows of a sweep, computed side by side. */
#ifndef SWEEP_WORKERS_H
#define SWEEP_WORKERS_H

#include "sweep_table.h"

enum { SWEEP_MAX_WORKERS = 64 };

/* Computes the rows that the table lacks, n_workers at a time, each in a process of its own, which
 * ends with this one. Ranks (ranks.h) take rows in turns, and rank 0 writes the table after each of
 * its own and each round. The rows do not depend on n_workers and ranks but for the times; those of
 * a product are measured while the other processes of the rank stand still. */
enum sn_status sweep_workers_run(struct sweep_table *table, int n_workers, struct sn_error *error);

#endif
