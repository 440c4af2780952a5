/* Plots of a sweep, drawn by gnuplot. */
#ifndef PLOT_H
#define PLOT_H

#include <sn_error.h>

struct plot_curve {
    char label[64];
    char *rows;       /* lines of tab-separated columns, each with its newline */
    int color, point; /* from 0; curves of one color or point belong together */
};

/* A column of the rows, counted from 1, and what its axis says. */
struct plot_axis {
    const char *label;
    int column;
    double scale;  /* by which values are multiplied */
    int is_rising; /* whether large values are the good ones */
};

/* For each x axis, which is logarithmic, a line of panels, one for each y axis. */
struct plot_grid {
    int n_x, n_y;
    const struct plot_axis *x, *y;
};

/* SN_IO when there is no gnuplot. */
enum sn_status plot_check(struct sn_error *error);

/* Writes NAME.png and NAME.svg, both or neither and neither in place of an input: each panel with
 * every curve and the best front, a line through the points of all curves that no other one
 * surpasses along both axes, small values of x being the good ones. Empty cells are no points.
 * SN_NO_MEMORY; SN_IO when gnuplot fails. */
enum sn_status plot_write(const char *name, int n_curves, const struct plot_curve *curves,
                          const struct plot_grid *grid, const char *const *inputs,
                          struct sn_error *error);

#endif
