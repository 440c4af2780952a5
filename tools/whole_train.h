/* Training a whole net (whole.h) by Darknet: what structnet compress --tune whole does.
 *
 * It is a step that runs "darknet classifier train" over the train list, so that its loop, its
 * loaders of images and its update rules are those of Darknet; structured layers keep their
 * patterns and scales in it. What it saves when it is interrupted is what it goes on from. The
 * batch is that of the net's cfg, or WHOLE_BATCH where that has one image. The rate falls along a
 * line from a tenth of the cfg's, or from --tune-rate, to 0, over WHOLE_PASSES passes through the
 * list, or --tune-batches. */
#ifndef WHOLE_TRAIN_H
#define WHOLE_TRAIN_H

#include "whole.h"

enum { WHOLE_PASSES = 2, WHOLE_BATCH = 64, WHOLE_SUBDIVISIONS = 4 };

/* Whether Darknet can train the dense net on the train list, which a step asks structnet check.
 * SN_BAD_INPUT with what is wrong, SN_IO; likewise below. */
enum sn_status whole_train_check(struct whole *whole, struct sn_error *error);

/* Trains whole->net. */
enum sn_status whole_train(struct whole *whole, struct sn_error *error);

#endif
