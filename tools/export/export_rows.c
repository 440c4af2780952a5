/* Rows of floats as rows of int8 codes, scale words and biases. */
#include "export_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Grows an array to hold n elements. */
static void *grow(void *array, size_t size, size_t n, size_t *room, int *missing)
{
    if (n <= *room) return array;
    size_t larger = 2 * n;
    void *grown = realloc(array, larger * size);
    if (!grown) {
        *missing = 1;
        return array;
    }
    *room = larger;
    return grown;
}

int8_t *export_more_codes(struct export_rows *rows, size_t n)
{
    rows->codes = grow(rows->codes, 1, rows->n_codes + n, &rows->codes_room, &rows->missing);
    if (rows->missing) return NULL;
    int8_t *at = rows->codes + rows->n_codes;
    rows->n_codes += n;
    return memset(at, 0, n);
}

void export_more_rows(struct export_rows *rows, struct export_row row)
{
    rows->rows = grow(rows->rows, sizeof row, rows->n_rows + 1, &rows->rows_room, &rows->missing);
    if (!rows->missing) rows->rows[rows->n_rows++] = row;
}

void export_rows_free(struct export_rows *rows)
{
    free(rows->codes);
    free(rows->rows);
}

double export_row_scale(const float *w, int n)
{
    double most = 0;
    for (int j = 0; j < n; j++) most = fmax(most, fabs((double)w[j]));
    return most / 127;
}

double export_codes(const float *w, int n, double scale, int8_t *codes)
{
    double sum = 0;
    for (int j = 0; j < n; j++) {
        double code = scale > 0 ? fmax(-127, fmin(127, rint((double)w[j] / scale))) : 0;
        codes[j] = (int8_t)code;
        sum += fabs(code);
    }
    return sum;
}

void export_add_row(struct export_rows *rows, const float *w, int n, struct export_row row)
{
    int8_t *to = export_more_codes(rows, ((size_t)n + 3) / 4 * 4);
    if (!to) return;
    if (!(row.scale > 0)) row.scale = export_row_scale(w, n);
    row.of_u += export_codes(w, row.n_inputs, row.scale, to);
    row.of_x += export_codes(w + row.n_inputs, n - row.n_inputs, row.scale, to + row.n_inputs);
    for (int j = 0; j < n; j += 4) {
        int8_t second = to[j + 1];
        to[j + 1] = to[j + 2];
        to[j + 2] = second;
    }
    export_more_rows(rows, row);
}

enum sn_status export_no_memory(const struct export_layer *e)
{
    return sn_no_memory(e->error, "the integers of layer %d", e->index);
}

enum { MOST_SUM = 1 << 30, STATE = 32767, MOST_SHIFT = 7 };

/* Whether no sum of these rows can leave the bound, with inputs of at most u << shift. */
static int fits(const struct export_rows *rows, double u)
{
    if (u > STATE) return 0;
    for (size_t i = 0; i < rows->n_rows; i++)
        if (rows->rows[i].of_u * u + rows->rows[i].of_x * STATE > MOST_SUM) return 0;
    return 1;
}

enum sn_status export_scale(struct export_layer *e, const struct export_rows *rows, double state)
{
    static const double margin = 1.5; /* of states beyond those of the samples */
    double u = fmax(-128 - e->input.zero, 127 - e->input.zero), coarsest = 0;
    u = fmax(u, 128 + e->input.zero);
    if (rows->missing) return export_no_memory(e);
    int shift = MOST_SHIFT;
    while (
        shift > 0
        && (!fits(rows, ldexp(u, shift)) || margin * state > STATE * ldexp(e->input.scale, -shift)))
        shift--;
    if (!fits(rows, ldexp(u, shift)))
        return sn_fail(e->error, SN_BAD_INPUT,
                       "layer %d: sums of its rows exceed 32 bits, expected fewer inputs",
                       e->index);
    e->shift = shift;
    e->v_scale = ldexp(e->input.scale, -shift);
    for (size_t i = 0; i < rows->n_rows; i++)
        if (rows->rows[i].is_output) coarsest = fmax(coarsest, rows->rows[i].scale * e->v_scale);
    e->output.scale = fmax(e->output.scale, export_least_scale(coarsest));
    return SN_OK;
}

/* Of a scale word: the bits of e, and the most that the others hold. */
enum { LOW_BITS = 5, MOST_HIGH = 1023 };

double export_least_scale(double scale) { return ldexp(scale, 16 - LOW_BITS) / MOST_HIGH; }

uint16_t export_word(double factor, double bias, int32_t *integer)
{
    enum { MOST_BIAS = 1 << 29, MOST_E = 28 };
    int e = 0, has_bias = !isnan(bias);
    while (e < MOST_E && ldexp(factor, 16 + e + 1 - LOW_BITS) <= MOST_HIGH
           && (!has_bias || ldexp(fabs(bias), e + 1) <= MOST_BIAS))
        e++;
    double high = rint(ldexp(ldexp(factor, 16 + e) - e, -LOW_BITS));
    if (integer)
        *integer = has_bias
            ? (int32_t)fmax(-MOST_BIAS, fmin(MOST_BIAS, rint(ldexp(bias, e)))) + ((1 << e) >> 1)
            : 0;
    return (uint16_t)((int)fmax(0, fmin(MOST_HIGH, high)) << LOW_BITS | e);
}

enum sn_status export_finish(struct export_layer *e, const struct export_rows *rows, double v_scale,
                             double state_scale, struct sn_micro_rows *into)
{
    size_t n = rows->n_rows, n_biases = 0;
    for (size_t i = 0; i < n; i++) n_biases += rows->rows[i].is_output != 0;
    int8_t *codes = export_allocate(e->net, rows->n_codes, 1);
    uint16_t *words = export_allocate(e->net, n, sizeof *words);
    int32_t *biases = export_allocate(e->net, n_biases, sizeof *biases), *bias = biases;
    if (!codes || !words || !biases) return export_no_memory(e);
    memcpy(codes, rows->codes, rows->n_codes);
    for (size_t i = 0; i < n; i++) {
        const struct export_row *row = &rows->rows[i];
        double factor = row->scale * v_scale / (row->is_output ? e->output.scale : state_scale),
               offset = row->is_output ? row->bias / e->output.scale + e->output.zero : NAN;
        if (factor > .5 && !row->is_output)
            return sn_fail(e->error, SN_BAD_INPUT,
                           "layer %d: a row of states has weights of %g, expected at most 63.5",
                           e->index, 127 * row->scale);
        words[i] = export_word(factor, offset, row->is_output ? bias++ : NULL);
    }
    *into = (struct sn_micro_rows){ codes, words, biases };
    return SN_OK;
}
