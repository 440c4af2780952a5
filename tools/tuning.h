/* Training of a tail (tail.h) on features by Darknet's own forward_network, backward_network and
 * update_network, judged on inputs that never train.
 *
 * The loss of one input is the cross-entropy -sum_k t_k log p_k of the softmax outputs p and the
 * target t: 1 for its class, or with a teacher the teacher's softmax outputs (Hinton, Vinyals and
 * Dean, Distilling the knowledge in a neural network, arXiv 1503.02531, 2015, at temperature 1).
 *
 * Before each epoch the inputs are shuffled, and those that do not fill a batch are left out of it.
 * After it the loss of the held-out inputs decides: the least so far is kept. When it has not
 * fallen by a thousandth for `patience` epochs, or a batch has a loss that is not finite, the
 * weights kept are taken back and the rate is cut to a third; after n_cuts of them training ends.
 */
#ifndef TUNING_H
#define TUNING_H

#include "samples.h"
#include "tail.h"

#include <stdint.h>
#include <window.h>

/* Inputs of a tail, each of which is the patches of a window, consecutive rows of the file, which
 * is borrowed. */
struct tuning_set {
    const struct sample_file *file;
    struct sn_window window;
    int n;      /* how many inputs, */
    int *input; /* and which: inputs of the file, free() */
};

/* All inputs of a file. SN_NO_MEMORY; SN_BAD_INPUT where its rows are no whole inputs. */
enum sn_status tuning_take_all(const struct sample_file *file, const struct sn_window *window,
                               struct tuning_set *set, struct sn_error *error);

/* Moves a fraction holdout of the set's inputs, drawn with the seed, to held: all inputs of an
 * image or none. SN_BAD_INPUT where either would be left with none. */
enum sn_status tuning_split(struct tuning_set *set, double holdout, uint64_t seed,
                            struct tuning_set *held, struct sn_error *error);

struct tuning {
    struct tail *tail;
    struct tail *teacher; /* of the same inputs, outputs and batch; NULL: classes are the targets */
    struct tuning_set train, held;
    double rate; /* at first */
    int n_epochs, patience, n_cuts;
    uint64_t seed;
};

struct tuning_score {
    double loss, top1; /* means; top1 is NAN without classes */
};

/* The tail's loss and top-1 on a set, as its weights are now. Unless rank is NULL the place of each
 * input's class among the outputs, 0 for the largest, is written to rank[set->n]; that needs
 * classes. */
struct tuning_score tuning_score(const struct tuning *tuning, const struct tuning_set *set,
                                 int *rank);

struct tuning_epoch {
    int number; /* 0: before training */
    double rate;
    double train_loss; /* mean over the epoch, NAN before training */
    struct tuning_score held;
    int is_kept;
};

struct tuning_result {
    struct tuning_epoch before, best;
    int n_epochs;
    double images_per_second; /* of training alone; NAN where there was none */
};

/* Trains; the tail has the weights of the best epoch in the end. report gets each epoch. Repeats
 * exactly for a seed: Darknet's rand() is seeded with it. SN_NO_MEMORY, SN_IO. */
enum sn_status tuning_run(const struct tuning *tuning,
                          void (*report)(void *context, const struct tuning_epoch *epoch),
                          void *context, struct tuning_result *result, struct sn_error *error);

#endif
