/* The segments of an SSS form: equal ones, those that an exact SSS matrix has, and equal ones whose
 * cuts are moved. A cut is a place (row, column) where one stage ends and the next begins. */
#ifndef SSS_SEGMENTS_H
#define SSS_SEGMENTS_H

#include "sss_search.h"

/* Examines equal stages, more and more of them. The search ends when the error has not come down
 * for a while, since it falls and then rises with the number of stages, apart from wiggles. The
 * best number is refined where it is a match for the other candidates. */
enum sn_status sss_search_stages(struct sss_search *search, struct sn_error *error);

/* Examines the segments of W when it is exactly SSS (sss_cuts.h). What counts as a rounding error
 * is tried: a low bound takes errors for structure, a high one misses structure in the small
 * entries of a matrix with large ones. */
enum sn_status sss_examine_exact(struct sss_search *search, struct sn_error *error);

/* Moves the cuts of the best plan that has any, unless it is far behind, or exact up to rounding.
 * Examining a plan takes a time of about (m n)^3/2; so many are examined that a matrix of a million
 * entries takes twice as long as the search for equal segments, and a small one no more than 120.
 */
enum sn_status sss_search_cuts(struct sss_search *search, struct sn_error *error);

#endif
