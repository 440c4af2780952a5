/* Nets for tools: Darknet's parser and loader, without their chatter. */
#ifndef LOAD_NET_H
#define LOAD_NET_H

#include <darknet.h>

/* Parses cfg and, unless weights is NULL, loads the weights, whose length must match to the byte.
 * Ends the process with one line when either is wrong. The caller frees with free_network. */
network *load_net(const char *cfg, const char *weights);

/* Between these two Darknet's stderr goes nowhere. When Darknet ends the process there, what it
 * said is printed as one line behind the program's name. */
void load_begin_quiet(void);
void load_end_quiet(void);

#endif
