/* PALM's memory, and its factors for those who take them. */
#include "palm_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int lines_new(struct palm_lines *lines, size_t inner, size_t most)
{
    lines->start = calloc(inner + 1, sizeof *lines->start);
    lines->column = malloc((most + 1) * sizeof *lines->column);
    lines->value = malloc((most + 1) * sizeof *lines->value);
    return lines->start && lines->column && lines->value;
}

void palm_lines_free(struct palm_lines *lines)
{
    free(lines->start);
    free(lines->column);
    free(lines->value);
    *lines = (struct palm_lines){ 0 };
}

int palm_columns(const struct palm *palm) { return palm->flip ? palm->m : palm->n; }

int palm_rows(const struct palm *palm) { return palm->flip ? palm->n : palm->m; }

static int line_length(const struct palm *palm, int f) { return f == PALM_A ? palm->m : palm->n; }

size_t palm_size(const struct palm *palm, int f)
{
    return (size_t)palm->inner * (size_t)line_length(palm, f);
}

static int allocate(struct palm *palm, size_t most_b)
{
    size_t a = palm_size(palm, PALM_A), b = palm_size(palm, PALM_B),
           w = (size_t)palm->m * (size_t)palm->n;
    size_t inner = (size_t)palm->inner, longest = (size_t)(palm->m > palm->n ? palm->m : palm->n),
           larger = a > b ? a : b;
    size_t filter = sn_filter_size(palm_columns(palm)), widest = longest > inner ? longest : inner;
    /* The residual is the scratch of projections too, which count blocks. */
    size_t blocks_of_larger = (palm->block > 1 ? larger / (size_t)palm->block : 0) + widest;
    most_b = most_b < inner ? inner : most_b > b ? b : most_b; /* It starts as the identity. */
    float **blocks[] = { &palm->target,       &palm->a,     &palm->dual[PALM_A],
                         &palm->dual[PALM_B], &palm->gram,  &palm->residual,
                         &palm->dense,        &palm->norms, &palm->line };
    /* The dual of A is where palm_refit keeps a direction, of either factor. */
    size_t counts[] = { w,
                        a,
                        a > most_b ? a : most_b,
                        b,
                        inner * inner,
                        w > blocks_of_larger ? w : blocks_of_larger,
                        larger > w ? larger : w,
                        inner,
                        inner };
    int fine = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fine &= (*blocks[i] = calloc(counts[i], sizeof(float))) != NULL;
    if (palm->weighting)
        fine &= (palm->weighted = malloc((filter > w ? filter : w) * sizeof(float))) != NULL;
    return fine && lines_new(&palm->b, inner, most_b);
}

void palm_free(struct palm *palm)
{
    if (!palm) return;
    float *const blocks[] = { palm->scale,        palm->target, palm->a,        palm->dual[PALM_A],
                              palm->dual[PALM_B], palm->gram,   palm->residual, palm->dense,
                              palm->weighted,     palm->norms,  palm->line };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    palm_lines_free(&palm->b);
    free(palm);
}

/* Frees what only the search needs; the factors stay. */
static void end_search(struct palm *palm)
{
    float **const blocks[] = { &palm->target, &palm->dual[PALM_A], &palm->residual,
                               &palm->weighted };
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

void palm_take_w(const struct palm *palm, float *w)
{
    enum { TOGETHER = 16 }; /* rows at a time, which share the cache lines that are written */
    size_t columns = (size_t)palm_columns(palm), rows = (size_t)palm_rows(palm);
    size_t step_i = palm->flip ? columns : 1, step_j = palm->flip ? 1 : rows;
    for (size_t first = 0; first < rows; first += TOGETHER)
        for (size_t j = 0; j < columns; j++)
            for (size_t i = first; i < rows && i < first + TOGETHER; i++)
                w[i * step_i + j * step_j] = palm->source[i * columns + j] * palm->scale[j];
}

struct palm *palm_new(const struct palm_task *task)
{
    struct palm *palm = malloc(sizeof *palm);
    if (!palm) return NULL;
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
        return NULL;
    }
    palm_take_w(palm, palm->target);
    return palm;
}

void palm_start(struct palm *palm)
{
    memcpy(palm->a, palm->target, palm_size(palm, PALM_A) * sizeof(float));
    for (int p = 0; p < palm->inner; p++) {
        palm->b.column[p] = p;
        palm->b.value[p] = 1;
        palm->b.start[p + 1] = (size_t)p + 1;
    }
}

/* ---- Forms of the factors ---- */

void palm_add_lines(const struct palm *palm, const struct palm_lines *lines, float *dense)
{
    for (size_t p = 0; p < (size_t)palm->inner; p++)
        for (size_t q = lines->start[p]; q < lines->start[p + 1]; q++)
            dense[p * (size_t)palm->n + (size_t)lines->column[q]] += lines->value[q];
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

/* The rows of the leftmost factor run along the lines of A, or of B when the problem is flipped. */
void palm_project(struct palm *palm, int f, float *values, size_t k)
{
    int leftmost = (f == PALM_A) != palm->flip;
    psm_keep(values, (size_t)palm->inner, (size_t)line_length(palm, f), palm->pattern, !leftmost,
             (size_t)palm->block, k, palm->residual);
}

int palm_side(const struct palm *palm, int number)
{
    return (number == 0) == palm->flip ? PALM_B : PALM_A;
}

size_t palm_count(const struct palm *palm, int f)
{
    size_t count = 0;
    if (f == PALM_B) return palm->b.start[palm->inner];
    for (size_t i = 0; i < palm_size(palm, PALM_A); i++) count += palm->a[i] != 0;
    return count;
}

struct psm_strided palm_factor(struct palm *palm, int number)
{
    int f = palm_side(palm, number), length = line_length(palm, f);
    if (f == PALM_B) {
        memset(palm->dense, 0, palm_size(palm, PALM_B) * sizeof *palm->dense);
        palm_add_lines(palm, &palm->b, palm->dense);
    }
    float *values = f == PALM_A ? palm->a : palm->dense;
    if (number == 0) return (struct psm_strided){ values, length, palm->inner, 1, (size_t)length };
    return (struct psm_strided){ values, palm->inner, length, (size_t)length, 1 };
}

void palm_take(struct palm *palm, int number)
{
    if (palm_side(palm, number) == PALM_B) palm_take_b(palm);
}

void palm_keep(struct palm *palm, int number, size_t k)
{
    int f = palm_side(palm, number);
    palm_project(palm, f, f == PALM_A ? palm->a : palm->dense, k);
}

int palm_take_factors(struct palm *palm, struct psm_sparse factors[2])
{
    memset(factors, 0, 2 * sizeof *factors);
    palm_balance(palm);
    end_search(palm);
    for (int j = 0; j < 2; j++) {
        struct psm_strided dense = palm_factor(palm, j);
        if (!psm_sparse_new(&factors[j], &dense, palm->block)) return 0;
    }
    for (size_t q = 0; q < psm_sparse_values(&factors[1]); q++)
        factors[1].value[q] /= palm->scale[factors[1].column[q / (size_t)palm->block]];
    return 1;
}
