/* Times of products with dense and structured matrices of one shape, side by side: bench/kernels.sh
 * says what is measured.
 *
 *     kernels ROWS COLUMNS SHARES BITS [rounds]
 *
 * SHARES is a list of value shares, BITS one of bits, with commas. One vector cold (the copies of a
 * matrix that take turns are more than the last cache holds) and warm, and 128 vectors forward and
 * forward and backward. All subjects of a share take turns in every round; before that each product
 * is compared with that of the dense form of the same matrix. Prints a line for each subject:
 * median and quartiles in us, and e, its share of values times the time of the fastest dense
 * product over its time. Bytes are those of our form, also where another library multiplies. */
#include "others.h"
#include "reference.h"
#include "shapes.h"

#include <isa.h>
#include <packed.h>
#include <product.h>
#include <psm.h>
#include <sss.h>
#include <stored.h>
#include <structnet.h>

#include <cblas.h>
#include <limits.h>
#include <malloc.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 128, MOST_SUBJECTS = 64, MOST_COPIES = 400, MOST_ROUNDS = 1000 };

enum mode { COLD, WARM, FORWARD, TRAINING, N_MODES };
static const char *const mode_names[] = { "cold", "warm", "batch", "training" };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float uniform(float from, float to)
{
    static uint64_t state = 1; /* xorshift64 */
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return from + (to - from) * (float)(state >> 40) / 0x1p24f;
}

/* The number that text begins with, from least to most. */
static double number(const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end != text && value >= least && value <= most) return value;
    fprintf(stderr, "kernels: expected a number from %g to %g, found %s\n", least, most, text);
    exit(2);
}

static float *random_floats(size_t n)
{
    float *x = bench_allocate(n * sizeof *x);
    for (size_t i = 0; i < n; i++) x[i] = uniform(-1, 1);
    return x;
}

/* ---- Subjects */

struct subject;

/* One way to multiply: copy is of copies[], x, y and scratch as sn_multiply has them. */
typedef void multiply_function(const struct subject *s, const void *copy, const float *x, float *y);

struct subject {
    char name[40];
    int bits, n_copies;
    struct sn_matrix *matrix; /* NULL: dense */
    uint32_t *map;
    float *words;
    const struct other_library *library; /* whose product it is; NULL: ours, BLAS or loops */
    void *copies[MOST_COPIES];
    size_t n_bytes; /* that a product reads */
    multiply_function *multiply;
    double us[N_MODES][MOST_ROUNDS];
};

static int n_rows, n_columns, n_rounds;
static float *scratch, *inputs, *outputs;

static void dense_blas(const struct subject *s, const void *copy, const float *x, float *y)
{
    (void)s;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, n_rows, n_columns, 1, copy, n_columns, x, 1, 1, y, 1);
}

static void dense_streams(const struct subject *s, const void *copy, const float *x, float *y)
{
    (void)s;
    reference_dense(n_rows, n_columns, copy, x, y);
}

static void packed(const struct subject *s, const void *copy, const float *x, float *y)
{
    (void)s;
    sn_packed_multiply(copy, x, y, scratch);
}

/* Plain loops over the words, which are copied. */
static void sss_loops_O0(const struct subject *s, const void *copy, const float *x, float *y)
{
    reference_sss_O0((const struct sss *)s->matrix, copy, x, y, scratch);
}

static void sss_loops_O3(const struct subject *s, const void *copy, const float *x, float *y)
{
    reference_sss_O3((const struct sss *)s->matrix, copy, x, y, scratch);
}

static void psm_loops_O0(const struct subject *s, const void *copy, const float *x, float *y)
{
    reference_psm_O0((const struct psm *)s->matrix, copy, x, y);
}

static void psm_loops_O3(const struct subject *s, const void *copy, const float *x, float *y)
{
    reference_psm_O3((const struct psm *)s->matrix, copy, x, y);
}

static void other(const struct subject *s, const void *copy, const float *x, float *y)
{
    (void)x; /* The copy has it. */
    s->library->multiply(copy, y);
}

/* ---- Many vectors: the words of a matrix, in float */

struct batch {
    float *x, *y, *dy, *dx, *states, *dstates, *dvalues;
};

static void batch_forward(const struct subject *s, const struct batch *b)
{
    if (s->matrix) sn_multiply(s->matrix, s->words, BATCH, b->x, b->y, b->states);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, BATCH, n_rows, n_columns, 1, b->x,
                    n_columns, s->words, n_columns, 1, b->y, n_rows);
}

static void batch_backward(const struct subject *s, const struct batch *b)
{
    if (s->matrix) {
        sn_gradient(s->matrix, s->words, BATCH, b->x, b->states, b->dy, b->dvalues, b->dx,
                    b->dstates);
        return;
    }
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, n_rows, n_columns, BATCH, 1, b->dy, n_rows,
                b->x, n_columns, 1, b->dvalues, n_columns);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, BATCH, n_columns, n_rows, 1, b->dy,
                n_rows, s->words, n_columns, 1, b->dx, n_columns);
}

/* Loops have none, and products of one factor in different forms of indices have the same words. */
static int has_batch(const struct subject *s)
{
    if (s->bits != 32 || strstr(s->name, "loops") || s->library) return 0;
    if (!strcmp(s->name, "dense, streams")) return 0;
    return strncmp(s->name, "psm, index", 10) || !strcmp(s->name, "psm, index 16");
}

/* A dense matrix as a subject. */
static struct subject *dense(struct subject *s, const char *name, multiply_function *multiply)
{
    size_t n = (size_t)n_rows * (size_t)n_columns;
    *s = (struct subject){ .bits = 32, .n_bytes = n * sizeof(float), .multiply = multiply };
    snprintf(s->name, sizeof s->name, "%s", name);
    s->words = random_floats(n);
    return s + 1;
}

/* A structured matrix as a subject; multiply is packed, or loops over words. */
static struct subject *structured(struct subject *s, const char *name, struct sn_matrix *matrix,
                                  int bits, multiply_function *multiply)
{
    struct sn_error error = { 0 };
    *s = (struct subject){ .bits = bits, .matrix = matrix, .multiply = multiply };
    snprintf(s->name, sizeof s->name, "%s", name);
    bench_check(sn_matrix_set_bits(matrix, bits, 0, &error), &error);
    s->map = bench_allocate(matrix->n_values * sizeof *s->map);
    s->words = bench_allocate(matrix->n_words * sizeof *s->words);
    bench_check(sn_matrix_init(matrix, s->map, s->words, uniform, &error), &error);
    s->n_bytes = matrix->n_bytes;
    return s + 1;
}

static void pack_for(struct subject *s)
{
    struct entries e = bench_entries(s->matrix, s->words);
    for (int c = 0; c < s->n_copies; c++) s->copies[c] = s->library->pack(&e, inputs);
    free(e.rows), free(e.columns), free(e.values);
}

/* As many copies of each as make all copies together more than the last cache holds, as all are
 * read before the first one is read again. Some systems count parts of that cache which this core
 * cannot fill. */
static void make_copies(struct subject *subjects, int n)
{
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    double all = 0, most = cache > 0 ? fmin(2.5 * (double)cache, 0x1p28) : 1e8;
    for (int i = 0; i < n; i++) all += (double)subjects[i].n_bytes;
    for (int i = 0; i < n; i++) {
        struct subject *s = &subjects[i];
        struct sn_error error = { 0 };
        size_t bytes = s->matrix ? s->matrix->n_words * sizeof *s->words : s->n_bytes;
        s->n_copies = (int)(most / all) + 1;
        if (s->library) pack_for(s);
        if (s->library) continue;
        for (int c = 0; c < s->n_copies; c++) {
            if (s->multiply != packed)
                s->copies[c] = memcpy(bench_allocate(bytes), s->words, bytes);
            else if (!(s->copies[c] = sn_pack(s->matrix, s->words, &error)))
                bench_check(error.code, &error);
        }
    }
}

static void release(struct subject *s)
{
    for (int c = 0; c < s->n_copies; c++)
        if (s->library) s->library->release(s->copies[c]);
        else free(s->copies[c]);
    free(s->words);
    free(s->map);
    free(s->matrix);
}

/* ---- Measuring */

/* y = W x, W being dense or, of structured matrices up to some size, multiplied out; of larger ones
 * by the words. */
static void multiply_exactly(const struct subject *s, double *y)
{
    enum { MOST = 1 << 23 };
    size_t m = (size_t)n_rows, n = (size_t)n_columns;
    if (s->matrix && m * n > MOST) {
        float *found = bench_allocate(m * sizeof *found);
        sn_multiply(s->matrix, s->words, 1, inputs, found, scratch);
        for (size_t i = 0; i < m; i++) y[i] = (double)found[i];
        free(found);
        return;
    }
    float *w = s->matrix ? bench_allocate(m * n * sizeof *w) : s->words;
    if (s->matrix) bench_check(sn_dense(s->matrix, s->words, w, NULL), &(struct sn_error){ 0 });
    for (size_t i = 0; i < m; i++) {
        y[i] = 0;
        for (size_t j = 0; j < n; j++) y[i] += (double)w[i * n + j] * (double)inputs[j];
    }
    if (s->matrix) free(w);
}

static void verify(const struct subject *s)
{
    size_t m = (size_t)n_rows;
    double *expected = bench_allocate(m * sizeof *expected), difference = 0, norm = 0;
    float *y = bench_allocate(m * sizeof *y);
    multiply_exactly(s, expected);
    s->multiply(s, s->copies[0], inputs, y);
    for (size_t i = 0; i < m; i++) {
        difference += pow(expected[i] - (double)y[i], 2);
        norm += expected[i] * expected[i];
    }
    double most = sn_rounds_inputs() && s->bits == 8 ? .03 : 1e-5;
    if (!(sqrt(difference / norm) < most)) {
        fprintf(stderr, "kernels: %s, %d bits: a product differs by %g\n", s->name, s->bits,
                sqrt(difference / norm));
        exit(1);
    }
    free(y);
    free(expected);
}

static double time_of(const struct subject *s, const void *copy, int repeats)
{
    double start = now();
    for (int i = 0; i < repeats; i++) s->multiply(s, copy, inputs, outputs);
    return 1e6 * (now() - start) / repeats;
}

static void measure_vectors(struct subject *subjects, int n)
{
    for (int round = 0; round < n_rounds; round++)
        for (int i = 0; i < n; i++) {
            struct subject *s = &subjects[i];
            s->us[COLD][round] = time_of(s, s->copies[round % s->n_copies], 1);
        }
    for (int round = 0; round < n_rounds; round++)
        for (int i = 0; i < n; i++) {
            struct subject *s = &subjects[i];
            double once = time_of(s, s->copies[0], 1);
            s->us[WARM][round] = time_of(s, s->copies[0], 1 + (int)(200 / once));
        }
}

static size_t most_states(const struct subject *subjects, int n)
{
    size_t most = 1;
    for (int i = 0; i < n; i++)
        if (subjects[i].matrix && subjects[i].matrix->n_states > most)
            most = subjects[i].matrix->n_states;
    return most;
}

static void measure_batches(struct subject *subjects, int n)
{
    size_t columns = BATCH * (size_t)n_columns, rows = BATCH * (size_t)n_rows,
           states = BATCH * most_states(subjects, n);
    struct batch b = { .x = random_floats(columns),
                       .y = random_floats(rows),
                       .dy = random_floats(rows),
                       .dx = random_floats(columns),
                       .states = random_floats(states),
                       .dstates = random_floats(states),
                       .dvalues = random_floats((size_t)n_rows * (size_t)n_columns + rows) };
    for (int round = 0; round < n_rounds; round++)
        for (int i = 0; i < n; i++) {
            if (!has_batch(&subjects[i])) continue;
            batch_forward(&subjects[i], &b); /* These bring the arrays into the caches. */
            batch_backward(&subjects[i], &b);
            double start = now();
            batch_forward(&subjects[i], &b);
            subjects[i].us[FORWARD][round] = 1e6 * (now() - start);
            batch_backward(&subjects[i], &b);
            subjects[i].us[TRAINING][round] = 1e6 * (now() - start);
        }
    free(b.x), free(b.y), free(b.dy), free(b.dx), free(b.states), free(b.dstates), free(b.dvalues);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Whether a subject was measured so. */
static int has_mode(const struct subject *s, int mode) { return s->us[mode][0] > 0; }

static void print(struct subject *subjects, int n, double share)
{
    double best[N_MODES] = { INFINITY, INFINITY, INFINITY, INFINITY };
    for (int i = 0; i < n; i++)
        for (int k = 0; k < N_MODES; k++) {
            if (!has_mode(&subjects[i], k)) continue;
            qsort(subjects[i].us[k], (size_t)n_rounds, sizeof(double), compare);
            if (!subjects[i].matrix) best[k] = fmin(best[k], subjects[i].us[k][n_rounds / 2]);
        }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < N_MODES; k++) {
            const struct subject *s = &subjects[i];
            if (!has_mode(s, k)) continue;
            double values = s->matrix ? (double)s->matrix->n_values / n_rows / n_columns : 1,
                   us = s->us[k][n_rounds / 2];
            printf("%d\t%d\t%s\t%d\t%g\t%.4f\t%zu\t%s\t%.2f\t%.2f\t%.2f\t%.3f\n", n_rows, n_columns,
                   s->name, s->bits, share, values, s->n_bytes, mode_names[k], us,
                   s->us[k][n_rounds / 4], s->us[k][3 * n_rounds / 4], values * best[k] / us);
        }
    fflush(stdout);
}

/* The same kinds of sparse matrices by other libraries. */
static struct subject *add_others(struct subject *end, double share)
{
    static const int blocks[] = { 1, 4, 8 };
    char name[40];
    for (const struct other_library *library = other_libraries; library->name; library++)
        for (int i = 0; i < 3; i++) {
            if (blocks[i] == 1) snprintf(name, sizeof name, "psm, %s", library->name);
            else snprintf(name, sizeof name, "psm, blocks of %d, %s", blocks[i], library->name);
            end = structured(end, name, bench_psm(n_rows, n_columns, share, 16, blocks[i]), 32,
                             other);
            end[-1].library = library;
        }
    return end;
}

static struct subject *add_subjects(struct subject *end, double share, int bits)
{
    static const int stages[] = { 2, 10, 50, 250 }, forms[] = { 1, 4, 8, 16 }, blocks[] = { 4, 8 };
    char name[40];
    if (bits != 32)
        end = structured(end, "dense", bench_sss(n_rows, n_columns, 1, 1), bits, packed);
    end = structured(end, "low rank", bench_low_rank(n_rows, n_columns, share), bits, packed);
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "sss, %d stages", stages[i]);
        end = structured(end, name, bench_sss(n_rows, n_columns, stages[i], share), bits, packed);
    }
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "psm, index %d", forms[i]);
        end = structured(end, name, bench_psm(n_rows, n_columns, share, forms[i], 1), bits, packed);
    }
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof name, "psm, blocks of %d", blocks[i]);
        end = structured(end, name, bench_psm(n_rows, n_columns, share, 16, blocks[i]), bits,
                         packed);
    }
    if (bits != 32) return end;
    end = add_others(end, share);
    end = structured(end, "sss, 10 stages, loops -O0", bench_sss(n_rows, n_columns, 10, share),
                     bits, sss_loops_O0);
    end = structured(end, "sss, 10 stages, loops -O3", bench_sss(n_rows, n_columns, 10, share),
                     bits, sss_loops_O3);
    end = structured(end, "psm, loops -O0", bench_psm(n_rows, n_columns, share, 16, 1), bits,
                     psm_loops_O0);
    return structured(end, "psm, loops -O3", bench_psm(n_rows, n_columns, share, 16, 1), bits,
                      psm_loops_O3);
}

static void measure_share(double share, int bits)
{
    static struct subject subjects[MOST_SUBJECTS];
    struct subject *end = dense(subjects, "dense, BLAS", dense_blas);
    end = add_subjects(dense(end, "dense, streams", dense_streams), share, bits);
    int n = (int)(end - subjects);
    make_copies(subjects, n);
    for (int i = 0; i < n; i++) verify(&subjects[i]);
    measure_vectors(subjects, n);
    if (bits == 32) measure_batches(subjects, n);
    print(subjects, n, share);
    for (int i = 0; i < n; i++) release(&subjects[i]);
}

static const char *next_of(const char *list)
{
    const char *comma = strchr(list, ',');
    return comma ? comma + 1 : NULL;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: kernels ROWS COLUMNS SHARES BITS [ROUNDS]\n");
        return 2;
    }
    mallopt(M_MMAP_MAX, 0); /* What is freed is taken again without new pages. */
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    n_rows = (int)number(argv[1], 250, 65536);
    n_columns = (int)number(argv[2], 250, 65536);
    n_rounds = argc > 5 ? (int)number(argv[5], 1, MOST_ROUNDS) : 51;
    inputs = random_floats((size_t)n_columns);
    outputs = bench_allocate((size_t)n_rows * sizeof *outputs);
    scratch = bench_allocate(128 * ((size_t)n_rows + (size_t)n_columns) * sizeof *scratch);
    for (const struct other_library *l = other_libraries; l->name; l++) l->start();
    for (const char *bits = argv[4]; bits; bits = next_of(bits))
        for (const char *share = argv[3]; share; share = next_of(share))
            measure_share(number(share, .01, .9), (int)number(bits, 1, 32));
    return 0;
}
