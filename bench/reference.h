/* What the kernels are compared with. */
#ifndef REFERENCE_H
#define REFERENCE_H

#include <psm.h>
#include <sss.h>

/* y += W x, W rows x columns, row-major: eight rows, and as many streams from memory, at a time. */
void reference_dense(int rows, int columns, const float *w, const float *x, float *y);

/* y += W x by plain loops, without optimisation (O0) and with it (O3). states has n_states floats;
 * PSM has one factor of single entries. */
void reference_sss_O0(const struct sss *shape, const float *words, const float *x, float *y,
                      float *states);
void reference_sss_O3(const struct sss *shape, const float *words, const float *x, float *y,
                      float *states);
void reference_psm_O0(const struct psm *shape, const float *words, const float *x, float *y);
void reference_psm_O3(const struct psm *shape, const float *words, const float *x, float *y);

#endif
