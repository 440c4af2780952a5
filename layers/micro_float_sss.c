/* Sequentially semiseparable matrices of floats (micro_float.h). */
#include "micro_float.h"

enum { SIZES = 4 };

/* u_k, the n inputs from first on, into v; returns their end. */
static float *take(const struct sn_micro_float_sss *s, const float *in, size_t first, size_t n,
                   float *v)
{
    size_t pixels = s->pixels;
    if (s->stages.input_order)
        for (size_t j = 0; j < n; j++) *v++ = in[s->stages.input_order[first + j] * pixels];
    else {
        in += first * pixels;
        for (size_t j = 0; j < n; j++, in += pixels) *v++ = *in;
    }
    return v;
}

static float *copy(const float *from, size_t n, float *to)
{
    for (; n > 0; n--) *to++ = *from++;
    return to;
}

/* The states z_k = [F E] [u_k; z_{k+1}] of stages N-1 .. 0 one behind the other; returns their end.
 */
static float *anticausal(const struct sn_micro_float_sss *s, struct sn_micro_float_rows *rows,
                         const float *in, float *z, float *v)
{
    struct sn_micro_float_target target = { &sn_micro_float_state, 0, z, 1 };
    size_t n_next = 0, first = s->stages.n_inputs;
    for (size_t k = s->stages.n_stages; k-- > 0;) {
        const uint16_t *sizes = s->stages.sizes + SIZES * k;
        first -= sizes[0];
        if (sizes[3]) {
            copy(z, n_next, take(s, in, first, sizes[0], v));
            z = target.out;
            sn_micro_float_multiply(rows, v, sizes[0] + n_next, sizes[3], &target);
        }
        n_next = sizes[3];
    }
    return target.out;
}

/* One pixel: y_k = [D C G] [u_k; x_k; z_{k+1}] and x_{k+1} = [B A] [u_k; x_k]. */
static void multiply_pixel(const struct sn_micro_float_sss *s, const float *in,
                           struct sn_micro_float_target *target, float *v)
{
    struct sn_micro_float_rows outputs = s->rows, rows = { s->rows.weights, 0 };
    float *x = v + s->stages.most_columns,
          *z = anticausal(s, &rows, in, x + s->stages.most_states, v);
    const uint16_t *sizes = s->stages.sizes;
    size_t first = 0, n_states = 0;
    for (size_t k = s->stages.n_stages; k-- > 0; sizes += SIZES) {
        struct sn_micro_float_target states = { &sn_micro_float_state, 0, x, 1 };
        size_t n_known = sizes[0] + n_states, n_next = k ? sizes[SIZES + 3] : 0;
        z -= sizes[3];
        copy(z - n_next, n_next, copy(x, n_states, take(s, in, first, sizes[0], v)));
        outputs.weights = rows.weights;
        sn_micro_float_multiply(&outputs, v, n_known + n_next, sizes[1], target);
        rows.weights = outputs.weights;
        sn_micro_float_multiply(&rows, v, n_known, sizes[2], &states);
        first += sizes[0];
        n_states = sizes[2];
    }
}

void sn_micro_float_sss(const void *layer, const void *in, const void *other, void *out,
                        void *scratch)
{
    const struct sn_micro_float_sss *s = layer;
    (void)other;
    for (size_t p = 0; p < s->pixels; p++) {
        struct sn_micro_float_target target = { &s->output, s->stages.output_order,
                                                (float *)out + p, s->pixels };
        multiply_pixel(s, (const float *)in + p, &target, scratch);
    }
}
