/* NumPy's .npy files, format versions 1 to 3: "\x93NUMPY", version, length of the header, the
 * header (a Python dict), the elements in C order. Source: numpy/lib/format.py. */
#ifndef NPY_H
#define NPY_H

#include <sn_error.h>

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { NPY_MAX_DIMENSIONS = 8, NPY_SHAPE_TEXT = 24 * NPY_MAX_DIMENSIONS };

struct npy {
    int n_dimensions;
    size_t shape[NPY_MAX_DIMENSIONS];
    size_t n_values;   /* the product of shape */
    float *values;     /* npy_read's, free() */
    int32_t *integers; /* npy_read_integers', free() */
};

/* Reads an array of '<f4' or '<f8' (rounded to float), in C or Fortran order; values are in C
 * order. SN_BAD_INPUT for anything else, and for a file that is shorter or longer than its header
 * says; *npy is all zero then. */
enum sn_status npy_read(const char *path, struct npy *npy, struct sn_error *error);

/* The same for an array of '<i4' or '<i8', whose values must fit into 32 bits. */
enum sn_status npy_read_integers(const char *path, struct npy *npy, struct sn_error *error);

/* The shape for messages: "2 x 3", or "one" for an array without dimensions. */
void npy_print_shape(const struct npy *npy, char text[NPY_SHAPE_TEXT]);

/* Writes the header of an array of 4-byte elements, descr "<f4" or "<i4"; the elements follow. The
 * caller checks file. */
void npy_write_header(FILE *file, const char *descr, int n_dimensions, const size_t *shape);

#endif
