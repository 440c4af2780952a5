/* The rows of a sweep, computed side by side. */
#ifndef SWEEP_WORKERS_H
#define SWEEP_WORKERS_H

#include "sweep_table.h"

enum { SWEEP_MAX_WORKERS = 64 };

/* Computes the rows that the table lacks, n_workers at a time, each in a process of its own, which
 * ends with this one. The table is written after each. The rows do not depend on n_workers but for
 * the times; those of a product are measured while the other processes stand still. */
enum sn_status sweep_workers_run(struct sweep_table *table, int n_workers, struct sn_error *error);

#endif
