/* A net as C: the layers of integers, and what all nets have. */
#include "export_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct type {
    const char *name;
    size_t size;
    int per_line;
} types[] = { { "int8_t", 1, 20 },
              { "int16_t", 2, 14 },
              { "uint16_t", 2, 14 },
              { "int32_t", 4, 8 },
              { "float", 4, 8 } };

static void write_number(FILE *file, enum export_type type, const void *numbers, size_t i)
{
    switch (type) {
    case EXPORT_I8: fprintf(file, "%d,", ((const int8_t *)numbers)[i]); break;
    case EXPORT_I16: fprintf(file, "%d,", ((const int16_t *)numbers)[i]); break;
    case EXPORT_U16: fprintf(file, "%u,", ((const uint16_t *)numbers)[i]); break;
    case EXPORT_I32: fprintf(file, "%ld,", (long)((const int32_t *)numbers)[i]); break;
    case EXPORT_FLOAT: fprintf(file, "%.9g,", (double)((const float *)numbers)[i]); break;
    }
}

/* The numbers between the braces of an array. */
static void write_numbers(FILE *file, enum export_type type, const void *numbers, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fputs(i % (size_t)types[type].per_line ? " " : "\n    ", file);
        write_number(file, type, numbers, i);
    }
    fputs("\n};\n", file);
}

void export_write_array(struct export_writer *w, const char *what, enum export_type type,
                        const void *numbers, size_t n)
{
    if (!numbers || !n) return;
    fprintf(w->file, "static const %s %s_%d_%s[%zu] = {", types[type].name, w->name, w->step, what,
            n);
    write_numbers(w->file, type, numbers, n);
    w->n_bytes += n * types[type].size;
}

const char *export_reference(const struct export_writer *w, const char *what, const void *numbers,
                             char text[200])
{
    snprintf(text, 200, "%s_%d_%s", w->name, w->step, what);
    return numbers ? text : "0";
}

static void write_output(const struct export_writer *w, const struct sn_micro_output *o)
{
    char table[200];
    fprintf(w->file, "{ %d, %d, %d, %d, %d, %s }", o->low, o->high, o->is_wide, o->has_bias,
            o->step, export_reference(w, "table", o->table, table));
}

static void write_input(const struct export_writer *w, const struct sn_micro_input *i)
{
    fprintf(w->file, "{ %d, %d, %d }", i->zero, i->shift, i->pixels);
}

/* What every step with rows begins with. */
static void begin(const struct export_writer *w, const char *type,
                  const struct sn_micro_input *input, const struct sn_micro_output *output)
{
    fprintf(w->file, "static const struct %s %s_%d = {\n    ", type, w->name, w->step);
    if (input) write_input(w, input), fputs(", ", w->file);
    if (output) write_output(w, output), fputs(", ", w->file);
}

static void write_rows(struct export_writer *w, const char *part, const struct sn_micro_rows *rows,
                       size_t n_weights, size_t n_rows, size_t n_biases)
{
    char what[3][40];
    snprintf(what[0], sizeof what[0], "weights%s", part);
    snprintf(what[1], sizeof what[1], "scales%s", part);
    snprintf(what[2], sizeof what[2], "bias%s", part);
    /* Kernels read words of four. */
    fprintf(w->file, "SN_MICRO_ALIGNED ");
    export_write_array(w, what[0], EXPORT_I8, n_weights ? rows->weights : (const void *)"",
                       n_weights ? n_weights : 1);
    export_write_array(w, what[1], EXPORT_U16, rows->scales, n_rows);
    export_write_array(w, what[2], EXPORT_I32, rows->bias, n_biases);
}

static void refer_to_rows(const struct export_writer *w, const char *part, size_t n_rows,
                          size_t n_biases)
{
    fprintf(w->file, "{ %s_%d_weights%s, ", w->name, w->step, part);
    if (n_rows) fprintf(w->file, "%s_%d_scales%s, ", w->name, w->step, part);
    else fputs("0, ", w->file);
    if (n_biases) fprintf(w->file, "%s_%d_bias%s }", w->name, w->step, part);
    else fputs("0 }", w->file);
}

static size_t padded(size_t n) { return (n + 3) / 4 * 4; }

void export_write_stages(struct export_writer *w, const struct sn_micro_stages *s)
{
    size_t outputs = 0;
    for (unsigned k = 0; k < s->n_stages; k++) outputs += s->sizes[4 * k + 1];
    export_write_array(w, "sizes", EXPORT_U16, s->sizes, 4 * (size_t)s->n_stages);
    export_write_array(w, "inputs", EXPORT_U16, s->input_order, s->n_inputs);
    export_write_array(w, "outputs", EXPORT_U16, s->output_order, outputs);
}

void export_refer_to_stages(const struct export_writer *w, const struct sn_micro_stages *s)
{
    char text[3][200];
    fprintf(w->file, "{ %d, %d, %d, %d, %s, %s, %s }", s->n_stages, s->n_inputs, s->most_columns,
            s->most_states, export_reference(w, "sizes", s->sizes, text[0]),
            export_reference(w, "inputs", s->input_order, text[1]),
            export_reference(w, "outputs", s->output_order, text[2]));
}

static void write_sss(struct export_writer *w, const struct sn_micro_sss *s)
{
    size_t weights = 0, rows = 0, outputs = 0;
    for (unsigned k = 0; k < s->stages.n_stages; k++) {
        const uint16_t *size = s->stages.sizes + 4 * (size_t)k;
        size_t n = size[0], causal = k ? size[-2] : 0,
               next = k + 1u < s->stages.n_stages ? size[7] : 0;
        weights += size[3] * padded(n + next) + size[1] * padded(n + causal + next)
            + size[2] * padded(n + causal);
        rows += (size_t)size[1] + size[2] + size[3];
        outputs += size[1];
    }
    write_rows(w, "", &s->rows, weights, rows, outputs);
    export_write_stages(w, &s->stages);
    export_write_array(w, "table", EXPORT_I8, s->output.table, 256);
    begin(w, "sn_micro_sss", &s->input, &s->output);
    export_refer_to_stages(w, &s->stages);
    fputs(", ", w->file);
    refer_to_rows(w, "", rows, outputs);
    fputs("\n};\n", w->file);
}

static void write_psm(struct export_writer *w, const struct sn_micro_psm *s)
{
    char part[20], text[200];
    const struct sn_micro_factor *last = s->factors + s->n_factors - 1;
    export_write_array(w, "table", EXPORT_I8, last->output.table, 256);
    for (unsigned i = 0; i < s->n_factors; i++) {
        const struct sn_micro_factor *f = &s->factors[i];
        size_t groups = ((size_t)f->n_rows + f->block - 1) / f->block, blocks = 0;
        for (size_t g = 0; g < groups; g++)
            blocks += f->lengths[g] * (size_t)(f->block == 1 ? 1 : 2);
        snprintf(part, sizeof part, "_%u", i);
        write_rows(w, part, &f->rows, blocks * f->block, f->n_rows, f == last ? f->n_rows : 0);
        snprintf(text, sizeof text, "lengths_%u", i);
        export_write_array(w, text, EXPORT_U16, f->lengths, groups);
        snprintf(text, sizeof text, "columns_%u", i);
        export_write_array(w, text, EXPORT_U16, blocks ? f->columns : (const void *)"\0",
                           blocks ? blocks : 1);
    }
    export_write_array(w, "outputs", EXPORT_U16, s->output_order, last->n_rows);
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
            s->most_inner, w->name, w->step, export_reference(w, "outputs", s->output_order, text));
}

static void write_convolution(struct export_writer *w, const struct sn_micro_convolution *c)
{
    size_t rows = (size_t)c->filters * c->groups,
           n = padded((size_t)c->channels * c->size * c->size);
    write_rows(w, "", &c->rows, rows * n, rows, rows);
    export_write_array(w, "table", EXPORT_I8, c->output.table, 256);
    begin(w, "sn_micro_convolution", &c->input, &c->output);
    fprintf(w->file, "%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, ", c->channels, c->height, c->width,
            c->filters, c->groups, c->size, c->stride, c->pad, c->out_height, c->out_width);
    refer_to_rows(w, "", rows, rows);
    fputs("\n};\n", w->file);
}

void export_write_maxpool(const struct export_writer *w, const struct sn_micro_maxpool *m)
{
    begin(w, "sn_micro_maxpool", NULL, NULL);
    fprintf(w->file, "%d, %d, %d, %d, %d, %d, %d, %d\n};\n", m->channels, m->height, m->width,
            m->size, m->stride, m->before, m->out_height, m->out_width);
}

static void write_avgpool(struct export_writer *w, const struct sn_micro_avgpool *a)
{
    export_write_array(w, "table", EXPORT_I8, a->output.table, 256);
    begin(w, "sn_micro_avgpool", &a->input, &a->output);
    fprintf(w->file, "%d, %d, %ld\n};\n", a->channels, a->scale, (long)a->bias);
}

static void write_sum(struct export_writer *w, const struct sn_micro_sum *s)
{
    export_write_array(w, "table", EXPORT_I8, s->output.table, 256);
    begin(w, "sn_micro_sum", NULL, &s->output);
    fprintf(w->file, "%lu, { %d, %d }, { %ld, %ld }, %ld, %d\n};\n", (unsigned long)s->n,
            s->zero[0], s->zero[1], (long)s->m[0], (long)s->m[1], (long)s->bias, s->e);
}

static const char *write_step(struct export_writer *w, const struct sn_micro_step *step);

/* The layer that takes the patches is NAME_STEP, what brings them to it NAME_STEP_patches. */
static const char *write_patches(struct export_writer *w, const struct sn_micro_step *step)
{
    const struct sn_micro_patches *s = step->layer;
    const char *inner = write_step(w, &(struct sn_micro_step){ .run = s->run, .layer = s->layer });
    fprintf(
        w->file,
        "static const struct sn_micro_patches %s_%d_patches = {\n    { %d, %d, %d }, %d, %d, %d, "
        "%d, %d, %d, %d, %d, %d, %d, %d, %s, &%s_%d\n};\n",
        w->name, w->step, s->input.zero, s->input.shift, s->input.pixels, s->channels, s->height,
        s->width, s->size, s->stride, s->pad, s->out_height, s->out_width, s->span, s->is_wide,
        s->n_floats, inner, w->name, w->step);
    return step->run == sn_micro_patches ? "sn_micro_patches" : "sn_micro_float_patches";
}

static int has_patches(const struct sn_micro_step *step)
{
    return step->run == sn_micro_patches || step->run == sn_micro_float_patches;
}

/* The step's layer; returns the function that runs it. */
static const char *write_step(struct export_writer *w, const struct sn_micro_step *step)
{
    if (has_patches(step)) return write_patches(w, step);
    if (step->run == sn_micro_sss) return write_sss(w, step->layer), "sn_micro_sss";
    if (step->run == sn_micro_sss_at) return write_sss(w, step->layer), "sn_micro_sss_at";
    if (step->run == sn_micro_psm) return write_psm(w, step->layer), "sn_micro_psm";
    if (step->run == sn_micro_psm_at) return write_psm(w, step->layer), "sn_micro_psm_at";
    if (step->run == sn_micro_maxpool)
        return export_write_maxpool(w, step->layer), "sn_micro_maxpool";
    if (step->run == sn_micro_avgpool) return write_avgpool(w, step->layer), "sn_micro_avgpool";
    if (step->run == sn_micro_sum) return write_sum(w, step->layer), "sn_micro_sum";
    if (step->run != sn_micro_convolution) return export_write_float_step(w, step);
    write_convolution(w, step->layer);
    return "sn_micro_convolution";
}

static enum export_type type_of(const struct export_number *number)
{
    return number->is_float ? EXPORT_FLOAT : number->is_wide ? EXPORT_I16 : EXPORT_I8;
}

/* The input and the outputs of the self-test. */
static enum sn_status write_test(struct export_net *net, const struct export_writer *w,
                                 const float *x, struct sn_error *error)
{
    void *memory = malloc(export_memory_bytes(net));
    if (!memory) return sn_no_memory(error, "%zu inputs", net->n_inputs);
    const void *result = export_run(net, x, NULL, memory);
    fprintf(w->file, "\nconst %s_input %s_test_input[%zu] = {", w->name, w->name, net->n_inputs);
    write_numbers(w->file, type_of(&net->input), memory, net->n_inputs);
    fprintf(w->file, "const %s_output %s_test_output[%zu] = {", w->name, w->name, net->n_outputs);
    write_numbers(w->file, type_of(&net->output), result, net->n_outputs);
    net->tolerance = 0;
    for (size_t i = 0; net->output.is_float && i < net->n_outputs; i++)
        net->tolerance = fmax(net->tolerance, 1e-5 * fabs((double)((const float *)result)[i]));
    free(memory);
    return SN_OK;
}

enum sn_status export_write_source(struct export_net *net, const char *name, const float *x,
                                   FILE *file, struct sn_error *error)
{
    struct export_writer w = { name, file, 0, 0 };
    const char **runs = malloc((net->net.n_steps + 1u) * sizeof *runs);
    if (!runs) return sn_no_memory(error, "%d steps", net->net.n_steps);
    fprintf(file, "/* Written by structnet export. */\n#include \"%s.h\"\n\n", name);
    for (w.step = 0; w.step < net->net.n_steps; w.step++)
        runs[w.step] = write_step(&w, &net->steps[w.step]);
    fprintf(file, "\nstatic const struct sn_micro_step %s_steps[%d] = {\n", name, net->net.n_steps);
    for (int i = 0; i < net->net.n_steps; i++)
        fprintf(file, "    { %s, &%s_%d%s, %ld, %ld, %ld },\n", runs[i], name, i,
                has_patches(&net->steps[i]) ? "_patches" : "", (long)net->steps[i].in,
                (long)net->steps[i].other, (long)net->steps[i].out);
    fprintf(file, "};\nconst struct sn_micro_net %s = { %s_steps, %d, %lu };\n", name, name,
            net->net.n_steps, (unsigned long)net->net.scratch);
    free(runs);
    net->const_bytes = w.n_bytes;
    return write_test(net, &w, x, error);
}

/* What integers stand for. */
static void write_scales(const struct export_net *net, const char *name, FILE *file)
{
    if (net->output.is_float) return;
    fprintf(file, "/* Integers q stand for (q - ZERO) SCALE. */\n");
    fprintf(file, "#define %s_INPUT_SCALE %.9gf\n#define %s_INPUT_ZERO %d\n", name,
            net->input.scale, name, net->input.zero);
    fprintf(file, "#define %s_OUTPUT_SCALE %.9gf\n#define %s_OUTPUT_ZERO %d\n", name,
            net->output.scale, name, net->output.zero);
}

void export_write_header(const struct export_net *net, const char *name, FILE *file)
{
    fprintf(file,
            "/* Written by structnet export.\n"
            " *\n"
            " *     static uint32_t memory[(%s_SCRATCH_BYTES + 3) / 4];\n"
            " *     sn_micro_run(&%s, input, output, memory);\n"
            " */\n",
            name, name);
    fprintf(file, "#ifndef %s_H\n#define %s_H\n\n#include \"%s.h\"\n\n", name, name,
            net->output.is_float ? "micro_float" : "micro");
    fprintf(file, "#define %s_INPUTS %zu\n#define %s_OUTPUTS %zu\n#define %s_SCRATCH_BYTES %zu\n",
            name, net->n_inputs, name, net->n_outputs, name, net->n_bytes);
    write_scales(net, name, file);
    fprintf(file, "\ntypedef %s %s_input;\ntypedef %s %s_output;\n\n",
            types[type_of(&net->input)].name, name, types[type_of(&net->output)].name, name);
    fprintf(file, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n");
    fprintf(file, "extern const struct sn_micro_net %s;\n\n", name);
    fprintf(file,
            "/* An input and what it gives, to the tolerance, for a test of the device. */\n");
    fprintf(file, "#define %s_TEST_TOLERANCE %g\n", name, net->tolerance);
    fprintf(file, "extern const %s_input %s_test_input[%s_INPUTS];\n", name, name, name);
    fprintf(file, "extern const %s_output %s_test_output[%s_OUTPUTS];\n", name, name, name);
    fprintf(file, "#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
}
