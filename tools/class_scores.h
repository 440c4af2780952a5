/* How many images of each class a net gets right, from their features. */
#ifndef CLASS_SCORES_H
#define CLASS_SCORES_H

#include <sn_error.h>

struct class_scores {
    int n_classes;
    int *n_images, *n_right; /* of each class, free() */
    double top1;             /* of all images */
};

/* Runs the net of those files from a layer on, for the inputs of it that NAME.x.npy holds, whose
 * classes are in NAME.y.npy. SN_BAD_INPUT, SN_NO_MEMORY; a net that is wrong ends the process. The
 * caller frees with class_scores_free. */
enum sn_status class_scores_read(const char *cfg, const char *weights, int layer, const char *name,
                                 struct class_scores *scores, struct sn_error *error);

/* Legal on a zeroed struct. */
void class_scores_free(struct class_scores *scores);

#endif
