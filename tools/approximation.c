#include "approximation.h"

#include <fit.h>
#include <product.h>
#include <sn_error.h>
#include <stored.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *approximation_names(void)
{
    static char names[256];
    const struct sn_fit_type *type;
    for (int i = 0; (i || !*names) && (type = sn_fit_type_at(i)); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? "," : "",
                 type->name);
    return names;
}

int approximation_is_in(const char *names, const struct sn_fit_type *type)
{
    size_t n = strlen(type->name);
    for (const char *at = names; (at = strstr(at, type->name)); at += n)
        if ((at == names || at[-1] == ',') && (!at[n] || at[n] == ',')) return 1;
    return 0;
}

void approximation_check_types(const struct command *command, const char *names)
{
    char name[32];
    for (const char *at = names;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), at);
        if (!sn_fit_type_find(name))
            command_usage_error(command, "--types: expected some of %s, found '%s'",
                                approximation_names(), name);
        if (!*(at += n)) return;
    }
}

static double sum_of_squares(const float *values, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)values[i] * (double)values[i];
    return sum;
}

/* y = x A^T, rows x m, for A (m x n). */
static void multiply(const float *a, int m, int n, const float *x, int rows, float *y)
{
    sn_product(0, 1, rows, m, n, 1, x, n, a, n, 0, y, m);
}

/* Whether output label is larger than all others, of outputs gain (y + bias) + offset. Equal
 * outputs are no answer. */
static int is_correct(const struct problem *problem, const float *y, const float *bias, int label)
{
    int best = -1, ties = 0;
    float largest = 0;
    for (int i = 0; i < problem->n_outputs; i++) {
        float value = y[i] + bias[i];
        if (problem->gain) value = value * problem->gain[i] + problem->offset[i];
        if (best >= 0 && value == largest) ties = 1;
        if (best < 0 || value > largest) best = i, largest = value, ties = 0;
    }
    return best == label && !ties;
}

/* What judging a few rows adds to the sums. */
struct sums {
    double energy, corrected, uncorrected, n_correct;
};

enum { BLOCK = 256 }; /* rows at a time */

/* One block of rows x; D = W - What, shift = D mean. centred is BLOCK x n, y is BLOCK x m. */
static void judge_block(const struct problem *problem, const float *what, const float *difference,
                        const float *shift, const float *bias, const float *x, const int *labels,
                        int rows, float *centred, float *y, struct sums *sums)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    size_t n_y = (size_t)rows * (size_t)m;
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < n; j++)
            centred[i * (size_t)n + j] = x[i * (size_t)n + j] - problem->mean[j];
    multiply(problem->dense, m, n, centred, rows, y);
    sums->energy += sum_of_squares(y, n_y);
    multiply(difference, m, n, centred, rows, y);
    sums->corrected += sum_of_squares(y, n_y);
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): BLAS has set all of y. */
    for (size_t i = 0; i < n_y; i++) y[i] += shift[i % (size_t)m];
    sums->uncorrected += sum_of_squares(y, n_y);
    if (!labels) return;
    multiply(what, m, n, x, rows, y);
    for (int i = 0; i < rows; i++)
        sums->n_correct += is_correct(problem, y + i * (size_t)m, bias, labels[i]);
}

/* Sums of squares of outputs, which are no numbers where an output is beyond the floats. */
static enum sn_status check_energies(const struct problem *problem, double energy, double left,
                                     double uncorrected, struct sn_error *error)
{
    if (isfinite(energy + left + uncorrected)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected features and a matrix whose product is finite, found a sum of "
                   "squares of %g",
                   problem->request->features ? problem->request->features
                                              : problem->request->moments,
                   energy + left + uncorrected);
}

static double relative(double difference, double energy)
{
    return energy > 0 ? sqrt(difference / energy) : difference > 0;
}

/* The same from moments: those of the file that judges, or, to choose by, those that fitted. */
static enum sn_status judge_moments(const struct problem *problem, const float *what,
                                    const struct sn_covariance *moments,
                                    struct judgement *judgement, struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    float *mean = malloc(moments->n * sizeof *mean);
    *judgement = (struct judgement){ NAN, NAN, NAN };
    if (!mean) return sn_no_memory(error, "the outputs of moments");
    memcpy(mean, problem->mean, n * sizeof *mean);
    memcpy(mean + moments->n - n, problem->reference_mean, n * sizeof *mean);
    double energy = sn_moments_error(problem->dense, NULL, m, n, moments, mean, 1, error);
    double left = sn_moments_error(problem->dense, what, m, n, moments, mean, 1, error);
    double uncorrected = sn_moments_error(problem->dense, what, m, n, moments, mean, 0, error);
    free(mean);
    if (energy < 0 || left < 0 || uncorrected < 0) return SN_NO_MEMORY;
    if (check_energies(problem, energy, left, uncorrected, error)) return error->code;
    judgement->error = relative(left, energy);
    judgement->uncorrected = relative(uncorrected, energy);
    return SN_OK;
}

/* Judges What with bias b + shift on samples. */
static enum sn_status judge(const struct problem *problem, const struct samples *samples,
                            const float *what, const float *shift, const float *bias,
                            struct judgement *judgement, struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    *judgement = (struct judgement){ NAN, NAN, NAN };
    if (!samples->n) return SN_OK;
    struct sums sums = { 0 };
    float *difference = malloc(m * n * sizeof *difference),
          *centred = malloc(BLOCK * n * sizeof *centred);
    float *y = malloc(BLOCK * m * sizeof *y);
    enum sn_status status = SN_OK;
    if (!difference || !centred || !y) {
        status = sn_no_memory(error, "the outputs of %d rows", samples->n);
        goto done;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): what is set. */
    for (size_t i = 0; i < m * n; i++) difference[i] = problem->dense[i] - what[i];
    for (int i = 0; i < samples->n; i += BLOCK)
        judge_block(problem, what, difference, shift, bias, samples->x + (size_t)i * n,
                    samples->labels ? samples->labels + i : NULL,
                    samples->n - i < BLOCK ? samples->n - i : BLOCK, centred, y, &sums);
    status = check_energies(problem, sums.energy, sums.corrected, sums.uncorrected, error);
    judgement->error = relative(sums.corrected, sums.energy);
    judgement->uncorrected = relative(sums.uncorrected, sums.energy);
    if (samples->labels) judgement->top1 = sums.n_correct / samples->n;
done:
    free(difference);
    free(centred);
    free(y);
    return status;
}

double approximation_dense_top1(const struct problem *problem, struct sn_error *error)
{
    struct judgement judgement;
    float *shift = calloc((size_t)problem->n_outputs, sizeof *shift);
    enum sn_status status = shift
        ? judge(problem, &problem->judge, problem->dense, shift, problem->bias, &judgement, error)
        : sn_no_memory(error, "%d outputs", problem->n_outputs);
    free(shift);
    return status ? -1 : judgement.top1;
}

/* shift = W E r - What E x and bias = b + shift; without features shift = 0. */
static void correct_bias(const struct problem *problem, const float *what, float *shift,
                         float *bias)
{
    size_t n = (size_t)problem->n_inputs;
    for (int i = 0; i < problem->n_outputs; i++) {
        double sum = 0;
        const float *w = problem->dense + (size_t)i * n, *v = what + (size_t)i * n;
        for (size_t j = 0; problem->mean && j < n; j++)
            sum += (double)w[j] * (double)problem->reference_mean[j]
                - (double)v[j] * (double)problem->mean[j];
        shift[i] = (float)sum;
        bias[i] = problem->mean ? (float)((double)problem->bias[i] + sum) : problem->bias[i];
    }
}

/* Fits the covariance of features or moments, shrunk as the caller says or as suits the type and
 * its budget best. target receives the matrix to approximate. */
static enum sn_status weigh(const struct problem *problem, const struct sn_fit_options *options,
                            struct approximation *a, struct sn_weighting *weighting, float *target,
                            struct sn_error *error)
{
    const struct samples *fit = &problem->fit;
    double shrinkage = problem->request->shrinkage;
    int m = problem->n_outputs, n = problem->n_inputs;
    enum sn_status status;
    memcpy(target, problem->dense, (size_t)m * (size_t)n * sizeof *target);
    if (problem->parts->n)
        status = sn_moments_choose(a->type, options, problem->dense, m, n, problem->parts,
                                   shrinkage, weighting, target, error);
    else if (shrinkage > 0)
        status = sn_weighting_new(NULL, 0, fit->x, fit->n, n, shrinkage, 0, weighting, error);
    else
        status = sn_weighting_choose(a->type, options, problem->dense, m, n, fit->x, fit->n,
                                     weighting, error);
    a->shrinkage = weighting->shrinkage;
    a->alignment = weighting->alignment;
    return status;
}

/* a->index <- the value of the section's key "index". */
static enum sn_status take_index(struct approximation *a, struct sn_error *error)
{
    static const char key[] = "\nindex=";
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file) return sn_no_memory(error, "the keys of a section");
    fputc('\n', file);
    sn_matrix_print(a->fit.matrix, file);
    int failed = fclose(file);
    const char *found = failed ? NULL : strstr(text, key);
    if (found) {
        found += sizeof key - 1;
        snprintf(a->index, sizeof a->index, "%.*s", (int)strcspn(found, "\n"), found);
    }
    free(text);
    return failed ? sn_no_memory(error, "the keys of a section") : SN_OK;
}

/* Sets the fit, what (the matrix that it stands for), its size and its errors on the matrix. target
 * is scratch. */
static enum sn_status reduce(const struct problem *problem, const struct sn_fit_options *options,
                             struct approximation *a, float *what, float *target,
                             struct sn_error *error)
{
    int m = problem->n_outputs, n = problem->n_inputs;
    struct sn_weighting weighting = { 0 };
    struct sn_fit_options own = *options;
    enum sn_status status = problem->mean ? weigh(problem, options, a, &weighting, target, error)
                                          : SN_OK;
    own.weighting = problem->mean ? &weighting : NULL;
    if (!status)
        status = sn_fit(a->type, problem->mean ? target : problem->dense, m, n, &own, &a->fit,
                        error);
    sn_weighting_free(&weighting);
    if (!status) status = sn_fit_dense(a->fit.matrix, a->fit.words, what, error);
    if (status) return status;
    a->bits = a->fit.matrix->bits;
    a->n_values = a->fit.matrix->n_values;
    a->bytes = a->fit.matrix->n_bytes;
    a->error = sn_weighted_error(problem->dense, what, m, n, NULL, error);
    a->choice = a->fit.weighted_error;
    return a->error < 0 ? SN_NO_MEMORY : take_index(a, error);
}

/* Judges What by the rows, or the moments, that choose, and by those that judge. */
static enum sn_status judge_all(const struct problem *problem, const float *what,
                                const float *shift, struct approximation *a, struct sn_error *error)
{
    const struct samples *choosing = problem->choose.n ? &problem->choose : &problem->fit;
    struct judgement chosen = { .error = NAN };
    enum sn_status status = SN_OK;
    if (problem->judging.n)
        status = judge_moments(problem, what, &problem->judging, &a->judged, error);
    else status = judge(problem, &problem->judge, what, shift, a->bias, &a->judged, error);
    if (status) return status;
    if (problem->parts->n)
        status = judge_moments(problem, what, &problem->parts[0], &chosen, error);
    else status = judge(problem, choosing, what, shift, a->bias, &chosen, error);
    if (!status && !isnan(chosen.error)) a->choice = chosen.error;
    return status;
}

enum sn_status approximation_run(const struct problem *problem, const struct sn_fit_type *type,
                                 const struct sn_fit_options *options, struct approximation *a,
                                 struct sn_error *error)
{
    size_t m = (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    double start = command_seconds();
    *a = (struct approximation){ .type = type, .bias = malloc(m * sizeof(float)) };
    float *shift = malloc(m * sizeof *shift), *what = malloc(2 * m * n * sizeof *what);
    enum sn_status status = a->bias && shift && what
        ? reduce(problem, options, a, what, what + m * n, error)
        : sn_no_memory(error, "a matrix of %zu x %zu", m, n);
    a->seconds = command_seconds() - start;
    if (!status) {
        correct_bias(problem, what, shift, a->bias);
        status = judge_all(problem, what, shift, a, error);
    }
    free(what);
    free(shift);
    if (status) approximation_free(a);
    return status;
}

void approximation_forget(struct approximation *a)
{
    sn_fit_free(&a->fit);
    free(a->bias);
    a->bias = NULL;
}

void approximation_free(struct approximation *a)
{
    approximation_forget(a);
    *a = (struct approximation){ 0 };
}
