#include "sweep_time.h"

#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 51, ROUND_US = 400 };

struct vectors {
    float *x, *y, *states;
};

/* The mean of n products. */
static double time_products(const struct sn_fit *fit, const struct vectors *v, int n)
{
    memset(v->y, 0, (size_t)fit->matrix->n_outputs * sizeof *v->y);
    double start = command_seconds();
    for (int i = 0; i < n; i++) sn_multiply(fit->matrix, fit->words, 1, v->x, v->y, v->states);
    return 1e6 * (command_seconds() - start) / n;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_us(const struct sn_fit *fit, const struct vectors *v)
{
    double us[ROUNDS];
    time_products(fit, v, 1); /* warms up */
    double once = time_products(fit, v, 1);
    int n = once < ROUND_US ? (int)(ROUND_US / (once + .001)) + 1 : 1;
    for (int i = 0; i < ROUNDS; i++) us[i] = time_products(fit, v, n);
    qsort(us, ROUNDS, sizeof *us, compare);
    return us[ROUNDS / 2];
}

double sweep_product_us(const struct sn_fit *fit)
{
    const struct sn_matrix *matrix = fit->matrix;
    struct vectors v = { malloc((size_t)matrix->n_inputs * sizeof *v.x),
                         malloc((size_t)matrix->n_outputs * sizeof *v.y),
                         malloc((matrix->n_states + 1) * sizeof *v.states) };
    double us = NAN;
    if (v.x && v.y && v.states) {
        for (int i = 0; i < matrix->n_inputs; i++) v.x[i] = (float)(i % 7 - 3);
        us = median_us(fit, &v);
    }
    free(v.x);
    free(v.y);
    free(v.states);
    return us;
}
