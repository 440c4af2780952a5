/* Glyphs as pixels: the plain coverage that look-alikes are compared by, and the varied colour
 * images that a net learns from.
 *
 * The variation is what a net has to see through: place, size, slant, turn, colours and noise
 * differ from image to image, while the ground is always at least 100 of 255 brighter or darker
 * than the ink, so that every image can be read. Each image draws from a generator of its own,
 * seeded by (seed, split, first code point of its class, index): it depends neither on the number
 * of threads nor on which other images are drawn.
 *
 * Results are the same on every machine: compile without fused multiply-adds (-ffp-contract=off),
 * which round differently. Nothing here fails; stb_truetype draws nothing when it is out of memory.
 */
#ifndef DRAWING_H
#define DRAWING_H

#include "fonts.h"

#include <stdint.h>

enum { DRAWING_SIZE = 32, DRAWING_BYTES = DRAWING_SIZE * DRAWING_SIZE * 3 };

/* Coverage (0..255) of a glyph on n x n pixels, n <= 64: its outline after
 *
 *     x' = matrix[0] x + matrix[1] y,   y' = matrix[2] x + matrix[3] y,
 *
 * scaled so that the longer side of its box is `size` pixels, the centre of the box at (centre_x,
 * centre_y), y downward. Returns 0 when the outline is flat; all pixels are 0 then. */
int drawing_glyph(const struct fonts_face *face, int glyph, const double matrix[4], double size,
                  double centre_x, double centre_y, unsigned char *pixels, int n);

/* Image `index` of a class, DRAWING_SIZE x DRAWING_SIZE pixels of red, green, blue: any of its
 * n_points characters in any face of the split that has it. Returns 0 when 10,000 tries found no
 * such face. */
int drawing_image(const struct fonts *fonts, const int *points, int n_points, uint64_t seed,
                  int split, int index, unsigned char image[DRAWING_BYTES]);

#endif
