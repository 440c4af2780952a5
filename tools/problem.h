/* What an approximator is given: a matrix W (outputs x inputs), a bias b, and rows x of features,
 * of which some fit, and others, which the fit never sees, judge; or, instead of rows, their
 * moments (moments.h), perhaps with those of the inputs r that the layer has in another net. W
 * comes from a layer of a net or from a NumPy array. The layer computes gain (W x + b) + offset,
 * where gain = 1 and offset = 0 without batch normalisation. With it b is minus the rolling mean,
 * gain the scale over the rolling deviation, and offset the biases: what must change with W is b in
 * both cases. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include "layer_moments.h"
#include "request.h"
#include "samples.h"

#include <darknet.h>

struct problem {
    const struct request *request;
    network *net; /* NULL for a matrix from a file */
    int layer;    /* in net; -1 without one */
    int n_outputs, n_inputs;
    int n_blocks; /* that W has on its diagonal, with nothing beside them; 1: W is one block */
    float *dense; /* W, n_outputs x n_inputs */
    float *bias;  /* b */
    float *gain, *offset;              /* NULL without batch normalisation */
    struct samples fit, choose, judge; /* parts of samples; all empty without features */
    float *mean;                       /* of fit, n_inputs; NULL without features and moments */
    float *reference_mean;             /* of r; that of x where there is no r */
    struct sn_covariance parts[2], judging; /* moments; empty (n = 0) without */
    struct sample_file samples;
};

/* Reads everything. The rows held out are drawn with the seed; with halves one half of them is
 * choose, the other judge, else all are judge. request is borrowed. SN_BAD_INPUT names the file and
 * what is wrong in it; a net that is wrong ends the process. */
enum sn_status problem_read(struct problem *problem, const struct request *request, int halves,
                            struct sn_error *error);
void problem_free(struct problem *problem);

/* SN_BAD_INPUT where W has more than one block and the type, or any type where that is NULL, would
 * not keep them apart. */
enum sn_status problem_check_type(const struct problem *problem, const struct sn_fit_type *type,
                                  struct sn_error *error);

/* Bytes of W as float32, and how many of them a share is. */
double problem_dense_bytes(const struct problem *problem);
size_t problem_share_bytes(const struct problem *problem, double share);

/* The files that were read, NULL at the end. */
enum { PROBLEM_MAX_FILES = 9 };
void problem_files(const struct problem *problem, const char *files[PROBLEM_MAX_FILES]);

#endif
