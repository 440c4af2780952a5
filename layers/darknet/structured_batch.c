#include "structured_batch.h"

#include "convolution.h"
#include "panels.h"
#include "structured_layer.h"

#include <blas.h>
#include <string.h>

static int is_vector(const layer *l)
{
    struct sn_window window = structured_window(l);
    return sn_window_is_whole(&window);
}

/* ---- The packed form, which inference takes for a few vectors while *map says that it is that of
 * the words. z_cpu is the form, r_cpu its scratch. */

enum { MOST_PACKED = 7 }; /* vectors: more are worth a tile */

static const struct sn_packed *packed_form(const layer *l)
{
    return *l->map ? (const struct sn_packed *)l->z_cpu : NULL;
}

/* ---- Many vectors, which are spread over threads in parts that depend on the sizes alone, so that
 * results do not depend on the number of threads. Each part but the first has gradients of the
 * values of its own, in concat, which are added up in the end. */

/* Two parts, or four of at least 64 vectors, in whole strips of the kernels. */
static size_t part_size(int n_vectors)
{
    enum { STRIP = 32, MANY = 256 };
    size_t n = (size_t)n_vectors, n_parts = n >= MANY ? 4 : 2;
    return ((n + n_parts - 1) / n_parts + STRIP - 1) / STRIP * STRIP;
}

/* 1 where threads would take longer to start than they save. */
static size_t count_parts(const layer *l, int n_vectors)
{
    double multiply_adds = (double)structured_matrix(l)->n_values * n_vectors;
    size_t size = part_size(n_vectors);
    return multiply_adds < 0x1p23 ? 1 : ((size_t)n_vectors + size - 1) / size;
}

struct spread {
    const layer *l;
    int n_vectors;
    const float *x, *dy;
    float *y, *dx;
};

/* The first vector of part i; *count receives how many there are. */
static size_t part_at(const struct spread *s, size_t i, int *count)
{
    size_t n = (size_t)s->n_vectors,
           size = count_parts(s->l, s->n_vectors) > 1 ? part_size(s->n_vectors) : n;
    *count = (int)(n - i * size < size ? n - i * size : size);
    return i * size;
}

static void multiply_part(void *context, size_t i)
{
    const struct spread *s = context;
    const struct sn_matrix *matrix = structured_matrix(s->l);
    int count;
    size_t first = part_at(s, i, &count);
    sn_multiply(matrix, structured_multiplied(s->l), count, s->x + first * (size_t)matrix->n_inputs,
                s->y + first * (size_t)matrix->n_outputs, s->l->state + first * matrix->n_states);
}

/* The gradients of the values that part i adds to. */
static float *own_gradients(const layer *l, size_t i)
{
    size_t n = structured_matrix(l)->n_values;
    if (!i) return l->weight_updates;
    return memset(l->concat + (i - 1) * n, 0, n * sizeof(float));
}

static void add_gradients(const layer *l, size_t n_parts)
{
    size_t n = structured_matrix(l)->n_values;
    for (size_t i = 1; i < n_parts; i++)
        axpy_cpu((int)n, 1, l->concat + (i - 1) * n, 1, l->weight_updates, 1);
}

static void back_multiply_part(void *context, size_t i)
{
    const struct spread *s = context;
    const struct sn_matrix *matrix = structured_matrix(s->l);
    int count;
    size_t first = part_at(s, i, &count);
    float *dvalues = own_gradients(s->l, i);
    sn_gradient(matrix, structured_multiplied(s->l), count, s->x + first * (size_t)matrix->n_inputs,
                s->l->state + first * matrix->n_states, s->dy + first * (size_t)matrix->n_outputs,
                dvalues, s->dx ? s->dx + first * (size_t)matrix->n_inputs : NULL,
                s->l->state_delta + first * matrix->n_states);
}

/* dvalues += those of all vectors, dx += dY W unless it is NULL. */
static void back_multiply(const layer *l, int n_vectors, const float *x, const float *dy, float *dx)
{
    struct spread s = { .l = l, .n_vectors = n_vectors, .x = x, .dy = dy, .dx = dx };
    size_t n_parts = count_parts(l, n_vectors);
    sn_tasks(n_parts, back_multiply_part, &s);
    add_gradients(l, n_parts);
}

/* Y += X W^T for vectors next to each other. */
static void multiply(const layer *l, int train, int n_vectors, const float *x, float *y)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    const struct sn_packed *packed = packed_form(l);
    if (train || !packed || n_vectors > MOST_PACKED) {
        struct spread s = { .l = l, .n_vectors = n_vectors, .x = x, .y = y };
        sn_tasks(count_parts(l, n_vectors), multiply_part, &s);
        return;
    }
    for (int i = 0; i < n_vectors; i++, x += matrix->n_inputs, y += matrix->n_outputs)
        sn_packed_multiply(packed, x, y, l->r_cpu);
}

/* ---- Images, of which parts of a batch go to threads. Each part has scratch of its own. */

enum { IMAGE_PARTS = 4 };

/* The images of a part: all where threads would take longer to start than they save. */
static int image_part(const struct sn_matrix *matrix, const struct sn_window *window, int batch)
{
    double multiply_adds = (double)matrix->n_values * (double)sn_window_places(window) * batch;
    return multiply_adds < 0x1p23 ? batch : (batch + IMAGE_PARTS - 1) / IMAGE_PARTS;
}

static size_t count_image_parts(const struct sn_matrix *matrix, const struct sn_window *window,
                                int batch)
{
    int size = image_part(matrix, window, batch);
    return (size_t)((batch + size - 1) / size);
}

static void convolve_part(void *context, size_t i)
{
    const struct spread *s = context;
    const layer *l = s->l;
    const struct sn_matrix *matrix = structured_matrix(l);
    struct sn_window window = structured_window(l);
    int size = image_part(matrix, &window, l->batch), first = (int)i * size;
    float *scratch = l->state + i * sn_convolution_scratch(matrix, &window);
    for (int b = first; b < first + size && b < l->batch; b++)
        sn_convolve(matrix, structured_multiplied(l), &window, s->x + (size_t)b * (size_t)l->inputs,
                    s->y + (size_t)b * (size_t)l->outputs, scratch);
}

static void convolve_back_part(void *context, size_t i)
{
    const struct spread *s = context;
    const layer *l = s->l;
    const struct sn_matrix *matrix = structured_matrix(l);
    struct sn_window window = structured_window(l);
    int size = image_part(matrix, &window, l->batch), first = (int)i * size;
    float *scratch = l->state + i * sn_convolution_scratch(matrix, &window),
          *dvalues = own_gradients(l, i);
    for (int b = first; b < first + size && b < l->batch; b++)
        sn_convolve_back(matrix, structured_multiplied(l), &window,
                         s->x + (size_t)b * (size_t)l->inputs,
                         s->dy + (size_t)b * (size_t)l->outputs, dvalues,
                         s->dx ? s->dx + (size_t)b * (size_t)l->inputs : NULL, scratch);
}

static void convolve(const layer *l, const float *x)
{
    struct spread s = { .l = l, .x = x, .y = l->output };
    struct sn_window window = structured_window(l);
    sn_tasks(count_image_parts(structured_matrix(l), &window, l->batch), convolve_part, &s);
}

static void convolve_back(const layer *l, const float *x, float *dx)
{
    struct spread s = { .l = l, .x = x, .dy = l->delta, .dx = dx };
    struct sn_window window = structured_window(l);
    size_t n_parts = count_image_parts(structured_matrix(l), &window, l->batch);
    sn_tasks(n_parts, convolve_back_part, &s);
    add_gradients(l, n_parts);
}

/* ---- Either */

struct structured_room structured_room(const layer *l)
{
    const struct sn_matrix *matrix = structured_matrix(l);
    struct sn_window window = structured_window(l);
    double states = (double)l->batch * (double)matrix->n_states;
    if (is_vector(l)) return (struct structured_room){ count_parts(l, l->batch), states, states };
    size_t n_parts = count_image_parts(matrix, &window, l->batch);
    return (struct structured_room){
        n_parts, (double)n_parts * (double)sn_convolution_scratch(matrix, &window), 0
    };
}

void structured_multiply(const layer *l, int train, const float *x)
{
    if (!is_vector(l)) {
        convolve(l, x);
        return;
    }
    fill_cpu(l->outputs * l->batch, 0, l->output, 1);
    multiply(l, train, l->batch, x, l->output);
}

void structured_back_multiply(const layer *l, const float *x, float *dx)
{
    if (is_vector(l)) back_multiply(l, l->batch, x, l->delta, dx);
    else convolve_back(l, x, dx);
}
