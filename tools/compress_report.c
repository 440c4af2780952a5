#include "compress_report.h"

#include "compress_table.h"
#include "page.h"
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum sn_status compress_report_check(struct sn_error *error) { return plot_check(error); }

/* ---- Summary */

static void print_fact(const char *what, const char *format, double before, double now, FILE *page)
{
    fprintf(page, "<tr><td>%s</td><td>", what);
    /* NOLINTBEGIN(clang-diagnostic-format-nonliteral): the formats stand below. */
    fprintf(page, format, before);
    fputs("</td><td class=\"chosen\">", page);
    fprintf(page, format, now);
    /* NOLINTEND(clang-diagnostic-format-nonliteral) */
    fputs("</td></tr>\n", page);
}

static void print_summary(const struct compress_report *report, FILE *page)
{
    const struct compress *compress = report->compress;
    const struct compress_candidate *last =
        &compress->candidates[compress->run.chosen[compress->n_layers - 1]];
    double bytes = compress_dense_bytes(compress);
    fputs("<h1>", page);
    page_text(page, compress->request->name);
    fputs("</h1>\n<p>From ", page);
    page_text(page, compress->request->weights);
    for (int i = 0; i < compress->n_layers; i++) {
        const struct compress_candidate *chosen = &compress->candidates[compress->run.chosen[i]];
        char label[COMPRESS_MAX_LABEL];
        compress_label(chosen, label);
        fprintf(page, "%s layer %d: %s", i ? ";" : ", with", chosen->layer, label);
    }
    fprintf(page,
            ".</p>\n<table>\n<tr><th></th><th>before</th><th class=\"chosen\">chosen</th></tr>\n");
    print_fact("top-1 of test images", "%.2f %%", 100 * report->dense.top1,
               100 * report->chosen.top1, page);
    print_fact("top-1 of held-out images", "%.2f %%", 100 * compress->score.top1,
               100 * compress->run.score.top1, page);
    print_fact("bytes of the layers", "%.0f", bytes, compress->run.bytes, page);
    print_fact("share of the bytes", "%.4f", 1, compress->run.bytes / bytes, page);
    print_fact("net, ms for an image", "%.3f", compress->net_us / 1000, last->net_us / 1000, page);
    fprintf(page,
            "</table>\n<p>%d images trained, %d others chose, %d test images judged in the end. "
            "Times are those of this machine.</p>\n",
            compress->train.n, compress->held.n, compress->test.n);
}

/* ---- Pictures */

/* How candidates of a type look, in the order of the types. */
static const struct look {
    const char *color, *sign; /* the sign is that of gnuplot's point */
    int point;
} looks[] = { { "#0072b2", "&#9632;", 5 },
              { "#d55e00", "&#9679;", 7 },
              { "#009e73", "&#9650;", 9 },
              { "#cc79a7", "&#9660;", 11 },
              { "#e69f00", "&#9670;", 13 } };
enum { N_LOOKS = sizeof looks / sizeof *looks };

static int is_shown(const struct compress_candidate *candidate, int layer)
{
    return candidate->layer == layer && !candidate->why[0];
}

static int has_type(const struct compress *compress, int layer, const struct sn_fit_type *type)
{
    for (int i = 0; i < compress->n; i++)
        if (is_shown(&compress->candidates[i], layer) && compress->candidates[i].type == type)
            return 1;
    return 0;
}

struct picture {
    const struct compress *compress;
    int layer; /* the place in compress->layers */
    const char *label;
    double (*x)(const struct compress_candidate *candidate);
    double dense_x;
};

static double bytes_of(const struct compress_candidate *candidate) { return candidate->bytes; }
static double us_of(const struct compress_candidate *candidate) { return candidate->us; }

static void print_point(FILE *gnuplot, double x, double top1)
{
    fprintf(gnuplot, "%.9g\t%.9g\n", x, 100 * top1);
}

/* The points of the candidates of a type, or with type NULL of the chosen one, as a data block. */
static void print_points(const struct picture *picture, const struct sn_fit_type *type,
                         const char *name, int number, FILE *gnuplot)
{
    const struct compress *compress = picture->compress;
    fprintf(gnuplot, "$%s%d << END\n", name, number);
    for (int i = 0; i < compress->n; i++) {
        const struct compress_candidate *candidate = &compress->candidates[i];
        if (is_shown(candidate, compress->layers[picture->layer].number)
            && (type ? candidate->type == type : candidate->is_chosen))
            print_point(gnuplot, picture->x(candidate), compress_best_score(candidate).top1);
    }
    fputs("END\n", gnuplot);
}

static void print_picture(const struct picture *picture, int number, const char *path,
                          FILE *gnuplot)
{
    const struct compress *compress = picture->compress;
    int layer = compress->layers[picture->layer].number;
    const struct sn_fit_type *type;
    fprintf(gnuplot,
            "set terminal svg size 420,320 dynamic font 'sans-serif,13' name 'p%d'\n"
            "set output '%s'\nset datafile separator '\\t'\nset logscale x\nset grid\nunset key\n"
            "set offsets graph 0.05, graph 0.05, graph 0.05, graph 0.05\nset format x '%%.0s%%c'\n"
            "set xlabel '%s'\nset ylabel 'top-1 in %%, held out'\n$dense << END\n",
            number, path, picture->label);
    print_point(gnuplot, picture->dense_x, compress->score.top1);
    fputs("END\n", gnuplot);
    print_points(picture, NULL, "chosen", 0, gnuplot);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        if (has_type(compress, layer, type)) print_points(picture, type, "type", t, gnuplot);
    fputs("plot $dense using 1:2 with points pointtype 3 pointsize 1 linecolor rgb '#000000' "
          "title 'before'",
          gnuplot);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        if (has_type(compress, layer, type))
            fprintf(gnuplot,
                    ", $type%d using 1:2 with points pointtype %d pointsize 0.8 linecolor rgb '%s' "
                    "title '%s'",
                    t, looks[t % N_LOOKS].point, looks[t % N_LOOKS].color, type->label);
    fputs(", $chosen0 using 1:2 with points pointtype 6 pointsize 1.8 linewidth 2 linecolor rgb "
          "'#000000' title 'chosen'\nunset output\n",
          gnuplot);
}

static enum sn_status draw(const struct picture *picture, int number, const char *path,
                           struct sn_error *error)
{
    /* NOLINTNEXTLINE(cert-env33-c): the shell looks the program up; no text of others is in it. */
    FILE *gnuplot = popen("gnuplot > /dev/null 2>&1", "w");
    if (!gnuplot) return sn_fail(error, SN_IO, "gnuplot: cannot start");
    print_picture(picture, number, path, gnuplot);
    return pclose(gnuplot) ? sn_fail(error, SN_IO, "gnuplot: cannot draw %s", path) : SN_OK;
}

/* A line of gnuplot's picture with names that no other picture of the page has. */
static void print_renamed(const char *line, int number, FILE *page)
{
    static const char *const before[] = { "id='", "#gp", "\"gnuplot_" };
    while (*line) {
        size_t n = 0;
        for (int i = 0; i < 3 && !n; i++)
            if (!strncmp(line, before[i], strlen(before[i]))) {
                n = strlen(before[i]);
                fprintf(page, "%.*sp%d_%s", i == 1 ? 1 : (int)n - (i == 2 ? 8 : 0), before[i],
                        number, i == 1 ? "gp" : "");
            }
        if (!n) fputc(*line, page);
        line += n ? n : 1;
    }
}

/* The picture at path without what stands before its first element. */
static enum sn_status inline_picture(const char *path, int number, FILE *page,
                                     struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    int is_in = 0;
    FILE *file = fopen(path, "r");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read", path);
    while (getline(&line, &size, file) >= 0) {
        is_in |= !strncmp(line, "<svg", 4);
        if (is_in) print_renamed(line, number, page);
    }
    free(line);
    fclose(file);
    return is_in ? SN_OK : sn_fail(error, SN_IO, "%s: expected a picture, found none", path);
}

static enum sn_status print_figure(const struct picture *picture, int number, FILE *page,
                                   struct sn_error *error)
{
    static const char name[] = "picture";
    char path[STEPS_MAX_PATH];
    if (steps_path(&picture->compress->steps, name, "svg", path, error)
        || draw(picture, number, path, error))
        return error->code;
    fprintf(page, "<figure>\n");
    enum sn_status status = inline_picture(path, number, page, error);
    fprintf(page, "</figure>\n");
    unlink(path);
    return status;
}

static void print_legend(const struct compress *compress, int layer, FILE *page)
{
    const struct sn_fit_type *type;
    fputs("<p>&#10033; before", page);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        if (has_type(compress, layer, type))
            fprintf(page, " &nbsp; <span style=\"color: %s\">%s</span> %s",
                    looks[t % N_LOOKS].color, looks[t % N_LOOKS].sign, type->label);
    fputs(" &nbsp; &#9711; chosen</p>\n", page);
}

static enum sn_status print_figures(const struct compress *compress, int i, FILE *page,
                                    struct sn_error *error)
{
    int layer = compress->layers[i].number;
    struct picture bytes = { compress, i, "bytes", bytes_of, compress->layers[i].bytes };
    struct picture time = { compress, i, "microseconds of the layer for an image", us_of,
                            compress->us[i] };
    fprintf(page, "<h2>Layer %d</h2>\n", layer);
    print_legend(compress, layer, page);
    enum sn_status status = print_figure(&bytes, 2 * i, page, error);
    return status ? status : print_figure(&time, 2 * i + 1, page, error);
}

/* ---- Tables */

static void print_table(const struct compress_report *report, FILE *page)
{
    const struct compress *compress = report->compress;
    fputs("<h2>Candidates</h2>\n<div class=\"wide\"><table>\n<tr>", page);
    for (int c = 0; c < COMPRESS_N_COLUMNS; c++)
        fprintf(page, "<th>%s</th>", compress_columns[c].heading);
    fputs("</tr>\n", page);
    for (int i = 0; i < compress_n_rows(compress); i++) {
        struct compress_row row = compress_row_at(compress, i);
        if (row.why[0]) continue;
        fprintf(page, "<tr%s>", row.is_chosen ? " class=\"chosen\"" : "");
        for (int c = 0; c < COMPRESS_N_COLUMNS; c++) {
            fputs("<td>", page);
            compress_print_cell(&row, c, 1, page);
            fputs("</td>", page);
        }
        fputs("</tr>\n", page);
    }
    fputs("</table></div>\n", page);
}

static void print_classes(const struct compress_report *report, FILE *page)
{
    enum { SHOWN = 12 };
    int order[SHOWN], n = compress_changed_most(report, SHOWN, order);
    fputs("<h2>Classes that changed most</h2>\n<div class=\"wide\"><table>\n"
          "<tr><th>class</th><th>test images</th><th>right before</th><th>now</th></tr>\n",
          page);
    for (int i = 0; i < n; i++) {
        int class = order[i];
        fputs("<tr><td>", page);
        page_text(page, report->compress->task.names.line[class]);
        fprintf(page, "</td><td>%d</td><td>%d</td><td>%d</td></tr>\n",
                report->dense.n_images[class], report->dense.n_right[class],
                report->chosen.n_right[class]);
    }
    fputs("</table></div>\n", page);
    if (!n) fputs("<p>None changed.</p>\n", page);
}

static void print_command(const struct compress *compress, const char *name, FILE *page)
{
    char *command = steps_command(&compress->steps, name);
    if (command) page_text(page, command);
    fputc('\n', page);
    free(command);
}

static enum sn_status print_commands(const struct compress_report *report, FILE *page,
                                     struct sn_error *error)
{
    static const char *const lists[] = { "train", "held" },
                             *const ends[] = { "", "-brief", "-full" };
    const struct compress *compress = report->compress;
    char name[COMPRESS_MAX_NAME + 8];
    struct compress_net front;
    fputs("<h2>To repeat it</h2>\n<p>All of it:</p>\n<pre>", page);
    page_text(page, report->command ? report->command : "");
    fputs("</pre>\n<p>The chosen net alone, step by step:</p>\n<pre>", page);
    for (int i = 0; i < compress->n_layers; i++) {
        const struct compress_candidate *chosen = &compress->candidates[compress->run.chosen[i]];
        enum sn_status status = compress_replaced(compress, i, &front, error);
        if (status) return status;
        for (int k = 0; k < 2; k++) {
            compress_features_name(&front, chosen->layer, lists[k], name);
            print_command(compress, name, page);
        }
        for (int k = 0; k < 3; k++) {
            snprintf(name, sizeof name, "%s%s", chosen->name, ends[k]);
            print_command(compress, name, page);
        }
    }
    fputs("</pre>\n</body>\n</html>\n", page);
    return SN_OK;
}

enum sn_status compress_report_write(const struct compress_report *report, FILE *page, FILE *table,
                                     struct sn_error *error)
{
    enum sn_status status = SN_OK;
    compress_table_write(report, table);
    page_begin(page, report->compress->request->name);
    print_summary(report, page);
    for (int i = 0; i < report->compress->n_layers && !status; i++)
        status = print_figures(report->compress, i, page, error);
    print_classes(report, page);
    print_table(report, page);
    return status ? status : print_commands(report, page, error);
}
