/* How well a net classifies, by the rules that every program here keeps. */
#ifndef EVALUATION_H
#define EVALUATION_H

#include <darknet.h>

/* Writes the centre square of an image, resized to the net's w x h, to its input: what Darknet's
 * "classifier valid" shows a net. */
void evaluation_crop(const network *net, image decoded, float *input);

/* The place of class among n outputs, 0 for the largest; equal outputs count as ahead, so that a
 * net which says nothing scores nothing. */
int evaluation_rank(const float *output, int n, int class);

#endif
