/* Samples of a layer's inputs in files, as `structnet features` writes them: NAME.x.npy, rows x
 * inputs; NAME.y.npy, the class of each row; NAME.i.npy, the image that each row is of. */
#ifndef SAMPLES_H
#define SAMPLES_H

#include "npy.h"

#include <sn_error.h>

struct samples {
    int n;
    const float *x;    /* n x inputs */
    const int *labels; /* n, or NULL */
};

struct sample_file {
    char *x_path, *labels_path, *images_path; /* the last two are NULL where there is none */
    int n, n_columns;
    float *x;    /* n x n_columns, finite */
    int *labels; /* n, from 0 to below the number of classes; NULL without */
    int *images; /* n, from 0 to below n; NULL without: each row is of an image of its own */
};

/* Reads NAME itself when it ends in .npy, else NAME.x.npy, NAME.y.npy and NAME.i.npy, of which the
 * last two need not be there; labels, unless NULL, is a file instead of NAME.y.npy. Any number of
 * columns will do where n_columns is 0. SN_BAD_INPUT names the file and what is wrong in it;
 * nothing is left then. The caller frees with samples_free. */
enum sn_status samples_read(const char *name, const char *labels, int n_columns, int n_classes,
                            struct sample_file *file, struct sn_error *error);

/* Legal on a zeroed struct. */
void samples_free(struct sample_file *file);

/* Reads values that approximators take, of two dimensions, neither of them 0; of so many columns
 * unless columns is 0. what they are is for messages. */
enum sn_status samples_read_rows(const char *path, int columns, const char *what, struct npy *npy,
                                 struct sn_error *error);

#endif
