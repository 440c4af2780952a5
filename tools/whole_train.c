#include "whole_train.h"

#include "load_net.h"
#include "whole_steps.h"

#include <cfg_text.h>
#include <whole_file.h>

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- How */

struct schedule {
    int batch, subdivisions, n_batches;
    double rate; /* at first */
};

static struct schedule read_schedule(const struct whole *whole)
{
    const struct compress_request *request = whole->compress->request;
    network *net = load_net(whole->compress->dense.cfg, NULL);
    struct schedule schedule = { net->batch * net->subdivisions, net->subdivisions,
                                 request->n_tune_batches, request->tune_rate };
    if (schedule.rate == 0) schedule.rate = (double)net->learning_rate / 10;
    free_network(net);
    if (schedule.batch == 1) {
        schedule.batch = WHOLE_BATCH;
        schedule.subdivisions = WHOLE_SUBDIVISIONS;
    }
    if (!schedule.n_batches)
        schedule.n_batches = (WHOLE_PASSES * whole->compress->train.n + schedule.batch - 1)
            / schedule.batch;
    return schedule;
}

/* Whether a key of [net] is one that the schedule takes the place of. */
static int is_replaced(const char *key)
{
    static const char *const keys[] = { "batch",   "subdivisions", "learning_rate", "max_batches",
                                        "burn_in", "policy",       "steps",         "scales",
                                        "step",    "scale",        "gamma",         "power" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (!strcmp(key, keys[i])) return 1;
    return 0;
}

static int is_line_replaced(const struct cfg_section *section, int line)
{
    for (int i = 0; i < section->n_keys; i++)
        if (section->keys[i].line == line) return is_replaced(section->keys[i].key);
    return 0;
}

static void write_schedule(const struct schedule *schedule, FILE *out)
{
    fprintf(out, "batch=%d\nsubdivisions=%d\n", schedule->batch, schedule->subdivisions);
    fprintf(out, "learning_rate=%g\nmax_batches=%d\npolicy=poly\npower=1\n", schedule->rate,
            schedule->n_batches);
}

/* The cfg at path with the schedule behind the line [net]; all else stays as it is. */
static enum sn_status write_lines(const char *path, const struct cfg_section *section,
                                  const struct schedule *schedule, FILE *out,
                                  struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    FILE *in = fopen(path, "r");
    if (!in) return sn_fail(error, SN_IO, "%s: cannot read", path);
    for (int number = 1; getline(&line, &size, in) >= 0; number++) {
        if (!is_line_replaced(section, number)) fputs(line, out);
        if (number == section->line) write_schedule(schedule, out);
    }
    free(line);
    fclose(in);
    return SN_OK;
}

static enum sn_status write_cfg(const struct whole *whole, const struct schedule *schedule,
                                const char *path, struct sn_error *error)
{
    struct cfg_text *cfg = cfg_read(whole->net.net.cfg, error);
    struct whole_file out = { 0 };
    if (!cfg) return error->code;
    enum sn_status status = whole_file_open(&out, path, error);
    if (!status) {
        status = write_lines(whole->net.net.cfg, cfg->sections, schedule, out.file, error);
        if (status) whole_file_discard(&out);
        else if (!(status = whole_file_close(&out, error)))
            status = whole_file_publish(&out, error);
    }
    cfg_free(cfg);
    return status;
}

/* ---- What it starts from */

/* The weights, of which Darknet is to count images from 0; where an interrupted training has saved
 * some they are there. */
static enum sn_status write_start(const struct whole *whole, const char *path,
                                  struct sn_error *error)
{
    struct whole_file out = { 0 };
    if (!access(path, F_OK)) return SN_OK;
    enum sn_status status = whole_file_open(&out, path, error);
    if (status) return status;
    status = whole_copy_weights(whole->net.net.weights, out.file, error);
    if (status) whole_file_discard(&out);
    else if (!(status = whole_file_close(&out, error))) status = whole_file_publish(&out, error);
    return status;
}

/* Removes what Darknet has saved on the way: a file for every pass. */
static void forget_saved(const struct whole *whole, const struct schedule *schedule,
                         const char *name)
{
    long long seen = (long long)schedule->batch * schedule->n_batches;
    char suffix[48];
    for (long long pass = 1; pass <= seen / whole->compress->train.n; pass++) {
        snprintf(suffix, sizeof suffix, "_%lld.weights", pass);
        whole_forget(whole, name, suffix);
    }
    whole_forget(whole, name, ".backup");
    whole_forget(whole, name, ".cfg");
}

/* ---- */

/* Darknet's names for what it saves end at a cfg's first dot. */
static void name_training(const struct whole *whole, const struct schedule *schedule,
                          char name[COMPRESS_MAX_NAME])
{
    char text[64];
    int n = snprintf(text, sizeof text, "%d %.9g %llu", schedule->n_batches, schedule->rate,
                     (unsigned long long)whole->compress->request->seed);
    snprintf(name, COMPRESS_MAX_NAME, "%.90s-whole-%08x", whole->net.net.name,
             (unsigned)libdeflate_crc32(0, text, (size_t)n));
}

static enum sn_status run(struct whole *whole, struct step *step, struct sn_error *error)
{
    cJSON *result;
    enum sn_status status = steps_run(&whole->compress->steps, step, &result, error);
    cJSON_Delete(result);
    return status;
}

enum sn_status whole_train_check(struct whole *whole, struct sn_error *error)
{
    const struct compress_net *dense = &whole->compress->dense;
    char task[STEPS_MAX_PATH];
    if (whole->compress->request->tune != COMPRESS_TUNE_WHOLE) return SN_OK;
    if (whole_write_task(whole, "train", error) || whole_path(whole, "train", ".data", task, error))
        return error->code;
    struct step step = { .name = "check-train", .is_other = 1 };
    steps_words(&step,
                (const char *[]){ "structnet", "check", dense->cfg, dense->weights, task, NULL });
    return run(whole, &step, error);
}

enum sn_status whole_train(struct whole *whole, struct sn_error *error)
{
    struct schedule schedule = read_schedule(whole);
    char name[COMPRESS_MAX_NAME], cfg[STEPS_MAX_PATH], start[STEPS_MAX_PATH], task[STEPS_MAX_PATH],
        weights[STEPS_MAX_PATH];
    name_training(whole, &schedule, name);
    if (whole_path(whole, name, ".cfg", cfg, error)
        || whole_path(whole, name, ".backup", start, error)
        || whole_path(whole, name, ".weights", weights, error)
        || whole_path(whole, "train", ".data", task, error))
        return error->code;
    struct step step = { .name = name, .output = weights, .is_long = 1, .is_other = 1 };
    steps_add(&step, "env");
    steps_add(&step, "STRUCTNET_SEED=%llu", (unsigned long long)whole->compress->request->seed);
    steps_words(&step,
                (const char *[]){ "darknet", "classifier", "train", task, cfg, start, NULL });
    if (!steps_is_done(&whole->compress->steps, &step)
        && (write_cfg(whole, &schedule, cfg, error) || write_start(whole, start, error)))
        return error->code;
    if (run(whole, &step, error)) return error->code;
    forget_saved(whole, &schedule, name);
    memcpy(whole->net.net.weights, weights, sizeof weights);
    memcpy(whole->net.net.name, name, sizeof name);
    return SN_OK;
}
