/* Ways to approximate a matrix, and what one of them gives for a problem. */
#ifndef APPROXIMATION_H
#define APPROXIMATION_H

#include "problem.h"

/* The names of all types, separated by commas, which belong to the table. */
const char *approximation_names(void);

/* Whether a list of such names has that of the type. */
int approximation_is_in(const char *names, const struct sn_fit_type *type);

/* A list of names as the argument of --types; one of no type is a wrong use. */
void approximation_check_types(const struct command *command, const char *names);

/* How good outputs are on rows x that fitted nothing. Each is NAN where it does not exist. */
struct judgement {
    double error;       /* sqrt(sum ||(W x + b) - (What x + b')||^2 / sum ||W (x - mean)||^2) */
    double uncorrected; /* the same with b for b' */
    double top1;        /* rows whose label has the largest output, alone */
};

struct approximation {
    const struct sn_fit_type *type;
    struct sn_fit fit; /* empty, as bias is, once it is forgotten; what follows stays */
    float *bias;       /* b' = b + (W - What) (mean of the rows that fitted); b without features */
    int bits;          /* of a value */
    size_t n_values;   /* stored; multiply-adds of one product */
    size_t bytes;      /* with indices and scales */
    char index[64];    /* the section's key "index"; empty where it has none */
    double shrinkage, alignment; /* of the weighting; 0 without one */
    double error;                /* ||W - What||_F / ||W||_F */
    /* What auto minimises: the outputs' error on the rows that choose, without them on those that
     * fitted; error without features. */
    double choice;
    struct judgement judged;
    double seconds;
};

/* Approximates problem->dense within the budget of options, of which the weighting is replaced, and
 * judges the result. On success the caller frees with approximation_free. SN_BAD_INPUT when the
 * budget holds no matrix of the type. */
enum sn_status approximation_run(const struct problem *problem, const struct sn_fit_type *type,
                                 const struct sn_fit_options *options,
                                 struct approximation *approximation, struct sn_error *error);

/* Frees the fit and the bias, and keeps the figures. */
void approximation_forget(struct approximation *approximation);
void approximation_free(struct approximation *approximation);

/* Top-1 of W itself on the rows that judge; NAN without labels, negative without memory (error
 * filled). */
double approximation_dense_top1(const struct problem *problem, struct sn_error *error);

#endif
