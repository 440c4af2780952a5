/* The runtime of exported nets of floats against the formulas of micro_float.h in float64. */
#include "support.h"

#include <activations.h>
#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <micro_float.h>
#include <string.h>

enum { MOST = 1 << 14, UNTOUCHED = 12345 };

/* What a random layer is made of. */
static float weights[MOST], bias[MOST], in[MOST], other[MOST], scratch[MOST], out[MOST];
static double expected[MOST];
static uint16_t sizes[100], orders[2][MOST], lengths[MOST], columns[MOST];
static uint64_t seed;

static int draw(int least, int most)
{
    return least + (int)random_uniform(&seed, 0, most - least + 1);
}

/* Fresh numbers everywhere; scratch has none that could be mistaken for one. */
static void fill_arrays(void)
{
    for (int i = 0; i < MOST; i++) {
        weights[i] = (float)random_uniform(&seed, -1, 1);
        bias[i] = (float)random_uniform(&seed, -1, 1);
        in[i] = (float)random_uniform(&seed, -1, 1);
        other[i] = (float)random_uniform(&seed, -1, 1);
        scratch[i] = NAN;
        out[i] = UNTOUCHED;
        expected[i] = UNTOUCHED;
    }
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

static struct sn_micro_float_output draw_output(void)
{
    struct sn_micro_float_output output = { -FLT_MAX, FLT_MAX, NULL };
    if (draw(0, 1)) output.low = 0;
    if (draw(0, 1)) output.high = .75f;
    if (draw(0, 1)) output.activate = sn_micro_float_leaky;
    return output;
}

static double finish(double y, const struct sn_micro_float_output *output)
{
    if (output->activate && y < 0) y *= .1;
    return fmin(fmax(y, (double)output->low), (double)output->high);
}

/* Weight i, j of m rows of n columns in panels. */
static double weight(const float *w, int m, int n, int i, int j)
{
    int first = i / 4 * 4, rows = m - first < 4 ? m - first : 4;
    return (double)w[first * n + j * rows + i - first];
}

/* Sums are of some hundred numbers below some units in all, and float32 has 24 bits. */
static void compare(const struct sn_micro_step *step, const char *what, int a, int b)
{
    double most = 1;
    step->run(step->layer, in, other, out, scratch);
    for (int i = 0; i < MOST; i++)
        if (expected[i] != UNTOUCHED) most = fmax(most, fabs(expected[i]));
    for (int i = 0; i < MOST; i++)
        cr_assert(fabs((double)out[i] - expected[i]) <= 3e-6 * most, "%s %d %d: output %d", what, a,
                  b, i);
}

static void convolve(const struct sn_micro_float_convolution *c)
{
    int n = c->channels * c->size * c->size, m = c->filters;
    for (int f = 0; f < m * c->groups; f++)
        for (int i = 0; i < c->out_height; i++)
            for (int j = 0; j < c->out_width; j++) {
                double sum = (double)bias[f];
                for (int k = 0; k < n; k++) {
                    int channel = f / m * c->channels + k / (c->size * c->size),
                        h = i * c->stride + k / c->size % c->size - c->pad,
                        w = j * c->stride + k % c->size - c->pad;
                    if (h < 0 || h >= c->height || w < 0 || w >= c->width) continue;
                    sum += weight(weights + f / m * m * n, m, n, f % m, k)
                        * (double)in[(channel * c->height + h) * c->width + w];
                }
                expected[(f * c->out_height + i) * c->out_width + j] = finish(sum, &c->output);
            }
}

Test(micro_float, small_products_equal_the_formula)
{
    seed = 1;
    for (int n = 1; n <= 17; n++)
        for (int m = 1; m <= 9; m++) {
            fill_arrays();
            struct sn_micro_float_convolution layer = {
                draw_output(), (uint16_t)n, 1, 1, (uint16_t)m, 1, 1, 1, 0, 1, 1, { weights, bias }
            };
            convolve(&layer);
            compare(&(struct sn_micro_step){ .run = sn_micro_float_convolution, .layer = &layer },
                    "connected", n, m);
        }
}

static void pool(const struct sn_micro_maxpool *m)
{
    for (int i = 0; i < m->channels * m->out_height * m->out_width; i++) {
        int c = i / (m->out_height * m->out_width), y = i / m->out_width % m->out_height,
            x = i % m->out_width;
        expected[i] = -(double)FLT_MAX;
        for (int k = 0; k < m->size * m->size; k++) {
            int h = y * m->stride + k / m->size - m->before,
                w = x * m->stride + k % m->size - m->before;
            if (h >= 0 && h < m->height && w >= 0 && w < m->width)
                expected[i] = fmax(expected[i], (double)in[(c * m->height + h) * m->width + w]);
        }
    }
}

Test(micro_float, convolutions_and_pools_equal_the_formula)
{
    seed = 2;
    for (int trial = 0; trial < 60; trial++) {
        int size = draw(1, 4), stride = draw(1, 3), pad = draw(0, size - 1), h = draw(size, 9),
            w = draw(size, 9);
        struct sn_micro_float_convolution layer = { draw_output(),
                                                    (uint16_t)draw(1, 5),
                                                    (uint16_t)h,
                                                    (uint16_t)w,
                                                    (uint16_t)draw(1, 5),
                                                    (uint16_t)draw(1, 3),
                                                    (uint16_t)size,
                                                    (uint16_t)stride,
                                                    (uint16_t)pad,
                                                    (uint16_t)((h + 2 * pad - size) / stride + 1),
                                                    (uint16_t)((w + 2 * pad - size) / stride + 1),
                                                    { weights, bias } };
        fill_arrays();
        convolve(&layer);
        compare(&(struct sn_micro_step){ .run = sn_micro_float_convolution, .layer = &layer },
                "convolution", trial, size);
        struct sn_micro_maxpool window = { layer.channels,
                                           layer.height,
                                           layer.width,
                                           layer.size,
                                           layer.stride,
                                           (uint16_t)(pad / 2),
                                           (uint16_t)((h + pad - size) / stride + 1),
                                           (uint16_t)((w + pad - size) / stride + 1) };
        fill_arrays();
        pool(&window);
        compare(&(struct sn_micro_step){ .run = sn_micro_float_maxpool, .layer = &window },
                "maxpool", trial, size);
    }
}

Test(micro_float, means_and_sums_equal_the_formula)
{
    seed = 3;
    for (int trial = 0; trial < 60; trial++) {
        struct sn_micro_float_avgpool mean = { draw_output(), (uint16_t)draw(1, 9),
                                               (uint16_t)draw(1, 50) };
        fill_arrays();
        for (int c = 0; c < mean.channels; c++) {
            double sum = 0;
            for (int p = 0; p < mean.pixels; p++) sum += (double)in[c * mean.pixels + p];
            expected[c] = finish(sum / mean.pixels, &mean.output);
        }
        compare(&(struct sn_micro_step){ .run = sn_micro_float_avgpool, .layer = &mean }, "avgpool",
                trial, mean.pixels);
        struct sn_micro_float_sum both = { draw_output(),
                                           (uint32_t)draw(1, 50),
                                           { 2.5f, (float)draw(-1, 1) } };
        fill_arrays();
        for (uint32_t i = 0; i < both.n; i++)
            expected[i] = finish((double)both.factor[0] * (double)in[i]
                                     + (double)both.factor[1] * (double)other[i],
                                 &both.output);
        compare(&(struct sn_micro_step){ .run = sn_micro_float_sum, .layer = &both }, "sum", trial,
                (int)both.n);
    }
}

/* to[i] = sum_j w_ij v_j, of m rows in panels; returns what follows them. */
static const float *multiply(const float *w, int m, const double *v, int n, double *to)
{
    for (int i = 0; i < m; i++) {
        to[i] = 0;
        for (int j = 0; j < n; j++) to[i] += weight(w, m, n, i, j) * v[j];
    }
    return w + m * n;
}

static void sss(const struct sn_micro_float_sss *s, int pixel)
{
    const struct sn_micro_stages *stages = &s->stages;
    int n_stages = stages->n_stages, pixels = s->pixels, first = stages->n_inputs, done = 0;
    const float *w = weights;
    double z[8][8] = { { 0 } }, x[8] = { 0 }, y[16];
    for (int k = n_stages, n_next = 0; k-- > 0; n_next = sizes[4 * k + 3]) {
        double v[64];
        int n = sizes[4 * k];
        first -= n;
        for (int j = 0; j < n; j++)
            v[j] = (double)
                in[(stages->input_order ? orders[0][first + j] : first + j) * pixels + pixel];
        memcpy(v + n, z[k + 1], (size_t)n_next * sizeof *v);
        w = multiply(w, sizes[4 * k + 3], v, n + n_next, z[k]);
    }
    for (int k = 0, n_states = 0; k < n_stages; n_states = sizes[4 * k++ + 2]) {
        double v[64];
        int n = sizes[4 * k], next = k + 1 < n_stages ? sizes[4 * k + 7] : 0;
        for (int j = 0; j < n; j++, first++)
            v[j] = (double)in[(stages->input_order ? orders[0][first] : first) * pixels + pixel];
        memcpy(v + n, x, (size_t)n_states * sizeof *v);
        memcpy(v + n + n_states, z[k + 1], (size_t)next * sizeof *v);
        w = multiply(w, sizes[4 * k + 1], v, n + n_states + next, y);
        for (int i = 0; i < sizes[4 * k + 1]; i++, done++)
            expected[(stages->output_order ? orders[1][done] : done) * pixels + pixel] =
                finish(y[i] + (double)bias[done], &s->output);
        w = multiply(w, sizes[4 * k + 2], v, n + n_states, x);
    }
}

Test(micro_float, sss_equals_the_formula)
{
    seed = 4;
    for (int trial = 0; trial < 200; trial++) {
        int n_stages = draw(1, 6), n = 0, m = 0;
        fill_arrays();
        for (int k = 0; k < n_stages; k++) {
            n += sizes[4 * k] = (uint16_t)draw(0, 17);
            m += sizes[4 * k + 1] = (uint16_t)draw(0, 9);
            sizes[4 * k + 2] = (uint16_t)(k + 1 < n_stages ? draw(0, 6) : 0);
            sizes[4 * k + 3] = (uint16_t)(k ? draw(0, 6) : 0);
        }
        draw_order(orders[0], n);
        draw_order(orders[1], m);
        struct sn_micro_float_sss layer = { draw_output(),
                                            (uint16_t)draw(1, 3),
                                            { (uint16_t)n_stages, (uint16_t)n, 32, 6, sizes,
                                              draw(0, 1) ? orders[0] : NULL,
                                              draw(0, 1) ? orders[1] : NULL },
                                            { weights, bias } };
        for (int p = 0; p < layer.pixels; p++) sss(&layer, p);
        compare(&(struct sn_micro_step){ .run = sn_micro_float_sss, .layer = &layer }, "sss", trial,
                n_stages);
    }
}

static void psm(const struct sn_micro_float_psm *s, int pixel)
{
    double v[64], y[64];
    for (int j = 0; j < s->n_inputs; j++) v[j] = (double)in[j * s->pixels + pixel];
    for (int k = 0; k < s->n_factors; k++) {
        const struct sn_micro_float_factor *f = &s->factors[k];
        const uint16_t *column = f->columns;
        const float *w = f->rows.weights;
        for (int i = 0; i < f->n_rows; i += f->block)
            for (int n = f->lengths[i / f->block], r = 0; r < f->block; r++) {
                if (r == 0) memset(y + i, 0, (size_t)f->block * sizeof *y);
                for (int p = 0; p < n; p++) y[i + r] += (double)w[p * f->block + r] * v[column[p]];
                if (r + 1 < f->block) continue;
                w += n * f->block;
                column += n;
            }
        memcpy(v, y, sizeof v);
    }
    for (int i = 0; i < s->factors[s->n_factors - 1].n_rows; i++)
        expected[(s->output_order ? orders[0][i] : i) * s->pixels + pixel] =
            finish(v[i] + (double)bias[i], &s->output);
}

Test(micro_float, psm_equals_the_formula)
{
    seed = 5;
    for (int trial = 0; trial < 200; trial++) {
        int n_factors = draw(1, 3), n = draw(1, 17), n_inputs = n, block = draw(0, 1) ? 4 : 1;
        struct sn_micro_float_factor factors[3];
        fill_arrays();
        for (int k = 0; k < n_factors; k++) {
            int m = draw(1, 9);
            for (int g = 0; g < 9; g++) lengths[9 * k + g] = (uint16_t)draw(0, 5);
            for (int i = 0; i < 400; i++) columns[400 * k + i] = (uint16_t)draw(0, n - 1);
            factors[k] = (struct sn_micro_float_factor){ (uint16_t)m,
                                                         (uint8_t)block,
                                                         lengths + 9 * (ptrdiff_t)k,
                                                         columns + 400 * (ptrdiff_t)k,
                                                         { weights + 4000 * (ptrdiff_t)k,
                                                           k + 1 < n_factors ? NULL : bias } };
            n = m;
        }
        draw_order(orders[0], n);
        struct sn_micro_float_psm layer = {
            draw_output(), (uint16_t)draw(1, 3),         (uint16_t)n_factors, (uint16_t)n_inputs, 9,
            factors,       draw(0, 1) ? orders[0] : NULL
        };
        for (int p = 0; p < layer.pixels; p++) psm(&layer, p);
        compare(&(struct sn_micro_step){ .run = sn_micro_float_psm, .layer = &layer }, "psm", trial,
                block);
    }
}

/* 4e-7 is three to seven units in the last place, of numbers above and below 1. */
Test(micro_float, activations_are_those_of_darknet)
{
    static const struct {
        float (*ours)(float x);
        ACTIVATION theirs;
    } pairs[] = { { sn_micro_float_logistic, LOGISTIC }, { sn_micro_float_loggy, LOGGY },
                  { sn_micro_float_tanh, TANH },         { sn_micro_float_elu, ELU },
                  { sn_micro_float_selu, SELU },         { sn_micro_float_relie, RELIE },
                  { sn_micro_float_ramp, RAMP },         { sn_micro_float_leaky, LEAKY },
                  { sn_micro_float_plse, PLSE },         { sn_micro_float_stair, STAIR },
                  { sn_micro_float_lhtan, LHTAN } };
    for (size_t k = 0; k < sizeof pairs / sizeof *pairs; k++)
        for (int i = -4000; i <= 4000; i++) {
            float x = (float)i / 64 + (i % 3 ? .001f : 0);
            double y = (double)activate(x, pairs[k].theirs);
            cr_assert(fabs((double)pairs[k].ours(x) - y) <= 4e-7 * fmax(1, fabs(y)),
                      "activation %zu of %g: %.9g, expected %.9g", k, (double)x,
                      (double)pairs[k].ours(x), y);
        }
    cr_assert(sn_micro_float_logistic(-1e30f) >= 0 && sn_micro_float_logistic(-1e30f) < 1e-30f);
    cr_assert(sn_micro_float_logistic(1e30f) == 1 && sn_micro_float_tanh(1e30f) == 1
              && sn_micro_float_tanh(-1e30f) == -1);
}

Test(micro_float, the_first_of_the_largest_is_found)
{
    cr_assert(sn_micro_float_largest((float[]){ -3, -1, -1, -2 }, 4) == 1);
}
