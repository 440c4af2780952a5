#include "sweep_time.h"

#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 51, ROUND_US = 400 };

struct vectors {
    float *x, *y, *scratch;
};

/* The mean of n products. */
static double time_products(const struct sn_packed *packed, const struct vectors *v, int n)
{
    double start = command_seconds();
    for (int i = 0; i < n; i++) sn_packed_multiply(packed, v->x, v->y, v->scratch);
    return 1e6 * (command_seconds() - start) / n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_us(const struct sn_packed *packed, const struct vectors *v)
{
    double us[ROUNDS];
    time_products(packed, v, 1); /* warms up */
    double once = time_products(packed, v, 1);
    int n = once < ROUND_US ? (int)(ROUND_US / (once + .001)) + 1 : 1;
    for (int i = 0; i < ROUNDS; i++) us[i] = time_products(packed, v, n);
    qsort(us, ROUNDS, sizeof *us, compare);
    return us[ROUNDS / 2];
}

double sweep_product_us(const struct sn_fit *fit)
{
    const struct sn_matrix *matrix = fit->matrix;
    struct sn_packed *packed = sn_pack(matrix, fit->words, NULL);
    struct vectors v = { malloc((size_t)matrix->n_inputs * sizeof *v.x),
                         calloc((size_t)matrix->n_outputs, sizeof *v.y),
                         malloc(packed ? (sn_packed_scratch(packed) + 1) * sizeof *v.scratch : 1) };
    double us = NAN;
    if (packed && v.x && v.y && v.scratch) {
        for (int i = 0; i < matrix->n_inputs; i++) v.x[i] = (float)(i % 7 - 3);
        us = median_us(packed, &v);
    }
    free(v.x);
    free(v.y);
    free(v.scratch);
    free(packed);
    return us;
}
