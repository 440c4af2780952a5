/* A safetensors file: uint64 length of the header; the header, which is JSON:
 *
 *   {"NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...,
 *    "__metadata__": {...}}
 *
 * and the elements, in C order. data_offsets count bytes from the end of the header. */
#include "checkpoint.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    enum tensor_type type;
} types[] = {
    { "BOOL", TENSOR_BOOL },   { "U8", TENSOR_UINT8 },      { "I8", TENSOR_INT8 },
    { "I16", TENSOR_INT16 },   { "I32", TENSOR_INT32 },     { "I64", TENSOR_INT64 },
    { "F16", TENSOR_FLOAT16 }, { "BF16", TENSOR_BFLOAT16 }, { "F32", TENSOR_FLOAT32 },
    { "F64", TENSOR_FLOAT64 },
};
enum { N_TYPES = sizeof types / sizeof *types };

static int read_type(const cJSON *item, enum tensor_type *type)
{
    const char *text = cJSON_GetStringValue(item);
    for (int i = 0; text && i < N_TYPES; i++)
        if (!strcmp(types[i].name, text)) {
            *type = types[i].type;
            return 1;
        }
    return 0;
}

/* The numbers of a JSON array, whole and exact in a double; how many, or -1. */
static int read_numbers(const cJSON *array, int64_t *numbers, int maximum)
{
    int n = 0;
    const cJSON *item;
    if (!cJSON_IsArray(array)) return -1;
    cJSON_ArrayForEach(item, array)
    {
        double number = cJSON_GetNumberValue(item);
        if (n == maximum || !(number >= 0 && number <= 9007199254740992.)
            || number != floor(number))
            return -1;
        numbers[n++] = (int64_t)number;
    }
    return n;
}

static enum sn_status add(struct checkpoint *c, const cJSON *item, const unsigned char *data,
                          size_t n_bytes, struct sn_error *error)
{
    struct tensor tensor = { .n_dimensions = 0 };
    int64_t span[2];
    struct sn_error reason;
    const char *what = NULL;
    if (!read_type(cJSON_GetObjectItemCaseSensitive(item, "dtype"), &tensor.type))
        what = "dtype: expected BOOL, U8, I8, I16, I32, I64, F16, BF16, F32 or F64";
    tensor.n_dimensions = read_numbers(cJSON_GetObjectItemCaseSensitive(item, "shape"),
                                       tensor.shape, TENSOR_MAX_DIMENSIONS);
    if (tensor.n_dimensions < 0) what = "shape: expected at most 8 whole numbers";
    if (read_numbers(cJSON_GetObjectItemCaseSensitive(item, "data_offsets"), span, 2) != 2
        || span[0] > span[1] || (uint64_t)span[1] > n_bytes)
        what = "data_offsets: expected a begin and an end within the file";
    if (what)
        return sn_fail(error, SN_BAD_INPUT, "%s: tensor '%.200s': %s", c->path, item->string, what);
    int64_t stride = 1, size = (int64_t)tensor_type_bytes(tensor.type);
    for (int k = tensor.n_dimensions - 1; k >= 0; k--) {
        tensor.stride[k] = stride;
        if (tensor.shape[k] && __builtin_mul_overflow(stride, tensor.shape[k], &stride))
            stride = INT64_MAX;
    }
    if (tensor_place(&tensor, data + span[0], (span[1] - span[0]) / size, 0, &reason))
        return sn_fail(error, SN_BAD_INPUT, "%s: tensor '%.200s': %.500s", c->path, item->string,
                       reason.message);
    if ((uint64_t)(span[1] - span[0]) != tensor.n_elements * (uint64_t)size)
        return sn_fail(error, SN_BAD_INPUT, "%s: tensor '%.200s': expected %zu bytes, found %lld",
                       c->path, item->string, tensor.n_elements * (size_t)size,
                       (long long)(span[1] - span[0]));
    size_t length = strlen(item->string) + 1;
    tensor.name = arena_grow(&c->arena, item->string, length, length);
    return tensor.name ? checkpoint_add(c, &tensor, error)
                       : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
}

struct span {
    uint64_t begin, end;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The format wants every byte behind the header to be one tensor's. */
static enum sn_status check_spans(const struct checkpoint *c, const unsigned char *data,
                                  uint64_t n_bytes, struct sn_error *error)
{
    size_t n = (size_t)c->n_tensors;
    uint64_t at = 0;
    struct span *spans = malloc((n + 1) * sizeof *spans);
    if (!spans) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
    for (size_t i = 0; i < n; i++) {
        const struct tensor *tensor = &c->tensors[i];
        spans[i].begin = (uint64_t)(tensor->data - data);
        spans[i].end = spans[i].begin + tensor->n_elements * tensor_type_bytes(tensor->type);
    }
    spans[n] = (struct span){ n_bytes, n_bytes };
    qsort(spans, n, sizeof *spans, compare_spans);
    size_t i = 0;
    while (i <= n && spans[i].begin == at) at = spans[i++].end;
    enum sn_status status = i > n
        ? SN_OK
        : sn_fail(error, SN_BAD_INPUT,
                  "%s: safetensors data: expected every byte in one tensor, found byte %llu in %s",
                  c->path, (unsigned long long)(spans[i].begin < at ? spans[i].begin : at),
                  spans[i].begin < at ? "two" : "none");
    free(spans);
    return status;
}

/* The header as JSON with nothing but blanks behind it, cJSON_Delete(); NULL when it is none. Its
 * strings become C's, so that none may hold a zero character. */
static cJSON *parse_header(const char *text, size_t length)
{
    const char *end = NULL;
    if (memchr(text, 0, length) || memmem(text, length, "\\u0000", strlen("\\u0000"))) return NULL;
    cJSON *header = cJSON_ParseWithLengthOpts(text, length, &end, 0);
    while (header && end < text + length && strchr(" \t\r\n", *end)) end++;
    if (header && cJSON_IsObject(header) && end == text + length) return header;
    cJSON_Delete(header);
    return NULL;
}

enum sn_status checkpoint_read_safetensors(struct checkpoint *c, struct sn_error *error)
{
    uint64_t length;
    c->format = "safetensors";
    memcpy(&length, c->bytes, sizeof length);
    if (length > c->n_bytes - sizeof length)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: safetensors header: expected %llu bytes, found %zu", c->path,
                       (unsigned long long)length, c->n_bytes - sizeof length);
    cJSON *header = parse_header((const char *)c->bytes + sizeof length, length);
    enum sn_status status = SN_OK;
    if (!header)
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: safetensors header: expected a JSON object without zero characters, "
                         "and blanks behind it",
                         c->path);
    const unsigned char *data = c->bytes + sizeof length + length;
    const cJSON *item;
    if (!status) cJSON_ArrayForEach(item, header)
        {
            if (!strcmp(item->string, "__metadata__")) continue;
            if ((status = add(c, item, data, c->n_bytes - sizeof length - length, error))) break;
        }
    cJSON_Delete(header);
    c->n_state_dict = c->n_tensors;
    if (!status && !c->n_tensors)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected tensors, found none", c->path);
    if (!status) status = check_spans(c, data, c->n_bytes - sizeof length - length, error);
    return status;
}
