#include "pictures.h"

#include "labels.h"
#include "load_net.h"
#include "resample.h"

#include <errno.h>
#include <image.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Appends a copy of line. */
static enum sn_status append(struct lines *lines, const char *path, const char *line,
                             struct sn_error *error)
{
    char **grown = realloc(lines->line, ((size_t)lines->n + 1) * sizeof *grown);
    if (grown) lines->line = grown;
    if (!grown || !(lines->line[lines->n] = strdup(line)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    lines->n++;
    return SN_OK;
}

enum sn_status pictures_read_lines(const char *path, struct lines *lines, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    char *line = NULL;
    size_t size = 0;
    *lines = (struct lines){ 0 };
    FILE *file = fopen(path, "r");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    while (!status && getline(&line, &size, file) >= 0) {
        line[strcspn(line, "\r\n")] = '\0';
        if (*line) status = append(lines, path, line, error);
    }
    if (!status && ferror(file))
        status = sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    if (!status && !lines->n)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected lines, found none", path);
    if (status) pictures_free_lines(lines);
    free(line);
    fclose(file);
    return status;
}

void pictures_free_lines(struct lines *lines)
{
    for (int i = 0; i < lines->n; i++) free(lines->line[i]);
    free(lines->line);
    *lines = (struct lines){ 0 };
}

int *pictures_classes(const struct lines *images, const struct lines *labels,
                      struct sn_error *error)
{
    int *class = calloc((size_t)images->n + 1, sizeof *class);
    if (!class) sn_no_memory(error, "the classes of %d images", images->n);
    for (int i = 0; class && i < images->n; i++)
        if (labels_of_path(images->line[i], labels->line, labels->n, &class[i], error)) {
            free(class);
            class = NULL;
        }
    return class;
}

enum sn_status pictures_check(const network *net, const char *cfg, int resize,
                              struct sn_error *error)
{
    if (net->w < 1 || net->h < 1 || net->c != 3 || net->inputs != net->w * net->h * net->c)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: [net]: expected width x height x 3 inputs, found %d x %d x %d (%d)",
                       cfg, net->w, net->h, net->c, net->inputs);
    int least = net->w > net->h ? net->w : net->h;
    if (resize && resize < least)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: --resize %d: expected at least %d, as the net takes %d x %d pixels",
                       cfg, resize, least, net->w, net->h);
    return SN_OK;
}

static enum sn_status load_picture(const network *net, const char *path, int resize, float *input,
                                   struct sn_error *error)
{
    enum sn_status status = SN_OK;
    load_begin_quiet();
    image decoded = load_image_color((char *)path, 0, 0);
    load_end_quiet();
    if (resize) status = resample_center(decoded, resize, net->w, net->h, input, error);
    else {
        image cropped = center_crop_image(decoded, net->w, net->h);
        memcpy(input, cropped.data, (size_t)net->inputs * sizeof *input);
        free_image(cropped);
    }
    free_image(decoded);
    return status;
}

enum sn_status pictures_load(network *net, const struct lines *images, int start, int resize,
                             int *n, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    *n = images->n - start < net->batch ? images->n - start : net->batch;
    for (int b = 0; b < *n && !status; b++)
        status = load_picture(net, images->line[start + b], resize,
                              net->input + (size_t)b * (size_t)net->inputs, error);
    return status;
}
