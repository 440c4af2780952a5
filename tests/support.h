/* What several tests need. */
#ifndef SUPPORT_H
#define SUPPORT_H

#include <cfg_text.h>
#include <family.h>
#include <fit.h>
#include <psm.h>

#include <darknet.h>
#include <stddef.h>
#include <stdint.h>

/* The settings of a fit: one, several. They live as long as the block around them. */
#define SETTING(name, value) SETTINGS({ name, value })
#define SETTINGS(...)        ((const struct sn_fit_setting[]){ __VA_ARGS__, { NULL, 0 } })

/* Independent of rand(), so that a test's data does not depend on what Darknet draws. */
double random_uniform(uint64_t *state, double from, double to);
int random_int(uint64_t *state, int from, int to); /* both ends included */

/* A path below a directory of this process' own, which is removed at its end. The string is static.
 */
const char *temporary_path(const char *name);

void write_file(const char *path, const void *data, size_t n_bytes);
char *read_file_bytes(const char *path, size_t *n_bytes); /* free() */

/* A net from the text of its cfg, with Darknet's rand() seeded and its chatter silenced. */
network *net_from_text(const char *text, unsigned seed);

/* The first section of the cfg text that names a family, parsed for the given sizes. cfg_free what
 * *cfg receives. */
struct sn_matrix *matrix_from_text(const char *section, int n_outputs, int n_inputs,
                                   struct cfg_text **cfg, struct sn_error *error);

/* Whether unpacking the words leaves the pattern and order as they are: what psm_pack wrote there
 * is theirs. */
int psm_reads_back(struct psm *shape, const float *words);

/* Runs action(argument) in a child process. Returns its exit status, or 128 + the signal; what it
 * wrote on stderr goes to text. */
int run_in_child(void (*action)(const void *argument), const void *argument, char *text,
                 size_t size);

/* Trains on n_batches of random images and one-hot labels; losses[n_batches] receives the cost of
 * each. */
void train_random(network *net, int n_batches, uint64_t seed, float *losses);

#endif
