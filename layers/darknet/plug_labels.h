/* Forced into Darknet's src/data.c, which loads images in threads, by the compiler's -include: it
 * asks for the class of an image as labels.h has it. */
#ifndef PLUG_LABELS_H
#define PLUG_LABELS_H

#include <string.h>

/* Whether that label is the one of the path, in place of Darknet's strstr(path, label): path when
 * it is, else NULL. Outside of `darknet classifier`, strstr itself. */
char *plug_find_label(const char *path, const char *label);

#ifndef PLUG_IMPLEMENTATION
#define strstr plug_find_label
#endif
#endif
