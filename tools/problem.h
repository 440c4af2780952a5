/* What an approximator is given: a matrix W (outputs x inputs), a bias b, and rows x of features,
 * of which some fit, and others, which the fit never sees, judge. W comes from a layer of a net or
 * from a NumPy array. The layer computes gain (W x + b) + offset, where gain = 1 and offset = 0
 * without batch normalisation. With it b is minus the rolling mean, gain the scale over the rolling
 * deviation, and offset the biases: what must change with W is b in both cases. */
#ifndef PROBLEM_H
#define PROBLEM_H

#include "command.h"

#include <darknet.h>
#include <structnet.h>

#include <stdint.h>

/* What a user says about the problem; the options that approx and sweep share. Strings are
 * borrowed. */
struct problem_source {
    const char *cfg, *weights;     /* a net, */
    int layer;                     /* its layer, -1: the last that is a dense matrix; */
    const char *matrix, *bias;     /* or .npy files, bias may be NULL */
    const char *features, *labels; /* may be NULL */
    double holdout;                /* fraction of the features that judges */
    double shrinkage;              /* of the weighting; 0: chosen */
    uint64_t seed;
    enum sn_effort effort;
};

/* For getopt_long: the options' values are beyond all characters. */
enum {
    PROBLEM_MATRIX = 256,
    PROBLEM_BIAS,
    PROBLEM_LAYER,
    PROBLEM_FEATURES,
    PROBLEM_LABELS,
    PROBLEM_HOLDOUT,
    PROBLEM_SHRINKAGE,
    PROBLEM_SEED,
    PROBLEM_EFFORT
};

#define PROBLEM_SOURCE             \
    {                              \
        .layer = -1, .holdout = .2 \
    }
#define PROBLEM_OPTIONS                                                           \
    { "matrix", 1, 0, PROBLEM_MATRIX }, { "bias", 1, 0, PROBLEM_BIAS },           \
        { "layer", 1, 0, PROBLEM_LAYER }, { "features", 1, 0, PROBLEM_FEATURES }, \
        { "labels", 1, 0, PROBLEM_LABELS }, { "holdout", 1, 0, PROBLEM_HOLDOUT }, \
        { "shrinkage", 1, 0, PROBLEM_SHRINKAGE }, { "seed", 1, 0, PROBLEM_SEED }, \
    {                                                                             \
        "effort", 1, 0, PROBLEM_EFFORT                                            \
    }
#define PROBLEM_HELP                                                                         \
    "  --layer N       of CFG, counted from 0 as Darknet prints them; default: the last\n"   \
    "                  connected layer, or the last 1x1 convolution in a net without one\n"  \
    "  --matrix W.npy  a matrix, outputs x inputs, instead of CFG and WEIGHTS\n"             \
    "  --bias B.npy    its bias, one value per output; default: zeros\n"                     \
    "  --features F    inputs of the layer, rows x inputs (of a 1x1 convolution: pixels x\n" \
    "                  channels): F itself when it ends in .npy, else F.x.npy, and labels\n" \
    "                  from F.y.npy when it exists. The error of the outputs on them is\n"   \
    "                  minimised, and the bias corrected\n"                                  \
    "  --labels Y.npy  the class of each row, int32 or int64\n"                              \
    "  --holdout H     fraction of the features that judges and never fits, 0 <= H < 1\n"    \
    "                  (default 0.2)\n"                                                      \
    "  --shrinkage S   of the features' covariance towards the identity, 0 < S <= 1;\n"      \
    "                  default: chosen\n"                                                    \
    "  --effort E      time for 1000 x 1280 on one core: quick, 3 to 40 seconds; normal\n"   \
    "                  (default), a minute; thorough, ten minutes\n"                         \
    "  --seed N        of the draw of the rows held out (default 0)\n"

/* Takes the option that getopt_long returned; 0 when it is none of these. Wrong values end the
 * process. */
int problem_option(struct problem_source *source, const struct command *command, int option);

/* Takes the arguments behind the options; ends the process when they or the options do not fit
 * together. */
void problem_arguments(struct problem_source *source, const struct command *command, int argc,
                       char **argv);

struct samples {
    int n;
    const float *x;    /* n x n_inputs */
    const int *labels; /* n, or NULL */
};

struct problem {
    const struct problem_source *source;
    network *net; /* NULL for a matrix from a file */
    int layer;    /* in net; -1 without one */
    int n_outputs, n_inputs;
    float *dense;                      /* W, n_outputs x n_inputs */
    float *bias;                       /* b */
    float *gain, *offset;              /* NULL without batch normalisation */
    struct samples fit, choose, judge; /* parts of x; all empty without features */
    float *mean;                       /* of fit, n_inputs; NULL without features */
    float *x;
    int *labels;
    char *x_path, *labels_path;
};

/* Reads everything. The rows held out are drawn with the seed; with halves one half of them is
 * choose, the other judge, else all are judge. source is borrowed. SN_BAD_INPUT names the file and
 * what is wrong in it; a net that is wrong ends the process. */
enum sn_status problem_read(struct problem *problem, const struct problem_source *source,
                            int halves, struct sn_error *error);
void problem_free(struct problem *problem);

/* Bytes of W as float32, and how many of them a share is. */
double problem_dense_bytes(const struct problem *problem);
size_t problem_share_bytes(const struct problem *problem, double share);

/* The files that were read, NULL at the end. */
enum { PROBLEM_MAX_FILES = 7 };
void problem_files(const struct problem *problem, const char *files[PROBLEM_MAX_FILES]);

#endif
