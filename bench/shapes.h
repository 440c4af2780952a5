/* Matrices to time products with. */
#ifndef SHAPES_H
#define SHAPES_H

#include "others.h"

#include <structnet.h>

/* Zeros at a multiple of 64 bytes; ends the program when there is no memory. */
void *bench_allocate(size_t n_bytes);

/* Ends the program where a call has failed. */
void bench_check(enum sn_status status, const struct sn_error *error);

/* N equal stages, and the states that bring the values nearest to the share. The caller frees
 * matrices. */
struct sn_matrix *bench_sss(int rows, int columns, int n_stages, double share);

struct sn_matrix *bench_low_rank(int rows, int columns, double share);

/* One factor. */
struct sn_matrix *bench_psm(int rows, int columns, double share, int index_bits, int block);

/* The entries of a matrix; the caller frees the three arrays. */
struct entries bench_entries(const struct sn_matrix *matrix, const float *words);

#endif
