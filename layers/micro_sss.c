/* Sequentially semiseparable matrices of integers (micro.h). */
#include "micro.h"

enum { SIZES = 4 };

/* The states z_k = [F E] [u_k; z_{k+1}] of stages N-1 .. 0 one behind the other; returns their end.
 */
static int16_t *anticausal(const struct sn_micro_sss *s, struct sn_micro_rows *rows,
                           const int8_t *in, int16_t *z, int16_t *v)
{
    struct sn_micro_target target = { &sn_micro_state, 0, (char *)z, 1 };
    size_t n_next = 0, first = s->n_inputs;
    for (size_t k = s->n_stages; k-- > 0;) {
        const uint16_t *sizes = s->sizes + SIZES * k;
        size_t n = sizes[0];
        first -= n;
        sn_micro_take(&s->input, in, s->input_order, first, sizes[3] ? n : 0, v);
        for (size_t i = 0; i < n_next; i++) v[n + i] = z[i];
        z = (int16_t *)(void *)target.out;
        sn_micro_multiply(rows, v, n + n_next, sizes[3], &target);
        n_next = sizes[3];
    }
    return (int16_t *)(void *)target.out;
}

/* One pixel: y_k = [D C G] [u_k; x_k; z_{k+1}] and x_{k+1} = [B A] [u_k; x_k]. */
static inline void multiply_pixel(const struct sn_micro_sss *s, const int8_t *in,
                                  struct sn_micro_target *target, int16_t *v)
{
    struct sn_micro_rows rows = { s->rows.weights, s->rows.scales, s->rows.bias };
    int16_t *x = v + s->most_columns + SN_MICRO_SLACK,
            *z = anticausal(s, &rows, in, x + s->most_states, v);
    const uint16_t *sizes = s->sizes;
    size_t first = 0, n_states = 0;
    for (size_t k = s->n_stages; k-- > 0; sizes += SIZES) {
        struct sn_micro_target states = { &sn_micro_state, 0, (char *)x, 1 };
        size_t n = sizes[0], n_known = n + n_states, n_all = n_known;
        sn_micro_take(&s->input, in, s->input_order, first, n, v);
        for (size_t i = 0; i < n_states; i++) v[n + i] = x[i];
        z -= sizes[3];
        if (k)
            for (size_t i = sizes[SIZES + 3]; i > 0; i--) v[n_all++] = z[-(int)i];
        sn_micro_multiply(&rows, v, n_all, sizes[1], target);
        sn_micro_multiply(&rows, v, n_known, sizes[2], &states);
        first += n;
        n_states = sizes[2];
    }
}

void sn_micro_sss(const void *layer, const int8_t *in, const int8_t *other, void *out,
                  void *scratch)
{
    const struct sn_micro_sss *s = layer;
    (void)other;
    for (size_t p = 0; p < s->input.pixels; p++) {
        struct sn_micro_target target = { &s->output, s->output_order,
                                          (char *)out + (p << s->output.is_wide), s->input.pixels };
        multiply_pixel(s, in + p, &target, scratch);
    }
}
