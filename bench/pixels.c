/* Times of convolutions with dense and structured matrices of one shape, side by side:
 *
 *     pixels FILTERS CHANNELS SIDE SIZE STRIDE SHARE [ROUNDS]
 *
 * on an image of SIDE x SIDE pixels, padded by SIZE / 2, one thread. Forward: one image. Training:
 * 16 images forward and backward. Dense is Darknet's [convolutional] with what structnet puts in
 * the place of its im2col and gemm; all layers are linear and without batch normalisation. All
 * subjects take turns in every round; before that the outputs of each are compared with those of
 * the dense layer with the same matrix. Prints a line for each subject: median and quartiles in us,
 * and e, its share of values times the time of the dense layer over its time. Times are those of
 * the processor, of which a program beside this one takes nothing. */
#include "shapes.h"

#include <structured_layer.h>

#include <convolutional_layer.h>
#include <math.h>
#include <sss.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 16, MOST_SUBJECTS = 8, MOST_ROUNDS = 1000 };

enum mode { FORWARD, TRAINING, N_MODES };
static const char *const mode_names[] = { "forward", "training" };

static struct sn_window window;
static int n_filters, n_rounds;
static network net; /* its input, delta and workspace, for a batch */

struct subject {
    const char *name;
    layer layers[N_MODES];
    double us[N_MODES][MOST_ROUNDS];
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The number that text is, from least to most. */
static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end != text && !*end && value >= least && value <= most) return value;
    fprintf(stderr, "pixels: expected a number from %g to %g, found %s\n", least, most, text);
    exit(2);
}

static float *random_floats(size_t n)
{
    static uint32_t state = 1; /* xorshift32 */
    float *x = bench_allocate(n * sizeof *x);
    for (size_t i = 0; i < n; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        x[i] = (float)state / 0x1p31f - 1;
    }
    return x;
}

/* ---- Subjects */

static void make_dense(struct subject *s)
{
    *s = (struct subject){ .name = "dense" };
    for (int mode = 0; mode < N_MODES; mode++)
        s->layers[mode] = make_convolutional_layer(mode == TRAINING ? BATCH : 1, window.height,
                                                   window.width, window.channels, n_filters, 1,
                                                   window.size, window.stride, window.pad, LINEAR,
                                                   0, 0, 0, 0);
}

/* block: rows of a block, or 0 for low rank. */
static void make_structured(struct subject *s, const char *name, int block, double share)
{
    int n = (int)sn_window_inputs(&window);
    *s = (struct subject){ .name = name };
    for (int mode = 0; mode < N_MODES; mode++) {
        struct sn_error error = { 0 };
        struct sn_matrix *matrix = block ? bench_psm(n_filters, n, share, 16, block)
                                         : bench_low_rank(n_filters, n, share);
        s->layers[mode] = make_structured_layer(mode == TRAINING ? BATCH : 1, &window, matrix,
                                                LINEAR, 0, 0, &error);
        bench_check(error.code, &error);
    }
}

/* Ends the program where outputs are not those of the dense layer with the same matrix. */
static void verify(const struct subject *s, const struct subject *dense)
{
    const layer *l = &s->layers[FORWARD], *d = &dense->layers[FORWARD];
    struct sn_error error = { 0 };
    bench_check(sn_dense(structured_matrix(l), l->weights, d->weights, &error), &error);
    l->forward(*l, net);
    d->forward(*d, net);
    double most = 0, difference = 0;
    for (int i = 0; i < l->outputs; i++) {
        most = fmax(most, fabs((double)d->output[i]));
        difference = fmax(difference, fabs((double)d->output[i] - (double)l->output[i]));
    }
    if (l->outputs == d->outputs && difference <= 1e-5 * most) return;
    fprintf(stderr, "pixels: %s: outputs differ by %g, the largest is %g\n", s->name, difference,
            most);
    exit(1);
}

static double measure(const struct subject *s, enum mode mode)
{
    const layer *l = &s->layers[mode];
    net.train = mode == TRAINING;
    double start = now();
    l->forward(*l, net);
    if (mode == TRAINING) l->backward(*l, net);
    return 1e6 * (now() - start);
}

/* ---- Results */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(struct subject *subjects, int n)
{
    double values = (double)n_filters * (double)sn_window_inputs(&window);
    for (int mode = 0; mode < N_MODES; mode++)
        for (int i = 0; i < n; i++) {
            struct subject *s = &subjects[i];
            const struct sn_matrix *matrix = structured_matrix(&s->layers[mode]);
            double share = matrix ? (double)matrix->n_values / values : 1, *us = s->us[mode];
            qsort(us, (size_t)n_rounds, sizeof *us, compare);
            printf("%d\t%d\t%d\t%d\t%d\t%s\t%.4f\t%s\t%.2f\t%.2f\t%.2f\t%.3f\n", n_filters,
                   window.channels, window.height, window.size, window.stride, s->name, share,
                   mode_names[mode], us[n_rounds / 2], us[n_rounds / 4], us[3 * n_rounds / 4],
                   share * subjects[0].us[mode][n_rounds / 2] / us[n_rounds / 2]);
        }
}

static void make_net(const struct subject *dense)
{
    const layer *l = &dense->layers[TRAINING];
    net.input = random_floats(BATCH * (size_t)l->inputs);
    net.delta = random_floats(BATCH * (size_t)l->inputs);
    net.workspace = bench_allocate(l->workspace_size);
}

int main(int argc, char **argv)
{
    static struct subject subjects[MOST_SUBJECTS];
    const char *key;
    struct sn_error error = { 0 };
    if (argc < 7) {
        fprintf(stderr, "usage: pixels FILTERS CHANNELS SIDE SIZE STRIDE SHARE [ROUNDS]\n");
        return 2;
    }
    n_filters = (int)number(argv[1], 1, 65536);
    int side = (int)number(argv[3], 1, 1024), size = (int)number(argv[4], 1, 15);
    window = (struct sn_window){ (int)number(argv[2], 1, 65536), side,     side, size,
                                 (int)number(argv[5], 1, 15),    size / 2, 0,    0 };
    double share = number(argv[6], .001, .9);
    n_rounds = argc > 7 ? (int)number(argv[7], 1, MOST_ROUNDS) : 31;
    bench_check(sn_window_place(&window, &key, &error), &error);
    make_dense(subjects);
    make_net(subjects);
    make_structured(subjects + 1, "entries", 1, share);
    make_structured(subjects + 2, "blocks of 4", 4, share);
    make_structured(subjects + 3, "blocks of 8", 8, share);
    make_structured(subjects + 4, "low rank", 0, share);
    int n = 5;
    for (int i = 1; i < n; i++) verify(&subjects[i], subjects);
    for (int round = 0; round < n_rounds; round++)
        for (int mode = 0; mode < N_MODES; mode++)
            for (int i = 0; i < n; i++)
                subjects[i].us[mode][round] = measure(&subjects[i], (enum mode)mode);
    print(subjects, n);
    return 0;
}
