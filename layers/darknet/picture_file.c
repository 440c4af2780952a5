/* The hooks are those of Darknet's image.c, for its other files: the linker's --wrap=load_image and
 * --wrap=load_image_color. */
#include "picture_file.h"

#include "plug_errors.h"

#include <errno.h>
#include <image.h>
#include <limits.h>
#include <stb_image.h>
#include <stdio.h>
#include <string.h>

image __wrap_load_image(char *path, int w, int h, int c);
image __wrap_load_image_color(char *path, int w, int h);
image __real_load_image(char *path, int w, int h, int c);

/* A file, and whether more was asked for than it has. The decoder reads ahead, a buffer at a time,
 * and comes back for more only when it needs that. */
struct source {
    FILE *file;
    int is_short;
};

static int read_bytes(void *context, char *bytes, int size)
{
    struct source *source = context;
    size_t n = fread(bytes, 1, (size_t)size, source->file);
    source->is_short |= !n;
    return (int)n;
}

static void skip_bytes(void *context, int n)
{
    struct source *source = context;
    if (fseek(source->file, n, SEEK_CUR)) source->is_short = 1;
}

static int is_at_end(void *context) { return feof(((struct source *)context)->file); }

static const stbi_io_callbacks callbacks = { read_bytes, skip_bytes, is_at_end };

static enum sn_status open_source(const char *path, struct source *source, struct sn_error *error)
{
    *source = (struct source){ fopen(path, "rb"), 0 };
    return source->file ? SN_OK
                        : sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
}

static enum sn_status fail(const char *path, struct sn_error *error)
{
    return sn_fail(error, SN_BAD_INPUT, "%s: cannot decode: %s", path, stbi_failure_reason());
}

/* Darknet counts the numbers of an image with an int. */
static enum sn_status check_size(const char *path, int w, int h, struct sn_error *error)
{
    double n = 3. * w * h;
    if (w > 0 && h > 0 && n <= INT_MAX) return SN_OK;
    return sn_fail(
        error, SN_BAD_INPUT,
        "%s: expected an image of at most %d numbers in 3 channels, found %d x %d pixels", path,
        INT_MAX, w, h);
}

static enum sn_status take_pixels(const char *path, const unsigned char *bytes, int w, int h,
                                  image *picture, struct sn_error *error)
{
    size_t n = (size_t)w * (size_t)h;
    if (check_size(path, w, h, error)) return error->code;
    *picture = make_image(w, h, 3);
    for (size_t c = 0; c < 3; c++)
        for (size_t i = 0; i < n; i++)
            picture->data[c * n + i] = (float)((double)bytes[3 * i + c] / 255.);
    return SN_OK;
}

enum sn_status picture_decode(const char *path, image *picture, struct sn_error *error)
{
    struct source source;
    int w, h, n_channels;
    enum sn_status status = open_source(path, &source, error);
    if (status) return status;
    unsigned char *bytes = stbi_load_from_callbacks(&callbacks, &source, &w, &h, &n_channels, 3);
    if (!bytes) status = fail(path, error);
    else if (source.is_short)
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: expected an image of %d x %d pixels, found a part of one", path, w,
                         h);
    else status = take_pixels(path, bytes, w, h, picture, error);
    stbi_image_free(bytes);
    fclose(source.file);
    return status;
}

enum sn_status picture_check(const char *path, struct sn_error *error)
{
    struct source source;
    int w, h, n_channels;
    enum sn_status status = open_source(path, &source, error);
    if (status) return status;
    status = stbi_info_from_callbacks(&callbacks, &source, &w, &h, &n_channels)
        ? check_size(path, w, h, error)
        : fail(path, error);
    fclose(source.file);
    return status;
}

/* ---- For Darknet, which asks for 3 channels */

image __wrap_load_image_color(char *path, int w, int h)
{
    struct sn_error error;
    image picture = { 0 };
    if (picture_decode(path, &picture, &error)) sn_die(&error);
    if (!w || !h || (w == picture.w && h == picture.h)) return picture;
    image resized = resize_image(picture, w, h);
    free_image(picture);
    return resized;
}

image __wrap_load_image(char *path, int w, int h, int c)
{
    return c == 3 ? __wrap_load_image_color(path, w, h) : __real_load_image(path, w, h, c);
}
