/* Exported nets of floats: the products of "structnet export --bits 32", steps of the same nets as
 * those of integers (micro.h), which sn_micro_run runs. C99 without a library but for the
 * compiler's own functions where a processor has no floating-point unit.
 *
 * An activation is a float32, at c pixels + p of channel c and pixel p. A row of weights w gives
 *
 *     y = activate(sum_j w_j v_j + bias)
 *     y = high where y > high, low where y < low
 *
 * Rows stand in panels of four, the last one of what is left: of each column the panel's weights,
 * so that one number of v meets four of them. Sums are float32, in an order and with roundings that
 * depend on the processor. */
#ifndef SN_MICRO_FLOAT_H
#define SN_MICRO_FLOAT_H

#include "micro.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- What layers share */

/* What becomes of a row's sum. */
struct sn_micro_float_output {
    float low, high;
    float (*activate)(float x); /* NULL: nothing but the limits */
};

/* Rows in the order in which they are multiplied; the pointers move on. */
struct sn_micro_float_rows {
    const float *weights;
    const float *bias; /* NULL: none */
};

/* Where outputs go: the next to out[order[0] step], without an order to out. */
struct sn_micro_float_target {
    const struct sn_micro_float_output *output;
    const uint16_t *order;
    float *out;
    size_t step;
};

/* y of n_rows rows of n_columns columns, behind which rows and the target have moved on. Cost:
 * n_rows n_columns multiply-adds. */
void sn_micro_float_multiply(struct sn_micro_float_rows *rows, const float *v, size_t n_columns,
                             size_t n_rows, struct sn_micro_float_target *target);

/* The same for n rows whose sums are known; their weights are not looked at. */
void sn_micro_float_finish(struct sn_micro_float_rows *rows, const float *sums, size_t n,
                           struct sn_micro_float_target *target);

/* What states become: nothing else. */
extern const struct sn_micro_float_output sn_micro_float_state;

/* Darknet's activations but for linear, relu and hardtan, which are limits. Those with an
 * exponential are right to a few units in the last place. */
float sn_micro_float_logistic(float x);
float sn_micro_float_loggy(float x);
float sn_micro_float_tanh(float x);
float sn_micro_float_elu(float x);
float sn_micro_float_selu(float x);
float sn_micro_float_relie(float x);
float sn_micro_float_ramp(float x);
float sn_micro_float_leaky(float x);
float sn_micro_float_plse(float x);
float sn_micro_float_stair(float x);
float sn_micro_float_lhtan(float x);

/* ---- Layers: as those of micro.h, in floats */

/* SSS; scratch: as of integers, as float32. */
struct sn_micro_float_sss {
    struct sn_micro_float_output output;
    uint16_t pixels;
    struct sn_micro_stages stages;
    struct sn_micro_float_rows rows;
};
void sn_micro_float_sss(const void *layer, const void *in, const void *other, void *out,
                        void *scratch);

/* PSM: a factor has groups of block rows, 1 or 4, of n blocks each: of each its column and its
 * block weights. Scratch: the inputs, where they are not those of a single pixel, and the two
 * largest inner vectors. */
struct sn_micro_float_factor {
    uint16_t n_rows;
    uint8_t block;
    const uint16_t *lengths; /* a group: its blocks */
    const uint16_t *columns;
    struct sn_micro_float_rows rows;
};
struct sn_micro_float_psm {
    struct sn_micro_float_output output;
    uint16_t pixels, n_factors, n_inputs, most_inner;
    const struct sn_micro_float_factor *factors;
    const uint16_t *output_order;
};
void sn_micro_float_psm(const void *layer, const void *in, const void *other, void *out,
                        void *scratch);

/* A layer of one pixel, at every place of an image (struct sn_micro_patches). Scratch: the band and
 * the outputs at one place, then the layer's. */
void sn_micro_float_patches(const void *layer, const void *in, const void *other, void *out,
                            void *scratch);

/* Convolution, or a connected layer. Scratch: channels size^2 numbers, for a connected one none. */
struct sn_micro_float_convolution {
    struct sn_micro_float_output output;
    uint16_t channels, height, width, filters, groups, size, stride, pad, out_height, out_width;
    struct sn_micro_float_rows rows; /* those of each group begin with a panel */
};
void sn_micro_float_convolution(const void *layer, const void *in, const void *other, void *out,
                                void *scratch);

/* The largest of a window; struct sn_micro_maxpool says which. */
void sn_micro_float_maxpool(const void *layer, const void *in, const void *other, void *out,
                            void *scratch);

/* The mean of each channel. */
struct sn_micro_float_avgpool {
    struct sn_micro_float_output output;
    uint16_t channels, pixels;
};
void sn_micro_float_avgpool(const void *layer, const void *in, const void *other, void *out,
                            void *scratch);

/* n numbers factor[0] of in + factor[1] of other. */
struct sn_micro_float_sum {
    struct sn_micro_float_output output;
    uint32_t n;
    float factor[2];
};
void sn_micro_float_sum(const void *layer, const void *in, const void *other, void *out,
                        void *scratch);

/* The first of the largest of n outputs. */
unsigned sn_micro_float_largest(const float *outputs, unsigned n);

#ifdef __cplusplus
}
#endif

#endif
