#include "palm.h"
#include "weighting.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

size_t palm_size(const struct palm *palm, int f)
{
    return (size_t)palm->inner * (size_t)(f == PALM_A ? palm->m : palm->n);
}

static int line_length(const struct palm *palm, int f) { return f == PALM_A ? palm->m : palm->n; }

/* ---- Projection ---- */

/* The rows of the leftmost factor run along the lines of A, or of B when the problem is flipped. */
void palm_project(struct palm *palm, int f, float *values, size_t k)
{
    int leftmost = (f == PALM_A) != palm->flip;
    psm_keep(values, (size_t)palm->inner, (size_t)line_length(palm, f), palm->pattern, !leftmost,
             (size_t)palm->block, k, palm->residual);
}

/* ---- Memory ---- */

static int lines_new(struct palm_lines *lines, size_t inner, size_t most)
{
    lines->start = calloc(inner + 1, sizeof *lines->start);
    lines->column = malloc((most + 1) * sizeof *lines->column);
    lines->value = malloc((most + 1) * sizeof *lines->value);
    return lines->start && lines->column && lines->value;
}

static void lines_free(struct palm_lines *lines)
{
    free(lines->start);
    free(lines->column);
    free(lines->value);
    *lines = (struct palm_lines){ 0 };
}

/* The columns of W. */
static size_t n_columns(const struct palm *palm)
{
    return (size_t)(palm->flip ? palm->m : palm->n);
}

static int allocate(struct palm *palm, size_t most_b)
{
    size_t a = palm_size(palm, PALM_A), b = palm_size(palm, PALM_B),
           w = (size_t)palm->m * (size_t)palm->n;
    size_t inner = (size_t)palm->inner, longest = (size_t)(palm->m > palm->n ? palm->m : palm->n),
           larger = a > b ? a : b;
    size_t filter = sn_filter_size((int)n_columns(palm)),
           widest = longest > inner ? longest : inner;
    /* The residual is the scratch of projections too, which count blocks. */
    size_t blocks_of_larger = (palm->block > 1 ? larger / (size_t)palm->block : 0) + widest;
    most_b = most_b < inner ? inner : most_b > b ? b : most_b; /* It starts as the identity. */
    float **blocks[] = { &palm->target,     &palm->a,         &palm->a_previous, &palm->residual,
                         &palm->dense,      &palm->vector[0], &palm->vector[1],  &palm->product[0],
                         &palm->product[1], &palm->norms,     &palm->line };
    /* The previous A is where palm_refit keeps a direction, of either factor. */
    size_t counts[] = { w,
                        a,
                        a > most_b ? a : most_b,
                        w > blocks_of_larger ? w : blocks_of_larger,
                        larger > w ? larger : w,
                        inner,
                        inner,
                        (size_t)palm->m,
                        (size_t)palm->n,
                        inner,
                        2 * widest };
    int fine = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fine &= (*blocks[i] = calloc(counts[i], sizeof(float))) != NULL;
    if (palm->weighting)
        fine &= (palm->weighted = malloc((filter > w ? filter : w) * sizeof(float))) != NULL;
    return fine && lines_new(&palm->b, inner, most_b)
        && lines_new(&palm->b_previous, inner, most_b);
}

void palm_free(struct palm *palm)
{
    float *const blocks[] = { palm->scale,     palm->target,     palm->a,          palm->a_previous,
                              palm->residual,  palm->dense,      palm->weighted,   palm->vector[0],
                              palm->vector[1], palm->product[0], palm->product[1], palm->norms,
                              palm->line };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    lines_free(&palm->b);
    lines_free(&palm->b_previous);
    memset(palm, 0, sizeof *palm);
}

void palm_end(struct palm *palm)
{
    float **const blocks[] = { &palm->target, &palm->a_previous, &palm->residual, &palm->weighted };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        free(*blocks[i]);
        *blocks[i] = NULL;
    }
}

static int take_weighting(struct palm *palm, const struct sn_weighting *weighting, size_t n)
{
    if (!(palm->scale = malloc(n * sizeof *palm->scale))) return 0;
    for (size_t j = 0; j < n; j++)
        palm->scale[j] = weighting ? sqrtf(weighting->moment[j * n + j]) : 1;
    palm->weighting = weighting;
    return 1;
}

/* W^T of the problem, scaled, n x m. */
static void take_w(const struct palm *palm, float *w)
{
    enum { TOGETHER = 16 }; /* rows at a time, which share the cache lines that are written */
    size_t columns = n_columns(palm), rows = (size_t)(palm->flip ? palm->n : palm->m);
    size_t step_i = palm->flip ? columns : 1, step_j = palm->flip ? 1 : rows;
    for (size_t first = 0; first < rows; first += TOGETHER)
        for (size_t j = 0; j < columns; j++)
            for (size_t i = first; i < rows && i < first + TOGETHER; i++)
                w[i * step_i + j * step_j] = palm->source[i * columns + j] * palm->scale[j];
}

int palm_new(struct palm *palm, const struct palm_task *task)
{
    *palm = (struct palm){ .m = task->flip ? task->columns : task->rows,
                           .n = task->flip ? task->rows : task->columns,
                           .flip = task->flip,
                           .block = task->block,
                           .pattern = task->pattern,
                           .source = task->w };
    palm->inner = task->inner ? task->inner : palm->n;
    if (!take_weighting(palm, task->weighting, (size_t)task->columns)
        || !allocate(palm, task->most_b)) {
        palm_free(palm);
        return 0;
    }
    take_w(palm, palm->target);
    for (int p = 0; p < palm->inner; p++)
        for (int f = 0; f < 2; f++) palm->vector[f][p] = 1 + (float)(p * 7919L % 101) / 101;
    return 1;
}

/* ---- Forms of B ---- */

/* dense += factor times the entries of lines. */
static void add_lines(const struct palm *palm, const struct palm_lines *lines, float factor,
                      float *dense)
{
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = lines->start[p]; q < lines->start[p + 1]; q++)
            dense[p * (size_t)palm->n + (size_t)lines->column[q]] += factor * lines->value[q];
}

float *palm_dense(struct palm *palm, int f)
{
    if (f == PALM_A) return palm->a;
    memset(palm->dense, 0, palm_size(palm, PALM_B) * sizeof(float));
    add_lines(palm, &palm->b, 1, palm->dense);
    return palm->dense;
}

void palm_take_b(struct palm *palm)
{
    size_t count = 0;
    const float *row = palm->dense;
    for (int p = 0; p < palm->inner; p++, row += palm->n) {
        for (int j = 0; j < palm->n; j++)
            if (row[j] != 0) {
                palm->b.column[count] = j;
                palm->b.value[count++] = row[j];
            }
        palm->b.start[p + 1] = count;
    }
}

void palm_start(struct palm *palm)
{
    memcpy(palm->a, palm->target, palm_size(palm, PALM_A) * sizeof(float));
    memcpy(palm->a_previous, palm->a, palm_size(palm, PALM_A) * sizeof(float));
    struct palm_lines *const both[] = { &palm->b, &palm->b_previous };
    for (int i = 0; i < 2; i++)
        for (int p = 0; p < palm->inner; p++) {
            both[i]->column[p] = p;
            both[i]->value[p] = 1;
            both[i]->start[p + 1] = (size_t)p + 1;
        }
}

/* dense = B + momentum (B - previous). */
static void extrapolate(struct palm *palm, float momentum)
{
    memset(palm->dense, 0, palm_size(palm, PALM_B) * sizeof(float));
    add_lines(palm, &palm->b, 1 + momentum, palm->dense);
    add_lines(palm, &palm->b_previous, -momentum, palm->dense);
}

/* ---- Products ---- */

static double energy_of(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += 4096) {
        int count = n - i < 4096 ? (int)(n - i) : 4096;
        sum += (double)cblas_sdot(count, values + i, 1, values + i, 1);
    }
    return sum;
}

/* out = (A B)^T - minus, n x m: line j is sum_p b_pj a_p. a has A's layout, values are those of b's
 * entries; minus may be NULL. */
static void multiply(const struct palm *palm, const float *a, const struct palm_lines *b,
                     const float *values, const float *minus, float *out)
{
    size_t m = (size_t)palm->m, size = m * (size_t)palm->n;
    if (minus)
        for (size_t i = 0; i < size; i++) out[i] = -minus[i];
    else memset(out, 0, size * sizeof *out);
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            cblas_saxpy(palm->m, values[q], a + p * m, 1, out + (size_t)b->column[q] * m, 1);
}

/* residual = (A B)^T - T for the B that lies in dense. */
static void multiply_dense(struct palm *palm)
{
    enum {
        DENSE = 5
    }; /* One by one, entries take about so many times as long as in a dense product. */
    size_t m = (size_t)palm->m, n = (size_t)palm->n, count = 0;
    const float *row = palm->dense;
    for (size_t i = 0; i < palm_size(palm, PALM_B); i++) count += row[i] != 0;
    if (count > palm_size(palm, PALM_B) / DENSE) {
        memcpy(palm->residual, palm->target, m * n * sizeof *row);
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, palm->n, palm->m, palm->inner, 1, row,
                    palm->n, palm->a, palm->m, -1, palm->residual, palm->m);
        return;
    }
    for (size_t i = 0; i < m * n; i++) palm->residual[i] = -palm->target[i];
    for (size_t p = 0; p < (size_t)palm->inner; p++, row += n)
        for (size_t j = 0; j < n; j++)
            if (row[j] != 0)
                cblas_saxpy(palm->m, row[j], palm->a + p * m, 1, palm->residual + j * m, 1);
}

/* gradient = (R B^T)^T, inner x m, for R^T in residual. */
static void gradient_a(const struct palm *palm, const float *residual, float *gradient)
{
    const struct palm_lines *b = &palm->b;
    size_t m = (size_t)palm->m;
    memset(gradient, 0, palm_size(palm, PALM_A) * sizeof *gradient);
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            cblas_saxpy(palm->m, b->value[q], residual + (size_t)b->column[q] * m, 1,
                        gradient + p * m, 1);
}

/* out[q] = (A^T R) at B's entries. */
static void gradient_at_b(const struct palm *palm, const float *residual, float *out)
{
    size_t m = (size_t)palm->m;
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = palm->b.start[p]; q < palm->b.start[p + 1]; q++)
            out[q] = cblas_sdot(palm->m, palm->a + p * m, 1,
                                residual + (size_t)palm->b.column[q] * m, 1);
}

/* y = x S and x = y S^T for factor f. */
static void power_products(struct palm *palm, int f, float *x, float *y)
{
    const struct palm_lines *b = &palm->b;
    int inner = palm->inner;
    if (f == PALM_A) {
        cblas_sgemv(CblasRowMajor, CblasTrans, inner, palm->m, 1, palm->a, palm->m, x, 1, 0, y, 1);
        cblas_sgemv(CblasRowMajor, CblasNoTrans, inner, palm->m, 1, palm->a, palm->m, y, 1, 0, x,
                    1);
        return;
    }
    memset(y, 0, (size_t)palm->n * sizeof *y);
    for (int p = 0; p < inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            y[b->column[q]] += b->value[q] * x[p];
    for (int p = 0; p < inner; p++) {
        x[p] = 0;
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            x[p] += b->value[q] * y[b->column[q]];
    }
}

/* The largest eigenvalue of S^T S by power iteration, with a margin for its slow end. The vector
 * stays from call to call, while the factor changes little. */
static double norm_squared(struct palm *palm, int f)
{
    enum { STEPS = 3 };
    float *x = palm->vector[f];
    double growth = 0;
    for (int step = 0; step < STEPS; step++) {
        double before = energy_of(x, (size_t)palm->inner);
        power_products(palm, f, x, palm->product[f]);
        double after = energy_of(x, (size_t)palm->inner);
        growth = sqrt(after / before);
        if (after > 0) cblas_sscal(palm->inner, (float)(1 / sqrt(after)), x, 1);
        else
            for (int p = 0; p < palm->inner; p++) x[p] = 1;
    }
    return 1.03 * growth;
}

/* ---- Steps ---- */

/* Line p of A, or of some form of B, times norms[p], or divided by it. */
static void scale_a(const struct palm *palm, float *a, int divide)
{
    for (int p = 0; p < palm->inner; p++)
        cblas_sscal(palm->m, divide ? 1 / palm->norms[p] : palm->norms[p],
                    a + (size_t)p * (size_t)palm->m, 1);
}

static void scale_b(const struct palm *palm, struct palm_lines *b, int divide)
{
    for (int p = 0; p < palm->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            b->value[q] = divide ? b->value[q] / palm->norms[p] : b->value[q] * palm->norms[p];
}

/* norms[p] = the length of line p of factor f; 1 for an atom that is not used. */
static void atom_norms(struct palm *palm, int f)
{
    const struct palm_lines *b = &palm->b;
    size_t m = (size_t)palm->m;
    for (size_t p = 0; p < (size_t)palm->inner; p++) {
        double energy = f == PALM_A
            ? energy_of(palm->a + p * m, m)
            : energy_of(b->value + b->start[p], b->start[p + 1] - b->start[p]);
        palm->norms[p] = energy > 0 ? (float)sqrt(energy) : 1;
    }
}

/* Gives the atoms of factor 1-f unit norm; A B stays. */
static void normalise_other(struct palm *palm, int f)
{
    atom_norms(palm, 1 - f);
    scale_a(palm, palm->a, f == PALM_B);
    scale_a(palm, palm->a_previous, f == PALM_B);
    scale_b(palm, &palm->b, f == PALM_A);
    scale_b(palm, &palm->b_previous, f == PALM_A);
}

/* A <- the k largest of Y - grad(Y)/l at Y = A + momentum (A - previous). Y takes the place of
 * previous, and becomes the new A. */
static void step_a(struct palm *palm, size_t k, float momentum)
{
    size_t size = palm_size(palm, PALM_A);
    normalise_other(palm, PALM_A);
    float *now = palm->a, *point = palm->a_previous;
    for (size_t i = 0; i < size; i++) point[i] = now[i] + momentum * (now[i] - point[i]);
    palm->a_previous = now;
    palm->a = point;
    multiply(palm, point, &palm->b, palm->b.value, palm->target, palm->residual);
    gradient_a(palm, palm->residual, palm->dense);
    double norm = norm_squared(palm, PALM_B);
    if (norm > 0) cblas_saxpy((int)size, (float)(-1 / norm), palm->dense, 1, point, 1);
    palm_project(palm, PALM_A, point, k);
}

/* The same for B, which is dense meanwhile. */
static void step_b(struct palm *palm, size_t k, float momentum)
{
    normalise_other(palm, PALM_B);
    extrapolate(palm, momentum);
    multiply_dense(palm);
    double norm = norm_squared(palm, PALM_A);
    if (norm > 0)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, palm->inner, palm->n, palm->m,
                    (float)(-1 / norm), palm->a, palm->m, palm->residual, palm->m, 1, palm->dense,
                    palm->n);
    palm_project(palm, PALM_B, palm->dense, k);
    struct palm_lines now = palm->b;
    palm->b = palm->b_previous;
    palm->b_previous = now;
    palm_take_b(palm);
}

void palm_round(struct palm *palm, const size_t k[2])
{
    step_a(palm, k[PALM_A], 0);
    step_b(palm, k[PALM_B], 0);
}

/* ---- Feedback ---- */

/* T <- A B + (W - A B + U) M' (M' + penalty I)^-1, U = kept (T - A B). dense holds W - A B + U. */
static void feed_back(struct palm *palm, float penalty, float kept)
{
    size_t size = (size_t)palm->m * (size_t)palm->n;
    float *sum = palm->dense, share = palm->weighting ? 1 : 1 / (1 + penalty);
    multiply(palm, palm->a, &palm->b, palm->b.value, NULL, palm->residual);
    take_w(palm, sum);
    for (size_t i = 0; i < size; i++) {
        float product = palm->residual[i];
        sum[i] += kept * (palm->target[i] - product) - product;
        palm->target[i] = product + share * sum[i];
    }
    if (!palm->weighting) return;
    /* M' (M' + penalty I)^-1 = I - penalty (M' + penalty I)^-1. */
    sn_filter_apply(palm->weighted, (int)n_columns(palm), sum, palm->flip ? palm->n : palm->m,
                    !palm->flip);
    cblas_saxpy((int)size, -penalty, sum, 1, palm->target, 1);
}

double palm_penalty(int round, int n_rounds, double first, double last)
{
    enum { MOST_STAGES = 10, LEAST_ROUNDS = 4 };
    int n_stages = n_rounds / LEAST_ROUNDS < MOST_STAGES ? n_rounds / LEAST_ROUNDS : MOST_STAGES;
    int stage = (int)((long)round * n_stages / n_rounds);
    return n_stages > 1 ? first * pow(last / first, stage / (n_stages - 1.)) : last;
}

double palm_run(struct palm *palm, const size_t k[2], int n_rounds,
                const volatile sig_atomic_t *stop)
{
    static const double most_momentum = .95, first = .27,
                        last = .5; /* Tried on classifiers of trained nets. */
    double penalty = 0;
    for (int round = 0; round < n_rounds && !(stop && *stop); round++) {
        float momentum = (float)(most_momentum * round / (round + 3));
        step_a(palm, k[PALM_A], momentum); /* A first: B has no slope yet. */
        step_b(palm, k[PALM_B], momentum);
        double now = palm_penalty(round, n_rounds, first, last);
        if (palm->weighting && now != penalty)
            sn_filter_set(palm->weighting, (float)now, palm->weighted);
        feed_back(palm, (float)now, penalty > 0 ? (float)(penalty / now) : 1);
        penalty = now;
    }
    palm_project(palm, PALM_A, palm->a, k[PALM_A]); /* A stop may come before the first step. */
    take_w(palm, palm->target);
    multiply(palm, palm->a, &palm->b, palm->b.value, palm->target, palm->residual);
    return energy_of(palm->residual, (size_t)palm->m * (size_t)palm->n);
}

/* ---- Fitting the values on a fixed pattern ---- */

/* X <- X D^-1, D the scale of W's columns, for X^T in the layout of the residual. */
static void unscale(const struct palm *palm, float *x)
{
    size_t n = (size_t)palm->n, m = (size_t)palm->m;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < m; j++) x[i * m + j] /= palm->scale[palm->flip ? j : i];
}

/* <X, X M'>, M' = D^-1 M D^-1 the moment of the scaled columns; *slope receives X M', which is X
 * itself without a weighting. X becomes scratch with one. */
static double moment_energy(const struct palm *palm, float *x, float *scratch, float **slope)
{
    int n = palm->n, m = palm->m;
    size_t size = (size_t)m * (size_t)n;
    *slope = x;
    if (!palm->weighting) return energy_of(x, size);
    unscale(palm, x);
    if (palm->flip)
        cblas_ssymm(CblasRowMajor, CblasRight, CblasLower, n, m, 1, palm->weighting->moment, m, x,
                    m, 0, scratch, m);
    else
        cblas_ssymm(CblasRowMajor, CblasLeft, CblasLower, n, m, 1, palm->weighting->moment, n, x, m,
                    0, scratch, m);
    *slope = scratch;
    double sum = 0;
    for (size_t i = 0; i < size; i += 4096)
        sum += (double)cblas_sdot(size - i < 4096 ? (int)(size - i) : 4096, x + i, 1, scratch + i,
                                  1);
    unscale(palm, scratch);
    return sum;
}

/* The gradient of factor f at its entries: all of A's dense form with zeros elsewhere, or B's
 * entries one by one. */
static void pattern_gradient(const struct palm *palm, int f, const float *residual, float *g)
{
    if (f == PALM_B) {
        gradient_at_b(palm, residual, g);
        return;
    }
    gradient_a(palm, residual, g);
    for (size_t i = 0; i < palm_size(palm, PALM_A); i++)
        if (palm->a[i] == 0) g[i] = 0;
}

/* values += alpha d at the entries that are not zero. One that would become exactly zero would
 * leave the pattern; it stays as the smallest number. */
static void move(float *values, const float *d, size_t count, float alpha)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0 && (values[i] += alpha * d[i]) == 0) values[i] = 0x1p-126f;
}

/* min over the values of factor f of ||W - A B||^2 by conjugate gradients on the normal equations
 * (CGLS). residual holds R M', R = A B - W, before and after. Returns what the squared error fell
 * by. */
static double refit_factor(struct palm *palm, int f, int n_steps)
{
    double before = 0, fall = 0;
    size_t count = f == PALM_A ? palm_size(palm, PALM_A) : palm->b.start[palm->inner];
    float *values = f == PALM_A ? palm->a : palm->b.value, *g = palm->dense, *d = palm->a_previous,
          *slope;
    for (int n = 0; n < n_steps; n++) {
        pattern_gradient(palm, f, palm->residual, g);
        double now = energy_of(g, count), descent = 0;
        if (!(now > 0)) break;
        float beta = n ? (float)(now / before) : 0;
        for (size_t i = 0; i < count; i++) {
            d[i] = (n ? beta * d[i] : 0) - g[i];
            descent -= (double)g[i] * (double)d[i];
        }
        multiply(palm, f == PALM_A ? d : palm->a, &palm->b, f == PALM_A ? palm->b.value : d, NULL,
                 palm->dense);
        double curvature = moment_energy(palm, palm->dense, palm->weighted, &slope);
        if (!(curvature > 0)) break;
        float alpha = (float)(descent / curvature);
        move(values, d, count, alpha);
        cblas_saxpy(palm->m * palm->n, alpha, slope, 1, palm->residual, 1);
        fall += descent * descent / curvature;
        before = now;
    }
    return fall;
}

void palm_balance(struct palm *palm)
{
    float *b_norms = palm->line;
    atom_norms(palm, PALM_B);
    memcpy(b_norms, palm->norms, (size_t)palm->inner * sizeof *b_norms);
    atom_norms(palm, PALM_A);
    for (int p = 0; p < palm->inner; p++) palm->norms[p] = sqrtf(palm->norms[p] / b_norms[p]);
    scale_a(palm, palm->a, 1);
    scale_b(palm, &palm->b, 0);
}

double palm_refit(struct palm *palm, int n_rounds, int n_steps)
{
    float *slope;
    size_t size = (size_t)palm->m * (size_t)palm->n;
    lines_free(&palm->b_previous);
    take_w(palm, palm->target);
    multiply(palm, palm->a, &palm->b, palm->b.value, palm->target, palm->residual);
    palm->energy = moment_energy(palm, palm->target, palm->dense, &slope);
    free(palm->target);
    palm->target = NULL;
    double error = moment_energy(palm, palm->residual, palm->dense, &slope);
    if (slope != palm->residual) memcpy(palm->residual, slope, size * sizeof *slope);
    for (int round = 0; round < n_rounds; round++) {
        palm_balance(palm);
        for (int f = 0; f < 2; f++) error -= refit_factor(palm, f, n_steps);
    }
    return fmax(0, error);
}
