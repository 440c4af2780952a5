#include "class_scores.h"

#include "layer_costs.h"
#include "load_net.h"
#include "tuning.h"

#include <stdlib.h>

enum { BATCH = 64 };

static enum sn_status count(const struct tuning_set *set, const int *rank,
                            struct class_scores *scores, struct sn_error *error)
{
    size_t n = (size_t)scores->n_classes;
    int n_right = 0;
    scores->n_images = calloc(n, sizeof(int));
    scores->n_right = calloc(n, sizeof(int));
    if (!scores->n_images || !scores->n_right) return sn_no_memory(error, "%zu classes", n);
    for (int i = 0; i < set->n; i++) {
        int class = set->file->labels[(size_t)i * sn_window_places(&set->window)];
        scores->n_images[class]++;
        scores->n_right[class] += !rank[i];
        n_right += !rank[i];
    }
    scores->top1 = (double)n_right / set->n;
    return SN_OK;
}

static enum sn_status score(const struct tail_source *source, const struct tuning_set *set,
                            struct class_scores *scores, struct sn_error *error)
{
    struct tail tail = { 0 };
    int *rank = malloc((size_t)set->n * sizeof *rank);
    enum sn_status status = rank ? tail_open(&tail, source, BATCH, 0, error)
                                 : sn_no_memory(error, "%d images", set->n);
    if (!status) {
        tuning_score(&(struct tuning){ .tail = &tail }, set, rank);
        status = count(set, rank, scores, error);
    }
    tail_close(&tail);
    free(rank);
    return status;
}

enum sn_status class_scores_read(const char *cfg, const char *weights, int layer, const char *name,
                                 struct class_scores *scores, struct sn_error *error)
{
    network *net = load_net(cfg, weights);
    struct tail_source source = { cfg, weights, net, layer };
    struct layer_matrix matrix = layer_matrix(&net->layers[layer]);
    struct sample_file file = { 0 };
    struct tuning_set set = { 0 };
    *scores = (struct class_scores){ .n_classes = net->outputs };
    enum sn_status status = samples_read(name, NULL, matrix.n_columns, net->outputs, &file, error);
    if (!status && !file.labels)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected classes beside it, found none",
                         file.x_path);
    if (!status) status = tuning_take_all(&file, &matrix.window, &set, error);
    if (!status) status = score(&source, &set, scores, error);
    if (status) class_scores_free(scores);
    free(set.input);
    samples_free(&file);
    free_network(net);
    return status;
}

void class_scores_free(struct class_scores *scores)
{
    free(scores->n_images);
    free(scores->n_right);
    *scores = (struct class_scores){ 0 };
}
