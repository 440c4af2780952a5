#include "sss_round.h"
#include "fit.h"
#include "product.h"
#include "rounding.h"
#include "stored.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CAUSAL = 0, ANTICAUSAL = 1 };

/* What is rounded, in the stages' order of rows and columns. */
struct job {
    const struct sss *shape;
    float *words;                  /* of shape, float values; changed in place */
    size_t *rows, *columns;        /* n_stages+1: where each stage starts */
    float *difference;             /* W - What, m x n */
    float *moment;                 /* n x n; NULL without a weighting */
    struct sn_weighting weighting; /* has the moment */
    float **scales;                /* n_stages x 3: of [D C G], [A B] and [E F] */
    float **maps[2];               /* n_stages+1: R_k, s_k x n, and T_k, t_k x n */
    float **outputs[2];            /* n_stages+1: O_k, the rows of stages >= k x s_k, and those of
                                    * stages < k x t_k */
    int n_stages, bits, is_rounded;
    const struct sn_fit_options *options;
};

static int states_at(const struct job *job, int direction, int k)
{
    return direction == CAUSAL ? job->shape->causal[k] : job->shape->anticausal[k];
}

/* ---- Memory */

static void job_free(struct job *job)
{
    size_t n = (size_t)job->n_stages;
    for (size_t k = 0; k < 3 * n && job->scales; k++) free(job->scales[k]);
    for (int d = 0; d < 2; d++)
        for (size_t k = 0; k <= n; k++) {
            if (job->maps[d]) free(job->maps[d][k]);
            if (job->outputs[d]) free(job->outputs[d][k]);
        }
    for (int d = 0; d < 2; d++) {
        free(job->maps[d]);
        free(job->outputs[d]);
    }
    free(job->scales);
    free(job->rows);
    free(job->columns);
    free(job->difference);
    free(job->moment);
}

static float *floats(size_t n) { return calloc(n + 1, sizeof(float)); }

/* Everything, zeroed. */
static int job_new(struct job *job)
{
    const struct sss *shape = job->shape;
    size_t n = (size_t)shape->n_stages, width = (size_t)shape->matrix.n_inputs,
           height = (size_t)shape->matrix.n_outputs;
    int fine = 1;
    job->rows = calloc(n + 1, sizeof *job->rows);
    job->columns = calloc(n + 1, sizeof *job->columns);
    job->scales = calloc(3 * n, sizeof *job->scales);
    job->difference = floats(width * height);
    if (job->options->weighting) fine = (job->moment = floats(width * width)) != NULL;
    if (!job->rows || !job->columns || !job->scales || !job->difference || !fine) return 0;
    for (size_t k = 0; k < n; k++) {
        job->rows[k + 1] = job->rows[k] + (size_t)shape->outputs[k];
        job->columns[k + 1] = job->columns[k] + (size_t)shape->inputs[k];
        const int counts[] = { shape->outputs[k], shape->causal[k + 1], shape->anticausal[k] };
        for (size_t b = 0; b < 3; b++)
            fine &= (job->scales[3 * (size_t)k + (size_t)b] = floats((size_t)counts[b])) != NULL;
    }
    for (int d = 0; d < 2; d++) {
        job->maps[d] = calloc(n + 1, sizeof *job->maps[d]);
        job->outputs[d] = calloc(n + 1, sizeof *job->outputs[d]);
        if (!job->maps[d] || !job->outputs[d]) return 0;
        for (size_t k = 0; k <= n; k++) {
            size_t states = (size_t)states_at(job, d, (int)k),
                   rows = d == CAUSAL ? height - job->rows[k] : job->rows[k];
            fine &= (job->maps[d][k] = floats(states * width)) != NULL;
            fine &= (job->outputs[d][k] = floats(states * rows)) != NULL;
        }
    }
    return fine;
}

/* ---- The states */

/* A stage in one direction: X = [A B] or [E F] gives the next states from the last ones. */
struct step {
    size_t stage, from, to; /* boundaries */
    size_t a, s, n;         /* next states, states, inputs of the stage */
    float *states, *inputs; /* A or E, a x s; B or F, a x n */
    float *out;             /* C or G, outputs of the stage x s */
};

static struct step step_at(const struct job *job, int direction, int i)
{
    const struct sss *shape = job->shape;
    int k = direction == CAUSAL ? i : shape->n_stages - 1 - i;
    struct sss_stage at = sss_stage_at(shape, job->words, k);
    struct step step = { .stage = (size_t)k,
                         .from = (size_t)(direction == CAUSAL ? k : k + 1),
                         .to = (size_t)(direction == CAUSAL ? k + 1 : k),
                         .n = (size_t)shape->inputs[k],
                         .states = direction == CAUSAL ? at.a : at.e,
                         .inputs = direction == CAUSAL ? at.b : at.f,
                         .out = direction == CAUSAL ? at.c : at.g };
    step.a = (size_t)states_at(job, direction, (int)step.to);
    step.s = (size_t)states_at(job, direction, (int)step.from);
    return step;
}

/* The map of the next states from that of the last ones. */
static void advance(const struct job *job, int direction, const struct step *step)
{
    size_t n = (size_t)job->shape->matrix.n_inputs;
    float *next = job->maps[direction][step->to];
    const float *last = job->maps[direction][step->from];
    sn_gemm(0, 0, step->a, n, step->s, 1, step->states, step->s, last, n, 0, next, n);
    for (size_t i = 0; i < step->a; i++)
        for (size_t j = 0; j < step->n; j++)
            next[i * n + job->columns[step->stage] + j] += step->inputs[i * step->n + j];
}

/* What the outputs make of the last states: those of the stage, and what they make of the next
 * ones. The rows of stages >= k, or < k+1, lie in order. */
static void observe(const struct job *job, int direction, const struct step *step)
{
    size_t all = (size_t)job->shape->matrix.n_outputs, first = job->rows[step->stage],
           end = job->rows[step->stage + 1], own = end - first;
    size_t later = direction == CAUSAL ? all - end : first;
    float *to = job->outputs[direction][step->from];
    float *rest = direction == CAUSAL ? to + own * step->s : to;
    float *mine = direction == CAUSAL ? to : to + later * step->s;
    if (own) memcpy(mine, step->out, own * step->s * sizeof *mine);
    sn_gemm(0, 0, later, step->s, step->a, 1, job->outputs[direction][step->to], step->a,
            step->states, step->s, 0, rest, step->s);
}

static void observe_all(const struct job *job, int direction)
{
    for (int i = job->shape->n_stages - 1; i >= 0; i--) {
        struct step step = step_at(job, direction, i);
        observe(job, direction, &step);
    }
}

static void advance_all(const struct job *job, int direction)
{
    for (int i = 0; i < job->shape->n_stages; i++) {
        struct step step = step_at(job, direction, i);
        advance(job, direction, &step);
    }
}

/* ---- Scaling the states */

static double mean_square(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
    return n ? sum / (double)n : 0;
}

/* Multiplies state i of a boundary by factor: the row that gives it, and of what reads it the
 * columns by its inverse. */
static void scale_state(const struct step *gives, const struct step *reads, size_t rows, size_t i,
                        float factor)
{
    cblas_sscal((int)gives->s, factor, gives->states + i * gives->s, 1);
    cblas_sscal((int)gives->n, factor, gives->inputs + i * gives->n, 1);
    for (size_t r = 0; r < reads->a; r++) reads->states[r * reads->s + i] /= factor;
    for (size_t r = 0; r < rows; r++) reads->out[r * reads->s + i] /= factor;
}

/* Brings the columns of C (G) to the mean square of D's entries, or to that of all of them where
 * the stage has no D. */
static void scale_states(const struct job *job, int direction)
{
    const struct sss *shape = job->shape;
    for (int i = 1; i < shape->n_stages; i++) {
        struct step gives = step_at(job, direction, i - 1), reads = step_at(job, direction, i);
        size_t rows = (size_t)shape->outputs[reads.stage];
        const float *d = sss_stage_at(shape, job->words, (int)reads.stage).d;
        double goal = mean_square(d, rows * reads.n);
        if (!(goal > 0)) goal = mean_square(reads.out, rows * reads.s);
        for (size_t k = 0; k < reads.s; k++) {
            double sum = 0;
            for (size_t r = 0; r < rows; r++)
                sum += pow((double)reads.out[r * reads.s + k], 2) / (double)rows;
            if (sum > 0 && goal > 0) scale_state(&gives, &reads, rows, k, (float)sqrt(sum / goal));
        }
    }
}

/* ---- Rounding */

struct steps {
    int rounds, fit, sweeps;
};

static const struct steps efforts[] = {
    [SN_NORMAL] = { 2, 10, 12 }, [SN_QUICK] = { 1, 6, 5 }, [SN_THOROUGH] = { 8, 30, 40 }
};

/* Rounds x (a x b) between o and z for the rows first .. first + m of the difference. */
static enum sn_status round_block(struct job *job, float *x, float *scales, size_t first, size_t m,
                                  size_t a, size_t b, const float *o, const float *z,
                                  size_t first_unit, int stage, struct sn_error *error)
{
    const struct steps *steps = &efforts[job->options->effort];
    size_t n = (size_t)job->shape->matrix.n_inputs;
    struct sn_part part = { m, a, b, n, o, z, job->difference + first * n, 0, 0, 0 };
    struct sn_rounding rounding = { .bits = job->bits,
                                    .block = 1,
                                    .is_rounded = job->is_rounded,
                                    .values = x,
                                    .scales = scales,
                                    .stop = job->options->stop };
    if (z) {
        part.first = first_unit;
        part.n_units = (size_t)job->shape->inputs[stage];
        part.column = job->columns[stage];
    }
    return sn_round_part(&part, job->moment ? &job->weighting : NULL, &rounding, 0, steps->fit,
                         steps->sweeps, error);
}

/* A block's place in X: columns of it, and its rows of stride entries, from one side to the other.
 */
static void copy_columns(float *x, size_t rows, size_t b, size_t at, float *block, size_t width,
                         int is_back)
{
    for (size_t i = 0; i < rows && width; i++)
        if (is_back) memcpy(block + i * width, x + i * b + at, width * sizeof *x);
        else memcpy(x + i * b + at, block + i * width, width * sizeof *x);
}

/* Rows of Z: the map of states, or the stage's rows of I. */
static void copy_map(float *z, const float *map, size_t states, size_t n)
{
    if (states) memcpy(z, map, states * n * sizeof *z);
}

static void unit_rows(float *z, size_t first, size_t count, size_t n)
{
    memset(z, 0, count * n * sizeof *z);
    for (size_t i = 0; i < count; i++) z[i * n + first + i] = 1;
}

/* Rounds what gives the next states of one stage, and takes the map on. */
static enum sn_status round_states(struct job *job, int direction, int i, struct sn_error *error)
{
    struct step step = step_at(job, direction, i);
    size_t n = (size_t)job->shape->matrix.n_inputs, b = step.s + step.n,
           all = (size_t)job->shape->matrix.n_outputs;
    size_t first = direction == CAUSAL ? job->rows[step.to] : 0,
           m = direction == CAUSAL ? all - first : job->rows[step.to];
    enum sn_status status = SN_OK;
    if (step.a && b && m) {
        int is_all = !step.s && step.n == n;
        float *x = floats(step.a * b), *z = is_all ? NULL : floats(b * n);
        if (!x || (!z && !is_all)) status = sn_no_memory(error, "rounding an SSS approximation");
        for (int back = 0; back < 2 && !status; back++) {
            copy_columns(x, step.a, b, 0, step.states, step.s, back);
            copy_columns(x, step.a, b, step.s, step.inputs, step.n, back);
            if (back) break;
            if (z) {
                copy_map(z, job->maps[direction][step.from], step.s, n);
                unit_rows(z + step.s * n, job->columns[step.stage], step.n, n);
            }
            status = round_block(job, x, job->scales[3 * step.stage + 1 + (size_t)direction], first,
                                 m, step.a, b, job->outputs[direction][step.to], z, step.s,
                                 (int)step.stage, error);
        }
        free(x);
        free(z);
    }
    advance(job, direction, &step);
    return status;
}

/* Rounds the outputs of stage k. */
static enum sn_status round_outputs(struct job *job, int k, struct sn_error *error)
{
    const struct sss *shape = job->shape;
    struct sss_stage at = sss_stage_at(shape, job->words, k);
    size_t n_all = (size_t)shape->matrix.n_inputs, m = (size_t)shape->outputs[k],
           n = (size_t)shape->inputs[k], s = (size_t)shape->causal[k],
           t = (size_t)shape->anticausal[k + 1], b = n + s + t;
    enum sn_status status = SN_OK;
    if (!m || !b) return SN_OK;
    float *x = floats(m * b), *z = n == n_all ? NULL : floats(b * n_all);
    if (!x || (!z && n != n_all)) status = sn_no_memory(error, "rounding an SSS approximation");
    for (int back = 0; back < 2 && !status; back++) {
        copy_columns(x, m, b, 0, at.d, n, back);
        copy_columns(x, m, b, n, at.c, s, back);
        copy_columns(x, m, b, n + s, at.g, t, back);
        if (back) break;
        if (z) {
            unit_rows(z, job->columns[k], n, n_all);
            copy_map(z + n * n_all, job->maps[CAUSAL][k], s, n_all);
            copy_map(z + (n + s) * n_all, job->maps[ANTICAUSAL][k + 1], t, n_all);
        }
        status = round_block(job, x, job->scales[3 * (size_t)k], job->rows[k], m, m, b, NULL, z, 0,
                             k, error);
    }
    free(x);
    free(z);
    return status;
}

static enum sn_status round_all(struct job *job, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    int n = job->shape->n_stages;
    for (int d = 0; d < 2 && !status; d++) {
        observe_all(job, d);
        for (int i = 0; i < n - 1 && !status; i++) status = round_states(job, d, i, error);
    }
    for (int k = 0; k < n && !status; k++) status = round_outputs(job, k, error);
    job->is_rounded = 1;
    return status;
}

/* ---- One call */

/* The difference and the moment in the stages' order. */
static enum sn_status load(struct job *job, const float *w, const struct sn_fit *fit,
                           struct sn_error *error)
{
    const struct sss *shape = job->shape;
    size_t m = (size_t)shape->matrix.n_outputs, n = (size_t)shape->matrix.n_inputs;
    const struct sn_weighting *weighting = job->options->weighting;
    float *what = floats(m * n);
    enum sn_status status = what ? sn_dense(fit->matrix, fit->words, what, error)
                                 : sn_no_memory(error, "rounding an SSS approximation");
    for (size_t i = 0; i < m && !status; i++)
        for (size_t j = 0; j < n; j++) {
            size_t row = shape->output_order ? shape->output_order[i] : i,
                   column = shape->input_order ? shape->input_order[j] : j;
            job->difference[i * n + j] = w[row * n + column] - what[row * n + column];
        }
    for (size_t i = 0; i < n && weighting; i++)
        for (size_t j = 0; j < n; j++) {
            size_t a = shape->input_order ? shape->input_order[i] : i,
                   b = shape->input_order ? shape->input_order[j] : j;
            job->moment[i * n + j] = weighting->moment[a * n + b];
        }
    job->weighting = (struct sn_weighting){ .n = (int)n, .moment = job->moment };
    free(what);
    return status;
}

/* ||(W - What) L||^2; negative without memory. */
static double squared_error(const struct job *job, struct sn_error *error)
{
    size_t m = (size_t)job->shape->matrix.n_outputs, n = (size_t)job->shape->matrix.n_inputs;
    if (!job->moment) return cblas_dsdot((int)(m * n), job->difference, 1, job->difference, 1);
    float *image = floats(m * n);
    if (!image) return sn_no_memory(error, "rounding an SSS approximation"), -1;
    sn_gemm(0, 0, m, n, n, 1, job->difference, n, job->moment, n, 0, image, n);
    double sum = cblas_dsdot((int)(m * n), job->difference, 1, image, 1);
    free(image);
    return fmax(0, sum);
}

/* The scales in the order of the family's rows. */
static void take_scales(const struct job *job, float *scales)
{
    for (int k = 0; k < job->shape->n_stages; k++) {
        const int counts[] = { job->shape->outputs[k], job->shape->causal[k + 1],
                               job->shape->anticausal[k] };
        for (int b = 0; b < 3; scales += counts[b++])
            if (counts[b])
                memcpy(scales, job->scales[3 * (size_t)k + (size_t)b],
                       (size_t)counts[b] * sizeof *scales);
    }
}

enum sn_status sss_round(const float *w, const struct sn_fit_options *options, struct sn_fit *fit,
                         struct sn_error *error)
{
    struct job job = { .shape = (const struct sss *)fit->matrix,
                       .words = fit->words,
                       .n_stages = ((const struct sss *)fit->matrix)->n_stages,
                       .bits = options->bits,
                       .options = options };
    enum sn_status status = job_new(&job) ? SN_OK
                                          : sn_no_memory(error, "rounding an SSS approximation");
    double before = INFINITY;
    for (int d = 0; d < 2 && !status; d++) scale_states(&job, d);
    if (!status) status = load(&job, w, fit, error);
    for (int d = 0; d < 2 && !status; d++) advance_all(&job, d);
    for (int round = 0; round < efforts[options->effort].rounds && !status; round++) {
        double found;
        if ((status = round_all(&job, error))) break;
        if ((found = squared_error(&job, error)) < 0) status = SN_NO_MEMORY;
        if (!(found < .998 * before) || (options->stop && *options->stop)) break;
        before = found;
    }
    if (!status) status = sn_fit_set_bits(fit, options->bits, error);
    if (!status) take_scales(&job, fit->words + fit->matrix->n_values);
    else sn_fit_free(fit);
    job_free(&job);
    return status;
}
