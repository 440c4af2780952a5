#include "plot.h"

#include "copy_bytes.h"
#include "outputs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* In pixels. */
enum { PANEL_WIDTH = 520, PANEL_HEIGHT = 380, MARGIN = 70, LEGEND_WIDTH = 240 };

enum sn_status plot_check(struct sn_error *error)
{
    /* NOLINTNEXTLINE(cert-env33-c): the shell looks the program up in the PATH. */
    if (!system("command -v gnuplot > /dev/null 2>&1")) return SN_OK;
    return sn_fail(
        error, SN_IO,
        "gnuplot: not found; it draws the plots (Debian: gnuplot-nox), --no-plot does without");
}

/* ---- The best front */

struct point {
    double x, y; /* y is negated where large values are the good ones */
};

/* The value in a column of a line; 0 where the cell is empty. */
static int read_cell(const char *line, int column, double *value)
{
    for (; column > 1; column--) {
        line += strcspn(line, "\t\n");
        if (*line++ != '\t') return 0;
    }
    char *end;
    *value = strtod(line, &end);
    return end != line && *line != '\t' && *line != '\n';
}

static int compare_points(const void *a, const void *b)
{
    const struct point *p = a, *q = b;
    return p->x != q->x ? (p->x > q->x) - (p->x < q->x) : (p->y > q->y) - (p->y < q->y);
}

static size_t count_lines(int n_curves, const struct plot_curve *curves)
{
    size_t n = 0;
    for (int i = 0; i < n_curves; i++)
        for (const char *c = curves[i].rows; *c; c++) n += *c == '\n';
    return n;
}

/* The points of all curves; how many there are. */
static size_t take_points(int n_curves, const struct plot_curve *curves, const struct plot_axis *x,
                          const struct plot_axis *y, struct point *points)
{
    size_t n = 0;
    for (int i = 0; i < n_curves; i++)
        for (const char *line = curves[i].rows; *line; line += strcspn(line, "\n") + 1) {
            struct point p;
            if (!read_cell(line, x->column, &p.x) || !read_cell(line, y->column, &p.y)) continue;
            if (y->is_rising) p.y = -p.y;
            points[n++] = p;
        }
    return n;
}

/* The front as a data block $front<k>. points is scratch for all lines of curves. */
static void print_front(FILE *gnuplot, int k, int n_curves, const struct plot_curve *curves,
                        const struct plot_axis *x, const struct plot_axis *y, struct point *points)
{
    size_t n = take_points(n_curves, curves, x, y, points);
    const struct point *last = NULL;
    qsort(points, n, sizeof *points, compare_points);
    fprintf(gnuplot, "$front%d << END\n", k);
    for (size_t i = 0; i < n; i++) {
        if (last && points[i].y >= last->y) continue;
        last = &points[i];
        fprintf(gnuplot, "%.9g\t%.9g\n", last->x * x->scale,
                (y->is_rising ? -last->y : last->y) * y->scale);
    }
    fprintf(gnuplot, "END\n");
}

/* ---- Pictures */

static void print_panel(FILE *gnuplot, int k, int n_curves, const struct plot_curve *curves,
                        const struct plot_axis *x, const struct plot_axis *y)
{
    fprintf(gnuplot,
            "set xlabel '%s'\nset ylabel '%s'\n"
            "plot $front%d using 1:2 with lines linewidth 6 linecolor rgb '#cccccc'",
            x->label, y->label, k);
    for (int i = 0; i < n_curves; i++)
        fprintf(gnuplot,
                ", $curve%d using (%g*$%d):(%g*$%d) with linespoints linewidth 1.5 pointsize 0.9 "
                "linecolor %d pointtype %d",
                i, x->scale, x->column, y->scale, y->column, 1 + curves[i].color,
                4 + curves[i].point);
    fprintf(gnuplot, "\n");
}

/* A panel of nothing but titles, over the whole picture: gnuplot shortens those of a small one. */
static void print_legend(FILE *gnuplot, int n_curves, const struct plot_curve *curves, double left,
                         double top)
{
    fprintf(gnuplot,
            "unset border\nunset tics\nunset xlabel\nunset ylabel\n"
            "set lmargin at screen 0\nset rmargin at screen 1\n"
            "set bmargin at screen 0\nset tmargin at screen 1\n"
            "set key at screen %g,%g left top Left reverse vertical maxrows %d\n"
            "plot [1:2] [1:2] NaN with lines linewidth 6 linecolor rgb '#cccccc' title 'best'",
            left, top, n_curves + 1);
    for (int i = 0; i < n_curves; i++)
        fprintf(gnuplot,
                ", NaN with linespoints linewidth 1.5 pointsize 0.9 linecolor %d pointtype %d "
                "title '%s'",
                1 + curves[i].color, 4 + curves[i].point, curves[i].label);
    fprintf(gnuplot, "\n");
}

/* One picture into the file of that descriptor. The legend stands right of the panels. */
static void print_picture(FILE *gnuplot, const char *terminal, int picture, int n_curves,
                          const struct plot_curve *curves, const struct plot_grid *grid)
{
    double width = grid->n_y * PANEL_WIDTH + LEGEND_WIDTH, height = grid->n_x * PANEL_HEIGHT;
    double right = 1 - LEGEND_WIDTH / width, top = 1 - MARGIN / 3. / height;
    fprintf(gnuplot, "set terminal %s size %g,%g\nset output '/proc/%d/fd/%d'\n", terminal, width,
            height, (int)getpid(), picture);
    fprintf(gnuplot,
            "unset key\nset border\nset tics\n"
            "set multiplot layout %d,%d margins %g,%g,%g,%g spacing %g,%g\n",
            grid->n_x, grid->n_y, MARGIN / width, right, MARGIN / height, top, MARGIN / width,
            MARGIN / height);
    for (int i = 0; i < grid->n_x; i++)
        for (int j = 0; j < grid->n_y; j++)
            print_panel(gnuplot, i * grid->n_y + j, n_curves, curves, &grid->x[i], &grid->y[j]);
    print_legend(gnuplot, n_curves, curves, right + 10 / width, top);
    fprintf(gnuplot, "unset multiplot\nunset output\n");
}

/* The style of all panels, the curves, and the fronts. */
static void print_data(FILE *gnuplot, int n_curves, const struct plot_curve *curves,
                       const struct plot_grid *grid, struct point *points)
{
    fprintf(gnuplot,
            "set datafile separator '\\t'\nset logscale x\nset grid\nset colorsequence podo\n"
            "set format x '%%.0s%%c'\nset yrange [0:*]\n");
    for (int i = 0; i < n_curves; i++)
        fprintf(gnuplot, "$curve%d << END\n%sEND\n", i, curves[i].rows);
    for (int i = 0; i < grid->n_x; i++)
        for (int j = 0; j < grid->n_y; j++)
            print_front(gnuplot, i * grid->n_y + j, n_curves, curves, &grid->x[i], &grid->y[j],
                        points);
}

enum { N_PICTURES = 2 };

static const char *const suffixes[N_PICTURES] = { "png", "svg" };

/* Draws into the files of these descriptors. */
static enum sn_status draw(const int *pictures, const char *name, int n_curves,
                           const struct plot_curve *curves, const struct plot_grid *grid,
                           struct sn_error *error)
{
    static const char *const terminals[N_PICTURES] = { "pngcairo", "svg" };
    struct point *points = malloc((count_lines(n_curves, curves) + 1) * sizeof *points);
    if (!points) return sn_fail(error, SN_NO_MEMORY, "the plots: out of memory");
    /* NOLINTNEXTLINE(cert-env33-c): likewise; no text of others is in the command. */
    FILE *gnuplot = popen("gnuplot > /dev/null 2>&1", "w");
    if (gnuplot) {
        print_data(gnuplot, n_curves, curves, grid, points);
        for (int k = 0; k < N_PICTURES; k++)
            print_picture(gnuplot, terminals[k], pictures[k], n_curves, curves, grid);
    }
    free(points);
    if (!gnuplot) return sn_fail(error, SN_IO, "gnuplot: cannot start");
    return pclose(gnuplot) ? sn_fail(error, SN_IO, "gnuplot: cannot draw %s.png", name) : SN_OK;
}

static enum sn_status publish(const int *pictures, const char *name, const char *const *inputs,
                              struct sn_error *error)
{
    struct outputs outputs;
    enum sn_status status = SN_OK;
    outputs_begin(&outputs, inputs);
    for (int k = 0; k < N_PICTURES && !status; k++) {
        char path[32];
        FILE *out = outputs_open_named(&outputs, name, suffixes[k], error);
        snprintf(path, sizeof path, "/proc/self/fd/%d", pictures[k]);
        status = out ? copy_file(path, out, error) : error->code;
    }
    if (!status) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return status;
}

/* gnuplot tells nobody that a disk is full, so that it draws into memory. */
enum sn_status plot_write(const char *name, int n_curves, const struct plot_curve *curves,
                          const struct plot_grid *grid, const char *const *inputs,
                          struct sn_error *error)
{
    int pictures[N_PICTURES];
    enum sn_status status = SN_OK;
    for (int k = 0; k < N_PICTURES; k++)
        if ((pictures[k] = memfd_create(suffixes[k], MFD_CLOEXEC)) < 0)
            status = sn_no_memory(error, "the plots");
    if (!status) status = draw(pictures, name, n_curves, curves, grid, error);
    if (!status) status = publish(pictures, name, inputs, error);
    for (int k = 0; k < N_PICTURES; k++)
        if (pictures[k] >= 0) close(pictures[k]);
    return status;
}
