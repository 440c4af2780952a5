/* The kernels of SSS: forward and backward of family.h. sss.h has the recursions of the product;
 * with dx_k and dz_k for the gradients of the states, those of its gradients are
 *
 *     dx_k     = A_k^T dx_{k+1} + C_k^T dy_k      dz_{k+1} = E_k^T dz_k + G_k^T dy_k
 *     du_k     = B_k^T dx_{k+1} + D_k^T dy_k + F_k^T dz_k
 *
 * and each block's gradient is the outer product of the gradient of what it produced and of what it
 * read. With orders x and dy are brought into the stages' order first, y and dx out of it last.
 *
 * One sample's scratch, n_states floats: its inputs and outputs in the stages' order, then, at
 * states[k], the states x_k and z_k for k = 0..N. Threads may call the kernels at the same time
 * when they write to different arrays. Cost: n_values multiply-adds for each sample in the product,
 * and as many for each of the two gradients. */
#ifndef SSS_KERNEL_H
#define SSS_KERNEL_H

#include "sss.h"

void sss_forward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                 float *y, float *states);

void sss_backward(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                  const float *states, const float *dy, float *dvalues, float *dx, float *dstates);

/* For the pixels of an image. */
extern const struct sn_pixel_products sss_pixels;

#endif
