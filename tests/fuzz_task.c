/* libFuzzer target: any bytes as a .data file, the labels and the list of images that it names,
 * which form feeds part; the labels as a tree of classes too. */
#include "fuzz_support.h"

#include <plug_tree.h>
#include <task.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* Cuts the part up to the next form feed off; its length. */
static size_t take_part(const unsigned char **data, size_t *size, const unsigned char **part)
{
    const unsigned char *end = *size ? memchr(*data, '\f', *size) : NULL;
    size_t n = end ? (size_t)(end - *data) : *size;
    *part = *data;
    *data += end ? n + 1 : n;
    *size -= end ? n + 1 : n;
    return n;
}

static void read_images(const struct task *task)
{
    struct sn_error error = { 0 };
    struct lines images;
    int *class;
    if (task_images(task, "valid", &images, &class, &error)) {
        fuzz_need_reason(&error);
        return;
    }
    for (int i = 0; i < images.n; i++)
        if (class[i] < 0 || class[i] >= task->n_classes) abort();
    lines_free(&images);
    free(class);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const unsigned char *part;
    struct sn_error error = { 0 };
    struct task task = { 0 };
    const char *path[N_MEMORY_FILES];
    for (int i = 0; i < N_MEMORY_FILES; i++) {
        size_t n = take_part(&data, &size, &part);
        path[i] = memory_file(i, part, n);
    }
    if (task_open(path[0], &task, &error) || task_read_labels(&task, &error))
        fuzz_need_reason(&error);
    else read_images(&task);
    task_free(&task);
    if (plug_check_tree(path[1], 3, &error)) fuzz_need_reason(&error);
    return 0;
}
