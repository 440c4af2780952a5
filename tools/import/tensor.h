/* A tensor within a mapped file: element (i_0, i_1, ...) lies at data + element_bytes * sum_k i_k
 * stride[k]. */
#ifndef TENSOR_H
#define TENSOR_H

#include <sn_error.h>

#include <stddef.h>
#include <stdint.h>

enum tensor_type {
    TENSOR_BOOL,
    TENSOR_UINT8,
    TENSOR_INT8,
    TENSOR_INT16,
    TENSOR_INT32,
    TENSOR_INT64,
    TENSOR_FLOAT16,
    TENSOR_BFLOAT16,
    TENSOR_FLOAT32,
    TENSOR_FLOAT64,
    N_TENSOR_TYPES
};

enum { TENSOR_MAX_DIMENSIONS = 8 };

struct tensor {
    const char *name;
    enum tensor_type type;
    int n_dimensions; /* 0 for a scalar, which has one element */
    int64_t shape[TENSOR_MAX_DIMENSIONS];
    int64_t stride[TENSOR_MAX_DIMENSIONS]; /* in elements */
    const unsigned char *data;             /* the first element, at any alignment; borrowed */
    size_t n_elements;                     /* the product of shape */
    int contiguous;                        /* C order without gaps */
};

/* "float32", "bfloat16", ... as NumPy and PyTorch name them; bytes of one element. */
const char *tensor_type_name(enum tensor_type type);
size_t tensor_type_bytes(enum tensor_type type);

/* Fills in n_elements and contiguous, and sets data to element offset of storage, which holds
 * n_stored elements. SN_BAD_INPUT when a size is negative, a product overflows, or an element lies
 * outside. */
enum sn_status tensor_place(struct tensor *tensor, const unsigned char *storage, int64_t n_stored,
                            int64_t offset, struct sn_error *error);

/* values[n] = elements first .. first+n-1 in C order, as float32 (rounded to nearest from float64
 * and int64). */
void tensor_floats(const struct tensor *tensor, size_t first, size_t n, float *values);

/* "64x3x7x7", or "scalar". text has room for TENSOR_SHAPE_TEXT bytes. */
enum { TENSOR_SHAPE_TEXT = TENSOR_MAX_DIMENSIONS * 21 + 1 };
void tensor_print_shape(int n_dimensions, const int64_t *shape, char *text);

#endif
