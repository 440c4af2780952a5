/* Windows: everything outside one rectangle of W is zero.
 *
 * A budget that holds little else is better spent on a part of W. Rank one for all of W takes m + n
 * values; a budget below that holds no low rank, and a little above it no second state. A window of
 * h x l takes h l values when it is dense and r (h + l) with rank r, and is SSS like any other
 * matrix: the stages around it have inputs or outputs alone, and no states.
 *
 * The budget leaves one choice free, since the width follows from the height. Heights from 1 to m
 * are tried in steps of a fifth, 37 of them for a thousand rows: windows next to each other
 * in height hold nearly the same entries, so that a finer grid gains little. Each is cheap. Of all
 * its positions the one with most energy is taken, which four entries of a summed-area table give
 * (Crow, Summed-area tables for texture mapping, SIGGRAPH 1984). Of a dense window that energy is
 * what it keeps, so one sweep for the best of them will do; what a rank keeps of a window only a
 * sweep tells, so each of these is measured. Cost: m n for each height, and the sweeps. */
#ifndef SSS_WINDOWS_H
#define SSS_WINDOWS_H

#include "sss_search.h"

/* Considers the windows that use up the budget: the dense one with most energy, and when a rank one
 * for all of W is too dear, one of low rank for each height. SN_NO_MEMORY, and what a sweep fails
 * with. */
enum sn_status sss_examine_windows(const struct sss_problem *problem, struct sss_found *found,
                                   struct sn_error *error);

#endif
