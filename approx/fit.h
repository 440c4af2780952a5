/* Dense matrix -> structured matrix: what a family provides for sn_fit, and what the approximators
 * of all families have in common. */
#ifndef FIT_H
#define FIT_H

#include "family.h"

/* What approx/xyz_fit.c provides for the family xyz, as xyz_fitter. */
struct sn_fitter {
    /* A row without a name ends them. The first has the family's name. The last is the simplest: by
     * it sn_weighting_choose compares ways to weigh errors. */
    const struct sn_fit_type *types;
    const struct sn_fit_option *options; /* likewise; several families may share one by its name */
    /* What sn_dense computes, in less time; NULL: sn_dense. */
    enum sn_status (*dense)(const struct sn_matrix *matrix, const float *words, float *dense,
                            struct sn_error *error);
    /* Marks with 1 those of the family's rows (family.h) whose values only outputs see: W grows as
     * they do. The marks are 0 before. */
    void (*mark_outputs)(const struct sn_matrix *matrix, char *marks);
};

#define FAMILY(name) extern const struct sn_fitter name##_fitter;
#include <families.def>
#undef FAMILY

/* The type by which ways to weigh errors are compared for a family. */
const struct sn_fit_type *sn_fit_simplest(const struct sn_family *family);

/* Whether a type has an option of that name. */
int sn_fit_has_option(const struct sn_fit_type *type, const char *name);

/* The value of a setting; 0 where the options have none of that name. */
int sn_fit_setting(const struct sn_fit_options *options, const char *name);

/* Whether a quick fit of a matrix is to take fewer steps than others, since each takes long. */
int sn_fit_is_coarse(const struct sn_fit_options *options, int n_outputs, int n_inputs);

/* Gives a float fit values of few bits; they and the structure stay, and the scales (stored.h) are
 * 0 for the caller to set. The only failures are those of sn_set_bits, and SN_NO_MEMORY; *fit is
 * empty then. */
enum sn_status sn_fit_set_bits(struct sn_fit *fit, int bits, struct sn_error *error);

/* Writes W (n_outputs x n_inputs), the same floats as sn_dense, by the quickest way that the family
 * has. SN_NO_MEMORY is the only failure. */
enum sn_status sn_fit_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                            struct sn_error *error);

/* Fills in fit->error and fit->weighted_error from fit's words. SN_NO_MEMORY is the only failure.
 */
enum sn_status sn_fit_measure(struct sn_fit *fit, const float *dense,
                              const struct sn_weighting *weighting, struct sn_error *error);

#endif
