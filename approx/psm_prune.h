/* W ~ S_1, one sparse factor. Without a weighting it is W's largest entries, which is optimal. With
 * one, min ||(W - What) L||_F over matrices of k entries has no closed form: the entries that are
 * left can make up for those that go. Its pattern is found by ADMM (psm_admm.h): in the scaled
 * columns W' = W D, with M' their moment and a penalty r that grows,
 *
 *     Z = the k largest entries of T,
 *     T <- Z + (W' - Z + U) M' (M' + r I)^-1,    U = T_before - Z, times r_before / r,
 *
 * from T = W'. The largest entries of the last T are the pattern. Then the values on it are fitted
 * to the whole of M by conjugate gradients (psm_cgls.h), since T is scaled by D only and still
 * holds what ADMM added up.
 *
 * Source: Boža, Fast and effective weight update for pruned large language models, TMLR 2024; its
 * patterns are chosen in other steps. */
#ifndef PSM_PRUNE_H
#define PSM_PRUNE_H

#include "psm_search.h"

/* The matrix of one factor within the budget. SN_BAD_INPUT when not one entry fits, SN_NO_MEMORY.
 * Scratch: two matrices of W's size, with a weighting four and half of M's. Cost with a weighting:
 * m n^2 multiply-adds for each of some forty steps. */
enum sn_status psm_prune(const struct psm_search *search, struct sn_fit *fit,
                         struct sn_error *error);

#endif
