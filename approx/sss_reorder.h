/* The search once more, on the matrix with its rows and columns in an order of our own.
 *
 * An SSS matrix takes what is near in order to be related. The outputs and inputs of a classifier
 * have no such order, so that one which puts related ones side by side lets fewer states do. It is
 * stored with the values and counts as bytes, which is little: an index each for row and column.
 *
 * Orders are found for segments and segments for orders, in turn: a spectral order to start with,
 * the equal segments that suit it, then columns and rows by turns assigned anew to the stages of
 * that plan as long as one of the two gains (sss_order.h has both, with sources). Only the plan
 * that comes out is refined. The choice is this project's. */
#ifndef SSS_REORDER_H
#define SSS_REORDER_H

#include "sss_search.h"

/* Offers the best reordered approximation to found. scaled holds problem->w where that is not the
 * caller's matrix, and is overwritten. SN_NO_MEMORY, and what a sweep fails with. */
enum sn_status sss_fit_reordered(const struct sss_problem *problem, float *scaled,
                                 struct sss_found *found, struct sn_error *error);

#endif
