#include "problem.h"
#include "layer_costs.h"

#include "choose_layer.h"
#include "load_net.h"
#include "npy.h"
#include "random.h"

#include <entries.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static float *copy_floats(const float *values, size_t n)
{
    float *copy = malloc((n + 1) * sizeof *copy);
    if (copy && values) memcpy(copy, values, n * sizeof *copy);
    return copy;
}

/* b, gain and offset of a layer whose batch normalisation computes scale (y - mean) /
 * (sqrt(variance) + eps) + bias, with the eps of Darknet's normalize_cpu. */
static enum sn_status take_batchnorm(struct problem *problem, const layer *l,
                                     struct sn_error *error)
{
    if (l->dontloadscales && (problem->request->features || problem->request->moments))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: layer %d has dontloadscales=1, so that %s does not hold the means that "
                       "%s would correct",
                       problem->request->cfg, problem->layer, problem->request->weights,
                       problem->request->features ? "--features" : "--moments");
    problem->gain = malloc((size_t)problem->n_outputs * sizeof *problem->gain);
    problem->offset = copy_floats(l->biases, (size_t)problem->n_outputs);
    if (!problem->gain || !problem->offset)
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->request->weights);
    for (int i = 0; i < problem->n_outputs; i++) {
        problem->gain[i] = (float)(l->scales[i] / (sqrt(l->rolling_variance[i]) + .000001f));
        problem->bias[i] = -l->rolling_mean[i];
    }
    return SN_OK;
}

/* W of the layer, n_blocks times n_rows x n_columns one behind the other in the weights. */
static void spread_blocks(const layer *l, int n_blocks, size_t n_rows, size_t n_columns,
                          float *dense)
{
    const float *row = l->weights;
    for (size_t k = 0; k < (size_t)n_blocks; k++)
        for (size_t i = 0; i < n_rows; i++, row += n_columns)
            memcpy(dense + ((k * n_rows + i) * (size_t)n_blocks + k) * n_columns, row,
                   n_columns * sizeof *row);
}

static enum sn_status take_matrix(struct problem *problem, const layer *l, struct sn_error *error)
{
    struct layer_matrix matrix = layer_matrix(l);
    size_t m = (size_t)matrix.n_rows, n = (size_t)matrix.n_columns / (size_t)matrix.n_blocks;
    char where[512];
    problem->n_outputs = matrix.n_rows;
    problem->n_inputs = matrix.n_columns;
    problem->n_blocks = matrix.n_blocks;
    snprintf(where, sizeof where, "%s: layer %d", problem->request->weights, problem->layer);
    enum sn_status status = sn_entries_check(where, l->weights, m, n, error);
    if (status) return status;
    problem->dense = calloc(m * n * (size_t)matrix.n_blocks, sizeof *problem->dense);
    problem->bias = copy_floats(l->biases, m);
    if (!problem->dense || !problem->bias)
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", where);
    spread_blocks(l, matrix.n_blocks, m / (size_t)matrix.n_blocks, n, problem->dense);
    return SN_OK;
}

static enum sn_status check_samples(const struct problem *problem, struct sn_error *error)
{
    const struct request *request = problem->request;
    if (problem->n_blocks == 1 || (!request->features && !request->moments)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: layer %d has groups=%d, whose matrix is fitted without %s", request->cfg,
                   problem->layer, problem->n_blocks,
                   request->features ? "--features" : "--moments");
}

static enum sn_status read_layer(struct problem *problem, struct sn_error *error)
{
    const struct request *request = problem->request;
    problem->net = load_net(request->cfg, request->weights);
    enum sn_status status = choose_layer(problem->net, request->cfg, request->layer,
                                         &choose_layer_dense, &problem->layer, error);
    if (status) return status;
    const layer *l = &problem->net->layers[problem->layer];
    if (l->dontload)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: layer %d has dontload=1, so that %s does not hold it", request->cfg,
                       problem->layer, request->weights);
    if ((status = take_matrix(problem, l, error)) || (status = check_samples(problem, error)))
        return status;
    return l->batch_normalize ? take_batchnorm(problem, l, error) : SN_OK;
}

static enum sn_status read_bias(struct problem *problem, struct sn_error *error)
{
    const char *path = problem->request->bias;
    char found[NPY_SHAPE_TEXT];
    struct npy npy;
    if (!path) {
        problem->bias = calloc((size_t)problem->n_outputs, sizeof *problem->bias);
        return problem->bias
            ? SN_OK
            : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->request->matrix);
    }
    enum sn_status status = npy_read(path, &npy, error);
    if (status) return status;
    problem->bias = npy.values;
    npy_print_shape(&npy, found);
    if (npy.n_dimensions != 1 || npy.n_values != (size_t)problem->n_outputs)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %d values, one per row of %s, found %s",
                       path, problem->n_outputs, problem->request->matrix, found);
    return sn_entries_check(path, problem->bias, npy.n_values, 1, error);
}

static enum sn_status read_matrix(struct problem *problem, struct sn_error *error)
{
    struct npy npy;
    enum sn_status status = samples_read_rows(problem->request->matrix, 0,
                                              "a matrix, outputs x inputs", &npy, error);
    if (status) return status;
    problem->dense = npy.values;
    problem->n_outputs = (int)npy.shape[0];
    problem->n_inputs = (int)npy.shape[1];
    return read_bias(problem, error);
}

static void swap_rows(struct problem *problem, size_t i, size_t j)
{
    float *a = problem->samples.x + i * (size_t)problem->n_inputs,
          *b = problem->samples.x + j * (size_t)problem->n_inputs;
    for (int k = 0; k < problem->n_inputs; k++) {
        float value = a[k];
        a[k] = b[k];
        b[k] = value;
    }
    if (!problem->samples.labels) return;
    int label = problem->samples.labels[i];
    problem->samples.labels[i] = problem->samples.labels[j];
    problem->samples.labels[j] = label;
}

/* The last rows of a shuffle are held out. */
static enum sn_status split(struct problem *problem, int halves, struct sn_error *error)
{
    int n = problem->samples.n;
    double holdout = problem->request->holdout;
    int least = holdout > 0 ? 1 + halves : 0, held = (int)lround(holdout * n);
    uint64_t state = problem->request->seed;
    if (n < least + 1)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected at least %d rows, of which %d are held out, found %d; "
                       "--holdout 0 holds out none",
                       problem->samples.x_path, least + 1, least, n);
    held = held < least ? least : held > n - 1 ? n - 1 : held;
    for (int i = n - 1; held && i > 0; i--)
        swap_rows(problem, (size_t)i, random_next(&state) % ((uint64_t)i + 1));
    struct samples *parts[] = { &problem->fit, &problem->choose, &problem->judge };
    int sizes[] = { n - held, halves ? held / 2 : 0, halves ? held - held / 2 : held };
    size_t start = 0;
    for (int k = 0; k < 3; start += (size_t)sizes[k++])
        *parts[k] = (struct samples){ sizes[k],
                                      problem->samples.x + start * (size_t)problem->n_inputs,
                                      problem->samples.labels ? problem->samples.labels + start
                                                              : NULL };
    return SN_OK;
}

static enum sn_status take_mean(struct problem *problem, struct sn_error *error)
{
    size_t n = (size_t)problem->n_inputs;
    if (!(problem->mean = malloc(n * sizeof *problem->mean)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->samples.x_path);
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < (size_t)problem->fit.n; i++)
            sum += (double)problem->fit.x[i * n + j];
        problem->mean[j] = (float)(sum / problem->fit.n);
    }
    problem->reference_mean = copy_floats(problem->mean, n);
    return problem->reference_mean
        ? SN_OK
        : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->samples.x_path);
}

static enum sn_status read_features(struct problem *problem, int halves, struct sn_error *error)
{
    const struct request *request = problem->request;
    enum sn_status status = samples_read(request->features, request->labels, problem->n_inputs,
                                         problem->n_outputs, &problem->samples, error);
    if (!status) status = split(problem, halves, error);
    return status ? status : take_mean(problem, error);
}

/* The means of the vectors of both parts: of x, and of r or x again. */
static enum sn_status take_means(struct problem *problem, const struct sn_covariance *joined,
                                 struct sn_error *error)
{
    size_t n = (size_t)problem->n_inputs, behind = joined->n - n;
    problem->mean = copy_floats(joined->mean, n);
    problem->reference_mean = copy_floats(joined->mean + behind, n);
    if (problem->mean && problem->reference_mean) return SN_OK;
    return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->request->moments);
}

/* The moments of all images of a file together. */
static enum sn_status read_joined(const char *path, int n, struct sn_covariance *joined,
                                  struct sn_error *error)
{
    struct sn_covariance parts[2];
    enum sn_status status = layer_moments_read(path, n, parts, error);
    if (!status) status = sn_covariance_join(&parts[0], &parts[1], joined, error);
    layer_moments_free(parts);
    return status;
}

static enum sn_status read_moments(struct problem *problem, struct sn_error *error)
{
    const struct request *request = problem->request;
    struct sn_covariance joined = { 0 };
    enum sn_status status = layer_moments_read(request->moments, problem->n_inputs, problem->parts,
                                               error);
    if (!status)
        status = sn_covariance_join(&problem->parts[0], &problem->parts[1], &joined, error);
    if (!status) status = take_means(problem, &joined, error);
    sn_covariance_free(&joined);
    if (status || !request->judge) return status;
    status = read_joined(request->judge, problem->n_inputs, &problem->judging, error);
    if (status || problem->judging.n == problem->parts->n) return status;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected %s a reference, as %s", request->judge,
                   problem->judging.n > problem->parts->n ? "moments without" : "moments with",
                   request->moments);
}

enum sn_status problem_read(struct problem *problem, const struct request *request, int halves,
                            struct sn_error *error)
{
    *problem = (struct problem){ .request = request, .layer = -1, .n_blocks = 1 };
    enum sn_status status = request->matrix ? read_matrix(problem, error)
                                            : read_layer(problem, error);
    if (!status && request->features) status = read_features(problem, halves, error);
    if (!status && request->moments) status = read_moments(problem, error);
    if (status) problem_free(problem);
    return status;
}

void problem_free(struct problem *problem)
{
    if (problem->net) free_network(problem->net);
    void *const blocks[] = { problem->dense, problem->bias,   problem->mean,
                             problem->gain,  problem->offset, problem->reference_mean };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    samples_free(&problem->samples);
    layer_moments_free(problem->parts);
    sn_covariance_free(&problem->judging);
    *problem = (struct problem){ 0 };
}

enum sn_status problem_check_type(const struct problem *problem, const struct sn_fit_type *type,
                                  struct sn_error *error)
{
    if (problem->n_blocks == 1 || (type && !type->has_budget)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: layer %d has groups=%d, which only structnet approx --type dense keeps",
                   problem->request->cfg, problem->layer, problem->n_blocks);
}

double problem_dense_bytes(const struct problem *problem)
{
    return (double)sizeof(float) * problem->n_outputs * problem->n_inputs / problem->n_blocks;
}

/* A millionth of a byte covers the rounding of a share that means whole bytes. */
size_t problem_share_bytes(const struct problem *problem, double share)
{
    return (size_t)(share * problem_dense_bytes(problem) + 1e-6);
}

void problem_files(const struct problem *problem, const char *files[PROBLEM_MAX_FILES])
{
    const struct request *request = problem->request;
    const char *all[] = { request->cfg,     request->weights,        request->matrix,
                          request->bias,    problem->samples.x_path, problem->samples.labels_path,
                          request->moments, request->judge };
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) files[n++] = all[i];
    files[n] = NULL;
}
