/* Sweeps go through blocks of columns: within a block each change is carried to the block's other
 * columns at once, and to all columns as a product of matrices when the block is done. */
#include "levels.h"
#include "product.h"
#include "rounding_scales.h"

#include <cblas.h>
#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PANEL = 64, MOST_ROWS = 8 }; /* columns or rows at a time; rows of a block */

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

static float curvature_at(const struct sn_rounding *r, size_t i, size_t j)
{
    return (r->coupling ? r->coupling[i * ((size_t)r->rows + 1)] : 1)
        * (r->gram ? r->gram[j * ((size_t)r->columns + 1)] : 1);
}

/* ---- Scales */

/* The factor by which a scale is to grow, e = <x, R> / (Q_ii <x, x G>); 0 where it stays. */
static float growth(float scale, double slope, double curvature)
{
    if (!(scale > 0) || !(curvature > 0)) return 0;
    double factor = fmin(2, fmax(.5, 1 + slope / curvature));
    return sn_bfloat_round((float)(scale * factor)) / scale - 1;
}

/* x_i <- (1 + e_i) x_i for the scales of rows, R_i follows. image is PANEL x columns. */
static void rescale_rows(struct sn_rounding *r, float *image)
{
    size_t n = (size_t)r->columns;
    for (size_t first = 0; first < (size_t)r->rows; first += PANEL) {
        size_t rows = smaller(PANEL, (size_t)r->rows - first);
        float *x = r->values + first * n, *left = r->residual + first * n;
        if (r->gram) sn_gemm(0, 0, rows, n, n, 1, x, n, r->gram, n, 0, image, n);
        else memcpy(image, x, rows * n * sizeof *x);
        for (size_t i = 0; i < rows; i++, x += n, left += n) {
            const float *y = image + i * n;
            double slope = cblas_dsdot((int)n, x, 1, left, 1);
            float e = growth(r->scales[first + i], slope, cblas_dsdot((int)n, x, 1, y, 1));
            r->scales[first + i] *= 1 + e;
            cblas_saxpy((int)n, -e, y, 1, left, 1);
            for (size_t j = 0; j < n; j++) x[j] *= 1 + e;
        }
    }
}

/* ---- The start */

/* u (columns x columns, upper triangle): G^-1 = U^T U. 0 where G is not positive definite as
 * rounded. */
static int invert(const struct sn_rounding *r, float *u)
{
    size_t n = (size_t)r->columns;
    for (size_t j = 0; j < n; j++)
        for (size_t l = 0; l < n; l++)
            u[j * n + l] = r->gram[j * n + l] / sqrtf(r->gram[j * (n + 1)])
                / sqrtf(r->gram[l * (n + 1)]);
    /* Upper in row-major is lower in column-major. */
    if (LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', (int)n, u, (int)n)
        || LAPACKE_spotri_work(LAPACK_COL_MAJOR, 'L', (int)n, u, (int)n)
        || LAPACKE_spotrf_work(LAPACK_COL_MAJOR, 'L', (int)n, u, (int)n))
        return 0;
    for (size_t j = 0; j < n; j++)
        for (size_t l = j; l < n; l++) u[j * n + l] /= sqrtf(r->gram[l * (n + 1)]);
    return 1;
}

/* x_l -= e U_jl for the entries of one row behind column j, below end. */
static void carry(float *x, float e, const float *u, size_t j, size_t end)
{
    for (size_t l = j + 1; l < end; l++)
        if (x[l] != 0) x[l] -= e * u[l];
}

/* Rounds columns first .. end of one row and carries their errors on to the same columns; errors
 * receives them divided by U_jj. */
static void round_columns(const struct sn_rounding *r, size_t i, size_t first, size_t end,
                          const float *u, float *errors)
{
    size_t n = (size_t)r->columns;
    float *x = r->values + i * n;
    for (size_t j = first; j < end; j++) {
        float target = x[j];
        if (target == 0 && r->is_sparse) {
            errors[j - first] = 0;
            continue;
        }
        x[j] = sn_rounding_nearest(r, target, r->scales[i]);
        errors[j - first] = u ? (target - x[j]) / u[j * n + j] : 0;
        if (u) carry(x, errors[j - first], u + j * n, j, end);
    }
}

/* Rounds X row by row, errors carried on along U unless it is NULL. scratch is PANEL x (columns +
 * PANEL). */
static void round_start(struct sn_rounding *r, const float *u, float *scratch)
{
    size_t n = (size_t)r->columns;
    float *errors = scratch, *carried = scratch + (size_t)PANEL * PANEL;
    for (size_t first = 0; first < (size_t)r->rows; first += PANEL) {
        size_t rows = smaller(PANEL, (size_t)r->rows - first);
        for (size_t j = 0; j < n; j += PANEL) {
            size_t end = smaller(n, j + PANEL), rest = n - end;
            for (size_t i = 0; i < rows; i++)
                round_columns(r, first + i, j, end, u, errors + i * PANEL);
            if (!u || !rest) continue;
            sn_gemm(0, 0, rows, rest, end - j, 1, errors, PANEL, u + j * n + end, n, 0, carried,
                    rest);
            for (size_t i = 0; i < rows; i++) {
                float *x = r->values + (first + i) * n + end;
                for (size_t l = 0; l < rest; l++)
                    if (x[l] != 0) x[l] -= carried[i * rest + l];
            }
        }
    }
}

/* residual += sign Q X G. image is rows x columns with a coupling. */
static void add_image(struct sn_rounding *r, float sign, float *image)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns;
    const float *x = r->values;
    if (r->coupling) {
        sn_gemm(0, 0, m, n, m, 1, r->coupling, m, x, n, 0, image, n);
        x = image;
    }
    if (r->gram) sn_gemm(0, 0, m, n, n, sign, x, n, r->gram, n, 1, r->residual, n);
    else cblas_saxpy((int)(m * n), sign, x, 1, r->residual, 1);
}

/* ---- Sweeps */

/* The entries of one column in a block of rows: what each would best be, and what the error is less
 * for them than for zeros. */
struct choice {
    float values[MOST_ROWS];
    double gain;
};

static struct choice choose(const struct sn_rounding *r, size_t i, size_t rows, size_t j,
                            const float *x, size_t stride, const float *residual,
                            size_t residual_stride)
{
    struct choice choice = { .gain = 0 };
    for (size_t k = 0; k < rows; k++) {
        float curvature = curvature_at(r, i + k, j);
        float target = x[k * stride] + residual[k * residual_stride] / curvature;
        float value = sn_rounding_nearest(r, target, r->scales[i + k]), left = value - target;
        choice.values[k] = value;
        choice.gain += (double)curvature
            * ((double)target * (double)target - (double)left * (double)left);
    }
    return choice;
}

/* A sweep: the price of an entry, below 0 where the pattern stays, and how many entries were left.
 */
struct sweep {
    double price;
    size_t count;
};

/* Chooses the entries first .. end of a block of rows, and carries what changes to the others. x
 * and residual are those of row i, changes (PANEL apart) receives the differences. */
static void sweep_columns(const struct sn_rounding *r, struct sweep *sweep, size_t i, size_t rows,
                          size_t first, size_t end, float *changes)
{
    size_t n = (size_t)r->columns, width = end - first;
    float left[MOST_ROWS * PANEL], *x = r->values + i * n;
    for (size_t k = 0; k < rows; k++)
        memcpy(left + k * PANEL, r->residual + (i + k) * n + first, width * sizeof *left);
    for (size_t j = first; j < end; j++) {
        size_t at = j - first;
        int live = 0;
        for (size_t k = 0; k < rows; k++) live |= x[k * n + j] != 0, changes[k * PANEL + at] = 0;
        if (r->is_sparse && !live && sweep->price < 0) continue;
        struct choice choice = choose(r, i, rows, j, x + j, n, left + at, PANEL);
        int keep = sweep->price < 0 || choice.gain > sweep->price * (double)rows;
        sweep->count += keep ? rows : 0;
        for (size_t k = 0; k < rows; k++) {
            float change = (keep ? choice.values[k] : 0) - x[k * n + j];
            if (change == 0) continue;
            x[k * n + j] += change;
            if (!keep) x[k * n + j] = 0;
            changes[k * PANEL + at] = change;
            float step = change * (r->coupling ? r->coupling[(i + k) * ((size_t)r->rows + 1)] : 1);
            if (r->gram)
                for (size_t l = 0; l < width; l++)
                    left[k * PANEL + l] -= step * r->gram[j * n + first + l];
        }
    }
}

/* One sweep over rows that do not depend on each other. changes is rows x PANEL. */
static void sweep_rows(struct sn_rounding *r, struct sweep *sweep, float *changes)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns, block = (size_t)r->block;
    for (size_t first = 0; first < n; first += PANEL) {
        size_t end = smaller(n, first + PANEL);
        for (size_t i = 0; i < m; i += block)
            sweep_columns(r, sweep, i, smaller(block, m - i), first, end, changes + i * PANEL);
        if (r->gram)
            sn_gemm(0, 0, m, n, end - first, -1, changes, PANEL, r->gram + first * n, n, 1,
                    r->residual, n);
        else
            for (size_t i = 0; i < m; i++)
                cblas_saxpy((int)(end - first), -1, changes + i * PANEL, 1,
                            r->residual + i * n + first, 1);
    }
}

/* ---- Rows that depend on each other */

/* y -= factor x G for one row, or for the rows first .. first + count of G where x has only these.
 */
static void take_image(const struct sn_rounding *r, float factor, const float *x, size_t first,
                       size_t count, float *y)
{
    int n = r->columns;
    if (r->gram)
        cblas_sgemv(CblasRowMajor, CblasTrans, (int)count, n, -factor, r->gram + first * (size_t)n,
                    n, x, 1, 1, y, 1);
    else cblas_saxpy((int)count, -factor, x, 1, y + first, 1);
}

/* Sweeps one row whose residual is up to date, and fits its scale. change (columns) receives what
 * became of it, scratch has columns floats. */
static void sweep_row(struct sn_rounding *r, struct sweep *sweep, size_t i, float *change,
                      float *scratch)
{
    size_t n = (size_t)r->columns;
    float own = r->coupling[i * ((size_t)r->rows + 1)], *x = r->values + i * n;
    float *left = r->residual + i * n;
    for (size_t first = 0; first < n; first += PANEL) {
        size_t end = smaller(n, first + PANEL);
        float changes[PANEL];
        sweep_columns(r, sweep, i, 1, first, end, changes);
        memcpy(change + first, changes, (end - first) * sizeof *changes);
        take_image(r, own, changes, first, end - first, left);
    }
    if (r->bits == 32) return;
    memset(scratch, 0, n * sizeof *scratch);
    take_image(r, -1, x, 0, n, scratch);
    float e = growth(r->scales[i], cblas_dsdot((int)n, x, 1, left, 1),
                     (double)own * cblas_dsdot((int)n, x, 1, scratch, 1));
    r->scales[i] *= 1 + e;
    cblas_saxpy((int)n, e, x, 1, change, 1);
    cblas_saxpy((int)n, -e * own, scratch, 1, left, 1);
    for (size_t j = 0; j < n; j++) x[j] *= 1 + e;
}

/* One sweep, row after row. With D for the changes, a row takes those of the rows before it before
 * its turn, and those of the rows behind it when all are done. changes is rows x columns, scratch
 * has columns floats. */
static void sweep_coupled(struct sn_rounding *r, struct sweep *sweep, float *changes,
                          float *scratch)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns;
    for (size_t i = 0; i < m; i++) {
        const float *q = r->coupling + i * m;
        cblas_sgemv(CblasRowMajor, CblasTrans, (int)i, (int)n, 1, changes, (int)n, q, 1, 0, scratch,
                    1);
        if (i) take_image(r, 1, scratch, 0, n, r->residual + i * n);
        sweep_row(r, sweep, i, changes + i * n, scratch);
    }
    for (size_t i = 0; i < m; i++) {
        float *change = changes + i * n;
        if (i + 1 == m) memset(change, 0, n * sizeof *change);
        else
            cblas_sgemv(CblasRowMajor, CblasTrans, (int)(m - i - 1), (int)n, 1, change + n, (int)n,
                        r->coupling + i * m + i + 1, 1, 0, change, 1);
    }
    if (r->gram) sn_gemm(0, 0, m, n, n, -1, changes, n, r->gram, n, 1, r->residual, n);
    else cblas_saxpy((int)(m * n), -1, changes, 1, r->residual, 1);
}

/* ---- Prices */

enum { BINS = 1 << 16 }; /* of gains: the sign, exponent and 7 bits of a float */

static unsigned bin_of(double gain)
{
    float value = (float)fmax(gain, 0);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 16;
}

static double gain_of_bin(unsigned bin)
{
    uint32_t bits = bin << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return (double)value;
}

/* The gain of each block of rows in a column, all others as they are; only of those that are there
 * when kept is set. Calls visit for each. */
static void count_gains(const struct sn_rounding *r, int kept, size_t *bins)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns, block = (size_t)r->block;
    memset(bins, 0, BINS * sizeof *bins);
    for (size_t i = 0; i < m; i += block)
        for (size_t j = 0; j < n; j++) {
            size_t rows = smaller(block, m - i), at = i * n + j;
            int live = 0;
            for (size_t k = 0; k < rows; k++) live |= r->values[at + k * n] != 0;
            if (kept && !live) continue;
            struct choice choice = choose(r, i, rows, j, r->values + at, n, r->residual + at, n);
            bins[bin_of(choice.gain / (double)rows)]++;
        }
}

/* The gain that count entries, whole blocks, reach at most; 0 when there are fewer. */
static unsigned threshold(const struct sn_rounding *r, size_t count, const size_t *bins)
{
    size_t sum = 0, most = count / (size_t)r->block;
    for (unsigned bin = BINS - 1; bin > 0; bin--)
        if ((sum += bins[bin]) > most) return bin;
    return 0;
}

static size_t count_entries(const struct sn_rounding *r)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns, block = (size_t)r->block, count = 0;
    for (size_t i = 0; i < m; i += block)
        for (size_t j = 0; j < n; j++) {
            int live = 0;
            for (size_t k = i; k < smaller(m, i + block); k++) live |= r->values[k * n + j] != 0;
            count += live ? block : 0;
        }
    return count;
}

/* Drops the entries of least gain until count are left; residual follows. changes is rows x
 * columns, and image with a coupling. */
static void trim(struct sn_rounding *r, size_t count, size_t *bins, float *changes, float *image)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns, block = (size_t)r->block,
           excess = count_entries(r);
    if (excess <= count) return;
    excess = (excess - count + block - 1) / block;
    count_gains(r, 1, bins);
    unsigned bin = 0;
    size_t below = 0;
    while (bin < BINS - 1 && below + bins[bin] < excess) below += bins[bin++];
    size_t at_bin = excess - below;
    memset(changes, 0, m * n * sizeof *changes);
    for (size_t i = 0; i < m; i += block)
        for (size_t j = 0; j < n; j++) {
            size_t rows = smaller(block, m - i), at = i * n + j;
            int live = 0;
            for (size_t k = 0; k < rows; k++) live |= r->values[at + k * n] != 0;
            if (!live) continue;
            struct choice choice = choose(r, i, rows, j, r->values + at, n, r->residual + at, n);
            unsigned own = bin_of(choice.gain / (double)rows);
            if (own > bin || (own == bin && !at_bin)) continue;
            at_bin -= own == bin;
            for (size_t k = 0; k < rows; k++) {
                changes[at + k * n] = -r->values[at + k * n];
                r->values[at + k * n] = 0;
            }
        }
    float *values = r->values;
    r->values = changes;
    add_image(r, -1, image);
    r->values = values;
}

/* ---- The whole */

/* Scratch of one call. */
struct room {
    float *changes; /* rows x PANEL; rows x columns with a coupling or a count, and as much again
                     * behind it with both */
    float *image;   /* PANEL x (columns + PANEL) */
    size_t *bins;   /* with a count */
};

static int room_new(const struct sn_rounding *r, size_t count, struct room *room)
{
    size_t m = (size_t)r->rows, n = (size_t)r->columns, width = r->coupling || count ? n : PANEL;
    if (width < PANEL) width = PANEL;
    size_t copies = r->coupling && count ? 2 : 1;
    *room = (struct room){ .changes = malloc(copies * (m + MOST_ROWS) * width * sizeof(float)),
                           .image = malloc(PANEL * (n + PANEL) * sizeof(float)),
                           .bins = count ? malloc(BINS * sizeof *room->bins) : NULL };
    return room->changes && room->image && (room->bins || !count);
}

static void room_free(struct room *room)
{
    free(room->changes);
    free(room->image);
    free(room->bins);
}

/* Rounds X, errors carried on where rows do not depend on each other. */
static enum sn_status start(struct sn_rounding *r, struct room *room, struct sn_error *error)
{
    size_t n = (size_t)r->columns;
    float *u = NULL;
    if (r->bits == 32 || r->is_rounded) return SN_OK;
    sn_rounding_scales(r, room->image, room->image + n);
    if (r->gram && !r->coupling && !(u = malloc(n * n * sizeof *u)))
        return sn_no_memory(error, "the covariance of %zu inputs", n);
    if (u && !invert(r, u)) {
        free(u);
        u = NULL;
    }
    add_image(r, 1, room->changes);
    round_start(r, u, room->image);
    add_image(r, -1, room->changes);
    free(u);
    return SN_OK;
}

static void sweep_once(struct sn_rounding *r, struct sweep *sweep, struct room *room)
{
    sweep->count = 0;
    if (r->coupling) {
        sweep_coupled(r, sweep, room->changes, room->image);
        return;
    }
    if (r->bits < 32) rescale_rows(r, room->image);
    sweep_rows(r, sweep, room->changes);
}

static int is_stopped(const struct sn_rounding *r) { return r->stop && *r->stop; }

/* Sweeps at a price that follows the count, then drops what is still too much. */
static void choose_pattern(struct sn_rounding *r, size_t count, int sweeps, struct room *room)
{
    if (r->coupling) sweeps = 0;
    count_gains(r, 0, room->bins);
    struct sweep sweep = { .price = gain_of_bin(threshold(r, count, room->bins)) };
    for (int k = 0; k < sweeps && !is_stopped(r); k++) {
        sweep_once(r, &sweep, room);
        sweep.price *= fmin(1.5, fmax(.67, (double)sweep.count / (double)count));
    }
    trim(r, count, room->bins, room->changes, room->changes + (size_t)r->rows * (size_t)r->columns);
}

enum sn_status sn_round_rows(struct sn_rounding *r, size_t count, int sweeps,
                             struct sn_error *error)
{
    struct room room;
    struct sweep sweep = { .price = -1 };
    enum sn_status status = room_new(r, count, &room)
        ? start(r, &room, error)
        : sn_no_memory(error, "rounding %d x %d values", r->rows, r->columns);
    if (!status && count) choose_pattern(r, count, sweeps, &room);
    for (int k = 0; !status && k < (count ? (sweeps + 3) / 4 : sweeps) && !is_stopped(r); k++)
        sweep_once(r, &sweep, &room);
    room_free(&room);
    return status;
}
