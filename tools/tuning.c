#include "tuning.h"

#include "command.h"
#include "random.h"

#include <evaluation.h>

#include <float.h>
#include <math.h>
#include <network.h>
#include <stdlib.h>
#include <string.h>

/* Rows of the file that are one input. */
static int n_places(const struct tuning_set *set) { return (int)sn_window_places(&set->window); }

static int label_of(const struct tuning_set *set, int input)
{
    return set->file->labels[(size_t)input * (size_t)n_places(set)];
}

static int image_of(const struct tuning_set *set, int input)
{
    return set->file->images ? set->file->images[(size_t)input * (size_t)n_places(set)] : input;
}

enum sn_status tuning_take_all(const struct sample_file *file, const struct sn_window *window,
                               struct tuning_set *set, struct sn_error *error)
{
    *set = (struct tuning_set){ .file = file, .window = *window };
    set->n = file->n / n_places(set);
    if (file->n % n_places(set))
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %d rows for each image, found %d rows",
                       file->x_path, n_places(set), file->n);
    set->input = malloc((size_t)set->n * sizeof *set->input);
    if (!set->input) return sn_no_memory(error, "%d inputs", set->n);
    for (int i = 0; i < set->n; i++) set->input[i] = i;
    return SN_OK;
}

/* Moves the inputs whose image is marked from set to held, both in the order they had. */
static void move_marked(struct tuning_set *set, const char *is_held, struct tuning_set *held)
{
    int n = 0;
    for (int i = 0; i < set->n; i++) {
        int input = set->input[i];
        if (is_held[image_of(set, input)]) held->input[held->n++] = input;
        else set->input[n++] = input;
    }
    set->n = n;
}

/* Marks a fraction holdout of the images that the set has. Returns how many. */
static int mark_images(const struct tuning_set *set, double holdout, uint64_t seed, int *images,
                       char *is_held)
{
    int n = 0;
    for (int i = 0; i < set->n; i++) {
        int image = image_of(set, set->input[i]);
        if (!is_held[image]) images[n++] = image;
        is_held[image] = 1;
    }
    random_shuffle(images, n, &seed);
    int n_held = (int)lround(holdout * n);
    for (int i = n_held; i < n; i++) is_held[images[i]] = 0;
    return n_held;
}

enum sn_status tuning_split(struct tuning_set *set, double holdout, uint64_t seed,
                            struct tuning_set *held, struct sn_error *error)
{
    size_t n = (size_t)set->n, n_rows = (size_t)set->file->n;
    *held = (struct tuning_set){ .file = set->file, .window = set->window };
    held->input = malloc((n + 1) * sizeof *held->input);
    int *images = malloc((n + 1) * sizeof *images);
    char *is_held = calloc(n_rows + 1, 1);
    enum sn_status status = SN_OK;
    if (!held->input || !images || !is_held) status = sn_no_memory(error, "%d inputs", set->n);
    else {
        mark_images(set, holdout, seed, images, is_held);
        move_marked(set, is_held, held);
        if (!set->n || !held->n)
            status = sn_fail(error, SN_BAD_INPUT,
                             "%s: expected images to train and images to hold out, found %d and %d",
                             set->file->x_path, set->n, held->n);
    }
    free(images);
    free(is_held);
    return status;
}

/* ---- batches */

static void load_input(const struct tuning_set *set, int input, float *to)
{
    size_t n_floats = (size_t)n_places(set) * (size_t)set->file->n_columns;
    sn_window_put(&set->window, set->file->x + (size_t)input * n_floats, to);
}

static void load_inputs(const struct tuning_set *set, int start, int n, network *net)
{
    for (int b = 0; b < n; b++)
        load_input(set, set->input[start + b], net->input + (size_t)b * (size_t)net->inputs);
}

/* The targets of a batch: those of the teacher stay where they are, those of classes are written to
 * truth. */
static const float *make_targets(const struct tuning *tuning, const struct tuning_set *set,
                                 int start, int n, float *truth)
{
    const network *net = tuning->tail->net;
    size_t n_outputs = (size_t)net->outputs;
    if (tuning->teacher) return network_predict(tuning->teacher->net, net->input);
    memset(truth, 0, (size_t)n * n_outputs * sizeof *truth);
    for (int b = 0; b < n; b++)
        truth[(size_t)b * n_outputs + (size_t)label_of(set, set->input[start + b])] = 1;
    return truth;
}

/* -sum t log p over n values. A p of 0 counts as the least positive float. */
static double cross_entropy(const float *target, const float *p, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        if (target[i] != 0)
            sum -= (double)target[i] * log(p[i] < FLT_MIN ? (double)FLT_MIN : (double)p[i]);
    return sum;
}

struct tuning_score tuning_score(const struct tuning *tuning, const struct tuning_set *set,
                                 int *rank)
{
    network *net = tuning->tail->net;
    size_t n_outputs = (size_t)net->outputs;
    double loss = 0;
    int n_right = 0;
    for (int start = 0, n; start < set->n; start += n) {
        n = set->n - start < net->batch ? set->n - start : net->batch;
        load_inputs(set, start, n, net);
        const float *target = make_targets(tuning, set, start, n, net->truth),
                    *p = network_predict(net, net->input);
        loss += cross_entropy(target, p, (size_t)n * n_outputs);
        for (int b = 0; b < n && set->file->labels; b++) {
            int place = evaluation_rank(p + (size_t)b * n_outputs, net->outputs,
                                        label_of(set, set->input[start + b]));
            n_right += !place;
            if (rank) rank[start + b] = place;
        }
    }
    return (struct tuning_score){ loss / set->n,
                                  set->file->labels ? (double)n_right / set->n : (double)NAN };
}

/* ---- training */

/* One step on a batch. Returns the sum of its losses before the step. */
static double train_batch(const struct tuning *tuning, int start)
{
    network *net = tuning->tail->net;
    size_t n_truths = (size_t)net->batch * (size_t)net->outputs;
    load_inputs(&tuning->train, start, net->batch, net);
    const float *target = make_targets(tuning, &tuning->train, start, net->batch, net->truth);
    if (target != net->truth) memcpy(net->truth, target, n_truths * sizeof *target);
    train_network_datum(net);
    return cross_entropy(net->truth, net->output, n_truths);
}

/* The mean loss of the epoch's batches, of those up to the first that is not finite. */
static double train_epoch(const struct tuning *tuning, double done, uint64_t *state)
{
    int batch = tuning->tail->net->batch, n_batches = tuning->train.n / batch;
    double loss = 0;
    random_shuffle(tuning->train.input, tuning->train.n, state);
    for (int i = 0; i < n_batches && isfinite(loss); i++) {
        loss += train_batch(tuning, i * batch) / batch;
        command_progress((done + (double)i / n_batches) / tuning->n_epochs, "loss %.4f",
                         loss / (i + 1));
    }
    return loss / n_batches;
}

/* What the rate follows. */
struct course {
    double rate, reference; /* the loss that must fall */
    int n_waited, n_cuts;
};

/* 0 when training is over. */
static int follow(const struct tuning *tuning, const struct tuning_epoch *epoch,
                  struct course *course)
{
    int is_finite = isfinite(epoch->train_loss) && isfinite(epoch->held.loss);
    if (is_finite && epoch->held.loss < .999 * course->reference) {
        course->reference = epoch->held.loss;
        course->n_waited = 0;
        return 1;
    }
    if (is_finite && ++course->n_waited < tuning->patience) return 1;
    course->n_waited = 0;
    course->rate /= 3;
    tail_restore(tuning->tail);
    return ++course->n_cuts <= tuning->n_cuts;
}

static enum sn_status judge(const struct tuning *tuning, struct tuning_epoch *epoch,
                            struct tuning_result *result, struct sn_error *error)
{
    epoch->held = tuning_score(tuning, &tuning->held, NULL);
    epoch->is_kept = isfinite(epoch->train_loss) && epoch->held.loss < result->best.held.loss;
    if (!epoch->is_kept) return SN_OK;
    result->best = *epoch;
    return tail_keep(tuning->tail, error);
}

static void judge_first(const struct tuning *tuning, struct tuning_result *result)
{
    struct tuning_epoch before = { .rate = tuning->rate, .train_loss = NAN, .is_kept = 1 };
    srand((unsigned)tuning->seed);
    before.held = tuning_score(tuning, &tuning->held, NULL);
    *result = (struct tuning_result){ .before = before, .best = before };
}

enum sn_status tuning_run(const struct tuning *tuning,
                          void (*report)(void *context, const struct tuning_epoch *epoch),
                          void *context, struct tuning_result *result, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    uint64_t state = tuning->seed;
    double seconds = 0, n_images = 0;
    judge_first(tuning, result);
    struct course course = { .rate = tuning->rate, .reference = result->before.held.loss };
    report(context, &result->before);
    for (int i = 1, goes_on = 1; i <= tuning->n_epochs && goes_on && !status; i++) {
        struct tuning_epoch epoch = { .number = i, .rate = course.rate };
        double began = command_seconds();
        tuning->tail->net->learning_rate = (float)course.rate;
        epoch.train_loss = train_epoch(tuning, i - 1, &state);
        seconds += command_seconds() - began;
        n_images += tuning->train.n - tuning->train.n % tuning->tail->net->batch;
        status = judge(tuning, &epoch, result, error);
        report(context, &epoch);
        goes_on = follow(tuning, &epoch, &course);
        result->n_epochs = i;
    }
    command_progress(1, " ");
    result->images_per_second = n_images / seconds;
    tail_restore(tuning->tail);
    return status;
}
