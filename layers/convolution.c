#include "convolution.h"

#include "lanes.h"
#include "panels.h"

#include <string.h>

/* ---- Patches as vectors */

/* What lies in scratch, one behind the other: patches, outputs and states of all places. */
struct vectors {
    float *patches, *outputs, *states;
};

static struct vectors vectors_in(const struct sn_matrix *matrix, size_t places, float *scratch)
{
    float *outputs = scratch + places * (size_t)matrix->n_inputs;
    return (struct vectors){ scratch, outputs, outputs + places * (size_t)matrix->n_outputs };
}

static size_t vector_floats(const struct sn_matrix *matrix, size_t places)
{
    return places * ((size_t)matrix->n_inputs + (size_t)matrix->n_outputs + matrix->n_states);
}

/* to[j][i] = from[i][j], rows x columns. */
static void transpose(size_t rows, size_t columns, const float *from, float *to)
{
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < columns; j++) to[j * rows + i] = from[i * columns + j];
}

static struct vectors vectors_forward(const struct sn_matrix *matrix, const float *words,
                                      const struct sn_window *window, const float *x,
                                      float *scratch)
{
    size_t places = sn_window_places(window), m = (size_t)matrix->n_outputs;
    struct vectors v = vectors_in(matrix, places, scratch);
    sn_window_take(window, x, v.patches);
    memset(v.outputs, 0, places * m * sizeof *v.outputs);
    sn_multiply(matrix, words, (int)places, v.patches, v.outputs, v.states);
    return v;
}

static void vectors_backward(const struct sn_matrix *matrix, const float *words,
                             const struct sn_window *window, const float *x, const float *dy,
                             float *dvalues, float *dx, float *scratch)
{
    size_t places = sn_window_places(window), n = (size_t)matrix->n_inputs;
    struct vectors v = vectors_forward(matrix, words, window, x, scratch),
                   d = vectors_in(matrix, places, scratch + vector_floats(matrix, places));
    transpose((size_t)matrix->n_outputs, places, dy, d.outputs);
    memset(d.patches, 0, places * n * sizeof *d.patches);
    sn_gradient(matrix, words, (int)places, v.patches, v.states, d.outputs, dvalues,
                dx ? d.patches : NULL, d.states);
    if (dx) sn_window_add(window, d.patches, dx);
}

/* ---- Pixels */

enum { PARTS = 4, STRIP = 48 };

/* The rows of an image, of its outputs and of their gradients, and what lies in scratch for them.
 */
struct pixels {
    struct sn_window_copy copy;
    int is_copied;
    size_t n, ld;      /* pixels of a run, and from one output to the next */
    uint32_t *offsets; /* where is_copied */
    float *image, *outputs, *rest;
};

/* From one copied output to the next: whole cache lines. */
static size_t run_stride(const struct sn_window_copy *copy)
{
    return (copy->n_pixels + LANES_LINE - 1) / LANES_LINE * LANES_LINE;
}

/* Images of which the patches are the pixels stay where they are. */
static struct pixels pixels_in(const struct sn_matrix *matrix, const struct sn_window *window,
                               float *scratch)
{
    struct pixels p = { .copy = sn_window_copy_of(window),
                        .is_copied = !sn_window_is_pixels(window),
                        .rest = scratch };
    p.n = p.copy.n_pixels;
    p.ld = p.n;
    if (!p.is_copied) return p;
    p.ld = run_stride(&p.copy);
    p.offsets = (uint32_t *)(void *)scratch;
    p.image = scratch + matrix->n_inputs;
    p.outputs = p.image + p.copy.n_floats;
    p.rest = p.outputs + p.ld * (size_t)matrix->n_outputs;
    return p;
}

static struct pixel_rows rows_of(const struct pixels *p, const float *image)
{
    return (struct pixel_rows){ (float *)image, p->is_copied ? p->offsets : NULL, p->ld };
}

/* Moves all rows of places between outputs as they lie in runs, and densely. */
static void take_runs(const struct pixels *p, const struct sn_window *window, size_t m,
                      const float *runs, float *y)
{
    size_t width = (size_t)window->out_width, height = (size_t)window->out_height;
    for (size_t f = 0; f < m; f++, runs += p->ld)
        for (size_t i = 0; i < height; i++, y += width)
            memcpy(y, runs + i * p->copy.width, width * sizeof *y);
}

/* What is between rows = 0. */
static void give_runs(const struct pixels *p, const struct sn_window *window, size_t m,
                      const float *dy, float *runs)
{
    size_t width = (size_t)window->out_width, height = (size_t)window->out_height;
    memset(runs, 0, m * p->ld * sizeof *runs);
    for (size_t f = 0; f < m; f++, runs += p->ld)
        for (size_t i = 0; i < height; i++, dy += width)
            memcpy(runs + i * p->copy.width, dy, width * sizeof *dy);
}

/* The pixels of a product in parts of whole strips. */
struct parts {
    const struct sn_matrix *matrix;
    const float *words;
    size_t n, size; /* pixels, and those of a part */
    struct pixel_rows x, y;
    float *scratch;
};

static void multiply_part(void *context, size_t i)
{
    const struct parts *p = context;
    const struct sn_pixel_products *products = p->matrix->family->pixels;
    size_t first = i * p->size, left = p->n - first;
    struct pixel_rows x = p->x, y = p->y;
    x.at += first;
    y.at += first;
    products->forward(p->matrix, p->words, left < p->size ? left : p->size, &x, &y,
                      p->scratch + i * products->scratch(p->matrix));
}

static void pixels_forward(const struct sn_matrix *matrix, const float *words,
                           const struct sn_window *window, const float *x, float *y, float *scratch)
{
    struct pixels p = pixels_in(matrix, window, scratch);
    int is_large = (double)matrix->n_values * (double)p.n >= 0x1p23;
    size_t size = is_large ? (p.n + PARTS - 1) / PARTS : p.n;
    struct pixel_rows from = rows_of(&p, p.is_copied ? p.image : x),
                      to = { p.is_copied ? p.outputs : y, NULL, p.ld };
    struct parts parts = {
        matrix, words, p.n, (size + STRIP - 1) / STRIP * STRIP, from, to, p.rest
    };
    if (p.is_copied) {
        sn_window_offsets(window, p.offsets);
        sn_window_spread(window, x, p.image);
    }
    sn_tasks((p.n + parts.size - 1) / parts.size, multiply_part, &parts);
    if (p.is_copied) take_runs(&p, window, (size_t)matrix->n_outputs, p.outputs, y);
}

static void pixels_backward(const struct sn_matrix *matrix, const float *words,
                            const struct sn_window *window, const float *x, const float *dy,
                            float *dvalues, float *dx, float *scratch)
{
    const struct sn_pixel_products *products = matrix->family->pixels;
    struct pixels p = pixels_in(matrix, window, scratch);
    float *gradient = p.is_copied ? p.rest : dx;
    struct pixel_rows from = rows_of(&p, p.is_copied ? p.image : x), to = rows_of(&p, gradient),
                      runs = { p.is_copied ? p.outputs : (float *)dy, NULL, p.ld };
    if (p.is_copied) {
        sn_window_offsets(window, p.offsets);
        sn_window_spread(window, x, p.image);
        give_runs(&p, window, (size_t)matrix->n_outputs, dy, p.outputs);
        if (dx) memset(gradient, 0, p.copy.n_floats * sizeof *gradient);
        p.rest += p.copy.n_floats;
    }
    products->backward(matrix, words, p.n, &from, &runs, dvalues, dx ? &to : NULL, p.rest);
    if (p.is_copied && dx) sn_window_fold(window, gradient, dx);
}

/* ---- Either */

size_t sn_convolution_scratch(const struct sn_matrix *matrix, const struct sn_window *window)
{
    const struct sn_pixel_products *products = matrix->family->pixels;
    if (!products) return 2 * vector_floats(matrix, sn_window_places(window));
    struct sn_window_copy copy = sn_window_copy_of(window);
    size_t copies = (size_t)matrix->n_inputs + 2 * copy.n_floats
        + run_stride(&copy) * (size_t)matrix->n_outputs;
    return (sn_window_is_pixels(window) ? 0 : copies) + PARTS * products->scratch(matrix);
}

void sn_convolve(const struct sn_matrix *matrix, const float *words, const struct sn_window *window,
                 const float *x, float *y, float *scratch)
{
    if (matrix->family->pixels) {
        pixels_forward(matrix, words, window, x, y, scratch);
        return;
    }
    size_t places = sn_window_places(window), m = (size_t)matrix->n_outputs;
    struct vectors v = vectors_forward(matrix, words, window, x, scratch);
    transpose(places, m, v.outputs, y);
}

void sn_convolve_back(const struct sn_matrix *matrix, const float *words,
                      const struct sn_window *window, const float *x, const float *dy,
                      float *dvalues, float *dx, float *scratch)
{
    (matrix->family->pixels ? pixels_backward : vectors_backward)(matrix, words, window, x, dy,
                                                                  dvalues, dx, scratch);
}
