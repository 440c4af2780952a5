/* The approximations that approx makes, and the choice among them. */
#ifndef CANDIDATES_H
#define CANDIDATES_H

#include "report.h"

struct candidates {
    const struct sn_fit_type *type; /* NULL: all */
    enum target target;
    const int *bits; /* n_bits of them; each type is tried with each */
    int n_bits;
    /* Of every fit; the number of bits and the progress are replaced. With a target each fit is
     * made within the whole budget, half and a quarter of it. */
    struct sn_fit_options options;
};

/* Fills in all of report but is_choice, whose memory the caller frees with report_free, also after
 * a failure. Where there are several candidates, one for which the budget is too small is left out.
 * A fit that can no longer be the chosen one is forgotten at once. After a stop none begins.
 * SN_BAD_INPUT when none is left.
 */
enum sn_status candidates_run(const struct candidates *candidates, const struct problem *problem,
                              struct report *report, struct sn_error *error);

#endif
