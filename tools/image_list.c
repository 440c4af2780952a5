#include "image_list.h"

#include <labels.h>
#include <stdlib.h>
#include <string.h>
#include <task.h>

static int is_data(const char *path)
{
    size_t n = strlen(path);
    return n >= 5 && !strcmp(path + n - 5, ".data");
}

enum sn_status image_list_read(const char *path, const char *key, struct lines *images,
                               struct sn_error *error)
{
    if (!is_data(path)) return lines_read_full(path, images, error);
    struct task task = { 0 };
    *images = (struct lines){ 0 };
    enum sn_status status = task_open(path, &task, error);
    if (!status) status = task_images(&task, key, images, NULL, error);
    task_free(&task);
    return status;
}

void image_list_thin(struct lines *images, int n)
{
    if (!n || n >= images->n) return;
    for (int i = 0; i < n; i++) {
        int from = (int)((double)i * images->n / n);
        char *line = images->line[i];
        images->line[i] = images->line[from];
        images->line[from] = line;
    }
    for (int i = n; i < images->n; i++) free(images->line[i]);
    images->n = n;
}

static enum sn_status by_file(const char *path, const struct lines *images, int **class,
                              int *n_classes, struct sn_error *error)
{
    struct lines names;
    if (lines_read_full(path, &names, error)) return error->code;
    struct labels *labels = labels_new(&names, names.n, path, error);
    if (labels) *class = labels_of_images(labels, images, error);
    if (*class) *n_classes = names.n;
    labels_free(labels);
    lines_free(&names);
    return *class ? SN_OK : error->code;
}

static enum sn_status by_data(const char *path, const struct lines *images, int **class,
                              int *n_classes, struct sn_error *error)
{
    struct task task = { 0 };
    enum sn_status status = task_open(path, &task, error);
    if (!status && task_find(&task, "labels")) {
        status = task_read_labels(&task, error);
        if (!status) *class = labels_of_images(task.labels, images, error);
        if (*class) *n_classes = task.n_classes;
        else status = error->code;
    }
    task_free(&task);
    return status;
}

enum sn_status image_list_classes(const char *path, const char *labels, const struct lines *images,
                                  int **class, int *n_classes, struct sn_error *error)
{
    *class = NULL;
    *n_classes = 0;
    if (labels) return by_file(labels, images, class, n_classes, error);
    return is_data(path) ? by_data(path, images, class, n_classes, error) : SN_OK;
}
