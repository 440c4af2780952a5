#include "micro.h"

enum { SIZES = 4 };

/* [u z] of stages N-1 .. 0: z_k = [F E] [u_k; z_{k+1}], all of them kept, the last one first. */
static int16_t *anticausal(const struct sn_micro_sss *s, struct sn_micro_rows *rows,
                           const int8_t *in, int16_t *z, int16_t *v)
{
    const uint16_t *sizes = s->sizes + SIZES * s->n_stages;
    unsigned n_next = 0, first = s->n_inputs;
    while (sizes > s->sizes) {
        sizes -= SIZES;
        unsigned n = sizes[0], n_states = sizes[3];
        first -= n;
        if (n_states) {
            sn_micro_take(&s->input, in, s->input_order, first, n, v);
            for (unsigned i = 0; i < n_next; i++) v[n + i] = z[(int)i - (int)n_next];
            sn_micro_multiply(rows, v, n + n_next, n_states, &sn_micro_state, 0, 1, z);
        }
        z += n_states;
        n_next = n_states;
    }
    return z;
}

/* One pixel: y_k = [D C G] [u_k; x_k; z_{k+1}] and x_{k+1} = [B A] [u_k; x_k]. */
static void multiply_pixel(const struct sn_micro_sss *s, const int8_t *in, char *out,
                           int16_t *scratch)
{
    struct sn_micro_rows rows = { s->rows.weights, s->rows.scales, s->rows.bias };
    int16_t *v = scratch, *x = v + s->most_columns + SN_MICRO_SLACK,
            *z = anticausal(s, &rows, in, x + s->most_states, v);
    const uint16_t *sizes = s->sizes, *order = s->output_order;
    unsigned first = 0, n_states = 0, step = s->input.pixels, bytes = s->output.is_wide ? 2 : 1;
    for (unsigned k = s->n_stages; k-- > 0; sizes += SIZES) {
        unsigned n = sizes[0], n_next = k ? sizes[SIZES + 3] : 0;
        sn_micro_take(&s->input, in, s->input_order, first, n, v);
        for (unsigned i = 0; i < n_states; i++) v[n + i] = x[i];
        z -= sizes[3];
        for (unsigned i = 0; i < n_next; i++) v[n + n_states + i] = z[(int)i - (int)n_next];
        sn_micro_multiply(&rows, v, n + n_states + n_next, sizes[1], &s->output, order, step, out);
        sn_micro_multiply(&rows, v, n + n_states, sizes[2], &sn_micro_state, 0, 1, x);
        first += n;
        if (order) order += sizes[1];
        else out += sizes[1] * step * bytes;
        n_states = sizes[2];
    }
}

void sn_micro_sss(const void *layer, const int8_t *in, const int8_t *other, void *out,
                  void *scratch)
{
    const struct sn_micro_sss *s = layer;
    (void)other;
    for (unsigned p = 0; p < s->input.pixels; p++)
        multiply_pixel(s, in + p, (char *)out + p * (s->output.is_wide ? 2u : 1u), scratch);
}
