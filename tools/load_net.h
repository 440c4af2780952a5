/* Nets for tools: Darknet's parser and loader, without their chatter. */
#ifndef LOAD_NET_H
#define LOAD_NET_H

#include <darknet.h>
#include <sn_error.h>
#include <stdio.h>

/* Parses cfg and, unless weights is NULL, loads the weights, whose length must match to the byte.
 * Ends the process with one line when either is wrong. The caller frees with free_network. */
network *load_net(const char *cfg, const char *weights);

/* SN_BAD_INPUT where a layer from first on has dontload=1 or dontloadscales=1, so that the weights
 * do not hold all of it. The paths are for the message. */
enum sn_status load_check_whole(const network *net, int first, const char *cfg, const char *weights,
                                struct sn_error *error);

/* A path by which Darknet opens a file that has no name. */
struct load_path {
    char text[32];
};
struct load_path load_path_of(FILE *file);

/* Between these two Darknet's stderr goes nowhere. When Darknet ends the process there, what it
 * said is printed as one line behind the program's name. */
void load_begin_quiet(void);
void load_end_quiet(void);

#endif
