#include "lookalikes.h"

#include "drawing.h"
#include "progress.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { RASTER_SIZE = 24, RASTER_PIXELS = RASTER_SIZE * RASTER_SIZE, MAX_SAMPLED_FACES = 24 };

/* In pixels of a raster. */
static const float MERGE_BELOW = 5.0f;

/* One glyph at a common size and place, as drawn and widened by one pixel, and both mirrored. */
struct raster {
    int is_drawn;
    unsigned char ink[2][RASTER_PIXELS], wide[2][RASTER_PIXELS];
};

struct comparison {
    const struct fonts *fonts;
    const struct fonts_face *faces[MAX_SAMPLED_FACES];
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

static void draw_rasters(struct comparison *c, int i)
{
    static const double identity[4] = { 1, 0, 0, 1 };
    for (int k = 0; k < c->n_faces; k++) {
        struct raster *raster = &c->rasters[(size_t)i * (size_t)c->n_faces + (size_t)k];
        int glyph = fonts_glyph(c->faces[k], c->fonts->points[i]);
        raster->is_drawn = glyph
            && drawing_glyph(c->faces[k], glyph, identity, RASTER_SIZE, RASTER_SIZE / 2.0,
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

static void measure_row(struct comparison *c, int i)
{
    for (int j = 0; j < i; j++) {
        float distance = point_distance(c, i, j);
        c->distance[i * c->fonts->n_points + j] = distance;
        c->distance[j * c->fonts->n_points + i] = distance;
    }
}

/* Training faces at equal steps through the list, so that every design is heard. */
static void sample_faces(struct comparison *c)
{
    int n_train = fonts_count_faces(c->fonts, FONTS_TRAIN), seen = 0;
    int n_wanted = n_train < MAX_SAMPLED_FACES ? n_train : MAX_SAMPLED_FACES;
    for (int i = 0; i < c->fonts->n_faces; i++) {
        if (c->fonts->faces[i].split != FONTS_TRAIN) continue;
        if (seen++ == c->n_faces * n_train / n_wanted) c->faces[c->n_faces++] = &c->fonts->faces[i];
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
            float mean = ((float)size[a] * distance[a * n + k]
                          + (float)size[b] * distance[b * n + k])
                / (float)(size[a] + size[b]);
            distance[a * n + k] = distance[k * n + a] = mean;
            if (cluster[k] == b) cluster[k] = a;
        }
        size[a] += size[b];
        size[b] = 0;
    }
}

/* Leaves out the later one of the two nearest clusters until no more than LOOKALIKES_CLASSES
 * remain: of the characters that are not quite alike, these are the ones that a net confuses.
 * size[i] = 0 marks them. */
static void drop_clusters(const float *distance, int n, int *size)
{
    int n_left = 0, a = 0, b = 0;
    for (int i = 0; i < n; i++) n_left += size[i] > 0;
    for (; n_left > LOOKALIKES_CLASSES; n_left--) {
        nearest_clusters(distance, size, n, &a, &b);
        size[b] = 0;
    }
}

/* Sorts the code points of the live clusters by class and cuts them there. */
static enum sn_status fill_classes(struct lookalikes *lookalikes, const struct fonts *fonts,
                                   const int *cluster, const int *size)
{
    size_t n_points = (size_t)fonts->n_points;
    lookalikes->points = calloc(n_points, sizeof *lookalikes->points);
    lookalikes->classes = calloc(n_points, sizeof *lookalikes->classes);
    if (!lookalikes->points || !lookalikes->classes) return SN_NO_MEMORY;
    for (int i = 0; i < fonts->n_points; i++) {
        if (!size[i]) continue;
        struct lookalikes_class *class = &lookalikes->classes[lookalikes->n_classes++];
        class->points = lookalikes->points + lookalikes->n_points;
        snprintf(class->label, sizeof class->label, "U+%04X", (unsigned)fonts->points[i] & 0xFFFFu);
        for (int k = i; k < fonts->n_points; k++)
            if (cluster[k] == i) {
                lookalikes->points[lookalikes->n_points++] = fonts->points[k];
                class->n_points++;
            }
    }
    return SN_OK;
}

static void compare_points(struct comparison *c)
{
    int n = c->fonts->n_points;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++) {
        draw_rasters(c, i);
        progress_show("comparing: glyph", i + 1, n);
    }
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++) {
        measure_row(c, i);
        progress_show("comparing: row", i + 1, n);
    }
    progress_end();
}

enum sn_status lookalikes_find(struct lookalikes *lookalikes, const struct fonts *fonts,
                               struct sn_error *error)
{
    enum sn_status status = SN_NO_MEMORY;
    struct comparison c = { .fonts = fonts };
    size_t n = (size_t)fonts->n_points;
    *lookalikes = (struct lookalikes){ 0 };
    sample_faces(&c);
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): there are points and faces. */
    c.rasters = calloc(n * (size_t)c.n_faces, sizeof *c.rasters);
    c.distance = calloc(n * n, sizeof *c.distance);
    int *cluster = calloc(n, sizeof *cluster), *size = calloc(n, sizeof *size);
    if (c.rasters && c.distance && cluster && size) {
        compare_points(&c);
        join_clusters(c.distance, fonts->n_points, cluster, size);
        drop_clusters(c.distance, fonts->n_points, size);
        status = fill_classes(lookalikes, fonts, cluster, size);
    }
    free(size);
    free(cluster);
    free(c.distance);
    free(c.rasters);
    if (status) sn_fail(error, status, "fonts: out of memory");
    else if (lookalikes->n_classes < LOOKALIKES_CLASSES)
        status = sn_fail(error, SN_BAD_INPUT,
                         "fonts: expected at least %d classes that look different, found %d",
                         LOOKALIKES_CLASSES, lookalikes->n_classes);
    if (status) lookalikes_free(lookalikes);
    return status;
}

void lookalikes_free(struct lookalikes *lookalikes)
{
    free(lookalikes->classes);
    free(lookalikes->points);
    *lookalikes = (struct lookalikes){ 0 };
}
