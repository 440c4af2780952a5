/* SSS as rows of integers: [F E] of the last stage first, then [D C G] and [B A] of each. */
#include "export_float.h"

#include <math.h>
#include <sss.h>
#include <stdlib.h>
#include <string.h>

/* y += W x, W of m x n. */
static void add_product(const float *w, int m, int n, const float *x, float *y)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) y[i] += w[(size_t)i * (size_t)n + (size_t)j] * x[j];
}

/* scratch: two states and the inputs in their order. */
static float sss_state(const struct sn_matrix *structured, const float *words, const float *x,
                       float *scratch)
{
    const struct sss *s = (const struct sss *)structured;
    int n = structured->n_inputs, first = 0;
    float *u = scratch, *state = u + n, *next = state + n + structured->n_outputs, most = 0;
    size_t room = (size_t)n + (size_t)structured->n_outputs;
    for (int j = 0; j < n; j++) u[j] = x[s->input_order ? s->input_order[j] : (uint32_t)j];
    for (int way = 0; way < 2; way++)
        for (int i = 0; i < s->n_stages; i++) {
            int k = way ? s->n_stages - 1 - i : i;
            struct sss_stage at = sss_stage_at(s, (float *)(uintptr_t)words, k);
            if (way) first -= s->inputs[k];
            memset(next, 0, room * sizeof *next);
            int n_states = way ? s->anticausal[k] : s->causal[k + 1],
                n_before = way ? s->anticausal[k + 1] : s->causal[k];
            add_product(way ? at.f : at.b, n_states, s->inputs[k], u + first, next);
            add_product(way ? at.e : at.a, n_states, n_before, state, next);
            for (int j = 0; j < n_states; j++) most = fmaxf(most, fabsf(next[j]));
            memcpy(state, next, room * sizeof *next);
            if (!way) first += s->inputs[k];
        }
    return most;
}

/* Of one stage: a row of up to three blocks side by side. */
struct block {
    const float *at;
    int n;
};

static void add_row(struct export_rows *rows, const struct block blocks[3], int i, double gain,
                    struct export_row row, float *w)
{
    int n = 0;
    for (int b = 0; b < 3; b++)
        for (int j = 0; j < blocks[b].n; j++)
            w[n++] = (float)(gain * (double)blocks[b].at[i * blocks[b].n + j]);
    row.n_inputs = blocks[0].n;
    export_add_row(rows, w, n, row);
}

/* The scale that row number `row` of the matrix has when its values are codes of 8 bits; 0: none.
 */
static double own_scale(const struct sn_matrix *structured, const float *words, size_t row)
{
    int has_codes = structured->bits == 8 && !structured->group;
    return has_codes ? (double)words[structured->n_values + row] : 0;
}

/* All rows; w is scratch for one. */
static void collect(const struct export_layer *e, const struct sss *s, const float *words, float *w,
                    struct export_rows *rows)
{
    size_t *first = malloc((size_t)s->n_stages * sizeof *first), n_rows = 0, done = 0;
    if (!first) {
        rows->missing = 1;
        return;
    }
    for (int k = 0; k < s->n_stages; k++) {
        first[k] = n_rows;
        n_rows += (size_t)(s->outputs[k] + s->causal[k + 1] + s->anticausal[k]);
    }
    for (int k = s->n_stages; k-- > 0;) {
        struct sss_stage at = sss_stage_at(s, (float *)(uintptr_t)words, k);
        size_t row = first[k] + (size_t)(s->outputs[k] + s->causal[k + 1]);
        struct block blocks[3] = { { at.f, s->inputs[k] }, { at.e, s->anticausal[k + 1] } };
        for (int i = 0; i < s->anticausal[k]; i++)
            add_row(rows, blocks, i, 1,
                    (struct export_row){ .scale = own_scale(&s->matrix, words, row + (size_t)i) },
                    w);
    }
    for (int k = 0; k < s->n_stages; k++) {
        struct sss_stage at = sss_stage_at(s, (float *)(uintptr_t)words, k);
        struct block outputs[3] = { { at.d, s->inputs[k] },
                                    { at.c, s->causal[k] },
                                    { at.g, s->anticausal[k + 1] } },
                     states[3] = { { at.b, s->inputs[k] }, { at.a, s->causal[k] } };
        for (int i = 0; i < s->outputs[k]; i++, done++) {
            uint32_t output = s->output_order ? s->output_order[done] : (uint32_t)done;
            struct export_row row = { .is_output = 1 };
            double gain = export_gain(e->l, (int)output, &row.bias);
            row.scale = fabs(gain) * own_scale(&s->matrix, words, first[k] + (size_t)i);
            add_row(rows, outputs, i, gain, row, w);
        }
        size_t row = first[k] + (size_t)s->outputs[k];
        for (int i = 0; i < s->causal[k + 1]; i++)
            add_row(rows, states, i, 1,
                    (struct export_row){ .scale = own_scale(&s->matrix, words, row + (size_t)i) },
                    w);
    }
    free(first);
}

/* Where the stages' inputs are; NULL where they lie in their order. */
static enum sn_status take_inputs(struct export_layer *e, const struct sss *s, const uint16_t **to)
{
    size_t n = (size_t)s->matrix.n_inputs;
    if (!export_has_patches(e->l)) return export_u16(e, s->input_order, n, to);
    uint16_t *places = export_allocate(e->net, n, sizeof *places);
    if (!places) return export_no_memory(e);
    for (size_t j = 0; j < n; j++)
        places[j] = (uint16_t)export_place(e->l, s->input_order ? s->input_order[j] : (uint32_t)j);
    *to = places;
    return SN_OK;
}

enum sn_status export_stages(struct export_layer *e, const struct sss *s,
                             struct sn_micro_stages *to, size_t *n_scratch)
{
    uint16_t *sizes = export_allocate(e->net, 4 * (size_t)s->n_stages, sizeof *sizes);
    int columns = 0, causal = 0, sum = 0;
    if (!sizes) return export_no_memory(e);
    *to = (struct sn_micro_stages){ .n_stages = (uint16_t)s->n_stages,
                                    .n_inputs = (uint16_t)s->matrix.n_inputs,
                                    .sizes = sizes };
    for (int k = 0; k < s->n_stages; k++, sizes += 4) {
        int row = s->inputs[k] + s->causal[k] + s->anticausal[k + 1];
        sizes[0] = (uint16_t)s->inputs[k];
        sizes[1] = (uint16_t)s->outputs[k];
        sizes[2] = (uint16_t)s->causal[k + 1];
        sizes[3] = (uint16_t)s->anticausal[k];
        columns = row > columns ? row : columns;
        causal = s->causal[k] > causal ? s->causal[k] : causal;
        sum += s->anticausal[k];
    }
    to->most_columns = (uint16_t)((columns + 3) / 4 * 4);
    to->most_states = (uint16_t)((causal + 1) / 2 * 2);
    *n_scratch = (size_t)to->most_columns + to->most_states + (size_t)sum;
    if (take_inputs(e, s, &to->input_order)) return e->error->code;
    return export_u16(e, s->output_order, (size_t)s->matrix.n_outputs, &to->output_order);
}

static enum sn_status build_sss(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch)
{
    const struct sss *s = (const struct sss *)e->l->cweights;
    struct export_rows rows = { 0 };
    struct sn_micro_sss *to = export_allocate(e->net, 1, sizeof *to);
    float *w = malloc((size_t)(s->matrix.n_inputs + 2 * s->matrix.n_outputs + 1) * sizeof *w);
    if (!to || !w) {
        free(w);
        return export_no_memory(e);
    }
    collect(e, s, words, w, &rows);
    enum sn_status status = export_scale(e, &rows, (double)e->range.state);
    if (!status) status = export_output(e, &to->output);
    if (!status) status = export_stages(e, s, &to->stages, scratch);
    if (!status) {
        *scratch = SN_MICRO_BATCH * sizeof(int32_t) + sizeof(int16_t) * (*scratch + SN_MICRO_SLACK);
        to->input = export_input(e, export_pixels(e->l));
        status = export_finish(e, &rows, e->v_scale, e->v_scale, &to->rows);
    }
    *step = (struct sn_micro_step){ .run = export_has_patches(e->l) ? sn_micro_sss_at
                                                                    : sn_micro_sss,
                                    .layer = to };
    export_rows_free(&rows);
    free(w);
    return status;
}

const struct export_family export_sss = { "sss", sss_state, build_sss, export_float_sss };
