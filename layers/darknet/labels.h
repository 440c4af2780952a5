/* The class of an image by its path, for every program that reads lists of images. Darknet itself
 * takes any label that occurs anywhere in the path, so that "man" is in "woman", and "train" in
 * every path of a training list.
 *
 * A label names a directory, or stands as a whole word in the file name: bounded there by
 * characters that are neither letters nor digits, or by the ends. Where labels overlap in a file
 * name, the longest from the left counts ("maple_tree" before "tree"). Slashes around a label
 * ("/woman/", as users of Darknet write) do not count; one with slashes within names directories in
 * a row. File name and directory must not name different classes; only when neither of them names
 * one, the directories around are asked, the innermost first. */
#ifndef LABELS_H
#define LABELS_H

#include "lines.h"

struct labels;

/* The first n lines as labels of the classes 0 .. n-1; the lines are borrowed. NULL with error
 * filled when path, from which they were read, has fewer or one of them twice, or without memory.
 * Cost: linear in the characters. */
struct labels *labels_new(const struct lines *lines, int n, const char *path,
                          struct sn_error *error);
void labels_free(struct labels *labels);

/* Writes the number of the label of path to *class. SN_BAD_INPUT when there is none or several;
 * *class is -1 for none, and as it was for several. Cost: that of the characters of the path times
 * those of the longest label, however many labels there are. */
enum sn_status labels_of_path(const struct labels *labels, const char *path, int *class,
                              struct sn_error *error);

/* The class of each image by labels_of_path (free()), NULL with error filled when a path has none
 * or several. */
int *labels_of_images(const struct labels *labels, const struct lines *images,
                      struct sn_error *error);

#endif
