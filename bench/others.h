/* Sparse products of other libraries, to compare ours with. */
#ifndef OTHERS_H
#define OTHERS_H

#include <stddef.h>

/* n entries at rows[] and columns[] of a matrix of n_rows x n_columns. */
struct entries {
    int n_rows, n_columns, *rows, *columns;
    size_t n;
    float *values;
};

struct other_library {
    const char *name;
    void (*start)(void); /* once, for one thread */
    /* A copy of the matrix in the library's own form, with what it needs to multiply it by x
     * (n_columns) again and again. Ends the program where the library fails. */
    void *(*pack)(const struct entries *matrix, const float *x);
    void (*multiply)(const void *packed, float *y); /* y += W x */
    void (*release)(void *packed);
};

extern const struct other_library other_libraries[]; /* up to one without a name */

#endif
