/* Part of a Darknet net as one of integers (layers/micro.h), its layers made from ranges that
 * samples have shown, or of floats (layers/micro_float.h). */
#ifndef EXPORT_NET_H
#define EXPORT_NET_H

#include <micro.h>
#include <sn_error.h>

#include <darknet.h>
#include <stddef.h>

/* What a layer gave for all samples: before and behind its activation, and the largest of its
 * states. */
struct export_range {
    float pre_low, pre_high, low, high, state;
};

/* An integer q stands for (q - zero) scale, a float for itself. */
struct export_number {
    double scale;
    int zero, is_wide; /* int16, else int8 */
    int is_float;
};

struct export_net {
    struct sn_micro_net net;
    struct sn_micro_step *steps;
    struct export_number input, output;
    size_t n_inputs, n_outputs, n_bytes; /* of what memory holds: */
    double multiply_adds;
    void **blocks; /* all arrays; net owns them */
    size_t n_blocks, const_bytes;
    double tolerance; /* of the self-test's outputs, which processors round differently in floats */
};

/* Layers first .. last of a net, [softmax], [cost] and [dropout] at the end left out: *last becomes
 * the one whose outputs are the result. SN_BAD_INPUT names the first layer that cannot be exported.
 */
enum sn_status export_check(const network *net, const char *cfg, int first, int *last,
                            struct sn_error *error);

/* Runs the layers on n samples of the inputs of layer first, every step-th row of x, one at a time.
 * ranges has net->n elements; *input is that of x. outputs (n rows of the last layer's) may be
 * NULL. */
enum sn_status export_ranges(network *net, int first, int last, const float *x, size_t n,
                             size_t step, struct export_range *input, struct export_range *ranges,
                             float *outputs, struct sn_error *error);

/* The net of integers, or of floats, for which ranges say nothing; the caller frees with
 * export_free. */
enum sn_status export_build(const network *net, int first, int last, int is_float,
                            const struct export_range *input, const struct export_range *ranges,
                            struct export_net *out, struct sn_error *error);
void export_free(struct export_net *net);

/* Bytes of one input, and of what it gives. */
size_t export_input_bytes(const struct export_net *net);
size_t export_output_bytes(const struct export_net *net);

/* x as the net's inputs; y: its outputs as floats. memory, of export_memory_bytes, holds those
 * inputs, what sn_micro_run needs, and the outputs as the net gives them, one behind the other at
 * multiples of 4 bytes; export_run returns these outputs. y may be NULL. */
size_t export_memory_bytes(const struct export_net *net);
const void *export_run(const struct export_net *net, const float *x, float *y, void *memory);

/* NAME.c and NAME.h, in this order, whose names begin with name; x is the input of the self-test.
 */
enum sn_status export_write_source(struct export_net *net, const char *name, const float *x,
                                   FILE *file, struct sn_error *error);
void export_write_header(const struct export_net *net, const char *name, FILE *file);

#endif
