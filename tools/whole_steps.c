#include "whole_steps.h"

#include "copy_bytes.h"
#include "load_net.h"
#include "whole_train.h"

#include <fit.h>
#include <weights_file.h>
#include <whole_file.h>

#include <math.h>
#include <string.h>
#include <unistd.h>

static void add_resize(const struct whole *whole, struct step *step)
{
    if (!whole->compress->request->resize) return;
    steps_option(step, "--resize", "%d", whole->compress->request->resize);
}

/* FOLDER/NAMESUFFIX. */
enum sn_status whole_path(const struct whole *whole, const char *name, const char *suffix,
                          char path[STEPS_MAX_PATH], struct sn_error *error)
{
    if (snprintf(path, STEPS_MAX_PATH, "%s/%s%s", whole->compress->folder, name, suffix)
        < STEPS_MAX_PATH)
        return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: a path of more than %d bytes", whole->compress->folder,
                   STEPS_MAX_PATH - 1);
}

void whole_forget(const struct whole *whole, const char *name, const char *suffix)
{
    char path[STEPS_MAX_PATH];
    struct sn_error error;
    if (!whole_path(whole, name, suffix, path, &error)) unlink(path);
}

/* ---- Images */

static enum sn_status path_of_few(const struct whole *whole, char path[STEPS_MAX_PATH],
                                  struct sn_error *error)
{
    char name[64];
    snprintf(name, sizeof name, "few-%s", whole->images);
    return whole_path(whole, name, ".txt", path, error);
}

/* The few images of the train list, spread evenly. */
enum sn_status whole_write_few(const struct whole *whole, struct sn_error *error)
{
    const struct compress *compress = whole->compress;
    const struct lines *train = &compress->train;
    int n = compress->request->n_images < train->n ? compress->request->n_images : train->n;
    char path[STEPS_MAX_PATH];
    struct whole_file few = { 0 };
    enum sn_status status = path_of_few(whole, path, error);
    if (!status) status = whole_file_open(&few, path, error);
    for (int i = 0; i < n && !status; i++)
        fprintf(few.file, "%s\n", train->line[(int)((double)i * train->n / n)]);
    if (!status) status = whole_file_close(&few, error);
    return status ? status : whole_file_publish(&few, error);
}

/* FOLDER/LIST.data, the task whose valid list, or train list, is FOLDER/LIST.txt. */
enum sn_status whole_write_task(const struct whole *whole, const char *list, struct sn_error *error)
{
    const struct compress *compress = whole->compress;
    char path[STEPS_MAX_PATH];
    struct whole_file data = { 0 };
    enum sn_status status = whole_path(whole, list, ".data", path, error);
    if (!status) status = whole_file_open(&data, path, error);
    if (status) return status;
    fprintf(data.file, "classes=%d\nlabels=%s\n%s=%s/%s.txt\nbackup=%s\n", compress->task.n_classes,
            task_find(&compress->task, "labels"), strcmp(list, "train") ? "valid" : "train",
            compress->folder, list, compress->folder);
    status = whole_file_close(&data, error);
    return status ? status : whole_file_publish(&data, error);
}

/* ---- Fits */

/* Computes the moments of a layer's inputs in net, with those in the dense net where it is another;
 * NAME.moments.npy. */
enum sn_status whole_moments(const struct whole *whole, const struct compress_net *net, int layer,
                             const char *name, struct sn_error *error)
{
    const struct compress_net *dense = &whole->compress->dense;
    char path[STEPS_MAX_PATH], few[STEPS_MAX_PATH], output[STEPS_MAX_PATH];
    if (whole_path(whole, name, "", path, error) || path_of_few(whole, few, error)
        || whole_path(whole, name, ".moments.npy", output, error))
        return error->code;
    struct step step = { .name = name, .output = output, .is_long = 1 };
    steps_words(&step,
                (const char *[]){ "features", net->cfg, net->weights, few, "--moments", NULL });
    steps_option(&step, "--layer", "%d", layer);
    if (strcmp(net->weights, dense->weights))
        steps_words(&step, (const char *[]){ "--reference", dense->cfg, dense->weights, NULL });
    add_resize(whole, &step);
    steps_words(&step, (const char *[]){ "-o", path, NULL });
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, &step, &result, error);
    cJSON_Delete(result);
    return status;
}

/* The words that fit form to a layer of net by the moments of that name. */
enum sn_status whole_ask_for_fit(const struct whole *whole, const struct compress_net *net,
                                 const struct whole_layer *layer, const struct whole_form *form,
                                 const char *moments, const char *effort, struct step *step,
                                 struct sn_error *error)
{
    char path[STEPS_MAX_PATH], input[STEPS_MAX_PATH];
    if (whole_path(whole, step->name, "", path, error)
        || whole_path(whole, moments, ".moments.npy", input, error))
        return error->code;
    steps_words(step,
                (const char *[]){ "approx", net->cfg, net->weights, "--type", form->type->name,
                                  "--effort", effort, "-o", path, NULL });
    if (!layer->layer->has_groups)
        steps_words(step, (const char *[]){ "--moments", input, "--judge", input, NULL });
    steps_option(step, "--layer", "%d", layer->layer->number);
    steps_option(step, "--bits", "%d", form->bits);
    if (form->block > 1) {
        steps_option(step, "--block", "%d", form->block);
    }
    if (!form->type->has_budget) return SN_OK;
    steps_option(step, "--madds", "%.0f", form->part * layer->layer->n_values);
    return SN_OK;
}

void whole_take_fit(const cJSON *result, struct whole_form *form)
{
    form->bytes = steps_number(result, "bytes");
    form->madds = steps_number(result, "multiply_adds");
    form->error = steps_number(result, "output_error");
    if (isnan(form->error)) form->error = steps_number(result, "error");
}

static int has_statistics(const struct whole *whole)
{
    network *net = load_net(whole->compress->dense.cfg, NULL);
    int found = 0;
    for (int i = 0; i < net->n; i++) found |= net->layers[i].batch_normalize;
    free_network(net);
    return found;
}

enum sn_status whole_calibrate(struct whole *whole, struct sn_error *error)
{
    char name[COMPRESS_MAX_NAME + 16], weights[STEPS_MAX_PATH], few[STEPS_MAX_PATH];
    if (!has_statistics(whole)) return SN_OK;
    snprintf(name, sizeof name, "%s-calibrated", whole->net.net.name);
    if (whole_path(whole, name, ".weights", weights, error) || path_of_few(whole, few, error))
        return error->code;
    struct step step = { .name = name, .output = weights, .is_long = 1 };
    steps_words(&step,
                (const char *[]){ "calibrate", whole->net.net.cfg, whole->net.net.weights, few,
                                  "-o", weights, NULL });
    add_resize(whole, &step);
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, &step, &result, error);
    cJSON_Delete(result);
    if (!status) memcpy(whole->net.net.weights, weights, sizeof weights);
    return status;
}

/* Trains the values, where that is asked for. */
enum sn_status whole_tune(struct whole *whole, struct sn_error *error)
{
    const struct compress *compress = whole->compress;
    const struct compress_net *dense = &compress->dense;
    char name[COMPRESS_MAX_NAME + 32], weights[STEPS_MAX_PATH], images[STEPS_MAX_PATH];
    if (compress->request->tune == COMPRESS_TUNE_NONE) return SN_OK;
    if (compress->request->tune == COMPRESS_TUNE_WHOLE) return whole_train(whole, error);
    snprintf(name, sizeof name, "%s-%d", whole->net.net.name, compress->request->n_tune_images);
    if (whole_path(whole, name, ".weights", weights, error)
        || whole_path(whole, "train", ".txt", images, error))
        return error->code;
    struct step step = { .name = name, .output = weights, .is_long = 1 };
    steps_words(&step,
                (const char *[]){ "reconstruct", whole->net.net.cfg, whole->net.net.weights, images,
                                  "--reference", dense->cfg, dense->weights, "-o", weights, NULL });
    steps_option(&step, "--images", "%d", compress->request->n_tune_images);
    add_resize(whole, &step);
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, &step, &result, error);
    cJSON_Delete(result);
    if (status) return status;
    memcpy(whole->net.net.weights, weights, sizeof weights);
    snprintf(whole->net.net.name, sizeof whole->net.net.name, "%.*s", COMPRESS_MAX_NAME - 1, name);
    return SN_OK;
}

enum sn_status whole_copy_weights(const char *path, FILE *out, struct sn_error *error)
{
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    FILE *in = status ? NULL : fopen(path, "rb");
    if (!in) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    weights_header_write(&span.header, out);
    if (fseek(in, (long)span.header_bytes, SEEK_SET))
        status = sn_fail(error, SN_IO, "%s: cannot read", path);
    if (!status) status = copy_bytes(in, out, span.file_bytes - span.header_bytes, path, error);
    fclose(in);
    return status;
}

/* ---- What it is worth */

/* Top-1 on a list, held or test. */
enum sn_status whole_judge(struct whole *whole, const struct compress_net *net, const char *list,
                           double *top1, struct sn_error *error)
{
    char name[COMPRESS_MAX_NAME + 16], task[STEPS_MAX_PATH];
    snprintf(name, sizeof name, "eval-%s-%s", list, net->name);
    if (whole_path(whole, list, ".data", task, error)) return error->code;
    struct step step = { .name = name, .is_long = 1 };
    steps_words(&step, (const char *[]){ "eval", net->cfg, net->weights, task, NULL });
    add_resize(whole, &step);
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, &step, &result, error);
    *top1 = steps_number(result, "top1");
    cJSON_Delete(result);
    return status;
}

/* All nets in one run. */
enum sn_status whole_time(struct whole *whole, struct sn_error *error)
{
    char name[COMPRESS_MAX_NAME + 16];
    snprintf(name, sizeof name, "bench-%d-%s", whole->n_nets, whole->net.net.name);
    struct step step = { .name = name };
    steps_add(&step, "bench");
    for (int i = 0; i < whole->n_nets; i++)
        steps_words(&step,
                    (const char *[]){ whole->nets[i].net.cfg, whole->nets[i].net.weights, NULL });
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, &step, &result, error);
    const cJSON *heads = cJSON_GetObjectItem(result, "heads");
    for (int i = 0; i < whole->n_nets; i++)
        whole->nets[i].size.us = steps_number(cJSON_GetArrayItem(heads, i), "ns_net") / 1000;
    cJSON_Delete(result);
    return status;
}
