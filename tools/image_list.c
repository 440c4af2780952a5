#include "image_list.h"

#include <task.h>

#include <stdlib.h>
#include <string.h>

static enum sn_status read_all(const char *path, struct lines *images, struct sn_error *error)
{
    size_t n = strlen(path);
    struct task task = { 0 };
    if (n < 5 || strcmp(path + n - 5, ".data")) return lines_read_full(path, images, error);
    enum sn_status status = task_open(path, &task, error);
    if (!status && !task_value(&task, "train", error)) status = error->code;
    if (!status) status = task_images(&task, "train", images, NULL, error);
    task_free(&task);
    return status;
}

static void thin(struct lines *images, int n)
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

enum sn_status image_list_read(const char *path, int n, struct lines *images,
                               struct sn_error *error)
{
    enum sn_status status = read_all(path, images, error);
    if (!status) thin(images, n);
    return status;
}
