/* A smaller net from a trained one, chosen among many: what structnet compress asks for, tries and
 * finds.
 *
 * Images are in three lists: `train` fits and trains, `held` chooses, `test` only gives the figures
 * in the end. Layers are replaced one after the other; each is fitted to the inputs that the net
 * gives it whose layers before are replaced already. For each of them every type, number of bits
 * and size of blocks is fitted within the budget (structnet approx), trained for a few epochs
 * behind the features (structnet tune, the teacher being the net as it was) and timed (structnet
 * bench); the COMPRESS_BEST of them are trained to the end, and the best one stays. One is better
 * than another when more of the held images are right, then when its loss is less.
 *
 * All of these are steps (steps.h) in a folder whose name tells apart nets and images. Ranks
 * (ranks.h) take candidates in turns, and all of them know all results. */
#ifndef COMPRESS_H
#define COMPRESS_H

#include "request.h"
#include "steps.h"

#include <lines.h>
#include <task.h>

enum {
    COMPRESS_MAX_LAYERS = 64,
    COMPRESS_MAX_NAME = 128,
    COMPRESS_MAX_LABEL = 96,
    COMPRESS_MAX_PARTS = 8,
    COMPRESS_BEST = 4,
    COMPRESS_BRIEF = 3, /* epochs, at most; */
    COMPRESS_FULL = 50  /* likewise */
};

enum compress_tune { COMPRESS_TUNE_NONE, COMPRESS_TUNE_LAYERS, COMPRESS_TUNE_WHOLE };

struct compress_request {
    const char *cfg, *weights, *data, *name, *types, *effort;
    int bits[REQUEST_MAX_BITS], n_bits;
    double share, bytes, max_drop;    /* max_drop in 0..1; the two others are 0 where not given */
    double madds;                     /* of a whole net, over those of the dense one; 0: no limit */
    int n_images, block;              /* that fit a whole net; of its sparse matrices */
    double parts[COMPRESS_MAX_PARTS]; /* of the entries that these may have */
    int n_parts;
    int baselines[REQUEST_MAX_BITS], n_baselines; /* bits of the nets it is compared with */
    int has_baselines;                            /* whether these were asked for */
    enum compress_tune tune;                      /* a whole net, */
    int n_tune_images;                            /* its layers by so many images, */
    int n_tune_batches;                           /* or all of it by so many batches; 0: default */
    double tune_rate;                             /* at first; 0: default */
    int is_of_madds; /* whether max_drop asks a whole net for the least of these */
    double holdout;
    int resize;
    int layers[COMPRESS_MAX_LAYERS], n_layers; /* of cfg; n_layers 0: the default */
    int all_layers;
    uint64_t seed;
};

/* A layer to be replaced. */
struct compress_layer {
    int number;
    double bytes;              /* of its matrix as floats */
    double n_values, n_pixels; /* of its matrix; places that it is applied at */
    int is_minor;              /* of a whole net it keeps all entries in 8 bits, else it stays */
    int has_groups;            /* its matrix has blocks, which no moments are taken for */
};

/* A net in two files; by its name steps tell apart what they are made of. */
struct compress_net {
    char cfg[STEPS_MAX_PATH], weights[STEPS_MAX_PATH], name[COMPRESS_MAX_NAME];
};

/* A layer of a net whose layers before are as they will be: what candidates are tried in. */
struct compress_place {
    struct compress_net net;
    int layer;
    double budget;                                    /* in bytes */
    char train[STEPS_MAX_PATH], held[STEPS_MAX_PATH]; /* features, without .x.npy */
};

/* Of the held images. The loss is the cross-entropy to the outputs of the net as it was. */
struct compress_score {
    double loss, top1;
};

struct compress_candidate {
    char name[COMPRESS_MAX_NAME]; /* of its fit; NAME-brief, NAME-full, NAME-bench are its steps */
    const struct sn_fit_type *type;
    int layer, bits, block;                    /* block 1: single entries */
    char why[256];                             /* there is none; empty where there is one */
    double bytes, madds, us, net_us;           /* microseconds of the layer, and of the net */
    struct compress_score fitted, brief, full; /* NAN where not known */
    int is_chosen;
};

/* What one budget gave. */
struct compress_run {
    double bytes; /* of all layers that are replaced */
    struct compress_score score;
    int chosen[COMPRESS_MAX_LAYERS]; /* candidates, one for each layer */
};

struct compress {
    const struct compress_request *request;
    struct steps steps;
    char folder[STEPS_MAX_PATH];
    int lock; /* a file of the folder, locked as long as it is open; -1: none */
    struct task task;
    struct lines train, held, test; /* paths of images */
    struct compress_net dense;
    struct compress_layer layers[COMPRESS_MAX_LAYERS];
    int n_layers;
    double us[COMPRESS_MAX_LAYERS], net_us; /* of the dense layers, and of the whole net */
    struct compress_score score;            /* of the dense net */
    int n;
    struct compress_candidate *candidates;
    struct compress_run run; /* the one that is chosen */
};

/* Reads the net and the lists, and makes the folder. The request is borrowed. SN_BAD_INPUT, SN_IO,
 * SN_NO_MEMORY; a net that is wrong ends the process. The caller frees with compress_free, also
 * after a failure. */
enum sn_status compress_open(struct compress *compress, const struct compress_request *request,
                             struct sn_error *error);

/* Whether layers are to be replaced whose inputs are too many to keep: whole.h does that. */
int compress_is_whole(const struct compress *compress);
void compress_free(struct compress *compress);

/* Times and judges the dense net, and finds the one that the request asks for, compress->run; all
 * that follows is called by all ranks.
 * SN_BAD_INPUT when no candidate fits into the budget, or none keeps to --max-drop. */
enum sn_status compress_search(struct compress *compress, struct sn_error *error);

/* work(0), ..., work(n - 1) in this order. Before it the ranks have done one of the next ones each,
 * alone, so that their steps are there. */
enum sn_status compress_spread(struct compress *compress, int n,
                               enum sn_status (*work)(struct compress *compress, void *context,
                                                      int i, struct sn_error *error),
                               void *context, struct sn_error *error);

/* One candidate for each layer within so many bytes in all. SN_BAD_INPUT when a layer has none. */
enum sn_status compress_run_budget(struct compress *compress, double bytes,
                                   struct compress_run *run, struct sn_error *error);

/* How many of the bytes each layer gets: at most bytes in all, and none more than its matrix has.
 */
enum sn_status compress_allot(struct compress *compress, double bytes,
                              double allotted[COMPRESS_MAX_LAYERS], struct sn_error *error);

/* Computes the inputs of a layer of a net for a list, train, held or test, and writes their path,
 * without .x.npy. */
enum sn_status compress_features(struct compress *compress, const struct compress_net *net,
                                 int layer, const char *list, char path[STEPS_MAX_PATH],
                                 struct sn_error *error);

/* The name of the step that does so. */
void compress_features_name(const struct compress_net *net, int layer, const char *list,
                            char name[COMPRESS_MAX_NAME]);

/* Computes the features of place->net's place->layer. */
enum sn_status compress_open_place(struct compress *compress, struct compress_place *place,
                                   struct sn_error *error);

/* The net of a candidate's step NAME-SUFFIX, of NAME where the suffix is empty. */
enum sn_status compress_net_of(const struct compress *compress,
                               const struct compress_candidate *candidate, const char *suffix,
                               struct compress_net *net, struct sn_error *error);

/* Times layer i of the dense net and the whole of it; with i = 0 judges it too. */
enum sn_status compress_score_dense(struct compress *compress, int i, struct sn_error *error);

/* Fits, trains and times a candidate; why is filled when there is none. */
enum sn_status compress_try(struct compress *compress, const struct compress_place *place,
                            struct compress_candidate *candidate, struct sn_error *error);

/* Fits a candidate and judges it as it is: its fitted, and why. */
enum sn_status compress_probe(struct compress *compress, const struct compress_place *place,
                              struct compress_candidate *candidate, struct sn_error *error);

/* Trains it to the end. Its net is there then when it was not known before, or is_kept. */
enum sn_status compress_finish(struct compress *compress, const struct compress_place *place,
                               int is_kept, struct compress_candidate *candidate,
                               struct sn_error *error);

/* Removes the nets of a step, when they are there. */
void compress_forget(const struct compress *compress, const struct compress_candidate *candidate,
                     const char *suffix);

/* The net in which the first n of the layers are replaced by those chosen. */
enum sn_status compress_replaced(const struct compress *compress, int n, struct compress_net *net,
                                 struct sn_error *error);

/* Bytes of all matrices to be replaced, as floats. */
double compress_dense_bytes(const struct compress *compress);

/* What a candidate is, for people. */
void compress_label(const struct compress_candidate *candidate, char label[COMPRESS_MAX_LABEL]);

/* The best of its scores that is known. */
struct compress_score compress_best_score(const struct compress_candidate *candidate);

#endif
