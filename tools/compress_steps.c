/* The steps of compress: what each command of structnet is asked, and what is read from its answer.
 */
#include "compress.h"

#include <fit.h>

#include <libdeflate.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Names */

/* Of what is made for a layer of a net: the net's name as a number, so that names stay short. */
static void print_name(const struct compress_net *net, int layer, const char *end,
                       char name[COMPRESS_MAX_NAME])
{
    uint32_t crc = libdeflate_crc32(0, net->name, strlen(net->name));
    snprintf(name, COMPRESS_MAX_NAME, "%08x-%d-%s", (unsigned)crc, layer, end);
}

static void name_candidate(const struct compress *compress, const struct compress_place *place,
                           struct compress_candidate *candidate)
{
    char end[COMPRESS_MAX_NAME - 32];
    snprintf(end, sizeof end, "%s-%d-%d-%.0f-%s", candidate->type->name, candidate->bits,
             candidate->block, place->budget, compress->request->effort);
    print_name(&place->net, candidate->layer, end, candidate->name);
}

static enum sn_status path_of(const struct compress *compress, const char *name,
                              char path[STEPS_MAX_PATH], struct sn_error *error)
{
    enum sn_status status = steps_path(&compress->steps, name, "", path, error);
    if (!status) path[strlen(path) - 1] = '\0'; /* the dot before a suffix */
    return status;
}

static enum sn_status set_net(const struct compress *compress, const char *name,
                              struct compress_net *net, struct sn_error *error)
{
    /* cppcheck-suppress ctuuninitvar ; only written */
    snprintf(net->name, COMPRESS_MAX_NAME, "%s", name);
    enum sn_status status = steps_path(&compress->steps, name, "cfg", net->cfg, error);
    return status ? status : steps_path(&compress->steps, name, "weights", net->weights, error);
}

static void name_step(const struct compress_candidate *candidate, const char *suffix,
                      char name[COMPRESS_MAX_NAME])
{
    snprintf(name, COMPRESS_MAX_NAME, "%.100s%s%s", candidate->name, *suffix ? "-" : "", suffix);
}

enum sn_status compress_net_of(const struct compress *compress,
                               const struct compress_candidate *candidate, const char *suffix,
                               struct compress_net *net, struct sn_error *error)
{
    char name[COMPRESS_MAX_NAME];
    name_step(candidate, suffix, name);
    return set_net(compress, name, net, error);
}

void compress_forget(const struct compress *compress, const struct compress_candidate *candidate,
                     const char *suffix)
{
    struct compress_net net;
    struct sn_error error;
    char name[COMPRESS_MAX_NAME], path[STEPS_MAX_PATH];
    name_step(candidate, suffix, name);
    if (set_net(compress, name, &net, &error)) return;
    unlink(net.cfg);
    unlink(net.weights);
    if (!steps_path(&compress->steps, name, "tsv", path, &error)) unlink(path);
}

/* ---- Features */

void compress_features_name(const struct compress_net *net, int layer, const char *list,
                            char name[COMPRESS_MAX_NAME])
{
    print_name(net, layer, list, name);
}

enum sn_status compress_features(struct compress *compress, const struct compress_net *net,
                                 int layer, const char *list, char path[STEPS_MAX_PATH],
                                 struct sn_error *error)
{
    const struct compress_request *request = compress->request;
    char name[COMPRESS_MAX_NAME], images[STEPS_MAX_PATH], output[STEPS_MAX_PATH + 8];
    compress_features_name(net, layer, list, name);
    enum sn_status status = path_of(compress, name, path, error);
    if (!status) status = steps_path(&compress->steps, list, "txt", images, error);
    if (status) return status;
    snprintf(output, sizeof output, "%s.x.npy", path);
    struct step step = { .name = name, .output = output, .is_long = 1 };
    steps_words(&step, (const char *[]){ "features", net->cfg, net->weights, images, NULL });
    steps_option(&step, "--layer", "%d", layer);
    steps_option(&step, "--labels", "%s", task_find(&compress->task, "labels"));
    if (request->resize) {
        steps_option(&step, "--resize", "%d", request->resize);
    }
    steps_option(&step, "-o", "%s", path);
    cJSON *result;
    status = steps_run(&compress->steps, &step, &result, error);
    cJSON_Delete(result);
    return status;
}

/* Those of the train list, number 0, or of the held one. */
static enum sn_status compute_features(struct compress *compress, void *context, int i,
                                       struct sn_error *error)
{
    struct compress_place *place = context;
    return compress_features(compress, &place->net, place->layer, i ? "held" : "train",
                             i ? place->held : place->train, error);
}

enum sn_status compress_open_place(struct compress *compress, struct compress_place *place,
                                   struct sn_error *error)
{
    return compress_spread(compress, 2, compute_features, place, error);
}

/* ---- Fits */

static void add_seed(const struct compress *compress, struct step *step)
{
    steps_option(step, "--seed", "%llu", (unsigned long long)compress->request->seed);
}

/* The words of structnet approx. */
static enum sn_status ask_for_fit(const struct compress *compress,
                                  const struct compress_place *place,
                                  const struct compress_candidate *candidate, struct step *step,
                                  struct sn_error *error)
{
    char path[STEPS_MAX_PATH];
    if (path_of(compress, candidate->name, path, error)) return error->code;
    steps_words(step, (const char *[]){ "approx", place->net.cfg, place->net.weights, NULL });
    steps_option(step, "--layer", "%d", candidate->layer);
    steps_option(step, "--type", "%s", candidate->type->name);
    steps_option(step, "--bits", "%d", candidate->bits);
    if (candidate->block > 1) {
        steps_option(step, "--block", "%d", candidate->block);
    }
    steps_option(step, "--bytes", "%.0f", place->budget);
    steps_option(step, "--features", "%s", place->train);
    steps_option(step, "--holdout", "0");
    steps_option(step, "--effort", "%s", compress->request->effort);
    add_seed(compress, step);
    steps_option(step, "-o", "%s", path);
    return SN_OK;
}

/* output: as in struct step. */
static enum sn_status fit(struct compress *compress, const struct compress_place *place,
                          const char *output, struct compress_candidate *candidate,
                          struct sn_error *error)
{
    struct step step = { .name = candidate->name, .output = output, .may_fail = 1 };
    cJSON *result;
    enum sn_status status = ask_for_fit(compress, place, candidate, &step, error);
    if (!status) status = steps_run(&compress->steps, &step, &result, error);
    if (status) return status;
    if (!result) {
        const char *text = strstr(error->message, ": ");
        snprintf(candidate->why, sizeof candidate->why, "%.200s", text ? text + 2 : error->message);
    }
    candidate->bytes = steps_number(result, "bytes");
    candidate->madds = steps_number(result, "multiply_adds");
    cJSON_Delete(result);
    return SN_OK;
}

/* ---- Training */

struct training {
    int n_epochs; /* at most */
    struct compress_score before, after;
};

static void take_scores(const cJSON *result, struct training *training)
{
    training->before = (struct compress_score){ steps_number(result, "loss_before"),
                                                steps_number(result, "top1_before") };
    training->after = (struct compress_score){ steps_number(result, "loss"),
                                               steps_number(result, "top1") };
}

/* The words of structnet tune for a net: from the place's layer on, with the dense net as the
 * teacher. */
static enum sn_status ask_to_tune(const struct compress *compress,
                                  const struct compress_place *place,
                                  const struct compress_net *net, int n_epochs, struct step *step,
                                  struct sn_error *error)
{
    char path[STEPS_MAX_PATH];
    if (path_of(compress, step->name, path, error)) return error->code;
    steps_words(step, (const char *[]){ "tune", net->cfg, net->weights, NULL });
    steps_option(step, "--layer", "%d", place->layer);
    steps_option(step, "--features", "%s", place->train);
    steps_option(step, "--valid", "%s", place->held);
    steps_option(step, "--epochs", "%d", n_epochs);
    add_seed(compress, step);
    steps_option(step, "-o", "%s", path);
    steps_words(step,
                (const char *[]){ "--teacher", compress->dense.cfg, compress->dense.weights,
                                  NULL });
    return SN_OK;
}

static void ask_for_time(const struct compress_net *net, int layer, struct step *step)
{
    steps_words(step, (const char *[]){ "bench", net->cfg, net->weights, NULL });
    steps_option(step, "--layer", "%d", layer);
}

static enum sn_status take_time(struct compress *compress, struct step *step, double *us,
                                double *net_us, struct sn_error *error)
{
    cJSON *result;
    enum sn_status status = steps_run(&compress->steps, step, &result, error);
    if (status) return status;
    const cJSON *head = cJSON_GetArrayItem(cJSON_GetObjectItem(result, "heads"), 0);
    *us = steps_number(head, "ns_cold") / 1000;
    *net_us = steps_number(head, "ns_net") / 1000;
    cJSON_Delete(result);
    return SN_OK;
}

static enum sn_status need(struct compress *compress, const struct compress_place *place,
                           struct compress_candidate *candidate, const char *suffix,
                           struct sn_error *error);

/* Trains the net of the step `from`; `to` and what comes of it. output: as in struct step. */
static enum sn_status train(struct compress *compress, const struct compress_place *place,
                            struct compress_candidate *candidate, const char *from, const char *to,
                            const char *output, struct training *training, struct sn_error *error)
{
    char name[COMPRESS_MAX_NAME];
    struct compress_net net;
    struct step step = { .name = name, .output = output };
    cJSON *result;
    name_step(candidate, to, name);
    if (compress_net_of(compress, candidate, from, &net, error)
        || ask_to_tune(compress, place, &net, training->n_epochs, &step, error)
        || (!steps_is_done(&compress->steps, &step)
            && need(compress, place, candidate, from, error))
        || steps_run(&compress->steps, &step, &result, error))
        return error->code;
    take_scores(result, training);
    cJSON_Delete(result);
    compress_forget(compress, candidate, from);
    return SN_OK;
}

static enum sn_status train_briefly(struct compress *compress, const struct compress_place *place,
                                    struct compress_candidate *candidate, const char *output,
                                    struct sn_error *error)
{
    struct training training = { .n_epochs = COMPRESS_BRIEF };
    if (train(compress, place, candidate, "", "brief", output, &training, error))
        return error->code;
    candidate->fitted = training.before;
    candidate->brief = training.after;
    return SN_OK;
}

/* Makes the net of a step anew when it is there no more. */
static enum sn_status need(struct compress *compress, const struct compress_place *place,
                           struct compress_candidate *candidate, const char *suffix,
                           struct sn_error *error)
{
    struct compress_net net;
    if (compress_net_of(compress, candidate, suffix, &net, error)) return error->code;
    if (steps_has_file(&compress->steps, net.weights)) return SN_OK;
    return *suffix ? train_briefly(compress, place, candidate, net.weights, error)
                   : fit(compress, place, net.weights, candidate, error);
}

enum sn_status compress_score_dense(struct compress *compress, int i, struct sn_error *error)
{
    const struct compress_net *dense = &compress->dense;
    int layer = compress->layers[i].number;
    char name[COMPRESS_MAX_NAME];
    struct compress_candidate self = { .layer = layer };
    struct step time = { .name = name }, step = { .name = self.name };
    print_name(dense, layer, "bench", name);
    ask_for_time(dense, layer, &time);
    if (take_time(compress, &time, &compress->us[i], &compress->net_us, error)) return error->code;
    if (i) return SN_OK;
    print_name(dense, layer, "dense", self.name);
    struct compress_place place = { .net = *dense, .layer = layer };
    struct training training;
    cJSON *result;
    if (compress_open_place(compress, &place, error)
        || ask_to_tune(compress, &place, dense, 0, &step, error)
        || steps_run(&compress->steps, &step, &result, error))
        return error->code;
    take_scores(result, &training);
    compress->score = training.after;
    cJSON_Delete(result);
    compress_forget(compress, &self, "");
    return SN_OK;
}

enum sn_status compress_try(struct compress *compress, const struct compress_place *place,
                            struct compress_candidate *candidate, struct sn_error *error)
{
    struct compress_net brief;
    char name[COMPRESS_MAX_NAME];
    name_candidate(compress, place, candidate);
    enum sn_status status = fit(compress, place, NULL, candidate, error);
    if (status || candidate->why[0]) return status;
    name_step(candidate, "bench", name);
    struct step step = { .name = name };
    if (train_briefly(compress, place, candidate, NULL, error)
        || compress_net_of(compress, candidate, "brief", &brief, error))
        return error->code;
    ask_for_time(&brief, candidate->layer, &step);
    if (!steps_is_done(&compress->steps, &step))
        status = need(compress, place, candidate, "brief", error);
    return status ? status : take_time(compress, &step, &candidate->us, &candidate->net_us, error);
}

enum sn_status compress_probe(struct compress *compress, const struct compress_place *place,
                              struct compress_candidate *candidate, struct sn_error *error)
{
    struct training training = { .n_epochs = 0 };
    name_candidate(compress, place, candidate);
    enum sn_status status = fit(compress, place, NULL, candidate, error);
    if (status || candidate->why[0]) return status;
    status = train(compress, place, candidate, "", "probe", NULL, &training, error);
    candidate->fitted = training.before;
    compress_forget(compress, candidate, "probe");
    return status;
}

enum sn_status compress_finish(struct compress *compress, const struct compress_place *place,
                               int is_kept, struct compress_candidate *candidate,
                               struct sn_error *error)
{
    struct compress_net full;
    struct training training = { .n_epochs = COMPRESS_FULL };
    if (compress_net_of(compress, candidate, "full", &full, error)
        || train(compress, place, candidate, "brief", "full", is_kept ? full.weights : NULL,
                 &training, error))
        return error->code;
    candidate->full = training.after;
    return SN_OK;
}

struct compress_score compress_best_score(const struct compress_candidate *candidate)
{
    return isnan(candidate->full.loss) ? candidate->brief : candidate->full;
}
