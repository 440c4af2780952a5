/* The statistics of batch normalisation, taken again over images, for a net whose layers were
 * replaced or whose images are others than it was trained on. Of each channel f of a layer, y being
 * what its matrix gives at all n pixels of all images in prediction,
 *
 *     mean_f = sum y / n,    variance_f = sum (y - mean_f)^2 / (n - 1) + 1e-5,
 *
 * as Darknet has them of a batch but for the last term, which PyTorch adds and structnet import
 * therefore adds too: trained nets have channels that are next to constant, and without it their
 * noise would become as large as the signals of others. The layers before are normalised by their
 * own new statistics.
 *
 * That takes one pass over the images for each layer. Statistics of all layers from one pass, the
 * next one seeing those, would not do: an error of one layer's scale goes into all behind it, and
 * grows for many passes before it vanishes.
 *
 * Sums are formed in double, batch by batch in order, by the updating formula of Chan, Golub and
 * LeVeque, Algorithms for computing the sample variance, Am. Stat. 37(3), 1983. */
#ifndef CALIBRATION_H
#define CALIBRATION_H

#include "feature_rows.h"

struct calibration {
    int n_layers, n_channels; /* of all layers with statistics */
    double change;            /* what changed most: a mean or a deviation, over the deviation */
};

/* Takes them for the nets of all workers of features, over all of its views. SN_BAD_INPUT when no
 * layer has statistics that the weights file holds, when there is one value of a channel alone, or
 * an image cannot be decoded; SN_NO_MEMORY. Memory: what nets take, and a few megabytes. Cost: for
 * each layer a forward pass of each image up to it. */
#define CALIBRATION_EPSILON 1e-5
enum sn_status calibration_run(struct features *features, struct calibration *calibration,
                               struct sn_error *error);

/* Copies the .weights file at path with the statistics of net, which was read from it: every other
 * byte stays. SN_IO; the caller checks file. */
enum sn_status calibration_write(const char *path, const network *net, FILE *file,
                                 struct sn_error *error);

#endif
