#include "whole_output.h"

#include "command.h"
#include "copy_bytes.h"
#include "outputs.h"
#include "whole_steps.h"

#include <cjson/cJSON.h>
#include <stdio.h>

enum sn_status whole_output_write(const struct whole *whole, const char *command,
                                  struct sn_error *error)
{
    const struct compress_request *request = whole->compress->request;
    const struct compress_net *net = &whole->net.net;
    const char *inputs[] = { request->cfg, request->weights, request->data, NULL };
    struct outputs outputs;
    FILE *cfg, *weights, *page, *table;
    outputs_begin(&outputs, inputs);
    if (!(cfg = outputs_open_named(&outputs, request->name, "cfg", error))
        || !(weights = outputs_open_named(&outputs, request->name, "weights", error))
        || !(page = outputs_open_named(&outputs, request->name, "report.html", error))
        || !(table = outputs_open_named(&outputs, request->name, "report.tsv", error))
        || copy_file(net->cfg, cfg, error) || whole_copy_weights(net->weights, weights, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    whole_report_write(whole, command, page, table);
    return outputs_publish(&outputs, error);
}

static void add_nets(const struct whole *whole, cJSON *root)
{
    cJSON *nets = cJSON_AddArrayToObject(root, "nets");
    for (int i = 0; i < whole->n_nets; i++) {
        const struct whole_size *size = &whole->nets[i].size;
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "net", whole->nets[i].label);
        cJSON_AddNumberToObject(item, "net_bytes", size->net_bytes);
        cJSON_AddNumberToObject(item, "net_multiply_adds", size->net_madds);
        cJSON_AddNumberToObject(item, "net_us", size->us);
        cJSON_AddNumberToObject(item, "net_top1", size->top1);
        cJSON_AddItemToArray(nets, item);
    }
}

void whole_output_print_json(const struct whole *whole, double seconds)
{
    const struct whole_size *before = &whole->nets->size, *after = &whole->net.size;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "layers", whole->n);
    cJSON_AddNumberToObject(root, "bytes", after->bytes);
    cJSON_AddNumberToObject(root, "dense_bytes", before->bytes);
    cJSON_AddNumberToObject(root, "multiply_adds", after->madds);
    cJSON_AddNumberToObject(root, "dense_multiply_adds", before->madds);
    cJSON_AddNumberToObject(root, "top1", after->top1);
    cJSON_AddNumberToObject(root, "dense_top1", before->top1);
    cJSON_AddNumberToObject(root, "us", after->us);
    cJSON_AddNumberToObject(root, "dense_us", before->us);
    add_nets(whole, root);
    cJSON_AddNumberToObject(root, "steps_run", steps_n_run(&whole->compress->steps));
    cJSON_AddNumberToObject(root, "seconds", seconds);
    command_print_json(root);
}

void whole_output_print(const struct whole *whole, double seconds)
{
    const struct whole_size *before = &whole->nets->size, *after = &whole->net.size;
    const struct compress *compress = whole->compress;
    printf("layers   %d, fitted by %d images\n", whole->n,
           compress->train.n < compress->request->n_images ? compress->train.n
                                                           : compress->request->n_images);
    printf("bytes    %.0f of %.0f, share %.4f\n", after->bytes, before->bytes,
           after->bytes / before->bytes);
    printf("madds    %.0f of %.0f, share %.4f\n", after->madds, before->madds,
           after->madds / before->madds);
    printf("net             share of bytes  of multiply-adds  images/s  top-1, %d images\n",
           compress->test.n);
    for (int i = 0; i < whole->n_nets; i++) {
        const struct whole_size *size = &whole->nets[i].size;
        printf("%-14s  %14.4f  %16.4f  %8.2f  %.2f %%\n", whole->nets[i].label,
               size->net_bytes / before->net_bytes, size->net_madds / before->net_madds,
               1e6 / size->us, 100 * size->top1);
    }
    printf("steps    %d run, what was known before was taken from %s\n",
           steps_n_run(&compress->steps), compress->folder);
    printf("seconds  %.3f\nfiles    %s.cfg .weights .report.html .report.tsv\n", seconds,
           compress->request->name);
}
