#include "reconstruction.h"

#include "command.h"
#include "copy_bytes.h"
#include "load_net.h"

#include <cfg_text.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <math.h>
#include <parser.h>
#include <stdlib.h>
#include <string.h>

/* ---- Nets for a batch */

/* Copies a cfg, but for what [net] says of batches, which are of so many images, and of Adam. */
static enum sn_status write_cfg(const char *path, int batch, FILE *out, struct sn_error *error)
{
    static const char *const own[] = { "batch", "subdivisions", "adam" };
    struct cfg_text *cfg = cfg_read(path, error);
    if (!cfg) return error->code;
    for (int s = 0; s < cfg->n_sections; s++) {
        const struct cfg_section *section = &cfg->sections[s];
        fprintf(out, "[%s]\n", section->name);
        if (!s) fprintf(out, "batch=%d\nsubdivisions=1\nadam=1\n", batch);
        for (int k = 0; k < section->n_keys; k++) {
            int is_own = 0;
            for (size_t i = 0; i < sizeof own / sizeof *own && !s; i++)
                is_own |= !strcmp(section->keys[k].key, own[i]);
            if (!is_own) fprintf(out, "%s=%s\n", section->keys[k].key, section->keys[k].value);
        }
    }
    cfg_free(cfg);
    if (!fflush(out) && !ferror(out)) return SN_OK;
    return sn_fail(error, SN_IO, "%s: cannot write a temporary file", path);
}

static enum sn_status load_for_batch(const char *cfg, const char *weights, int batch, network **net,
                                     struct sn_error *error)
{
    free_network(load_net(cfg, weights)); /* What is wrong is said of the cfg itself. */
    FILE *file = tmpfile();
    if (!file) return sn_fail(error, SN_IO, "%s: cannot make a temporary file", cfg);
    enum sn_status status = write_cfg(cfg, batch, file, error);
    if (!status) *net = load_net(load_path_of(file).text, weights);
    fclose(file);
    return status;
}

static enum sn_status check_nets(const struct reconstruction_request *request, const network *net,
                                 const network *reference, struct sn_error *error)
{
    if (net->n != reference->n)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected the %d layers of %s, found %d",
                       request->cfg, reference->n, request->reference_cfg, net->n);
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i], *other = &reference->layers[i];
        if (l->inputs != other->inputs || l->outputs != other->outputs)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d: expected %d inputs and %d outputs as in %s, found %d and "
                           "%d",
                           request->cfg, i, other->inputs, other->outputs, request->reference_cfg,
                           l->inputs, l->outputs);
    }
    return load_check_whole(net, 0, request->cfg, request->weights, error);
}

/* ---- Blocks */

/* The first layer whose output layer i takes; i itself where it takes the net's input alone. */
static int first_taken(const network *net, int i)
{
    const layer *l = &net->layers[i];
    int first = i - 1;
    if (l->type == SHORTCUT && l->index < first) first = l->index;
    if (l->type == ROUTE) first = i;
    for (int k = 0; l->type == ROUTE && k < l->n; k++)
        if (l->input_layers[k] < first) first = l->input_layers[k];
    return first;
}

/* The layers that there are before those which only say what the outputs cost. */
static int count_layers(const network *net)
{
    int n = net->n;
    while (n > 1 && net->layers[n - 1].type == COST) n--;
    return n;
}

/* Whether layers from i on take no output from before but that of layer i - 1. */
static int is_border(const network *net, int i)
{
    for (int k = i; k < net->n; k++)
        if (first_taken(net, k) < i - 1) return 0;
    return 1;
}

static int count_structured(const network *net, int first, int end)
{
    int n = 0;
    for (int i = first; i < end; i++) n += structured_matrix(&net->layers[i]) != NULL;
    return n;
}

/* The layer that the first block begins with: the last border before all structured layers. */
static int find_first(const network *net)
{
    int first = 0;
    for (int i = 1; i < count_layers(net) && !count_structured(net, 0, i); i++)
        if (is_border(net, i)) first = i;
    return first;
}

/* The least block from there on; what would be left without a structured layer belongs to it. */
static int find_end(const network *net, int first)
{
    int n = count_layers(net);
    for (int i = first + 1; i < n; i++)
        if (is_border(net, i) && count_structured(net, first, i) >= RECONSTRUCTION_SPAN
            && count_structured(net, i, n))
            return i;
    return n;
}

static enum sn_status find_blocks(struct reconstruction *reconstruction, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    const network *net = reconstruction->net;
    int first = find_first(net), n = count_layers(net);
    if (!count_structured(net, 0, n))
        return sn_fail(error, SN_BAD_INPUT, "%s: expected a structured layer, found none",
                       request->cfg);
    reconstruction->blocks = calloc((size_t)net->n + 1, sizeof *reconstruction->blocks);
    if (!reconstruction->blocks) return sn_no_memory(error, "%d blocks", net->n);
    for (int at = first, end; at < n; at = end) {
        end = find_end(net, at);
        reconstruction->blocks[reconstruction->n_blocks++] = (struct reconstruction_block){
            .first = at, .end = end
        };
    }
    reconstruction->blocks[reconstruction->n_blocks++] = (struct reconstruction_block){
        .first = first, .end = n
    };
    return SN_OK;
}

/* ---- What the first block takes */

size_t reconstruction_width(const network *net, int first)
{
    return (size_t)(first ? net->layers[first - 1].outputs : net->inputs);
}

static enum sn_status allocate(struct reconstruction *reconstruction, struct sn_error *error)
{
    const network *net = reconstruction->net;
    int n = reconstruction->request->images->n;
    for (int i = 0; i < reconstruction->n_blocks; i++) {
        const struct reconstruction_block *block = &reconstruction->blocks[i];
        size_t in = reconstruction_width(net, block->first),
               out = reconstruction_width(net, block->end);
        if (in > reconstruction->stride) reconstruction->stride = in;
        if (out > reconstruction->stride) reconstruction->stride = out;
    }
    size_t image = reconstruction->stride * sizeof(float);
    reconstruction->x = calloc((size_t)n, image);
    reconstruction->r = calloc((size_t)n, image);
    reconstruction->order = malloc((size_t)n * sizeof *reconstruction->order);
    if (reconstruction->x && reconstruction->r && reconstruction->order) return SN_OK;
    return sn_no_memory(error, "what blocks take of %d images", n);
}

/* Puts images, which stand behind each other, the stride apart. */
static void spread(float *images, int n, size_t size, size_t stride)
{
    for (size_t i = (size_t)n; i-- > 0;)
        memmove(images + i * stride, images + i * size, size * sizeof *images);
}

static enum sn_status take_inputs(const struct reconstruction *reconstruction, const char *cfg,
                                  const char *weights, float *inputs, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    int first = reconstruction->blocks->first;
    struct features_source source = { .cfg = cfg,
                                      .weights = weights,
                                      .layer = first,
                                      .images = request->images,
                                      .resize = request->resize };
    struct features features;
    network *net = load_net(cfg, weights);
    enum sn_status status = pictures_check(net, cfg, request->resize, error);
    if (status) {
        free_network(net);
        return status;
    }
    size_t size = reconstruction_width(net, first);
    status = features_open(&features, &source, net, error);
    for (int i = 0, n; i < request->images->n && !status; i += n) {
        n = request->images->n - i < features_block(&features) ? request->images->n - i
                                                               : features_block(&features);
        status = features_inputs(&features, i, n, inputs + (size_t)i * size, error);
        command_progress((double)(i + n) / request->images->n, "images");
    }
    features_close(&features);
    if (!status) spread(inputs, request->images->n, size, reconstruction->stride);
    return status;
}

enum sn_status reconstruction_inputs(const struct reconstruction *reconstruction,
                                     struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    enum sn_status status = take_inputs(reconstruction, request->reference_cfg,
                                        request->reference_weights, reconstruction->r, error);
    return status
        ? status
        : take_inputs(reconstruction, request->cfg, request->weights, reconstruction->x, error);
}

/* The images that are held out are spread evenly. */
static enum sn_status split(struct reconstruction *reconstruction, struct sn_error *error)
{
    const struct reconstruction_request *request = reconstruction->request;
    int n = request->images->n, n_held = (int)lround(request->holdout * n);
    for (int i = 0; i < n; i++) {
        int is_held = (int)((i + 1.) * n_held / n) > (int)((double)i * n_held / n);
        reconstruction->order[is_held ? n - 1 - reconstruction->n_held++ : reconstruction->n++] = i;
    }
    if (n_held > 0 && reconstruction->n >= request->batch) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "expected at least %d images to train, a batch, and one to hold out, found %d "
                   "and %d",
                   request->batch, reconstruction->n, n_held);
}

enum sn_status reconstruction_open(struct reconstruction *reconstruction,
                                   const struct reconstruction_request *request,
                                   struct sn_error *error)
{
    *reconstruction = (struct reconstruction){ .request = request };
    if (load_for_batch(request->cfg, request->weights, request->batch, &reconstruction->net, error)
        || load_for_batch(request->reference_cfg, request->reference_weights, request->batch,
                          &reconstruction->reference, error)
        || check_nets(request, reconstruction->net, reconstruction->reference, error)
        || find_blocks(reconstruction, error) || allocate(reconstruction, error)
        || split(reconstruction, error) || reconstruction_inputs(reconstruction, error))
        return error->code;
    return SN_OK;
}

void reconstruction_close(struct reconstruction *reconstruction)
{
    if (reconstruction->net) free_network(reconstruction->net);
    if (reconstruction->reference) free_network(reconstruction->reference);
    free(reconstruction->x);
    free(reconstruction->r);
    free(reconstruction->order);
    free(reconstruction->blocks);
    *reconstruction = (struct reconstruction){ 0 };
}

enum sn_status reconstruction_write(const struct reconstruction *reconstruction, FILE *file,
                                    struct sn_error *error)
{
    const char *path = reconstruction->request->weights;
    FILE *state = tmpfile();
    if (!state) return sn_fail(error, SN_IO, "%s: cannot make a temporary file", path);
    load_begin_quiet();
    save_weights(reconstruction->net, load_path_of(state).text);
    load_end_quiet();
    enum sn_status status = copy_file(load_path_of(state).text, file, error);
    fclose(state);
    return status;
}
