/* Exported nets on a microcontroller: the integer products of what "structnet export" writes. C99
 * without a library, without memory of its own; constants may lie in flash, scratch is the
 * caller's, and nothing is kept between calls.
 *
 * Numbers. An activation is an int8 q that stands for (q - zero) scale. Products take v = (q -
 * zero) << shift, int16, and the int16 states between products in the scale of v. A row of weights
 * w has a scale word of 15 bits, of which the last five are e, and gives
 *
 *     a = sum_j w_j v_j                                     32 bits
 *     t = floor(a word / 2^16)
 *     y = floor((t + bias) / 2^e)                           without a bias floor(2^(e-1))
 *     y = high where y > high, low where y < low            states: 32767, -32767
 *     y = table[y + 128] where there is a table
 *
 * with 32 bits throughout: export sees to it that |a| <= 2^30 and |t + bias| < 2^31 whatever v is.
 * Zero points of outputs and rounding are part of bias. Every processor gives the same bits, those
 * of tests/micro_reference.c: with the DSP and the MVE instructions of Arm, where the compiler has
 * them, and in plain C (which takes >> of negative numbers to be arithmetic).
 *
 * Rows of weights are padded with zeros to a multiple of 4 columns, and of each 4 columns the two
 * in the middle are exchanged, so that a word's even bytes are two columns and its odd bytes the
 * other two. Columns of v behind the last one are read, but count for nothing: arrays of v have
 * room for SN_MICRO_SLACK more numbers. */
#ifndef SN_MICRO_H
#define SN_MICRO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { SN_MICRO_SLACK = 16 };

/* Rows whose sums wait for one another, in scratch. */
enum { SN_MICRO_BATCH = 16 };

/* Of arrays of weights, which are read by words. */
#define SN_MICRO_ALIGNED __attribute__((aligned(4)))

/* ---- What layers share */

/* How a layer takes its inputs, and where they are: q of pixel p and channel c at c pixels + p. */
struct sn_micro_input {
    int16_t zero;
    uint8_t shift;
    uint16_t pixels;
};

/* What becomes of a row's y. */
struct sn_micro_output {
    int16_t low, high;
    uint8_t is_wide; /* int16, else int8 */
    uint8_t has_bias;
    uint16_t step;       /* from one row's output to the next, in numbers */
    const int8_t *table; /* 256, or NULL */
};

/* Rows in the order in which they are multiplied; the pointers move on. */
struct sn_micro_rows {
    const int8_t *weights;
    const uint16_t *scales;
    const int32_t *bias;
};

/* Where outputs go: the next to out[order[0] step], without an order to out. */
struct sn_micro_target {
    const struct sn_micro_output *output;
    const uint16_t *order;
    char *out;
};

/* y of n_rows rows of n_columns columns, behind which rows and the target have moved on. Sums are
 * scratch of SN_MICRO_BATCH numbers; v stands behind them, since a pointer less is less stack.
 * Cost: n_rows n_columns multiply-adds. */
void sn_micro_multiply(struct sn_micro_rows *rows, int32_t *sums, size_t n_columns, size_t n_rows,
                       struct sn_micro_target *target);

/* The same for n rows whose a is known; their weights are not looked at. */
void sn_micro_finish(struct sn_micro_rows *rows, const int32_t *a, size_t n,
                     struct sn_micro_target *target);

/* v[j] of input order[j], or j, j = 0 .. n-1. */
void sn_micro_take(const struct sn_micro_input *input, const int8_t *in, const uint16_t *order,
                   size_t n, int16_t *v);

/* What states become. */
extern const struct sn_micro_output sn_micro_state;

/* ---- Layers: in and out are the activations before and behind, scratch as many bytes as export
 * has found, at a multiple of 4 */

/* The stages of SSS (layers/sss.h). sizes has 4 numbers a stage: its inputs, its outputs, the
 * causal states behind and the anticausal ones before it. */
struct sn_micro_stages {
    uint16_t n_stages, n_inputs;
    uint16_t most_columns; /* of a stage's [D C G], a multiple of 4 */
    uint16_t most_states;  /* of all causal[k], a multiple of 2 */
    const uint16_t *sizes;
    const uint16_t *input_order, *output_order; /* NULL: none */
};

/* SSS, at every pixel. Rows are, for stages N-1 .. 0, [F E], then for stages 0 .. N-1 [D C G] and
 * [B A]. Scratch: a batch's sums, and as int16 what one stage takes, its causal states, and the
 * anticausal states of all stages. */
struct sn_micro_sss {
    struct sn_micro_input input;
    struct sn_micro_output output;
    struct sn_micro_stages stages;
    struct sn_micro_rows rows; /* bias: of the outputs, in their order */
};
void sn_micro_sss(const void *layer, const void *in, const void *other, void *out, void *scratch);

/* The same at one place of an image: in is v itself, int16, of which input_order takes some. */
void sn_micro_sss_at(const void *layer, const void *in, const void *other, void *out,
                     void *scratch);

/* PSM (layers/psm.h), at every pixel: factors from the right to the left. A factor has groups of
 * block rows, 1 or 4, of n blocks each, a column each. Of 4 rows, blocks stand in pairs, the last
 * with one of zeros where they are odd: rows 0 and 1 of the first, of the second, then rows 2
 * and 3. Scratch: a batch's sums, and as int16 the two largest inner vectors and the inputs. */
struct sn_micro_factor {
    uint16_t n_rows, n_columns;
    uint8_t block;
    struct sn_micro_output output; /* of inner vectors; of the last factor the layer's */
    const uint16_t *lengths;       /* a group: its blocks, of 4 rows pairs of blocks */
    const uint16_t *columns;
    struct sn_micro_rows rows;
};
struct sn_micro_psm {
    struct sn_micro_input input;
    uint16_t n_factors, n_inputs, most_inner;
    const struct sn_micro_factor *factors;
    const uint16_t *output_order;
};
void sn_micro_psm(const void *layer, const void *in, const void *other, void *out, void *scratch);

/* The same at one place of an image: in is v itself, int16, of which the columns of the first
 * factor take some. Scratch: without the inputs. */
void sn_micro_psm_at(const void *layer, const void *in, const void *other, void *out,
                     void *scratch);

/* SSS or PSM at every place of an image: its inputs are of the patch of channels x size x size
 * pixels there, outside the image zero, its outputs one number of each channel, step places. No
 * patch is copied: the rows that a row of outputs needs lie in a band, v of channel c, row i and
 * column j at (i channels + c) span + pad + j, and where the layer looks for its inputs is said in
 * such numbers, from the patch's corner on. As integers; micro_float.h has that of floats. Scratch:
 * the band of size channels span numbers, then the layer's. */
struct sn_micro_patches {
    struct sn_micro_input input; /* of a row: its pixels are side by side */
    uint16_t channels, height, width, size, stride, pad, out_height, out_width;
    uint16_t span;     /* width + 2 pad, up to a multiple of 2 */
    uint8_t is_wide;   /* outputs are int16, else int8 */
    uint16_t n_floats; /* outputs, of floats alone */
    void (*run)(const void *layer, const void *in, const void *other, void *out, void *scratch);
    const void *layer;
};
void sn_micro_patches(const void *layer, const void *in, const void *other, void *out,
                      void *scratch);

/* Convolution of an image of groups x channels x height x width, groups x filters x channels x size
 * x size as Darknet has them, or a connected layer, which is one of a single pixel. Scratch: a
 * batch's sums, and channels size^2 numbers of int16. */
struct sn_micro_convolution {
    struct sn_micro_input input; /* pixels: height width */
    struct sn_micro_output output;
    uint16_t channels, height, width, filters, groups, size, stride, pad, out_height, out_width;
    struct sn_micro_rows rows;
};
void sn_micro_convolution(const void *layer, const void *in, const void *other, void *out,
                          void *scratch);

/* The largest of a window of size x size, at stride y - before; outside is nothing. */
struct sn_micro_maxpool {
    uint16_t channels, height, width, size, stride, before, out_height, out_width;
};
void sn_micro_maxpool(const void *layer, const void *in, const void *other, void *out,
                      void *scratch);

/* The mean of each channel: a = sum (q - zero) << shift, of one scale for all. */
struct sn_micro_avgpool {
    struct sn_micro_input input;
    struct sn_micro_output output;
    uint16_t channels, scale;
    int32_t bias;
};
void sn_micro_avgpool(const void *layer, const void *in, const void *other, void *out,
                      void *scratch);

/* n numbers y = floor(((q - zero[0]) m[0] + (q' - zero[1]) m[1] + bias) / 2^e), q of in, q' of
 * other: the sum of two layers; with m[1] = 0 the same numbers in another scale. */
struct sn_micro_sum {
    struct sn_micro_output output;
    uint32_t n;
    int16_t zero[2];
    int32_t m[2], bias;
    uint8_t e;
};
void sn_micro_sum(const void *layer, const void *in, const void *other, void *out, void *scratch);

/* ---- Nets */

/* A layer: where its inputs and outputs are in memory, -1 being those of the net. */
struct sn_micro_step {
    void (*run)(const void *layer, const void *in, const void *other, void *out, void *scratch);
    const void *layer;
    int32_t in, other, out;
};

struct sn_micro_net {
    const struct sn_micro_step *steps;
    uint16_t n_steps;
    uint32_t scratch; /* where in memory that of the layers starts */
};

/* The net's outputs for one input, both as the net has them; memory has NAME_SCRATCH_BYTES, at a
 * multiple of 4. */
void sn_micro_run(const struct sn_micro_net *net, const void *input, void *output, void *memory);

/* The first of the largest of n outputs. */
unsigned sn_micro_largest(const int16_t *outputs, unsigned n);

#ifdef __cplusplus
}
#endif

#endif
