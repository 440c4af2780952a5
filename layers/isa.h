/* The kernels of the instruction set that the processor has. */
#ifndef ISA_H
#define ISA_H

#include "dense_kernel.h"
#include "dense_tile.h"
#include "psm_tile.h"
#include "sparse_kernel.h"

struct sn_kernels {
    const struct psm_tile_kernel *psm_tile;
    const struct dense_kernel *dense;
    const struct sparse_kernel *sparse;
    const struct dense_tile_kernel *dense_tile;
};

/* Those of the best instruction set of the processor, or of the one that STRUCTNET_ISA=plain or
 * avx2 names, if the processor has it. Looked up at the first call. */
const struct sn_kernels *sn_kernels(void);

#endif
