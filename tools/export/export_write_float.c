/* The layers of floats as C. */
#include "export_float.h"
#include "export_writer.h"

/* "static const struct TYPE NAME_STEP = {" and the output. */
static void begin(const struct export_writer *w, const char *type,
                  const struct sn_micro_float_output *o)
{
    const char *activation = export_float_activation(o);
    fprintf(w->file, "static const struct %s %s_%d = {\n    { %.9g, %.9g, %s%s }, ", type, w->name,
            w->step, (double)o->low, (double)o->high, activation ? "sn_micro_float_" : "",
            activation ? activation : "0");
}

/* Rows, whose arrays end in part. */
static void write_rows(struct export_writer *w, const char *part,
                       const struct sn_micro_float_rows *rows, size_t n_weights, size_t n_biases)
{
    char what[2][40];
    snprintf(what[0], sizeof what[0], "weights%s", part);
    snprintf(what[1], sizeof what[1], "bias%s", part);
    export_write_array(w, what[0], EXPORT_FLOAT, n_weights ? rows->weights : NULL, n_weights);
    export_write_array(w, what[1], EXPORT_FLOAT, rows->bias, n_biases);
}

static void refer_to_rows(const struct export_writer *w, const char *part,
                          const struct sn_micro_float_rows *rows, size_t n_weights)
{
    char what[2][40], text[2][200];
    snprintf(what[0], sizeof what[0], "weights%s", part);
    snprintf(what[1], sizeof what[1], "bias%s", part);
    fprintf(w->file, "{ %s, %s }",
            export_reference(w, what[0], n_weights ? rows->weights : NULL, text[0]),
            export_reference(w, what[1], rows->bias, text[1]));
}

static void write_sss(struct export_writer *w, const struct sn_micro_float_sss *s)
{
    const struct sn_micro_stages *stages = &s->stages;
    size_t weights = 0, outputs = 0;
    for (unsigned k = 0; k < stages->n_stages; k++) {
        const uint16_t *size = stages->sizes + 4 * (size_t)k;
        size_t known = (size_t)size[0] + (k ? size[-2] : 0u),
               next = k + 1u < stages->n_stages ? size[7] : 0;
        weights += size[3] * (size[0] + next) + size[1] * (known + next) + size[2] * known;
        outputs += size[1];
    }
    write_rows(w, "", &s->rows, weights, outputs);
    export_write_stages(w, stages);
    begin(w, "sn_micro_float_sss", &s->output);
    fprintf(w->file, "%d, ", s->pixels);
    export_refer_to_stages(w, stages);
    fputs(", ", w->file);
    refer_to_rows(w, "", &s->rows, weights);
    fputs("\n};\n", w->file);
}

static size_t count_blocks(const struct sn_micro_float_factor *f)
{
    size_t n = 0;
    for (size_t i = 0; i * f->block < f->n_rows; i++) n += f->lengths[i];
    return n;
}

static void write_factor(struct export_writer *w, const struct sn_micro_float_factor *f, unsigned i)
{
    char part[20], text[40];
    size_t n = count_blocks(f);
    snprintf(part, sizeof part, "_%u", i);
    write_rows(w, part, &f->rows, n * f->block, f->n_rows);
    snprintf(text, sizeof text, "lengths_%u", i);
    export_write_array(w, text, EXPORT_U16, f->lengths, (f->n_rows + f->block - 1u) / f->block);
    snprintf(text, sizeof text, "columns_%u", i);
    export_write_array(w, text, EXPORT_U16, f->columns, n);
}

static void refer_to_factor(const struct export_writer *w, const struct sn_micro_float_factor *f,
                            unsigned i)
{
    char part[20], text[2][40], name[2][200];
    size_t n = count_blocks(f);
    snprintf(part, sizeof part, "_%u", i);
    snprintf(text[0], sizeof text[0], "lengths_%u", i);
    snprintf(text[1], sizeof text[1], "columns_%u", i);
    fprintf(w->file, "    { %d, %d, %s, %s, ", f->n_rows, f->block,
            export_reference(w, text[0], f->lengths, name[0]),
            export_reference(w, text[1], n ? f->columns : NULL, name[1]));
    refer_to_rows(w, part, &f->rows, n);
    fputs(" },\n", w->file);
}

static void write_psm(struct export_writer *w, const struct sn_micro_float_psm *s)
{
    char text[200];
    for (unsigned i = 0; i < s->n_factors; i++) write_factor(w, &s->factors[i], i);
    export_write_array(w, "outputs", EXPORT_U16, s->output_order,
                       s->factors[s->n_factors - 1].n_rows);
    fprintf(w->file, "static const struct sn_micro_float_factor %s_%d_factors[%d] = {\n", w->name,
            w->step, s->n_factors);
    for (unsigned i = 0; i < s->n_factors; i++) refer_to_factor(w, &s->factors[i], i);
    fputs("};\n", w->file);
    begin(w, "sn_micro_float_psm", &s->output);
    fprintf(w->file, "%d, %d, %d, %d, %s_%d_factors, %s\n};\n", s->pixels, s->n_factors,
            s->n_inputs, s->most_inner, w->name, w->step,
            export_reference(w, "outputs", s->output_order, text));
}

static void write_convolution(struct export_writer *w, const struct sn_micro_float_convolution *c)
{
    size_t rows = (size_t)c->filters * c->groups, n = rows * c->channels * c->size * c->size;
    write_rows(w, "", &c->rows, n, rows);
    begin(w, "sn_micro_float_convolution", &c->output);
    fprintf(w->file, "%d, %d, %d, %d, %d, %d, %d, %d, %d, %d, ", c->channels, c->height, c->width,
            c->filters, c->groups, c->size, c->stride, c->pad, c->out_height, c->out_width);
    refer_to_rows(w, "", &c->rows, n);
    fputs("\n};\n", w->file);
}

static void write_avgpool(const struct export_writer *w, const struct sn_micro_float_avgpool *a)
{
    begin(w, "sn_micro_float_avgpool", &a->output);
    fprintf(w->file, "%d, %d\n};\n", a->channels, a->pixels);
}

static void write_sum(const struct export_writer *w, const struct sn_micro_float_sum *s)
{
    begin(w, "sn_micro_float_sum", &s->output);
    fprintf(w->file, "%lu, { %.9g, %.9g }\n};\n", (unsigned long)s->n, (double)s->factor[0],
            (double)s->factor[1]);
}

const char *export_write_float_step(struct export_writer *w, const struct sn_micro_step *step)
{
    if (step->run == sn_micro_float_sss) return write_sss(w, step->layer), "sn_micro_float_sss";
    if (step->run == sn_micro_float_psm) return write_psm(w, step->layer), "sn_micro_float_psm";
    if (step->run == sn_micro_float_maxpool)
        return export_write_maxpool(w, step->layer), "sn_micro_float_maxpool";
    if (step->run == sn_micro_float_avgpool)
        return write_avgpool(w, step->layer), "sn_micro_float_avgpool";
    if (step->run == sn_micro_float_sum) return write_sum(w, step->layer), "sn_micro_float_sum";
    write_convolution(w, step->layer);
    return "sn_micro_float_convolution";
}
