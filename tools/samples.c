#include "samples.h"

#include <entries.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum sn_status samples_read_rows(const char *path, int columns, const char *what, struct npy *npy,
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
    else status = sn_entries_check(path, npy->values, npy->shape[0], npy->shape[1], error);
    if (!status) return SN_OK;
    free(npy->values);
    *npy = (struct npy){ 0 };
    return status;
}

static int ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);
    return n >= k && !strcmp(text + n - k, end);
}

/* NAME.suffix, or NULL without memory. */
static char *path_of(const char *name, const char *suffix)
{
    char *path;
    return asprintf(&path, "%s%s", name, suffix) < 0 ? NULL : path;
}

/* NAME.suffix where there is such a file, else NULL. */
static enum sn_status find_file(const char *name, const char *suffix, char **path,
                                struct sn_error *error)
{
    if (!(*path = path_of(name, suffix)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", name);
    if (!access(*path, F_OK)) return SN_OK;
    free(*path);
    *path = NULL;
    return SN_OK;
}

/* What a name and a file of labels mean as files. */
static enum sn_status find_files(const char *name, const char *labels, struct sample_file *file,
                                 struct sn_error *error)
{
    int is_file = ends_in(name, ".npy");
    file->x_path = path_of(name, is_file ? "" : ".x.npy");
    if (labels) file->labels_path = path_of(labels, "");
    if (!file->x_path || (labels && !file->labels_path))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", name);
    enum sn_status status = SN_OK;
    if (!is_file && !labels) status = find_file(name, ".y.npy", &file->labels_path, error);
    if (!is_file && !status) status = find_file(name, ".i.npy", &file->images_path, error);
    return status;
}

/* One number for each row: what, from 0 to below end. */
static enum sn_status read_numbers(const char *path, const struct sample_file *file,
                                   const char *what, const char *one, int end, int **numbers,
                                   struct sn_error *error)
{
    char found[NPY_SHAPE_TEXT];
    struct npy npy;
    enum sn_status status = path ? npy_read_integers(path, &npy, error) : SN_OK;
    if (status || !path) return status;
    *numbers = npy.integers;
    npy_print_shape(&npy, found);
    if (npy.n_dimensions != 1 || npy.n_values != (size_t)file->n)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected %d %s, one per row of %s, found %s", path,
                       file->n, what, file->x_path, found);
    for (int i = 0; i < file->n; i++)
        if (npy.integers[i] < 0 || npy.integers[i] >= end)
            return sn_fail(error, SN_BAD_INPUT, "%s: row %d: expected %s from 0 to %d, found %d",
                           path, i, one, end - 1, npy.integers[i]);
    return SN_OK;
}

enum sn_status samples_read(const char *name, const char *labels, int n_columns, int n_classes,
                            struct sample_file *file, struct sn_error *error)
{
    struct npy npy = { 0 };
    *file = (struct sample_file){ 0 };
    enum sn_status status = find_files(name, labels, file, error);
    if (!status)
        status = samples_read_rows(file->x_path, n_columns, "features, rows x inputs", &npy, error);
    if (!status) {
        file->x = npy.values;
        file->n = (int)npy.shape[0];
        file->n_columns = (int)npy.shape[1];
        status = read_numbers(file->labels_path, file, "labels", "a class", n_classes,
                              &file->labels, error);
    }
    if (!status)
        status = read_numbers(file->images_path, file, "images", "an image", file->n, &file->images,
                              error);
    if (status) samples_free(file);
    return status;
}

void samples_free(struct sample_file *file)
{
    void *const blocks[] = { file->x_path, file->labels_path, file->images_path,
                             file->x,      file->labels,      file->images };
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) free(blocks[i]);
    *file = (struct sample_file){ 0 };
}
