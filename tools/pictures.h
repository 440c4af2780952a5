/* Lists of images, their classes, and images as inputs of a net. */
#ifndef PICTURES_H
#define PICTURES_H

#include <sn_error.h>

#include <darknet.h>

/* What --help says about --resize and about the class of an image. */
#define PICTURES_RESIZE_HELP                                                                    \
    "  --resize N      prepare images as torchvision does for evaluation: shorter side to\n"    \
    "                  N pixels (antialiased, bilinear), then the centre of the net's size;\n"  \
    "                  256 for nets of 224, 342 for inception_v3. Bit for bit what Resize(N)\n" \
    "                  and CenterCrop make of an 8-bit PIL image. Without it: the centre\n"     \
    "                  square, resized as by \"darknet classifier valid\".\n"
#define PICTURES_LABEL_HELP                                                                      \
    "An image's label names its directory, or stands in its file name as a whole word; a path\n" \
    "that matches no label or several is an error.\n"

enum { PICTURES_MAX_SIZE = 100000 }; /* of --resize, in pixels */

/* The lines of a file, without empty ones and line ends. */
struct lines {
    char **line;
    int n;
};

/* SN_IO when path cannot be read, SN_BAD_INPUT when it has no lines; lines is empty then. */
enum sn_status pictures_read_lines(const char *path, struct lines *lines, struct sn_error *error);

void pictures_free_lines(struct lines *lines);

/* The class of each image by labels_of_path (free()), NULL with error filled when a path has none.
 */
int *pictures_classes(const struct lines *images, const struct lines *labels,
                      struct sn_error *error);

/* SN_BAD_INPUT unless the net of that cfg takes colour images, and resize, the argument of --resize
 * (0: none), is at least its width and height. */
enum sn_status pictures_check(const network *net, const char *cfg, int resize,
                              struct sn_error *error);

/* Decodes the images from start on, a batch at most, into net->input; *n of them. With resize > 0
 * as resample_center does, else as "darknet classifier valid". Ends the process with one line when
 * one cannot be decoded. SN_NO_MEMORY. */
enum sn_status pictures_load(network *net, const struct lines *images, int start, int resize,
                             int *n, struct sn_error *error);

#endif
