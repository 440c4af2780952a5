/* SSS: sequentially semiseparable matrices. Inputs are cut into N segments u_k (widths n_k),
 * outputs into y_k (heights m_k); stage k = 0..N-1 computes
 *
 *     x_{k+1} = A_k x_k + B_k u_k                 y_k = C_k x_k + D_k u_k + G_k z_{k+1}
 *     z_k     = E_k z_{k+1} + F_k u_k             x_0 and z_N are empty
 *
 * with the causal state x_k and the anticausal state z_k living on boundary k, between stages k-1
 * and k. Any width, height or state size may be zero. Source: Dewilde and van der Veen,
 * Time-Varying Systems and Computations, 1998; Chandrasekaran et al., Some fast algorithms for
 * sequentially semiseparable representations, SIAM J. Matrix Anal. Appl. 27(2), 2005.
 *
 * Values in a .weights file: for k = 0..N-1 the blocks D, C, A, B, G, E, F, each row-major:
 *
 *     D m_k x n_k   C m_k x causal[k]   A causal[k+1] x causal[k]   B causal[k+1] x n_k
 *     G m_k x anticausal[k+1]   E anticausal[k] x anticausal[k+1]   F anticausal[k] x n_k
 *
 * Rows that share a scale when values have few bits (stored.h): for k = 0..N-1 those of [D C G],
 * then of [B A], then of [F E].
 *
 * With an order of the inputs, the outputs, or both, the matrix is What = P_out S P_in: the stages
 * take input input_order[j] as their j-th, and what they give as their i-th output is output
 * output_order[i]. The orders are the structure (stored.h), inputs first, as u16 when there are at
 * most 65,536 of them, else u32, each padded to 4 bytes. */
#ifndef SSS_H
#define SSS_H

#include "family.h"

#include <stdint.h>

enum sss_order {
    SSS_ORDER_NONE = 0,
    SSS_ORDER_INPUTS = 1,
    SSS_ORDER_OUTPUTS = 2,
    SSS_ORDER_BOTH = 3
};

struct sss {
    struct sn_matrix matrix;
    int n_stages;
    const int *inputs;      /* n_stages widths, sum n_inputs */
    const int *outputs;     /* n_stages heights, sum n_outputs */
    const int *causal;      /* n_stages+1 state sizes, first and last 0 */
    const int *anticausal;  /* n_stages+1, first and last 0 */
    size_t *values;         /* n_stages: where the blocks of a stage start in the values */
    size_t *states;         /* n_stages+1: where x_k starts among the states; z_k follows */
    enum sss_order order;   /* which of the two lists below there are; the others are NULL */
    uint32_t *input_order;  /* n_inputs, a permutation of 0..n_inputs-1 */
    uint32_t *output_order; /* n_outputs, likewise */
    size_t storage[];       /* of the eight lists */
};

extern const struct sn_family sss_family;

/* A shape with the given lists, which are copied: inputs[n_stages], outputs[n_stages], causal and
 * anticausal with the n_stages-1 sizes of the inner boundaries. NULL and error when n_stages < 1, a
 * size is negative, or the counts overflow an int (Darknet's limit). free() releases it. */
struct sss *sss_new(int n_stages, const int *inputs, const int *outputs, const int *causal,
                    const int *anticausal, struct sn_error *error);

/* The same with orders, which start as the identity. */
struct sss *sss_new_ordered(int n_stages, const int *inputs, const int *outputs, const int *causal,
                            const int *anticausal, enum sss_order order, struct sn_error *error);

/* Writes the orders behind the values and scales of words. */
void sss_pack(const struct sss *shape, float *words);

/* The words that the orders of a matrix of such a size take. */
size_t sss_order_words(int n_outputs, int n_inputs, enum sss_order order);

/* Positions of the blocks of one stage in the values, for writing them. */
struct sss_stage {
    float *d, *c, *a, *b, *g, *e, *f;
};
struct sss_stage sss_stage_at(const struct sss *shape, float *values, int stage);

#endif
