#ifndef PLUG_BLAS_H
#define PLUG_BLAS_H

/* The processor whose kernels OpenBLAS runs, by OpenBLAS's name ("Zen"). */
const char *plug_blas_core(void);

#endif
