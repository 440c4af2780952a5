#include "npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_HEADER = 65536 };

/* What follows "'key':" in the header, or NULL. */
static const char *find_value(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s':", key);
    const char *at = strstr(header, quoted);
    if (!at) return NULL;
    at += strlen(quoted);
    return at + strspn(at, " ");
}

/* "(2, 3)", "(4,)" or "()". */
static int read_shape(const char *text, struct npy *npy)
{
    if (!text || *text++ != '(') return 0;
    npy->n_values = 1;
    while (*(text += strspn(text, ", ")) != ')') {
        char *end;
        errno = 0;
        unsigned long long size = strtoull(text, &end, 10);
        if (*text < '0' || *text > '9' || errno || npy->n_dimensions == NPY_MAX_DIMENSIONS)
            return 0;
        if (__builtin_mul_overflow(npy->n_values, size, &npy->n_values)) return 0;
        npy->shape[npy->n_dimensions++] = size;
        text = end;
    }
    return 1;
}

static enum sn_status fail_header(const char *path, struct sn_error *error)
{
    return sn_fail(error, SN_BAD_INPUT, "%s: expected a NumPy array (.npy), found another header",
                   path);
}

/* The header as a string: *header, free(), NULL on failure. */
static enum sn_status read_header(const char *path, FILE *file, char **header,
                                  struct sn_error *error)
{
    unsigned char start[8], length[4] = { 0 };
    *header = NULL;
    if (fread(start, 1, 8, file) < 8 || memcmp(start, "\x93NUMPY", 6) || start[6] < 1
        || start[6] > 3)
        return fail_header(path, error);
    size_t n_length = start[6] == 1 ? 2 : 4;
    if (fread(length, 1, n_length, file) < n_length) return fail_header(path, error);
    size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16
        | (size_t)length[3] << 24;
    if (n > MAX_HEADER) return fail_header(path, error);
    if (!(*header = calloc(n + 1, 1)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    return fread(*header, 1, n, file) == n ? SN_OK : fail_header(path, error);
}

/* The elements as they stand in the file: *raw, free(), NULL on failure. */
static enum sn_status read_elements(const char *path, FILE *file, size_t n, size_t size, char **raw,
                                    struct sn_error *error)
{
    long start = ftell(file);
    if (start < 0 || fseek(file, 0, SEEK_END))
        return sn_fail(error, SN_IO, "%s: cannot read", path);
    size_t found = (size_t)(ftell(file) - start);
    if (fseek(file, start, SEEK_SET)) return sn_fail(error, SN_IO, "%s: cannot read", path);
    if (n > found / size || found != n * size)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %zu values of %zu bytes, found %zu bytes",
                       path, n, size, found);
    *raw = malloc(found + 1);
    if (!*raw) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    return fread(*raw, 1, found, file) == found ? SN_OK
                                                : sn_fail(error, SN_IO, "%s: cannot read", path);
}

/* Narrows n doubles to floats where they stand. */
static void narrow_doubles(char *raw, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, raw + i * sizeof value, sizeof value);
        float rounded = (float)value;
        memcpy(raw + i * sizeof rounded, &rounded, sizeof rounded);
    }
}

/* Narrows n int64 to int32 where they stand. SN_BAD_INPUT names the first that is none. */
static enum sn_status narrow_integers(const char *path, char *raw, size_t n, struct sn_error *error)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value;
        memcpy(&value, raw + i * sizeof value, sizeof value);
        int32_t narrow = (int32_t)value;
        if (narrow != value)
            return sn_fail(error, SN_BAD_INPUT, "%s: value %zu: expected 32 bits, found %lld", path,
                           i, (long long)value);
        memcpy(raw + i * sizeof narrow, &narrow, sizeof narrow);
    }
    return SN_OK;
}

/* Puts elements of 4 bytes from Fortran order, the first index fastest, into C order: the same
 * array with its sizes reversed, transposed. */
static enum sn_status reorder(const char *path, const struct npy *npy, char **raw,
                              struct sn_error *error)
{
    size_t at[NPY_MAX_DIMENSIONS] = { 0 }, size = sizeof(float);
    char *ordered = malloc(npy->n_values * size + 1);
    if (!ordered) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    for (size_t i = 0; i < npy->n_values; i++) {
        size_t to = 0;
        for (int k = 0; k < npy->n_dimensions; k++) to = to * npy->shape[k] + at[k];
        memcpy(ordered + to * size, *raw + i * size, size);
        for (int k = 0; k < npy->n_dimensions && ++at[k] == npy->shape[k]; k++) at[k] = 0;
    }
    free(*raw);
    *raw = ordered;
    return SN_OK;
}

/* What the header says: the shape, the size (4 or 8) of elements of kind 'f' or 'i', and the order.
 */
static enum sn_status parse_header(const char *path, const char *header, char kind, struct npy *npy,
                                   size_t *size, int *is_fortran, struct sn_error *error)
{
    const char *descr = find_value(header, "descr"), *order = find_value(header, "fortran_order");
    if (!descr || !order || !read_shape(find_value(header, "shape"), npy))
        return fail_header(path, error);
    if (strncmp(descr, "'<", 2) || descr[2] != kind || (descr[3] != '4' && descr[3] != '8')
        || descr[4] != '\'')
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %s ('<%c4', '<%c8'), found %.*s", path,
                       kind == 'f' ? "float32 or float64" : "int32 or int64", kind, kind,
                       (int)strcspn(descr, ",}\n"), descr);
    *size = descr[3] == '4' ? 4 : 8;
    *is_fortran = !strncmp(order, "True", 4);
    return SN_OK;
}

/* Opens path and reads its header: *file stands at the elements. */
static enum sn_status open_array(const char *path, char kind, FILE **file, struct npy *npy,
                                 size_t *size, int *is_fortran, struct sn_error *error)
{
    char *header;
    if (!(*file = fopen(path, "rb")))
        return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    enum sn_status status = read_header(path, *file, &header, error);
    if (!status) status = parse_header(path, header, kind, npy, size, is_fortran, error);
    free(header);
    return status;
}

/* The array's elements in *raw, 4 bytes each. */
static enum sn_status read_array(const char *path, char kind, struct npy *npy, char **raw,
                                 struct sn_error *error)
{
    FILE *file;
    size_t size = 0;
    int is_fortran = 0;
    *npy = (struct npy){ 0 };
    enum sn_status status = open_array(path, kind, &file, npy, &size, &is_fortran, error);
    *raw = NULL;
    if (!status) status = read_elements(path, file, npy->n_values, size, raw, error);
    if (!status && size == 8 && kind == 'f') narrow_doubles(*raw, npy->n_values);
    if (!status && size == 8 && kind == 'i')
        status = narrow_integers(path, *raw, npy->n_values, error);
    if (!status && is_fortran) status = reorder(path, npy, raw, error);
    if (status) {
        free(*raw);
        *raw = NULL;
        *npy = (struct npy){ 0 };
    }
    if (file) fclose(file);
    return status;
}

enum sn_status npy_read(const char *path, struct npy *npy, struct sn_error *error)
{
    char *raw;
    enum sn_status status = read_array(path, 'f', npy, &raw, error);
    npy->values = (float *)raw;
    return status;
}

enum sn_status npy_read_integers(const char *path, struct npy *npy, struct sn_error *error)
{
    char *raw;
    enum sn_status status = read_array(path, 'i', npy, &raw, error);
    npy->integers = (int32_t *)raw;
    return status;
}

void npy_print_shape(const struct npy *npy, char text[NPY_SHAPE_TEXT])
{
    int n = sprintf(text, npy->n_dimensions ? "" : "one");
    for (int k = 0; k < npy->n_dimensions; k++)
        n += sprintf(text + n, "%s%zu", k ? " x " : "", npy->shape[k]);
}

void npy_write_header(FILE *file, const char *descr, int n_dimensions, const size_t *shape)
{
    enum { ALIGNMENT = 64, START = 10 };
    char header[512];
    int n = sprintf(header, "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int k = 0; k < n_dimensions; k++) n += sprintf(header + n, "%zu, ", shape[k]);
    n += sprintf(header + n, "), }");
    int padded = (START + n + 1 + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT - START;
    fwrite("\x93NUMPY\1\0", 1, 8, file);
    fputc(padded & 255, file);
    fputc(padded >> 8, file);
    fprintf(file, "%-*s\n", padded - 1, header);
}
