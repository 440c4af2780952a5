#include "weights_file.h"

#include "relu6_layer.h"
#include "structured_layer.h"

#include <errno.h>
#include <math.h>
#include <network.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static size_t convolutional_floats(const layer *l)
{
    size_t n = (size_t)(l->numload ? l->numload : l->n),
           groups = (size_t)(l->groups ? l->groups : 1);
    size_t scales = l->batch_normalize && !l->dontloadscales ? 3 : 0;
    return n + scales * n + (size_t)l->c / groups * n * (size_t)l->size * (size_t)l->size;
}

static size_t connected_floats(const layer *l)
{
    size_t m = (size_t)l->outputs, scales = l->batch_normalize && !l->dontloadscales ? 3 : 0;
    return m + m * (size_t)l->inputs + scales * m;
}

static size_t layer_floats(const layer *l)
{
    switch (l->type) {
    case CONVOLUTIONAL:
    case DECONVOLUTIONAL: return convolutional_floats(l);
    case CONNECTED: return connected_floats(l);
    case BATCHNORM: return 3 * (size_t)l->c;
    case CRNN:
        return convolutional_floats(l->input_layer) + convolutional_floats(l->self_layer)
            + convolutional_floats(l->output_layer);
    case RNN:
        return connected_floats(l->input_layer) + connected_floats(l->self_layer)
            + connected_floats(l->output_layer);
    case LSTM:
        return connected_floats(l->wi) + connected_floats(l->wf) + connected_floats(l->wo)
            + connected_floats(l->wg) + connected_floats(l->ui) + connected_floats(l->uf)
            + connected_floats(l->uo) + connected_floats(l->ug);
    case GRU:
        return connected_floats(l->wz) + connected_floats(l->wr) + connected_floats(l->wh)
            + connected_floats(l->uz) + connected_floats(l->ur) + connected_floats(l->uh);
    case LOCAL:
        return (size_t)l->outputs
            + (size_t)l->size * (size_t)l->size * (size_t)l->c * (size_t)l->n * (size_t)l->out_w
            * (size_t)l->out_h;
    default: return 0;
    }
}

static struct weights_words structured_words(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    size_t n_biases = (size_t)l->out_c, n_floats = matrix->bits == 32 ? matrix->n_values : 0;
    return (struct weights_words){ .n_words = n_biases + (size_t)structured_load_words(l),
                                   .first_index = n_biases + n_floats,
                                   .n_indices = matrix->n_bytes / sizeof(float) - n_floats };
}

struct weights_words weights_layer_words(const layer *l)
{
    if (l->dontload) return (struct weights_words){ 0 };
    if (structured_matrix(l)) return structured_words(l);
    return (struct weights_words){ .n_words = layer_floats(l) };
}

size_t weights_layer_bytes(const layer *l)
{
    return sizeof(float) * weights_layer_words(l).n_words;
}

size_t weights_bytes_between(const network *net, int start, int end)
{
    size_t n_bytes = 0;
    for (int i = start; i < end; i++) n_bytes += weights_layer_bytes(&net->layers[i]);
    return n_bytes;
}

const char *weights_layer_name(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    if (matrix) return matrix->family->name;
    return l->forward == forward_relu6_layer ? "relu6" : get_layer_string(l->type);
}

static int is_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return 0;
    return 1;
}

static int is_finite_layer(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    size_t m, n;
    if (matrix) m = (size_t)l->out_c, n = matrix->n_values;
    else if (l->type == CONNECTED) m = (size_t)l->outputs, n = m * (size_t)l->inputs;
    else if (l->type == CONVOLUTIONAL) m = (size_t)l->n, n = (size_t)l->nweights;
    else return 1;
    return is_finite(l->biases, m) && is_finite(l->weights, n)
        && (!l->batch_normalize
            || (is_finite(l->scales, m) && is_finite(l->rolling_mean, m)
                && is_finite(l->rolling_variance, m)));
}

int weights_not_finite(const network *net)
{
    for (int i = 0; i < net->n; i++)
        if (!is_finite_layer(&net->layers[i])) return i;
    return -1;
}

enum sn_status weights_span(const char *path, struct weights_span *span, struct sn_error *error)
{
    struct weights_header header;
    struct stat status;
    FILE *file = fopen(path, "rb");
    if (!file || fstat(fileno(file), &status)) {
        sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
        if (file) fclose(file);
        return SN_IO;
    }
    if (!S_ISREG(status.st_mode)) {
        fclose(file);
        return sn_fail(error, SN_BAD_INPUT, "%s: cannot read: not a regular file", path);
    }
    span->file_bytes = (size_t)status.st_size;
    int is_whole = weights_header_read(&header, file);
    fclose(file);
    if (!is_whole)
        return sn_fail(error, SN_BAD_INPUT, "%s: header: expected 16 or 20 bytes, found %zu", path,
                       span->file_bytes);
    if (!weights_header_is_known(&header))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: header: expected a version such as 0.2, found %d.%d", path,
                       header.major, header.minor);
    span->header = header;
    span->header_bytes = weights_header_bytes(&header);
    return SN_OK;
}

static int has_structured_layer(const network *net)
{
    for (int i = 0; i < net->n; i++)
        if (structured_matrix(&net->layers[i])) return 1;
    return 0;
}

enum sn_status weights_check_length(const network *net, const char *path, int start, int cutoff,
                                    int strict, struct sn_error *error)
{
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    if (status) return status;
    strict |= has_structured_layer(net);
    int end = cutoff < net->n ? cutoff : net->n;
    size_t found = span.file_bytes - span.header_bytes;
    for (int i = start; i < end; i++) {
        const layer *l = &net->layers[i];
        size_t before = weights_bytes_between(net, start, i), bytes = weights_layer_bytes(l);
        size_t left = found > before ? found - before : 0;
        if (bytes > left && (left || strict))
            return sn_fail(error, SN_BAD_INPUT, "%s: layer %d [%s]: expected %zu bytes, found %zu",
                           path, i, weights_layer_name(l), bytes, left);
    }
    size_t expected = weights_bytes_between(net, start, end),
           more = found > expected ? found - expected : 0;
    /* A load that stops before the last layer leaves the rest of the file unread on purpose. */
    if (cutoff < net->n || !more || (!strict && more % sizeof(float) == 0)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected %zu bytes up to the last layer %d, found %zu",
                   path, span.file_bytes - more, net->n - 1, span.file_bytes);
}

/* Reads the words of layer number i; those that are floats must be finite. */
static enum sn_status check_layer(const layer *l, int i, FILE *file, const char *path,
                                  struct sn_error *error)
{
    enum { BLOCK = 4096 };
    float block[BLOCK];
    struct weights_words words = weights_layer_words(l);
    for (size_t first = 0, n; first < words.n_words; first += n) {
        size_t left = words.n_words - first;
        if (!(n = fread(block, sizeof *block, left < BLOCK ? left : BLOCK, file))) break;
        for (size_t j = 0; j < n; j++) {
            size_t k = first + j;
            int is_index = k >= words.first_index && k - words.first_index < words.n_indices;
            if (!is_index && !isfinite(block[j]))
                return sn_fail(error, SN_BAD_INPUT,
                               "%s: layer %d [%s]: value %zu is %g, expected a finite number", path,
                               i, weights_layer_name(l), k, (double)block[j]);
        }
    }
    return ferror(file) ? sn_fail(error, SN_IO, "%s: cannot read", path) : SN_OK;
}

enum sn_status weights_check_finite(const network *net, const char *path, int start, int cutoff,
                                    struct sn_error *error)
{
    struct weights_span span;
    enum sn_status status = weights_span(path, &span, error);
    FILE *file = status ? NULL : fopen(path, "rb");
    if (!file || fseek(file, (long)span.header_bytes, SEEK_SET))
        status = status ? status : sn_fail(error, SN_IO, "%s: cannot read", path);
    for (int i = start; i < net->n && i < cutoff && !status; i++)
        status = check_layer(&net->layers[i], i, file, path, error);
    if (file) fclose(file);
    return status;
}
