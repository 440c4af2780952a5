/* A diagonal plus a matrix of rank one, W = diag(d) + u v^T: d has min(n_outputs, n_inputs) values,
 * u n_outputs, v n_inputs, and this is their order in the words. There is nothing else to
 * store. Each of the three shares a scale. */
#ifndef TOY_H
#define TOY_H

#include <family.h>

struct toy {
    struct sn_matrix matrix;
    int scale; /* v is multiplied by it: a key of its own */
};

extern const struct sn_family toy_family;

/* Free() releases it; NULL and error without memory. */
struct toy *toy_new(int n_outputs, int n_inputs, int scale, struct sn_error *error);

/* Where d, u and v stand in the words. */
struct toy_values {
    const float *d, *u, *v;
    size_t n_diagonal;
};
struct toy_values toy_values_at(const struct sn_matrix *matrix, const float *words);

#endif
