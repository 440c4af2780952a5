#include "resample.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum {
    PRECISION = 32 - 8 - 2
}; /* binary digits of a weight: eight are the pixel's, two are left for sign and carry */

/* The weights of output pixel i: n of them from weights[i * stride] on, for the input pixels from
 * first on. */
struct taps {
    int first, n;
};
struct axis {
    struct taps *taps;
    int *weights;
    size_t stride;
};

static void free_axis(struct axis *axis)
{
    free(axis->taps);
    free(axis->weights);
}

/* (n_out - n) / 2, halves to even, for n <= n_out. */
static int64_t crop_offset(int64_t n_out, int n)
{
    int64_t twice = n_out - n;
    return twice / 2 + (twice & twice / 2 & 1);
}

static int64_t place_offset(int64_t n_out, int n, double place)
{
    return (int64_t)((double)(n_out - n + 1) * place);
}

/* The weights of one output pixel whose centre is at center, in units of input pixels. */
static struct taps make_taps(double center, double width, int n_in, double *exact, int *weights)
{
    int first = (int)fmax(0, center - width + 0.5), end = (int)fmin(n_in, center + width + 0.5);
    double sum = 0;
    for (int j = first; j < end; j++) {
        double distance = fabs((j - center + 0.5) * (1 / width));
        exact[j - first] = distance < 1 ? 1 - distance : 0;
        sum += exact[j - first];
    }
    for (int j = 0; j < end - first; j++)
        weights[j] = (int)(0.5 + exact[j] / sum * (1 << PRECISION));
    return (struct taps){ first, end - first };
}

/* The weights of n pixels of n_out, from offset on. */
static enum sn_status make_axis(int n_in, int64_t n_out, int n, int64_t offset, struct axis *axis,
                                struct sn_error *error)
{
    double scale = (double)n_in / (double)n_out, width = fmax(1, scale);
    axis->stride = (size_t)ceil(width) * 2 + 1;
    axis->taps = calloc((size_t)n, sizeof *axis->taps);
    axis->weights = calloc((size_t)n * axis->stride, sizeof *axis->weights);
    double *exact = calloc(axis->stride, sizeof *exact);
    int missing = !axis->taps || !axis->weights || !exact;
    for (int i = 0; i < n && !missing; i++)
        axis->taps[i] = make_taps(((double)(offset + i) + 0.5) * scale, width, n_in, exact,
                                  axis->weights + (size_t)i * axis->stride);
    free(exact);
    return missing ? sn_no_memory(error, "resizing %d pixels", n_in) : SN_OK;
}

/* Rounds a weighted sum of bytes. Rounding at most doubles a weight, so that the sum is below 2^31,
 * but their sum may exceed 1. */
static unsigned char round_sum(int sum)
{
    int value = (sum + (1 << (PRECISION - 1))) >> PRECISION;
    return (unsigned char)(value > 255 ? 255 : value);
}

static int byte_of(float value) { return (int)(value * 255 + 0.5f); }

/* Rows begin <= y < end of one channel, w_in pixels each, to n pixels each. */
static void resample_rows(const float *channel, int w_in, int begin, int end,
                          const struct axis *axis, int n, unsigned char *rows)
{
    for (int y = begin; y < end; y++, rows += n)
        for (int i = 0; i < n; i++) {
            const float *x = channel + (size_t)y * (size_t)w_in + axis->taps[i].first;
            const int *weights = axis->weights + (size_t)i * axis->stride;
            int sum = 0;
            for (int j = 0; j < axis->taps[i].n; j++) sum += weights[j] * byte_of(x[j]);
            rows[i] = round_sum(sum);
        }
}

/* Rows from first on, n bytes each, to h rows of output. */
static void resample_columns(const unsigned char *rows, int first, const struct axis *axis, int n,
                             int h, float *output)
{
    for (int y = 0; y < h; y++)
        for (int i = 0; i < n; i++) {
            const unsigned char *x = rows + (size_t)(axis->taps[y].first - first) * (size_t)n + i;
            const int *weights = axis->weights + (size_t)y * axis->stride;
            int sum = 0;
            for (int j = 0; j < axis->taps[y].n; j++) sum += weights[j] * x[(size_t)j * (size_t)n];
            output[(size_t)y * (size_t)n + (size_t)i] = (float)round_sum(sum) / 255.f;
        }
}

enum sn_status resample_crop(image picture, int shorter, int w, int h,
                             const struct resample_place *place, float *output,
                             struct sn_error *error)
{
    struct axis across = { 0 }, down = { 0 };
    unsigned char *rows = NULL;
    int64_t w_out = shorter, h_out = shorter;
    if (picture.w > picture.h) w_out = (int64_t)shorter * picture.w / picture.h;
    else h_out = (int64_t)shorter * picture.h / picture.w;
    int64_t x = place ? place_offset(w_out, w, place->across) : crop_offset(w_out, w),
            y = place ? place_offset(h_out, h, place->down) : crop_offset(h_out, h);
    enum sn_status status = make_axis(picture.w, w_out, w, x, &across, error);
    if (!status) status = make_axis(picture.h, h_out, h, y, &down, error);
    if (status) goto done;
    int begin = down.taps[0].first, end = down.taps[h - 1].first + down.taps[h - 1].n;
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): neither is 0. */
    rows = malloc((size_t)(end - begin) * (size_t)w);
    if (!rows) status = sn_no_memory(error, "resizing %d rows", end - begin);
    for (int c = 0; rows && c < picture.c; c++) {
        const float *channel = picture.data + (size_t)c * (size_t)picture.w * (size_t)picture.h;
        resample_rows(channel, picture.w, begin, end, &across, w, rows);
        resample_columns(rows, begin, &down, w, h, output + (size_t)c * (size_t)w * (size_t)h);
    }
done:
    free(rows);
    free_axis(&across);
    free_axis(&down);
    return status;
}
