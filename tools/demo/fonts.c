#define STB_TRUETYPE_IMPLEMENTATION
#include "fonts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIN_FACES = 20 };

const char *const fonts_split_names[FONTS_SPLITS] = { "train", "test" };

struct source {
    const char *directory;
    const char *pattern; /* of fnmatch, with FNM_EXTMATCH */
    const char *package; /* NULL for a directory of the user's */
};

/* The files are named as closely as needed to leave out what other packages put into the same
 * directory. */
static const struct source debian_fonts[] = {
    { "/usr/share/fonts/truetype/dejavu", "DejaVu@(Sans|Serif)*.ttf", "fonts-dejavu" },
    { "/usr/share/fonts/truetype/liberation2", "*.ttf", "fonts-liberation2" },
    { "/usr/share/fonts/truetype/freefont", "*.ttf", "fonts-freefont-ttf" },
    { "/usr/share/fonts/truetype/noto",
      "Noto@(Sans|Serif)?(Display)-@(Regular|Bold|Italic|BoldItalic).ttf", "fonts-noto-core" },
    { "/usr/share/fonts/truetype/roboto/unhinted", "RobotoCondensed-*.ttf",
      "fonts-roboto-unhinted" },
    { "/usr/share/fonts/truetype/roboto/unhinted/RobotoTTF", "Roboto-*.ttf",
      "fonts-roboto-unhinted" },
    { "/usr/share/fonts/truetype/open-sans", "*.ttf", "fonts-open-sans" },
    { "/usr/share/fonts/truetype/lato", "*.ttf", "fonts-lato" },
    { "/usr/share/fonts/opentype/linux-libertine", "*.otf", "fonts-linuxlibertine" },
    { "/usr/share/fonts/truetype/hack", "*.ttf", "fonts-hack" },
    { "/usr/share/fonts/truetype/jetbrains-mono", "*.ttf", "fonts-jetbrains-mono" },
    { "/usr/share/fonts/opentype/inter", "*.otf", "fonts-inter" },
    { "/usr/share/fonts/truetype/gentiumplus", "*.ttf", "fonts-sil-gentiumplus" },
    { "/usr/share/fonts/truetype/firacode", "*.ttf", "fonts-firacode" },
    { "/usr/share/fonts/truetype/vollkorn", "*.ttf", "fonts-vollkorn" },
    { "/usr/share/fonts/truetype/fonts-oldstandard", "*.ttf", "fonts-oldstandard" },
};

/* Families whose name begins so share one design: weights, widths, derivatives (Hack comes from
 * DejaVu Sans Mono, Noto Sans from Open Sans) and copies of one model. The first matching row
 * holds. The rows for test are a sans serif, two serifs and two typewriter faces. */
static const struct design {
    const char *prefix, *name;
    int split;
} designs[] = {
    { "DejaVu Serif", "DejaVu Serif", FONTS_TEST },
    { "Fira Code", "Fira Code", FONTS_TEST },
    { "Gentium", "Gentium", FONTS_TEST },
    { "Liberation Mono", "Liberation Mono", FONTS_TEST },
    { "FreeSans", "Helvetica", FONTS_TEST },
    { "Liberation Sans", "Helvetica", FONTS_TEST },
    { "FreeSerif", "Times", FONTS_TRAIN },
    { "Liberation Serif", "Times", FONTS_TRAIN },
    { "DejaVu Sans", "DejaVu Sans", FONTS_TRAIN },
    { "Hack", "DejaVu Sans", FONTS_TRAIN },
    { "Noto Sans", "Open Sans", FONTS_TRAIN },
    { "Open Sans", "Open Sans", FONTS_TRAIN },
    { "Noto Serif", "Noto Serif", FONTS_TRAIN },
    { "Linux", "Linux Libertine", FONTS_TRAIN },
    { "Inter", "Inter", FONTS_TRAIN },
    { "JetBrains", "JetBrains Mono", FONTS_TRAIN },
    { "Roboto", "Roboto", FONTS_TRAIN },
    { "FreeMono", "FreeMono", FONTS_TRAIN },
    { "Lato", "Lato", FONTS_TRAIN },
    { "Vollkorn", "Vollkorn", FONTS_TRAIN },
    { "Old Standard", "Old Standard", FONTS_TRAIN },
};

struct range {
    int first, last;
};

/* A face is used when it has all of these. */
static const struct range needed_points[] = {
    { '!', '~' }, { 0x391, 0x3A1 }, { 0x3A3, 0x3C9 }, { 0x410, 0x44F }
};

/* Latin, Greek, Cyrillic, punctuation and symbols, without combining marks. Polytonic Greek is left
 * out: its breathings do not show at this size. */
static const struct range wanted_points[] = {
    { 0x21, 0x7E },     { 0xA1, 0xAC },     { 0xAE, 0x2AF },    { 0x370, 0x482 },
    { 0x48A, 0x52F },   { 0x1E00, 0x1EFF }, { 0x2010, 0x2027 }, { 0x2030, 0x205E },
    { 0x2070, 0x209C }, { 0x20A0, 0x20C0 }, { 0x2100, 0x23FF }, { 0x2500, 0x27BF },
};

static enum sn_status no_memory(struct sn_error *error)
{
    return sn_fail(error, SN_NO_MEMORY, "fonts: out of memory");
}

static enum sn_status add_face(struct fonts *fonts, const char *directory, const char *name,
                               struct sn_error *error)
{
    size_t n = (size_t)fonts->n_faces;
    struct fonts_face *faces = reallocarray(fonts->faces, n + 1, sizeof *faces);
    if (!faces) return no_memory(error);
    fonts->faces = faces;
    faces[n] = (struct fonts_face){ 0 };
    if (asprintf(&faces[n].path, "%s/%s", directory, name) < 0) return no_memory(error);
    fonts->n_faces++;
    return SN_OK;
}

static enum sn_status add_source(struct fonts *fonts, const struct source *source,
                                 struct sn_error *error)
{
    enum sn_status status = SN_OK;
    int n_before = fonts->n_faces;
    DIR *directory = opendir(source->directory);
    if (directory) {
        struct dirent *entry;
        while (!status && (errno = 0, entry = readdir(directory)))
            if (!fnmatch(source->pattern, entry->d_name, FNM_EXTMATCH | FNM_PERIOD))
                status = add_face(fonts, source->directory, entry->d_name, error);
    }
    if (!status && errno && (directory || !source->package))
        status = sn_fail(error, SN_IO, "%s: cannot read: %s", source->directory, strerror(errno));
    if (directory) closedir(directory);
    if (status || fonts->n_faces > n_before) return status;
    if (source->package)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected the fonts of the Debian package %s, found none",
                       source->directory, source->package);
    return sn_fail(error, SN_BAD_INPUT, "%s: expected .ttf or .otf files, found none",
                   source->directory);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const struct fonts_face *)a)->path, ((const struct fonts_face *)b)->path);
}

/* Lists the files, unopened. */
static enum sn_status find_faces(struct fonts *fonts, char *const *directories, int n,
                                 struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int i = 0; i < n && !status; i++) {
        struct source source = { directories[i], "*.@(ttf|otf)", NULL };
        status = add_source(fonts, &source, error);
    }
    for (size_t i = 0; !n && !status && i < sizeof debian_fonts / sizeof *debian_fonts; i++)
        status = add_source(fonts, &debian_fonts[i], error);
    if (!status) qsort(fonts->faces, (size_t)fonts->n_faces, sizeof *fonts->faces, compare_paths);
    return status;
}

static enum sn_status map_file(struct fonts_face *face, struct sn_error *error)
{
    struct stat found;
    enum sn_status status = SN_OK;
    void *bytes;
    int file = open(face->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &found))
        status = sn_fail(error, SN_IO, "%s: cannot read: %s", face->path, strerror(errno));
    else if (!S_ISREG(found.st_mode) || found.st_size < 12)
        status = sn_fail(error, SN_BAD_INPUT,
                         "%s: expected a font, found no regular file or less than 12 bytes",
                         face->path);
    else if ((bytes = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, file, 0))
             == MAP_FAILED)
        status = sn_fail(error, SN_IO, "%s: cannot map: %s", face->path, strerror(errno));
    else face->bytes = bytes, face->n_bytes = (size_t)found.st_size;
    if (file >= 0) close(file);
    return status;
}

/* The typographic family (name 16), else the family (name 1), in UTF-16 as Windows stores it; ASCII
 * only. */
static void read_family(struct fonts_face *face)
{
    int n_bytes = 0, n = 0;
    const char *name = stbtt_GetFontNameString(&face->info, &n_bytes, 3, 1, 0x409, 16);
    if (!name) name = stbtt_GetFontNameString(&face->info, &n_bytes, 3, 1, 0x409, 1);
    for (int i = 0; name && i + 1 < n_bytes && n + 1 < (int)sizeof face->family; i += 2)
        face->family[n++] = (char)(name[i] || !isprint((unsigned char)name[i + 1]) ? '?'
                                                                                   : name[i + 1]);
    face->family[n] = 0;
}

int fonts_glyph(const struct fonts_face *face, int point)
{
    int glyph = stbtt_FindGlyphIndex(&face->info, point);
    return glyph && !stbtt_IsGlyphEmpty(&face->info, glyph) ? glyph : 0;
}

static int has_needed_points(const struct fonts_face *face)
{
    for (size_t i = 0; i < sizeof needed_points / sizeof *needed_points; i++)
        for (int point = needed_points[i].first; point <= needed_points[i].last; point++)
            if (!fonts_glyph(face, point)) return 0;
    return 1;
}

static void close_face(struct fonts_face *face)
{
    if (face->bytes) munmap(face->bytes, face->n_bytes);
    free(face->path);
    *face = (struct fonts_face){ 0 };
}

/* Closes a face without a name or without Latin, Greek and Cyrillic: its path is NULL then. */
static enum sn_status open_face(struct fonts_face *face, struct sn_error *error)
{
    enum sn_status status = map_file(face, error);
    if (status) return status;
    int offset = stbtt_GetFontOffsetForIndex(face->bytes, 0);
    if (offset < 0 || !stbtt_InitFont(&face->info, face->bytes, offset))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected a TrueType or OpenType font with a Unicode table", face->path);
    read_family(face);
    if (!face->family[0] || !has_needed_points(face)) close_face(face);
    return SN_OK;
}

/* The number of unknown families before this one in the order of names. */
static int unknown_rank(const struct fonts *fonts, const struct fonts_face *face)
{
    int rank = 0;
    for (int i = 0; i < fonts->n_faces; i++) {
        const struct fonts_face *other = &fonts->faces[i];
        int is_first = other->design == other->family && strcmp(other->family, face->family) < 0;
        for (int j = 0; j < i && is_first; j++)
            is_first = strcmp(fonts->faces[j].family, other->family) != 0;
        rank += is_first;
    }
    return rank;
}

/* The table decides; of the families that it does not know, every fifth is for test. */
static void split_faces(struct fonts *fonts)
{
    struct fonts_face *faces = fonts->faces;
    for (int i = 0; i < fonts->n_faces; i++) {
        size_t k = 0, n = sizeof designs / sizeof *designs;
        while (k < n && strncmp(faces[i].family, designs[k].prefix, strlen(designs[k].prefix))) k++;
        faces[i].design = k < n ? designs[k].name : faces[i].family;
        faces[i].split = k < n ? designs[k].split : FONTS_TRAIN;
    }
    for (int i = 0; i < fonts->n_faces; i++)
        if (faces[i].design == faces[i].family && unknown_rank(fonts, &faces[i]) % 5 == 1)
            faces[i].split = FONTS_TEST;
    for (int i = 0; i < fonts->n_faces; i++)
        for (int j = 0; j < fonts->n_faces; j++)
            faces[i].n_design_faces += !strcmp(faces[i].design, faces[j].design);
}

static enum sn_status open_faces(struct fonts *fonts, struct sn_error *error)
{
    int n_files = fonts->n_faces;
    for (int i = 0; i < n_files; i++) {
        enum sn_status status = open_face(&fonts->faces[i], error);
        if (status) return status;
    }
    fonts->n_faces = 0;
    for (int i = 0; i < n_files; i++)
        if (fonts->faces[i].path) fonts->faces[fonts->n_faces++] = fonts->faces[i];
    split_faces(fonts);
    if (fonts->n_faces < MIN_FACES)
        return sn_fail(error, SN_BAD_INPUT,
                       "fonts: expected at least %d faces with Latin, Greek and Cyrillic, "
                       "found %d among %d files",
                       MIN_FACES, fonts->n_faces, n_files);
    for (int split = 0; split < FONTS_SPLITS; split++)
        if (!fonts_count_faces(fonts, split))
            return sn_fail(error, SN_BAD_INPUT, "fonts: expected faces for %s, found none",
                           fonts_split_names[split]);
    return SN_OK;
}

/* Keeps the code points that at least seven faces in ten have. */
static enum sn_status collect_points(struct fonts *fonts, int n_least, struct sn_error *error)
{
    size_t n_wanted = 0, n_ranges = sizeof wanted_points / sizeof *wanted_points;
    for (size_t i = 0; i < n_ranges; i++)
        n_wanted += (size_t)(wanted_points[i].last - wanted_points[i].first + 1);
    fonts->points = malloc(n_wanted * sizeof *fonts->points);
    if (!fonts->points) return no_memory(error);
    for (size_t i = 0; i < n_ranges; i++)
        for (int point = wanted_points[i].first; point <= wanted_points[i].last; point++) {
            int n_have = 0;
            for (int k = 0; k < fonts->n_faces; k++)
                n_have += fonts_glyph(&fonts->faces[k], point) != 0;
            if (n_have * 10 >= fonts->n_faces * 7) fonts->points[fonts->n_points++] = point;
        }
    if (fonts->n_points >= n_least) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "fonts: expected at least %d code points that seven faces in ten have, found %d",
                   n_least, fonts->n_points);
}

enum sn_status fonts_open(struct fonts *fonts, char *const *directories, int n, int n_least,
                          struct sn_error *error)
{
    *fonts = (struct fonts){ 0 };
    enum sn_status status = find_faces(fonts, directories, n, error);
    if (!status) status = open_faces(fonts, error);
    if (!status) status = collect_points(fonts, n_least, error);
    if (status) fonts_close(fonts);
    return status;
}

void fonts_close(struct fonts *fonts)
{
    for (int i = 0; i < fonts->n_faces; i++) close_face(&fonts->faces[i]);
    free(fonts->faces);
    free(fonts->points);
    *fonts = (struct fonts){ 0 };
}

int fonts_count_faces(const struct fonts *fonts, int split)
{
    int n = 0;
    for (int i = 0; i < fonts->n_faces; i++) n += fonts->faces[i].split == split;
    return n;
}

int fonts_count_designs(const struct fonts *fonts, int split)
{
    int n = 0;
    for (int i = 0; i < fonts->n_faces; i++) {
        int is_first = fonts->faces[i].split == split;
        for (int j = 0; j < i && is_first; j++)
            is_first = strcmp(fonts->faces[j].design, fonts->faces[i].design) != 0;
        n += is_first;
    }
    return n;
}
