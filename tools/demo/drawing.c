#include "drawing.h"

#include <random.h>

#include <math.h>
#include <string.h>

/* The coordinates of the end and of the control points that the type of the vertex has, x before y;
 * returns the number of points. */
static int vertex_points(stbtt_vertex *vertex, short *coordinates[6])
{
    short *all[6] = {
        &vertex->x, &vertex->y, &vertex->cx, &vertex->cy, &vertex->cx1, &vertex->cy1
    };
    memcpy(coordinates, all, sizeof all);
    return vertex->type == STBTT_vcubic ? 3 : vertex->type == STBTT_vcurve ? 2 : 1;
}

static double product(const double row[2], short *const point[2])
{
    return row[0] * *point[0] + row[1] * *point[1];
}

/* box = { least x', least y', greatest x', greatest y' } of all points of the outline. */
static void find_box(stbtt_vertex *vertices, int n, const double matrix[4], double box[4])
{
    short *at[6];
    box[0] = box[1] = INFINITY;
    box[2] = box[3] = -INFINITY;
    for (int i = 0; i < n; i++)
        for (int k = vertex_points(&vertices[i], at) - 1; k >= 0; k--)
            for (int axis = 0; axis < 2; axis++) {
                double value = product(&matrix[2 * (size_t)axis], &at[2 * (size_t)k]);
                box[axis] = fmin(box[axis], value);
                box[2 + axis] = fmax(box[2 + axis], value);
            }
}

/* The rasteriser takes integers: 1/256 pixel keeps them below 2^15. */
int drawing_glyph(const struct fonts_face *face, int glyph, const double matrix[4], double size,
                  double centre_x, double centre_y, unsigned char *pixels, int n)
{
    stbtt_vertex *vertices = NULL;
    int n_vertices = stbtt_GetGlyphShape(&face->info, glyph, &vertices);
    double box[4];
    find_box(vertices, n_vertices, matrix, box);
    double extent = fmax(box[2] - box[0], box[3] - box[1]);
    memset(pixels, 0, (size_t)n * (size_t)n);
    if (extent > 0) {
        double scale = 256 * size / extent;
        double x0 = 256 * centre_x - scale * (box[0] + box[2]) / 2,
               y0 = 256 * centre_y + scale * (box[1] + box[3]) / 2;
        short *at[6];
        for (int i = 0; i < n_vertices; i++)
            for (int k = vertex_points(&vertices[i], at) - 1; k >= 0; k--) {
                double x = product(matrix, &at[2 * (size_t)k]),
                       y = product(matrix + 2, &at[2 * (size_t)k]);
                *at[2 * (size_t)k] = (short)lrint(x0 + scale * x);
                *at[2 * (size_t)k + 1] = (short)lrint(y0 - scale * y);
            }
        stbtt__bitmap bitmap = { n, n, n, pixels };
        stbtt_Rasterize(&bitmap, 0.1f, vertices, n_vertices, 1 / 256.0f, 1 / 256.0f, 0, 0, 0, 0, 0,
                        NULL);
    }
    stbtt_FreeShape(&face->info, vertices);
    return extent > 0;
}

/* Uniform in [low, high). */
static double uniform(uint64_t *state, double low, double high)
{
    return low + (high - low) * (double)(random_next(state) >> 11) * 0x1p-53;
}

/* Uniform in 0..n-1; the bias of n / 2^64 does not matter here. */
static int pick(uint64_t *state, int n) { return (int)(random_next(state) % (uint64_t)n); }

/* Nearly normal with variance 1: the sum of the eight bytes of one draw, centred. */
static double normal(uint64_t *state)
{
    uint64_t bits = random_next(state);
    int sum = 0;
    for (int i = 0; i < 8; i++, bits >>= 8) sum += (int)(bits & 255);
    return (sum - 1020) / 209.0;
}

/* The numbers are mixed in one after the other. */
static uint64_t image_state(uint64_t seed, int split, int point, int index)
{
    uint64_t state = seed;
    state = random_next(&state) ^ (uint64_t)split;
    state = random_next(&state) ^ (uint64_t)point;
    state = random_next(&state) ^ (uint64_t)index;
    return random_next(&state);
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
static int draw_varied(const struct fonts_face *face, int glyph, uint64_t *state,
                       unsigned char *coverage)
{
    double turn = uniform(state, -5, 5) * 3.14159265358979 / 180, slant = uniform(state, -0.1, 0.1);
    double stretch = uniform(state, 0.92, 1.08), size = uniform(state, 22, 29);
    double reach = fmin(2, (DRAWING_SIZE - size) / 2);
    double x = DRAWING_SIZE / 2.0 + uniform(state, -reach, reach),
           y = DRAWING_SIZE / 2.0 + uniform(state, -reach, reach);
    double c = cos(turn), s = sin(turn);
    double m[4] = { stretch * c, stretch * c * slant - s, stretch * s, stretch * s * slant + c };
    return drawing_glyph(face, glyph, m, size, x, y, coverage, DRAWING_SIZE);
}

/* pixel = ground + coverage (ink - ground) + noise. */
static void colour_image(const unsigned char *coverage, uint64_t *state, unsigned char *image)
{
    double colours[2][3], deviation = uniform(state, 0, 10);
    pick_colours(state, colours);
    for (int p = 0; p < DRAWING_SIZE * DRAWING_SIZE; p++)
        for (int k = 0; k < 3; k++) {
            double value = colours[1][k] + coverage[p] / 255.0 * (colours[0][k] - colours[1][k])
                + deviation * normal(state);
            image[3 * p + k] = (unsigned char)lrint(fmin(fmax(value, 0), 255));
        }
}

/* Every design is as likely as any other, however many faces it has, since unseen designs are what
 * the net has to read later. */
int drawing_image(const struct fonts *fonts, const int *points, int n_points, uint64_t seed,
                  int split, int index, unsigned char image[DRAWING_BYTES])
{
    uint64_t state = image_state(seed, split, points[0], index);
    unsigned char coverage[DRAWING_SIZE * DRAWING_SIZE];
    for (int n_tries = 0; n_tries < 10000; n_tries++) {
        const struct fonts_face *face = &fonts->faces[pick(&state, fonts->n_faces)];
        if (pick(&state, face->n_design_faces)) continue;
        int glyph = face->split == split ? fonts_glyph(face, points[pick(&state, n_points)]) : 0;
        if (!glyph || !draw_varied(face, glyph, &state, coverage)) continue;
        colour_image(coverage, &state, image);
        return 1;
    }
    return 0;
}
