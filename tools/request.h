/* What a user asks of approx and of sweep alike: the matrix, the features, how long the search may
 * take, and the options that families add. problem.h reads what it names. Strings are borrowed from
 * the command line. */
#ifndef REQUEST_H
#define REQUEST_H

#include "command.h"

#include <structnet.h>

#include <stdint.h>

enum { REQUEST_MAX_SETTINGS = 32, REQUEST_MAX_OPTIONS = 64, REQUEST_MAX_BITS = 6 };

struct request {
    const char *cfg, *weights;     /* a net, */
    int layer;                     /* its layer, -1: the last that is a dense matrix; */
    const char *matrix, *bias;     /* or .npy files, bias may be NULL */
    const char *features, *labels; /* may be NULL */
    const char *moments, *judge;   /* instead of features; likewise */
    double holdout;                /* fraction of the features that judges */
    double shrinkage;              /* of the weighting; 0: chosen */
    uint64_t seed;
    enum sn_effort effort;
    int bits[REQUEST_MAX_BITS]; /* of values, in the order given; n_bits 0: none is given */
    int n_bits;
    /* One row for each option of a family, in the order of sn_fit_option_at, 0 where it is not
     * given; a row without a name ends them. */
    struct sn_fit_setting settings[REQUEST_MAX_SETTINGS + 1];
};

/* What holds when no option is given. */
struct request request_default(void);

/* The options for getopt_long: own of the command (n_own rows), those of a request, those of
 * families, and the row that ends them. */
void request_options(const struct option *own, int n_own,
                     struct option options[REQUEST_MAX_OPTIONS]);

/* Takes the option that getopt_long returned; 0 when it is one of the command's own. Wrong values
 * end the process. The last of several values counts. */
int request_option(struct request *request, const struct command *command, int option);

/* The argument of --bits, a list separated by commas, into bits; how many. A wrong one ends the
 * process. */
int request_read_bits(const struct command *command, const char *list, int bits[REQUEST_MAX_BITS]);

/* That of --effort, likewise. */
enum sn_effort request_read_effort(const struct command *command, const char *text);

/* Takes the arguments behind the options; ends the process when they or the options do not fit
 * together. */
void request_arguments(struct request *request, const struct command *command, int argc,
                       char **argv);

/* The part of --help about the options of families; REQUEST_HELP is the part about the others
 * but --bits, whose default is the command's. */
void request_print_settings(void);

#define REQUEST_HELP                                                                         \
    "  --layer N       of CFG, counted from 0 as Darknet prints them; default: the last\n"   \
    "                  connected layer, or the last convolution in a net without one\n"      \
    "  --matrix W.npy  a matrix, outputs x inputs, instead of CFG and WEIGHTS\n"             \
    "  --bias B.npy    its bias, one value per output; default: zeros\n"                     \
    "  --features F    inputs of the layer, rows x inputs (of a convolution: places x\n"     \
    "                  patches): F itself when it ends in .npy, else F.x.npy, and labels\n"  \
    "                  from F.y.npy when it exists. The error of the outputs on them is\n"   \
    "                  minimised, and the bias corrected\n"                                  \
    "  --moments M.npy means and covariances of the inputs instead (structnet features\n"    \
    "                  --moments): the last fifth of the images helps to choose the\n"       \
    "                  weighting. With a --reference the layer is fitted to what that net\n" \
    "                  gives\n"                                                              \
    "  --judge M.npy   with --moments: of other images, which judge\n"                       \
    "  --labels Y.npy  the class of each row, int32 or int64\n"                              \
    "  --holdout H     fraction of the features that judges and never fits, 0 <= H < 1\n"    \
    "                  (default 0.2)\n"                                                      \
    "  --shrinkage S   of the features' covariance towards the identity, 0 < S <= 1;\n"      \
    "                  default: chosen\n"                                                    \
    "  --effort E      time for 1000 x 1280 on one core: quick, 3 to 40 seconds; normal\n"   \
    "                  (default), a minute; thorough, ten minutes\n"                         \
    "  --seed N        of the draw of the rows held out (default 0)\n"

#endif
