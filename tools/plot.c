#include "plot.h"

#include "outputs.h"

#include <stdlib.h>

enum { PANEL_WIDTH = 560, HEIGHT = 420 };

enum sn_status plot_check(struct sn_error *error)
{
    /* NOLINTNEXTLINE(cert-env33-c): the shell looks the program up in the PATH. */
    if (!system("command -v gnuplot > /dev/null 2>&1")) return SN_OK;
    return sn_fail(
        error, SN_IO,
        "gnuplot: not found; it draws the plots (Debian: gnuplot-nox), --no-plot does without");
}

/* A string of gnuplot's, in which only the quote is special. */
static void print_quoted(FILE *file, const char *text)
{
    fputc('\'', file);
    for (; *text; text++) fprintf(file, *text == '\'' ? "''" : "%c", *text);
    fputc('\'', file);
}

static void print_panel(FILE *gnuplot, int n_curves, const struct plot_curve *curves,
                        const struct plot_panel *panel, int x_column)
{
    fprintf(gnuplot, "set title '%s'\nset ylabel '%s'\nplot ", panel->title, panel->label);
    for (int i = 0; i < n_curves; i++)
        fprintf(gnuplot,
                "%s$curve%d using %d:(%g*$%d) with linespoints linewidth 1.5 pointsize 0.9 "
                "pointtype %d title '%s'",
                i ? ", " : "", i, x_column, panel->scale, panel->column, 4 + i, curves[i].label);
    fprintf(gnuplot, "\n");
}

/* One picture; gnuplot itself opens the output, a file that outputs_open made. */
static void print_picture(FILE *gnuplot, const char *terminal, const struct whole_file *file,
                          int n_curves, const struct plot_curve *curves, int n_panels,
                          const struct plot_panel *panels, int x_column)
{
    fprintf(gnuplot, "set terminal %s size %d,%d\nset output ", terminal, n_panels * PANEL_WIDTH,
            HEIGHT);
    print_quoted(gnuplot, file->temporary ? file->temporary : file->path);
    fprintf(gnuplot, "\nset multiplot layout 1,%d\n", n_panels);
    for (int i = 0; i < n_panels; i++) print_panel(gnuplot, n_curves, curves, &panels[i], x_column);
    fprintf(gnuplot, "unset multiplot\nunset output\n");
}

static enum sn_status draw(const struct outputs *outputs, int n_curves,
                           const struct plot_curve *curves, int n_panels,
                           const struct plot_panel *panels, int x_column, struct sn_error *error)
{
    static const char *const terminals[] = { "pngcairo", "svg" };
    /* NOLINTNEXTLINE(cert-env33-c): likewise; no text of others is in the command. */
    FILE *gnuplot = popen("gnuplot > /dev/null 2>&1", "w");
    if (!gnuplot) return sn_fail(error, SN_IO, "gnuplot: cannot start");
    fprintf(gnuplot,
            "set datafile separator '\\t'\nset logscale x\nset grid\nset key below\n"
            "set colorsequence podo\nset xlabel 'bytes'\nset format x '%%.0s%%c'\n"
            "set yrange [0:*]\n");
    for (int i = 0; i < n_curves; i++)
        fprintf(gnuplot, "$curve%d << END\n%sEND\n", i, curves[i].rows);
    for (int k = 0; k < 2; k++)
        print_picture(gnuplot, terminals[k], &outputs->files[k], n_curves, curves, n_panels, panels,
                      x_column);
    return pclose(gnuplot)
        ? sn_fail(error, SN_IO, "gnuplot: cannot draw %s", outputs->files[0].path)
        : SN_OK;
}

enum sn_status plot_write(const char *name, int n_curves, const struct plot_curve *curves,
                          int n_panels, const struct plot_panel *panels, int x_column,
                          const char *const *inputs, struct sn_error *error)
{
    struct outputs outputs;
    outputs_begin(&outputs, inputs);
    outputs_hold(); /* Nobody could tell gnuplot that its files are gone. */
    if (!outputs_open_named(&outputs, name, "png", error)
        || !outputs_open_named(&outputs, name, "svg", error)
        || draw(&outputs, n_curves, curves, n_panels, panels, x_column, error)) {
        outputs_discard(&outputs);
        return error->code;
    }
    return outputs_publish(&outputs, error);
}
