/* What every family of structured matrices provides, and the table of families. struct sn_matrix,
 * which each family extends, and the words of a matrix are described in structnet.h. */
#ifndef FAMILY_H
#define FAMILY_H

#include "cfg_text.h"
#include "pixel_rows.h"
#include "sn_error.h"

#include <stdint.h>

/* Products of a matrix with the n pixels of an image at once (pixel_rows.h): Y = W X, X n_inputs x
 * n, Y n_outputs x n. */
struct sn_pixel_products {
    /* Floats of scratch that either product needs. */
    size_t (*scratch)(const struct sn_matrix *matrix);

    /* Y = W X: Y is overwritten. */
    void (*forward)(const struct sn_matrix *matrix, const float *words, size_t n,
                    const struct pixel_rows *x, const struct pixel_rows *y, float *scratch);

    /* dvalues[n_values] += dL/dvalues and, unless dx is NULL, dX += W^T dY, whose rows may overlap
     * as those of X do. */
    void (*backward)(const struct sn_matrix *matrix, const float *words, size_t n,
                     const struct pixel_rows *x, const struct pixel_rows *dy, float *dvalues,
                     const struct pixel_rows *dx, float *scratch);
};

struct sn_family {
    const char *name; /* section name in a cfg, without the brackets */
    const char *const
        *keys; /* the cfg keys that the family adds to Darknet's common ones; NULL ends the list */

    /* Builds the shape that a cfg section describes, checking every key, sum and length. One malloc
     * block, released by free(). On failure NULL, and error->message starts with "PATH:LINE:
     * [SECTION] KEY: ". */
    struct sn_matrix *(*parse)(const struct cfg_section *section, int n_outputs, int n_inputs,
                               struct sn_error *error);

    /* Writes the shape as cfg lines ("key=value\n"), which parse() reads back. */
    void (*print_keys)(const struct sn_matrix *matrix, FILE *file);

    /* Random start of a fresh layer: words[n_words] such that inputs of variance 1 give outputs
     * whose mean variance is 2/3, as in make_connected_layer. uniform(a, b) draws from [a, b). A
     * structure that is not fixed by the shape (the pattern of a sparse factor) is drawn too and
     * kept in matrix. SN_NO_MEMORY is the only failure. */
    enum sn_status (*init)(struct sn_matrix *matrix, float *words, float (*uniform)(float, float),
                           struct sn_error *error);

    /* Takes over the structure stored behind the values and scales of words[n_words], after a load.
     * SN_BAD_INPUT when an index is out of range; matrix is unchanged then. */
    enum sn_status (*unpack)(struct sn_matrix *matrix, const float *words, struct sn_error *error);

    /* The rows whose values share a scale when the group is 0. Writes the row of each value into
     * row_of[n_values] unless it is NULL; for that a sparse pattern must be set. Returns the number
     * of rows, which the shape alone decides. */
    size_t (*rows)(const struct sn_matrix *matrix, uint32_t *row_of);

    /* Y += X W^T: x is batch x n_inputs, y is batch x n_outputs, row-major, not overlapping.
     * states[batch*n_states] is written, and is what backward() needs. */
    void (*forward)(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                    float *y, float *states);

    /* With dy = dL/dY (batch x n_outputs): dvalues[n_values] += dL/dvalues, and dx += dY W (batch x
     * n_inputs) unless dx is NULL. states comes from forward() on the same x;
     * dstates[batch*n_states] is scratch. */
    void (*backward)(const struct sn_matrix *matrix, const float *words, int batch, const float *x,
                     const float *states, const float *dy, float *dvalues, float *dx,
                     float *dstates);

    /* The matrix made ready for single vectors (packed.h), group being 0; free() releases it. NULL
     * and error when there is no memory. May be NULL. */
    struct sn_packed *(*pack)(const struct sn_matrix *matrix, const float *words,
                              struct sn_error *error);

    /* NULL where images are to be turned into vectors (convolution.h). */
    const struct sn_pixel_products *pixels;
};

extern const struct sn_family *const sn_families[]; /* NULL ends the table */

/* The family whose section is name (without brackets), or NULL. */
const struct sn_family *sn_family_find(const char *name);

/* The cfg keys that all families share, bits and group; NULL ends the list. */
extern const char *const sn_matrix_keys[];

/* parse() of the family and the shared keys. Errors as of parse(). */
struct sn_matrix *sn_matrix_parse(const struct sn_family *family, const struct cfg_section *section,
                                  int n_outputs, int n_inputs, struct sn_error *error);

/* print_keys() of the family and the shared keys. */
void sn_matrix_print(const struct sn_matrix *matrix, FILE *file);

/* init() of the family, then scales, by which the values are rounded such that their mean square
 * stays. map[n_values] is filled in (stored.h); it may be NULL with 32 bits. */
enum sn_status sn_matrix_init(struct sn_matrix *matrix, uint32_t *map, float *words,
                              float (*uniform)(float, float), struct sn_error *error);

#endif
