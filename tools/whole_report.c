#include "page.h"
#include "whole.h"

#include <fit.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table */

static void write_form(const struct whole_layer *layer, const struct whole_form *form,
                       const char *stage, int is_chosen, FILE *table)
{
    fprintf(table, "%d\t%s\t%d\t%d\t%s\t%.0f\t%.0f\t%.6g\t%d\n", layer->layer->number,
            form->type->name, form->bits, form->block, stage, form->bytes,
            form->madds * layer->layer->n_pixels, form->error, is_chosen);
}

static void write_net(const struct whole_net *net, FILE *table)
{
    const struct whole_size *size = &net->size;
    fprintf(table, "# net %s: %.0f bytes, %.0f multiply-adds, %.2f images/s, top-1 %.4f\n",
            net->label, size->net_bytes, size->net_madds, 1e6 / size->us, size->top1);
}

static void write_table(const struct whole *whole, const char *command, FILE *table)
{
    if (command) fprintf(table, "# command: %s\n", command);
    for (int i = 0; i < whole->n_nets; i++) write_net(&whole->nets[i], table);
    fputs("layer\ttype\tbits\tblock\tstage\tbytes\tmadds\terror\tchosen\n", table);
    for (int i = 0; i < whole->n; i++) {
        const struct whole_layer *layer = &whole->layers[i];
        for (int k = 0; k < layer->n; k++)
            if (!isnan(layer->forms[k].error))
                write_form(layer, &layer->forms[k], "alone", k == layer->chosen, table);
        write_form(layer, &layer->found, "net", 1, table);
    }
}

/* ---- The page */

static void print_net(const struct whole_net *net, const struct whole_size *dense, int is_chosen,
                      FILE *page)
{
    const struct whole_size *size = &net->size;
    fprintf(page,
            "<tr%s><td>%s</td><td>%.0f</td><td>%.3f</td><td>%.0f</td><td>%.3f</td><td>%.2f</td>"
            "<td>%.2f</td><td>%.2f</td></tr>\n",
            is_chosen ? " class=\"chosen\"" : "", net->label, size->net_bytes,
            size->net_bytes / dense->net_bytes, size->net_madds, size->net_madds / dense->net_madds,
            1e6 / size->us, dense->us / size->us, 100 * size->top1);
}

static void print_nets(const struct whole *whole, FILE *page)
{
    const struct compress *compress = whole->compress;
    const struct compress_request *request = compress->request;
    fputs("<h1>", page);
    page_text(page, request->name);
    fputs("</h1>\n<p>From ", page);
    page_text(page, request->weights);
    fprintf(page,
            ", %d layers of it replaced.</p>\n<div class=\"wide\"><table>\n"
            "<tr><th>net</th><th>bytes</th><th>share</th><th>multiply-adds</th><th>share</th>"
            "<th>images/s</th><th>faster</th><th>top-1, %%</th></tr>\n",
            whole->n);
    for (int i = 0; i < whole->n_nets; i++)
        print_net(&whole->nets[i], &whole->nets->size, i == whole->n_nets - 1, page);
    fprintf(
        page,
        "</table></div>\n<p>%d test images; %d others fitted the nets%s. Indices and scales are "
        "counted in the bytes. Times are of one image at a time, all nets in one run on this "
        "machine. Where only bytes count, compare with the dense nets of few bits: they keep "
        "all multiply-adds, and usually more of the top-1.</p>\n",
        compress->test.n,
        compress->train.n < request->n_images ? compress->train.n : request->n_images,
        request->tune ? ", more trained them" : "");
}

static void print_layer(const struct whole_layer *layer, FILE *page)
{
    const struct whole_form *form = &layer->found;
    double madds = layer->layer->n_values;
    fprintf(
        page,
        "<tr><td>%d</td><td>%s</td><td>%d</td><td>%d</td><td>%.0f</td><td>%.3f</td><td>%.3f</td>"
        "<td>%.4f</td></tr>\n",
        layer->layer->number, form->type->label, form->bits, form->block, form->bytes,
        form->bytes / layer->layer->bytes, form->madds / madds, form->error);
}

static void print_layers(const struct whole *whole, FILE *page)
{
    fputs("<h2>Layers</h2>\n<div class=\"wide\"><table>\n<tr><th>layer</th><th>type</th>"
          "<th>bits</th><th>block</th><th>bytes</th><th>share</th><th>multiply-adds, share</th>"
          "<th>error of its outputs when fitted</th></tr>\n",
          page);
    for (int i = 0; i < whole->n; i++) print_layer(&whole->layers[i], page);
    fputs("</table></div>\n", page);
}

void whole_report_write(const struct whole *whole, const char *command, FILE *page, FILE *table)
{
    write_table(whole, command, table);
    page_begin(page, whole->compress->request->name);
    print_nets(whole, page);
    print_layers(whole, page);
    fputs("<h2>To repeat it</h2>\n<pre>", page);
    if (command) page_text(page, command);
    fputs("</pre>\n</body>\n</html>\n", page);
}
