/* What the kernels are compared with. */
#ifndef REFERENCE_H
#define REFERENCE_H

/* y += W x, W rows x columns, row-major: eight rows, and as many streams from memory, at a time. */
void reference_dense(int rows, int columns, const float *w, const float *x, float *y);

#endif
