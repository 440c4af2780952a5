#include "dataset.h"

#include "drawing.h"
#include "progress.h"

#include <outputs.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The path of what the format names within the directory; the caller frees. NULL and error when out
 * of memory. */
static char *new_path(const struct dataset *dataset, struct sn_error *error, const char *format,
                      ...) __attribute__((format(printf, 3, 4)));

static char *new_path(const struct dataset *dataset, struct sn_error *error, const char *format,
                      ...)
{
    char *name, *path;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&name, format, arguments);
    va_end(arguments);
    if (length >= 0) {
        length = asprintf(&path, "%s/%s", dataset->directory, name);
        free(name);
    }
    if (length >= 0) return path;
    sn_fail(error, SN_NO_MEMORY, "%s: out of memory", dataset->directory);
    return NULL;
}

static enum sn_status make_directory(const char *path, struct sn_error *error)
{
    if (!mkdir(path, 0777) || errno == EEXIST) return SN_OK;
    return sn_fail(error, SN_IO, "%s: cannot make the directory: %s", path, strerror(errno));
}

enum sn_status dataset_check_directory(const struct dataset *dataset, struct sn_error *error)
{
    const char *directory = dataset->directory;
    const struct lookalikes *lookalikes = dataset->lookalikes;
    for (const char *c = directory; *c; c++)
        if (isspace((unsigned char)*c))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: expected a directory without blanks, which Darknet would drop",
                           directory);
    for (int i = 0; lookalikes && i < lookalikes->n_classes; i++)
        if (strstr(directory, lookalikes->classes[i].label))
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: expected a directory without a class's label, found %s", directory,
                           lookalikes->classes[i].label);
    return SN_OK;
}

/* ---- An older set ---- */

/* Removes a file or a directory with all it holds; what does not exist is fine. */
static enum sn_status remove_tree(char *path, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    char *const paths[] = { path, NULL };
    FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    FTSENT *entry = NULL;
    if (!walk) return sn_fail(error, SN_IO, "%s: cannot remove: %s", path, strerror(errno));
    while (!status && (errno = 0, entry = fts_read(walk)))
        if (entry->fts_info != FTS_D && remove(entry->fts_path) && errno != ENOENT)
            status = sn_fail(error, SN_IO, "%s: cannot remove: %s", entry->fts_path,
                             strerror(errno));
    if (!status && errno)
        status = sn_fail(error, SN_IO, "%s: cannot remove: %s", path, strerror(errno));
    fts_close(walk);
    return status;
}

static enum sn_status count_entries(const char *path, int *n, struct sn_error *error)
{
    DIR *directory = opendir(path);
    if (!directory) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    for (struct dirent *entry; (entry = readdir(directory));)
        *n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(directory);
    return SN_OK;
}

/* An empty file is whole as soon as it exists, so that no interrupt comes between. */
static enum sn_status set_mark(const struct dataset *dataset, struct sn_error *error)
{
    struct stat found;
    int n_entries = 0;
    char *mark = new_path(dataset, error, ".make_glyphs");
    if (!mark) return SN_NO_MEMORY;
    enum sn_status status = count_entries(dataset->directory, &n_entries, error);
    if (!status && n_entries && lstat(mark, &found))
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: expected an empty directory or an older set of make_glyphs, "
                         "found other files",
                         dataset->directory);
    if (!status) {
        int file = open(mark, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (file < 0 || close(file))
            status = sn_fail(error, SN_IO, "%s: cannot write: %s", mark, strerror(errno));
    }
    free(mark);
    return status;
}

/* Removes the lists before the images that they name. */
static enum sn_status prepare_directory(const struct dataset *dataset, struct sn_error *error)
{
    static const char *const written[] = { "glyphs.data", "train.txt", "test.txt",
                                           "labels.txt",  "faces.tsv", "classes.tsv",
                                           "contact.png", "train",     "test" };
    enum sn_status status = make_directory(dataset->directory, error);
    if (!status) status = set_mark(dataset, error);
    for (size_t i = 0; i < sizeof written / sizeof *written && !status; i++) {
        char *path = new_path(dataset, error, "%s", written[i]);
        status = path ? remove_tree(path, error) : SN_NO_MEMORY;
        if (!status && !strchr(written[i], '.')) status = make_directory(path, error);
        free(path);
    }
    return status;
}

/* ---- Images ---- */

/* Returns 0 when out of memory; the stream knows of failed writes. */
static int put_png(FILE *file, const unsigned char *pixels, int width, int height)
{
    int n_bytes, is_made;
    unsigned char *png = stbi_write_png_to_mem(pixels, width * 3, width, height, 3, &n_bytes);
    is_made = png != NULL;
    if (is_made) fwrite(png, 1, (size_t)n_bytes, file);
    free(png);
    return is_made;
}

static enum sn_status draw_image(const struct dataset *dataset,
                                 const struct lookalikes_class *class, int split, int index,
                                 unsigned char image[DRAWING_BYTES], struct sn_error *error)
{
    if (drawing_image(dataset->fonts, class->points, class->n_points, dataset->seed, split, index,
                      image))
        return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected a %s face that has it, found none",
                   class->label, fonts_split_names[split]);
}

static enum sn_status write_image(const struct dataset *dataset,
                                  const struct lookalikes_class *class, int split, int index,
                                  struct sn_error *error)
{
    unsigned char image[DRAWING_BYTES];
    struct whole_file file = { 0 };
    char *path = new_path(dataset, error, "%s/%s/%04d.png", fonts_split_names[split], class->label,
                          index);
    enum sn_status status = path ? draw_image(dataset, class, split, index, image, error)
                                 : SN_NO_MEMORY;
    if (!status) status = whole_file_open(&file, path, error);
    if (!status) {
        file.is_copy = 1;
        if (!put_png(file.file, image, DRAWING_SIZE, DRAWING_SIZE))
            status = sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
    }
    if (!status) status = whole_file_close(&file, error);
    if (!status) status = whole_file_publish(&file, error);
    whole_file_discard(&file);
    free(path);
    return status;
}

static enum sn_status write_class(const struct dataset *dataset,
                                  const struct lookalikes_class *class, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int split = 0; split < FONTS_SPLITS && !status; split++) {
        char *directory = new_path(dataset, error, "%s/%s", fonts_split_names[split], class->label);
        status = directory ? make_directory(directory, error) : SN_NO_MEMORY;
        for (int k = 0; k < dataset->n_images[split] && !status; k++)
            status = write_image(dataset, class, split, k, error);
        free(directory);
    }
    return status;
}

/* After a failure the other threads finish the class that they are at and start no more; the first
 * failure is the one that is told. */
static enum sn_status write_images(const struct dataset *dataset, struct sn_error *error)
{
    int n = dataset->lookalikes->n_classes;
    enum sn_status status = SN_OK;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++) {
        enum sn_status before;
        struct sn_error own;
#pragma omp atomic read
        before = status;
        if (before) continue;
        enum sn_status after = write_class(dataset, &dataset->lookalikes->classes[i], &own);
#pragma omp critical
        if (after && !status) {
            *error = own;
#pragma omp atomic write
            status = after;
        }
        progress_show("drawing: class", i + 1, n);
    }
    progress_end();
    return status;
}

/* ---- Lists ---- */

static void put_utf8(FILE *file, int point)
{
    if (point < 0x80) fprintf(file, "%c", point);
    else if (point < 0x800) fprintf(file, "%c%c", 0xC0 | point >> 6, 0x80 | (point & 63));
    else fprintf(file, "%c%c%c", 0xE0 | point >> 12, 0x80 | (point >> 6 & 63), 0x80 | (point & 63));
}

static void put_classes(FILE *file, const struct dataset *dataset)
{
    fputs("label\tcode_points\tcharacters\n", file);
    for (int i = 0; i < dataset->lookalikes->n_classes; i++) {
        const struct lookalikes_class *class = &dataset->lookalikes->classes[i];
        fprintf(file, "%s\t", class->label);
        for (int k = 0; k < class->n_points; k++)
            fprintf(file, "%sU+%04X", k ? " " : "", (unsigned)class->points[k]);
        fputc('\t', file);
        for (int k = 0; k < class->n_points; k++) put_utf8(file, class->points[k]);
        fputc('\n', file);
    }
}

static void put_faces(FILE *file, const struct dataset *dataset)
{
    fputs("face\tfamily\tdesign\tsplit\tfile\n", file);
    for (int i = 0; i < dataset->fonts->n_faces; i++) {
        const struct fonts_face *face = &dataset->fonts->faces[i];
        const char *name = strrchr(face->path, '/') + 1;
        fprintf(file, "%.*s\t%s\t%s\t%s\t%s\n", (int)(strrchr(name, '.') - name), name,
                face->family, face->design, fonts_split_names[face->split], face->path);
    }
}

static void put_labels(FILE *file, const struct dataset *dataset)
{
    for (int i = 0; i < dataset->lookalikes->n_classes; i++)
        fprintf(file, "%s\n", dataset->lookalikes->classes[i].label);
}

static void put_images(FILE *file, const struct dataset *dataset, int split)
{
    for (int i = 0; i < dataset->lookalikes->n_classes; i++)
        for (int k = 0; k < dataset->n_images[split]; k++)
            fprintf(file, "%s/%s/%s/%04d.png\n", dataset->directory, fonts_split_names[split],
                    dataset->lookalikes->classes[i].label, k);
}

static void put_train_images(FILE *file, const struct dataset *dataset)
{
    put_images(file, dataset, FONTS_TRAIN);
}

static void put_test_images(FILE *file, const struct dataset *dataset)
{
    put_images(file, dataset, FONTS_TEST);
}

static void put_data(FILE *file, const struct dataset *dataset)
{
    const char *directory = dataset->directory;
    fprintf(file,
            "classes=%d\ntrain=%s/train.txt\nvalid=%s/test.txt\nlabels=%s/labels.txt\n"
            "names=%s/labels.txt\nbackup=%s/backup\ntop=5\n",
            dataset->lookalikes->n_classes, directory, directory, directory, directory, directory);
}

/* Opens a file of the directory; the caller publishes or discards the outputs. NULL and error on
 * failure; nothing is left then. */
static FILE *begin_file(const struct dataset *dataset, struct outputs *outputs, const char *name,
                        struct sn_error *error)
{
    static const char *const no_inputs[] = { NULL };
    char *path = new_path(dataset, error, "%s", name);
    if (!path) return NULL;
    outputs_begin(outputs, no_inputs);
    FILE *file = outputs_open(outputs, path, error);
    if (!file) outputs_discard(outputs);
    free(path);
    return file;
}

static enum sn_status write_lists(const struct dataset *dataset, struct sn_error *error)
{
    static const struct {
        const char *name;
        void (*put)(FILE *file, const struct dataset *dataset);
    } lists[] = {
        { "classes.tsv", put_classes },  { "faces.tsv", put_faces },
        { "labels.txt", put_labels },    { "train.txt", put_train_images },
        { "test.txt", put_test_images }, { "glyphs.data", put_data },
    };
    char *backup = new_path(dataset, error, "backup");
    enum sn_status status = backup ? make_directory(backup, error) : SN_NO_MEMORY;
    free(backup);
    for (size_t i = 0; i < sizeof lists / sizeof *lists && !status; i++) {
        struct outputs outputs;
        FILE *file = begin_file(dataset, &outputs, lists[i].name, error);
        if (!file) return error->code;
        lists[i].put(file, dataset);
        status = outputs_publish(&outputs, error);
    }
    return status;
}

/* ---- The sample ---- */

enum {
    COLUMNS = 3,
    ROWS = 20,
    SAMPLES = 8, /* images of a class, side by side */
    CELL = DRAWING_SIZE + 2,
    GAP = 12,
    COLUMN_WIDTH = SAMPLES * CELL + GAP,
    WIDTH = COLUMNS * COLUMN_WIDTH + GAP,
    HEIGHT = ROWS * CELL + 2 * GAP,
    SHEET_BYTES = WIDTH * HEIGHT * 3
};

/* Training images of classes taken at equal steps. */
static enum sn_status draw_contact_sheet(const struct dataset *dataset, unsigned char *sheet,
                                         struct sn_error *error)
{
    unsigned char image[DRAWING_BYTES];
    memset(sheet, 255, SHEET_BYTES);
    for (int i = 0; i < COLUMNS * ROWS * SAMPLES; i++) {
        const struct lookalikes *all = dataset->lookalikes;
        int cell = i / SAMPLES, sample = i % SAMPLES;
        int x = GAP + cell / ROWS * COLUMN_WIDTH + sample * CELL, y = GAP + cell % ROWS * CELL;
        enum sn_status status = draw_image(dataset,
                                           &all->classes[cell * all->n_classes / (COLUMNS * ROWS)],
                                           FONTS_TRAIN, sample, image, error);
        if (status) return status;
        for (size_t row = 0; row < DRAWING_SIZE; row++)
            memcpy(&sheet[(((size_t)y + row) * WIDTH + (size_t)x) * 3],
                   &image[row * DRAWING_SIZE * 3], (size_t)DRAWING_SIZE * 3);
    }
    return SN_OK;
}

static enum sn_status write_contact_sheet(const struct dataset *dataset, struct sn_error *error)
{
    struct outputs outputs;
    FILE *file = NULL;
    unsigned char *sheet = malloc(SHEET_BYTES);
    enum sn_status status = sheet
        ? draw_contact_sheet(dataset, sheet, error)
        : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", dataset->directory);
    if (!status && !(file = begin_file(dataset, &outputs, "contact.png", error)))
        status = error->code;
    if (!status && !put_png(file, sheet, WIDTH, HEIGHT))
        status = sn_fail(error, SN_NO_MEMORY, "%s: out of memory", dataset->directory);
    if (!status) status = outputs_publish(&outputs, error);
    else if (file) outputs_discard(&outputs);
    free(sheet);
    return status;
}

enum sn_status dataset_write(const struct dataset *dataset, struct sn_error *error)
{
    enum sn_status status = prepare_directory(dataset, error);
    if (!status) status = write_images(dataset, error);
    if (!status) status = write_contact_sheet(dataset, error);
    if (!status) status = write_lists(dataset, error);
    return status;
}
