/* What approx found: the types it tried, the one that is kept, and the dense matrix in int8 and in
 * float32 to compare with. */
#ifndef REPORT_H
#define REPORT_H

#include "approximation.h"

enum { REPORT_MAX_ROWS = 16 };

struct report {
    int is_choice; /* whether several types competed */
    int n;
    struct approximation rows[REPORT_MAX_ROWS];
    int chosen; /* among them */
    struct approximation int8;
    double dense_top1; /* NAN without labels */
};

/* On stdout. name is that of the files that were written, or NULL. */
void report_print_table(const struct report *report, const struct problem *problem,
                        const char *name);
void report_print_json(const struct report *report, const struct problem *problem);

/* Legal on a zeroed struct. */
void report_free(struct report *report);

#endif
