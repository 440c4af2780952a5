#include "compress.h"

#include "choose_layer.h"
#include "feature_rows.h"
#include "layer_costs.h"
#include "load_net.h"
#include "random.h"

#include <ranks.h>
#include <weights_file.h>
#include <whole_file.h>

#include <libdeflate.h>

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Layers */

static double net_bytes(const network *net)
{
    double bytes = 0;
    for (int i = 0; i < net->n; i++) bytes += (double)weights_layer_bytes(&net->layers[i]);
    return bytes;
}

/* Whether a layer holds next to nothing of the net. */
static int is_small(const network *net, int number)
{
    return (double)weights_layer_bytes(&net->layers[number]) < net_bytes(net) / 1000;
}

static int is_asked(const struct compress_request *request, int number)
{
    for (int i = 0; i < request->n_layers; i++)
        if (request->layers[i] == number) return 1;
    return request->all_layers;
}

/* Where all are asked for, small ones stay as they are; in a whole net they have few bits. */
static void drop_small(struct compress *compress)
{
    struct compress all = *compress;
    compress->n_layers = 0;
    for (int i = 0; i < all.n_layers; i++)
        if (!all.layers[i].is_minor) compress->layers[compress->n_layers++] = all.layers[i];
    if (compress_is_whole(compress)) *compress = all;
}

static void add_layer(struct compress *compress, const network *net, int number)
{
    struct layer_matrix matrix = layer_matrix(&net->layers[number]);
    double n_values = (double)matrix.n_rows * matrix.n_columns / matrix.n_blocks;
    compress->layers[compress->n_layers++] = (struct compress_layer){
        number,
        (double)sizeof(float) * n_values,
        n_values,
        matrix.n_pixels,
        matrix.n_blocks > 1 || (compress->request->all_layers && is_small(net, number)),
        matrix.n_blocks > 1
    };
}

/* Those that are asked for, in the net's order; with --layers all those that can be replaced. */
static enum sn_status take_layers(struct compress *compress, const network *net,
                                  struct sn_error *error)
{
    const struct compress_request *request = compress->request;
    int number;
    if (choose_layer(net, request->cfg, -1, &choose_layer_dense, &number, error))
        return error->code;
    if (!request->n_layers && !request->all_layers) add_layer(compress, net, number);
    for (int i = 0; i < request->n_layers; i++)
        if (choose_layer(net, request->cfg, request->layers[i], &choose_layer_dense, &number,
                         error))
            return error->code;
    for (int i = 0; i < net->n; i++) {
        struct sn_error other;
        if (!is_asked(request, i)
            || choose_layer(net, request->cfg, i, &choose_layer_dense, &number, &other))
            continue;
        if (compress->n_layers == COMPRESS_MAX_LAYERS)
            return sn_fail(error, SN_BAD_INPUT, "%s: expected at most %d layers, found more",
                           request->cfg, COMPRESS_MAX_LAYERS);
        add_layer(compress, net, i);
    }
    drop_small(compress);
    return SN_OK;
}

/* ---- Images */

static enum sn_status read_list(struct compress *compress, const char *key, struct lines *list,
                                uint32_t *crc, struct sn_error *error)
{
    int *class = NULL;
    if (!task_value(&compress->task, key, error)
        || task_images(&compress->task, key, list, &class, error))
        return error->code;
    *crc = libdeflate_crc32(*crc, class, (size_t)list->n * sizeof *class);
    free(class);
    return SN_OK;
}

/* Moves a fraction of the train list, drawn with the seed, to the held one. */
static enum sn_status hold_out(struct compress *compress, struct sn_error *error)
{
    struct lines *train = &compress->train;
    int n = train->n, n_held = (int)lround(compress->request->holdout * n);
    uint64_t state = compress->request->seed;
    if (n_held < 1 || n_held == n)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected images to train and images to hold out, found %d and %d",
                       task_find(&compress->task, "train"), n - n_held, n_held);
    for (int i = n - 1; i > 0; i--) {
        int j = (int)(random_next(&state) % ((uint64_t)i + 1));
        char *line = train->line[i];
        train->line[i] = train->line[j];
        train->line[j] = line;
    }
    compress->held.line = malloc((size_t)n_held * sizeof *compress->held.line);
    if (!compress->held.line) return sn_no_memory(error, "%d images", n_held);
    compress->held.n = n_held;
    train->n = n - n_held;
    memcpy(compress->held.line, train->line + train->n, (size_t)n_held * sizeof *train->line);
    return SN_OK;
}

static enum sn_status read_lists(struct compress *compress, uint32_t *crc, struct sn_error *error)
{
    int has_test = task_find(&compress->task, "test") != NULL;
    enum sn_status status = read_list(compress, "train", &compress->train, crc, error);
    if (!status)
        status = read_list(compress, "valid", has_test ? &compress->held : &compress->test, crc,
                           error);
    if (!status && has_test) status = read_list(compress, "test", &compress->test, crc, error);
    return status || has_test ? status : hold_out(compress, error);
}

/* CRC-32 of all that steps depend on and do not say themselves. */
static enum sn_status find_key(const struct compress *compress, uint32_t *crc,
                               struct sn_error *error)
{
    const struct compress_request *request = compress->request;
    const struct lines *lists[] = { &compress->train, &compress->held, &compress->test };
    struct features features = { .source = { .cfg = request->cfg, .weights = request->weights } };
    for (int i = 0; i < 3; i++) {
        uint32_t own;
        features.source.images = lists[i];
        enum sn_status status = features_fingerprint(&features, &own, error);
        if (status) return status;
        *crc = libdeflate_crc32(*crc, &own, sizeof own);
    }
    return SN_OK;
}

static enum sn_status write_list(const struct compress *compress, const char *name,
                                 const struct lines *list, struct sn_error *error)
{
    char path[STEPS_MAX_PATH];
    struct whole_file out;
    enum sn_status status = steps_path(&compress->steps, name, "txt", path, error);
    if (!status) status = whole_file_open(&out, path, error);
    if (status) return status;
    for (int i = 0; i < list->n; i++) fprintf(out.file, "%s\n", list->line[i]);
    status = whole_file_close(&out, error);
    return status ? status : whole_file_publish(&out, error);
}

/* Two searches at a time would overwrite each other's files. Rank 0 does it for all. */
static enum sn_status lock_folder(struct compress *compress, struct sn_error *error)
{
    char path[STEPS_MAX_PATH];
    if (ranks_own()) return SN_OK;
    if (steps_path(&compress->steps, "search", "lock", path, error)) return error->code;
    compress->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (compress->lock < 0)
        return sn_fail(error, SN_IO, "%s: cannot open: %s", path, strerror(errno));
    if (flock(compress->lock, LOCK_EX | LOCK_NB))
        return sn_fail(error, SN_IO, "%s: another search works there", compress->folder);
    return SN_OK;
}

static enum sn_status make_folder(struct compress *compress, uint32_t key, struct sn_error *error)
{
    snprintf(compress->folder, sizeof compress->folder, "%s.parts-%08x", compress->request->name,
             (unsigned)key);
    compress->steps.folder = compress->folder;
    if (mkdir(compress->folder, 0777) && errno != EEXIST)
        return sn_fail(error, SN_IO, "%s: cannot make the folder: %s", compress->folder,
                       strerror(errno));
    enum sn_status status = lock_folder(compress, error);
    if (!status) status = write_list(compress, "train", &compress->train, error);
    if (!status) status = write_list(compress, "held", &compress->held, error);
    return status ? status : write_list(compress, "test", &compress->test, error);
}

/* ---- */

static enum sn_status check_classes(const struct compress *compress, const network *net,
                                    struct sn_error *error)
{
    if (net->outputs == compress->task.n_classes) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: %d outputs, expected %d, one per class",
                   compress->request->cfg, net->outputs, compress->task.n_classes);
}

static enum sn_status read_net(struct compress *compress, struct sn_error *error)
{
    const struct compress_request *request = compress->request;
    struct compress_net *dense = &compress->dense;
    snprintf(dense->cfg, sizeof dense->cfg, "%s", request->cfg);
    snprintf(dense->weights, sizeof dense->weights, "%s", request->weights);
    snprintf(dense->name, sizeof dense->name, "dense");
    network *net = load_net(request->cfg, request->weights);
    enum sn_status status = check_classes(compress, net, error);
    if (!status) status = pictures_check(net, request->cfg, request->resize, error);
    if (!status) status = take_layers(compress, net, error);
    free_network(net);
    return status;
}

enum sn_status compress_open(struct compress *compress, const struct compress_request *request,
                             struct sn_error *error)
{
    uint32_t key = 0;
    *compress = (struct compress){ .request = request, .lock = -1 };
    enum sn_status status = task_open(request->data, &compress->task, error);
    if (!status) status = task_read_labels(&compress->task, error);
    if (!status) status = read_net(compress, error);
    if (!status) status = read_lists(compress, &key, error);
    if (!status) status = find_key(compress, &key, error);
    return status ? status : make_folder(compress, key, error);
}

int compress_is_whole(const struct compress *compress)
{
    double pixels = 1;
    for (int i = 0; i < compress->n_layers; i++)
        pixels = fmax(pixels, compress->layers[i].n_pixels);
    return pixels > 1 && compress->n_layers > 1;
}

enum sn_status compress_replaced(const struct compress *compress, int n, struct compress_net *net,
                                 struct sn_error *error)
{
    *net = compress->dense;
    return n ? compress_net_of(compress, &compress->candidates[compress->run.chosen[n - 1]], "full",
                               net, error)
             : SN_OK;
}

void compress_label(const struct compress_candidate *candidate, char label[COMPRESS_MAX_LABEL])
{
    int n = snprintf(label, COMPRESS_MAX_LABEL, "%s, %d bit%s", candidate->type->label,
                     candidate->bits, candidate->bits > 1 ? "s" : "");
    if (candidate->block > 1)
        snprintf(label + n, COMPRESS_MAX_LABEL - (size_t)n, ", blocks of %d", candidate->block);
}

void compress_free(struct compress *compress)
{
    /* Without a test list the held images were some of the train list's. */
    lines_free(&compress->train);
    lines_free(&compress->held);
    lines_free(&compress->test);
    task_free(&compress->task);
    free(compress->candidates);
    if (compress->lock >= 0) close(compress->lock);
    *compress = (struct compress){ 0 };
}
