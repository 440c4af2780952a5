/* Plots of a sweep, drawn by gnuplot. */
#ifndef PLOT_H
#define PLOT_H

#include <sn_error.h>

struct plot_curve {
    const char *label;
    const char *rows; /* lines of tab-separated columns, each with its newline */
};

struct plot_panel {
    const char *title, *label;
    int column;   /* of the values, counted from 1 */
    double scale; /* by which they are multiplied */
};

/* SN_IO when there is no gnuplot. */
enum sn_status plot_check(struct sn_error *error);

/* Writes NAME.png and NAME.svg, both or neither and neither in place of an input: the panels side
 * by side, each with every curve against column x_column, a logarithmic axis of bytes. Empty cells
 * are no points. */
enum sn_status plot_write(const char *name, int n_curves, const struct plot_curve *curves,
                          int n_panels, const struct plot_panel *panels, int x_column,
                          const char *const *inputs, struct sn_error *error);

#endif
