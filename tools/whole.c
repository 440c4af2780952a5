#include "whole.h"

#include "approximation.h"
#include "layer_costs.h"
#include "load_net.h"
#include "whole_steps.h"
#include "whole_train.h"

#include <fit.h>

#include <libdeflate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Forms */

static void name_form(const struct whole_layer *layer, struct whole_form *form)
{
    snprintf(form->name, sizeof form->name, "try-%d-%s-%d-%d-%.2f", layer->layer->number,
             form->type->name, form->bits, form->block, form->part);
}

/* The type without a budget, of which there is one. */
static const struct sn_fit_type *dense_type(void)
{
    int t = 0;
    while (sn_fit_type_at(t)->has_budget) t++;
    return sn_fit_type_at(t);
}

/* All entries in so many bits. */
static struct whole_form dense_form(const struct whole_layer *layer, int bits)
{
    struct whole_form form = { dense_type(), bits, 1, 1, "", NAN, NAN, NAN };
    name_form(layer, &form);
    return form;
}

static enum sn_status add_forms(const struct whole *whole, struct whole_layer *layer,
                                struct sn_error *error)
{
    const struct compress_request *request = whole->compress->request;
    const struct sn_fit_type *type;
    if (layer->layer->is_minor) layer->forms[layer->n++] = dense_form(layer, WHOLE_SMALL_BITS);
    if (layer->n) return SN_OK;
    for (int t = 0; (type = sn_fit_type_at(t)); t++) {
        int n_parts = type->has_budget ? request->n_parts : 1;
        if (!approximation_is_in(request->types, type)) continue;
        for (int i = 0; i < request->n_bits * n_parts; i++) {
            struct whole_form form = { .type = type,
                                       .bits = request->bits[i / n_parts],
                                       .block = sn_fit_has_option(type, "block") ? request->block
                                                                                 : 1,
                                       .part = type->has_budget ? request->parts[i % n_parts] : 1,
                                       .bytes = NAN,
                                       .madds = NAN,
                                       .error = NAN };
            if (!type->has_budget && form.bits == 32) continue;
            if (layer->n == WHOLE_MAX_FORMS)
                return sn_fail(error, SN_BAD_INPUT,
                               "expected at most %d forms of a layer, found more: leave types or "
                               "bits out",
                               WHOLE_MAX_FORMS);
            name_form(layer, &form);
            layer->forms[layer->n++] = form;
        }
    }
    return SN_OK;
}

/* Tries one form within the dense net. The moments are made when they are needed first. */
static enum sn_status try_form(struct whole *whole, struct whole_layer *layer,
                               struct whole_form *form, struct sn_error *error)
{
    struct steps *steps = &whole->compress->steps;
    const struct compress_net *dense = &whole->compress->dense;
    struct step step = { .name = form->name, .may_fail = 1 };
    char moments[COMPRESS_MAX_NAME];
    cJSON *result;
    snprintf(moments, sizeof moments, "dense-%d-%s", layer->layer->number, whole->images);
    if (whole_ask_for_fit(whole, dense, layer, form, moments, "quick", &step, error)
        || (!layer->layer->has_groups && !steps_is_done(steps, &step)
            && whole_moments(whole, dense, layer->layer->number, moments, error))
        || steps_run(steps, &step, &result, error))
        return error->code;
    whole_take_fit(result, form);
    cJSON_Delete(result);
    whole_forget(whole, form->name, ".cfg");
    whole_forget(whole, form->name, ".weights");
    return SN_OK;
}

static enum sn_status try_layer(struct whole *whole, struct whole_layer *layer,
                                struct sn_error *error)
{
    char moments[COMPRESS_MAX_NAME];
    enum sn_status status = SN_OK;
    for (int i = 0; i < layer->n && !status; i++)
        status = try_form(whole, layer, &layer->forms[i], error);
    snprintf(moments, sizeof moments, "dense-%d-%s", layer->layer->number, whole->images);
    whole_forget(whole, moments, ".moments.npy");
    return status;
}

/* ---- The choice */

/* What is allowed; INFINITY: any. */
struct limits {
    double bytes, madds;
};

/* Whether there is one: a form alone is none. */
static int is_choice(const struct whole *whole)
{
    for (int i = 0; i < whole->n; i++)
        if (whole->layers[i].n > 1) return 1;
    return 0;
}

static double cost_of(const struct whole_layer *layer, const struct whole_form *form,
                      const struct limits *limits)
{
    return form->bytes / limits->bytes + form->madds * layer->layer->n_pixels / limits->madds;
}

/* Chooses a form of each layer by lambda. Whether they keep to the limits. */
static int choose(struct whole *whole, const struct limits *limits, double lambda)
{
    double bytes = 0, madds = 0;
    for (int i = 0; i < whole->n; i++) {
        struct whole_layer *layer = &whole->layers[i];
        double least = INFINITY;
        for (int k = 0; k < layer->n; k++) {
            const struct whole_form *form = &layer->forms[k];
            double price = form->error * form->error + lambda * cost_of(layer, form, limits);
            if (!(price < least)) continue;
            least = price;
            layer->chosen = k;
        }
        bytes += layer->forms[layer->chosen].bytes;
        madds += layer->forms[layer->chosen].madds * layer->layer->n_pixels;
    }
    return bytes <= limits->bytes && madds <= limits->madds;
}

static enum sn_status choose_all(struct whole *whole, const struct limits *limits,
                                 struct sn_error *error)
{
    enum { HALVINGS = 60 };
    double low = log(1e-9), high = log(1e9);
    if (!is_choice(whole) || choose(whole, limits, 0)) return SN_OK;
    if (!choose(whole, limits, exp(high)))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected forms of the layers that keep to the budget, found none",
                       whole->compress->request->cfg);
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (choose(whole, limits, exp(middle))) high = middle;
        else low = middle;
    }
    choose(whole, limits, exp(high));
    return SN_OK;
}

/* The budgets. */
static struct limits read_limits(const struct whole *whole)
{
    const struct compress_request *request = whole->compress->request;
    const struct whole_size *before = &whole->nets->size;
    double bytes = request->bytes > 0 ? request->bytes
        : request->share > 0          ? request->share * before->bytes
                                      : INFINITY;
    return (struct limits){ bytes, request->madds > 0 ? request->madds * before->madds : INFINITY };
}

/* Less what the layers take that stay. */
static struct limits limits_of_replaced(const struct whole *whole, struct limits limits)
{
    for (int i = 0; i < whole->compress->n_layers; i++) {
        const struct compress_layer *layer = &whole->compress->layers[i];
        if (layer->n_values >= WHOLE_TINY) continue;
        limits.bytes -= layer->bytes;
        limits.madds -= layer->n_values * layer->n_pixels;
    }
    return limits;
}

/* ---- The net */

/* The net in which the layer of `net` has the chosen form; the name says all that it depends on. */
static enum sn_status name_net(const struct whole *whole, const struct compress_net *net,
                               const struct whole_layer *layer, struct compress_net *next,
                               struct sn_error *error)
{
    char text[2 * COMPRESS_MAX_NAME + 64];
    int n = snprintf(text, sizeof text, "%s %s %s %s", net->name, whole->images,
                     layer->forms[layer->chosen].name, whole->compress->request->effort);
    snprintf(next->name, sizeof next->name, "%08x-%d",
             (unsigned)libdeflate_crc32(0, text, (size_t)n), layer->layer->number);
    enum sn_status status = whole_path(whole, next->name, ".cfg", next->cfg, error);
    return status ? status : whole_path(whole, next->name, ".weights", next->weights, error);
}

/* Replaces a layer of net, which goes then; the next one is at hand where has_next is set: only the
 * record is read. */
static enum sn_status replace(struct whole *whole, struct whole_layer *layer,
                              const struct compress_net *net, const struct compress_net *next,
                              int has_next, struct sn_error *error)
{
    struct steps *steps = &whole->compress->steps;
    struct step step = { .name = next->name, .output = has_next ? NULL : next->weights };
    char moments[COMPRESS_MAX_NAME + 8];
    cJSON *result;
    snprintf(moments, sizeof moments, "in-%s", next->name);
    layer->found = layer->forms[layer->chosen];
    if (whole_ask_for_fit(whole, net, layer, &layer->found, moments,
                          whole->compress->request->effort, &step, error)
        || (!layer->layer->has_groups && !steps_is_done(steps, &step)
            && whole_moments(whole, net, layer->layer->number, moments, error))
        || steps_run(steps, &step, &result, error))
        return error->code;
    whole_take_fit(result, &layer->found);
    cJSON_Delete(result);
    whole_forget(whole, moments, ".moments.npy");
    if (net == &whole->compress->dense || has_next) return SN_OK;
    unlink(net->cfg);
    unlink(net->weights);
    return SN_OK;
}

/* Replaces all layers, from the last net on that an interrupted run has left. */
static enum sn_status replace_all(struct whole *whole, struct sn_error *error)
{
    struct compress_net *nets = calloc((size_t)whole->n + 1, sizeof *nets);
    int first = 0;
    if (!nets) return sn_no_memory(error, "%d nets", whole->n);
    nets[0] = whole->compress->dense;
    enum sn_status status = SN_OK;
    for (int i = 0; i < whole->n && !status; i++) {
        status = name_net(whole, &nets[i], &whole->layers[i], &nets[i + 1], error);
        if (!access(nets[i + 1].weights, F_OK)) first = i + 1;
    }
    for (int i = 0; i < whole->n && !status; i++) {
        command_progress((double)i / whole->n, "layer %d", whole->layers[i].layer->number);
        status = replace(whole, &whole->layers[i], i ? &nets[i] : &whole->compress->dense,
                         &nets[i + 1], i < first, error);
    }
    command_progress(1, " ");
    whole->net.net = nets[whole->n];
    free(nets);
    return status;
}

/* ---- What it takes */

/* What all layers of a net take. */
static void measure_all(struct whole_net *net)
{
    network *loaded = load_net(net->net.cfg, net->net.weights);
    for (int i = 0; i < loaded->n; i++) {
        net->size.net_bytes += (double)layer_bytes(&loaded->layers[i]);
        net->size.net_madds += layer_multiply_adds(&loaded->layers[i]);
    }
    free_network(loaded);
}

static void measure_dense(struct whole *whole)
{
    const struct compress *compress = whole->compress;
    struct whole_size *size = &whole->nets->size;
    for (int i = 0; i < compress->n_layers; i++) {
        const struct compress_layer *layer = &compress->layers[i];
        size->bytes += layer->bytes;
        size->madds += layer->n_values * layer->n_pixels;
    }
}

/* What the new net takes: as the dense one but for the layers that are replaced. */
static void measure_net(struct whole *whole)
{
    struct whole_size *size = &whole->net.size;
    *size = (struct whole_size){ .bytes = whole->nets->size.bytes,
                                 .madds = whole->nets->size.madds };
    for (int i = 0; i < whole->n; i++) {
        const struct whole_layer *layer = &whole->layers[i];
        size->bytes += layer->found.bytes - layer->layer->bytes;
        size->madds += (layer->found.madds - layer->layer->n_values) * layer->layer->n_pixels;
    }
}

/* Where nothing was chosen, the budgets have not been kept to yet. */
static enum sn_status check_limits(const struct whole *whole, const struct limits *limits,
                                   struct sn_error *error)
{
    const struct whole_size *after = &whole->net.size;
    if (after->bytes <= limits->bytes && after->madds <= limits->madds) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected at most %.0f bytes and %.0f multiply-adds, found %.0f and %.0f",
                   whole->compress->request->cfg, limits->bytes, limits->madds, after->bytes,
                   after->madds);
}

/* ---- */

static enum sn_status add_layers(struct whole *whole, struct sn_error *error)
{
    struct compress *compress = whole->compress;
    enum sn_status status = SN_OK;
    for (int i = 0; i < compress->n_layers && !status; i++) {
        struct whole_layer *layer = &whole->layers[whole->n];
        if (compress->layers[i].n_values < WHOLE_TINY) continue;
        layer->layer = &compress->layers[i];
        whole->n++;
        status = add_forms(whole, layer, error);
    }
    return status;
}

static enum sn_status try_layers(struct whole *whole, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int i = 0; i < whole->n && is_choice(whole) && !status; i++) {
        command_progress((double)i / whole->n, "forms of layer %d", whole->layers[i].layer->number);
        status = try_layer(whole, &whole->layers[i], error);
    }
    command_progress(1, " ");
    return status;
}

/* Makes the net that keeps to the limits. */
static enum sn_status make_net(struct whole *whole, struct limits limits, struct sn_error *error)
{
    struct limits of_replaced = limits_of_replaced(whole, limits);
    if (choose_all(whole, &of_replaced, error) || replace_all(whole, error)
        || whole_tune(whole, error) || whole_calibrate(whole, error))
        return error->code;
    measure_net(whole);
    return check_limits(whole, &limits, error);
}

/* Makes one with the least of what is asked for whose top-1 of the held images keeps to the drop:
 * halves the range of shares, in logarithms, between what was enough and what was not. */
static enum sn_status search(struct whole *whole, struct limits limits, struct sn_error *error)
{
    enum { HALVINGS = 5 };
    static struct whole best;
    const struct compress_request *request = whole->compress->request;
    const struct whole_size *before = &whole->nets->size;
    double all = request->is_of_madds ? before->madds : before->bytes, enough = 1, little = 1. / 64,
           dense, top1;
    enum sn_status status = whole_judge(whole, &whole->compress->dense, "held", &dense, error);
    for (int i = 0; i <= HALVINGS && !status; i++) {
        double share = i ? sqrt(enough * little) : 1;
        *(request->is_of_madds ? &limits.madds : &limits.bytes) = share * all;
        status = make_net(whole, limits, error);
        if (status == SN_BAD_INPUT && i) {
            status = SN_OK;
            little = share;
            continue;
        }
        if (!status) status = whole_judge(whole, &whole->net.net, "held", &top1, error);
        if (status) break;
        if (top1 >= dense - request->max_drop) {
            enough = share;
            best = *whole;
        } else if (i) little = share;
        else
            status = sn_fail(error, SN_BAD_INPUT,
                             "--max-drop: expected top-1 %.4f of held-out images, dense %.4f, "
                             "found %.4f without a budget",
                             dense - request->max_drop, dense, top1);
    }
    if (!status) *whole = best;
    return status;
}

/* ---- What it is compared with */

/* The net with all entries of all layers in so many bits, made as the other one was. */
static enum sn_status make_few_bits(const struct whole *whole, int bits, struct whole_net *made,
                                    struct sn_error *error)
{
    static struct whole few;
    struct limits none = { INFINITY, INFINITY };
    few = *whole;
    for (int i = 0; i < few.n; i++) {
        struct whole_layer *layer = &few.layers[i];
        layer->forms[0] = dense_form(layer, layer->layer->is_minor ? WHOLE_SMALL_BITS : bits);
        few.layers[i].n = 1;
        few.layers[i].chosen = 0;
    }
    enum sn_status status = make_net(&few, none, error);
    *made = few.net;
    snprintf(made->label, sizeof made->label, "dense, %d bit%s", bits, bits > 1 ? "s" : "");
    return status;
}

static enum sn_status compare(struct whole *whole, struct sn_error *error)
{
    const struct compress_request *request = whole->compress->request;
    enum sn_status status = SN_OK;
    for (int i = 0; i < request->n_baselines && !status; i++)
        status = make_few_bits(whole, request->baselines[i], &whole->nets[whole->n_nets++], error);
    snprintf(whole->net.label, sizeof whole->net.label, "this net");
    whole->nets[whole->n_nets++] = whole->net;
    for (int i = 0; i < whole->n_nets && !status; i++) {
        struct whole_net *net = &whole->nets[i];
        measure_all(net);
        status = whole_judge(whole, &net->net, "test", &net->size.top1, error);
    }
    if (!status) status = whole_time(whole, error);
    whole->net = whole->nets[whole->n_nets - 1];
    return status;
}

enum sn_status whole_run(struct whole *whole, struct compress *compress, struct sn_error *error)
{
    *whole = (struct whole){ .compress = compress, .n_nets = 1 };
    whole->nets[0] = (struct whole_net){ .label = "dense, float", .net = compress->dense };
    snprintf(whole->images, sizeof whole->images, "%d-%d", compress->request->n_images,
             compress->request->resize);
    measure_dense(whole);
    struct limits limits = read_limits(whole);
    if (whole_train_check(whole, error) || whole_write_few(whole, error)
        || whole_write_task(whole, "held", error) || whole_write_task(whole, "test", error)
        || add_layers(whole, error) || try_layers(whole, error)
        || (compress->request->max_drop >= 0 ? search : make_net)(whole, limits, error))
        return error->code;
    return compare(whole, error);
}
