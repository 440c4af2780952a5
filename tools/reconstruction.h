/* The values of a net's structured layers, trained so that each of its blocks gives what the same
 * block of a reference gives, the net that they were fitted in. No label is needed.
 *
 * A block is a run of layers behind which the net needs nothing from before but the run's last
 * output: a residual block, or RECONSTRUCTION_SPAN structured layers of a chain; the last one ends
 * in the net's outputs. With x what the blocks before it, trained already, give of an image, and r
 * what they give in the reference, the block f lowers
 *
 *     sum over images ||g(r) - f(x)||^2,
 *
 * g being the reference's; where the net ends in [softmax], the last block lowers the cross-entropy
 * of the outputs. Then the whole run of blocks is trained to the reference's outputs likewise. Each
 * of these goes by Adam over epochs of shuffled batches, the rate falling to 0 along a line and
 * being relative to a layer's values: of rate times their root mean square. Patterns, scales and
 * what is not structured stay; values of few bits train as structured_layer.h says. A fraction of
 * the images is held out: where a training does not lower their error, what it did is taken back.
 *
 * Batch normalisation has the statistics of a batch meanwhile. Take those of the net again
 * afterwards (calibration.h).
 *
 * Source: Li et al., BRECQ: pushing the limit of post-training quantization by block
 * reconstruction, ICLR 2021. */
#ifndef RECONSTRUCTION_H
#define RECONSTRUCTION_H

#include "feature_rows.h"

enum { RECONSTRUCTION_SPAN = 2 };

struct reconstruction_request {
    const char *cfg, *weights;                     /* of the net that is trained, */
    const char *reference_cfg, *reference_weights; /* and of the one that it is to equal */
    const struct lines *images;
    int resize;               /* as for pictures_prepare */
    int n_epochs, n_together; /* for each block; for all of them together */
    int batch;
    double rate, holdout;
    uint64_t seed;
};

/* What training one block did. The errors are those of the held-out images, squared, over the
 * squares of the reference's outputs. */
struct reconstruction_block {
    int first, end; /* layers */
    double before, after;
};

struct reconstruction {
    const struct reconstruction_request *request;
    network *net, *reference;
    int n, n_held; /* images that train, and others behind them */
    size_t stride; /* floats from one image to the next */
    float *x, *r;  /* images x stride: what the block that is trained takes, and the reference's */
    int *order;    /* n images */
    int n_blocks;  /* the last one: all of them together */
    struct reconstruction_block *blocks;
};

/* Reads both nets and computes what the first block takes. The request is borrowed. SN_BAD_INPUT
 * where the nets' layers differ in their sizes, none is structured, or no image is left to train or
 * to hold out; SN_IO, SN_NO_MEMORY. A net that is wrong ends the process. The caller frees with
 * reconstruction_close, also after a failure. Memory: both nets for a batch, and two arrays of the
 * images' widest block borders. */
enum sn_status reconstruction_open(struct reconstruction *reconstruction,
                                   const struct reconstruction_request *request,
                                   struct sn_error *error);
void reconstruction_close(struct reconstruction *reconstruction);

/* Floats of an image before a layer. */
size_t reconstruction_width(const network *net, int layer);

/* Computes what the first block takes, in x and r. SN_BAD_INPUT names an image that cannot be
 * decoded. */
enum sn_status reconstruction_inputs(const struct reconstruction *reconstruction,
                                     struct sn_error *error);

/* Trains. Repeats exactly for a seed. SN_NO_MEMORY is the only failure. Cost: for each image a pass
 * through both nets, and for each epoch a forward and a backward pass. */
enum sn_status reconstruction_run(struct reconstruction *reconstruction, struct sn_error *error);

/* Writes the trained net's .weights. SN_IO; the caller checks file. */
enum sn_status reconstruction_write(const struct reconstruction *reconstruction, FILE *file,
                                    struct sn_error *error);

#endif
