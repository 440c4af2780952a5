/* Products in panels, by threads. */
#include "support.h"

#include <panels.h>
#include <product.h>

#include <cblas.h>
#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void count_task(void *context, size_t i)
{
    atomic_int *counts = context;
    atomic_fetch_add(&counts[i], 1);
}

/* Tasks of a task. */
static void count_tasks(void *context, size_t i)
{
    atomic_int *counts = context;
    sn_tasks(10, count_task, counts + 10 * i);
}

Test(panels, every_task_runs_once)
{
    for (int n_threads = 0; n_threads <= 5; n_threads++) {
        atomic_int counts[100] = { 0 };
        sn_threads_set(n_threads);
        sn_tasks(10, count_tasks, counts);
        sn_tasks(0, count_tasks, NULL);
        for (int i = 0; i < 100; i++) cr_assert_eq(counts[i], 1, "%d threads", n_threads);
    }
}

struct parts {
    atomic_int counts[1000];
    atomic_int n, largest, odd;
};

static void count_part(void *context, size_t first, size_t count)
{
    struct parts *parts = context;
    parts->n++;
    if ((int)count > parts->largest) parts->largest = (int)count;
    if (count % 16) parts->odd++;
    for (size_t i = first; i < first + count; i++) parts->counts[i]++;
}

/* Only large work is cut, and never where the number of threads was not set. */
Test(panels, parts_cover_all_and_depend_on_sizes_alone)
{
    static const struct {
        int n_threads, n;
        double work;
        int n_parts, largest;
    } cases[] = { { 0, 1000, 0x1p40, 1, 1000 }, { 1, 1000, 0x1p30, 1, 1000 },
                  { 1, 1000, 0x1p31, 4, 256 },  { 1, 700, 0x1p31, 3, 240 },
                  { 1, 256, 0x1p31, 1, 256 },   { 1, 257, 0x1p31, 2, 144 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int more = 0; more < (cases[i].n_threads ? 3 : 1); more++) {
            static struct parts parts;
            parts = (struct parts){ 0 };
            sn_threads_set(cases[i].n_threads + more);
            sn_panels((size_t)cases[i].n, cases[i].work, count_part, &parts);
            cr_assert_eq(parts.n, cases[i].n_parts);
            cr_assert_eq(parts.largest, cases[i].largest);
            cr_assert(parts.odd <= 1);
            for (int j = 0; j < 1000; j++) cr_assert_eq(parts.counts[j], j < cases[i].n);
        }
}

/* c = a b, or of transposed ones, of sizes that are cut; bit for bit, and near OpenBLAS' own. */
Test(panel_products, do_not_depend_on_the_number_of_threads)
{
    enum { M = 530, N = 300, K = 13600 };
    uint64_t seed = 1;
    float *a = malloc(M * K * sizeof *a), *b = malloc(M * K * sizeof *b);
    float *c[4];
    for (int i = 0; i < M * K; i++) a[i] = (float)random_uniform(&seed, -1, 1);
    for (int i = 0; i < M * K; i++) b[i] = (float)random_uniform(&seed, -1, 1);
    for (int i = 0; i < 4; i++) c[i] = malloc(M * N * sizeof **c);
    openblas_set_num_threads(1);
    for (int form = 0; form < 8; form++) {
        int by_rows = form / 4, ta = form / 2 % 2, tb = form % 2;
        size_t m = by_rows ? M : N, n = by_rows ? N : M;
        for (int i = 0; i < 4; i++) {
            sn_threads_set(i);
            sn_gemm(ta, tb, m, n, K, 1, a, ta ? m : K, b, tb ? K : n, 0, c[i], n);
        }
        for (size_t i = 0; i < m * n; i++) cr_assert_float_eq(c[0][i], c[1][i], 1e-3);
        cr_assert_arr_eq(c[1], c[2], M * N * sizeof **c);
        cr_assert_arr_eq(c[1], c[3], M * N * sizeof **c);
    }
    free(a);
    free(b);
    for (int i = 0; i < 4; i++) free(c[i]);
}
