/* SSS forms of a matrix whose rows and columns stand in an order of our own. A classifier's have no
 * order that means anything, so that one is looked for (sss_order.h) and stored with the matrix. */
#ifndef SSS_REORDER_H
#define SSS_REORDER_H

#include "sss_search.h"

/* The search for segments once more, on the matrix in an order of our own, which counts as bytes.
 * The orders are improved for the plan that the first one favours, and that again by the segments
 * that suit the new orders. *best is replaced where that is better. scaled holds original->view->w
 * where that is not the caller's, and is overwritten. */
enum sn_status sss_fit_ordered(struct sss_search *original, float *scaled, struct sn_fit *best,
                               struct sn_error *error);

#endif
