/* The start spreads the blocks evenly over rows and columns, so that no input and no output is left
 * out before the others are used, and draws independent values whose variances add up, factor by
 * factor from the right, to what the outputs of make_connected_layer have:
 *
 *     inner states  variance 1     S_ip uniform in +-sqrt(3/k), k the live columns of row i
 *     outputs       variance 2/3   S_ip uniform in +-sqrt(2/k n_rows/n_reached)
 *
 * A column is live when an input reaches it. Rows that no input reaches stay 0; the n_reached
 * others make up for them, so that 2/3 is the mean over all rows. */
#include "psm_kernel.h"
#include "psm_shape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Moves the columns of a row to the left as far as its differences need it, of which each spans at
 * most `span` columns, and one `span` more for each of its escapes that it takes. */
static void close_gaps(uint32_t *row, size_t length, uint32_t span, uint32_t escapes)
{
    for (size_t p = 0; p < length; p++) {
        uint32_t least = psm_least_column(row, 0, p), taken = (row[p] - least) / span;
        if (taken > escapes) {
            taken = escapes;
            row[p] = least + span * escapes + span - 1;
        }
        escapes -= taken;
    }
}

/* Closes the gaps of group i that its form of indices cannot say. The groups have equal shares of
 * the escapes. */
static void keep_to_form(const struct psm_factor *f, size_t i)
{
    size_t length = f->row_starts[i + 1] - f->row_starts[i], n = (size_t)f->escapes;
    size_t escapes = (i + 1) * n / f->n_groups - i * n / f->n_groups;
    uint32_t *row = f->columns + f->row_starts[i];
    if (f->index_bits == 8) close_gaps(row, length, 256, 0);
    if (f->index_bits == 4) close_gaps(row, length, PSM_ESCAPE, (uint32_t)escapes);
}

static void shuffle(uint32_t *deck, size_t n, float (*uniform)(float, float))
{
    for (size_t c = n - 1; c > 0; c--) {
        size_t other = (size_t)uniform(0, (float)(c + 1)) % (c + 1);
        uint32_t swap = deck[c];
        deck[c] = deck[other];
        deck[other] = swap;
    }
}

/* Deals the columns to the groups from a deck that is shuffled anew when it is used up: group i
 * gets its share of the blocks, and no column is used twice before every column was used once (but
 * for those a group already has). */
static void draw_pattern(const struct psm_factor *f, uint32_t *deck, char *used,
                         float (*uniform)(float, float))
{
    size_t groups = f->n_groups, columns = (size_t)f->width, next = columns;
    for (size_t c = 0; c < columns; c++) deck[c] = (uint32_t)c;
    for (size_t i = 0; i <= groups; i++) f->row_starts[i] = (uint32_t)(i * f->n_blocks / groups);
    for (size_t i = 0; i < groups; i++) {
        size_t length = f->row_starts[i + 1] - f->row_starts[i];
        uint32_t *row = f->columns + f->row_starts[i], *end = row;
        memset(used, length == columns, columns);
        for (size_t taken = 0; taken < length && length < columns; next++) {
            if (next == columns) {
                shuffle(deck, columns, uniform);
                next = 0;
            }
            taken += !used[deck[next]];
            used[deck[next]] = 1;
        }
        for (size_t c = 0; c < columns; c++)
            if (used[c]) *end++ = (uint32_t)c;
        keep_to_form(f, i);
    }
}

/* The number of blocks of a group in live columns. */
static int count_live(const struct psm_factor *f, size_t group, const char *live)
{
    int n = 0;
    for (size_t p = f->row_starts[group]; p < f->row_starts[group + 1]; p++)
        n += live[f->columns[p]];
    return n;
}

/* reached[i] says whether row i has an entry in a live column. Returns the number of such rows. */
static size_t mark_reached(const struct psm_factor *f, const char *live, char *reached)
{
    size_t n = 0;
    for (size_t g = 0; g < f->n_groups; g++) {
        size_t height = (size_t)psm_group_height(f->rows, f->block, g);
        int any = count_live(f, g, live) > 0;
        memset(reached + g * (size_t)f->block, any, height);
        if (any) n += height;
    }
    return n;
}

/* Uniform values in +-sqrt(gain/k), k the live columns of the row: live inputs of variance 1 give
 * variance gain/3. The rows that do not exist get zeros. */
static void draw_values(const struct psm_factor *f, float *values, const char *live, double gain,
                        float (*uniform)(float, float))
{
    for (size_t g = 0; g < f->n_groups; g++) {
        int n_live = count_live(f, g, live), height = psm_group_height(f->rows, f->block, g);
        float scale = (float)sqrt(gain / (n_live ? n_live : 1));
        for (size_t p = f->row_starts[g]; p < f->row_starts[g + 1]; p++)
            for (int r = 0; r < f->block; r++) *values++ = r < height ? scale * uniform(-1, 1) : 0;
    }
}

enum sn_status psm_start(struct sn_matrix *matrix, float *words, float (*uniform)(float, float),
                         struct sn_error *error)
{
    struct psm *shape = (struct psm *)matrix;
    size_t widest = 1;
    for (int j = 0; j <= shape->n_factors; j++)
        if ((size_t)shape->sizes[j] > widest) widest = (size_t)shape->sizes[j];
    uint32_t *deck = malloc(widest * sizeof *deck);
    char *flags = malloc(3 * widest);
    if (!deck || !flags) {
        free(deck);
        free(flags);
        return sn_no_memory(error, "%zu columns", widest);
    }
    char *used = flags, *live = flags + widest, *reached = live + widest;
    memset(live, 1, widest);
    for (int j = shape->n_factors - 1; j >= 0; j--) {
        struct psm_factor f = psm_factor_at(shape, j);
        draw_pattern(&f, deck, used, uniform);
        size_t n_reached = mark_reached(&f, live, reached);
        /* Inner states get variance 1; the outputs share 2/3 per row among the rows that an input
         * reaches. */
        draw_values(&f, words + f.first, live,
                    j || !n_reached ? 3 : 2. * f.rows / (double)n_reached, uniform);
        memcpy(live, reached, (size_t)f.rows);
    }
    for (size_t i = 0; shape->order && i < (size_t)matrix->n_outputs; i++)
        shape->order[i] = (uint32_t)i;
    psm_pack(shape, words);
    free(deck);
    free(flags);
    return SN_OK;
}
