/* Classes of characters that can be told apart by their shape.
 *
 * Unicode holds many characters that fonts draw alike: Latin A, Greek alpha and Cyrillic A. As
 * classes of their own they would set a task that no net can solve, since nothing in the picture
 * decides; so characters that look alike share a class. How far apart two characters are is
 * measured on rasters of 24 x 24 pixels, both scaled to fill them (drawn images differ in size and
 * place, so that these decide nothing either):
 *
 *     d(a, b) = sum over pixels of max(0, a - wide(b)) + max(0, b - wide(a)),   wide = 3x3 maximum
 *
 * in whole pixels of ink: what one leaves bare of the other even when moved by a pixel. d is the
 * lesser of that for b and for b mirrored: Darknet mirrors half of its training images, so that a
 * glyph and its mirror image can only be one class. Over the faces it takes the eighth part from
 * below, not the mean: a pair that only some faces draw alike is already one that cannot be told
 * apart there.
 *
 * Average linkage joins the nearest clusters while their mean distance is below 5 pixels; unlike
 * single linkage it forms no chains, whose ends no longer look alike. Then the later one of the two
 * nearest clusters is left out until LOOKALIKES_CLASSES remain: of the characters that are not
 * quite alike, these are the ones that a net confuses.
 *
 * Only training faces are looked at: test faces stay unseen in every respect. O(p^2 f) comparisons
 * of rasters for p code points and f <= 24 faces, in parallel; then O(p^3) for the linkage. */
#ifndef LOOKALIKES_H
#define LOOKALIKES_H

#include "fonts.h"

enum { LOOKALIKES_CLASSES = 500 };

struct lookalikes_class {
    char label[8]; /* "U+" and the first code point, always four digits: none contains another */
    int n_points;
    const int *points; /* ascending, within lookalikes.points */
};

struct lookalikes {
    struct lookalikes_class *classes; /* ascending by label */
    int n_classes;
    int *points; /* by class, ascending within */
    int n_points;
};

/* Divides the code points of the fonts. SN_BAD_INPUT when there are fewer than LOOKALIKES_CLASSES
 * classes. The caller frees after SN_OK. */
enum sn_status lookalikes_find(struct lookalikes *lookalikes, const struct fonts *fonts,
                               struct sn_error *error);

/* Legal on a zeroed struct. */
void lookalikes_free(struct lookalikes *lookalikes);

#endif
