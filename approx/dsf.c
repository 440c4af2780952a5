/* The memory of a double sparse factorisation, and its factors for those who take them. */
#include "dsf_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int lines_new(struct psm_sparse *lines, size_t rows, size_t columns, size_t most)
{
    *lines = (struct psm_sparse){
        .rows = (int)rows, .columns = (int)columns, .block = 1, .n_groups = (int)rows
    };
    lines->start = calloc(rows + 1, sizeof *lines->start);
    lines->column = malloc((most + 1) * sizeof *lines->column);
    lines->value = malloc((most + 1) * sizeof *lines->value);
    return lines->start && lines->column && lines->value;
}

int dsf_columns(const struct dsf *dsf) { return dsf->flip ? dsf->m : dsf->n; }

int dsf_rows(const struct dsf *dsf) { return dsf->flip ? dsf->n : dsf->m; }

static int line_length(const struct dsf *dsf, int f) { return f == DSF_A ? dsf->m : dsf->n; }

size_t dsf_size(const struct dsf *dsf, int f)
{
    return (size_t)dsf->inner * (size_t)line_length(dsf, f);
}

static int allocate(struct dsf *dsf, size_t most_b)
{
    size_t a = dsf_size(dsf, DSF_A), b = dsf_size(dsf, DSF_B), w = (size_t)dsf->m * (size_t)dsf->n;
    size_t inner = (size_t)dsf->inner, longest = (size_t)(dsf->m > dsf->n ? dsf->m : dsf->n),
           larger = a > b ? a : b;
    size_t filter = sn_filter_size(dsf_columns(dsf)), widest = longest > inner ? longest : inner;
    /* The residual is the scratch of projections too, which count blocks. */
    size_t blocks_of_larger = (dsf->block > 1 ? larger / (size_t)dsf->block : 0) + widest;
    most_b = most_b < inner ? inner : most_b > b ? b : most_b; /* It starts as the identity. */
    float **blocks[] = { &dsf->target, &dsf->a,        &dsf->dual[DSF_A], &dsf->dual[DSF_B],
                         &dsf->gram,   &dsf->residual, &dsf->dense,       &dsf->norms,
                         &dsf->line,   &dsf->tile };
    /* The dual of A is where dsf_refit keeps a direction, of either factor. */
    size_t counts[] = { w,
                        a,
                        a > most_b ? a : most_b,
                        b,
                        inner * inner,
                        w > blocks_of_larger ? w : blocks_of_larger,
                        larger > w ? larger : w,
                        inner,
                        inner,
                        psm_tile_size(widest) };
    int fine = 1;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        fine &= (*blocks[i] = calloc(counts[i], sizeof(float))) != NULL;
    if (dsf->weighting)
        fine &= (dsf->weighted = malloc((filter > w ? filter : w) * sizeof(float))) != NULL;
    dsf->most_lines = a / 4;
    return fine && lines_new(&dsf->b, inner, (size_t)dsf->n, most_b)
        && lines_new(&dsf->turned, (size_t)dsf->n, inner, most_b)
        && lines_new(&dsf->lines, inner, (size_t)dsf->m, dsf->most_lines);
}

void dsf_free(struct dsf *dsf)
{
    if (!dsf) return;
    float *const blocks[] = { dsf->scale,       dsf->target, dsf->a,        dsf->dual[DSF_A],
                              dsf->dual[DSF_B], dsf->gram,   dsf->residual, dsf->dense,
                              dsf->weighted,    dsf->norms,  dsf->line,     dsf->tile };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    psm_sparse_free(&dsf->b);
    psm_sparse_free(&dsf->turned);
    psm_sparse_free(&dsf->lines);
    free(dsf);
}

void dsf_end_run(struct dsf *dsf)
{
    free(dsf->dual[DSF_B]);
    dsf->dual[DSF_B] = NULL;
    free(dsf->gram);
    dsf->gram = NULL;
    psm_sparse_free(&dsf->lines);
}

/* Frees what only the search needs; the factors stay. */
static void end_search(struct dsf *dsf)
{
    float **const blocks[] = { &dsf->target, &dsf->dual[DSF_A], &dsf->residual, &dsf->weighted };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        free(*blocks[i]);
        *blocks[i] = NULL;
    }
    psm_sparse_free(&dsf->turned);
}

static int take_weighting(struct dsf *dsf, const struct sn_weighting *weighting, size_t n)
{
    if (!(dsf->scale = malloc(n * sizeof *dsf->scale))) return 0;
    for (size_t j = 0; j < n; j++)
        dsf->scale[j] = weighting ? sqrtf(weighting->moment[j * n + j]) : 1;
    dsf->weighting = weighting;
    return 1;
}

void dsf_take_w(const struct dsf *dsf, float *w)
{
    enum { TOGETHER = 16 }; /* rows at a time, which share the cache lines that are written */
    size_t columns = (size_t)dsf_columns(dsf), rows = (size_t)dsf_rows(dsf);
    size_t step_i = dsf->flip ? columns : 1, step_j = dsf->flip ? 1 : rows;
    for (size_t first = 0; first < rows; first += TOGETHER)
        for (size_t j = 0; j < columns; j++)
            for (size_t i = first; i < rows && i < first + TOGETHER; i++)
                w[i * step_i + j * step_j] = dsf->source[i * columns + j] * dsf->scale[j];
}

struct dsf *dsf_new(const struct dsf_task *task)
{
    struct dsf *dsf = malloc(sizeof *dsf);
    if (!dsf) return NULL;
    *dsf = (struct dsf){ .m = task->flip ? task->columns : task->rows,
                         .n = task->flip ? task->rows : task->columns,
                         .flip = task->flip,
                         .block = task->block,
                         .pattern = task->pattern,
                         .source = task->w };
    dsf->inner = task->inner ? task->inner : dsf->n;
    if (!take_weighting(dsf, task->weighting, (size_t)task->columns)
        || !allocate(dsf, task->most_b)) {
        dsf_free(dsf);
        return NULL;
    }
    dsf_take_w(dsf, dsf->target);
    return dsf;
}

void dsf_start(struct dsf *dsf)
{
    memcpy(dsf->a, dsf->target, dsf_size(dsf, DSF_A) * sizeof(float));
    for (int p = 0; p < dsf->inner; p++) {
        dsf->b.column[p] = (uint32_t)p;
        dsf->b.value[p] = 1;
        dsf->b.start[p + 1] = (uint32_t)p + 1;
    }
}

/* ---- Forms of the factors ---- */

void dsf_expand_b(const struct dsf *dsf)
{
    const struct psm_sparse *b = &dsf->b;
    memset(dsf->dense, 0, dsf_size(dsf, DSF_B) * sizeof *dsf->dense);
    for (size_t p = 0; p < (size_t)dsf->inner; p++)
        for (size_t q = b->start[p]; q < b->start[p + 1]; q++)
            dsf->dense[p * (size_t)dsf->n + b->column[q]] = b->value[q];
}

/* lines <- the entries of dense, whose lines are as long, that are not 0. */
static void take_entries(const float *dense, struct psm_sparse *lines)
{
    size_t count = 0, length = (size_t)lines->columns;
    for (size_t p = 0; p < (size_t)lines->rows; p++) {
        for (size_t j = 0; j < length; j++, dense++)
            if (*dense != 0) {
                lines->column[count] = (uint32_t)j;
                lines->value[count++] = *dense;
            }
        lines->start[p + 1] = (uint32_t)count;
    }
}

void dsf_take_b(struct dsf *dsf) { take_entries(dsf->dense, &dsf->b); }

int dsf_take_lines(struct dsf *dsf)
{
    if (dsf_count(dsf, DSF_A) > dsf->most_lines) return 0;
    take_entries(dsf->a, &dsf->lines);
    return 1;
}

/* The rows of the leftmost factor run along the lines of A, or of B when the problem is flipped. */
void dsf_project(struct dsf *dsf, int f, float *values, size_t k)
{
    int leftmost = (f == DSF_A) != dsf->flip;
    psm_keep(values, (size_t)dsf->inner, (size_t)line_length(dsf, f), dsf->pattern, !leftmost,
             (size_t)dsf->block, k, dsf->residual);
}

int dsf_side(const struct dsf *dsf, int number)
{
    return (number == 0) == dsf->flip ? DSF_B : DSF_A;
}

size_t dsf_count(const struct dsf *dsf, int f)
{
    size_t count = 0;
    if (f == DSF_B) return dsf->b.start[dsf->inner];
    for (size_t i = 0; i < dsf_size(dsf, DSF_A); i++) count += dsf->a[i] != 0;
    return count;
}

struct psm_strided dsf_factor(struct dsf *dsf, int number)
{
    int f = dsf_side(dsf, number), length = line_length(dsf, f);
    if (f == DSF_B) dsf_expand_b(dsf);
    float *values = f == DSF_A ? dsf->a : dsf->dense;
    if (number == 0) return (struct psm_strided){ values, length, dsf->inner, 1, (size_t)length };
    return (struct psm_strided){ values, dsf->inner, length, (size_t)length, 1 };
}

void dsf_take(struct dsf *dsf, int number)
{
    if (dsf_side(dsf, number) == DSF_B) dsf_take_b(dsf);
}

void dsf_keep(struct dsf *dsf, int number, size_t k)
{
    int f = dsf_side(dsf, number);
    dsf_project(dsf, f, f == DSF_A ? dsf->a : dsf->dense, k);
}

int dsf_take_factors(struct dsf *dsf, struct psm_sparse factors[2])
{
    memset(factors, 0, 2 * sizeof *factors);
    dsf_balance(dsf);
    end_search(dsf);
    for (int j = 0; j < 2; j++) {
        struct psm_strided dense = dsf_factor(dsf, j);
        if (!psm_sparse_new(&factors[j], &dense, dsf->block)) return 0;
    }
    for (size_t q = 0; q < psm_sparse_values(&factors[1]); q++)
        factors[1].value[q] /= dsf->scale[factors[1].column[q / (size_t)dsf->block]];
    return 1;
}
