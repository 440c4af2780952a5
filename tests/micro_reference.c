#include "micro_reference.h"

#include <stdlib.h>
#include <string.h>

/* floor(x / 2^e). */
static int64_t floor_of(int64_t x, int e)
{
    int64_t d = (int64_t)1 << e;
    return x / d - (x % d < 0);
}

static int64_t between(int64_t x, int64_t low, int64_t high)
{
    return x < low ? low : x > high ? high : x;
}

static int64_t finish(int64_t a, int word, int64_t bias, const struct sn_micro_output *output)
{
    int e = word % 32;
    int64_t half = e ? (int64_t)1 << (e - 1) : 0, t = floor_of(a * word, 16);
    int64_t y = between(floor_of(t + (output->has_bias ? bias : half), e), output->low,
                        output->high);
    return output->table ? output->table[y + 128] : y;
}

static void put(const struct sn_micro_output *output, void *out, size_t i, int64_t y)
{
    if (output->is_wide) ((int16_t *)out)[i] = (int16_t)y;
    else ((int8_t *)out)[i] = (int8_t)y;
}

/* Column j of a row of stored weights. */
static int64_t weight(const int8_t *row, size_t j)
{
    static const int place[] = { 0, 2, 1, 3 };
    return row[j / 4 * 4 + (size_t)place[j % 4]];
}

/* The a of one row, which rows move behind. */
static int64_t sum_row(struct sn_micro_rows *rows, const int64_t *v, size_t n)
{
    int64_t a = 0;
    for (size_t j = 0; j < n; j++) a += weight(rows->weights, j) * v[j];
    rows->weights += (n + 3) / 4 * 4;
    return a;
}

static int64_t take(const struct sn_micro_input *input, int q)
{
    return (q - input->zero) * ((int64_t)1 << input->shift);
}

static const struct sn_micro_output state = { -32767, 32767, 1, 0, 1, NULL };

enum { MOST = 4096 };

/* v of all inputs of a pixel. */
static int64_t *take_pixel(const struct sn_micro_input *input, size_t n, const int8_t *in,
                           size_t pixel)
{
    int64_t *v = calloc(n + 1, sizeof *v);
    for (size_t j = 0; j < n; j++) v[j] = take(input, in[j * input->pixels + pixel]);
    return v;
}

static void sss_place(const struct sn_micro_sss *s, const int64_t *in, void *out, size_t pixel)
{
    struct sn_micro_rows rows = s->rows;
    size_t n_stages = s->stages.n_stages, done = 0;
    int64_t *u = calloc(s->stages.n_inputs + 1u, sizeof *u), *v = calloc(MOST, sizeof *v),
            *z = calloc((n_stages + 1) * MOST, sizeof *z), *x = calloc(MOST, sizeof *x);
    const uint16_t *sizes = s->stages.sizes;
    for (size_t j = 0; j < s->stages.n_inputs; j++)
        u[j] = in[s->stages.input_order ? s->stages.input_order[j] : j];
    size_t first = s->stages.n_inputs;
    for (size_t k = n_stages; k-- > 0;) {
        size_t n = sizes[4 * k], next = k + 1 < n_stages ? sizes[4 * k + 7] : 0;
        first -= n;
        memcpy(v, u + first, n * sizeof *v);
        memcpy(v + n, z + (k + 1) * MOST, next * sizeof *v);
        for (size_t i = 0; i < sizes[4 * k + 3]; i++)
            z[k * MOST + i] = finish(sum_row(&rows, v, n + next), *rows.scales++, 0, &state);
    }
    for (size_t k = 0, n_states = 0; k < n_stages; k++) {
        size_t n = sizes[4 * k], next = k + 1 < n_stages ? sizes[4 * k + 7] : 0;
        memcpy(v, u + first, n * sizeof *v);
        memcpy(v + n, x, n_states * sizeof *v);
        memcpy(v + n + n_states, z + (k + 1) * MOST, next * sizeof *v);
        for (size_t i = 0; i < sizes[4 * k + 1]; i++, done++) {
            int64_t y = finish(sum_row(&rows, v, n + n_states + next), *rows.scales++, *rows.bias++,
                               &s->output);
            put(&s->output, out,
                (s->stages.output_order ? s->stages.output_order[done] : done) * s->output.step
                    + pixel,
                y);
        }
        for (size_t i = 0; i < sizes[4 * k + 2]; i++)
            x[i] = finish(sum_row(&rows, v, n + n_states), *rows.scales++, 0, &state);
        n_states = sizes[4 * k + 2];
        first += n;
    }
    free(u), free(v), free(z), free(x);
}

/* Row r of the group, block p: of four rows they stand in pairs. */
static int64_t entry(const int8_t *weights, size_t p, size_t r, size_t block)
{
    if (block == 1) return weights[p];
    return weights[p / 2 * 8 + r / 2 * 4 + p % 2 * 2 + r % 2];
}

static void psm_place(const struct sn_micro_psm *s, const int64_t *in, void *out, size_t pixel)
{
    const int64_t *v = in;
    int64_t *y = calloc(MOST, sizeof *y), *before = calloc(MOST, sizeof *before);
    for (size_t k = 0; k < s->n_factors; k++) {
        const struct sn_micro_factor *f = &s->factors[k];
        const int8_t *weights = f->rows.weights;
        const uint16_t *columns = f->columns;
        for (size_t i = 0; i < f->n_rows; i++) {
            size_t g = i / f->block, r = i % f->block,
                   n = f->lengths[g] * (f->block == 4 ? 2u : 1u);
            int64_t a = 0;
            for (size_t p = 0; p < n; p++) a += entry(weights, p, r, f->block) * v[columns[p]];
            y[i] = finish(a, f->rows.scales[i], f->output.has_bias ? f->rows.bias[i] : 0,
                          &f->output);
            if (k + 1u == s->n_factors)
                put(&f->output, out,
                    (s->output_order ? s->output_order[i] : i) * f->output.step + pixel, y[i]);
            if (r + 1 == f->block || i + 1u == f->n_rows) {
                weights += n * f->block;
                columns += n;
            }
        }
        memcpy(before, y, MOST * sizeof *v);
        v = before;
    }
    free(before), free(y);
}

static void convolution(const struct sn_micro_convolution *c, const int8_t *in, void *out)
{
    size_t per_row = ((size_t)c->channels * c->size * c->size + 3) / 4 * 4;
    for (int f = 0; f < c->filters * c->groups; f++)
        for (int i = 0; i < c->out_height; i++)
            for (int j = 0; j < c->out_width; j++) {
                const int8_t *row = c->rows.weights + (size_t)f * per_row;
                int64_t a = 0;
                size_t at = 0;
                for (int k = 0; k < c->channels; k++)
                    for (int y = 0; y < c->size; y++)
                        for (int x = 0; x < c->size; x++, at++) {
                            int h = i * c->stride + y - c->pad, w = j * c->stride + x - c->pad;
                            if (h < 0 || h >= c->height || w < 0 || w >= c->width) continue;
                            int channel = f / c->filters * c->channels + k;
                            a += weight(row, at)
                                * take(&c->input, in[(channel * c->height + h) * c->width + w]);
                        }
                put(&c->output, out, (size_t)(f * c->output.step + i * c->out_width + j),
                    finish(a, c->rows.scales[f], c->rows.bias[f], &c->output));
            }
}

static void maxpool(const struct sn_micro_maxpool *m, const int8_t *in, int8_t *out)
{
    for (int c = 0; c < m->channels; c++)
        for (int i = 0; i < m->out_height; i++)
            for (int j = 0; j < m->out_width; j++, out++) {
                *out = -128;
                for (int y = 0; y < m->size; y++)
                    for (int x = 0; x < m->size; x++) {
                        int h = i * m->stride + y - m->before, w = j * m->stride + x - m->before;
                        if (h < 0 || h >= m->height || w < 0 || w >= m->width) continue;
                        int8_t q = in[(c * m->height + h) * m->width + w];
                        if (q > *out) *out = q;
                    }
            }
}

static void avgpool(const struct sn_micro_avgpool *l, const int8_t *in, void *out)
{
    for (size_t c = 0; c < l->channels; c++) {
        int64_t a = 0;
        for (size_t p = 0; p < l->input.pixels; p++)
            a += take(&l->input, in[c * l->input.pixels + p]);
        put(&l->output, out, c, finish(a, l->scale, l->bias, &l->output));
    }
}

static void sum(const struct sn_micro_sum *s, const int8_t *in, const int8_t *other, void *out)
{
    for (size_t i = 0; i < s->n; i++) {
        int64_t y = (int64_t)(in[i] - s->zero[0]) * s->m[0]
            + (int64_t)(other[i] - s->zero[1]) * s->m[1] + s->bias;
        y = between(floor_of(y, s->e), s->output.low, s->output.high);
        put(&s->output, out, i, s->output.table ? s->output.table[y + 128] : y);
    }
}

/* Input k of a patch is channel, row, column of it; in the band it stands elsewhere. */
static void patches(const struct sn_micro_patches *s, const int8_t *in, char *out)
{
    int n_inputs = s->channels * s->size * s->size;
    int64_t *band = calloc((size_t)s->size * s->channels * s->span, sizeof *band);
    for (int p = 0; p < s->out_height * s->out_width; p++) {
        char *to = out + p * (s->is_wide ? 2 : 1);
        for (int k = 0; k < n_inputs; k++) {
            int c = k / (s->size * s->size), i = k / s->size % s->size, j = k % s->size,
                h = p / s->out_width * s->stride + i - s->pad,
                w = p % s->out_width * s->stride + j - s->pad,
                is_inside = h >= 0 && h < s->height && w >= 0 && w < s->width;
            band[(i * s->channels + c) * s->span + j] = is_inside
                ? take(&s->input, in[(c * s->height + h) * s->width + w])
                : 0;
        }
        if (s->run == sn_micro_sss_at) sss_place(s->layer, band, to, 0);
        else psm_place(s->layer, band, to, 0);
    }
    free(band);
}

void micro_reference(const struct sn_micro_step *step, const int8_t *in, const int8_t *other,
                     void *out)
{
    const struct sn_micro_sss *s = step->layer;
    const struct sn_micro_psm *p = step->layer;
    if (step->run == sn_micro_sss)
        for (size_t i = 0; i < s->input.pixels; i++) {
            int64_t *v = take_pixel(&s->input, s->stages.n_inputs, in, i);
            sss_place(s, v, out, i);
            free(v);
        }
    else if (step->run == sn_micro_psm)
        for (size_t i = 0; i < p->input.pixels; i++) {
            int64_t *v = take_pixel(&p->input, p->n_inputs, in, i);
            psm_place(p, v, out, i);
            free(v);
        }
    else if (step->run == sn_micro_patches) patches(step->layer, in, out);
    else if (step->run == sn_micro_convolution) convolution(step->layer, in, out);
    else if (step->run == sn_micro_maxpool) maxpool(step->layer, in, out);
    else if (step->run == sn_micro_avgpool) avgpool(step->layer, in, out);
    else sum(step->layer, in, other, out);
}
