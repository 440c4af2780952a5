/* PSM approximation of a dense matrix: the largest entries (one factor), or two factors: exactly, when the matrix is the
 * product of two sparse ones (psm_peel), else by PALM4MSA.
 *
 * PALM4MSA (Le Magoarou and Gribonval, Flexible multi-layer sparse approximations of matrices and applications, IEEE J.
 * Sel. Top. Signal Process. 10(4), 2016, fig. 4) minimises ||W - S_1 S_2||_F^2 by projected gradient steps in turn:
 *     S <- the k largest entries of  S - grad / L,   L the Lipschitz constant of the gradient.
 * Four things are this project's. The rows of S_2 (columns of S_1) have unit norm while S_1 (S_2) is stepped, so that
 * |entry|^2 is the energy that an entry carries and the k largest are the right ones. The start is exact, [W, I] or
 * [I, W], and k falls geometrically to its target, so that structure is found while the error is still small. Steps are
 * extrapolated (Pock and Sabach, iPALM, SIAM J. Imaging Sci. 9(4), 2016). And the values on the final pattern are
 * fitted by conjugate gradients, one factor after the other. */
#include "approx.h"
#include "psm.h"
#include "psm_peel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A sparse matrix by rows. */
struct sparse {
    int rows, columns;
    size_t *start;   /* rows+1 */
    int *column;
    float *value;
    size_t capacity;
};

/* One run of PALM: W ~ S_1 S_2, the factors dense for thresholding and sparse for multiplying. */
struct palm {
    const float *w;
    int m, n, inner;
    float *dense[2];      /* S_1 m x inner, S_2 inner x n */
    float *previous[2];   /* of one round before, in the same scaling */
    struct sparse sparse[2];
    struct sparse moved;  /* the factor being stepped, at the point of its gradient */
    float *residual;      /* m x n */
    float *gradient;      /* as large as the larger factor */
    float *point;         /* where the gradient is taken, as large */
    float *norms;         /* of the atoms, inner */
    double *vectors;      /* for the power iteration */
    size_t target[2];     /* nonzeros */
};

static enum sn_status no_memory(struct sn_error *error)
{
    return sn_fail(error, SN_NO_MEMORY, "out of memory for a PSM approximation");
}

/* ---- Sparse matrices ---- */

static int sparse_new(struct sparse *s, int rows, int columns, size_t capacity)
{
    *s = (struct sparse){ .rows = rows, .columns = columns, .capacity = capacity };
    s->start = calloc((size_t)rows + 1, sizeof *s->start);
    s->column = malloc((capacity + 1) * sizeof *s->column);
    s->value = malloc((capacity + 1) * sizeof *s->value);
    return s->start && s->column && s->value;
}

static void sparse_free(struct sparse *s)
{
    free(s->start);
    free(s->column);
    free(s->value);
    memset(s, 0, sizeof *s);
}

/* The nonzeros of a dense matrix. */
static void sparse_from(struct sparse *s, const float *dense)
{
    size_t count = 0;
    for (int i = 0; i < s->rows; i++, dense += s->columns) {
        for (int j = 0; j < s->columns; j++)
            if (dense[j] != 0) {
                s->column[count] = j;
                s->value[count++] = dense[j];
            }
        s->start[i + 1] = count;
    }
}

/* R = A B - W, or A B when W is NULL. Returns ||R||_F^2. */
static double multiply(const struct sparse *a, const struct sparse *b, const float *w, float *residual)
{
    double sum = 0;
    size_t n = (size_t)b->columns;
    for (int i = 0; i < a->rows; i++) {
        float *row = residual + (size_t)i * n;
        for (size_t j = 0; j < n; j++) row[j] = w ? -w[(size_t)i * n + j] : 0;
        for (size_t p = a->start[i]; p < a->start[i + 1]; p++) {
            float value = a->value[p];
            for (size_t q = b->start[a->column[p]]; q < b->start[a->column[p] + 1]; q++)
                row[b->column[q]] += value * b->value[q];
        }
        float energy = 0;
        for (size_t j = 0; j < n; j++) energy += row[j] * row[j];
        sum += (double)energy;
    }
    return sum;
}

/* sum_q row[column_q] value_q over row p of b. */
static float dot_row(const struct sparse *b, int p, const float *row)
{
    float sum = 0;
    for (size_t q = b->start[p]; q < b->start[p + 1]; q++) sum += row[b->column[q]] * b->value[q];
    return sum;
}

/* The largest eigenvalue of S^T S by power iteration, with a margin for its slow end; x[columns] and y[rows] are
 * scratch. */
static double norm_squared(const struct sparse *s, double *x, double *y)
{
    double norm = 1;
    for (int j = 0; j < s->columns; j++) x[j] = 1 + (j * 7919L % 101) / 101.;
    for (int iteration = 0; iteration < 12 && norm > 0; iteration++) {
        double before = 0;
        for (int j = 0; j < s->columns; j++) before += x[j] * x[j];
        for (int i = 0; i < s->rows; i++) {
            y[i] = 0;
            for (size_t p = s->start[i]; p < s->start[i + 1]; p++) y[i] += (double)s->value[p] * x[s->column[p]];
        }
        memset(x, 0, (size_t)s->columns * sizeof *x);
        for (int i = 0; i < s->rows; i++)
            for (size_t p = s->start[i]; p < s->start[i + 1]; p++) x[s->column[p]] += (double)s->value[p] * y[i];
        norm = 0;
        for (int j = 0; j < s->columns; j++) norm += x[j] * x[j];
        norm = sqrt(norm / before);
        for (int j = 0; j < s->columns && norm > 0; j++) x[j] /= norm;
    }
    return 1.02 * norm;
}

/* ---- Projection ---- */

static void swap_floats(float *a, float *b)
{
    float swap = *a;
    *a = *b;
    *b = swap;
}

/* The k-th largest of values[n], 1 <= k <= n, by Hoare's selection; reorders values. */
static float kth_largest(float *values, size_t n, size_t k)
{
    size_t low = 0, high = n - 1, target = k - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (values[middle] > values[low]) swap_floats(&values[middle], &values[low]);
        if (values[high] > values[low]) swap_floats(&values[high], &values[low]);
        if (values[middle] > values[high]) swap_floats(&values[middle], &values[high]);
        float pivot = values[high];
        size_t i = low, j = high;
        for (;;) {
            while (values[i] > pivot) i++;
            while (values[j] < pivot) j--;
            if (i >= j) break;
            swap_floats(&values[i++], &values[j--]);
        }
        if (target <= j) high = j;
        else low = j + 1;
    }
    return values[target];
}

/* Keeps the k entries of largest magnitude, ties by position; scratch holds n floats. */
static void keep_largest(float *values, size_t n, size_t k, float *scratch)
{
    if (k >= n) return;
    if (!k) {
        memset(values, 0, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) scratch[i] = fabsf(values[i]);
    float threshold = kth_largest(scratch, n, k);
    size_t above = 0;
    for (size_t i = 0; i < n; i++) above += fabsf(values[i]) > threshold;
    size_t ties = k - above;
    for (size_t i = 0; i < n; i++) {
        float magnitude = fabsf(values[i]);
        if (magnitude > threshold) continue;
        if (magnitude == threshold && ties) ties--;
        else values[i] = 0;
    }
}

/* ---- PALM with two factors ---- */

static size_t factor_size(const struct palm *palm, int f)
{
    return (size_t)palm->inner * (size_t)(f ? palm->n : palm->m);
}

static void palm_free(struct palm *palm)
{
    for (int f = 0; f < 2; f++) {
        free(palm->dense[f]);
        free(palm->previous[f]);
        sparse_free(&palm->sparse[f]);
    }
    sparse_free(&palm->moved);
    free(palm->residual);
    free(palm->gradient);
    free(palm->point);
    free(palm->norms);
    free(palm->vectors);
    memset(palm, 0, sizeof *palm);
}

static int palm_new(struct palm *palm, const float *w, int m, int n, int inner)
{
    *palm = (struct palm){ .w = w, .m = m, .n = n, .inner = inner };
    size_t largest = factor_size(palm, m < n), sides = (size_t)m + (size_t)n + (size_t)inner;
    int fine = 1;
    for (int f = 0; f < 2; f++) {
        palm->dense[f] = calloc(factor_size(palm, f), sizeof(float));
        palm->previous[f] = calloc(factor_size(palm, f), sizeof(float));
        fine &= sparse_new(&palm->sparse[f], f ? inner : m, f ? n : inner, factor_size(palm, f));
        fine &= palm->dense[f] && palm->previous[f];
    }
    fine &= sparse_new(&palm->moved, m > inner ? m : inner, n > inner ? n : inner, largest);
    palm->residual = malloc((size_t)m * (size_t)n * sizeof(float));
    palm->gradient = malloc(largest * sizeof(float));
    palm->point = malloc(largest * sizeof(float));
    palm->norms = malloc((size_t)inner * sizeof(float));
    palm->vectors = malloc(sides * sizeof(double));
    return fine && palm->residual && palm->gradient && palm->point && palm->norms && palm->vectors;
}

/* Start: S_1 = W, S_2 = I (wide 1) or S_1 = I, S_2 = W (wide 0). */
static void palm_start(struct palm *palm, int identity)
{
    int width = identity ? palm->n : palm->m;
    memcpy(palm->dense[!identity], palm->w, factor_size(palm, !identity) * sizeof(float));
    memset(palm->dense[identity], 0, factor_size(palm, identity) * sizeof(float));
    for (int i = 0; i < width; i++) palm->dense[identity][(size_t)i * (size_t)width + (size_t)i] = 1;
    for (int f = 0; f < 2; f++) {
        memcpy(palm->previous[f], palm->dense[f], factor_size(palm, f) * sizeof(float));
        sparse_from(&palm->sparse[f], palm->dense[f]);
    }
}

/* norms[p] = the norm of row p of S_2 (f 1) or of column p of S_1 (f 0); 1 for an atom that is not used. */
static void atom_norms(struct palm *palm, int f)
{
    const struct sparse *s = &palm->sparse[f];
    for (int p = 0; p < palm->inner; p++) palm->norms[p] = 0;
    for (int i = 0; i < s->rows; i++)
        for (size_t q = s->start[i]; q < s->start[i + 1]; q++)
            palm->norms[f ? i : s->column[q]] += s->value[q] * s->value[q];
    for (int p = 0; p < palm->inner; p++) palm->norms[p] = palm->norms[p] > 0 ? sqrtf(palm->norms[p]) : 1;
}

/* Multiplies or divides row p of S_2 (f 1) or column p of S_1 (f 0) by norms[p]. */
static void scale_atoms(const struct palm *palm, int f, float *dense, int divide)
{
    int rows = f ? palm->inner : palm->m, columns = f ? palm->n : palm->inner;
    for (int i = 0; i < rows; i++, dense += columns)
        for (int j = 0; j < columns; j++) {
            float norm = palm->norms[f ? i : j];
            dense[j] = divide ? dense[j] / norm : dense[j] * norm;
        }
}

/* Gives the atoms of factor 1-f unit norm; S_1 S_2 stays. */
static void normalise_other(struct palm *palm, int f)
{
    atom_norms(palm, 1 - f);
    scale_atoms(palm, 1 - f, palm->dense[1 - f], 1);
    scale_atoms(palm, 1 - f, palm->previous[1 - f], 1);
    scale_atoms(palm, f, palm->dense[f], 0);
    scale_atoms(palm, f, palm->previous[f], 0);
    sparse_from(&palm->sparse[1 - f], palm->dense[1 - f]);
}

/* gradient = R S_2^T (f 0) or S_1^T R (f 1). */
static void full_gradient(struct palm *palm, int f)
{
    const struct sparse *other = &palm->sparse[1 - f];
    size_t n = (size_t)palm->n;
    if (f) memset(palm->gradient, 0, factor_size(palm, 1) * sizeof(float));
    for (int i = 0; i < palm->m; i++) {
        const float *row = palm->residual + (size_t)i * n;
        if (!f) {
            for (int p = 0; p < palm->inner; p++)
                palm->gradient[(size_t)i * (size_t)palm->inner + (size_t)p] = dot_row(other, p, row);
            continue;
        }
        for (size_t q = other->start[i]; q < other->start[i + 1]; q++) {
            float value = other->value[q], *sum = palm->gradient + (size_t)other->column[q] * n;
            for (size_t j = 0; j < n; j++) sum[j] += value * row[j];
        }
    }
}

/* S_f <- the k largest of Y - grad(Y)/L at Y = S_f + momentum (S_f - previous). */
static void palm_step(struct palm *palm, int f, size_t k, float momentum)
{
    size_t size = factor_size(palm, f);
    normalise_other(palm, f);
    for (size_t i = 0; i < size; i++)
        palm->point[i] = palm->dense[f][i] + momentum * (palm->dense[f][i] - palm->previous[f][i]);
    palm->moved.rows = palm->sparse[f].rows;
    palm->moved.columns = palm->sparse[f].columns;
    sparse_from(&palm->moved, palm->point);
    multiply(f ? &palm->sparse[0] : &palm->moved, f ? &palm->moved : &palm->sparse[1], palm->w, palm->residual);
    full_gradient(palm, f);
    const struct sparse *other = &palm->sparse[1 - f];
    double norm = norm_squared(other, palm->vectors, palm->vectors + other->columns);
    float step = norm > 0 ? (float)(1 / norm) : 0;
    float *next = palm->previous[f];
    palm->previous[f] = palm->dense[f];
    palm->dense[f] = next;
    for (size_t i = 0; i < size; i++) next[i] = palm->point[i] - step * palm->gradient[i];
    keep_largest(next, size, k, palm->gradient);
    sparse_from(&palm->sparse[f], next);
}

/* ---- Fitting the values on a fixed pattern ---- */

/* out[q] = the gradient of factor f at its stored entries, for the residual R. */
static void pattern_gradient(const struct palm *palm, int f, float *out)
{
    const struct sparse *a = &palm->sparse[0], *b = &palm->sparse[1];
    size_t n = (size_t)palm->n;
    if (f) memset(out, 0, b->start[b->rows] * sizeof *out);
    for (int i = 0; i < palm->m; i++) {
        const float *row = palm->residual + (size_t)i * n;
        for (size_t p = a->start[i]; p < a->start[i + 1]; p++) {
            int atom = a->column[p];
            if (!f) out[p] = dot_row(b, atom, row);
            else
                for (size_t q = b->start[atom]; q < b->start[atom + 1]; q++) out[q] += a->value[p] * row[b->column[q]];
        }
    }
}

/* min over the values of factor f of ||W - S_1 S_2||_F^2 by conjugate gradients on the normal equations (CGLS). The
 * images of the directions are formed in gradient-sized scratch, product (m x n). Returns the squared error. */
static double refit_factor(struct palm *palm, int f, int n_steps, float *product)
{
    struct sparse *s = &palm->sparse[f], direction = *s;
    size_t count = s->start[s->rows], size = (size_t)palm->m * (size_t)palm->n;
    float *g = palm->gradient, *d = palm->point;
    double error = multiply(&palm->sparse[0], &palm->sparse[1], palm->w, palm->residual), before = 0;
    direction.value = d;
    for (int step = 0; step < n_steps; step++) {
        pattern_gradient(palm, f, g);
        double now = 0;
        for (size_t q = 0; q < count; q++) now += (double)g[q] * (double)g[q];
        if (!(now > 0)) break;
        float beta = step ? (float)(now / before) : 0;
        for (size_t q = 0; q < count; q++) d[q] = (step ? beta * d[q] : 0) - g[q];
        double curvature = multiply(f ? &palm->sparse[0] : &direction, f ? &direction : &palm->sparse[1], NULL, product);
        if (!(curvature > 0)) break;
        double slope = 0;
        for (size_t q = 0; q < count; q++) slope -= (double)g[q] * (double)d[q];
        float alpha = (float)(slope / curvature);
        for (size_t q = 0; q < count; q++) s->value[q] += alpha * d[q];
        for (size_t i = 0; i < size; i++) palm->residual[i] += alpha * product[i];
        error -= slope * slope / curvature;
        before = now;
    }
    return error;
}

/* Makes column p of S_1 and row p of S_2 equally long, on the sparse form. */
static void balance(struct palm *palm)
{
    struct sparse *a = &palm->sparse[0], *b = &palm->sparse[1];
    atom_norms(palm, 1);
    float *row_norms = palm->point;
    memcpy(row_norms, palm->norms, (size_t)palm->inner * sizeof *row_norms);
    atom_norms(palm, 0);
    for (int p = 0; p < palm->inner; p++) palm->norms[p] = sqrtf(palm->norms[p] / row_norms[p]);
    for (size_t q = 0; q < a->start[a->rows]; q++) a->value[q] /= palm->norms[a->column[q]];
    for (int p = 0; p < b->rows; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++) b->value[q] *= palm->norms[p];
}

static double refit(struct palm *palm, int n_rounds, int n_steps, float *product)
{
    double error = 0;
    for (int round = 0; round < n_rounds; round++) {
        balance(palm);
        for (int f = 0; f < 2; f++) error = refit_factor(palm, f, n_steps, product);
    }
    return error;
}

/* n_rounds of steps; for the first part of them the dense start's count falls geometrically to the targets. */
static double palm_run(struct palm *palm, int identity, int n_rounds, float *product)
{
    double last = INFINITY;
    int fall = n_rounds * 3 / 5, age = 0;
    palm_start(palm, identity);
    size_t dense = factor_size(palm, !identity);
    for (int round = 0; round < n_rounds; round++) {
        double left = round < fall ? 1 - (round + 1.) / fall : 0;
        for (int i = 0; i < 2; i++) {
            int f = i ^ !identity;  /* The full factor first: the identity has no slope yet. */
            double k = (double)palm->target[f];
            if (f != identity && k < (double)dense) k *= pow((double)dense / k, left * .6);
            palm_step(palm, f, (size_t)k, age > 0 ? .9f * (float)age / (float)(age + 3) : 0);
        }
        double error = multiply(&palm->sparse[0], &palm->sparse[1], palm->w, product);
        age = left > 0 || error <= last ? age + 1 : 0;
        last = error;
    }
    return last;
}

/* ---- From factors to the result ---- */

/* Turns J sparse factors into a PSM matrix and its words. */
static enum sn_status build(const struct sparse *factors, int n_factors, const float *dense, struct sn_fit *fit,
                            struct sn_error *error)
{
    int sizes[3] = { factors[0].rows }, nonzeros[2];
    for (int j = 0; j < n_factors; j++) {
        sizes[j + 1] = factors[j].columns;
        nonzeros[j] = (int)factors[j].start[factors[j].rows];
    }
    struct psm_layout layout = { .n_factors = n_factors, .sizes = sizes, .nonzeros = nonzeros };
    struct psm *shape = psm_new(&layout, error);
    if (!shape) return error->code;
    fit->matrix = &shape->matrix;
    fit->words = calloc(shape->matrix.n_words + 1, sizeof *fit->words);
    if (!fit->words) {
        sn_fit_free(fit);
        return no_memory(error);
    }
    uint32_t *starts = shape->row_starts, *columns = shape->columns;
    float *values = fit->words;
    for (int j = 0; j < n_factors; j++) {
        for (int i = 0; i <= sizes[j]; i++) *starts++ = (uint32_t)factors[j].start[i];
        for (int p = 0; p < nonzeros[j]; p++) {
            *columns++ = (uint32_t)factors[j].column[p];
            *values++ = factors[j].value[p];
        }
    }
    psm_pack(shape, fit->words);
    if (!sn_fit_measure(fit, dense, NULL, error)) return SN_OK;
    sn_fit_free(fit);
    return error->code;
}

/* The most nonzeros of one m x n factor within the budget; 0 when not even one fits. */
static size_t most_nonzeros(int m, int n, size_t budget)
{
    size_t each = n <= 65536 ? 6 : 8, fixed = psm_factor_bytes(m, n, 0, 0, 0), entries = (size_t)m * (size_t)n;
    size_t count = budget > fixed ? (budget - fixed) / each : 0;
    if (count > entries) count = entries;
    if (count > INT32_MAX / each) count = INT32_MAX / each;
    while (count && psm_factor_bytes(m, n, count, 0, 0) > budget) count--;  /* The padding. */
    return count;
}

static enum sn_status fit_one_factor(const float *dense, int m, int n, size_t budget, struct sn_fit *fit,
                                     struct sn_error *error)
{
    size_t entries = (size_t)m * (size_t)n, count = most_nonzeros(m, n, budget);
    if (!count)
        return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold one nonzero of %d x %d, expected at least %zu",
                       budget, m, n, psm_factor_bytes(m, n, 1, 0, 0));
    enum sn_status status = SN_OK;
    struct sparse factor = { 0 };
    float *kept = malloc(entries * sizeof *kept), *scratch = malloc(entries * sizeof *scratch);
    if (!kept || !scratch || !sparse_new(&factor, m, n, count)) status = no_memory(error);
    else {
        memcpy(kept, dense, entries * sizeof *kept);
        keep_largest(kept, entries, count, scratch);
        sparse_from(&factor, kept);
        status = build(&factor, 1, dense, fit, error);
    }
    free(kept);
    free(scratch);
    sparse_free(&factor);
    return status;
}

/* Keeps the rows (rows 1) or the columns (rows 0) p with number[p] >= 0, under that number. */
static void renumber(struct sparse *s, int rows, const int *number, int n_left)
{
    size_t count = 0, start = 0;
    int row = 0;
    for (int i = 0; i < s->rows; i++) {
        size_t end = s->start[i + 1];
        for (size_t q = start; q < end && !(rows && number[i] < 0); q++) {
            int column = rows ? s->column[q] : number[s->column[q]];
            if (column < 0) continue;
            s->column[count] = column;
            s->value[count++] = s->value[q];
        }
        if (!rows || number[i] >= 0) s->start[++row] = count;
        start = end;
    }
    *(rows ? &s->rows : &s->columns) = n_left;
}

/* Leaves out the atoms that have no entry on one of their sides; one atom stays, so that the product has a shape. */
static void drop_unused_atoms(struct palm *palm, int *number)
{
    struct sparse *a = &palm->sparse[0], *b = &palm->sparse[1];
    int n_left = 0;
    for (int p = 0; p < palm->inner; p++) number[p] = 0;
    for (size_t q = 0; q < a->start[a->rows]; q++) number[a->column[q]] = 1;
    for (int p = 0; p < palm->inner; p++) number[p] = number[p] && b->start[p + 1] > b->start[p] ? n_left++ : -1;
    if (!n_left) number[n_left++] = 0;
    renumber(a, 0, number, n_left);
    renumber(b, 1, number, n_left);
}

/* How a run starts and how the budget is divided. */
struct split {
    int identity;  /* the factor that starts as the identity: 1 for [W, I], 0 for [I, W] */
    double share;  /* of the bytes, that goes to it */
};

/* Sets the targets. 0 when the budget does not hold the row lengths and two nonzeros. */
static int set_targets(struct palm *palm, struct split split, size_t budget)
{
    size_t each[2] = { palm->inner <= 65536 ? 6 : 8, palm->n <= 65536 ? 6 : 8 };
    size_t fixed = psm_factor_bytes(palm->m, palm->inner, 0, 0, 0) +
                   psm_factor_bytes(palm->inner, palm->n, 0, 0, 0) + 4;
    int thin = split.identity, full = !split.identity;
    if (budget < fixed + each[0] + each[1]) return 0;
    double bytes = fmin((double)(budget - fixed), INT32_MAX / 2), count[2];
    count[thin] = fmin(fmax(1, floor(split.share * bytes / (double)each[thin])), (double)factor_size(palm, thin));
    bytes -= count[thin] * (double)each[thin];
    count[full] = fmin(floor(bytes / (double)each[full]), (double)factor_size(palm, full));
    for (int f = 0; f < 2; f++) palm->target[f] = (size_t)count[f];
    return count[full] >= 1;
}

/* Runs PALM for one split. Returns the squared error before the values are refitted, or infinity. */
static double try_split(struct palm *palm, struct split split, size_t budget, int n_rounds, float *product)
{
    return set_targets(palm, split, budget) ? palm_run(palm, split.identity, n_rounds, product) : INFINITY;
}

static void report(const struct sn_fit_options *options, double done, double squared_error, double energy)
{
    if (options->progress && squared_error < INFINITY)
        options->progress(options->context, done, sqrt(fmax(0, squared_error) / energy));
}

/* Whether a run with that inner size is worth its memory: its factor with the identity takes inner^2 entries. */
static int affordable(int m, int n, int inner) { return (double)inner * inner <= 4. * m * n || inner <= 256; }

/* The best of a few splits by short runs. A start without an inner size is left out. */
static struct split choose_split(const struct sn_fit_options *options, struct palm palms[2], float *product,
                                 double energy)
{
    enum { ROUNDS = 12, N_SPLITS = 6 };
    static const struct split splits[N_SPLITS] = { { 1, .2 }, { 0, .2 }, { 1, .35 }, { 0, .35 }, { 1, .1 }, { 0, .1 } };
    struct split best = splits[!palms[1].inner];
    double least = INFINITY, by_start[2] = { INFINITY, INFINITY };
    for (int i = 0; i < N_SPLITS; i++) {
        int start = splits[i].identity;
        if (!palms[start].inner) continue;
        if (i >= 2 && by_start[start] > 1.02 * by_start[!start]) continue;  /* The other start is clearly better. */
        double error = try_split(&palms[start], splits[i], options->budget_bytes, ROUNDS, product);
        by_start[start] = fmin(by_start[start], error);
        if (error < least) {
            least = error;
            best = splits[i];
        }
        report(options, .4 * (i + 1) / N_SPLITS, least, energy);
    }
    return best;
}

/* Bytes of the two factors, of the row lengths alone when they are taken as empty. */
static size_t palm_bytes(const struct palm *palm, int empty)
{
    size_t bytes = 0;
    for (int f = 0; f < 2; f++) {
        const struct sparse *s = &palm->sparse[f];
        bytes += psm_factor_bytes(s->rows, s->columns, empty ? 0 : s->start[s->rows], 0, 0);
    }
    return bytes;
}

/* Lets PALM take entries from factors that are larger than the budget. */
static void shrink(struct palm *palm, size_t budget, float *product)
{
    enum { ROUNDS = 10, REFIT_ROUNDS = 4, REFIT_STEPS = 6 };
    double fixed = (double)palm_bytes(palm, 1), bytes = (double)palm_bytes(palm, 0);
    double left = ((double)budget - fixed - 8) / (bytes - fixed);  /* 8: the padding. */
    if (left <= 0) return;
    for (int f = 0; f < 2; f++) {
        palm->target[f] = (size_t)(left * (double)palm->sparse[f].start[palm->sparse[f].rows]);
        memcpy(palm->previous[f], palm->dense[f], factor_size(palm, f) * sizeof(float));
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int f = 0; f < 2; f++) palm_step(palm, f, palm->target[f], 0);
    refit(palm, REFIT_ROUNDS, REFIT_STEPS, product);
}

/* The factors of a product that psm_peel found: atom p is column p of S_1 and row p of S_2. */
static void palm_from_atoms(struct palm *palm, const struct psm_atoms *atoms)
{
    size_t m = (size_t)atoms->m, length = m + (size_t)atoms->n, inner = (size_t)atoms->n_atoms;
    for (size_t p = 0; p < inner; p++) {
        for (size_t i = 0; i < m; i++) palm->dense[0][i * inner + p] = (float)atoms->sides[p * length + i];
        for (size_t j = m; j < length; j++)
            palm->dense[1][p * (length - m) + j - m] = (float)atoms->sides[p * length + j];
    }
    for (int f = 0; f < 2; f++) sparse_from(&palm->sparse[f], palm->dense[f]);
}

/* The bytes that the atoms of a product take as two factors. */
static size_t atoms_bytes(const struct psm_atoms *atoms)
{
    size_t nonzeros[2] = { 0 }, m = (size_t)atoms->m, length = m + (size_t)atoms->n;
    for (size_t p = 0; p < (size_t)atoms->n_atoms; p++)
        for (size_t k = 0; k < length; k++) nonzeros[k >= m] += atoms->sides[p * length + k] != 0;
    return psm_factor_bytes(atoms->m, atoms->n_atoms, nonzeros[0], 0, 0) +
           psm_factor_bytes(atoms->n_atoms, atoms->n, nonzeros[1], 0, 0);
}

/* Atoms whose sum is W, as few bytes of them as several searches find; the first that fit into the budget do. The
 * searches of a large matrix, which take seconds, are fewer. */
static enum psm_peel_result find_atoms(const float *dense, int m, int n, size_t budget, struct psm_atoms *best)
{
    unsigned n_searches = (unsigned)fmin(40, 1 + 4e5 / ((double)m * n));
    enum psm_peel_result result = psm_blocks(dense, m, n, best);
    for (unsigned seed = 0; seed < n_searches && result != PSM_PEEL_NO_MEMORY; seed++) {
        struct psm_atoms atoms;
        if (result == PSM_PEEL_WHOLE && atoms_bytes(best) <= budget) break;
        enum psm_peel_result one = psm_peel(dense, m, n, seed, &atoms);
        if (one == PSM_PEEL_NO_MEMORY || result == PSM_PEEL_NONE
            || (one == PSM_PEEL_WHOLE && atoms_bytes(&atoms) < atoms_bytes(best))) {
            psm_atoms_free(best);
            *best = atoms;
            result = one;
        } else psm_atoms_free(&atoms);
        if (one == PSM_PEEL_NONE) break;
    }
    return result;
}

/* The fit that a product of sparse matrices allows, when W is found to be one; else fit->matrix stays NULL. */
static enum sn_status fit_product(const float *dense, int m, int n, size_t budget, struct sn_fit *fit,
                                  struct sn_error *error)
{
    struct psm_atoms atoms;
    struct palm palm = { 0 };
    enum sn_status status = SN_OK;
    float *product = NULL;
    int *number = NULL;
    enum psm_peel_result found = find_atoms(dense, m, n, budget, &atoms);
    if (found == PSM_PEEL_NONE) goto done;
    if (found == PSM_PEEL_WHOLE) {
        product = malloc((size_t)m * (size_t)n * sizeof *product);
        number = malloc((size_t)atoms.n_atoms * sizeof *number);
    }
    if (!product || !number || !palm_new(&palm, dense, m, n, atoms.n_atoms)) {
        status = no_memory(error);
        goto done;
    }
    palm_from_atoms(&palm, &atoms);
    if (palm_bytes(&palm, 0) > budget) shrink(&palm, budget, product);
    balance(&palm);
    drop_unused_atoms(&palm, number);
    if (palm_bytes(&palm, 0) <= budget) status = build(palm.sparse, 2, dense, fit, error);
done:
    palm_free(&palm);
    psm_atoms_free(&atoms);
    free(product);
    free(number);
    return status;
}

/* *fit <- the one with the smaller error; the other is freed. */
static void keep_better(struct sn_fit *fit, struct sn_fit *other)
{
    if (other->matrix && (!fit->matrix || other->error < fit->error)) {
        struct sn_fit worse = *fit;
        *fit = *other;
        *other = worse;
    }
    sn_fit_free(other);
}

/* PALM from the better start and split. */
static enum sn_status fit_palm(const float *dense, int m, int n, const struct sn_fit_options *options,
                               struct sn_fit *fit, struct sn_error *error)
{
    enum { ROUNDS = 60, REFIT_ROUNDS = 8, REFIT_STEPS = 6 };
    struct palm palms[2] = { { 0 } };
    enum sn_status status = SN_OK;
    double energy = 0;
    size_t entries = (size_t)m * (size_t)n;
    float *product = malloc(entries * sizeof *product);
    int *number = malloc((size_t)(m > n ? m : n) * sizeof *number);
    for (size_t i = 0; i < entries; i++) energy += (double)dense[i] * (double)dense[i];
    /* The inner size is m for the start [I, W], n for [W, I]. */
    if (!product || !number || (affordable(m, n, m) && !palm_new(&palms[0], dense, m, n, m))
        || (affordable(m, n, n) && !palm_new(&palms[1], dense, m, n, n))) {
        status = no_memory(error);
        goto done;
    }
    struct split split = choose_split(options, palms, product, energy);
    struct palm *palm = &palms[split.identity];
    if (try_split(palm, split, options->budget_bytes, ROUNDS, product) == INFINITY) {
        status = sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold two sparse factors of %d x %d",
                         options->budget_bytes, m, n);
        goto done;
    }
    report(options, .9, refit(palm, REFIT_ROUNDS, REFIT_STEPS, product), energy);
    balance(palm);
    drop_unused_atoms(palm, number);
    status = build(palm->sparse, 2, dense, fit, error);
done:
    palm_free(&palms[0]);
    palm_free(&palms[1]);
    free(product);
    free(number);
    return status;
}

/* PALM, unless W is a product. A budget that is too small for PALM leaves the product that was found. */
static enum sn_status fit_two_factors(const float *dense, int m, int n, const struct sn_fit_options *options,
                                      struct sn_fit *fit, struct sn_error *error)
{
    struct sn_fit other = { 0 };
    enum sn_status status = fit_product(dense, m, n, options->budget_bytes, fit, error);
    if (status || (fit->matrix && fit->error < 1e-6)) return status;
    status = fit_palm(dense, m, n, options, &other, error);
    keep_better(fit, &other);
    if (status == SN_BAD_INPUT && fit->matrix) status = SN_OK;
    if (status) sn_fit_free(fit);
    return status;
}

static enum sn_status check_finite(const float *dense, int m, int n, struct sn_error *error)
{
    for (size_t i = 0; i < (size_t)m * (size_t)n; i++)
        if (!isfinite(dense[i]))
            return sn_fail(error, SN_BAD_INPUT, "row %zu, column %zu: found %g, expected a finite number",
                           i / (size_t)n, i % (size_t)n, (double)dense[i]);
    return SN_OK;
}

/* One factor, two, or the better of both. */
static enum sn_status fit_factors(const float *dense, int m, int n, const struct sn_fit_options *options,
                                  struct sn_fit *fit, struct sn_error *error)
{
    struct sn_fit other = { 0 };
    if (options->n_factors == 2) return fit_two_factors(dense, m, n, options, fit, error);
    enum sn_status status = fit_one_factor(dense, m, n, options->budget_bytes, fit, error);
    if (status || options->n_factors == 1 || fit->error == 0) return status;
    /* A budget that is too small for two factors leaves the one. */
    status = fit_two_factors(dense, m, n, options, &other, error);
    keep_better(fit, &other);
    if (status != SN_NO_MEMORY) return SN_OK;
    sn_fit_free(fit);
    return status;
}

enum sn_status psm_fit(const float *dense, int n_outputs, int n_inputs, const struct sn_fit_options *options,
                       struct sn_fit *fit, struct sn_error *error)
{
    struct sn_error local = { 0 };
    error = error ? error : &local;
    memset(fit, 0, sizeof *fit);
    enum sn_status status = check_finite(dense, n_outputs, n_inputs, error);
    if (status) return status;
    if (options->n_factors > 2)
        return sn_fail(error, SN_BAD_INPUT, "psm: %d factors, expected 1 or 2", options->n_factors);
    /* Sums of squares are formed in float32: the largest entry is brought near 1, by a power of two, which is exact. */
    size_t entries = (size_t)n_outputs * (size_t)n_inputs;
    float *scaled = malloc(entries * sizeof *scaled), largest = 0;
    int exponent;
    if (!scaled) return no_memory(error);
    for (size_t i = 0; i < entries; i++) largest = fmaxf(largest, fabsf(dense[i]));
    frexpf(largest, &exponent);
    for (size_t i = 0; i < entries; i++) scaled[i] = ldexpf(dense[i], -exponent);
    status = fit_factors(scaled, n_outputs, n_inputs, options, fit, error);
    if (!status) {
        size_t leftmost = (size_t)((struct psm *)fit->matrix)->nonzeros[0];
        for (size_t q = 0; q < leftmost; q++) fit->words[q] = ldexpf(fit->words[q], exponent);
    }
    free(scaled);
    return status;
}
