/* Trees of classes, as [softmax] and [region] name them: a class a line, as its name and the number
 * of its parent's line, from 0 on, or -1; the children of a class stand together. */
#ifndef PLUG_TREE_H
#define PLUG_TREE_H

#include "sn_error.h"

/* SN_BAD_INPUT with file and line unless Darknet's reader can hold each line and there are n of
 * them, parents before children; SN_IO, SN_NO_MEMORY. */
enum sn_status plug_check_tree(const char *path, long long n, struct sn_error *error);

#endif
