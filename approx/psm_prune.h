/* One sparse factor. Without a weighting it is W's largest entries, which is optimal. With one, min
 * ||(W - What) L||_F over matrices of k entries has no closed form: the entries that are left can
 * make up for those that go. Its pattern is found by ADMM: in the scaled columns W' = W D of
 * palm.h, with M' their moment and a penalty r that grows, Z = the k largest entries of T,    T <-
 * Z + (W' - Z + U) M' (M' + r I)^-1,    U = T_before - Z, times r_before / r, from T = W'. Then the
 * values are fitted to M by conjugate gradients. Sources: Boyd et al., Distributed optimization and
 * statistical learning via ADMM, Found. Trends Mach. Learn. 3(1), 2011, section 9.1; Boža, Fast and
 * effective weight update for pruned large language models, TMLR 2024, whose patterns are chosen in
 * other steps. */
#ifndef PSM_PRUNE_H
#define PSM_PRUNE_H

#include "psm_search.h"

/* The matrix of one factor within the budget. SN_BAD_INPUT when not one entry fits, SN_NO_MEMORY.
 * Scratch: two matrices of W's size, with a weighting four and half of M's. Cost with a weighting:
 * m n^2 multiply-adds for each of some forty steps. */
enum sn_status psm_prune(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error);

#endif
