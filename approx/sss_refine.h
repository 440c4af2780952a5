/* Refinement of an SSS approximation by alternating least squares:
 *
 *     min ||(W - What) L||_F^2,    L L^T = M (struct sn_weighting), or M = I,
 *
 * over the values, at given segments and state sizes. All values at once make a problem that is not
 * convex, since they are multiplied with each other; those of one stage, [D C; B A] or [D G; F E],
 * enter What linearly and can be solved for. So one stage after the other is, in both directions.
 * With x_k = R_k u (R_k has the columns of earlier stages) and the later outputs O_{k+1} x_{k+1},
 * What changes by
 *
 *     [I 0; 0 O_{k+1}] dK Q,    K = [D C; B A],    Q = [I_k; R_k],
 *
 * I_k the stage's rows of the unit matrix. When O_{k+1} has orthonormal columns, the best change is
 *
 *     dK = [I 0; 0 O_{k+1}]^T (W - What) M Q^T (Q M Q^T)^-1,
 *
 * so that no step raises the error, up to rounding. A pass from the last stage to the first makes
 * the O orthonormal by QR and forms O_k^T (W - What) M; a pass from the first to the last changes
 * the stages, and carries forward what the changes so far have done to those products, because
 * O_k^T O_k = I, as a change of the states. The best rank-r matrix in two stages is a fixed point.
 *
 * Source: Holtz, Rohwedder and Schneider, The alternating linear scheme for tensor optimization in
 * the tensor train format, SIAM J. Sci. Comput. 34(2), 2012; SSS matrices with their gauge freedom
 * are such chains. The treatment of M is this project's. */
#ifndef SSS_REFINE_H
#define SSS_REFINE_H

#include "sss.h"
#include "weighting.h"

#include <signal.h>

/* At most rounds rounds of both directions on words (shape's values, changed in place) towards w
 * (n_outputs x n_inputs, borrowed); fewer when one takes less than a thousandth off the error, or
 * *stop (may be NULL) is set. A round that does not lower the error is undone. A direction stays as
 * it is when one of its states exceeds what the stages on a side of it can carry, and both do when
 * the scratch would exceed 5 copies of W, 2 with a weighting (and 4 MiB), as for stages of nearly
 * W's size. SN_NO_MEMORY is the only failure; words stay valid. Cost of a round: about 8 sum (m_k +
 * s_k) (n_k + s_k) n multiply-adds, and 2 m n^2 with a weighting. Memory: 2 copies of W, Gamma, and
 * 2 (4 with a weighting) times the widest stage and its states, as rows of n. */
enum sn_status sss_refine(const struct sss *shape, float *words, const float *w,
                          const struct sn_weighting *weighting, int rounds,
                          const volatile sig_atomic_t *stop, struct sn_error *error);

/* energy[k][j] (n_stages x n_inputs) = what a column j of w would keep if it lay in stage k, the
 * bases of the outputs being fixed (sss_order.h has the formula). words change their gauge only.
 * All zero where the bases cannot be made orthonormal. */
enum sn_status sss_captured(const struct sss *shape, float *words, const float *w, float *energy,
                            struct sn_error *error);

#endif
