#include "whole.h"

#include <fit.h>

#include <math.h>

static void write_form(const struct whole_layer *layer, const struct whole_form *form,
                       const char *stage, int is_chosen, FILE *table)
{
    fprintf(table, "%d\t%s\t%d\t%d\t%s\t%.0f\t%.0f\t%.6g\t%d\n", layer->layer->number,
            form->type->name, form->bits, form->block, stage, form->bytes,
            form->madds * layer->layer->n_pixels, form->error, is_chosen);
}

static void write_size(const char *name, const struct whole_size *size, FILE *table)
{
    fprintf(table, "# %s: %.0f bytes, %.0f multiply-adds, %.2f images/s, top-1 %.4f\n", name,
            size->bytes, size->madds, 1e6 / size->us, size->top1);
}

void whole_table_write(const struct whole *whole, FILE *table)
{
    write_size("dense", &whole->before, table);
    write_size("net", &whole->after, table);
    fputs("layer\ttype\tbits\tblock\tstage\tbytes\tmadds\terror\tchosen\n", table);
    for (int i = 0; i < whole->n; i++) {
        const struct whole_layer *layer = &whole->layers[i];
        for (int k = 0; k < layer->n; k++)
            if (!isnan(layer->forms[k].error))
                write_form(layer, &layer->forms[k], "alone", k == layer->chosen, table);
        write_form(layer, &layer->found, "net", 1, table);
    }
}
