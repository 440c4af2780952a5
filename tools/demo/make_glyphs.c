/* make_glyphs: a set of labelled images that needs no download.
 *
 * Draws characters from the fonts of Debian packages as 32x32 RGB images for Darknet's classifier:
 *
 *     faces -> code points that most faces have -> classes of look-alikes -> images
 *
 * Whole designs, never single faces, belong to training or to test, so that the test shows unseen
 * designs. Every image draws from a generator of its own, seeded by (seed, split, class, index):
 * the result depends on neither the number of threads nor the order of files on the disk. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <ftw.h>
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#define STB_TRUETYPE_IMPLEMENTATION
#define STBTT_STATIC
#include <stb/stb_truetype.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

/* A fused multiply-add would round differently from compiler to compiler; gcc -std=c11 leaves it
 * out by itself. */
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum {
    IMAGE_SIZE = 32,
    IMAGE_BYTES = IMAGE_SIZE * IMAGE_SIZE * 3,
    RASTER_SIZE = 24,
    RASTER_PIXELS = RASTER_SIZE * RASTER_SIZE,
    MAX_SAMPLED_FACES = 24,
    MIN_CLASSES = 500,
    MAX_CLASSES = 500,
    MIN_FACES = 20,
    MAX_IMAGES = 10000, /* per class: file names have four digits */
    MAX_THREADS = 16
};

/* Two glyphs share a class when, in one face of eight, fewer pixels of a 24x24 raster than this
 * tell them apart. */
static const float MERGE_BELOW = 5.0f;

struct font_source {
    const char *directory;
    const char *pattern; /* of fnmatch, with FNM_EXTMATCH */
    const char *package; /* NULL for a directory of the user's */
};

/* The files are named as closely as needed to leave out what other packages put into the same
 * directory. */
static const struct font_source debian_fonts[] = {
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
    int is_test;
} designs[] = {
    { "DejaVu Serif", "DejaVu Serif", 1 },
    { "Fira Code", "Fira Code", 1 },
    { "Gentium", "Gentium", 1 },
    { "Liberation Mono", "Liberation Mono", 1 },
    { "FreeSans", "Helvetica", 1 },
    { "Liberation Sans", "Helvetica", 1 },
    { "FreeSerif", "Times", 0 },
    { "Liberation Serif", "Times", 0 },
    { "DejaVu Sans", "DejaVu Sans", 0 },
    { "Hack", "DejaVu Sans", 0 },
    { "Noto Sans", "Open Sans", 0 },
    { "Open Sans", "Open Sans", 0 },
    { "Noto Serif", "Noto Serif", 0 },
    { "Linux", "Linux Libertine", 0 },
    { "Inter", "Inter", 0 },
    { "JetBrains", "JetBrains Mono", 0 },
    { "Roboto", "Roboto", 0 },
    { "FreeMono", "FreeMono", 0 },
    { "Lato", "Lato", 0 },
    { "Vollkorn", "Vollkorn", 0 },
    { "Old Standard", "Old Standard", 0 },
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

struct face {
    char *path;
    char family[64];
    const char *design; /* a name of the table, or the family itself */
    int design_faces;   /* faces of that design */
    int is_test;
    unsigned char *data; /* the mapped file */
    size_t n_bytes;
    stbtt_fontinfo info;
};

struct class
{
    char label[8]; /* "U+" and the smallest code point, always four digits, so none contains another
                    */
    int n_points;
    int *points; /* ascending, within set.points */
};

struct glyph_set {
    struct face *faces; /* ascending by path */
    int n_faces;
    int *points; /* by class, ascending within */
    int n_points;
    struct class *classes; /* ascending by label */
    int n_classes;
};

struct options {
    char *directory;
    uint64_t seed;
    int n_images[2]; /* per class: training, test */
    char **font_directories;
    int n_font_directories;
};

static const char *const split_names[2] = { "train", "test" };

/* ---- Errors, memory, numbers ---- */

/* One line and status 1. The lock lets one thread speak and end the process. */
static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void die(const char *format, ...)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&lock);
    va_list arguments;
    va_start(arguments, format);
    fputs("make_glyphs: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *allocate(size_t n, size_t size)
{
    void *memory = calloc(n ? n : 1, size);
    if (!memory) die("out of memory: expected %zu x %zu bytes", n, size);
    return memory;
}

static void *grow(void *memory, size_t n, size_t size)
{
    memory = reallocarray(memory, n, size);
    if (!memory) die("out of memory: expected %zu x %zu bytes", n, size);
    return memory;
}

static char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *text(const char *format, ...)
{
    char *result;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&result, format, arguments);
    va_end(arguments);
    if (length < 0) die("out of memory: expected room for a path");
    return result;
}

/* splitmix64 (Steele, Lea, Flood 2014): s += 0x9E3779B97F4A7C15, then the result mixes s. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* Uniform in [low, high). */
static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(next_random(state) >> 11) * 0x1p-53;
}

/* Uniform in 0..n-1; the bias of n / 2^64 does not matter here. */
static int pick(uint64_t *state, int n) { return (int)(next_random(state) % (uint64_t)n); }

/* Nearly normal with variance 1: the sum of the eight bytes of one draw, centred. */
static double normal(uint64_t *state)
{
    uint64_t bits = next_random(state);
    int sum = 0;
    for (int i = 0; i < 8; i++, bits >>= 8) sum += (int)(bits & 255);
    return (sum - 1020) / 209.0;
}

struct work {
    const char *what;
    void (*item)(void *context, int i);
    void *context;
    int n;
    int shows_progress;
    atomic_int next;
};

static void *work_on(void *argument)
{
    struct work *work = argument;
    for (int i; (i = atomic_fetch_add(&work->next, 1)) < work->n;) {
        work->item(work->context, i);
        if (work->shows_progress) fprintf(stderr, "\r%s %d/%d ", work->what, i + 1, work->n);
    }
    return NULL;
}

/* item(context, i) for i = 0..n-1 on all processors; progress only on a terminal. */
static void in_parallel(const char *what, void (*item)(void *, int), void *context, int n)
{
    struct work work = { .what = what, .item = item, .context = context, .n = n };
    work.shows_progress = isatty(STDERR_FILENO);
    long n_processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t threads[MAX_THREADS];
    int n_threads = 0;
    while (n_threads < MAX_THREADS && n_threads + 1 < n_processors
           && !pthread_create(&threads[n_threads], NULL, work_on, &work))
        n_threads++;
    work_on(&work);
    while (n_threads) pthread_join(threads[--n_threads], NULL);
    if (work.shows_progress) fputs("\r\033[K", stderr);
}

/* ---- Faces ---- */

static void add_fonts(const struct font_source *source, char ***paths, int *n_paths)
{
    DIR *directory = opendir(source->directory);
    int n_before = *n_paths;
    struct dirent *entry;
    if (!directory && !source->package)
        die("%s: cannot read: %s", source->directory, strerror(errno));
    while (directory && (errno = 0, entry = readdir(directory))) {
        if (fnmatch(source->pattern, entry->d_name, FNM_EXTMATCH | FNM_PERIOD)) continue;
        *paths = grow(*paths, (size_t)*n_paths + 1, sizeof **paths);
        (*paths)[(*n_paths)++] = text("%s/%s", source->directory, entry->d_name);
    }
    if (directory && errno) die("%s: cannot read: %s", source->directory, strerror(errno));
    if (directory) closedir(directory);
    if (*n_paths > n_before) return;
    if (source->package)
        die("%s: expected the fonts of the Debian package %s, found none", source->directory,
            source->package);
    die("%s: expected .ttf or .otf files, found none", source->directory);
}

static int compare_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static char **find_fonts(const struct options *options, int *n_paths)
{
    char **paths = NULL;
    *n_paths = 0;
    for (int i = 0; i < options->n_font_directories; i++) {
        struct font_source source = { options->font_directories[i], "*.@(ttf|otf)", NULL };
        add_fonts(&source, &paths, n_paths);
    }
    for (size_t i = 0;
         !options->n_font_directories && i < sizeof debian_fonts / sizeof *debian_fonts; i++)
        add_fonts(&debian_fonts[i], &paths, n_paths);
    qsort(paths, (size_t)*n_paths, sizeof *paths, compare_text);
    return paths;
}

static void map_file(struct face *face)
{
    struct stat status;
    int file = open(face->path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status)) die("%s: cannot read: %s", face->path, strerror(errno));
    if (!S_ISREG(status.st_mode) || status.st_size < 12)
        die("%s: expected a font, found no regular file or less than 12 bytes", face->path);
    face->n_bytes = (size_t)status.st_size;
    face->data = mmap(NULL, face->n_bytes, PROT_READ, MAP_PRIVATE, file, 0);
    if (face->data == MAP_FAILED) die("%s: cannot map: %s", face->path, strerror(errno));
    close(file);
}

/* The typographic family (name 16), else the family (name 1), in UTF-16 as Windows stores it; ASCII
 * only. */
static void read_family(struct face *face)
{
    int n_bytes = 0, n = 0;
    const char *name = stbtt_GetFontNameString(&face->info, &n_bytes, 3, 1, 0x409, 16);
    if (!name) name = stbtt_GetFontNameString(&face->info, &n_bytes, 3, 1, 0x409, 1);
    for (int i = 0; name && i + 1 < n_bytes && n + 1 < (int)sizeof face->family; i += 2)
        face->family[n++] = name[i] || !isprint((unsigned char)name[i + 1]) ? '?' : name[i + 1];
    face->family[n] = 0;
}

/* The glyph of a code point, or 0 when the face lacks it or it is blank. */
static int visible_glyph(const struct face *face, int point)
{
    int glyph = stbtt_FindGlyphIndex(&face->info, point);
    return glyph && !stbtt_IsGlyphEmpty(&face->info, glyph) ? glyph : 0;
}

static int has_needed_points(const struct face *face)
{
    for (size_t i = 0; i < sizeof needed_points / sizeof *needed_points; i++)
        for (int point = needed_points[i].first; point <= needed_points[i].last; point++)
            if (!visible_glyph(face, point)) return 0;
    return 1;
}

static void close_face(struct face *face)
{
    munmap(face->data, face->n_bytes);
    free(face->path);
}

/* Takes the path over. Returns 0 for a face without Latin, Greek and Cyrillic; a file that is no
 * font is an error. */
static int open_face(struct face *face, char *path)
{
    memset(face, 0, sizeof *face);
    face->path = path;
    map_file(face);
    int offset = stbtt_GetFontOffsetForIndex(face->data, 0);
    if (offset < 0 || !stbtt_InitFont(&face->info, face->data, offset))
        die("%s: expected a TrueType or OpenType font with a Unicode table", path);
    read_family(face);
    if (face->family[0] && has_needed_points(face)) return 1;
    close_face(face);
    return 0;
}

/* The number of unknown families before this one in the order of names. */
static int unknown_rank(const struct glyph_set *set, const struct face *face)
{
    int rank = 0;
    for (int i = 0; i < set->n_faces; i++) {
        const struct face *other = &set->faces[i];
        int is_first = other->design == other->family && strcmp(other->family, face->family) < 0;
        for (int j = 0; j < i && is_first; j++)
            is_first = strcmp(set->faces[j].family, other->family) != 0;
        rank += is_first;
    }
    return rank;
}

/* The table decides; of the families that it does not know, every fifth is for test. */
static void split_faces(struct glyph_set *set)
{
    for (int i = 0; i < set->n_faces; i++) {
        struct face *face = &set->faces[i];
        face->design = face->family;
        for (size_t k = 0; k < sizeof designs / sizeof *designs && face->design == face->family;
             k++) {
            if (strncmp(face->family, designs[k].prefix, strlen(designs[k].prefix))) continue;
            face->design = designs[k].name;
            face->is_test = designs[k].is_test;
        }
    }
    for (int i = 0; i < set->n_faces; i++)
        if (set->faces[i].design == set->faces[i].family)
            set->faces[i].is_test = unknown_rank(set, &set->faces[i]) % 5 == 1;
    for (int i = 0; i < set->n_faces; i++)
        for (int j = 0; j < set->n_faces; j++)
            set->faces[i].design_faces += !strcmp(set->faces[i].design, set->faces[j].design);
}

static int count_faces(const struct glyph_set *set, int is_test)
{
    int n = 0;
    for (int i = 0; i < set->n_faces; i++) n += set->faces[i].is_test == is_test;
    return n;
}

static void open_faces(struct glyph_set *set, const struct options *options)
{
    int n_paths;
    char **paths = find_fonts(options, &n_paths);
    set->faces = allocate((size_t)n_paths, sizeof *set->faces);
    for (int i = 0; i < n_paths; i++)
        set->n_faces += open_face(&set->faces[set->n_faces], paths[i]);
    free(paths);
    split_faces(set);
    if (set->n_faces < MIN_FACES)
        die("fonts: expected at least %d faces with Latin, Greek and Cyrillic, found %d among %d files",
            MIN_FACES, set->n_faces, n_paths);
    for (int split = 0; split < 2; split++)
        if (!count_faces(set, split))
            die("fonts: expected faces for %s, found none", split_names[split]);
}

/* Keeps the code points that at least seven faces in ten have. */
static void collect_points(struct glyph_set *set)
{
    for (size_t i = 0; i < sizeof wanted_points / sizeof *wanted_points; i++)
        for (int point = wanted_points[i].first; point <= wanted_points[i].last; point++) {
            int n_have = 0;
            for (int k = 0; k < set->n_faces; k++)
                n_have += visible_glyph(&set->faces[k], point) != 0;
            if (n_have * 10 < set->n_faces * 7) continue;
            set->points = grow(set->points, (size_t)set->n_points + 1, sizeof *set->points);
            set->points[set->n_points++] = point;
        }
    if (set->n_points < MIN_CLASSES)
        die("fonts: expected at least %d code points that seven faces in ten have, found %d",
            MIN_CLASSES, set->n_points);
}

/* ---- Drawing outlines ---- */

/* x' = m[0] x + m[1] y, y' = m[2] x + m[3] y for every point of the outline, widening box = { x0,
 * y0, x1, y1 }. */
static void transform_point(const double m[4], double x, double y, double *out, double box[4])
{
    out[0] = m[0] * x + m[1] * y;
    out[1] = m[2] * x + m[3] * y;
    box[0] = fmin(box[0], out[0]);
    box[1] = fmin(box[1], out[1]);
    box[2] = fmax(box[2], out[0]);
    box[3] = fmax(box[3], out[1]);
}

/* Points of the outline after m, six numbers a vertex: the end and the control points that its type
 * has. */
static double *transform_outline(const stbtt_vertex *vertices, int n, const double m[4],
                                 double box[4])
{
    double *out = allocate((size_t)n * 6, sizeof *out);
    for (int i = 0; i < n; i++) {
        const stbtt_vertex *v = &vertices[i];
        transform_point(m, v->x, v->y, &out[6 * i], box);
        if (v->type == STBTT_vcurve || v->type == STBTT_vcubic)
            transform_point(m, v->cx, v->cy, &out[6 * i + 2], box);
        if (v->type == STBTT_vcubic) transform_point(m, v->cx1, v->cy1, &out[6 * i + 4], box);
    }
    return out;
}

/* Coverage (0..255) of a glyph on n x n pixels, n <= 64: its outline after m, scaled so that the
 * longer side of its box is `size` pixels, the centre of the box at (centre_x, centre_y). Returns 0
 * when the outline is flat. The rasteriser takes integers: 1/256 pixel keeps them below 2^15. */
static int draw_glyph(const struct face *face, int glyph, const double m[4], double size,
                      double centre_x, double centre_y, unsigned char *pixels, int n)
{
    stbtt_vertex *vertices = NULL;
    int n_vertices = stbtt_GetGlyphShape(&face->info, glyph, &vertices);
    double box[4] = { INFINITY, INFINITY, -INFINITY, -INFINITY };
    double *out = n_vertices > 0 ? transform_outline(vertices, n_vertices, m, box) : NULL;
    double extent = n_vertices > 0 ? fmax(box[2] - box[0], box[3] - box[1]) : 0;
    memset(pixels, 0, (size_t)(n * n));
    if (extent > 0) {
        double scale = 256 * size / extent;
        double x0 = 256 * centre_x - scale * (box[0] + box[2]) / 2,
               y0 = 256 * centre_y + scale * (box[1] + box[3]) / 2;
        for (int i = 0; i < n_vertices; i++) {
            short *target[6] = { &vertices[i].x,  &vertices[i].y,   &vertices[i].cx,
                                 &vertices[i].cy, &vertices[i].cx1, &vertices[i].cy1 };
            int n_numbers = vertices[i].type == STBTT_vcubic ? 6
                : vertices[i].type == STBTT_vcurve           ? 4
                                                             : 2;
            for (int k = 0; k < n_numbers; k++)
                *target[k] = (short)lrint(k % 2 ? y0 - scale * out[6 * i + k]
                                                : x0 + scale * out[6 * i + k]);
        }
        stbtt__bitmap bitmap = { n, n, n, pixels };
        stbtt_Rasterize(&bitmap, 0.1f, vertices, n_vertices, 1 / 256.0f, 1 / 256.0f, 0, 0, 0, 0, 0,
                        NULL);
    }
    free(out);
    stbtt_FreeShape(&face->info, vertices);
    return extent > 0;
}

/* ---- Classes of look-alikes ---- */

/* One glyph at a common size and place, as drawn and widened by one pixel, and both mirrored. */
struct raster {
    int is_drawn;
    unsigned char ink[2][RASTER_PIXELS], wide[2][RASTER_PIXELS];
};

struct comparison {
    const struct glyph_set *set;
    const struct face *faces[MAX_SAMPLED_FACES];
    int n_faces;
    struct raster *rasters; /* n_points x n_faces */
    float *distance;        /* n_points x n_points */
};

/* wide[y][x] = max of ink over the 3x3 neighbourhood. */
static void widen(const unsigned char *ink, unsigned char *wide)
{
    for (int y = 0; y < RASTER_SIZE; y++)
        for (int x = 0; x < RASTER_SIZE; x++) {
            unsigned char most = 0;
            for (int v = y ? y - 1 : 0; v <= y + 1 && v < RASTER_SIZE; v++)
                for (int u = x ? x - 1 : 0; u <= x + 1 && u < RASTER_SIZE; u++)
                    if (ink[v * RASTER_SIZE + u] > most) most = ink[v * RASTER_SIZE + u];
            wide[y * RASTER_SIZE + x] = most;
        }
}

static void draw_rasters(void *context, int i)
{
    static const double identity[4] = { 1, 0, 0, 1 };
    struct comparison *c = context;
    for (int k = 0; k < c->n_faces; k++) {
        struct raster *raster = &c->rasters[(size_t)i * (size_t)c->n_faces + (size_t)k];
        int glyph = visible_glyph(c->faces[k], c->set->points[i]);
        raster->is_drawn = glyph
            && draw_glyph(c->faces[k], glyph, identity, RASTER_SIZE, RASTER_SIZE / 2.0,
                          RASTER_SIZE / 2.0, raster->ink[0], RASTER_SIZE);
        if (!raster->is_drawn) continue;
        for (int p = 0; p < RASTER_PIXELS; p++)
            raster->ink[1][p] =
                raster->ink[0][p / RASTER_SIZE * RASTER_SIZE + RASTER_SIZE - 1 - p % RASTER_SIZE];
        widen(raster->ink[0], raster->wide[0]);
        widen(raster->ink[1], raster->wide[1]);
    }
}

/* sum max(0, ink - wide): the ink that the other glyph leaves bare even when moved by a pixel. */
static int bare_ink(const unsigned char *ink, const unsigned char *wide)
{
    int sum = 0;
    for (int p = 0; p < RASTER_PIXELS; p++) sum += ink[p] > wide[p] ? ink[p] - wide[p] : 0;
    return sum;
}

/* Bare ink of both glyphs in pixels, the lesser of the plain and the mirrored comparison: Darknet
 * mirrors half of its training images, so a glyph and its mirror image can only be one class. */
static float raster_distance(const struct raster *a, const struct raster *b)
{
    int plain = bare_ink(a->ink[0], b->wide[0]) + bare_ink(b->ink[0], a->wide[0]);
    int mirrored = bare_ink(a->ink[0], b->wide[1]) + bare_ink(b->ink[1], a->wide[0]);
    return (float)(plain < mirrored ? plain : mirrored) / 255;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The eighth part of the faces that have both glyphs lies below it, so that a pair that only some
 * faces draw alike is near. A pair that is far apart in each of the first faces is not looked at
 * further. */
static float point_distance(const struct comparison *c, int i, int j)
{
    float values[MAX_SAMPLED_FACES], least = INFINITY;
    int n = 0;
    for (int k = 0; k < c->n_faces; k++) {
        const struct raster *a = &c->rasters[(size_t)i * (size_t)c->n_faces + (size_t)k];
        const struct raster *b = &c->rasters[(size_t)j * (size_t)c->n_faces + (size_t)k];
        if (!a->is_drawn || !b->is_drawn) continue;
        values[n] = raster_distance(a, b);
        least = fminf(least, values[n++]);
        if (n == 4 && least > 8 * MERGE_BELOW) break;
    }
    if (!n) return INFINITY;
    qsort(values, (size_t)n, sizeof *values, compare_floats);
    return values[n / 8];
}

static void measure_row(void *context, int i)
{
    struct comparison *c = context;
    for (int j = 0; j < i; j++) {
        float distance = point_distance(c, i, j);
        c->distance[i * c->set->n_points + j] = distance;
        c->distance[j * c->set->n_points + i] = distance;
    }
}

/* Training faces at equal steps through the list, so that every design is heard. */
static void sample_faces(struct comparison *c)
{
    int n_train = count_faces(c->set, 0), seen = 0;
    int n_wanted = n_train < MAX_SAMPLED_FACES ? n_train : MAX_SAMPLED_FACES;
    for (int i = 0; i < c->set->n_faces; i++) {
        if (c->set->faces[i].is_test) continue;
        if (seen++ == c->n_faces * n_train / n_wanted) c->faces[c->n_faces++] = &c->set->faces[i];
    }
}

/* The two nearest live clusters a < b and their distance; INFINITY when fewer than two live. */
static float nearest_clusters(const float *distance, const int *size, int n, int *a, int *b)
{
    float least = INFINITY;
    for (int i = 0; i < n; i++)
        for (int j = 0; size[i] && j < i; j++)
            if (size[j] && distance[i * n + j] < least) least = distance[i * n + j], *a = j, *b = i;
    return least;
}

/* Average linkage: joins the two nearest clusters while their mean distance stays below the
 * threshold; then d(k, i+j) = (n_i d(k,i) + n_j d(k,j)) / (n_i + n_j). Unlike single linkage it
 * forms no chains. cluster[i] becomes the smallest index of i's cluster, size[cluster[i]] its
 * members. O(merges n^2). */
static void join_clusters(float *distance, int n, int *cluster, int *size)
{
    int a = 0, b = 0;
    for (int i = 0; i < n; i++) cluster[i] = i, size[i] = 1;
    while (nearest_clusters(distance, size, n, &a, &b) < MERGE_BELOW) {
        for (int k = 0; k < n; k++) {
            float mean = (size[a] * distance[a * n + k] + size[b] * distance[b * n + k])
                / (float)(size[a] + size[b]);
            distance[a * n + k] = distance[k * n + a] = mean;
            if (cluster[k] == b) cluster[k] = a;
        }
        size[a] += size[b];
        size[b] = 0;
    }
}

/* Leaves out the later one of the two nearest clusters until no more than MAX_CLASSES remain: of
 * the characters that are not quite alike, these are the ones that a net confuses. size[i] = 0
 * marks them. */
static void drop_clusters(const float *distance, int n, int *size)
{
    int n_left = 0, a = 0, b = 0;
    for (int i = 0; i < n; i++) n_left += size[i] > 0;
    for (; n_left > MAX_CLASSES; n_left--) {
        nearest_clusters(distance, size, n, &a, &b);
        size[b] = 0;
    }
}

/* Sorts the code points of the live clusters by class and cuts them there. */
static void fill_classes(struct glyph_set *set, const int *cluster, const int *size)
{
    int *sorted = allocate((size_t)set->n_points, sizeof *sorted), n = 0;
    set->classes = allocate((size_t)set->n_points, sizeof *set->classes);
    for (int i = 0; i < set->n_points; i++) {
        if (!size[i]) continue;
        struct class *class = &set->classes[set->n_classes++];
        class->points = sorted + n;
        snprintf(class->label, sizeof class->label, "U+%04X", (unsigned)set->points[i] & 0xFFFFu);
        for (int k = i; k < set->n_points; k++)
            if (cluster[k] == i) sorted[n++] = set->points[k], class->n_points++;
    }
    free(set->points);
    set->points = sorted;
    set->n_points = n;
}

static void make_classes(struct glyph_set *set)
{
    struct comparison c = { .set = set };
    size_t n = (size_t)set->n_points;
    sample_faces(&c);
    c.rasters = allocate(n * (size_t)c.n_faces, sizeof *c.rasters);
    c.distance = allocate(n * n, sizeof *c.distance);
    int *cluster = allocate(n, sizeof *cluster), *size = allocate(n, sizeof *size);
    in_parallel("comparing: glyph", draw_rasters, &c, set->n_points);
    in_parallel("comparing: row", measure_row, &c, set->n_points);
    join_clusters(c.distance, set->n_points, cluster, size);
    drop_clusters(c.distance, set->n_points, size);
    fill_classes(set, cluster, size);
    free(size);
    free(cluster);
    free(c.distance);
    free(c.rasters);
    if (set->n_classes < MIN_CLASSES)
        die("fonts: expected at least %d classes that look different, found %d", MIN_CLASSES,
            set->n_classes);
}

/* ---- Images ---- */

struct drawing {
    const struct options *options;
    const struct glyph_set *set;
};

/* A generator of the image's own: the numbers are mixed in one after the other. */
static uint64_t image_state(uint64_t seed, int split, int point, int index)
{
    uint64_t state = seed;
    state = next_random(&state) ^ (uint64_t)split;
    state = next_random(&state) ^ (uint64_t)point;
    state = next_random(&state) ^ (uint64_t)index;
    return next_random(&state);
}

/* Ink and ground, uniform among the pairs whose brightness differs by 100 of 255. */
static void pick_colours(uint64_t *state, double colours[2][3])
{
    double contrast;
    do {
        double brightness[2];
        for (int i = 0; i < 2; i++) {
            for (int k = 0; k < 3; k++) colours[i][k] = uniform(state, 0, 255);
            brightness[i] = 0.299 * colours[i][0] + 0.587 * colours[i][1] + 0.114 * colours[i][2];
        }
        contrast = fabs(brightness[0] - brightness[1]);
    } while (contrast < 100);
}

/* Draws the glyph turned by up to 5 degrees, slanted by up to 0.1, 22 to 29 pixels long, shifted by
 * up to 2 pixels but never over the edge. */
static int draw_varied(const struct face *face, int glyph, uint64_t *state, unsigned char *coverage)
{
    double turn = uniform(state, -5, 5) * 3.14159265358979 / 180, slant = uniform(state, -0.1, 0.1);
    double stretch = uniform(state, 0.92, 1.08), size = uniform(state, 22, 29);
    double reach = fmin(2, (IMAGE_SIZE - size) / 2);
    double x = IMAGE_SIZE / 2.0 + uniform(state, -reach, reach),
           y = IMAGE_SIZE / 2.0 + uniform(state, -reach, reach);
    double c = cos(turn), s = sin(turn);
    double m[4] = { stretch * c, stretch * c * slant - s, stretch * s, stretch * s * slant + c };
    return draw_glyph(face, glyph, m, size, x, y, coverage, IMAGE_SIZE);
}

/* pixel = ground + coverage (ink - ground) + noise. */
static void colour_image(const unsigned char *coverage, uint64_t *state, unsigned char *image)
{
    double colours[2][3], deviation = uniform(state, 0, 10);
    pick_colours(state, colours);
    for (int p = 0; p < IMAGE_SIZE * IMAGE_SIZE; p++)
        for (int k = 0; k < 3; k++) {
            double value = colours[1][k] + coverage[p] / 255.0 * (colours[0][k] - colours[1][k])
                + deviation * normal(state);
            image[3 * p + k] = (unsigned char)lrint(fmin(fmax(value, 0), 255));
        }
}

/* Image `index` of a class: any of its characters in any face of the split that has it. Every
 * design is as likely as any other, however many faces it has, since unseen designs are what the
 * net has to read later. */
static void make_image(const struct drawing *drawing, const struct class *class, int split,
                       int index, unsigned char *image)
{
    const struct glyph_set *set = drawing->set;
    uint64_t state = image_state(drawing->options->seed, split, class->points[0], index);
    unsigned char coverage[IMAGE_SIZE * IMAGE_SIZE];
    for (int n_tries = 0; n_tries < 10000; n_tries++) {
        const struct face *face = &set->faces[pick(&state, set->n_faces)];
        if (pick(&state, face->design_faces)) continue;
        int glyph = face->is_test == split
            ? visible_glyph(face, class->points[pick(&state, class->n_points)])
            : 0;
        if (!glyph || !draw_varied(face, glyph, &state, coverage)) continue;
        colour_image(coverage, &state, image);
        return;
    }
    die("%s: expected a %s face that has it, found none", class->label, split_names[split]);
}

/* ---- Files ---- */

static void write_file(const char *path, const void *bytes, size_t n)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int is_open = file >= 0;
    while (file >= 0 && n) {
        ssize_t n_written = write(file, bytes, n);
        if (n_written <= 0) break;
        bytes = (const char *)bytes + n_written;
        n -= (size_t)n_written;
    }
    if (!is_open || n || close(file)) die("%s: cannot write: %s", path, strerror(errno));
}

static void write_png(const char *path, const unsigned char *image, int width, int height)
{
    int n_bytes;
    unsigned char *png = stbi_write_png_to_mem(image, width * 3, width, height, 3, &n_bytes);
    if (!png) die("%s: out of memory", path);
    write_file(path, png, (size_t)n_bytes);
    free(png);
}

static void make_directory(const char *path)
{
    if (mkdir(path, 0777) && errno != EEXIST)
        die("%s: cannot make the directory: %s", path, strerror(errno));
}

static void draw_class(void *context, int i)
{
    const struct drawing *drawing = context;
    const struct class *class = &drawing->set->classes[i];
    unsigned char image[IMAGE_BYTES];
    for (int split = 0; split < 2; split++) {
        char *directory = text("%s/%s/%s", drawing->options->directory, split_names[split],
                               class->label);
        make_directory(directory);
        for (int k = 0; k < drawing->options->n_images[split]; k++) {
            char *path = text("%s/%04d.png", directory, k);
            make_image(drawing, class, split, k, image);
            write_png(path, image, IMAGE_SIZE, IMAGE_SIZE);
            free(path);
        }
        free(directory);
    }
}

/* A text file appears whole: it is written under another name, synchronised and renamed. */
struct text_file {
    char *path, *temporary;
    FILE *stream;
};

static struct text_file begin_text(const char *directory, const char *name)
{
    struct text_file file = { text("%s/%s", directory, name), text("%s/%s.part", directory, name),
                              NULL };
    file.stream = fopen(file.temporary, "w");
    if (!file.stream) die("%s: cannot write: %s", file.temporary, strerror(errno));
    return file;
}

static void end_text(struct text_file *file)
{
    int fails = ferror(file->stream) || fflush(file->stream) || fsync(fileno(file->stream));
    if (fclose(file->stream) || fails || rename(file->temporary, file->path))
        die("%s: cannot write: %s", file->path, strerror(errno));
    free(file->path);
    free(file->temporary);
}

static void put_utf8(FILE *stream, int point)
{
    if (point < 0x80) fprintf(stream, "%c", point);
    else if (point < 0x800) fprintf(stream, "%c%c", 0xC0 | point >> 6, 0x80 | (point & 63));
    else
        fprintf(stream, "%c%c%c", 0xE0 | point >> 12, 0x80 | (point >> 6 & 63),
                0x80 | (point & 63));
}

static void write_classes(const struct drawing *drawing)
{
    struct text_file file = begin_text(drawing->options->directory, "classes.tsv");
    fputs("label\tcode_points\tcharacters\n", file.stream);
    for (int i = 0; i < drawing->set->n_classes; i++) {
        const struct class *class = &drawing->set->classes[i];
        fprintf(file.stream, "%s\t", class->label);
        for (int k = 0; k < class->n_points; k++)
            fprintf(file.stream, "%sU+%04X", k ? " " : "", (unsigned)class->points[k]);
        fputc('\t', file.stream);
        for (int k = 0; k < class->n_points; k++) put_utf8(file.stream, class->points[k]);
        fputc('\n', file.stream);
    }
    end_text(&file);
}

static void write_faces(const struct drawing *drawing)
{
    struct text_file file = begin_text(drawing->options->directory, "faces.tsv");
    fputs("face\tfamily\tdesign\tsplit\tfile\n", file.stream);
    for (int i = 0; i < drawing->set->n_faces; i++) {
        const struct face *face = &drawing->set->faces[i];
        const char *name = strrchr(face->path, '/') + 1;
        fprintf(file.stream, "%.*s\t%s\t%s\t%s\t%s\n", (int)(strrchr(name, '.') - name), name,
                face->family, face->design, split_names[face->is_test], face->path);
    }
    end_text(&file);
}

static void write_labels(const struct drawing *drawing)
{
    struct text_file file = begin_text(drawing->options->directory, "labels.txt");
    for (int i = 0; i < drawing->set->n_classes; i++)
        fprintf(file.stream, "%s\n", drawing->set->classes[i].label);
    end_text(&file);
}

static void write_list(const struct drawing *drawing, int split)
{
    const char *directory = drawing->options->directory, *name = split_names[split];
    struct text_file file = begin_text(directory, split ? "test.txt" : "train.txt");
    for (int i = 0; i < drawing->set->n_classes; i++)
        for (int k = 0; k < drawing->options->n_images[split]; k++)
            fprintf(file.stream, "%s/%s/%s/%04d.png\n", directory, name,
                    drawing->set->classes[i].label, k);
    end_text(&file);
}

static void write_data(const struct drawing *drawing)
{
    const char *directory = drawing->options->directory;
    char *backup = text("%s/backup", directory);
    make_directory(backup);
    free(backup);
    struct text_file file = begin_text(directory, "glyphs.data");
    fprintf(
        file.stream,
        "classes=%d\ntrain=%s/train.txt\nvalid=%s/test.txt\nlabels=%s/labels.txt\nnames=%s/labels.txt\n"
        "backup=%s/backup\ntop=5\n",
        drawing->set->n_classes, directory, directory, directory, directory, directory);
    end_text(&file);
}

/* Contact sheet: three columns of classes taken at equal steps, eight training images of each in a
 * row. */
static void write_contact_sheet(const struct drawing *drawing)
{
    enum {
        COLUMNS = 3,
        ROWS = 20,
        SAMPLES = 8,
        CELL = IMAGE_SIZE + 2,
        GAP = 12,
        COLUMN_WIDTH = SAMPLES * CELL + GAP,
        WIDTH = COLUMNS * COLUMN_WIDTH + GAP,
        HEIGHT = ROWS * CELL + 2 * GAP
    };
    unsigned char image[IMAGE_BYTES], *sheet = allocate(WIDTH * HEIGHT, 3);
    memset(sheet, 255, WIDTH * HEIGHT * 3);
    for (int i = 0; i < COLUMNS * ROWS * SAMPLES; i++) {
        int cell = i / SAMPLES, sample = i % SAMPLES;
        const struct class *class =
            &drawing->set->classes[cell * drawing->set->n_classes / (COLUMNS * ROWS)];
        int x = GAP + cell / ROWS * COLUMN_WIDTH + sample * CELL, y = GAP + cell % ROWS * CELL;
        make_image(drawing, class, 0, sample, image);
        for (int row = 0; row < IMAGE_SIZE; row++)
            memcpy(sheet + ((y + row) * WIDTH + x) * 3, image + row * IMAGE_SIZE * 3,
                   IMAGE_SIZE * 3);
    }
    char *path = text("%s/contact.png", drawing->options->directory);
    write_png(path, sheet, WIDTH, HEIGHT);
    free(path);
    free(sheet);
}

/* ---- The output directory ---- */

/* Darknet drops blanks from a .data file, and takes a label wherever it occurs in a path. */
static void check_directory_name(const struct options *options, const struct glyph_set *set)
{
    for (const char *c = options->directory; *c; c++)
        if (isspace((unsigned char)*c))
            die("%s: expected a directory without blanks, which Darknet would drop",
                options->directory);
    for (int i = 0; set && i < set->n_classes; i++)
        if (strstr(options->directory, set->classes[i].label))
            die("%s: expected a directory without a class's label, found %s", options->directory,
                set->classes[i].label);
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    if (remove(path)) die("%s: cannot remove: %s", path, strerror(errno));
    return 0;
}

static int is_empty(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory) die("%s: cannot read: %s", path, strerror(errno));
    int n = 0;
    for (struct dirent *entry; (entry = readdir(directory));)
        n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(directory);
    return !n;
}

/* Fills a new or empty directory, or one with the mark that this program sets first. From the
 * latter it removes the older lists and images, lists first; weights in backup/ stay. */
static void prepare_directory(const struct options *options)
{
    static const char *const outputs[] = { "glyphs.data", "train.txt", "test.txt",
                                           "labels.txt",  "faces.tsv", "classes.tsv",
                                           "contact.png", "train",     "test" };
    char *mark = text("%s/.make_glyphs", options->directory);
    struct stat status;
    make_directory(options->directory);
    if (!is_empty(options->directory) && lstat(mark, &status))
        die("%s: expected an empty directory or an older set of make_glyphs, found other files",
            options->directory);
    write_file(mark, "", 0);
    free(mark);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++) {
        char *path = text("%s/%s", options->directory, outputs[i]);
        if (!lstat(path, &status) && nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS))
            die("%s: cannot remove: %s", path, strerror(errno));
        if (!strchr(outputs[i], '.')) make_directory(path);
        free(path);
    }
}

/* ---- Command ---- */

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

static void parse_options(int argc, char **argv, struct options *options)
{
    static const struct option names[] = { { "help", 0, 0, 'h' },  { "seed", 1, 0, 's' },
                                           { "train", 1, 0, 't' }, { "test", 1, 0, 'v' },
                                           { "fonts", 1, 0, 'f' }, { 0 } };
    *options = (struct options){ .seed = 1, .n_images = { 120, 10 } };
    options->font_directories = allocate((size_t)argc, sizeof *options->font_directories);
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "ho:", names, NULL)) != -1;)
        switch (option) {
        case 'h':
            fputs(usage, stdout);
            free(options->font_directories);
            if (fflush(stdout) || ferror(stdout))
                die("standard output: cannot write: %s", strerror(errno));
            exit(0);
        case 'o': options->directory = optarg; break;
        case 's': options->seed = parse_number("seed", optarg, 0, UINT64_MAX); break;
        case 't': options->n_images[0] = (int)parse_number("train", optarg, 1, MAX_IMAGES); break;
        case 'v': options->n_images[1] = (int)parse_number("test", optarg, 1, MAX_IMAGES); break;
        case 'f': options->font_directories[options->n_font_directories++] = optarg; break;
        default: usage_error("%s: unknown option or no argument", argv[optind - 1]);
        }
    if (optind < argc) usage_error("expected options only, found '%s'", argv[optind]);
    if (!options->directory || !*options->directory)
        usage_error("-o: expected a directory, found none");
    for (size_t n = strlen(options->directory); n > 1 && options->directory[n - 1] == '/';)
        options->directory[--n] = 0;
}

/* The number of different designs of a split. */
static int count_designs(const struct glyph_set *set, int split)
{
    int n = 0;
    for (int i = 0; i < set->n_faces; i++) {
        int is_first = set->faces[i].is_test == split;
        for (int j = 0; j < i && is_first; j++)
            is_first = strcmp(set->faces[j].design, set->faces[i].design) != 0;
        n += is_first;
    }
    return n;
}

static void print_summary(const struct glyph_set *set, const struct options *options)
{
    int train = options->n_images[0] * set->n_classes, test = options->n_images[1] * set->n_classes;
    printf("              train     test    total\n");
    printf("faces      %8d %8d %8d\n", count_faces(set, 0), count_faces(set, 1), set->n_faces);
    printf("designs    %8d %8d %8d\n", count_designs(set, 0), count_designs(set, 1),
           count_designs(set, 0) + count_designs(set, 1));
    printf("code points                  %8d\n", set->n_points);
    printf("classes                      %8d\n", set->n_classes);
    printf("images     %8d %8d %8d\n", train, test, train + test);
    printf("data: %s/glyphs.data, samples: %s/contact.png\n", options->directory,
           options->directory);
    if (fflush(stdout) || ferror(stdout)) die("standard output: cannot write: %s", strerror(errno));
}

static void free_set(struct glyph_set *set)
{
    for (int i = 0; i < set->n_faces; i++) close_face(&set->faces[i]);
    free(set->faces);
    free(set->points);
    free(set->classes);
}

int main(int argc, char **argv)
{
    struct options options;
    struct glyph_set set = { 0 };
    struct drawing drawing = { &options, &set };
    parse_options(argc, argv, &options);
    check_directory_name(&options, NULL);
    open_faces(&set, &options);
    collect_points(&set);
    make_classes(&set);
    check_directory_name(&options, &set);
    prepare_directory(&options);
    in_parallel("drawing: class", draw_class, &drawing, set.n_classes);
    write_contact_sheet(&drawing);
    write_classes(&drawing);
    write_faces(&drawing);
    write_labels(&drawing);
    write_list(&drawing, 0);
    write_list(&drawing, 1);
    write_data(&drawing);
    print_summary(&set, &options);
    free_set(&set);
    free(options.font_directories);
    return 0;
}
