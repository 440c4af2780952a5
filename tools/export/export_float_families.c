/* SSS and PSM as floats: the order of rows and factors is that of their integers. */
#include "export_float.h"

#include <psm_shape.h>
#include <sss.h>
#include <stdlib.h>
#include <string.h>

/* ---- SSS */

/* What a layer becomes, part by part. */
struct panels {
    float *weights, *bias;
    float *w; /* room for the rows of one stage */
};

/* Blocks of m rows side by side, of which `gain` (m factors, or NULL) is one for each row. */
static void add_panels(const float *const blocks[3], const int widths[3], int m, const double *gain,
                       struct panels *to)
{
    float *w = to->w;
    for (int i = 0; i < m; i++)
        for (int b = 0; b < 3; b++)
            for (int j = 0; j < widths[b]; j++)
                *w++ = (float)((gain ? gain[i] : 1)
                               * (double)blocks[b][(size_t)i * (size_t)widths[b] + (size_t)j]);
    to->weights = export_panels(to->w, m, widths[0] + widths[1] + widths[2], to->weights);
}

/* [F E] of stages N-1 .. 0, then [D C G] and [B A] of each; gain has room for a stage's outputs. */
static void collect(const struct export_layer *e, const struct sss *s, const float *words,
                    double *gain, struct panels *to)
{
    float *values = (float *)(uintptr_t)words;
    for (int k = s->n_stages; k-- > 0;) {
        struct sss_stage at = sss_stage_at(s, values, k);
        add_panels((const float *[3]){ at.f, at.e }, (int[3]){ s->inputs[k], s->anticausal[k + 1] },
                   s->anticausal[k], NULL, to);
    }
    for (int k = 0, done = 0; k < s->n_stages; k++) {
        struct sss_stage at = sss_stage_at(s, values, k);
        for (int i = 0; i < s->outputs[k]; i++, done++) {
            double bias;
            gain[i] = export_gain(e->l, s->output_order ? (int)s->output_order[done] : done, &bias);
            *to->bias++ = (float)bias;
        }
        add_panels((const float *[3]){ at.d, at.c, at.g },
                   (int[3]){ s->inputs[k], s->causal[k], s->anticausal[k + 1] }, s->outputs[k],
                   gain, to);
        add_panels((const float *[3]){ at.b, at.a }, (int[3]){ s->inputs[k], s->causal[k] },
                   s->causal[k + 1], NULL, to);
    }
}

enum sn_status export_float_sss(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch)
{
    const struct sss *s = (const struct sss *)e->l->cweights;
    size_t n_values = s->matrix.n_values, n_outputs = (size_t)s->matrix.n_outputs;
    struct sn_micro_float_sss *to = export_allocate(e->net, 1, sizeof *to);
    float *weights = export_allocate(e->net, n_values, sizeof *weights),
          *bias = export_allocate(e->net, n_outputs, sizeof *bias);
    struct panels panels = { weights, bias, malloc((n_values + 1) * sizeof *panels.w) };
    double *gain = malloc((n_outputs + 1) * sizeof *gain);
    enum sn_status status = SN_NO_MEMORY;
    if (to && weights && bias && panels.w && gain) {
        collect(e, s, words, gain, &panels);
        to->output = export_float_output(e->l);
        to->pixels = (uint16_t)export_pixels(e->l);
        to->rows = (struct sn_micro_float_rows){ weights, bias };
        status = export_stages(e, s, &to->stages, scratch);
        *scratch *= sizeof(float);
        *step = (struct sn_micro_step){ .run = sn_micro_float_sss, .layer = to };
    } else export_no_memory(e);
    free(panels.w);
    free(gain);
    return status;
}

/* ---- PSM */

enum { ROWS = 4 };

/* Part `first` of group g of a factor: ROWS rows of it, or one. */
static void add_group(const struct export_layer *e, const struct psm *s, const struct psm_factor *f,
                      int is_output, const float *words, size_t g, int first, float *to)
{
    int block = f->block == 1 ? 1 : ROWS;
    for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
        for (int r = first; r < first + block; r++) {
            size_t row = g * (size_t)f->block + (size_t)r;
            double bias, gain = 1;
            if (is_output && row < (size_t)f->rows)
                gain = export_gain(e->l, (int)(s->order ? s->order[row] : row), &bias);
            *to++ = row < (size_t)f->rows
                ? (float)(gain * (double)words[f->first + p * (size_t)f->block + (size_t)r])
                : 0;
        }
}

/* Factor j; blocks of 8 rows are two of 4. */
static enum sn_status take_factor(struct export_layer *e, const struct psm *s, int j,
                                  const float *words, struct sn_micro_float_factor *to)
{
    struct psm_factor f = psm_factor_at(s, j);
    int block = f.block == 1 ? 1 : ROWS;
    size_t parts = (size_t)(f.block / block), n = 0, n_blocks = parts * f.n_blocks, done = 0;
    uint16_t *lengths = export_allocate(e->net, parts * f.n_groups, sizeof *lengths),
             *columns = export_allocate(e->net, n_blocks, sizeof *columns);
    float *weights = export_allocate(e->net, n_blocks * (size_t)block, sizeof *weights);
    if (!lengths || !columns || !weights) return export_no_memory(e);
    for (size_t g = 0; g < f.n_groups; g++)
        for (int first = 0; first < f.block; first += block) {
            size_t start = f.row_starts[g], count = f.row_starts[g + 1] - start;
            if (g * (size_t)f.block + (size_t)first >= (size_t)f.rows) break;
            add_group(e, s, &f, j == 0, words, g, first, weights + done * (size_t)block);
            for (size_t p = 0; p < count; p++)
                columns[done + p] = export_column(e->l, s, j, f.columns[start + p]);
            lengths[n++] = (uint16_t)count;
            done += count;
        }
    *to = (struct sn_micro_float_factor){
        (uint16_t)f.rows, (uint8_t)block, lengths, columns, { weights, NULL }
    };
    return SN_OK;
}

static enum sn_status take_biases(struct export_layer *e, const struct psm *s, const float **to)
{
    size_t n = (size_t)s->matrix.n_outputs;
    float *biases = export_allocate(e->net, n, sizeof *biases);
    if (!biases) return export_no_memory(e);
    for (size_t i = 0; i < n; i++) {
        double bias;
        export_gain(e->l, (int)(s->order ? s->order[i] : i), &bias);
        biases[i] = (float)bias;
    }
    *to = biases;
    return SN_OK;
}

enum sn_status export_float_psm(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch)
{
    const struct psm *s = (const struct psm *)e->l->cweights;
    int n = s->n_factors, inner = 0, pixels = export_pixels(e->l);
    struct sn_micro_float_psm *to = export_allocate(e->net, 1, sizeof *to);
    struct sn_micro_float_factor *factors = export_allocate(e->net, (size_t)n, sizeof *factors);
    enum sn_status status = SN_OK;
    if (!to || !factors) return export_no_memory(e);
    for (int i = 0; i < n && !status; i++)
        status = take_factor(e, s, n - 1 - i, words, &factors[i]);
    if (!status) status = take_biases(e, s, &factors[n - 1].rows.bias);
    if (!status) status = export_u16(e, s->order, (size_t)s->matrix.n_outputs, &to->output_order);
    if (status) return status;
    for (int j = 1; j < n; j++) inner = s->sizes[j] > inner ? s->sizes[j] : inner;
    to->output = export_float_output(e->l);
    to->pixels = (uint16_t)pixels;
    to->n_factors = (uint16_t)n;
    to->n_inputs = (uint16_t)s->matrix.n_inputs;
    to->most_inner = (uint16_t)inner;
    to->factors = factors;
    *scratch = sizeof(float) * ((pixels > 1 ? to->n_inputs : 0u) + 2 * (size_t)inner);
    *step = (struct sn_micro_step){ .run = sn_micro_float_psm, .layer = to };
    return SN_OK;
}
