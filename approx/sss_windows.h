/* Windows: SSS forms in which everything outside one rectangle of W is zero. A budget below that of
 * rank one holds no segmentation of all of W that pays, and what it buys most with is the rectangle
 * of most energy. */
#ifndef SSS_WINDOWS_H
#define SSS_WINDOWS_H

#include "sss_search.h"

/* Considers the windows that use up the budget, with heights from 1 to m in steps of a fifth, which
 * come close enough to the best height: the dense one with most energy, and when a rank one for all
 * of W is too dear, one of low rank for each height. Cost: O(m n) for each height. */
enum sn_status sss_examine_windows(struct sss_search *search, struct sn_error *error);

#endif
