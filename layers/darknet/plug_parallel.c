#include "plug_parallel.h"

#include "plug_errors.h"
#include "plug_random.h"
#include "ranks.h"
#include "structured_layer.h"
#include "weights_file.h"

#include <data.h>
#include <network.h>
#include <pthread.h>
#include <stdlib.h>
#include <utils.h>

void *load_thread(void *args); /* Darknet's data.c has it, and no header. */

/* ---- The net */

/* How many weights and biases a layer learns; 0 for one that learns nothing. */
struct learned {
    size_t weights, biases;
};

/* -1 when it learns something that is not known here. */
static int learned_of(const layer *l, struct learned *n)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    *n = (struct learned){ 0, 0 };
    if (matrix) *n = (struct learned){ matrix->n_values, (size_t)l->out_c };
    else if (l->type == CONNECTED)
        *n = (struct learned){ (size_t)l->inputs * (size_t)l->outputs, (size_t)l->outputs };
    else if (l->type == CONVOLUTIONAL) *n = (struct learned){ (size_t)l->nweights, (size_t)l->n };
    else if (l->type == LOCAL)
        *n = (struct learned){ (size_t)l->size * (size_t)l->size * (size_t)l->c * (size_t)l->n
                                   * (size_t)l->out_w * (size_t)l->out_h,
                               (size_t)l->outputs };
    else if (l->type == BATCHNORM) *n = (struct learned){ 0, (size_t)l->c };
    else if (l->update) return -1;
    return 0;
}

static int normalises(const layer *l) { return l->batch_normalize || l->type == BATCHNORM; }

enum sn_status plug_parallel_begin(network *net, struct sn_error *error)
{
    for (int i = 0; ranks_count() > 1 && i < net->n; i++) {
        layer *l = &net->layers[i];
        struct learned n;
        if (learned_of(l, &n))
            return sn_fail(error, SN_BAD_INPUT,
                           "layer %d [%s]: expected a layer that several ranks can train, as "
                           "[convolutional], found another",
                           i, weights_layer_name(l));
        ranks_copy(l->weights, n.weights * sizeof(float), 0);
        ranks_copy(l->biases, n.biases * sizeof(float), 0);
        if (!normalises(l)) continue;
        ranks_copy(l->scales, n.biases * sizeof(float), 0);
        ranks_copy(l->rolling_mean, n.biases * sizeof(float), 0);
        ranks_copy(l->rolling_variance, n.biases * sizeof(float), 0);
    }
    return SN_OK;
}

/* What an update is made of is then the same on all ranks: gradients, and the momentum in them. */
static void average_gradients(network *net)
{
    for (int i = 0; i < net->n; i++) {
        layer *l = &net->layers[i];
        struct learned n;
        learned_of(l, &n);
        ranks_average(l->weight_updates, n.weights);
        ranks_average(l->bias_updates, n.biases);
        if (!normalises(l)) continue;
        ranks_average(l->scale_updates, n.biases);
        ranks_average(l->rolling_mean, n.biases);
        ranks_average(l->rolling_variance, n.biases);
    }
}

/* Darknet's train_network() and train_network_datum(), with the average before the update. */
static float train(network *net, data batch)
{
    float sum = 0;
    for (int start = 0; start < batch.X.rows; start += net->batch) {
        get_next_batch(batch, net->batch, start, net->input, net->truth);
        *net->seen += (size_t)net->batch;
        net->train = 1;
        forward_network(net);
        backward_network(net);
        sum += *net->cost;
        if (*net->seen / (size_t)net->batch % (size_t)net->subdivisions) continue;
        average_gradients(net);
        update_network(net);
    }
    return sum / (float)batch.X.rows;
}

float plug_parallel_train(network *net, data batch)
{
    if (ranks_count() == 1) return train_network(net, batch);
    float loss = train(net, batch);
    ranks_average(&loss, 1);
    return loss;
}

/* ---- Images */

struct loading {
    load_args args;
    uint64_t batch;
    data *images;
};

/* One of its threads, which loads every args.threads-th image. */
struct loader {
    const struct loading *loading;
    int first;
};

static void *load_images(void *argument)
{
    const struct loader *loader = argument;
    const struct loading *loading = loader->loading;
    const load_args *args = &loading->args;
    for (int i = loader->first; i < args->n; i += args->threads) {
        load_args *one = malloc(sizeof *one); /* which load_thread frees */
        if (!one) error("cannot load an image: out of memory");
        *one = *args;
        one->n = 1;
        one->d = &loading->images[i];
        plug_random_begin(loading->batch, (uint64_t)ranks_own() * (uint64_t)args->n + (uint64_t)i);
        load_thread(one);
    }
    return NULL;
}

static void start_thread(pthread_t *thread, void *(*run)(void *), void *argument)
{
    if (pthread_create(thread, NULL, run, argument))
        error("cannot start a thread that loads images");
}

/* Joined as Darknet joins what its threads load. */
static void join_images(struct loading *loading)
{
    *loading->args.d = concat_datas(loading->images, loading->args.n);
    loading->args.d->shallow = 0;
    for (int i = 0; i < loading->args.n; i++) {
        loading->images[i].shallow = 1;
        free_data(loading->images[i]);
    }
}

static void *load_batch(void *argument)
{
    struct loading *loading = argument;
    int n = loading->args.threads;
    struct loader *loaders = calloc((size_t)n, sizeof *loaders);
    pthread_t *threads = calloc((size_t)n, sizeof *threads);
    loading->images = calloc((size_t)loading->args.n, sizeof *loading->images);
    if (!loaders || !threads || !loading->images) error("cannot load images: out of memory");
    for (int t = 0; t < n; t++) {
        loaders[t] = (struct loader){ loading, t };
        start_thread(&threads[t], load_images, &loaders[t]);
    }
    for (int t = 0; t < n; t++) pthread_join(threads[t], NULL);
    join_images(loading);
    free(loading->images);
    free(loading);
    free(threads);
    free(loaders);
    return NULL;
}

pthread_t plug_parallel_load(load_args args)
{
    static uint64_t n_batches;
    pthread_t thread;
    if (!plug_random_is_seeded()) return load_data(args);
    struct loading *loading = malloc(sizeof *loading);
    if (!loading) error("cannot load images: out of memory");
    *loading = (struct loading){ args, n_batches++, NULL };
    start_thread(&thread, load_batch, loading);
    return thread;
}
