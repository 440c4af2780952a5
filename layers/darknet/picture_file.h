/* Files of images, decoded by the decoder that Darknet brings (stb_image), for every program that
 * reads lists of them. It goes on with zeros where a file ends too early; here that is an error. */
#ifndef PICTURE_FILE_H
#define PICTURE_FILE_H

#include "sn_error.h"

#include <darknet.h>

/* Decodes an image as Darknet does: three channels, values v/255 (free_image). SN_IO names a path
 * that cannot be read, SN_BAD_INPUT one that holds no image or only a part of one. May be called by
 * several threads. */
enum sn_status picture_decode(const char *path, image *picture, struct sn_error *error);

/* What can be said of an image without decoding it: its header is whole, and its size one that
 * picture_decode can have. Errors as of picture_decode. Cost: a read of the header. */
enum sn_status picture_check(const char *path, struct sn_error *error);

#endif
