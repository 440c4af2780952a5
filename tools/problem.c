#include "problem.h"
#include "layer_costs.h"

#include "choose_layer.h"
#include "load_net.h"
#include "npy.h"
#include "random.h"

#include <structured_layer.h>
#include <weights_file.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum sn_status check_finite(const char *where, const float *values, size_t rows,
                                   size_t columns, struct sn_error *error)
{
    for (size_t i = 0; i < rows * columns; i++)
        if (!isfinite(values[i]))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: row %zu, column %zu: expected a finite number, found %g", where,
                           i / columns, i % columns, (double)values[i]);
    return SN_OK;
}

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
    if (l->dontloadscales && problem->request->features)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: layer %d has dontloadscales=1, so that %s does not hold the means that "
                       "--features would correct",
                       problem->request->cfg, problem->layer, problem->request->weights);
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

static enum sn_status read_layer(struct problem *problem, struct sn_error *error)
{
    const struct request *request = problem->request;
    char where[512];
    problem->net = load_net(request->cfg, request->weights);
    enum sn_status status = choose_layer(problem->net, request->cfg, request->layer,
                                         &choose_layer_dense, &problem->layer, error);
    if (status) return status;
    const layer *l = &problem->net->layers[problem->layer];
    if (l->dontload)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: layer %d has dontload=1, so that %s does not hold it", request->cfg,
                       problem->layer, request->weights);
    size_t m = (size_t)(problem->n_outputs = layer_matrix(l).n_rows);
    size_t n = (size_t)(problem->n_inputs = layer_matrix(l).n_columns);
    snprintf(where, sizeof where, "%s: layer %d", request->weights, problem->layer);
    if ((status = check_finite(where, l->weights, m, n, error))) return status;
    problem->dense = copy_floats(l->weights, m * n);
    problem->bias = copy_floats(l->biases, m);
    if (!problem->dense || !problem->bias)
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", where);
    return l->batch_normalize ? take_batchnorm(problem, l, error) : SN_OK;
}

/* Reads finite values of two dimensions, neither of them 0; of so many columns unless columns is 0.
 */
static enum sn_status read_rows(const char *path, int columns, const char *what, struct npy *npy,
                                struct sn_error *error)
{
    char found[NPY_SHAPE_TEXT];
    enum sn_status status = npy_read(path, npy, error);
    if (status) return status;
    npy_print_shape(npy, found);
    if (npy->n_dimensions != 2 || !npy->n_values || npy->shape[0] > INT32_MAX
        || npy->shape[1] > INT32_MAX)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected %s, found %s values", path, what,
                         found);
    else if (columns && npy->shape[1] != (size_t)columns)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected %s, %d columns, found %s", path, what,
                         columns, found);
    else status = check_finite(path, npy->values, npy->shape[0], npy->shape[1], error);
    if (!status) return SN_OK;
    free(npy->values);
    *npy = (struct npy){ 0 };
    return status;
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
    return check_finite(path, problem->bias, npy.n_values, 1, error);
}

static enum sn_status read_matrix(struct problem *problem, struct sn_error *error)
{
    struct npy npy;
    enum sn_status status = read_rows(problem->request->matrix, 0, "a matrix, outputs x inputs",
                                      &npy, error);
    if (status) return status;
    problem->dense = npy.values;
    problem->n_outputs = (int)npy.shape[0];
    problem->n_inputs = (int)npy.shape[1];
    return read_bias(problem, error);
}

static int ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

/* What --features and --labels mean as files. */
static enum sn_status find_files(struct problem *problem, struct sn_error *error)
{
    const char *features = problem->request->features, *labels = problem->request->labels;
    int is_file = ends_in(features, ".npy");
    if (asprintf(&problem->x_path, "%s%s", features, is_file ? "" : ".x.npy") < 0)
        problem->x_path = NULL;
    if (asprintf(&problem->labels_path, "%s%s", labels ? labels : features, labels ? "" : ".y.npy")
        < 0)
        problem->labels_path = NULL;
    if (!problem->x_path || !problem->labels_path)
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", features);
    if (labels || (!is_file && !access(problem->labels_path, F_OK))) return SN_OK;
    free(problem->labels_path);
    problem->labels_path = NULL;
    return SN_OK;
}

static enum sn_status read_labels(struct problem *problem, size_t n, struct sn_error *error)
{
    const char *path = problem->labels_path;
    char found[NPY_SHAPE_TEXT];
    struct npy npy;
    enum sn_status status = npy_read_integers(path, &npy, error);
    if (status) return status;
    problem->labels = npy.integers;
    npy_print_shape(&npy, found);
    if (npy.n_dimensions != 1 || npy.n_values != n)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %zu labels, one per row of %s, found %s",
                       path, n, problem->x_path, found);
    for (size_t i = 0; i < n; i++)
        if (npy.integers[i] < 0 || npy.integers[i] >= problem->n_outputs)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: row %zu: expected a class from 0 to %d, found %d", path, i,
                           problem->n_outputs - 1, npy.integers[i]);
    return SN_OK;
}

static void swap_rows(struct problem *problem, size_t i, size_t j)
{
    float *a = problem->x + i * (size_t)problem->n_inputs,
          *b = problem->x + j * (size_t)problem->n_inputs;
    for (int k = 0; k < problem->n_inputs; k++) {
        float value = a[k];
        a[k] = b[k];
        b[k] = value;
    }
    if (!problem->labels) return;
    int label = problem->labels[i];
    problem->labels[i] = problem->labels[j];
    problem->labels[j] = label;
}

/* The last rows of a shuffle are held out. */
static enum sn_status split(struct problem *problem, int n, int halves, struct sn_error *error)
{
    double holdout = problem->request->holdout;
    int least = holdout > 0 ? 1 + halves : 0, held = (int)lround(holdout * n);
    uint64_t state = problem->request->seed;
    if (n < least + 1)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected at least %d rows, of which %d are held out, found %d; "
                       "--holdout 0 holds out none",
                       problem->x_path, least + 1, least, n);
    held = held < least ? least : held > n - 1 ? n - 1 : held;
    for (int i = n - 1; held && i > 0; i--)
        swap_rows(problem, (size_t)i, random_next(&state) % ((uint64_t)i + 1));
    struct samples *parts[] = { &problem->fit, &problem->choose, &problem->judge };
    int sizes[] = { n - held, halves ? held / 2 : 0, halves ? held - held / 2 : held };
    size_t start = 0;
    for (int k = 0; k < 3; start += (size_t)sizes[k++])
        *parts[k] = (struct samples){ sizes[k], problem->x + start * (size_t)problem->n_inputs,
                                      problem->labels ? problem->labels + start : NULL };
    return SN_OK;
}

static enum sn_status take_mean(struct problem *problem, struct sn_error *error)
{
    size_t n = (size_t)problem->n_inputs;
    if (!(problem->mean = malloc(n * sizeof *problem->mean)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", problem->x_path);
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t i = 0; i < (size_t)problem->fit.n; i++)
            sum += (double)problem->fit.x[i * n + j];
        problem->mean[j] = (float)(sum / problem->fit.n);
    }
    return SN_OK;
}

static enum sn_status read_features(struct problem *problem, int halves, struct sn_error *error)
{
    struct npy npy;
    enum sn_status status = find_files(problem, error);
    if (status) return status;
    if ((status = read_rows(problem->x_path, problem->n_inputs, "features, rows x inputs", &npy,
                            error)))
        return status;
    problem->x = npy.values;
    if (problem->labels_path && (status = read_labels(problem, npy.shape[0], error))) return status;
    if ((status = split(problem, (int)npy.shape[0], halves, error))) return status;
    return take_mean(problem, error);
}

enum sn_status problem_read(struct problem *problem, const struct request *request, int halves,
                            struct sn_error *error)
{
    *problem = (struct problem){ .request = request, .layer = -1 };
    enum sn_status status = request->matrix ? read_matrix(problem, error)
                                            : read_layer(problem, error);
    if (!status && request->features) status = read_features(problem, halves, error);
    if (status) problem_free(problem);
    return status;
}

void problem_free(struct problem *problem)
{
    if (problem->net) free_network(problem->net);
    void *const blocks[] = { problem->dense,  problem->bias,   problem->mean,
                             problem->gain,   problem->offset, problem->x,
                             problem->labels, problem->x_path, problem->labels_path };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    *problem = (struct problem){ 0 };
}

double problem_dense_bytes(const struct problem *problem)
{
    return (double)sizeof(float) * problem->n_outputs * problem->n_inputs;
}

/* A millionth of a byte covers the rounding of a share that means whole bytes. */
size_t problem_share_bytes(const struct problem *problem, double share)
{
    return (size_t)(share * problem_dense_bytes(problem) + 1e-6);
}

void problem_files(const struct problem *problem, const char *files[PROBLEM_MAX_FILES])
{
    const struct request *request = problem->request;
    const char *all[] = { request->cfg,  request->weights, request->matrix,
                          request->bias, problem->x_path,  problem->labels_path };
    int n = 0;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]) files[n++] = all[i];
    files[n] = NULL;
}
