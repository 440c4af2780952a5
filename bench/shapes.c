#include "shapes.h"

#include <psm.h>
#include <sss.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *bench_allocate(size_t n_bytes)
{
    void *p = aligned_alloc(64, (n_bytes + 127) / 64 * 64);
    if (!p) {
        fprintf(stderr, "kernels: out of memory for %zu bytes\n", n_bytes);
        exit(1);
    }
    return memset(p, 0, (n_bytes + 127) / 64 * 64);
}

void bench_check(enum sn_status status, const struct sn_error *error)
{
    if (!status) return;
    fprintf(stderr, "kernels: %s\n", error->message);
    exit(1);
}

struct sn_matrix *bench_sss(int rows, int columns, int n_stages, double share)
{
    struct sn_matrix *best = NULL;
    double target = share * rows * columns, nearest = INFINITY;
    int *lists = bench_allocate(4 * (size_t)n_stages * sizeof *lists), *inputs_of = lists,
        *outputs_of = lists + n_stages, *states = outputs_of + n_stages;
    for (int k = 0; k < n_stages; k++) {
        inputs_of[k] = (k + 1) * columns / n_stages - k * columns / n_stages;
        outputs_of[k] = (k + 1) * rows / n_stages - k * rows / n_stages;
    }
    for (int size = 0, is_nearer = 1; is_nearer; size++) {
        for (int k = 0; k < n_stages - 1; k++) states[k] = size;
        struct sss *shape = sss_new(n_stages, inputs_of, outputs_of, states, states, NULL);
        double distance = shape ? fabs((double)shape->matrix.n_values - target) : INFINITY;
        is_nearer = distance < nearest;
        free(is_nearer ? (void *)best : (void *)shape);
        if (!is_nearer) break;
        best = &shape->matrix;
        nearest = distance;
        if (n_stages == 1) break;
    }
    free(lists);
    return best;
}

struct sn_matrix *bench_low_rank(int rows, int columns, double share)
{
    int rank = (int)(share * rows * columns / (rows + columns)), sizes[] = { columns, 0 },
        outputs_of[] = { 0, rows };
    return &sss_new(2, sizes, outputs_of, &rank, &(int){ 0 }, NULL)->matrix;
}

struct sn_matrix *bench_psm(int rows, int columns, double share, int index_bits, int block)
{
    int sizes[] = { rows, columns }, nonzeros = (int)(share * rows * columns) / block * block,
        escapes = 0;
    if (index_bits == 4) escapes = nonzeros / block / 8;
    struct psm_layout layout = { 1, sizes, &nonzeros, &index_bits, block, 0, &escapes };
    struct sn_error error = { 0 };
    struct psm *shape = psm_new(&layout, &error);
    bench_check(error.code, &error);
    return &shape->matrix;
}

struct entries bench_entries(const struct sn_matrix *matrix, const float *words)
{
    int rows = matrix->n_outputs, columns = matrix->n_inputs;
    size_t size = (size_t)rows * (size_t)columns, n = matrix->n_values;
    struct entries e = { rows,
                         columns,
                         bench_allocate(n * sizeof(int)),
                         bench_allocate(n * sizeof(int)),
                         0,
                         bench_allocate(n * sizeof(float)) };
    float *w = bench_allocate(size * sizeof *w);
    struct sn_error error = { 0 };
    bench_check(sn_dense(matrix, words, w, &error), &error);
    for (size_t i = 0; i < size; i++)
        if (w[i] != 0 && e.n < n) {
            e.rows[e.n] = (int)(i / (size_t)columns);
            e.columns[e.n] = (int)(i % (size_t)columns);
            e.values[e.n++] = w[i];
        }
    free(w);
    return e;
}
