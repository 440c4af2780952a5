/* Places tensors within their storages, with every product and sum checked, and reads their
 * elements as float32. */
#include "tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[N_TENSOR_TYPES] = {
    [TENSOR_BOOL] = { "bool", 1 },       [TENSOR_UINT8] = { "uint8", 1 },
    [TENSOR_INT8] = { "int8", 1 },       [TENSOR_INT16] = { "int16", 2 },
    [TENSOR_INT32] = { "int32", 4 },     [TENSOR_INT64] = { "int64", 8 },
    [TENSOR_FLOAT16] = { "float16", 2 }, [TENSOR_BFLOAT16] = { "bfloat16", 2 },
    [TENSOR_FLOAT32] = { "float32", 4 }, [TENSOR_FLOAT64] = { "float64", 8 },
};

const char *tensor_type_name(enum tensor_type type) { return types[type].name; }

size_t tensor_type_bytes(enum tensor_type type) { return types[type].bytes; }

/* The product of the shape and the index of the last element; whether the strides are those of C
 * order. */
static enum sn_status measure(struct tensor *tensor, int64_t *last, struct sn_error *error)
{
    int64_t n = 1;
    int empty = 0;
    *last = 0;
    tensor->contiguous = 1;
    for (int k = tensor->n_dimensions - 1; k >= 0; k--) {
        int64_t size = tensor->shape[k], stride = tensor->stride[k], reach;
        if (size < 0 || stride < 0)
            return sn_fail(error, SN_BAD_INPUT, "negative size or stride (%lld, %lld)",
                           (long long)size, (long long)stride);
        if (size > 1 && stride != n) tensor->contiguous = 0;
        empty |= !size;
        if (size
            && (__builtin_mul_overflow(n, size, &n)
                || __builtin_mul_overflow(size - 1, stride, &reach)
                || __builtin_add_overflow(*last, reach, last)))
            return sn_fail(error, SN_BAD_INPUT, "the product of its sizes is too large");
    }
    tensor->n_elements = empty ? 0 : (size_t)n;
    return SN_OK;
}

enum sn_status tensor_place(struct tensor *tensor, const unsigned char *storage, int64_t n_stored,
                            int64_t offset, struct sn_error *error)
{
    int64_t last;
    enum sn_status status = measure(tensor, &last, error);
    if (status) return status;
    if (offset < 0 || offset > n_stored || (tensor->n_elements && last >= n_stored - offset)) {
        int64_t end;
        if (__builtin_add_overflow(offset, last, &end)) end = INT64_MAX;
        return sn_fail(error, SN_BAD_INPUT, "elements %lld to %lld lie outside its storage of %lld",
                       (long long)offset, (long long)end, (long long)n_stored);
    }
    if (tensor->n_elements > (uint64_t)n_stored)
        return sn_fail(error, SN_BAD_INPUT, "%zu elements repeat a storage of %lld",
                       tensor->n_elements, (long long)n_stored);
    tensor->data = storage + (size_t)offset * types[tensor->type].bytes;
    return SN_OK;
}

/* 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float from_half(uint16_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float sign = bits >> 15 ? -1 : 1;
    if (exponent == 31) return fraction ? NAN : sign * INFINITY;
    return sign
        * (exponent ? ldexpf((float)(fraction + 1024), exponent - 25)
                    : ldexpf((float)fraction, -24));
}

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float element_float(enum tensor_type type, const unsigned char *at)
{
    union {
        uint16_t half;
        int16_t i16;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } u;
    memcpy(&u, at, types[type].bytes);
    switch (type) {
    case TENSOR_BOOL: return (float)(*at != 0);
    case TENSOR_UINT8: return *at;
    case TENSOR_INT8: return (int8_t)*at;
    case TENSOR_INT16: return u.i16;
    case TENSOR_INT32: return (float)u.i32;
    case TENSOR_INT64: return (float)u.i64;
    case TENSOR_FLOAT16: return from_half(u.half);
    case TENSOR_BFLOAT16: return from_bits((uint32_t)u.half << 16);
    case TENSOR_FLOAT64: return (float)u.f64;
    default: return u.f32;
    }
}

void tensor_floats(const struct tensor *tensor, size_t first, size_t n, float *values)
{
    size_t bytes = types[tensor->type].bytes;
    if (!n) return;
    if (tensor->contiguous && tensor->type == TENSOR_FLOAT32) {
        memcpy(values, tensor->data + first * bytes, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t at = tensor->contiguous ? first + i : 0, rest = first + i;
        for (int k = tensor->n_dimensions - 1; k >= 0 && !tensor->contiguous; k--) {
            at += rest % (size_t)tensor->shape[k] * (size_t)tensor->stride[k];
            rest /= (size_t)tensor->shape[k];
        }
        values[i] = element_float(tensor->type, tensor->data + at * bytes);
    }
}

void tensor_print_shape(int n_dimensions, const int64_t *shape, char *text)
{
    sprintf(text, "%s", n_dimensions ? "" : "scalar");
    for (int k = 0; k < n_dimensions; k++)
        text += sprintf(text, "%s%lld", k ? "x" : "", (long long)shape[k]);
}
