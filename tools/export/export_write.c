/* A net of integers as C. */
#include "export_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct writer {
    const char *name;
    FILE *file;
    int step;
    size_t n_bytes;
};

/* An array of the net, NAME_STEP_what; nothing for one that is not there. */
static void write_array(struct writer *w, const char *what, const char *type, size_t size,
                        const void *numbers, size_t n)
{
    if (!numbers || !n) return;
    int per_line = size == 1 ? 20 : size == 2 ? 14 : 8;
    fprintf(w->file, "static const %s %s_%d_%s[%zu] = {", type, w->name, w->step, what, n);
    for (size_t i = 0; i < n; i++) {
        fputs(i % (size_t)per_line ? " " : "\n    ", w->file);
        if (size == 1) fprintf(w->file, "%d,", ((const int8_t *)numbers)[i]);
        else if (size == 2) fprintf(w->file, "%u,", ((const uint16_t *)numbers)[i]);
        else fprintf(w->file, "%ld,", (long)((const int32_t *)numbers)[i]);
    }
    fputs("\n};\n", w->file);
    w->n_bytes += n * size;
}

/* "NAME_STEP_what", or 0 for an array that is not there. */
static const char *reference(const struct writer *w, const char *what, const void *numbers,
                             char text[200])
{
    snprintf(text, 200, "%s_%d_%s", w->name, w->step, what);
    return numbers ? text : "0";
}

static void write_output(const struct writer *w, const struct sn_micro_output *o)
{
    char table[200];
    fprintf(w->file, "{ %d, %d, %d, %d, %s }", o->low, o->high, o->is_wide, o->has_bias,
            reference(w, "table", o->table, table));
}

static void write_input(const struct writer *w, const struct sn_micro_input *i)
{
    fprintf(w->file, "{ %d, %d, %d }", i->zero, i->shift, i->pixels);
}

/* What every step with rows begins with. */
static void begin(const struct writer *w, const char *type, const struct sn_micro_input *input,
                  const struct sn_micro_output *output)
{
    fprintf(w->file, "static const struct %s %s_%d = {\n    ", type, w->name, w->step);
    if (input) write_input(w, input), fputs(", ", w->file);
    if (output) write_output(w, output), fputs(", ", w->file);
}

static void write_rows(struct writer *w, const char *part, const struct sn_micro_rows *rows,
                       size_t n_weights, size_t n_rows, size_t n_biases)
{
    char what[3][40];
    snprintf(what[0], sizeof what[0], "weights%s", part);
    snprintf(what[1], sizeof what[1], "scales%s", part);
    snprintf(what[2], sizeof what[2], "bias%s", part);
    /* Kernels read words of four. */
    fprintf(w->file, "SN_MICRO_ALIGNED ");
    write_array(w, what[0], "int8_t", 1, n_weights ? rows->weights : (const void *)"",
                n_weights ? n_weights : 1);
    write_array(w, what[1], "uint16_t", 2, rows->scales, n_rows);
    write_array(w, what[2], "int32_t", 4, rows->bias, n_biases);
}

static void refer_to_rows(const struct writer *w, const char *part, size_t n_rows, size_t n_biases)
{
    fprintf(w->file, "{ %s_%d_weights%s, ", w->name, w->step, part);
    if (n_rows) fprintf(w->file, "%s_%d_scales%s, ", w->name, w->step, part);
    else fputs("0, ", w->file);
    if (n_biases) fprintf(w->file, "%s_%d_bias%s }", w->name, w->step, part);
    else fputs("0 }", w->file);
}

static size_t padded(size_t n) { return (n + 3) / 4 * 4; }

static void write_sss(struct writer *w, const struct sn_micro_sss *s)
{
    size_t weights = 0, rows = 0, outputs = 0;
    for (unsigned k = 0; k < s->n_stages; k++) {
        const uint16_t *size = s->sizes + 4 * (size_t)k;
        size_t n = size[0], causal = k ? size[-2] : 0, next = k + 1u < s->n_stages ? size[7] : 0;
        weights += size[3] * padded(n + next) + size[1] * padded(n + causal + next)
            + size[2] * padded(n + causal);
        rows += (size_t)size[1] + size[2] + size[3];
        outputs += size[1];
    }
    char text[3][200];
    write_rows(w, "", &s->rows, weights, rows, outputs);
    write_array(w, "sizes", "uint16_t", 2, s->sizes, 4 * (size_t)s->n_stages);
    write_array(w, "inputs", "uint16_t", 2, s->input_order, s->n_inputs);
    write_array(w, "outputs", "uint16_t", 2, s->output_order, outputs);
    write_array(w, "table", "int8_t", 1, s->output.table, 256);
    begin(w, "sn_micro_sss", &s->input, &s->output);
    fprintf(w->file, "%d, %d, %s, %s, %s, ", s->n_stages, s->n_inputs,
            reference(w, "sizes", s->sizes, text[0]),
            reference(w, "inputs", s->input_order, text[1]),
            reference(w, "outputs", s->output_order, text[2]));
    refer_to_rows(w, "", rows, outputs);
    fprintf(w->file, ", %d, %d\n};\n", s->most_states, s->most_columns);
}

static void write_psm(struct writer *w, const struct sn_micro_psm *s)
{
    char part[20], text[200];
    const struct sn_micro_factor *last = s->factors + s->n_factors - 1;
    write_array(w, "table", "int8_t", 1, last->output.table, 256);
    for (unsigned i = 0; i < s->n_factors; i++) {
        const struct sn_micro_factor *f = &s->factors[i];
        size_t groups = ((size_t)f->n_rows + f->block - 1) / f->block, blocks = 0;
        for (size_t g = 0; g < groups; g++)
            blocks += f->lengths[g] * (size_t)(f->block == 1 ? 1 : 2);
        snprintf(part, sizeof part, "_%u", i);
        write_rows(w, part, &f->rows, blocks * f->block, f->n_rows, f == last ? f->n_rows : 0);
        snprintf(text, sizeof text, "lengths_%u", i);
        write_array(w, text, "uint16_t", 2, f->lengths, groups);
        snprintf(text, sizeof text, "columns_%u", i);
        write_array(w, text, "uint16_t", 2, blocks ? f->columns : (const void *)"\0",
                    blocks ? blocks : 1);
    }
    write_array(w, "outputs", "uint16_t", 2, s->output_order, last->n_rows);
    fprintf(w->file, "static const struct sn_micro_factor %s_%d_factors[%d] = {\n", w->name,
            w->step, s->n_factors);
    for (unsigned i = 0; i < s->n_factors; i++) {
        const struct sn_micro_factor *f = &s->factors[i];
        fprintf(w->file, "    { %d, %d, %d, ", f->n_rows, f->n_columns, f->block);
        write_output(w, &f->output);
        fprintf(w->file, ", %s_%d_lengths_%u, %s_%d_columns_%u, ", w->name, w->step, i, w->name,
                w->step, i);
        snprintf(part, sizeof part, "_%u", i);
        refer_to_rows(w, part, f->n_rows, f == last ? f->n_rows : 0);
        fputs(" },\n", w->file);
    }
    fputs("};\n", w->file);
    begin(w, "sn_micro_psm", &s->input, NULL);
    fprintf(w->file, "%d, %d, %d, %s_%d_factors, %s\n};\n", s->n_factors, s->n_inputs,
            s->most_inner, w->name, w->step, reference(w, "outputs", s->output_order, text));
}

static void write_convolution(struct writer *w, const struct sn_micro_convolution *c)
{
    size_t rows = (size_t)c->filters * c->groups,
           n = padded((size_t)c->channels * c->size * c->size);
    write_rows(w, "", &c->rows, rows * n, rows, rows);
    write_array(w, "table", "int8_t", 1, c->output.table, 256);
    begin(w, "sn_micro_convolution", &c->input, &c->output);
    fprintf(w->file, "%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, ", c->channels, c->height, c->width,
            c->filters, c->groups, c->size, c->stride, c->pad, c->out_height, c->out_width);
    refer_to_rows(w, "", rows, rows);
    fputs("\n};\n", w->file);
}

static void write_maxpool(const struct writer *w, const struct sn_micro_maxpool *m)
{
    begin(w, "sn_micro_maxpool", NULL, NULL);
    fprintf(w->file, "%d, %d, %d, %d, %d, %d, %d, %d\n};\n", m->channels, m->height, m->width,
            m->size, m->stride, m->before, m->out_height, m->out_width);
}

static void write_avgpool(struct writer *w, const struct sn_micro_avgpool *a)
{
    write_array(w, "table", "int8_t", 1, a->output.table, 256);
    begin(w, "sn_micro_avgpool", &a->input, &a->output);
    fprintf(w->file, "%d, %d, %ld\n};\n", a->channels, a->scale, (long)a->bias);
}

static void write_sum(struct writer *w, const struct sn_micro_sum *s)
{
    write_array(w, "table", "int8_t", 1, s->output.table, 256);
    begin(w, "sn_micro_sum", NULL, &s->output);
    fprintf(w->file, "%lu, { %d, %d }, { %ld, %ld }, %ld, %d\n};\n", (unsigned long)s->n,
            s->zero[0], s->zero[1], (long)s->m[0], (long)s->m[1], (long)s->bias, s->e);
}

/* The step's layer; returns the function that runs it. */
static const char *write_step(struct writer *w, const struct sn_micro_step *step)
{
    if (step->run == sn_micro_sss) return write_sss(w, step->layer), "sn_micro_sss";
    if (step->run == sn_micro_psm) return write_psm(w, step->layer), "sn_micro_psm";
    if (step->run == sn_micro_maxpool) return write_maxpool(w, step->layer), "sn_micro_maxpool";
    if (step->run == sn_micro_avgpool) return write_avgpool(w, step->layer), "sn_micro_avgpool";
    if (step->run == sn_micro_sum) return write_sum(w, step->layer), "sn_micro_sum";
    write_convolution(w, step->layer);
    return "sn_micro_convolution";
}

/* The input and the outputs of the self-test. */
static enum sn_status write_test(const struct export_net *net, struct writer *w, const float *x,
                                 struct sn_error *error)
{
    size_t in = padded(net->n_inputs), out = net->n_outputs * (net->output.is_wide ? 2 : 1);
    int8_t *memory = calloc(in + net->n_bytes + out + 4, 1);
    if (!memory) return sn_no_memory(error, "%zu inputs", net->n_inputs);
    char *result = (char *)memory + in + net->n_bytes;
    export_quantise(net, x, memory);
    sn_micro_run(&net->net, memory, result, memory + in);
    fprintf(w->file, "\nconst int8_t %s_test_input[%zu] = {", w->name, net->n_inputs);
    for (size_t i = 0; i < net->n_inputs; i++)
        fprintf(w->file, "%s%d,", i % 20 ? " " : "\n    ", memory[i]);
    fprintf(w->file, "\n};\nconst %s_output %s_test_output[%zu] = {", w->name, w->name,
            net->n_outputs);
    for (size_t i = 0; i < net->n_outputs; i++)
        fprintf(w->file, "%s%d,", i % 14 ? " " : "\n    ",
                net->output.is_wide ? ((int16_t *)(void *)result)[i] : ((int8_t *)result)[i]);
    fputs("\n};\n", w->file);
    free(memory);
    return SN_OK;
}

enum sn_status export_write_source(struct export_net *net, const char *name, const float *x,
                                   FILE *file, struct sn_error *error)
{
    struct writer w = { name, file, 0, 0 };
    const char **runs = malloc((net->net.n_steps + 1u) * sizeof *runs);
    if (!runs) return sn_no_memory(error, "%d steps", net->net.n_steps);
    fprintf(file, "/* Written by structnet export. */\n#include \"%s.h\"\n\n", name);
    for (w.step = 0; w.step < net->net.n_steps; w.step++)
        runs[w.step] = write_step(&w, &net->steps[w.step]);
    fprintf(file, "\nstatic const struct sn_micro_step %s_steps[%d] = {\n", name, net->net.n_steps);
    for (int i = 0; i < net->net.n_steps; i++)
        fprintf(file, "    { %s, &%s_%d, %ld, %ld, %ld },\n", runs[i], name, i,
                (long)net->steps[i].in, (long)net->steps[i].other, (long)net->steps[i].out);
    fprintf(file, "};\nconst struct sn_micro_net %s = { %s_steps, %d, %lu };\n", name, name,
            net->net.n_steps, (unsigned long)net->net.scratch);
    free(runs);
    net->const_bytes = w.n_bytes;
    return write_test(net, &w, x, error);
}

void export_write_header(const struct export_net *net, const char *name, FILE *file)
{
    const char *type = net->output.is_wide ? "int16_t" : "int8_t";
    fprintf(file,
            "/* Written by structnet export. An integer q of the inputs stands for\n"
            " * (q - %s_INPUT_ZERO) %s_INPUT_SCALE, one of the outputs likewise:\n"
            " *\n"
            " *     static uint32_t memory[(%s_SCRATCH_BYTES + 3) / 4];\n"
            " *     sn_micro_run(&%s, input, output, memory);\n"
            " */\n",
            name, name, name, name);
    fprintf(file, "#ifndef %s_H\n#define %s_H\n\n#include \"micro.h\"\n\n", name, name);
    fprintf(file, "#define %s_INPUTS %zu\n#define %s_INPUT_SCALE %.9gf\n#define %s_INPUT_ZERO %d\n",
            name, net->n_inputs, name, net->input.scale, name, net->input.zero);
    fprintf(file, "#define %s_OUTPUTS %zu\n#define %s_OUTPUT_SCALE %.9gf\n", name, net->n_outputs,
            name, net->output.scale);
    fprintf(file, "#define %s_OUTPUT_ZERO %d\n#define %s_OUTPUT_BYTES %d\n", name, net->output.zero,
            name, net->output.is_wide ? 2 : 1);
    fprintf(file, "#define %s_SCRATCH_BYTES %zu\n\ntypedef %s %s_output;\n\n", name, net->n_bytes,
            type, name);
    fprintf(file, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    fprintf(file, "extern const struct sn_micro_net %s;\n\n", name);
    fprintf(file, "/* An input and what it gives, for a test of the device. */\n");
    fprintf(file, "extern const int8_t %s_test_input[%s_INPUTS];\n", name, name);
    fprintf(file, "extern const %s_output %s_test_output[%s_OUTPUTS];\n", name, name, name);
    fprintf(file, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}
