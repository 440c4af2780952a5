/* structnet sweep: error against size and time, for every type of approximation. */
#include "outputs.h"
#include "plot.h"
#include "sweep_workers.h"

#include <plug_errors.h>
#include <ranks.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);
static void print_options(void);

const struct command cmd_sweep = {
    .name = "sweep",
    .run = run,
    .summary = "error and accuracy against bytes, multiply-adds and time, for every type",
    .usage =
        "usage: structnet sweep CFG WEIGHTS -o NAME [OPTION]...\n"
        "       structnet sweep --matrix W.npy -o NAME [OPTION]...\n"
        "\n"
        "Approximates a matrix by every type in every number of bits at every share and writes\n"
        "NAME.tsv, a row for each, and the plots NAME.png and NAME.svg: error, and with features\n"
        "output error and top-1, against bytes, multiply-adds and time, with the best front of\n"
        "all. us are the microseconds of one product with one vector on this machine, with the\n"
        "values as floats, whatever they take in a file. Each row is in NAME.tsv as soon as it\n"
        "is known; the same command, after an interrupt, computes only those that are missing. A\n"
        "budget that holds no matrix of a type leaves cells empty. Where MPI is there, mpirun\n"
        "-n N structnet sweep ... computes N rows at a time, on machines that all see the files.\n"
        "\n"
        "  --shares S,...  bytes over bytes of the dense matrix (default .02,.05,.1,.2,.3,.5)\n"
        "  --bits B,...    of a value, of 32, 8, 4, 3, 2 and 1 (default 32,8,4,2); the dense\n"
        "                  matrix has a row for each, and one in float32\n",
    .print_options = print_options,
    .usage_end = REQUEST_HELP
    "  -j N            N rows at a time, each in a process of its own; the results are the same,\n"
    "                  and a product is timed while the others stand still\n"
    "  --no-plot       NAME.tsv only\n"
    "  -o NAME         output files\n"
};

static void print_options(void)
{
    const struct sn_fit_type *type;
    printf("  --types T,...   of ");
    for (int i = 0; (type = sn_fit_type_at(i)); i++) printf("%s%s", i ? ", " : "", type->name);
    puts(" (default: all; structnet\n                  approx --help)");
    request_print_settings();
}

enum { MAX_SHARES = 100, MAX_CURVES = 100 };

struct sweep_request {
    struct request common;
    const char *name, *types, *shares;
    double share[MAX_SHARES];
    int n_shares, n_workers, no_plot;
};

static void read_shares(struct sweep_request *request)
{
    char text[32];
    for (const char *at = request->shares;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), at);
        if (request->n_shares == MAX_SHARES)
            command_usage_error(&cmd_sweep, "--shares: expected at most %d", MAX_SHARES);
        double share = command_number(&cmd_sweep, "--shares", text, 1e-6, 1);
        for (int i = 0; i < request->n_shares; i++)
            if (request->share[i] == share)
                command_usage_error(&cmd_sweep, "--shares: found %s twice", text);
        request->share[request->n_shares++] = share;
        if (!*(at += n)) return;
    }
}

static void set_bits(struct request *request)
{
    static const int usual[] = { 32, 8, 4, 2 };
    if (request->n_bits) return;
    request->n_bits = sizeof usual / sizeof *usual;
    memcpy(request->bits, usual, sizeof usual);
}

static struct sweep_request read_request(int argc, char **argv)
{
    static const struct option own[] = { { "shares", 1, 0, 's' }, { "types", 1, 0, 't' },
                                         { "jobs", 1, 0, 'j' },   { "no-plot", 0, 0, 'n' },
                                         { "output", 1, 0, 'o' }, { "help", 0, 0, 'h' } };
    const struct command *command = &cmd_sweep;
    struct option options[REQUEST_MAX_OPTIONS];
    struct sweep_request request = { .common = request_default(),
                                     .types = approximation_names(),
                                     .shares = ".02,.05,.1,.2,.3,.5",
                                     .n_workers = 1 };
    request_options(own, sizeof own / sizeof *own, options);
    for (int option; (option = getopt_long(argc, argv, "ho:j:", options, NULL)) != -1;) {
        switch (option) {
        case 's': request.shares = optarg; break;
        case 't': request.types = optarg; break;
        case 'j':
            request.n_workers = command_whole_number(command, "-j", optarg, 1, SWEEP_MAX_WORKERS);
            break;
        case 'n': request.no_plot = 1; break;
        case 'o': request.name = optarg; break;
        default:
            if (!request_option(&request.common, command, option))
                command_other_option(command, option);
        }
    }
    request_arguments(&request.common, command, argc, argv);
    read_shares(&request);
    approximation_check_types(command, request.types);
    set_bits(&request.common);
    if (!outputs_is_name(request.name)) command_usage_error(command, "expected -o NAME");
    return request;
}

/* A row for each number of bits that a user asked for, and one in float32. */
static void add_dense(const struct sweep_request *request, const struct sn_fit_type *type,
                      struct sweep_table *table)
{
    int has_floats = 0, is_asked = approximation_is_in(request->types, type);
    for (int i = 0; i < request->common.n_bits; i++) {
        int bits = request->common.bits[i];
        has_floats |= bits == 32;
        if (is_asked || bits == 32) sweep_table_add(table, type, bits, 0);
    }
    if (!has_floats) sweep_table_add(table, type, 32, 0);
}

/* Types by the table, numbers of bits and shares as given, what has no budget last. */
static void add_cells(const struct sweep_request *request, struct sweep_table *table)
{
    const struct sn_fit_type *type;
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        for (int b = 0; type->has_budget && approximation_is_in(request->types, type)
             && b < request->common.n_bits;
             b++)
            for (int i = 0; i < request->n_shares; i++)
                sweep_table_add(table, type, request->common.bits[b], request->share[i]);
    for (int t = 0; (type = sn_fit_type_at(t)); t++)
        if (!type->has_budget) add_dense(request, type, table);
}

/* ---- plots */

static int belongs(const struct sweep_cell *cell, const struct sweep_cell *first)
{
    return cell->type == first->type && cell->bits == first->bits;
}

/* The rows of a cell's type and number of bits as one string, free(). */
static char *rows_of(const struct sweep_table *table, const struct sweep_cell *first)
{
    size_t size = 1;
    for (int i = 0; i < table->n; i++)
        size += belongs(&table->cells[i], first) ? strlen(table->cells[i].row) : 0;
    char *rows = calloc(size, 1), *end = rows;
    for (int i = 0; rows && i < table->n; i++)
        if (belongs(&table->cells[i], first)) end += sprintf(end, "%s", table->cells[i].row);
    return rows;
}

/* Types have colours, numbers of bits have points, in the order of the table. */
static struct plot_curve curve_of(const struct sweep_table *table, const struct sweep_cell *cell)
{
    const struct request *request = table->problem->request;
    struct plot_curve curve = { .rows = rows_of(table, cell), .point = request->n_bits };
    while (sn_fit_type_at(curve.color) != cell->type) curve.color++;
    for (int i = 0; i < request->n_bits; i++)
        if (request->bits[i] == cell->bits) curve.point = i;
    if (cell->bits == 32) snprintf(curve.label, sizeof curve.label, "%s", cell->type->label);
    else
        snprintf(curve.label, sizeof curve.label, "%s, %d bit%s", cell->type->label, cell->bits,
                 cell->bits > 1 ? "s" : "");
    return curve;
}

static enum sn_status plot(const struct sweep_table *table, const char *name,
                           struct sn_error *error)
{
    static const struct plot_axis x[] = { { "bytes", SWEEP_BYTES, 1, 0 },
                                          { "multiply-adds", SWEEP_MADDS, 1, 0 },
                                          { "seconds of one product", SWEEP_US, 1e-6, 0 } };
    static const struct plot_axis y[] = { { "relative error of the matrix", SWEEP_ERROR, 1, 0 },
                                          { "relative error of the outputs", SWEEP_OUTPUT_ERROR, 1,
                                            0 },
                                          { "top-1 in %", SWEEP_TOP1, 100, 1 } };
    const struct samples *judge = &table->problem->judge;
    struct plot_grid grid = { 3, !judge->n ? 1 : judge->labels ? 3 : 2, x, y };
    struct plot_curve curves[MAX_CURVES];
    const char *inputs[PROBLEM_MAX_FILES];
    int n = 0;
    enum sn_status status = SN_OK;
    problem_files(table->problem, inputs);
    for (int i = 0; i < table->n && n < MAX_CURVES && !status; i++) {
        if (i && belongs(&table->cells[i], &table->cells[i - 1])) continue;
        curves[n] = curve_of(table, &table->cells[i]);
        if (!curves[n++].rows) status = sn_no_memory(error, "the plots");
    }
    if (!status) status = plot_write(name, n, curves, &grid, inputs, error);
    while (n) free(curves[--n].rows);
    return status;
}

/* The command line (free()), or NULL. */
static char *join(int argc, char **argv)
{
    size_t size = 1;
    for (int i = 0; i < argc; i++) size += strlen(argv[i]) + 1;
    char *text = calloc(size, 1), *end = text;
    for (int i = 0; text && i < argc; i++) end += sprintf(end, "%s%s", i ? " " : "", argv[i]);
    return text;
}

static void print_result(const struct sweep_request *request, int n, int n_before)
{
    const char *name = request->name;
    printf("rows   %d, of which %d were there\n", n, n_before);
    printf(request->no_plot ? "files  %s.tsv\n" : "files  %s.tsv %s.png %s.svg\n", name, name,
           name);
}

static int run(int argc, char **argv)
{
    command_ranks_begin();
    char *command = join(argc, argv); /* before getopt_long reorders it */
    struct sweep_request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct problem problem;
    struct sweep_table table = { .problem = &problem, .command = command ? command : "" };
    command_use_threads(request.n_workers);
    snprintf(table.path, sizeof table.path, "%s.tsv", request.name);
    if ((!request.no_plot && plot_check(&error))
        || problem_read(&problem, &request.common, 0, &error)
        || problem_check_type(&problem, NULL, &error))
        sn_die(&error);
    table.fingerprint = sweep_table_fingerprint(&problem, request.types, request.shares);
    add_cells(&request, &table);
    if (sweep_table_resume(&table, &error)) sn_die(&error);
    int n_before = sweep_table_n_known(&table);
    if (!ranks_own() && sweep_table_write(&table, &error)) sn_die(&error);
    command_ranks_go();
    if (sweep_workers_run(&table, request.n_workers, &error)
        || (!ranks_own() && !request.no_plot && plot(&table, request.name, &error)))
        sn_die(&error);
    if (!ranks_own()) print_result(&request, table.n, n_before);
    sweep_table_free(&table);
    problem_free(&problem);
    free(command);
    return 0;
}
