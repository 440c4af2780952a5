/* PSM as rows of integers, factors from the right to the left. */
#include "export_float.h"

#include <math.h>
#include <psm_shape.h>
#include <stdlib.h>
#include <string.h>

/* y = S x for the rows that exist. */
static void multiply_factor(const struct psm_factor *f, const float *values, const float *x,
                            float *y)
{
    for (size_t g = 0; g < f->n_groups; g++)
        for (int r = 0; r < f->block; r++) {
            size_t row = g * (size_t)f->block + (size_t)r;
            float sum = 0;
            if (row >= (size_t)f->rows) continue;
            for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
                sum += values[f->first + p * (size_t)f->block + (size_t)r] * x[f->columns[p]];
            y[row] = sum;
        }
}

/* The largest entry of the vectors between the factors; scratch holds two of them. */
static float psm_state(const struct sn_matrix *structured, const float *words, const float *x,
                       float *scratch)
{
    const struct psm *s = (const struct psm *)structured;
    int room = 0;
    float most = 0;
    for (int j = 1; j < s->n_factors; j++) room = s->sizes[j] > room ? s->sizes[j] : room;
    for (int j = s->n_factors - 1; j >= 1; j--) {
        struct psm_factor f = psm_factor_at(s, j);
        float *y = scratch + (j & 1) * (ptrdiff_t)room;
        multiply_factor(&f, words, x, y);
        for (int i = 0; i < f.rows; i++) most = fmaxf(most, fabsf(y[i]));
        x = y;
    }
    return most;
}

uint16_t export_column(const layer *l, const struct psm *s, int j, uint32_t column)
{
    return (uint16_t)(j < s->n_factors - 1 ? column : export_place(l, column));
}

/* Codes of one block's row r, of pairs of blocks where there are four rows. */
static int8_t *code_at(int8_t *codes, size_t p, int r, int block)
{
    if (block == 1) return codes + p;
    return codes + p / 2 * 8 + (size_t)(r / 2 * 4 + (r & 1)) + (p & 1) * 2;
}

enum { ROWS = 4 };

/* What a factor becomes, part by part of ROWS rows or of one. */
struct parts {
    struct export_rows *rows;
    uint16_t *lengths, *columns;
    float *w;
    int8_t *codes;
    size_t n_lengths, n_columns;
};

/* A row of factor j before its codes are made: of j = 0 an output with its gain, else a state; with
 * the scale that it has where its values are codes of 8 bits. */
static struct export_row describe_row(const struct export_layer *e, const struct psm *s, int j,
                                      const float *words, size_t row, double *gain)
{
    struct export_row about = { .is_output = j == 0 };
    *gain = 1;
    if (j == 0) *gain = export_gain(e->l, (int)(s->order ? s->order[row] : row), &about.bias);
    if (s->matrix.bits == 8 && !s->matrix.group) {
        size_t before = 0;
        for (int i = 0; i < j; i++) before += (size_t)s->sizes[i];
        about.scale = fabs(*gain) * (double)words[s->matrix.n_values + before + row];
    }
    return about;
}

/* Rows first .. first+n of a group, as one of the runtime's. */
static void add_group(struct export_layer *e, const struct psm *s, int j,
                      const struct psm_factor *f, const float *words, size_t g, int first, int n,
                      struct parts *to)
{
    size_t start = f->row_starts[g], count = f->row_starts[g + 1] - start;
    int block = f->block == 1 ? 1 : ROWS;
    size_t padded = block == 1 ? count : (count + 1) / 2 * 2;
    int8_t *codes = export_more_codes(to->rows, padded * (size_t)block);
    if (!codes) return;
    for (int r = first; r < first + n; r++) {
        size_t row = g * (size_t)f->block + (size_t)r;
        double gain, sum;
        struct export_row about;
        if (row >= (size_t)f->rows) break;
        about = describe_row(e, s, j, words, row, &gain);
        for (size_t p = 0; p < count; p++)
            to->w[p] =
                (float)(gain
                        * (double)words[f->first + (start + p) * (size_t)f->block + (size_t)r]);
        if (!(about.scale > 0)) about.scale = export_row_scale(to->w, (int)count);
        sum = export_codes(to->w, (int)count, about.scale, to->codes);
        for (size_t p = 0; p < count; p++) *code_at(codes, p, r - first, block) = to->codes[p];
        if (j == s->n_factors - 1) about.of_u = sum;
        else about.of_x = sum;
        export_more_rows(to->rows, about);
    }
    to->lengths[to->n_lengths++] = (uint16_t)(block == 1 ? count : padded / 2);
    for (size_t p = 0; p < padded; p++)
        to->columns[to->n_columns++] = p < count ? export_column(e->l, s, j, f->columns[start + p])
                                                 : (uint16_t)0;
}

/* The rows of factor j in rows, the rest in *to. */
static enum sn_status take_factor(struct export_layer *e, const struct psm *s, int j,
                                  const float *words, struct export_rows *rows,
                                  struct sn_micro_factor *to)
{
    struct psm_factor f = psm_factor_at(s, j);
    size_t halves = f.block == 8 ? 2 : 1,
           room = halves * (f.n_blocks + f.n_groups); /* one of zeros a group */
    struct parts parts = { .rows = rows,
                           .lengths = export_allocate(e->net, halves * f.n_groups, 2),
                           .columns = export_allocate(e->net, room, 2),
                           .w = malloc(((size_t)f.width + 1) * sizeof(float)),
                           .codes = malloc((size_t)f.width + 1) };
    int fine = parts.lengths && parts.columns && parts.w && parts.codes;
    for (size_t g = 0; fine && g < f.n_groups; g++)
        for (size_t half = 0; half < halves; half++) {
            size_t first = g * (size_t)f.block + half * ROWS;
            if (first >= (size_t)f.rows) break;
            add_group(e, s, j, &f, words, g, (int)half * ROWS, f.block == 1 ? 1 : ROWS, &parts);
        }
    *to = (struct sn_micro_factor){ .n_rows = (uint16_t)f.rows,
                                    .n_columns = (uint16_t)f.width,
                                    .block = f.block == 1 ? 1 : ROWS,
                                    .output = sn_micro_state,
                                    .lengths = parts.lengths,
                                    .columns = parts.columns };
    free(parts.w);
    free(parts.codes);
    return fine && !rows->missing ? SN_OK : export_no_memory(e);
}

/* The scale of the vectors left of rows: as fine as the largest of them allows, and not
 * finer than a scale word can say. */
static double inner_scale(const struct export_layer *e, const struct export_rows *rows,
                          double v_scale)
{
    double scale = 1.5 * (double)e->range.state / 32767;
    for (size_t i = 0; i < rows->n_rows; i++)
        scale = fmax(scale, export_least_scale(rows->rows[i].scale * v_scale));
    return scale > 0 ? scale : 1;
}

/* A factor whose inputs have v_scale, which becomes that of its outputs where it is not the last.
 */
static enum sn_status finish_factor(struct export_layer *e, const struct export_rows *rows,
                                    int is_last, double *v_scale, struct sn_micro_factor *to)
{
    double state_scale = inner_scale(e, rows, *v_scale);
    if (is_last) {
        for (size_t k = 0; k < rows->n_rows; k++)
            e->output.scale = fmax(e->output.scale,
                                   export_least_scale(rows->rows[k].scale * *v_scale));
        enum sn_status status = export_output(e, &to->output);
        if (status) return status;
    }
    enum sn_status status = export_finish(e, rows, *v_scale, state_scale, &to->rows);
    *v_scale = state_scale;
    return status;
}

static enum sn_status build_psm(struct export_layer *e, const float *words,
                                struct sn_micro_step *step, size_t *scratch)
{
    const struct psm *s = (const struct psm *)e->l->cweights;
    int n = s->n_factors;
    struct sn_micro_psm *to = export_allocate(e->net, 1, sizeof *to);
    struct sn_micro_factor *factors = export_allocate(e->net, (size_t)n, sizeof *factors);
    struct export_rows *rows = calloc((size_t)n, sizeof *rows), all = { 0 };
    enum sn_status status = SN_OK;
    int most_inner = 0, has_patches = export_has_patches(e->l);
    if (!to || !factors || !rows) {
        free(rows);
        return export_no_memory(e);
    }
    for (int i = 0; i < n && !status; i++) {
        status = take_factor(e, s, n - 1 - i, words, &rows[i], &factors[i]);
        for (size_t k = 0; k < rows[i].n_rows; k++) export_more_rows(&all, rows[i].rows[k]);
        if (i < n - 1 && s->sizes[n - 1 - i] > most_inner) most_inner = s->sizes[n - 1 - i];
    }
    if (!status) status = export_scale(e, &all, 0);
    double v_scale = e->v_scale;
    for (int i = 0; i < n && !status; i++)
        status = finish_factor(e, &rows[i], i == n - 1, &v_scale, &factors[i]);
    if (!status) status = export_u16(e, s->order, (size_t)s->matrix.n_outputs, &to->output_order);
    if (!status) {
        to->input = export_input(e, export_pixels(e->l));
        to->n_factors = (uint16_t)n;
        to->n_inputs = (uint16_t)s->matrix.n_inputs;
        to->most_inner = (uint16_t)most_inner;
        to->factors = factors;
        *scratch = SN_MICRO_BATCH * sizeof(int32_t)
            + sizeof(int16_t)
                * ((has_patches ? 0 : (size_t)s->matrix.n_inputs) + 2 * (size_t)most_inner);
    }
    *step = (struct sn_micro_step){ .run = has_patches ? sn_micro_psm_at : sn_micro_psm,
                                    .layer = to };
    for (int i = 0; i < n; i++) export_rows_free(&rows[i]);
    export_rows_free(&all);
    free(rows);
    return status;
}

const struct export_family export_psm = { "psm", psm_state, build_psm, export_float_psm };
