/* make_glyphs: a set of labelled images that needs no download.
 *
 * Draws characters from the fonts of Debian packages as 32x32 RGB images for Darknet's classifier:
 *
 *     faces and the code points that most have -> classes of look-alikes -> images and their lists
 *     fonts.h                                     lookalikes.h              drawing.h, dataset.h
 *
 * The result depends on the fonts and the options alone, byte for byte: neither on the number of
 * threads (OpenMP) nor on the order of files on the disk. */
#include "dataset.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: make_glyphs -o DIR [--seed N] [--train N] [--test N] [--fonts DIR]...\n"
    "\n"
    "Draws characters from installed fonts as 32x32 images for Darknet's classifier.\n"
    "Test images come from designs that no training image shows.\n"
    "\n"
    "  -o DIR        new or empty, or an older set, which is replaced (backup/ stays)\n"
    "  --seed N      of the random numbers (1); a seed repeats byte for byte\n"
    "  --train N     training images per class (120)\n"
    "  --test N      test images per class (10)\n"
    "  --fonts DIR   draw from the .ttf and .otf files there, not from Debian's packages;\n"
    "                may be repeated\n"
    "\n"
    "DIR then holds glyphs.data for darknet, its lists and images, classes.tsv, faces.tsv\n"
    "and contact.png.\n";

static void usage_error(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void usage_error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("make_glyphs: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("; see make_glyphs --help\n", stderr);
    va_end(arguments);
    exit(2);
}

static uint64_t parse_number(const char *option, const char *argument, uint64_t minimum,
                             uint64_t maximum)
{
    char *end;
    errno = 0;
    unsigned long long value = strtoull(argument, &end, 10);
    if (!isdigit((unsigned char)*argument) || *end || errno || value < minimum || value > maximum)
        usage_error("--%s: expected a number from %llu to %llu, found '%s'", option,
                    (unsigned long long)minimum, (unsigned long long)maximum, argument);
    return value;
}

static enum sn_status flush_output(struct sn_error *error)
{
    if (!fflush(stdout) && !ferror(stdout)) return SN_OK;
    return sn_fail(error, SN_IO, "standard output: cannot write: %s", strerror(errno));
}

static int exit_status(enum sn_status status, const struct sn_error *error)
{
    if (status) fprintf(stderr, "make_glyphs: %s\n", error->message);
    return status ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* font_directories has room for argc. Returns their number. */
static int parse_options(int argc, char **argv, struct dataset *dataset, char **font_directories)
{
    static const struct option names[] = { { "help", 0, 0, 'h' },  { "seed", 1, 0, 's' },
                                           { "train", 1, 0, 't' }, { "test", 1, 0, 'v' },
                                           { "fonts", 1, 0, 'f' }, { 0 } };
    int n_font_directories = 0;
    char *directory = NULL;
    struct sn_error error;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "ho:", names, NULL)) != -1;)
        switch (option) {
        case 'h': fputs(usage, stdout); exit(exit_status(flush_output(&error), &error));
        case 'o': directory = optarg; break;
        case 's': dataset->seed = parse_number("seed", optarg, 0, UINT64_MAX); break;
        case 't':
            dataset->n_images[FONTS_TRAIN] = (int)parse_number("train", optarg, 1,
                                                               DATASET_MAX_IMAGES);
            break;
        case 'v':
            dataset->n_images[FONTS_TEST] = (int)parse_number("test", optarg, 1,
                                                              DATASET_MAX_IMAGES);
            break;
        case 'f': font_directories[n_font_directories++] = optarg; break;
        default: usage_error("%s: unknown option or no argument", argv[optind - 1]);
        }
    if (optind < argc) usage_error("expected options only, found '%s'", argv[optind]);
    if (!directory || !*directory) usage_error("-o: expected a directory, found none");
    for (size_t n = strlen(directory); n > 1 && directory[n - 1] == '/';) directory[--n] = 0;
    dataset->directory = directory;
    return n_font_directories;
}

static enum sn_status print_summary(const struct dataset *dataset, struct sn_error *error)
{
    const struct fonts *fonts = dataset->fonts;
    int n_classes = dataset->lookalikes->n_classes;
    int train = dataset->n_images[FONTS_TRAIN] * n_classes,
        test = dataset->n_images[FONTS_TEST] * n_classes;
    int train_designs = fonts_count_designs(fonts, FONTS_TRAIN),
        test_designs = fonts_count_designs(fonts, FONTS_TEST);
    printf("              train     test    total\n");
    printf("faces      %8d %8d %8d\n", fonts_count_faces(fonts, FONTS_TRAIN),
           fonts_count_faces(fonts, FONTS_TEST), fonts->n_faces);
    printf("designs    %8d %8d %8d\n", train_designs, test_designs, train_designs + test_designs);
    printf("code points                  %8d\n", dataset->lookalikes->n_points);
    printf("classes                      %8d\n", n_classes);
    printf("images     %8d %8d %8d\n", train, test, train + test);
    printf("data: %s/glyphs.data, samples: %s/contact.png\n", dataset->directory,
           dataset->directory);
    return flush_output(error);
}

int main(int argc, char **argv)
{
    struct fonts fonts = { 0 };
    struct lookalikes lookalikes = { 0 };
    struct dataset dataset = { .seed = 1, .n_images = { 120, 10 }, .fonts = &fonts };
    struct sn_error error;
    char *font_directories[argc + 1];
    int n_font_directories = parse_options(argc, argv, &dataset, font_directories);
    enum sn_status status = dataset_check_directory(&dataset, &error);
    if (!status)
        status = fonts_open(&fonts, font_directories, n_font_directories, LOOKALIKES_CLASSES,
                            &error);
    if (!status) status = lookalikes_find(&lookalikes, &fonts, &error);
    dataset.lookalikes = &lookalikes;
    if (!status) status = dataset_check_directory(&dataset, &error);
    if (!status) status = dataset_write(&dataset, &error);
    if (!status) status = print_summary(&dataset, &error);
    lookalikes_free(&lookalikes);
    fonts_close(&fonts);
    return exit_status(status, &error);
}
