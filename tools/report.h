/* What approx found: the approximations it made, the one that is kept, and the accuracy of the
 * dense matrix to compare with. */
#ifndef REPORT_H
#define REPORT_H

#include "approximation.h"

/* What the chosen one has least of: error, or, among those whose error is at most REPORT_TOLERANCE
 * times the least, bytes or multiply-adds. The error is struct approximation's choice. */
enum target { TARGET_ERROR, TARGET_BYTES, TARGET_MADDS };
#define REPORT_TOLERANCE 1.1

struct report {
    int is_choice; /* whether several competed */
    enum target target;
    int n;
    struct approximation *rows;
    int chosen;        /* among them */
    double dense_top1; /* NAN without labels */
};

/* On stdout. name is that of the files that were written, or NULL. */
void report_print_table(const struct report *report, const struct problem *problem,
                        const char *name);
void report_print_json(const struct report *report, const struct problem *problem);

/* Legal on a zeroed struct. */
void report_free(struct report *report);

#endif
