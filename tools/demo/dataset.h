/* The directory of a set of images, as Darknet's classifier takes it:
 *
 *     glyphs.data                          for darknet classifier; backup/ is for the weights
 *     train.txt, test.txt, labels.txt      its lists
 *     train/LABEL/NNNN.png, test/...       the images
 *     classes.tsv, faces.tsv, contact.png  for people: what the labels mean, which face is for
 * what, a sample .make_glyphs                         a mark: whoever finds it may replace the rest
 *
 * The mark is set before anything else, and glyphs.data comes last: an interrupted or failed run
 * leaves a directory that the next run replaces and that Darknet does not take for a whole set.
 * Only a directory with the mark is ever cleared, and of that only what this module writes.
 *
 * Text files and the sample appear whole or not at all. Images are not waited for on the disk,
 * since the same seed draws them again. */
#ifndef DATASET_H
#define DATASET_H

#include "fonts.h"
#include "lookalikes.h"

#include <stdint.h>

enum { DATASET_MAX_IMAGES = 10000 }; /* per class: file names have four digits */

struct dataset {
    const char *directory;
    uint64_t seed;
    int n_images[FONTS_SPLITS]; /* per class, at most DATASET_MAX_IMAGES */
    const struct fonts *fonts;
    const struct lookalikes *lookalikes;
};

/* SN_BAD_INPUT for a name that Darknet would misread: it drops blanks from a .data file, and takes
 * a label wherever it occurs in a path. A name can be checked for blanks before the labels are
 * known: lookalikes is NULL then. */
enum sn_status dataset_check_directory(const struct dataset *dataset, struct sn_error *error);

/* Fills a new or empty directory, or one with the mark, from which the older lists and images are
 * removed first; weights in backup/ stay. SN_BAD_INPUT for any other directory, SN_IO and
 * SN_NO_MEMORY as they come. Draws in parallel, with progress on a terminal. */
enum sn_status dataset_write(const struct dataset *dataset, struct sn_error *error);

#endif
