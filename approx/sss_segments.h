/* Segments: where W is cut into stages.
 *
 * A cut is a point (i, j) of W: rows before i and columns before j belong to earlier stages, the
 * others to later ones. It makes two Hankel blocks, W[i.., ..j-1] and W[..i-1, j..], which pass
 * through its states, and bounds the diagonal blocks on both sides, which are kept whole. More cuts
 * mean less in dense diagonal blocks and more states for the rest, so that with equal segments the
 * error falls and then rises with their number, apart from wiggles.
 *
 * Three kinds are tried. Equal segments, more and more of them, until the error has not come down
 * for a while. Those of W when it is SSS up to rounding (sss_cuts.h); what counts as rounding is
 * not known, so several bounds are tried: a low one takes errors for structure, a high one misses
 * structure in the small entries of a matrix with large ones. And unequal ones, by a local search
 * that starts from the best of these and merges, splits and shifts; a shift moves a row and a
 * column at once first, which takes a cut along the diagonal. The choice is this
 * project's. Source of segments that differ in size: Dewilde and van der Veen, Time-Varying Systems
 * and Computations, 1998. */
#ifndef SSS_SEGMENTS_H
#define SSS_SEGMENTS_H

#include "sss_search.h"

/* Equal stages, from the fewest whose diagonal blocks fit into the budget on; the best number is
 * refined where it is a match for the other candidates. Errors of all three: SN_NO_MEMORY, and what
 * a sweep fails with. */
enum sn_status sss_search_equal(const struct sss_problem *problem, struct sss_found *found,
                                struct sn_error *error);

/* The segments of W when it is exactly SSS. */
enum sn_status sss_examine_exact(const struct sss_problem *problem, struct sss_found *found,
                                 struct sn_error *error);

/* Moves the cuts of the best plan that has any, unless it is far behind, or exact up to rounding.
 * Examining a plan takes a time of about (m n)^3/2; so many are examined that a matrix of a million
 * entries takes twice as long as the search for equal segments, and a small one no more than 120;
 * ten times as many in a thorough search. */
enum sn_status sss_search_cuts(const struct sss_problem *problem, struct sss_found *found,
                               struct sn_error *error);

#endif
