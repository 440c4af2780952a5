/* The class of an image by its path, without Darknet's trap of labels that occur anywhere in the
 * path. */
#ifndef LABELS_H
#define LABELS_H

#include <sn_error.h>

/* The label that names the image's directory (its last component but one, whole) or stands in its
 * file name, bounded by characters that are neither letters nor digits, or by the ends. Writes its
 * number to *class. SN_BAD_INPUT when no label or several different ones match. Cost: n_labels
 * searches of the file name. */
enum sn_status labels_of_path(const char *path, char **labels, int n_labels, int *class,
                              struct sn_error *error);

#endif
