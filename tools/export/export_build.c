/* The steps of a net and where their numbers lie. */
#include "export_layers.h"
#include "layer_costs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <structured_layer.h>
#include <weights_file.h>

/* ---- What can be exported */

/* Says why a layer cannot be a step, or NULL. */
static const char *obstacle(const layer *l, int first)
{
    enum { MOST = 65535 };
    static const char *const too_many = "more than 65535 inputs or outputs";
    if (l->outputs > MOST * 64 || l->w * l->h > MOST || l->out_w * l->out_h > MOST
        || l->inputs > MOST * 64)
        return "too large";
    if (structured_matrix(l)) {
        const struct sn_matrix *structured = structured_matrix(l);
        if (!export_family(structured)) return "no integer form";
        if (export_has_patches(l) && export_band(l) > MOST)
            return "more than 65535 numbers in the rows of a patch";
        return structured->n_inputs > MOST || structured->n_outputs > MOST ? too_many : NULL;
    }
    switch (l->type) {
    case CONVOLUTIONAL: return l->binary || l->xnor ? "binary weights" : NULL;
    case CONNECTED: return l->inputs > MOST || l->outputs > MOST ? too_many : NULL;
    case MAXPOOL:
    case AVGPOOL:
    case DROPOUT:
    case ACTIVE: return NULL;
    case SHORTCUT:
        if (l->index < first) return "an input from outside of what is exported";
        return l->w != l->out_w || l->h != l->out_h || l->c != l->out_c
            ? "inputs of different sizes"
            : NULL;
    case ROUTE:
        for (int i = 0; i < l->n; i++)
            if (l->input_layers[i] < first) return "an input from outside of what is exported";
        return NULL;
    default: return "no integer form";
    }
}

enum sn_status export_check(const network *net, const char *cfg, int first, int *last,
                            struct sn_error *error)
{
    while (*last > first
           && (net->layers[*last].type == SOFTMAX || net->layers[*last].type == COST
               || net->layers[*last].type == DROPOUT))
        --*last;
    for (int i = first; i <= *last; i++) {
        const char *why = obstacle(&net->layers[i], first);
        if (why)
            return sn_fail(error, SN_BAD_INPUT, "%s: layer %d, [%s], cannot be exported: %s", cfg,
                           i, weights_layer_name(&net->layers[i]), why);
    }
    if (net->layers[*last].type == ROUTE)
        return sn_fail(error, SN_BAD_INPUT, "%s: layer %d, [route], cannot be the last one", cfg,
                       *last);
    return SN_OK;
}

/* ---- Building */

/* The numbers of a layer, 0 those of the net: which buffer holds them, from when until when. */
struct value {
    struct export_number number;
    size_t n, at;       /* numbers, first byte */
    int is_alias, root; /* the value whose buffer it is */
    int born, dies;     /* steps */
};

/* A step's values. */
struct link {
    int in, other, out;
    size_t out_offset;
};

struct builder {
    const network *net;
    int first, last, n_steps, is_float;
    const struct export_range *ranges;
    const struct export_kinds *kinds;
    struct export_net *to;
    struct value *values; /* last - first + 2 */
    struct link *links;
    size_t scratch;
    struct sn_error *error;
};

/* The number of the value that layer i gives. */
static int value_of(const struct builder *b, int layer_index)
{
    int v = layer_index - b->first + 1;
    return b->values[v].is_alias ? b->values[v].root : v;
}

static void use(struct builder *b, int v) { b->values[v].dies = b->n_steps; }

static void add_step(struct builder *b, struct sn_micro_step step, int in, int other, int out,
                     size_t out_offset)
{
    use(b, in);
    use(b, other);
    if (!b->values[out].born) b->values[out].born = b->n_steps + 1;
    use(b, out);
    b->links[b->n_steps] = (struct link){ in, other, out, out_offset };
    b->to->steps[b->n_steps++] = step;
}

static struct export_number number_of(const struct builder *b, float low, float high, int is_wide)
{
    if (b->is_float) return (struct export_number){ .scale = 1, .is_float = 1 };
    return export_number_of(low, high, is_wide);
}

/* Of a layer with one input: its number before and behind the activation. */
static struct export_layer describe(struct builder *b, int i)
{
    const layer *l = &b->net->layers[i];
    const struct export_range *range = &b->ranges[i];
    int is_looked_up = export_needs_table(l),
        is_wide = i == b->last && !is_looked_up && l->type != MAXPOOL;
    struct export_layer e = { .l = l,
                              .index = i,
                              .net = b->to,
                              .input = b->values[value_of(b, i - 1)].number,
                              .range = *range,
                              .error = b->error };
    e.behind = number_of(b, range->low, range->high, 0);
    e.output = is_looked_up ? number_of(b, range->pre_low, range->pre_high, 0)
                            : number_of(b, range->low, range->high, is_wide);
    return e;
}

/* The parts of a route one behind the other, in one number. */
static enum sn_status add_route(struct builder *b, int i)
{
    const layer *l = &b->net->layers[i];
    int v = i - b->first + 1;
    size_t offset = 0;
    if (l->n == 1) {
        b->values[v].is_alias = 1;
        b->values[v].root = value_of(b, l->input_layers[0]);
        return SN_OK;
    }
    b->values[v].number = number_of(b, b->ranges[i].low, b->ranges[i].high, 0);
    for (int k = 0; k < l->n; k++) {
        struct export_layer e = describe(b, i);
        int from = value_of(b, l->input_layers[k]);
        struct sn_micro_step step;
        e.output = b->values[v].number;
        enum sn_status status = b->kinds->sum(
            &e, (struct export_number[2]){ b->values[from].number, b->values[from].number },
            (double[2]){ 1, 0 }, (size_t)l->input_sizes[k], &step);
        if (status) return status;
        add_step(b, step, from, from, v, offset);
        offset += (size_t)l->input_sizes[k];
    }
    return SN_OK;
}

/* One step for one layer. */
static enum sn_status add_layer(struct builder *b, int i)
{
    const layer *l = &b->net->layers[i];
    struct export_layer e = describe(b, i);
    struct sn_micro_step step = { 0 };
    int v = i - b->first + 1, in = value_of(b, i - 1), other = in;
    size_t scratch = 0;
    enum sn_status status;
    if (structured_matrix(l)) {
        const struct export_family *family = export_family(structured_matrix(l));
        status = (b->is_float ? family->build_float : family->build)(&e, export_words(l), &step,
                                                                     &scratch);
        if (!status) status = export_patches(&e, &step, &scratch);
    } else if (l->type == CONVOLUTIONAL || l->type == CONNECTED)
        status = b->kinds->convolution(&e, &step, &scratch);
    else if (l->type == MAXPOOL) status = b->kinds->maxpool(&e, &step);
    else if (l->type == AVGPOOL) status = b->kinds->avgpool(&e, &step);
    else {
        double factor[2] = { 1, 0 };
        if (l->type == SHORTCUT) {
            other = value_of(b, l->index);
            factor[0] = (double)l->alpha;
            factor[1] = (double)l->beta;
        }
        status = b->kinds->sum(&e, (struct export_number[2]){ e.input, b->values[other].number },
                               factor, (size_t)l->outputs, &step);
    }
    if (status) return status;
    int is_looked_up = export_needs_table(l);
    b->values[v].number = is_looked_up ? e.behind : e.output;
    b->scratch = scratch > b->scratch ? scratch : b->scratch;
    add_step(b, step, in, other, v, 0);
    return SN_OK;
}

/* ---- Memory */

static size_t number_bytes(const struct export_number *number)
{
    return number->is_float ? sizeof(float) : number->is_wide ? 2 : 1;
}

static size_t words(size_t n_bytes) { return (n_bytes + 3) / 4 * 4; }

static size_t bytes_of(const struct value *v) { return words(v->n * number_bytes(&v->number)); }

/* Places every buffer at the lowest address where it meets none that is needed at the same time. */
static size_t place_buffers(struct builder *b)
{
    int n = b->last - b->first + 2;
    size_t most = 0;
    for (int v = 1; v < n - 1; v++) {
        struct value *value = &b->values[v];
        if (!value->born) continue;
        for (int k = 1; k < v; k++) {
            const struct value *other = &b->values[k];
            int together = other->born && other->born <= value->dies + 1
                && value->born <= other->dies + 1;
            if (!together || value->at + bytes_of(value) <= other->at
                || other->at + bytes_of(other) <= value->at)
                continue;
            value->at = other->at + bytes_of(other);
            k = 0;
        }
        if (value->at + bytes_of(value) > most) most = value->at + bytes_of(value);
    }
    return most;
}

static void finish(struct builder *b)
{
    int result = b->last - b->first + 1;
    size_t buffers = place_buffers(b);
    for (int i = 0; i < b->n_steps; i++) {
        const struct link *link = &b->links[i];
        struct sn_micro_step *step = &b->to->steps[i];
        step->in = link->in ? (int32_t)b->values[link->in].at : -1;
        step->other = link->other ? (int32_t)b->values[link->other].at : -1;
        step->out = link->out == result
            ? -1
            : (int32_t)(b->values[link->out].at
                        + link->out_offset * number_bytes(&b->values[link->out].number));
    }
    b->to->net = (struct sn_micro_net){ b->to->steps, (uint16_t)b->n_steps, (uint32_t)buffers };
    b->to->n_bytes = buffers + words(b->scratch);
    b->to->output = b->values[result].number;
    b->to->n_inputs = b->values[0].n;
    b->to->n_outputs = b->values[result].n;
}

static int count_steps(const network *net, int first, int last)
{
    int n = 0;
    for (int i = first; i <= last; i++) n += net->layers[i].type == ROUTE ? net->layers[i].n : 1;
    return n;
}

enum sn_status export_build(const network *net, int first, int last, int is_float,
                            const struct export_range *input, const struct export_range *ranges,
                            struct export_net *out, struct sn_error *error)
{
    *out = (struct export_net){ 0 };
    struct builder b = { .net = net,
                         .first = first,
                         .last = last,
                         .is_float = is_float,
                         .ranges = ranges,
                         .kinds = is_float ? &export_floats : &export_integers,
                         .to = out,
                         .error = error };
    size_t n_steps = (size_t)count_steps(net, first, last);
    b.values = calloc((size_t)last - (size_t)first + 2, sizeof *b.values);
    b.links = calloc(n_steps + 1, sizeof *b.links);
    out->steps = export_allocate(out, n_steps, sizeof *out->steps);
    enum sn_status status = b.values && b.links && out->steps
        ? SN_OK
        : sn_no_memory(error, "%zu steps", n_steps);
    if (!status) {
        b.values[0].number = out->input = number_of(&b, input->low, input->high, 0);
        b.values[0].n = (size_t)net->layers[first].inputs;
    }
    for (int i = first; i <= last && !status; i++) {
        const layer *l = &net->layers[i];
        struct value *v = &b.values[i - first + 1];
        v->n = (size_t)l->outputs;
        if (l->type == DROPOUT) {
            v->is_alias = 1;
            v->root = value_of(&b, i - 1);
        } else status = l->type == ROUTE ? add_route(&b, i) : add_layer(&b, i);
        out->multiply_adds += layer_multiply_adds(l);
    }
    if (!status) finish(&b);
    free(b.values);
    free(b.links);
    if (status) export_free(out);
    return status;
}

void export_free(struct export_net *net)
{
    for (size_t i = 0; i < net->n_blocks; i++) free(net->blocks[i]);
    free(net->blocks);
    *net = (struct export_net){ 0 };
}

/* ---- Running it */

size_t export_input_bytes(const struct export_net *net)
{
    return net->n_inputs * number_bytes(&net->input);
}

size_t export_output_bytes(const struct export_net *net)
{
    return net->n_outputs * number_bytes(&net->output);
}

size_t export_memory_bytes(const struct export_net *net)
{
    return words(export_input_bytes(net)) + net->n_bytes + words(export_output_bytes(net)) + 4;
}

static void quantise(const struct export_net *net, const float *x, void *q)
{
    int8_t *codes = q;
    if (net->input.is_float) memcpy(q, x, export_input_bytes(net));
    else
        for (size_t i = 0; i < net->n_inputs; i++) {
            double code = rint((double)x[i] / net->input.scale + net->input.zero);
            codes[i] = (int8_t)fmax(-128, fmin(127, code));
        }
}

const void *export_run(const struct export_net *net, const float *x, float *y, void *memory)
{
    char *rest = (char *)memory + words(export_input_bytes(net)), *out = rest + net->n_bytes;
    quantise(net, x, memory);
    sn_micro_run(&net->net, memory, out, rest);
    if (y && net->output.is_float) memcpy(y, out, export_output_bytes(net));
    else if (y)
        for (size_t i = 0; i < net->n_outputs; i++) {
            int value = net->output.is_wide ? ((int16_t *)(void *)out)[i] : ((int8_t *)out)[i];
            y[i] = (float)((value - net->output.zero) * net->output.scale);
        }
    return out;
}
