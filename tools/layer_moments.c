#include "layer_moments.h"

#include "command.h"
#include "npy.h"
#include "samples.h"

#include <entries.h>
#include <panels.h>

#include <stdlib.h>
#include <string.h>

/* ---- Patches */

/* One line of what a tap at (y, x) of a channel sees, 0 outside of the image. */
static void take_line(const struct sn_window *w, const float *channel, int y, int x, float *out)
{
    const float *line = channel + (ptrdiff_t)y * w->width;
    int is_inside = y >= 0 && y < w->height;
    for (int j = 0; j < w->out_width; j++, x += w->stride)
        out[j] = is_inside && x >= 0 && x < w->width ? line[x] : 0;
}

/* The patches of an image as columns: row k of z, rows being width floats apart, is what tap k
 * sees. */
static void take_patches(const struct sn_window *w, const float *image, float *z, size_t width)
{
    for (int k = 0; k < (int)sn_window_inputs(w); k++, z += width) {
        int x = k % w->size - w->pad, y = k / w->size % w->size - w->pad;
        const float *channel = image
            + (size_t)(k / w->size / w->size) * (size_t)w->height * (size_t)w->width;
        for (int i = 0; i < w->out_height; i++)
            take_line(w, channel, y + i * w->stride, x, z + (size_t)i * (size_t)w->out_width);
    }
}

/* ---- Moments */

struct job {
    struct features *features, *reference;
    struct sn_window window;
    size_t n_inputs;         /* of the layer, floats of an image */
    size_t n;                /* inputs of one output */
    int n_views, n_together; /* evaluated at once; whose patches are added at once */
    float *x, *r;            /* n_views x n_inputs; r NULL without a reference */
    float *z;                /* n, or 2 n, x the pixels of n_together */
    const float *from;       /* of x and of r, where the images to be added begin */
    const float *from_r;
    size_t width; /* pixels of these */
};

static enum sn_status job_new(struct job *job, struct sn_error *error)
{
    /* A product of fewer columns takes longer to add than to form. */
    enum { COLUMNS = 2048, FLOATS = 1 << 20 };
    const layer *l = &job->features->workers->net->layers[job->features->source.layer];
    int batch = job->features->batch * job->features->n_workers;
    job->window = layer_matrix(l).window;
    job->n = sn_window_inputs(&job->window);
    job->n_inputs = (size_t)l->inputs;
    size_t pixels = sn_window_places(&job->window), n_together = 1;
    while (n_together * pixels < COLUMNS && n_together * job->n_inputs < FLOATS) n_together++;
    job->n_together = (int)n_together;
    job->n_views = (job->n_together + batch - 1) / batch * batch;
    size_t d = job->reference ? 2 * job->n : job->n, size = (size_t)job->n_views * job->n_inputs;
    job->x = malloc(size * sizeof *job->x);
    job->r = job->reference ? malloc(size * sizeof *job->r) : NULL;
    job->z = malloc((d * pixels * n_together + 1) * sizeof *job->z);
    if (job->x && job->z && (job->r || !job->reference)) return SN_OK;
    return sn_no_memory(error, "the inputs of %d images", job->n_views);
}

static void job_free(struct job *job)
{
    free(job->x);
    free(job->r);
    free(job->z);
}

/* The patches of one image, and of the reference's. */
static void patch(void *context, size_t i)
{
    const struct job *job = context;
    float *z = job->z + i * sn_window_places(&job->window);
    take_patches(&job->window, job->from + i * job->n_inputs, z, job->width);
    if (job->reference)
        take_patches(&job->window, job->from_r + i * job->n_inputs, z + job->n * job->width,
                     job->width);
}

static void add_images(struct job *job, int count, struct sn_moments *moments)
{
    for (int first = 0, n; first < count; first += n) {
        size_t at = (size_t)first * job->n_inputs;
        n = count - first < job->n_together ? count - first : job->n_together;
        job->from = job->x + at;
        job->from_r = job->reference ? job->r + at : NULL;
        job->width = (size_t)n * sn_window_places(&job->window);
        sn_tasks((size_t)n, patch, job);
        sn_moments_add(moments, job->z, job->width);
    }
}

/* The moments of views from first to below end. */
static enum sn_status add_views(struct job *job, int first, int end, struct sn_covariance *part,
                                struct sn_error *error)
{
    struct sn_moments moments;
    size_t d = job->reference ? 2 * job->n : job->n;
    enum sn_status status = sn_moments_new(&moments, d, error);
    for (int n; !status && first < end; first += n) {
        n = end - first < job->n_views ? end - first : job->n_views;
        status = features_inputs(job->features, first, n, job->x, error);
        if (!status && job->reference)
            status = features_inputs(job->reference, first, n, job->r, error);
        if (status) break;
        add_images(job, n, &moments);
        command_progress((double)(first + n) / job->features->n_views, "layer %d, %d inputs",
                         job->features->source.layer, (int)job->n);
    }
    if (!status) sn_moments_take(&moments, part);
    sn_moments_free(&moments);
    return status;
}

static enum sn_status check_reference(const struct features *features,
                                      const struct features *reference, struct sn_error *error)
{
    int number = features->source.layer;
    const network *net = reference->workers->net;
    struct layer_matrix own = layer_matrix(&features->workers->net->layers[number]), other = { 0 };
    if (number < net->n) other = layer_matrix(&net->layers[number]);
    if (!memcmp(&own.window, &other.window, sizeof own.window)) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: layer %d: expected inputs as %s has, %d values for each of %d x %d pixels, "
                   "found %d for %d x %d",
                   reference->source.cfg, number, features->source.cfg, own.n_columns,
                   own.window.out_width, own.window.out_height, other.n_columns,
                   other.window.out_width, other.window.out_height);
}

enum sn_status layer_moments_compute(struct features *features, struct features *reference,
                                     struct sn_covariance parts[2], struct sn_error *error)
{
    struct job job = { .features = features, .reference = reference };
    int n_images = features->source.images->n, n_crops = features->source.n_crops,
        end = (n_images - n_images / 5) * (1 + n_crops);
    memset(parts, 0, 2 * sizeof *parts);
    enum sn_status status = reference ? check_reference(features, reference, error) : SN_OK;
    if (!status) status = job_new(&job, error);
    if (!status) status = add_views(&job, 0, end, &parts[0], error);
    if (!status) status = add_views(&job, end, features->n_views, &parts[1], error);
    job_free(&job);
    if (status) layer_moments_free(parts);
    return status;
}

void layer_moments_free(struct sn_covariance parts[2])
{
    sn_covariance_free(&parts[0]);
    sn_covariance_free(&parts[1]);
}

/* ---- Files */

void layer_moments_write(const struct sn_covariance parts[2], FILE *file)
{
    size_t d = parts->n;
    npy_write_header(file, "<f4", 3, (size_t[]){ 2, d + 2, d });
    for (int k = 0; k < 2; k++) {
        const struct sn_covariance *part = &parts[k];
        for (size_t i = 0; i < d; i++)
            fwrite(&(float){ i ? 0 : (float)part->count }, sizeof(float), 1, file);
        fwrite(part->mean, sizeof(float), d, file);
        for (size_t i = 0; i < d * d; i++) {
            size_t row = i / d, column = i % d, lower = row > column ? i : column * d + row;
            float value = (float)(part->scale * (double)part->values[lower]);
            fwrite(&value, sizeof value, 1, file);
        }
    }
}

/* One part from its (d + 2) x d floats. */
static enum sn_status take_part(const float *values, size_t d, struct sn_covariance *part,
                                struct sn_error *error)
{
    struct sn_covariance unscaled = { .n = d,
                                      .count = (size_t)values[0],
                                      .scale = 1,
                                      .mean = (float *)values + d,
                                      .values = (float *)values + 2 * d };
    return sn_covariance_inputs(&unscaled, d, part, error);
}

enum sn_status layer_moments_read(const char *path, int n, struct sn_covariance parts[2],
                                  struct sn_error *error)
{
    char found[NPY_SHAPE_TEXT];
    struct npy npy;
    memset(parts, 0, 2 * sizeof *parts);
    enum sn_status status = npy_read(path, &npy, error);
    if (status) return status;
    npy_print_shape(&npy, found);
    size_t width = (size_t)n, d = npy.n_dimensions == 3 ? npy.shape[2] : 0;
    if (npy.n_dimensions != 3 || npy.shape[0] != 2 || (d != width && d != 2 * width)
        || npy.shape[1] != d + 2)
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: expected moments of %d inputs, 2 x %d x %d or 2 x %d x %d values, "
                         "found %s",
                         path, n, n + 2, n, 2 * n + 2, 2 * n, found);
    else status = sn_entries_check(path, npy.values, 2 * (d + 2), d, error);
    if (!status && !(npy.values[0] >= 1))
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected moments of vectors, found none", path);
    for (int k = 0; k < 2 && !status; k++)
        status = take_part(npy.values + (size_t)k * (d + 2) * d, d, &parts[k], error);
    if (status) layer_moments_free(parts);
    free(npy.values);
    return status;
}
