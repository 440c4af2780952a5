/* Sequentially semiseparable matrices of integers (micro.h). */
#include "micro.h"

enum { SIZES = 4 };

/* Where a place's inputs are: q of a pixel, or v itself. */
struct inputs {
    const int8_t *q;
    const int16_t *v; /* or NULL */
};

/* v of n inputs from the first on. */
static inline void take(const struct sn_micro_sss *s, const struct inputs *in, size_t first,
                        size_t n, int16_t *v)
{
    const uint16_t *order = s->stages.input_order;
    const int8_t *q = in->q;
    if (order) order += first;
    else q += first * s->input.pixels;
    if (in->v)
        for (size_t j = 0; j < n; j++) v[j] = in->v[order[j]];
    else sn_micro_take(&s->input, q, order, n, v);
}

/* The states z_k = [F E] [u_k; z_{k+1}] of stages N-1 .. 0 one behind the other. */
static void anticausal(const struct sn_micro_sss *s, struct sn_micro_rows *rows,
                       const struct inputs *in, int32_t *sums, struct sn_micro_target *states)
{
    int16_t *z = 0, *v = (int16_t *)(void *)(sums + SN_MICRO_BATCH);
    size_t n_next = 0, first = s->stages.n_inputs;
    for (size_t k = s->stages.n_stages; k-- > 0;) {
        const uint16_t *sizes = s->stages.sizes + SIZES * k;
        size_t n = sizes[0];
        first -= n;
        take(s, in, first, sizes[3] ? n : 0, v);
        for (size_t i = 0; i < n_next; i++) v[n + i] = z[i];
        z = (int16_t *)(void *)states->out;
        sn_micro_multiply(rows, sums, n + n_next, sizes[3], states);
        n_next = sizes[3];
    }
}

/* One place: y_k = [D C G] [u_k; x_k; z_{k+1}] and x_{k+1} = [B A] [u_k; x_k]. */
static void multiply_place(const struct sn_micro_sss *s, const struct inputs *in, int32_t *sums,
                           char *out)
{
    struct sn_micro_target states = { &sn_micro_state, 0, 0 },
                           target = { &s->output, s->stages.output_order, out };
    struct sn_micro_rows rows = { s->rows.weights, s->rows.scales, s->rows.bias };
    int16_t *v = (int16_t *)(void *)(sums + SN_MICRO_BATCH),
            *x = v + s->stages.most_columns + SN_MICRO_SLACK, *z = x + s->stages.most_states;
    states.out = (char *)z;
    anticausal(s, &rows, in, sums, &states);
    z = (int16_t *)(void *)states.out;
    const uint16_t *sizes = s->stages.sizes;
    size_t first = 0, n_states = 0;
    for (size_t k = s->stages.n_stages; k-- > 0; sizes += SIZES) {
        size_t n = sizes[0], n_known = n + n_states, n_all = n_known;
        take(s, in, first, n, v);
        for (size_t i = 0; i < n_states; i++) v[n + i] = x[i];
        z -= sizes[3];
        if (k)
            for (size_t i = sizes[SIZES + 3]; i > 0; i--) v[n_all++] = z[-(int)i];
        sn_micro_multiply(&rows, sums, n_all, sizes[1], &target);
        states.out = (char *)x;
        sn_micro_multiply(&rows, sums, n_known, sizes[2], &states);
        first += n;
        n_states = sizes[2];
    }
}

void sn_micro_sss_at(const void *layer, const void *in, const void *other, void *out, void *scratch)
{
    struct inputs inputs = { 0, in };
    (void)other;
    multiply_place(layer, &inputs, scratch, out);
}

void sn_micro_sss(const void *layer, const void *in, const void *other, void *out, void *scratch)
{
    const struct sn_micro_sss *s = layer;
    (void)other;
    for (size_t p = 0; p < s->input.pixels; p++) {
        struct inputs inputs = { (const int8_t *)in + p, 0 };
        multiply_place(s, &inputs, scratch, (char *)out + (p << s->output.is_wide));
    }
}
