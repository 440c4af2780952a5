#include "plug_training.h"

#define PLUG_IMPLEMENTATION
#include "plug_classifier.h"

#include "evaluation.h"
#include "plug_errors.h"
#include "plug_parallel.h"
#include "ranks.h"
#include "whole_file.h"

#include <errno.h>
#include <image.h>
#include <limits.h>
#include <math.h>
#include <network.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <utils.h>

enum { DEFAULT_LOG = 10 };

/* What Darknet's loop has room for when it makes the name of a file. */
enum { LONGEST_PATH = 255 };

/* The ending of the file that says how good the best weights are. */
#define RECORD "_best.txt"

static struct {
    char *name; /* of the cfg, without directory and suffix: saved files begin with it */
    const char *backup;
    size_t n_images; /* in the training list, this rank's share of it */
    struct lines valid;
    int *class;    /* of each valid image */
    double best;   /* share of them that was right at best */
    int log_every; /* batches; 0 for Darknet's lines */
    /* Since the last line. */
    double seconds, loss;
    int n_batches;
} training;

static volatile sig_atomic_t interrupted; /* by that signal */

int plug_training_is_stock_log(void)
{
    const char *log = getenv("STRUCTNET_LOG");
    return log && !strcmp(log, "stock");
}

/* BACKUP/NAME with that ending; free(). */
static char *saved_path(const char *ending)
{
    struct sn_error error;
    char *path;
    if (asprintf(&path, "%s/%s%s", training.backup, training.name, ending) >= 0) return path;
    sn_no_memory(&error, "the name of a file");
    sn_die(&error);
}

/* ---- Before training */

static enum sn_status read_log(struct sn_error *error)
{
    const char *log = getenv("STRUCTNET_LOG");
    char *end;
    training.log_every = log ? 0 : DEFAULT_LOG;
    if (!log || plug_training_is_stock_log()) return SN_OK;
    errno = 0;
    long n = strtol(log, &end, 10);
    if (errno || *end || n < 1 || n > INT_MAX)
        return sn_fail(error, SN_BAD_INPUT,
                       "STRUCTNET_LOG: expected a number of batches or 'stock', found '%s'", log);
    training.log_every = (int)n;
    return SN_OK;
}

/* Files can be made there, and have names that Darknet's loop can hold. */
static enum sn_status check_backup(const struct task *task, const char *cfg, struct sn_error *error)
{
    static const char longest[] = "_2147483647.weights";
    struct stat status;
    training.name = basecfg((char *)cfg);
    if (!(training.backup = task_value(task, "backup", error))) return error->code;
    size_t room = LONGEST_PATH - strlen("/") - strlen(longest),
           found = strlen(training.backup) + strlen(training.name);
    if (found > room)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: backup: expected at most %zu characters with the name of the cfg, "
                       "found %zu",
                       task->path, room, found);
    if (!stat(training.backup, &status) && !S_ISDIR(status.st_mode))
        return sn_fail(error, SN_BAD_INPUT, "%s: backup: expected a directory, found the file %s",
                       task->path, training.backup);
    if (!access(training.backup, W_OK | X_OK)) return SN_OK;
    return sn_fail(error, SN_IO, "%s: backup: cannot write to %s: %s", task->path, training.backup,
                   strerror(errno));
}

/* Images may lack a single class, and tags stand elsewhere: neither is matched. Of a tree of
 * classes the largest output is no answer: it is trained without judging. */
static enum sn_status read_lists(const struct task *task, struct sn_error *error)
{
    struct lines images;
    int *class, has_several = task->n_classes > 1;
    if (task_images(task, "train", &images, has_several ? &class : NULL, error)) return error->code;
    enum sn_status status = task_check_pictures(&images, error);
    training.n_images = ((size_t)images.n + (size_t)ranks_count() - 1) / (size_t)ranks_count();
    lines_free(&images);
    if (has_several) free(class);
    if (status || !has_several || !task_find(task, "valid") || task_find(task, "tree"))
        return status;
    status = task_images(task, "valid", &training.valid, &training.class, error);
    return status ? status : task_check_pictures(&training.valid, error);
}

enum sn_status plug_training_check(const struct task *task, const char *cfg, struct sn_error *error)
{
    enum sn_status status = read_log(error);
    if (!status) status = check_backup(task, cfg, error);
    return status ? status : read_lists(task, error);
}

/* Another signal ends the process at once when it comes more than a second later. Until then it is
 * the same request, of which timeout(1), for one, sends two. */
static void note_signal(int number)
{
    static volatile time_t first;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (!interrupted) {
        interrupted = number;
        first = now.tv_sec;
    } else if (now.tv_sec > first + 1) {
        signal(number, SIG_DFL); /* which the signal meets when this returns */
        raise(number);
    }
}

/* What the shell has the process ignore stays ignored. */
static void watch_signal(int number)
{
    struct sigaction old, ours = { .sa_handler = note_signal, .sa_flags = SA_RESTART };
    if (!sigaction(number, NULL, &old) && old.sa_handler != SIG_IGN) sigaction(number, &ours, NULL);
}

/* When training goes on with a net that has seen images, so does the record of its best weights. */
static void read_best(const network *net)
{
    char text[64], *path = saved_path(RECORD), *end;
    FILE *file = *net->seen ? fopen(path, "r") : NULL;
    training.best = -1;
    if (file && fgets(text, sizeof text, file)) {
        double share = strtod(text, &end);
        if (end > text) training.best = share;
    }
    if (file) fclose(file);
    free(path);
}

/* What a training of that name that was killed while it saved has left. */
static void remove_abandoned(void)
{
    char *start = saved_path("");
    whole_file_clean(start);
    free(start);
}

/* The numbers of truth that a layer reads for an image, 0 of a layer that has no loss. */
static int truths_read(const layer *l)
{
    switch (l->type) {
    case SOFTMAX:
    case LOGXENT:
    case COST: return l->noloss ? 0 : l->inputs;
    case DETECTION:
    case REGION:
    case YOLO:
    case ISEG: return l->truths;
    default: return 0;
    }
}

static enum sn_status check_truths(const network *net, const char *name, struct sn_error *error)
{
    int n_truths = net->truths;
    for (int i = 0; i < net->n; i++) {
        const layer *l = &net->layers[i];
        int n_read = truths_read(l);
        if (n_read > n_truths)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d [%s]: expected at most %d inputs to compare with %d "
                           "numbers of truth, found %d",
                           name, i, get_layer_string(l->type), n_truths, n_truths, n_read);
        if (l->truth) n_truths = l->outputs;
    }
    return SN_OK;
}

enum sn_status plug_training_check_layers(const network *net, const char *name,
                                          struct sn_error *error)
{
    for (int i = 0; i < net->n; i++)
        if (net->layers[i].type == GRU || net->layers[i].type == LSTM)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d [%s]: expected a layer that can be trained without a GPU",
                           name, i, get_layer_string(net->layers[i].type));
    return check_truths(net, name, error);
}

enum sn_status plug_training_check_net(const network *net, struct sn_error *error)
{
    if (net->batch < 1)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: [net] batch: expected at least subdivisions, %d, found less",
                       training.name, net->subdivisions);
    if (net->c != 3 || net->w != net->h || net->inputs != 3 * net->w * net->h)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: [net]: expected height = width and 3 channels, as Darknet loads images "
                       "for training, found %d x %d x %d",
                       training.name, net->h, net->w, net->c);
    return plug_training_check_layers(net, training.name, error);
}

enum sn_status plug_training_begin(const network *net, struct sn_error *error)
{
    if (plug_training_check_net(net, error)) return error->code;
    remove_abandoned();
    read_best(net);
    watch_signal(SIGHUP);
    watch_signal(SIGINT);
    watch_signal(SIGTERM);
    return SN_OK;
}

/* ---- After a batch */

static int is_last(network *net)
{
    return net->max_batches && get_current_batch(net) >= (size_t)net->max_batches;
}

static void die_of_loss(network *net, float loss)
{
    struct sn_error error;
    if (ranks_own()) ranks_wait(); /* until rank 0 has said so and ended all */
    char *path = saved_path(".backup");
    int is_there = !access(path, F_OK);
    sn_fail(
        &error, SN_BAD_INPUT,
        "%s: batch %zu: expected a finite loss, found %g; training ends, and what was saved%s%s "
        "stays as it is",
        training.name, get_current_batch(net), (double)loss, is_there ? " to " : "",
        is_there ? path : "");
    sn_die(&error);
}

static void print_left(double seconds)
{
    long left = (long)seconds;
    printf(", %ld:%02ld:%02ld left", left / 3600, left / 60 % 60, left % 60);
}

/* The mean loss and the speed since the line before. */
static void log_batch(network *net, double loss, double seconds)
{
    size_t batch = get_current_batch(net);
    training.loss += loss;
    training.seconds += seconds;
    int n = ++training.n_batches, every = training.log_every;
    if (!every || ranks_own() || (batch % (size_t)every && !is_last(net))) return;
    double images = (double)n * net->batch * net->subdivisions * ranks_count();
    printf("batch %zu", batch);
    if (net->max_batches) printf(" of %d", net->max_batches);
    printf(": epoch %.2f, loss %.4f, rate %g, %.0f images/s",
           (double)*net->seen / (double)training.n_images, training.loss / n,
           (double)get_current_rate(net), images / training.seconds);
    if (net->max_batches) print_left((net->max_batches - (double)batch) * training.seconds / n);
    printf("\n");
    fflush(stdout);
    training.loss = training.seconds = training.n_batches = 0;
}

/* The share of the valid list that the net gets right. */
static double share_right(network *net)
{
    int right = 0;
    for (int start = 0, n; start < training.valid.n && !interrupted; start += n) {
        n = training.valid.n - start < net->batch ? training.valid.n - start : net->batch;
        for (int b = 0; b < n; b++) {
            image decoded = load_image_color(training.valid.line[start + b], 0, 0);
            evaluation_crop(net, decoded, net->input + (size_t)b * (size_t)net->inputs);
            free_image(decoded);
        }
        const float *output = network_predict(net, net->input);
        for (int b = 0; b < n; b++)
            right += !evaluation_rank(output + (size_t)b * (size_t)net->outputs, net->outputs,
                                      training.class[start + b]);
    }
    return (double)right / training.valid.n;
}

/* The weights before the record, which may be lower than they deserve, but not higher. */
static void save_best(network *net)
{
    struct sn_error error;
    struct whole_file record;
    char *weights = saved_path("_best.weights"), *path = saved_path(RECORD);
    save_weights(net, weights);
    if (whole_file_open(&record, path, &error)) sn_die(&error);
    fprintf(record.file, "%.6f of %d images, after %zu batches\n", training.best, training.valid.n,
            get_current_batch(net));
    if (whole_file_close(&record, &error) || whole_file_publish(&record, &error)) sn_die(&error);
    free(weights);
    free(path);
}

static void judge(network *net)
{
    double share = share_right(net);
    if (interrupted) return;
    int is_best = share > training.best;
    if (is_best) {
        training.best = share;
        save_best(net);
    }
    printf("epoch %.2f: top-1 %.2f %% of %d images, best %.2f %%%s\n",
           (double)*net->seen / (double)training.n_images, 100 * share, training.valid.n,
           100 * training.best, is_best ? ", saved" : "");
    fflush(stdout);
}

static void end_interrupted(network *net)
{
    char *path = saved_path(".backup");
    int number = interrupted;
    save_weights(net, path);
    ranks_wait();
    if (!ranks_own())
        fprintf(stderr, "%s: %s: batch %zu: %s, saved to %s\n", sn_program, training.name,
                get_current_batch(net), strsignal(number), path);
    free(path);
    fflush(stdout);
    raise(number);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

float plug_train_network(network *net, data batch)
{
    static double start; /* of the time that this batch, with loading its images, has taken */
    if (!start) start = seconds_now();
    size_t epoch = *net->seen / training.n_images;
    float loss = plug_parallel_train(net, batch);
    int agreed = ranks_most(interrupted); /* so that all end at the same batch */
    if (agreed) interrupted = agreed;
    if (!isfinite(loss)) die_of_loss(net, loss);
    log_batch(net, (double)loss, seconds_now() - start);
    if (training.valid.n && !ranks_own()
        && (*net->seen / training.n_images > epoch || is_last(net)))
        judge(net);
    if (interrupted) end_interrupted(net);
    start = seconds_now();
    return loss;
}
