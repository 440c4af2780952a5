#include "plug_shapes.h"

#include "plug_keys.h"
#include "plug_layer_shapes.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static enum sn_status check_policy(const struct cfg_section *net, struct sn_error *error)
{
    const struct cfg_key *policy = cfg_find(net, "policy");
    if (!policy || strcmp(policy->value, "steps")) return SN_OK;
    int n = cfg_list_length(net, "steps"), n_scales = cfg_list_length(net, "scales");
    if (n && n == n_scales) return SN_OK;
    return cfg_fail(net, n ? "scales" : "steps", error,
                    "expected as many steps as scales, at least one, found %d and %d", n, n_scales);
}

static enum sn_status read_input(const struct cfg_section *net, struct shape *in,
                                 struct sn_error *error)
{
    *in = (struct shape){ plug_whole(net, "width", 0), plug_whole(net, "height", 0),
                          plug_whole(net, "channels", 0), 0 };
    double n = (double)in->w * (double)in->h * (double)in->c;
    in->n = plug_whole(net, "inputs", n < 0x1p63 ? (long long)n : LLONG_MAX);
    if (in->n < 1 || in->n > INT_MAX)
        return cfg_fail(net, "inputs", error,
                        "expected height, width and channels, or inputs, of at most %d numbers, "
                        "found %lld",
                        INT_MAX, in->n);
    if (n == 0 || (double)in->n == n) return SN_OK;
    return cfg_fail(net, "inputs", error, "expected height x width x channels, %.0f, found %lld", n,
                    in->n);
}

static enum sn_status read_net(struct shapes *shapes, struct shape *in, struct sn_error *error)
{
    const struct cfg_section *net = &shapes->text->sections[0];
    long long batch = plug_whole(net, "batch", 1), parts = plug_whole(net, "subdivisions", 1),
              steps = plug_whole(net, "time_steps", 1);
    if (parts > batch)
        return cfg_fail(net, "subdivisions", error, "expected at most batch, %lld, found %lld",
                        batch, parts);
    shapes->batch = batch / parts * steps;
    if (check_policy(net, error) || read_input(net, in, error)) return error->code;
    double n = (double)in->n * (double)shapes->batch;
    shapes->n_bytes += n * sizeof(float);
    if (n <= INT_MAX) return SN_OK;
    return cfg_fail(net, "batch", error, "expected at most %d inputs for a batch, found %.0f",
                    INT_MAX, n);
}

/* Behind a layer with truth=1 losses compare their inputs with its outputs, in predictions too. */
static enum sn_status check_truths(struct shapes *shapes, int i, struct shape in,
                                   struct sn_error *error)
{
    const struct cfg_section *section = &shapes->text->sections[i + 1];
    LAYER_TYPE type = plug_section_type(section);
    int has_loss = type == COST || type == LOGXENT
        || (type == SOFTMAX && !plug_whole(section, "noloss", 0));
    if (has_loss && shapes->n_truths && in.n > shapes->n_truths)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s:%d: [%s]: expected at most %lld inputs, which the layer with truth=1 "
                       "has as outputs, found %lld",
                       section->path, section->line, section->name, shapes->n_truths, in.n);
    if (plug_whole(section, "truth", 0)) shapes->n_truths = shapes->out[i].n;
    return SN_OK;
}

static enum sn_status check_layer(struct shapes *shapes, int i, struct shape in,
                                  struct sn_error *error)
{
    const struct cfg_section *section = &shapes->text->sections[i + 1];
    struct step step = { shapes, section, i, in, &shapes->out[i], error };
    error->code = SN_OK;
    enum sn_status status = plug_layer_shape(&step);
    double n = (double)shapes->out[i].n * (double)shapes->batch;
    shapes->n_bytes += n * sizeof(float);
    if (status) return status;
    if (n <= INT_MAX) return check_truths(shapes, i, in, error);
    return sn_fail(error, SN_BAD_INPUT,
                   "%s:%d: [%s]: expected at most %d outputs for a batch, found %.0f",
                   section->path, section->line, section->name, INT_MAX, n);
}

/* Darknet takes the last layer that is no [cost] for the net's output. */
static enum sn_status check_output(const struct cfg_text *text, struct sn_error *error)
{
    for (int i = 1; i < text->n_sections; i++)
        if (plug_section_type(&text->sections[i]) != COST) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected a layer that is no [cost], found none",
                   text->path);
}

/* What the machine has, or what the process may have of it. */
static double memory_bytes(void)
{
    struct rlimit limit;
    double n = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    static const int limits[] = { RLIMIT_AS, RLIMIT_DATA };
    for (int i = 0; i < 2; i++)
        if (!getrlimit(limits[i], &limit) && limit.rlim_cur != RLIM_INFINITY)
            n = fmin(n, (double)limit.rlim_cur);
    return n;
}

static enum sn_status check_memory(const struct shapes *shapes, struct sn_error *error)
{
    double there = memory_bytes(), needed = shapes->n_bytes + shapes->n_workspace_bytes;
    if (needed <= there) return SN_OK;
    return sn_fail(error, SN_NO_MEMORY,
                   "%s: the net needs at least %.0f bytes of memory, there are %.0f",
                   shapes->text->path, needed, there);
}

enum sn_status plug_check_shapes(const struct cfg_text *text, struct sn_error *error)
{
    struct shape in = { 0 };
    struct shapes shapes = { .text = text };
    enum sn_status status = read_net(&shapes, &in, error);
    if (status) return status;
    shapes.out = calloc((size_t)text->n_sections, sizeof *shapes.out);
    if (!shapes.out) return sn_no_memory(error, "%d layers", text->n_sections);
    for (int i = 0; i + 1 < text->n_sections && !status; i++) {
        status = check_layer(&shapes, i, in, error);
        in = shapes.out[i];
    }
    if (!status) status = check_output(text, error);
    if (!status) status = check_memory(&shapes, error);
    free(shapes.out);
    return status;
}
