/* The instruction set that kernels run with. */
#ifndef ISA_H
#define ISA_H

enum sn_isa { SN_ISA_PLAIN, SN_ISA_AVX2, SN_N_ISAS };

/* The best of the processor, or the one that STRUCTNET_ISA=plain or avx2 names, if the processor
 * has it. Looked up at the first call. */
enum sn_isa sn_isa(void);

#endif
