/* The runtime of exported nets against the definition of its arithmetic: equal to the bit. */
#include "micro_reference.h"
#include "support.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 16 };

/* What a random layer is made of. */
static int8_t weights[MOST], in[MOST], other[MOST], table[256];
static uint16_t scales[MOST], sizes[400], orders[2][MOST], lengths[2][MOST], columns[2][MOST];
static int32_t biases[MOST];
static int64_t scratch[MOST];
static int16_t out[MOST], expected[MOST];
static uint64_t seed;

static int draw(int least, int most)
{
    return least + (int)random_uniform(&seed, 0, most - least + 1);
}

/* Extreme numbers more often than others. */
static int draw_code(int least, int most)
{
    int kind = draw(0, 5);
    return kind == 0 ? least : kind == 1 ? most : draw(least, most);
}

/* Fresh numbers everywhere. */
static void fill_arrays(void)
{
    for (int i = 0; i < MOST; i++) {
        weights[i] = (int8_t)draw_code(-127, 127);
        in[i] = (int8_t)draw_code(-128, 127);
        other[i] = (int8_t)draw_code(-128, 127);
        scratch[i] = draw(0, 1) ? -1 : 0;
        scales[i] = (uint16_t)(draw(0, 1023) << 5 | draw(0, 24));
        biases[i] = draw(-(1 << 29), 1 << 29) >> draw(0, 29);
        out[i] = expected[i] = 0;
    }
    for (int i = 0; i < 256; i++) table[i] = (int8_t)draw(-128, 127);
}

/* Zeros where rows have no column; returns what follows them. */
static int8_t *pad_rows(int8_t *row, int n_rows, int n_columns)
{
    static const int place[] = { 0, 2, 1, 3 };
    for (int i = 0; i < n_rows; i++, row += (n_columns + 3) / 4 * 4)
        for (int j = n_columns; j % 4; j++) row[j / 4 * 4 + place[j % 4]] = 0;
    return row;
}

static void draw_order(uint16_t *order, int n)
{
    for (int i = 0; i < n; i++) order[i] = (uint16_t)i;
    for (int i = n - 1; i > 0; i--) {
        int k = draw(0, i);
        uint16_t swapped = order[i];
        order[i] = order[k];
        order[k] = swapped;
    }
}

static struct sn_micro_input draw_input(int pixels)
{
    return (struct sn_micro_input){ (int16_t)draw_code(-128, 127), (uint8_t)draw(0, 7),
                                    (uint16_t)pixels };
}

static struct sn_micro_output draw_output(int pixels)
{
    struct sn_micro_output output = { -32767, 32767, 1, 1, (uint16_t)pixels, NULL };
    if (draw(0, 1)) return output;
    output = (struct sn_micro_output){
        -128, 127, 0, 1, (uint16_t)pixels, draw(0, 1) ? table : NULL
    };
    if (!output.table) output.low = (int16_t)draw(-128, 0);
    return output;
}

static void compare(const struct sn_micro_step *step, const char *what, int a, int b)
{
    step->run(step->layer, in, other, out, scratch);
    micro_reference(step, in, other, expected);
    cr_assert(!memcmp(out, expected, sizeof out), "%s %d %d", what, a, b);
}

/* A connected layer of the arrays' numbers. */
static struct sn_micro_convolution connected(struct sn_micro_input input,
                                             struct sn_micro_output output, int n, int m)
{
    pad_rows(weights, m, n);
    return (struct sn_micro_convolution){ .input = input,
                                          .output = output,
                                          .channels = (uint16_t)n,
                                          .height = 1,
                                          .width = 1,
                                          .filters = (uint16_t)m,
                                          .groups = 1,
                                          .size = 1,
                                          .stride = 1,
                                          .out_height = 1,
                                          .out_width = 1,
                                          .rows = { weights, scales, biases } };
}

Test(micro, small_products_equal_the_definition)
{
    seed = 1;
    for (int n = 1; n <= 17; n++)
        for (int m = 1; m <= 34; m += m == 9 ? 7 : 1) { /* beyond two batches */
            fill_arrays();
            struct sn_micro_input input = draw_input(1);
            struct sn_micro_convolution layer = connected(input, draw_output(1), n, m);
            compare(&(struct sn_micro_step){ .run = sn_micro_convolution, .layer = &layer },
                    "connected", n, m);
        }
}

/* 4,112 columns of 127 times 255: more than 2^27. */
Test(micro, long_sums_of_extreme_numbers_equal_the_definition)
{
    seed = 2;
    fill_arrays();
    for (int sign = -1; sign <= 1; sign += 2) {
        memset(weights, sign * 127, sizeof weights);
        memset(in, 127, sizeof in);
        struct sn_micro_convolution layer = connected((struct sn_micro_input){ -128, 3, 1 },
                                                      (struct sn_micro_output){ -32767, 32767, 1, 1,
                                                                                1, NULL },
                                                      4112, 3);
        compare(&(struct sn_micro_step){ .run = sn_micro_convolution, .layer = &layer }, "long",
                sign, 0);
    }
}

Test(micro, convolutions_and_pools_equal_the_definition)
{
    seed = 3;
    for (int trial = 0; trial < 60; trial++) {
        int size = draw(1, 4), stride = draw(1, 3), pad = draw(0, size - 1), h = draw(size, 9),
            w = draw(size, 9), groups = draw(1, 3);
        fill_arrays();
        struct sn_micro_convolution layer = {
            .input = draw_input(h * w),
            .output = draw_output(0),
            .channels = (uint16_t)draw(1, 5),
            .height = (uint16_t)h,
            .width = (uint16_t)w,
            .filters = (uint16_t)draw(1, 5),
            .groups = (uint16_t)groups,
            .size = (uint16_t)size,
            .stride = (uint16_t)stride,
            .pad = (uint16_t)pad,
            .out_height = (uint16_t)((h + 2 * pad - size) / stride + 1),
            .out_width = (uint16_t)((w + 2 * pad - size) / stride + 1),
            .rows = { weights, scales, biases }
        };
        layer.output.step = (uint16_t)(layer.out_height * layer.out_width);
        pad_rows(weights, layer.filters * groups, layer.channels * size * size);
        compare(&(struct sn_micro_step){ .run = sn_micro_convolution, .layer = &layer },
                "convolution", trial, size);
        struct sn_micro_maxpool pool = { layer.channels,
                                         layer.height,
                                         layer.width,
                                         layer.size,
                                         layer.stride,
                                         (uint16_t)(pad / 2),
                                         (uint16_t)((h + pad - size) / stride + 1),
                                         (uint16_t)((w + pad - size) / stride + 1) };
        compare(&(struct sn_micro_step){ .run = sn_micro_maxpool, .layer = &pool }, "maxpool",
                trial, size);
        struct sn_micro_avgpool mean = { layer.input, layer.output, layer.channels, scales[trial],
                                         biases[trial] };
        mean.output.step = 1;
        compare(&(struct sn_micro_step){ .run = sn_micro_avgpool, .layer = &mean }, "avgpool",
                trial, size);
        struct sn_micro_sum both = { .output = layer.output,
                                     .n = (uint32_t)(h * w),
                                     .zero = { layer.input.zero, -3 },
                                     .m = { draw(-(1 << 20), 1 << 20), draw(-1, 1) * (1 << 19) },
                                     .bias = draw(-(1 << 26), 1 << 26),
                                     .e = (uint8_t)draw(0, 20) };
        compare(&(struct sn_micro_step){ .run = sn_micro_sum, .layer = &both }, "sum", trial, h);
    }
}

/* Stages of random sizes, at so many pixels; orders are drawn for *n inputs and *m outputs. */
static struct sn_micro_sss draw_sss(int pixels, int *n, int *m)
{
    int n_stages = draw(1, 6), most_columns = 0, most_states = 0, before = 0;
    *n = *m = 0;
    for (int k = 0; k < n_stages; k++) {
        sizes[4 * k] = (uint16_t)draw(0, 17);
        sizes[4 * k + 1] = (uint16_t)draw(0, 34);
        sizes[4 * k + 2] = (uint16_t)(k + 1 < n_stages ? draw(0, 6) : 0);
        sizes[4 * k + 3] = (uint16_t)(k ? draw(0, 6) : 0);
    }
    for (int k = 0; k < n_stages; k++) {
        int next = k + 1 < n_stages ? sizes[4 * k + 7] : 0, row = sizes[4 * k] + before + next;
        most_columns = row > most_columns ? row : most_columns;
        most_states = before > most_states ? before : most_states;
        before = sizes[4 * k + 2];
        *n += sizes[4 * k];
        *m += sizes[4 * k + 1];
    }
    int8_t *row = weights;
    for (int k = n_stages; k-- > 0;)
        row = pad_rows(row, sizes[4 * k + 3],
                       sizes[4 * k] + (k + 1 < n_stages ? sizes[4 * k + 7] : 0));
    for (int k = 0; k < n_stages; k++) {
        int next = k + 1 < n_stages ? sizes[4 * k + 7] : 0,
            known = sizes[4 * k] + (k ? sizes[4 * k - 2] : 0);
        row = pad_rows(row, sizes[4 * k + 1], known + next);
        row = pad_rows(row, sizes[4 * k + 2], known);
    }
    draw_order(orders[0], *n);
    draw_order(orders[1], *m);
    return (struct sn_micro_sss){
        .input = draw_input(pixels),
        .output = draw_output(pixels),
        .stages = { (uint16_t)n_stages, (uint16_t)*n, (uint16_t)((most_columns + 3) / 4 * 4),
                    (uint16_t)((most_states + 1) / 2 * 2), sizes, draw(0, 1) ? orders[0] : NULL,
                    draw(0, 1) ? orders[1] : NULL },
        .rows = { weights, scales, biases }
    };
}

Test(micro, sss_equals_the_definition)
{
    seed = 4;
    for (int trial = 0; trial < 200; trial++) {
        int n, m;
        fill_arrays();
        struct sn_micro_sss layer = draw_sss(draw(1, 3), &n, &m);
        compare(&(struct sn_micro_step){ .run = sn_micro_sss, .layer = &layer }, "sss", trial,
                layer.stages.n_stages);
    }
}

/* Up to three factors of so many columns, at so many pixels; orders are drawn for the outputs. */
static struct sn_micro_psm draw_psm(int pixels, int n, struct sn_micro_factor factors[3])
{
    int n_factors = draw(1, 3), n_inputs = n, block = draw(0, 1) ? 4 : 1, at = 0;
    for (int k = 0; k < n_factors; k++) {
        int m = draw(1, 34), groups = (m + block - 1) / block;
        for (int g = 0; g < groups; g++) lengths[0][at + g] = (uint16_t)draw(0, 4);
        for (int i = 0; i < 400; i++) columns[0][400 * k + i] = (uint16_t)draw(0, n - 1);
        factors[k] = (struct sn_micro_factor){ (uint16_t)m,
                                               (uint16_t)n,
                                               (uint8_t)block,
                                               k + 1 < n_factors ? sn_micro_state
                                                                 : draw_output(pixels),
                                               lengths[0] + at,
                                               columns[0] + 400 * k,
                                               { weights + 4000 * k, scales + 100 * k, biases } };
        at += groups;
        n = m;
    }
    draw_order(orders[0], n);
    return (struct sn_micro_psm){
        draw_input(pixels),           (uint16_t)n_factors, (uint16_t)n_inputs, 34, factors,
        draw(0, 1) ? orders[0] : NULL
    };
}

Test(micro, psm_equals_the_definition)
{
    seed = 5;
    for (int trial = 0; trial < 200; trial++) {
        struct sn_micro_factor factors[3];
        fill_arrays();
        struct sn_micro_psm layer = draw_psm(draw(1, 3), draw(1, 17), factors);
        compare(&(struct sn_micro_step){ .run = sn_micro_psm, .layer = &layer }, "psm", trial,
                factors[0].block);
    }
}

static struct sn_micro_patches draw_patches(void)
{
    int size = draw(1, 4), stride = draw(1, 3), pad = draw(0, size), h = draw(size, 9),
        w = draw(size, 9);
    return (struct sn_micro_patches){ .input = draw_input(1),
                                      .channels = (uint16_t)draw(1, 5),
                                      .height = (uint16_t)h,
                                      .width = (uint16_t)w,
                                      .size = (uint16_t)size,
                                      .stride = (uint16_t)stride,
                                      .pad = (uint16_t)pad,
                                      .out_height = (uint16_t)((h + 2 * pad - size) / stride + 1),
                                      .out_width = (uint16_t)((w + 2 * pad - size) / stride + 1),
                                      .span = (uint16_t)((w + 2 * pad + 1) / 2 * 2) };
}

/* Somewhere in the patch at the band's left end. */
static uint16_t draw_place(const struct sn_micro_patches *p)
{
    int row = draw(0, p->size - 1), channel = draw(0, p->channels - 1);
    return (uint16_t)((row * p->channels + channel) * p->span + draw(0, p->size - 1));
}

Test(micro, patches_equal_the_definition)
{
    seed = 6;
    for (int trial = 0; trial < 200; trial++) {
        struct sn_micro_patches layer = draw_patches();
        int places = layer.out_height * layer.out_width, n, m;
        struct sn_micro_factor factors[3];
        fill_arrays();
        struct sn_micro_psm psm = draw_psm(places, 17, factors);
        for (int i = 0; i < 400; i++) columns[0][i] = draw_place(&layer);
        layer.run = sn_micro_psm_at;
        layer.layer = &psm;
        layer.is_wide = factors[psm.n_factors - 1].output.is_wide;
        compare(&(struct sn_micro_step){ .run = sn_micro_patches, .layer = &layer },
                "psm of patches", trial, layer.size);
        struct sn_micro_sss sss = draw_sss(places, &n, &m);
        for (int i = 0; i < n; i++) orders[0][i] = draw_place(&layer);
        sss.stages.input_order = orders[0];
        layer.run = sn_micro_sss_at;
        layer.layer = &sss;
        layer.is_wide = sss.output.is_wide;
        compare(&(struct sn_micro_step){ .run = sn_micro_patches, .layer = &layer },
                "sss of patches", trial, layer.size);
    }
}
