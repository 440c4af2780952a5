/* The kernels of the instruction set that the processor has. */
#ifndef ISA_H
#define ISA_H

#include "dense_kernel.h"
#include "dense_tile.h"
#include "pixel_kernel.h"
#include "psm_tile.h"
#include "sparse_kernel.h"

struct sn_kernels {
    const char *name; /* of the instruction set, as STRUCTNET_ISA has it */
    const struct psm_tile_kernel *psm_tile;
    const struct dense_kernel *dense;
    const struct sparse_kernel *sparse;
    const struct dense_tile_kernel *dense_tile;
    const struct pixel_kernel *pixel;
};

/* Those of the best instruction set of the processor, of which avx512 is AVX-512 with its F, BW,
 * DQ, VL, VBMI and VNNI, or of the best up to the one that STRUCTNET_ISA=plain, avx2 or avx512
 * names. Looked up at the first call. */
const struct sn_kernels *sn_kernels(void);

/* STRUCTNET_X8=1: matrices of 8 bits multiply inputs of 8 bits (lanes_round). */
int sn_rounds_inputs(void);

#endif
