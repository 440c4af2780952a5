/* Forced into Darknet's examples/classifier.c by the compiler's -include: before a net is loaded,
 * the .data file and all that it names are checked; labels, lists and .data files are read as every
 * program here does (task.h); and training is watched (plug_training.h). */
#ifndef PLUG_CLASSIFIER_H
#define PLUG_CLASSIFIER_H

#include <stdio.h>

#include "darknet.h"
#include "plug_labels.h"

/* Loads the net that the function of that name in classifier.c asks for, after checking what its
 * .data file names. Ends the process with one line when something is wrong or does not fit. */
network *plug_load_network(const char *function, char *data, char *cfg, char *weights, int clear);

/* Darknet's readers, which end the process with one line when the file is wrong. */
list *plug_read_data_cfg(char *path);
list *plug_get_paths(const char *function, char *path);
char **plug_get_labels(char *path);

/* Darknet's, which end the process with one line when there is no cfg, and when k is not between 1
 * and n. */
char *plug_basecfg(char *cfg);
void plug_top_k(float *outputs, int n, int k, int *index);

/* Darknet's training step, watched, and its loader of images. */
float plug_train_network(network *net, data batch);
pthread_t plug_load_data(load_args args);

/* printf but for what the training loop says, unless STRUCTNET_LOG=stock. */
int plug_printf(const char *function, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef PLUG_IMPLEMENTATION

#include "sn_error.h"

/* What is checked before training, validating and predicting with that net: the .data file, its
 * labels, lists, the headers of their images, and its backup directory; the net's outputs and its
 * form. For a process that does none of these afterwards. */
enum sn_status plug_check_task(const network *net, const char *data, const char *cfg,
                               struct sn_error *error);

#else

/* Its own arrays are small but where -t is no number for them, which plug_top_k says. */
#undef calloc

/* All callers have the .data file's path in a parameter of this name. */
#define load_network(cfg, weights, clear) plug_load_network(__func__, datacfg, cfg, weights, clear)

#define read_data_cfg              plug_read_data_cfg
#define get_labels                 plug_get_labels
#define train_network              plug_train_network
#define load_data                  plug_load_data
#define basecfg                    plug_basecfg
#define top_k                      plug_top_k
#define top_predictions(net, k, i) plug_top_k((net)->output, (net)->outputs, k, i)
#define get_paths(path)            plug_get_paths(__func__, path)
#define printf(...)                plug_printf(__func__, __VA_ARGS__)

#endif
#endif
