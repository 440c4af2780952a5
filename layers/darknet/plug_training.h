/* The watch over `darknet classifier train`, around each of Darknet's training steps:
 *
 *     a loss that is not finite ends training before anything is saved
 *     SIGHUP, SIGINT and SIGTERM save NAME.backup before they end the process
 *     after every epoch the valid list is evaluated, and the best weights go to NAME_best.weights
 *     every STRUCTNET_LOG batches (default 10) a line says where training is
 *
 * The arithmetic is Darknet's. */
#ifndef PLUG_TRAINING_H
#define PLUG_TRAINING_H

#include "task.h"

#include <darknet.h>

/* STRUCTNET_LOG=stock: Darknet's own lines instead of ours. */
int plug_training_is_stock_log(void);

/* Before the net is loaded: the lists and their images, the backup directory and STRUCTNET_LOG. The
 * task is borrowed until the process ends. */
enum sn_status plug_training_check(const struct task *task, const char *cfg,
                                   struct sn_error *error);

/* Layers that Darknet cannot train on a CPU, and losses that read more truth than there is, which
 * is as many numbers as the net's last layer wants and, behind a layer with truth=1, its outputs,
 * are SN_BAD_INPUT. name is that of the net in the message. */
enum sn_status plug_training_check_layers(const network *net, const char *name,
                                          struct sn_error *error);

/* After it is loaded: what Darknet's loader of images cannot serve is SN_BAD_INPUT. */
enum sn_status plug_training_check_net(const network *net, struct sn_error *error);

/* The same, and training is watched from here on. */
enum sn_status plug_training_begin(const network *net, struct sn_error *error);

#endif
