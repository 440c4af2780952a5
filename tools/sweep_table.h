/* The table of a sweep, NAME.tsv: comments that say where and how it was made, the names of the
 * columns, and a row for each cell that is known, in the order of the cells. A table that is there
 * already is taken over when its fingerprint says that the same sweep began it. */
#ifndef SWEEP_TABLE_H
#define SWEEP_TABLE_H

#include "approximation.h"

enum { SWEEP_MAX_CELLS = 4096, SWEEP_MAX_ROW = 1200 };

/* The columns that plots show, counted from 1. */
enum { SWEEP_BYTES = 4, SWEEP_MADDS, SWEEP_ERROR, SWEEP_OUTPUT_ERROR, SWEEP_TOP1, SWEEP_US = 10 };

struct sweep_cell {
    const struct sn_fit_type *type;
    int bits;
    double share; /* the budget; 0 with a type that has none */
    char key[64]; /* its first three columns, by which a row that was read is found */
    char *row;    /* with its newline, free(); NULL until it is known */
};

struct sweep_table {
    const struct problem *problem;
    const char *command;  /* the line that called for it */
    uint32_t fingerprint; /* of sweep_table_fingerprint */
    char path[4096];
    int n;
    struct sweep_cell cells[SWEEP_MAX_CELLS];
};

/* CRC-32 of all that rows depend on: the problem as it was read and split, its request, its
 * numbers of bits, and the lists of types and shares as they were given. */
uint32_t sweep_table_fingerprint(const struct problem *problem, const char *types,
                                 const char *shares);

/* Adds a cell without a row. */
void sweep_table_add(struct sweep_table *table, const struct sn_fit_type *type, int bits,
                     double share);

/* Takes over the rows of the file. SN_BAD_INPUT when it is not a table of this sweep; no file is no
 * failure. */
enum sn_status sweep_table_resume(struct sweep_table *table, struct sn_error *error);

/* How many rows are known. */
int sweep_table_n_known(const struct sweep_table *table);

/* Writes the file anew, with all rows that are known. */
enum sn_status sweep_table_write(const struct sweep_table *table, struct sn_error *error);

void sweep_table_free(struct sweep_table *table);

/* The row of a cell: us are the microseconds of a product. A number that is NAN leaves its column
 * empty, and so do all of them without an approximation, NULL. */
void sweep_table_print_row(const struct sweep_cell *cell, const struct approximation *a, double us,
                           char row[SWEEP_MAX_ROW]);

#endif
