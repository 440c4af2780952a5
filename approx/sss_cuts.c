#include "sss_cuts.h"

#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { CAP = 48, SKETCH = 64, MOST_POINTS = 8192 };

static const size_t most_entries = (size_t)1 << 21;

/* ranks[(m+1) x (n+1)]: entry (i, j) belongs to W cut before row i and before column j. CAP+1
 * stands for any more. */
struct ranks {
    int m, n;
    uint8_t *lower; /* of W[i.., ..j-1] */
    uint8_t *upper; /* of W[..i-1, j..] */
};

/* W, or W turned by half a turn so that its upper blocks lie at the lower left; SKETCH random
 * combinations of its last rows, which have the ranks of all of them as far as these are counted;
 * and an orthonormal basis of columns. */
struct columns {
    const float *w;
    int m, n, flipped;
    double bound;
    uint64_t random;
    double *sketch; /* n columns of SKETCH */
    double *basis;  /* CAP+1 columns of SKETCH */
    double column[SKETCH], weights[CAP + 1];
    double errors[CAP + 1]; /* of the basis vectors */
};

static int columns_new(struct columns *columns, const float *w, int m, int n, int flipped,
                       double bound)
{
    *columns = (struct columns){ .w = w, .m = m, .n = n, .flipped = flipped, .bound = bound };
    columns->sketch = malloc(SKETCH * (size_t)n * sizeof(double));
    columns->basis = malloc((size_t)((CAP + 1) * SKETCH) * sizeof(double));
    return columns->sketch && columns->basis;
}

static void columns_free(struct columns *columns)
{
    free(columns->sketch);
    free(columns->basis);
}

static void sketch_clear(struct columns *columns)
{
    columns->random = 1;
    memset(columns->sketch, 0, SKETCH * (size_t)columns->n * sizeof(double));
}

/* Takes row i into the combinations. */
static void sketch_row(struct columns *columns, int i)
{
    size_t n = (size_t)columns->n, last = (size_t)columns->m * n - 1;
    double factors[SKETCH];
    for (int k = 0; k < SKETCH; k++) {
        columns->random = columns->random * 6364136223846793005u + 1442695040888963407u;
        factors[k] = (double)(columns->random >> 11) * 0x1p-52 - 1;
    }
    for (size_t j = 0; j < n; j++) {
        size_t at = (size_t)i * n + j;
        double x = (double)columns->w[columns->flipped ? last - at : at],
               *sketch = columns->sketch + j * SKETCH;
        if (x != 0)
            for (int k = 0; k < SKETCH; k++) sketch[k] += factors[k] * x;
    }
}

/* Whether column j of the sketch is independent of the basis, its first count vectors, to which it
 * is added then: whether what Gram-Schmidt leaves of it exceeds its error. That is the column's
 * own, relative to its norm since float32 entries are, however small, known to 24 bits, and those
 * of the basis vectors taken away. Twice, because what is left may be small. */
static int extends(struct columns *columns, int j, int count)
{
    double *v = columns->column, *next = columns->basis + (size_t)count * SKETCH;
    memcpy(v, columns->sketch + (size_t)j * SKETCH, sizeof columns->column);
    double norm = sqrt(cblas_ddot(SKETCH, v, 1, v, 1)), left = norm;
    double error = columns->bound * norm * columns->bound * norm;
    for (int pass = 0; pass < 2 && count && left > 0; pass++) {
        if (pass && left > .5 * norm) break;
        cblas_dgemv(CblasColMajor, CblasTrans, SKETCH, count, 1, columns->basis, SKETCH, v, 1, 0,
                    columns->weights, 1);
        cblas_dgemv(CblasColMajor, CblasNoTrans, SKETCH, count, -1, columns->basis, SKETCH,
                    columns->weights, 1, 1, v, 1);
        left = sqrt(cblas_ddot(SKETCH, v, 1, v, 1));
        for (int k = 0; k < count && !pass; k++) {
            double e = columns->weights[k] * columns->errors[k];
            error += e * e;
        }
    }
    error = sqrt(error);
    if (left <= error) return 0;
    columns->errors[count] = error / left;
    for (int k = 0; k < SKETCH; k++) next[k] = v[k] / left;
    return 1;
}

/* ranks[j] = rank W[i.., ..j-1] for j up to n. Returns 1 when a column came that the ones before it
 * determine. */
static int find_row_of_ranks(struct columns *columns, int i, uint8_t *ranks)
{
    int count = 0, most = columns->m - i < CAP + 1 ? columns->m - i : CAP + 1, stalls = 0;
    for (int j = 0; j <= columns->n; j++) {
        ranks[j] = (uint8_t)count;
        if (j == columns->n || count == most) continue;
        int one = extends(columns, j, count);
        count += one;
        stalls |= !one;
    }
    return stalls;
}

/* All of them; 0 without doing so when some rows say that W has no structure. */
static int find_ranks(struct columns *columns, uint8_t *ranks)
{
    enum { SAMPLES = 16 };
    size_t stride = (size_t)columns->n + 1;
    int step = columns->m / SAMPLES + 1, stalls = 0;
    memset(ranks + (size_t)columns->m * stride, 0, stride);
    for (int pass = 0; pass < 2; pass++) {
        sketch_clear(columns);
        for (int i = columns->m - 1; i >= 0; i--) {
            sketch_row(columns, i);
            if (pass || i % step == 0)
                stalls += find_row_of_ranks(columns, i, ranks + (size_t)i * stride);
        }
        if (!stalls) return 0;
    }
    return 1;
}

static int lower_at(const struct ranks *ranks, int i, int j)
{
    return ranks->lower[(size_t)i * ((size_t)ranks->n + 1) + (size_t)j];
}

static int upper_at(const struct ranks *ranks, int i, int j)
{
    return ranks->upper[(size_t)(ranks->m - i) * ((size_t)ranks->n + 1) + (size_t)(ranks->n - j)];
}

static int both_at(const struct ranks *ranks, int i, int j)
{
    return lower_at(ranks, i, j) + upper_at(ranks, i, j);
}

/* Whether (i, j) may be a boundary: the ranks have a local minimum there, and where that is flat,
 * its rim. */
static int is_point(const struct ranks *ranks, int i, int j)
{
    int m = ranks->m, n = ranks->n, lower = lower_at(ranks, i, j), upper = upper_at(ranks, i, j),
        both = lower + upper;
    if (lower > CAP || upper > CAP) return 0;
    if ((i && both_at(ranks, i - 1, j) < both) || (i < m && both_at(ranks, i + 1, j) < both))
        return 0;
    if ((j && both_at(ranks, i, j - 1) < both) || (j < n && both_at(ranks, i, j + 1) < both))
        return 0;
    return (i == 0 || i == m || lower_at(ranks, i - 1, j) > lower
            || upper_at(ranks, i + 1, j) > upper)
        && (j == 0 || j == n || lower_at(ranks, i, j + 1) > lower
            || upper_at(ranks, i, j - 1) > upper);
}

/* All points in order, the corners (0, 0) and (m, n) included, which have no states. Returns their
 * number, 0 when they are too many. */
static int find_points(const struct ranks *ranks, struct sss_cut *points)
{
    int count = 0;
    for (int i = 0; i <= ranks->m; i++)
        for (int j = 0; j <= ranks->n; j++) {
            int corner = (i == 0 && j == 0) || (i == ranks->m && j == ranks->n);
            if (!corner && !is_point(ranks, i, j)) continue;
            if (count == MOST_POINTS) return 0;
            points[count++] = (struct sss_cut){ i, j, lower_at(ranks, i, j),
                                                upper_at(ranks, i, j) };
        }
    return count;
}

/* The values of the stage between two cuts: D, A, B, C, E, F, G. */
static double stage_values(const struct sss_cut *a, const struct sss_cut *b)
{
    double height = b->row - a->row, width = b->column - a->column;
    return (height + b->causal) * (width + a->causal)
        + (height + a->anticausal) * (width + b->anticausal) - height * width;
}

/* The cheapest chain from the first point to the last; cuts gets its inner points. Returns their
 * number or -1. */
static int cheapest_chain(const struct sss_cut *points, int count, struct sss_cut *cuts)
{
    double *values = malloc((size_t)count * sizeof *values);
    int *before = calloc((size_t)count, sizeof *before), n_cuts = 0;
    if (!values || !before) n_cuts = -1;
    else {
        values[0] = 0;
        for (int b = 1; b < count; b++) {
            values[b] = INFINITY;
            for (int a = 0; a < b; a++) {
                if (points[a].column > points[b].column) continue;
                double sum = values[a] + stage_values(&points[a], &points[b]);
                if (sum < values[b]) values[b] = sum, before[b] = a;
            }
        }
        for (int p = before[count - 1]; p; p = before[p]) n_cuts++;
        for (int p = before[count - 1], k = n_cuts; p; p = before[p]) cuts[--k] = points[p];
    }
    free(values);
    free(before);
    return n_cuts;
}

int sss_cuts(const float *w, int m, int n, double bound, struct sss_cut **cuts)
{
    size_t size = ((size_t)m + 1) * ((size_t)n + 1);
    *cuts = NULL;
    if (size > most_entries) return 0;
    int n_cuts = -1;
    struct ranks ranks = { m, n, malloc(size), malloc(size) };
    struct sss_cut *points = malloc(MOST_POINTS * sizeof *points);
    struct columns lower, upper;
    int fine = columns_new(&lower, w, m, n, 0, bound) & columns_new(&upper, w, m, n, 1, bound);
    *cuts = malloc(MOST_POINTS * sizeof **cuts);
    if (fine && ranks.lower && ranks.upper && points && *cuts) {
        int count = 0;
        if (find_ranks(&lower, ranks.lower) && find_ranks(&upper, ranks.upper))
            count = find_points(&ranks, points);
        n_cuts = count ? cheapest_chain(points, count, *cuts) : 0;
    }
    columns_free(&lower);
    columns_free(&upper);
    free(ranks.lower);
    free(ranks.upper);
    free(points);
    if (n_cuts <= 0) {
        free(*cuts);
        *cuts = NULL;
    }
    return n_cuts;
}
