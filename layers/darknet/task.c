#include "task.h"

#include "picture_file.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Takes the blanks around key, = and value out of a line in place; 0 when it is no key=value. */
static int tidy(char *line)
{
    char *key = line + strspn(line, " \t"), *equals = strchr(key, '=');
    if (!equals) return 0;
    size_t n_key = (size_t)(equals - key);
    const char *value = equals + 1 + strspn(equals + 1, " \t");
    while (n_key && strchr(" \t", key[n_key - 1])) n_key--;
    if (!n_key) return 0;
    memmove(line, key, n_key);
    line[n_key] = '=';
    memmove(line + n_key + 1, value, strlen(value) + 1);
    return 1;
}

enum sn_status task_read_data(const char *path, struct lines *data, struct sn_error *error)
{
    enum sn_status status = lines_read(path, data, error);
    int n = 0;
    for (int i = 0; i < data->n; i++) {
        char *line = data->line[i];
        int counts = !strchr("#;", line[strspn(line, " \t")]);
        if (counts && !status && !tidy(line))
            status = sn_fail(error, SN_BAD_INPUT, "%s:%d: expected key=value, found '%s'", path,
                             i + 1, line);
        if (counts) data->line[n++] = line;
        else free(line);
    }
    data->n = n;
    if (status) lines_free(data);
    return status;
}

enum sn_status task_open(const char *path, struct task *task, struct sn_error *error)
{
    *task = (struct task){ .path = path };
    return task_read_data(path, &task->data, error);
}

const char *task_find(const struct task *task, const char *key)
{
    size_t n = strlen(key);
    for (int i = 0; i < task->data.n; i++) {
        const char *line = task->data.line[i];
        if (!strncmp(line, key, n) && line[n] == '=') return line[n + 1] ? line + n + 1 : NULL;
    }
    return NULL;
}

const char *task_value(const struct task *task, const char *key, struct sn_error *error)
{
    const char *value = task_find(task, key);
    if (!value)
        sn_fail(error, SN_BAD_INPUT, "%s: %s: expected a value, found none", task->path, key);
    return value;
}

enum sn_status task_read_classes(struct task *task, struct sn_error *error)
{
    const char *classes = task_value(task, "classes", error);
    if (!classes) return SN_BAD_INPUT;
    char *end;
    errno = 0;
    long n = strtol(classes, &end, 10);
    if (errno || *end || !isdigit((unsigned char)*classes) || n < 1 || n > INT_MAX / 4)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: classes: expected a whole number from 1 on, found '%s'", task->path,
                       classes);
    task->n_classes = (int)n;
    return SN_OK;
}

enum sn_status task_read_labels(struct task *task, struct sn_error *error)
{
    const char *path = task_value(task, "labels", error);
    if (!path || task_read_classes(task, error)) return error->code;
    enum sn_status status = lines_read_full(path, &task->names, error);
    if (status) return status;
    task->labels = labels_new(&task->names, task->n_classes, path, error);
    return task->labels ? SN_OK : error->code;
}

enum sn_status task_images(const struct task *task, const char *key, struct lines *images,
                           int **class, struct sn_error *error)
{
    const char *path = task_value(task, key, error);
    *images = (struct lines){ 0 };
    if (class) *class = NULL;
    if (!path) return SN_BAD_INPUT;
    enum sn_status status = lines_read_full(path, images, error);
    if (status || !class) return status;
    *class = labels_of_images(task->labels, images, error);
    if (*class) return SN_OK;
    lines_free(images);
    return error->code;
}

enum sn_status task_check_pictures(const struct lines *images, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int i = 0; i < images->n && !status; i++) status = picture_check(images->line[i], error);
    return status;
}

void task_free(struct task *task)
{
    labels_free(task->labels);
    lines_free(&task->names);
    lines_free(&task->data);
    *task = (struct task){ 0 };
}
