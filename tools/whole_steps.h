/* What making a whole net (whole.h) asks other commands for, each as a step (steps.h). */
#ifndef WHOLE_STEPS_H
#define WHOLE_STEPS_H

#include "whole.h"

/* FOLDER/NAMESUFFIX. SN_BAD_INPUT when it is too long. */
enum sn_status whole_path(const struct whole *whole, const char *name, const char *suffix,
                          char path[STEPS_MAX_PATH], struct sn_error *error);

/* Removes it, when it is there. */
void whole_forget(const struct whole *whole, const char *name, const char *suffix);

/* Writes the few images of the train list, spread evenly. SN_IO, likewise below. */
enum sn_status whole_write_few(const struct whole *whole, struct sn_error *error);

/* Writes FOLDER/LIST.data, the task whose valid list, or train list, is FOLDER/LIST.txt. */
enum sn_status whole_write_task(const struct whole *whole, const char *list,
                                struct sn_error *error);

/* Computes the moments of a layer's inputs in net, with those in the dense net where it is another;
 * NAME.moments.npy. */
enum sn_status whole_moments(const struct whole *whole, const struct compress_net *net, int layer,
                             const char *name, struct sn_error *error);

/* The words that fit form to a layer of net by the moments of that name; without, where its matrix
 * has blocks. */
enum sn_status whole_ask_for_fit(const struct whole *whole, const struct compress_net *net,
                                 const struct whole_layer *layer, const struct whole_form *form,
                                 const char *moments, const char *effort, struct step *step,
                                 struct sn_error *error);

/* What they came to; the error is that of the matrix where nothing else judged. */
void whole_take_fit(const cJSON *result, struct whole_form *form);

/* Takes the statistics of batch normalisation of whole->net again, where it has some. */
enum sn_status whole_calibrate(struct whole *whole, struct sn_error *error);

/* Trains the values of whole->net, where that is asked for. */
enum sn_status whole_tune(struct whole *whole, struct sn_error *error);

/* Top-1 of a net on a list, held or test. */
enum sn_status whole_judge(struct whole *whole, const struct compress_net *net, const char *list,
                           double *top1, struct sn_error *error);

/* Times all of whole->nets in one run. */
enum sn_status whole_time(struct whole *whole, struct sn_error *error);

/* Copies a net's weights with the count of images seen set to 0, as those of a net that was not
 * trained have it: Darknet's training begins at that count. */
enum sn_status whole_copy_weights(const char *path, FILE *out, struct sn_error *error);

#endif
