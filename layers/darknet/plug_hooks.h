/* What the files behind plug.h share. Each piece of state has one owner:
 *
 *     the cfg that is being parsed        plug_parser.c
 *     the weights that are read, written  plug_weights.c
 *     what happens before an exit         plug_exit.c (plug_errors.h)
 *
 * None of it is for several threads: Darknet parses, loads and saves one net at a time. */
#ifndef PLUG_HOOKS_H
#define PLUG_HOOKS_H

#define PLUG_IMPLEMENTATION
#include "plug.h"

#include "cfg_text.h"
#include "sn_error.h"

/* The cfg that is being parsed, NULL at all other times: Darknet's lists know no line numbers. */
const struct cfg_text *plug_cfg(void);

/* Frees what Darknet's free_network leaves, too: the workspace, and the gradients of the inputs. */
void __real_free_network(network *net);
void __wrap_free_network(network *net);

/* Removes what a save that has not ended has written so far. */
void plug_discard_save(void);

/* sn_die while Darknet is in the middle of a line of its layer table. */
void plug_die_in_table(const struct sn_error *error) __attribute__((noreturn));

#endif
