/* What a net is to learn, as Darknet's .data files say it in lines of key=value:
 *
 *     classes   how many
 *     labels    a file of one label a line, the line's number being the class
 *     train     a list of images, one path a line; valid: another, for judging
 *     backup    the directory that weights are saved to
 *
 * Blanks around keys and values, blank lines, and lines that begin with # or ; do not count. */
#ifndef TASK_H
#define TASK_H

#include "labels.h"
#include "lines.h"

struct task {
    const char *path; /* of the .data file, borrowed */
    struct lines data;
    int n_classes;
    struct lines names; /* the lines of the labels file */
    struct labels *labels;
};

/* The lines of a .data file as key=value without blanks around either. SN_IO, SN_BAD_INPUT,
 * SN_NO_MEMORY; data is empty then. */
enum sn_status task_read_data(const char *path, struct lines *data, struct sn_error *error);

/* Reads the .data file alone: n_classes is 0, labels NULL. */
enum sn_status task_open(const char *path, struct task *task, struct sn_error *error);

/* Reads classes. SN_BAD_INPUT when they are missing or no number. */
enum sn_status task_read_classes(struct task *task, struct sn_error *error);

/* Reads classes and labels. SN_BAD_INPUT when they are missing, no number, or do not fit. */
enum sn_status task_read_labels(struct task *task, struct sn_error *error);

/* The value of a key; NULL when there is none, or it is empty. The second fills in error then. */
const char *task_find(const struct task *task, const char *key);
const char *task_value(const struct task *task, const char *key, struct sn_error *error);

/* Reads the list of images that key names, and the class of each (free()) unless class is NULL. On
 * failure images is empty and *class NULL. */
enum sn_status task_images(const struct task *task, const char *key, struct lines *images,
                           int **class, struct sn_error *error);

/* picture_check (picture_file.h) of every image of a list. */
enum sn_status task_check_pictures(const struct lines *images, struct sn_error *error);

/* Legal on a zeroed struct, and after a failure. */
void task_free(struct task *task);

#endif
