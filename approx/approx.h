/* Dense matrix -> structured matrix: what the approximators of all families have in common, and
 * their table. */
#ifndef APPROX_H
#define APPROX_H

#include "family.h"
#include "weighting.h"

#include <signal.h>
#include <stdint.h>

/* How long an approximator may search. Every count of steps depends on this and on the sizes alone,
 * never on the clock, so that results repeat. */
enum sn_effort { SN_NORMAL = 0, SN_QUICK, SN_THOROUGH };

struct sn_fit_options {
    size_t budget_bytes; /* at most this many bytes, indices included: 4*n_words <= budget_bytes; 0:
                          * no limit, when there is one of values */
    size_t budget_values; /* at most this many values: n_values <= budget_values; 0: no limit */
    const struct sn_weighting
        *weighting; /* of the error that is minimised; NULL: the Frobenius norm */
    enum sn_effort effort;
    int low_rank;  /* sss: two stages, the rank that the budget allows */
    int n_stages;  /* sss: this many equal segments; 0: search */
    int n_factors; /* psm: this many factors, up to 16; 0: try 1 and 2 and keep the better */
    int block; /* psm: entries in blocks of 4 or 8 rows x 1 column, rows in an order that suits; 0,
                  1: alone */
    enum sn_pattern {
        SN_ENTRIES = 0,
        SN_ROWS,
        SN_COLUMNS
    } pattern; /* psm: the largest of a factor, or as many in each
                * of its rows, or columns */
    uint64_t seed;
    const volatile sig_atomic_t
        *stop; /* set by a signal: end soon with the best so far; may be NULL */
    void (*progress)(void *context, double done,
                     double error); /* done in 0..1, weighted error; may be NULL */
    void *context;
};

struct sn_fit {
    struct sn_matrix *matrix; /* free() */
    float *words;             /* matrix->n_words, free() */
    double error; /* ||W - What||_F / ||W||_F of the float32 words, measured on the dense form */
    double weighted_error; /* ||(W - What) L||_F / ||W L||_F, what was minimised; error without a
                              weighting */
};

/* Approximates dense (n_outputs x n_inputs, row-major float32, borrowed). On success *fit holds the
 * result, which belongs to the caller. Fails with SN_BAD_INPUT when the budget cannot hold any
 * matrix of the family, or the matrix has entries that are not finite. */
typedef enum sn_status sn_fit_function(const float *dense, int n_outputs, int n_inputs,
                                       const struct sn_fit_options *options, struct sn_fit *fit,
                                       struct sn_error *error);

#define FAMILY(name) sn_fit_function name##_fit;
#include "families.def"
#undef FAMILY

/* The approximator of a family, never NULL for a family of the table. */
sn_fit_function *sn_fit_find(const struct sn_family *family);

/* Fills in fit->error and fit->weighted_error from fit's words. SN_NO_MEMORY is the only failure.
 */
enum sn_status sn_fit_measure(struct sn_fit *fit, const float *dense,
                              const struct sn_weighting *weighting, struct sn_error *error);

void sn_fit_free(struct sn_fit *fit);

#endif
