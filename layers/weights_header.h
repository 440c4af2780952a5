/* The header of a Darknet .weights file: int32 major, minor, revision, then the count of images
 * seen in training, 8 bytes from version 0.2 on, 4 before. Behind it stand the layers in order, all
 * in float32 words, in the byte order of the machine. */
#ifndef WEIGHTS_HEADER_H
#define WEIGHTS_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct weights_header {
    int32_t major, minor, revision;
};

/* The version that is written where no file sets one. */
#define WEIGHTS_HEADER_NEW \
    (struct weights_header) { .minor = 2 }

/* 16 or 20. */
size_t weights_header_bytes(const struct weights_header *header);

/* Whether it is a version of Darknet's, whose numbers are from 0 to the thousands: others overflow
 * where Darknet computes with them. */
int weights_header_is_known(const struct weights_header *header);

/* Reads the version and passes over the count. 0 when the file ends before. */
int weights_header_read(struct weights_header *header, FILE *file);

/* Writes the version and a count of 0 images. Failures stay in ferror(file). */
void weights_header_write(const struct weights_header *header, FILE *file);

#endif
