/* What structnet compress tells about its search: a page and a table of the same figures. */
#ifndef COMPRESS_REPORT_H
#define COMPRESS_REPORT_H

#include "class_scores.h"
#include "compress.h"

struct compress_report {
    const struct compress *compress;
    char *command;                     /* the line that called for it; NULL: not known */
    struct compress_net net;           /* the chosen one */
    int n_steps;                       /* that were run, others having been there */
    struct class_scores dense, chosen; /* on the test images */
};

/* SN_IO when there is no gnuplot. */
enum sn_status compress_report_check(struct sn_error *error);

/* Writes the page, one file of HTML that needs no other, and the table: comments that begin with #,
 * the names of the columns, and a row for the dense matrix of each layer and for each candidate.
 * The page's pictures are drawn by gnuplot. SN_IO, SN_NO_MEMORY; the caller checks both files. */
enum sn_status compress_report_write(const struct compress_report *report, FILE *page, FILE *table,
                                     struct sn_error *error);

#endif
