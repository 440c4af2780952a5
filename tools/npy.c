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
        if (*text < '0' || *text > '9' || errno || npy->n_dimensions == NPY_MAX_DIMENSIONS) return 0;
        if (__builtin_mul_overflow(npy->n_values, size, &npy->n_values)) return 0;
        npy->shape[npy->n_dimensions++] = size;
        text = end;
    }
    return 1;
}

/* The header as a string (free()), or NULL. */
static char *read_header(FILE *file)
{
    unsigned char start[8], length[4] = { 0 };
    if (fread(start, 1, 8, file) < 8 || memcmp(start, "\x93NUMPY", 6) || start[6] < 1 || start[6] > 3) return NULL;
    size_t n_length = start[6] == 1 ? 2 : 4;
    if (fread(length, 1, n_length, file) < n_length) return NULL;
    size_t n = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24;
    char *header = n <= MAX_HEADER ? calloc(n + 1, 1) : NULL;
    if (header && fread(header, 1, n, file) == n) return header;
    free(header);
    return NULL;
}

static enum sn_status read_values(const char *path, FILE *file, size_t size, struct npy *npy, struct sn_error *error)
{
    long start = ftell(file);
    if (start < 0 || fseek(file, 0, SEEK_END)) return sn_fail(error, SN_IO, "%s: cannot read", path);
    size_t found = (size_t)(ftell(file) - start), n = npy->n_values;
    fseek(file, start, SEEK_SET);
    if (n > found / size || found != n * size)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %zu values of %zu bytes, found %zu bytes", path, n, size, found);
    char *raw = malloc(found + 1);
    npy->values = (float *)raw;
    if (!raw) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    if (fread(raw, 1, found, file) < found) return sn_fail(error, SN_IO, "%s: cannot read", path);
    for (size_t i = 0; size == sizeof(double) && i < n; i++) {
        double value;
        memcpy(&value, raw + i * sizeof value, sizeof value);
        float rounded = (float)value;
        memcpy(raw + i * sizeof rounded, &rounded, sizeof rounded);
    }
    return SN_OK;
}

enum sn_status npy_read(const char *path, struct npy *npy, struct sn_error *error)
{
    *npy = (struct npy){ 0 };
    FILE *file = fopen(path, "rb");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    char *header = read_header(file);
    const char *descr = header ? find_value(header, "descr") : NULL, *order = header ? find_value(header, "fortran_order") : NULL;
    enum sn_status status = SN_OK;
    if (!descr || !order || !read_shape(find_value(header, "shape"), npy))
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected a NumPy array (.npy), found another header", path);
    else if (strncmp(descr, "'<f4'", 5) && strncmp(descr, "'<f8'", 5))
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected float32 or float64 ('<f4', '<f8'), found %.*s", path,
                         (int)strcspn(descr, ",}\n"), descr);
    else if (strncmp(order, "False", 5))
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected C order, found Fortran order", path);
    else status = read_values(path, file, descr[3] == '4' ? 4 : 8, npy, error);
    if (status) {
        free(npy->values);
        *npy = (struct npy){ 0 };
    }
    free(header);
    fclose(file);
    return status;
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
