#include "compress_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    LAYER,
    TYPE,
    BITS,
    BLOCK,
    BYTES,
    SHARE,
    MADDS,
    US,
    NET_US,
    TOP1_FITTED,
    TOP1_BRIEF,
    TOP1_FULL,
    TOP1,
    LOSS,
    CHOSEN
};

const struct compress_column compress_columns[COMPRESS_N_COLUMNS] = {
    [LAYER] = { "layer", "layer", 1, "%.0f" },
    [TYPE] = { "type", "type", 1, "" },
    [BITS] = { "bits", "bits", 1, "%.0f" },
    [BLOCK] = { "block", "block", 1, "%.0f" },
    [BYTES] = { "bytes", "bytes", 1, "%.0f" },
    [SHARE] = { "share", "share", 1, "%.4f" },
    [MADDS] = { "madds", "multiply-adds", 1, "%.0f" },
    [US] = { "us", "layer, &micro;s", 1, "%.2f" },
    [NET_US] = { "net_us", "net, ms", .001, "%.3f" },
    [TOP1_FITTED] = { "top1_fitted", "top-1 fitted", 100, "%.2f" },
    [TOP1_BRIEF] = { "top1_brief", "briefly tuned", 100, "%.2f" },
    [TOP1_FULL] = { "top1_full", "fully tuned", 100, "%.2f" },
    [TOP1] = { "top1", "top-1", 100, "%.2f" },
    [LOSS] = { "loss", "loss", 1, "%.4f" },
    [CHOSEN] = { "chosen", "chosen", 1, "%.0f" }
};

int compress_n_rows(const struct compress *compress) { return compress->n_layers + compress->n; }

static struct compress_row dense_row(const struct compress *compress, int i)
{
    const struct compress_layer *layer = &compress->layers[i];
    return (struct compress_row){ .type = "dense",
                                  .why = "",
                                  .values = { [LAYER] = layer->number,
                                              [BITS] = 32,
                                              [BLOCK] = 1,
                                              [BYTES] = layer->bytes,
                                              [SHARE] = 1,
                                              [MADDS] = layer->bytes / (double)sizeof(float),
                                              [US] = compress->us[i],
                                              [NET_US] = compress->net_us,
                                              [TOP1_FITTED] = NAN,
                                              [TOP1_BRIEF] = NAN,
                                              [TOP1_FULL] = NAN,
                                              [TOP1] = compress->score.top1,
                                              [LOSS] = compress->score.loss } };
}

static double layer_bytes_of(const struct compress *compress, int number)
{
    int i = 0;
    while (compress->layers[i].number != number) i++;
    return compress->layers[i].bytes;
}

struct compress_row compress_row_at(const struct compress *compress, int i)
{
    if (i < compress->n_layers) return dense_row(compress, i);
    const struct compress_candidate *c = &compress->candidates[i - compress->n_layers];
    struct compress_score best = compress_best_score(c);
    return (
        struct compress_row){ .type = c->type->name,
                              .why = c->why,
                              .values = { [LAYER] = c->layer,
                                          [BITS] = c->bits,
                                          [BLOCK] = c->block,
                                          [BYTES] = c->bytes,
                                          [SHARE] = c->bytes / layer_bytes_of(compress, c->layer),
                                          [MADDS] = c->madds,
                                          [US] = c->us,
                                          [NET_US] = c->net_us,
                                          [TOP1_FITTED] = c->fitted.top1,
                                          [TOP1_BRIEF] = c->brief.top1,
                                          [TOP1_FULL] = c->full.top1,
                                          [TOP1] = best.top1,
                                          [LOSS] = best.loss,
                                          [CHOSEN] = c->is_chosen },
                              .is_chosen = c->is_chosen };
}

void compress_print_cell(const struct compress_row *row, int column, int for_people, FILE *file)
{
    const struct compress_column *own = &compress_columns[column];
    double value = row->values[column];
    if (column == TYPE) fputs(row->type, file);
    else if (for_people && isfinite(value)) {
        /* NOLINTNEXTLINE(clang-diagnostic-format-nonliteral): the formats stand above. */
        fprintf(file, own->format, own->scale * value);
    } else if (isfinite(value)) fprintf(file, "%.9g", value);
}

/* ---- Classes */

/* The share of a class's images by which the two nets differ. */
static double change_of(const struct compress_report *report, int class)
{
    int n = report->dense.n_images[class];
    return n ? fabs((double)report->dense.n_right[class] - report->chosen.n_right[class]) / n : 0;
}

int compress_changed_most(const struct compress_report *report, int n, int *classes)
{
    int found = 0;
    for (int class = 0; class < report->dense.n_classes; class ++) {
        double change = change_of(report, class);
        int place = found;
        if (change <= 0) continue;
        while (place > 0 && change_of(report, classes[place - 1]) < change) place--;
        if (place >= n) continue;
        if (found < n) found++;
        memmove(classes + place + 1, classes + place,
                (size_t)(found - 1 - place) * sizeof *classes);
        classes[place] = class;
    }
    return found;
}

/* ---- The file */

void compress_table_write(const struct compress_report *report, FILE *table)
{
    const struct compress *compress = report->compress;
    fprintf(table, "# command: %s\n# test top-1: %.9g, dense %.9g, %d images\n",
            report->command ? report->command : "", report->chosen.top1, report->dense.top1,
            compress->test.n);
    for (int i = 0; i < report->dense.n_classes; i++)
        fprintf(table, "# class %s: %d images, %d right, dense %d\n", compress->task.names.line[i],
                report->dense.n_images[i], report->chosen.n_right[i], report->dense.n_right[i]);
    for (int c = 0; c < COMPRESS_N_COLUMNS; c++)
        fprintf(table, "%s%s", c ? "\t" : "", compress_columns[c].name);
    fputs("\twhy not\n", table);
    for (int i = 0; i < compress_n_rows(compress); i++) {
        struct compress_row row = compress_row_at(compress, i);
        for (int c = 0; c < COMPRESS_N_COLUMNS; c++) {
            if (c) fputc('\t', table);
            compress_print_cell(&row, c, 0, table);
        }
        fprintf(table, "\t%s\n", row.why);
    }
}
