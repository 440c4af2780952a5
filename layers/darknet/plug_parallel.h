/* Training by several processes (ranks.h), each with the same net and its own share of every batch:
 *
 *     g = mean over the ranks of their gradients g_r, before each update
 *
 * With a cfg of batch b, N ranks learn as one process does with batch N b, but for rounding and for
 * layers that look at a whole batch (batch normalisation, whose running statistics are averaged) or
 * draw numbers (dropout). */
#ifndef PLUG_PARALLEL_H
#define PLUG_PARALLEL_H

#include "sn_error.h"

#include <darknet.h>

/* Gives all ranks the weights of rank 0. SN_BAD_INPUT when a layer has weights that are not shared
 * here: others than [convolutional], [connected], [local], [batchnorm] and structured ones. */
enum sn_status plug_parallel_begin(network *net, struct sn_error *error);

/* Darknet's train_network() on this rank's share. Returns the mean loss of all ranks. */
float plug_parallel_train(network *net, data batch);

/* Darknet's load_data() for training: this rank's share of a batch. With a seed the random numbers
 * of an image depend on the seed, the batch and its place in all ranks' batch alone. */
pthread_t plug_parallel_load(load_args args);

#endif
