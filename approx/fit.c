#include "fit.h"

#include "entries.h"
#include "levels.h"
#include "stored.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const struct sn_fitter *const fitters[] = {
#define FAMILY(name) &name##_fitter,
#include <families.def>
#undef FAMILY
};

enum { N_FITTERS = sizeof fitters / sizeof *fitters };

/* ---- The tables of all families, one behind the other */

static int count_types(const struct sn_fitter *fitter)
{
    int n = 0;
    while (fitter->types[n].name) n++;
    return n;
}

const struct sn_fit_type *sn_fit_type_at(int i)
{
    int n_ranks = 0;
    for (int f = 0; f < N_FITTERS; f++)
        if (count_types(fitters[f]) > n_ranks) n_ranks = count_types(fitters[f]);
    for (int rank = 0; rank < n_ranks; rank++)
        for (int f = 0; f < N_FITTERS; f++)
            if (rank < count_types(fitters[f]) && i-- == 0) return &fitters[f]->types[rank];
    return NULL;
}

const struct sn_fit_option *sn_fit_option_at(int i)
{
    for (int f = 0; f < N_FITTERS; f++)
        for (const struct sn_fit_option *option = fitters[f]->options; option->name; option++)
            if (i-- == 0) return option;
    return NULL;
}

const struct sn_fit_type *sn_fit_type_find(const char *name)
{
    const struct sn_fit_type *type = NULL;
    for (int i = 0; (type = sn_fit_type_at(i)) && strcmp(type->name, name);) i++;
    return type;
}

const struct sn_fit_type *sn_fit_simplest(const struct sn_family *family)
{
    const struct sn_fit_type *simplest = NULL;
    for (int f = 0; f < N_FITTERS && !simplest; f++)
        if (fitters[f]->types->family == family)
            simplest = &fitters[f]->types[count_types(fitters[f]) - 1];
    return simplest;
}

int sn_fit_has_option(const struct sn_fit_type *type, const char *name)
{
    for (int f = 0; f < N_FITTERS; f++)
        for (const struct sn_fit_option *option = fitters[f]->options; option->name; option++)
            if (fitters[f]->types->family == type->family && !strcmp(option->name, name)) return 1;
    return 0;
}

int sn_fit_setting(const struct sn_fit_options *options, const char *name)
{
    for (const struct sn_fit_setting *s = options->settings; s && s->name; s++)
        if (!strcmp(s->name, name)) return s->value;
    return 0;
}

/* ---- The front door */

static enum sn_status check_setting(const struct sn_fit_setting *setting, struct sn_error *error)
{
    const struct sn_fit_option *option = NULL;
    int value = setting->value;
    for (int i = 0; (option = sn_fit_option_at(i)) && strcmp(option->name, setting->name);) i++;
    if (!option) return sn_fail(error, SN_BAD_INPUT, "%s: unknown setting", setting->name);
    if (!value || (value >= option->minimum && value <= option->maximum)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected a whole number from %d to %d, found %d",
                   option->name, option->minimum, option->maximum, value);
}

static enum sn_status check(const struct sn_fit_type *type, const float *dense, int m, int n,
                            const struct sn_fit_options *options, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    if (m < 1 || n < 1)
        return sn_fail(error, SN_BAD_INPUT, "expected a matrix, found %d x %d", m, n);
    if (options->bits && options->bits != 32 && !sn_bits_are_few(options->bits))
        return sn_fail(error, SN_BAD_INPUT, "bits: expected 1, 2, 3, 4, 8 or 32, found %d",
                       options->bits);
    if (type->has_budget && options->budget_bytes < sizeof(float) && !options->budget_values)
        return sn_fail(error, SN_BAD_INPUT, "budget of %zu bytes cannot hold a single value",
                       options->budget_bytes);
    for (const struct sn_fit_setting *s = options->settings; s && s->name && !status; s++)
        status = check_setting(s, error);
    return status ? status : sn_entries_check("", dense, (size_t)m, (size_t)n, error);
}

/* Rounds the values of a fit whose family does not do so, each to the level next to it. */
static enum sn_status round_plainly(const float *dense, const struct sn_fit_options *options,
                                    struct sn_fit *fit, struct sn_error *error)
{
    enum sn_status status = sn_fit_set_bits(fit, options->bits, error);
    if (status) return status;
    uint32_t *map = malloc((fit->matrix->n_values + 1) * sizeof *map);
    if (!map) status = sn_no_memory(error, "%zu values", fit->matrix->n_values);
    if (!status) {
        sn_scale_map(fit->matrix, map);
        status = sn_start_scales(fit->matrix, map, fit->words, error);
    }
    if (!status) sn_round(fit->matrix, map, fit->words, fit->words);
    free(map);
    if (!status) status = sn_fit_measure(fit, dense, options->weighting, error);
    if (status) sn_fit_free(fit);
    return status;
}

/* type's fit, with values of as many bits as options say. */
static enum sn_status fit_rounded(const struct sn_fit_type *type, const float *dense, int m, int n,
                                  const struct sn_fit_options *options, struct sn_fit *fit,
                                  struct sn_error *error)
{
    enum sn_status status = type->fit(dense, m, n, options, fit, error);
    return !status && fit->matrix->bits != options->bits ? round_plainly(dense, options, fit, error)
                                                         : status;
}

/* W <- 2^power W, in values and scales. */
static enum sn_status scale_words(const struct sn_matrix *matrix, int power, float *words,
                                  struct sn_error *error)
{
    int f = 0;
    while (f + 1 < N_FITTERS && fitters[f]->types->family != matrix->family) f++;
    size_t n_rows = matrix->family->rows(matrix, NULL);
    char *marks = calloc(n_rows + 1, 1);
    uint32_t *row_of = malloc((matrix->n_values + 1) * sizeof *row_of);
    enum sn_status status = marks && row_of ? SN_OK : sn_no_memory(error, "%zu rows", n_rows);
    if (!status) {
        matrix->family->rows(matrix, row_of);
        fitters[f]->mark_outputs(matrix, marks);
    }
    for (size_t i = 0; i < matrix->n_values && !status; i++)
        if (marks[row_of[i]]) words[i] = ldexpf(words[i], power);
    for (size_t i = 0; i < matrix->n_scales && !status; i++)
        if (marks[i]) words[matrix->n_values + i] = ldexpf(words[matrix->n_values + i], power);
    free(marks);
    free(row_of);
    return status;
}

/* fit_rounded of 2^-power W, and the factor back into the fit: its relative errors stay. */
static enum sn_status fit_scaled(const struct sn_fit_type *type, const float *dense, int m, int n,
                                 int power, const struct sn_fit_options *options,
                                 struct sn_fit *fit, struct sn_error *error)
{
    size_t size = (size_t)m * (size_t)n;
    float *scaled = malloc(size * sizeof *scaled);
    if (!scaled) return sn_no_memory(error, "a matrix of %d x %d", m, n);
    for (size_t i = 0; i < size; i++) scaled[i] = ldexpf(dense[i], -power);
    enum sn_status status = fit_rounded(type, scaled, m, n, options, fit, error);
    if (!status) status = scale_words(fit->matrix, power, fit->words, error);
    free(scaled);
    if (status) sn_fit_free(fit);
    return status;
}

/* The power of 2 above the largest entry, where sums of fourth powers might not be floats; else 0.
 */
static int power_of(const float *dense, size_t size)
{
    enum { FAR = 24 };
    int power = 0;
    float largest = 0;
    for (size_t i = 0; i < size; i++) largest = fmaxf(largest, fabsf(dense[i]));
    frexpf(largest, &power);
    return abs(power) > FAR ? power : 0;
}

enum sn_status sn_fit(const struct sn_fit_type *type, const float *dense, int n_outputs,
                      int n_inputs, const struct sn_fit_options *options, struct sn_fit *fit,
                      struct sn_error *error)
{
    struct sn_error local = { 0 };
    struct sn_fit_options own = *options;
    memset(fit, 0, sizeof *fit);
    if (!error) error = &local;
    enum sn_status status = check(type, dense, n_outputs, n_inputs, options, error);
    if (status) return status;
    if (!own.bits) own.bits = 32;
    if (!own.budget_bytes) own.budget_bytes = SIZE_MAX;
    if (!own.budget_values) own.budget_values = SIZE_MAX;
    int power = power_of(dense, (size_t)n_outputs * (size_t)n_inputs);
    return power ? fit_scaled(type, dense, n_outputs, n_inputs, power, &own, fit, error)
                 : fit_rounded(type, dense, n_outputs, n_inputs, &own, fit, error);
}

/* ---- What fits share */

int sn_fit_is_coarse(const struct sn_fit_options *options, int n_outputs, int n_inputs)
{
    const size_t large = (size_t)1 << 22;
    return options->effort == SN_QUICK && (size_t)n_outputs * (size_t)n_inputs > large;
}

enum sn_status sn_fit_set_bits(struct sn_fit *fit, int bits, struct sn_error *error)
{
    struct sn_matrix *matrix = fit->matrix;
    size_t n_structure = matrix->n_words - matrix->n_values;
    enum sn_status status = sn_matrix_set_bits(matrix, bits, 0, error);
    float *words = status ? NULL : realloc(fit->words, matrix->n_words * sizeof *words);
    if (!words) {
        if (!status) status = sn_no_memory(error, "%zu values", matrix->n_values);
        sn_fit_free(fit);
        return status;
    }
    fit->words = words;
    memmove(words + sn_structure_at(matrix), words + matrix->n_values, n_structure * sizeof *words);
    memset(words + matrix->n_values, 0, matrix->n_scales * sizeof *words);
    return SN_OK;
}

enum sn_status sn_fit_dense(const struct sn_matrix *matrix, const float *words, float *dense,
                            struct sn_error *error)
{
    for (int f = 0; f < N_FITTERS; f++)
        if (fitters[f]->types->family == matrix->family && fitters[f]->dense)
            return fitters[f]->dense(matrix, words, dense, error);
    return sn_dense(matrix, words, dense, error);
}

enum sn_status sn_fit_measure(struct sn_fit *fit, const float *dense,
                              const struct sn_weighting *weighting, struct sn_error *error)
{
    int m = fit->matrix->n_outputs, n = fit->matrix->n_inputs;
    float *what = malloc((size_t)m * (size_t)n * sizeof *what);
    if (!what) return sn_no_memory(error, "a matrix of %d x %d", m, n);
    enum sn_status status = sn_fit_dense(fit->matrix, fit->words, what, error);
    if (!status) {
        fit->error = sn_weighted_error(dense, what, m, n, NULL, error);
        fit->weighted_error = weighting ? sn_weighted_error(dense, what, m, n, weighting, error)
                                        : fit->error;
        if (fit->error < 0 || fit->weighted_error < 0) status = SN_NO_MEMORY;
    }
    free(what);
    return status;
}

void sn_fit_free(struct sn_fit *fit)
{
    free(fit->matrix);
    free(fit->words);
    memset(fit, 0, sizeof *fit);
}
