/* The rows of the table of structnet compress, and the classes that changed most. */
#ifndef COMPRESS_TABLE_H
#define COMPRESS_TABLE_H

#include "compress_report.h"

enum { COMPRESS_N_COLUMNS = 15 };

extern const struct compress_column {
    const char *name, *heading; /* in the table, and for people */
    double scale;               /* by which people see the value multiplied, */
    const char *format;         /* and its format for them */
} compress_columns[COMPRESS_N_COLUMNS];

/* A candidate, or the dense matrix of a layer. */
struct compress_row {
    const char *type, *why;
    double values[COMPRESS_N_COLUMNS]; /* NAN: an empty cell; that of the type is not used */
    int is_chosen;
};

/* Rows of the dense matrices come first. */
int compress_n_rows(const struct compress *compress);
struct compress_row compress_row_at(const struct compress *compress, int i);

/* The text of a cell, for people or as exact as it is known. */
void compress_print_cell(const struct compress_row *row, int column, int for_people, FILE *file);

/* Writes the numbers of at most n classes in which most test images changed between right and
 * wrong, the largest share of them first; how many. Classes that did not change are left out. */
int compress_changed_most(const struct compress_report *report, int n, int *classes);

void compress_table_write(const struct compress_report *report, FILE *table);

#endif
