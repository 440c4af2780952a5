/* The images that a command is to look at: one path a line, or a list of a .data file. */
#ifndef IMAGE_LIST_H
#define IMAGE_LIST_H

#include <lines.h>
#include <sn_error.h>

/* Reads a list or, where path ends in .data, the one that key names there: train or valid. SN_IO,
 * SN_BAD_INPUT, SN_NO_MEMORY; images is empty then. */
enum sn_status image_list_read(const char *path, const char *key, struct lines *images,
                               struct sn_error *error);

/* Keeps n images, spread evenly; 0 keeps all. */
void image_list_thin(struct lines *images, int n);

/* The class of each image of that list (free()), by the labels file, one label a line, or without
 * one (NULL) by the .data file. *class is NULL and *n_classes 0 where neither has labels, and on
 * failure, as above. */
enum sn_status image_list_classes(const char *path, const char *labels, const struct lines *images,
                                  int **class, int *n_classes, struct sn_error *error);

#endif
