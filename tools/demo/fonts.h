/* The faces that glyphs are drawn from, and the code points that most of them have.
 *
 * A face is one font file: one weight and slope of a family. Families that share one drawing form a
 * design. A whole design belongs to training or to test, never a single face: a bold face beside
 * its regular one would show the net nearly the same outlines, and a test on it would measure
 * memory. A table names the designs of Debian's packages; of the families that it does not know
 * each is a design of its own, and every fifth by name is for test.
 *
 * Faces are sorted by path, so that the order of files on the disk decides nothing. */
#ifndef FONTS_H
#define FONTS_H

#include <sn_error.h>

#include <stb/stb_truetype.h>
#include <stddef.h>

/* Which images a face is for: an index into whatever there is for each. */
enum { FONTS_TRAIN, FONTS_TEST, FONTS_SPLITS };

extern const char *const fonts_split_names[FONTS_SPLITS]; /* "train", "test" */

struct fonts_face {
    char *path;
    char family[64];
    const char *design;   /* a name of the table, or the family itself */
    int n_design_faces;   /* faces of that design */
    int split;            /* FONTS_TRAIN or FONTS_TEST */
    unsigned char *bytes; /* the mapped file */
    size_t n_bytes;
    stbtt_fontinfo info;
};

struct fonts {
    struct fonts_face *faces; /* ascending by path */
    int n_faces;
    int *points; /* Unicode code points that seven faces in ten have, ascending */
    int n_points;
};

/* Opens the faces of the n directories, or those of Debian's packages when n is 0, which have
 * Latin, Greek and Cyrillic; other faces are passed over, a file that is no font is an error.
 * SN_BAD_INPUT also for fewer than 20 faces, for a split without faces and for fewer than n_least
 * code points. The caller closes the fonts after SN_OK; on failure nothing is left open. */
enum sn_status fonts_open(struct fonts *fonts, char *const *directories, int n, int n_least,
                          struct sn_error *error);

/* Legal on a zeroed struct. */
void fonts_close(struct fonts *fonts);

/* The glyph of a code point, or 0 when the face lacks it or it is blank. */
int fonts_glyph(const struct fonts_face *face, int point);

/* How many faces, and how many different designs, a split has. */
int fonts_count_faces(const struct fonts *fonts, int split);
int fonts_count_designs(const struct fonts *fonts, int split);

#endif
