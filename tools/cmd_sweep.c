/* structnet sweep: error against size, for every type of approximation. */
#include "approximation.h"
#include "outputs.h"
#include "plot.h"

#include <cblas.h>
#include <errno.h>
#include <libdeflate.h>
#include <math.h>
#include <plug_errors.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(int argc, char **argv);
static void print_types(void);

const struct command sweep_command = {
    .name = "sweep",
    .run = run,
    .summary = "error and accuracy against bytes, for every type",
    .usage =
        "usage: structnet sweep CFG WEIGHTS -o NAME [OPTION]...\n"
        "       structnet sweep --matrix W.npy -o NAME [OPTION]...\n"
        "\n"
        "Approximates a matrix by every type at every share and writes NAME.tsv, a row for each, and\n"
        "the plots NAME.png and NAME.svg: error, and with features output error and top-1, against\n"
        "bytes. The dense matrix in float32 and in int8 has a row of its own. Each row is in NAME.tsv\n"
        "as soon as it is known; the same command, after an interrupt, computes only those that are\n"
        "missing. A budget that holds no matrix of a type leaves cells empty.\n"
        "\n"
        "  --shares S,...  bytes over bytes of the dense matrix (default .02,.05,.1,.2,.3,.5)\n",
    .print_options = print_types,
    .usage_end = PROBLEM_HELP
    "  -j N            N rows at a time, each in a process of its own; the results are the same\n"
    "  --no-plot       NAME.tsv only\n"
    "  -o NAME         output files\n"
};

static void print_types(void)
{
    const struct sn_fit_type *type;
    printf("  --types T,...   of ");
    for (int i = 0; (type = sn_fit_type_at(i)); i++) printf("%s%s", i ? ", " : "", type->name);
    puts(" (default: all; structnet approx --help)");
}

enum { MAX_SHARES = 100, MAX_WORKERS = 64, MAX_CELLS = 1024, MAX_ROW = 1200 };

struct request {
    struct problem_source source;
    const char *name, *types, *shares;
    double share[MAX_SHARES];
    int n_shares, n_workers, no_plot;
};

/* One row of the table. */
struct cell {
    const struct sn_fit_type *type; /* NULL: the dense matrix */
    double share;
    char key[64]; /* its first two columns, by which a row that was read is found */
    char *row;    /* with its newline, free(); NULL until it is known */
};

struct sweep {
    const struct request *request;
    const struct problem *problem;
    const char *command;
    uint32_t fingerprint;
    char path[4096]; /* of the table */
    int n;
    struct cell cells[MAX_CELLS];
};

/* ---- what is asked for */

static void read_shares(struct request *request)
{
    char text[32];
    for (const char *at = request->shares;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), at);
        if (request->n_shares == MAX_SHARES)
            command_usage_error(&sweep_command, "--shares: expected at most %d", MAX_SHARES);
        double share = command_number(&sweep_command, "--shares", text, 1e-6, 1);
        for (int i = 0; i < request->n_shares; i++)
            if (request->share[i] == share)
                command_usage_error(&sweep_command, "--shares: found %s twice", text);
        request->share[request->n_shares++] = share;
        if (!*(at += n)) return;
    }
}

/* Whether name is in a list that commas separate. */
static int is_in(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)); at += n)
        if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ',')) return 1;
    return 0;
}

static void check_types(const char *types)
{
    char name[32];
    for (const char *at = types;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(name, sizeof name, "%.*s", (int)(n < sizeof name ? n : sizeof name - 1), at);
        if (!approximation_find(name))
            command_usage_error(&sweep_command, "--types: expected some of %s, found '%s'",
                                approximation_names(), name);
        if (!*(at += n)) return;
    }
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = { { "shares", 1, 0, 's' }, { "types", 1, 0, 't' },
                                             { "jobs", 1, 0, 'j' },   { "no-plot", 0, 0, 'n' },
                                             { "output", 1, 0, 'o' }, { "help", 0, 0, 'h' },
                                             PROBLEM_OPTIONS,         { 0 } };
    const struct command *command = &sweep_command;
    struct request request = { .source = PROBLEM_SOURCE,
                               .types = approximation_names(),
                               .shares = ".02,.05,.1,.2,.3,.5",
                               .n_workers = 1 };
    for (int option; (option = getopt_long(argc, argv, "ho:j:", options, NULL)) != -1;) {
        switch (option) {
        case 's': request.shares = optarg; break;
        case 't': request.types = optarg; break;
        case 'j':
            request.n_workers = command_whole_number(command, "-j", optarg, 1, MAX_WORKERS);
            break;
        case 'n': request.no_plot = 1; break;
        case 'o': request.name = optarg; break;
        default:
            if (!problem_option(&request.source, command, option))
                command_other_option(command, option);
        }
    }
    problem_arguments(&request.source, command, argc, argv);
    read_shares(&request);
    check_types(request.types);
    if (!request.name || !*request.name || request.name[strlen(request.name) - 1] == '/')
        command_usage_error(command, "expected -o NAME");
    return request;
}

static void add_cell(struct sweep *sweep, const struct sn_fit_type *type, double share)
{
    struct cell *cell = &sweep->cells[sweep->n++];
    *cell = (struct cell){ .type = type, .share = share };
    snprintf(cell->key, sizeof cell->key, "%s\t%.9g\t", type ? type->name : "dense", share);
}

/* Types by the table, shares as given, number formats last. */
static void add_cells(struct sweep *sweep)
{
    const struct request *request = sweep->request;
    const struct sn_fit_type *type;
    for (int t = 0; (type = approximation_type_at(t)); t++)
        for (int i = 0; type->family && is_in(request->types, type->name) && i < request->n_shares;
             i++)
            add_cell(sweep, type, request->share[i]);
    for (int t = 0; (type = approximation_type_at(t)); t++)
        if (!type->family) add_cell(sweep, type, .25 + 1. / sweep->problem->n_inputs);
    add_cell(sweep, NULL, 1);
}

/* ---- one row */

static int print_number(char *text, double value)
{
    return isnan(value) ? sprintf(text, "\t") : sprintf(text, "\t%.9g", value);
}

static void print_row(const struct cell *cell, double bytes, double params, double error,
                      const struct judgement *judged, double seconds, char row[MAX_ROW])
{
    const double values[] = { params, error, judged->error, judged->top1 };
    int n = sprintf(row, "%s", cell->key);
    n += isnan(bytes) ? 0 : sprintf(row + n, "%.0f", bytes);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        n += print_number(row + n, values[i]);
    sprintf(row + n, isnan(seconds) ? "\t\n" : "\t%.3f\n", seconds);
}

static enum sn_status compute_dense(const struct sweep *sweep, const struct cell *cell,
                                    char row[MAX_ROW], struct sn_error *error)
{
    const struct problem *problem = sweep->problem;
    double bytes = problem_dense_bytes(problem);
    struct judgement judged = { problem->judge.n ? 0 : NAN, NAN,
                                approximation_dense_top1(problem, error) };
    if (judged.top1 < 0) return SN_NO_MEMORY;
    print_row(cell, bytes, bytes / sizeof(float), 0, &judged, NAN, row);
    return SN_OK;
}

static enum sn_status compute(const struct sweep *sweep, const struct cell *cell, char row[MAX_ROW],
                              struct sn_error *error)
{
    const struct problem *problem = sweep->problem;
    struct approximation a;
    struct sn_fit_options options = { .budget_bytes = problem_share_bytes(problem, cell->share),
                                      .effort = problem->source->effort };
    if (!cell->type) return compute_dense(sweep, cell, row, error);
    enum sn_status status = approximate(problem, cell->type, &options, &a, error);
    if (status && status != SN_BAD_INPUT) return status;
    if (status) print_row(cell, NAN, NAN, NAN, &(struct judgement){ NAN, NAN, NAN }, NAN, row);
    else {
        print_row(cell, (double)a.bytes, (double)a.params, a.error, &a.judged, a.seconds, row);
        approximation_free(&a);
    }
    return SN_OK;
}

/* ---- the table as a file */

static uint32_t checksum(uint32_t crc, const void *data, size_t n)
{
    return data ? libdeflate_crc32(crc, data, n) : crc;
}

/* CRC-32 of all that rows depend on: the problem as it was read and split, and the options. */
static uint32_t fingerprint(const struct request *request, const struct problem *problem)
{
    char text[8192];
    size_t m = sizeof(float) * (size_t)problem->n_outputs, n = (size_t)problem->n_inputs;
    size_t rows = (size_t)problem->fit.n + (size_t)problem->choose.n + (size_t)problem->judge.n;
    int length = snprintf(text, sizeof text, "%d %d %d %d %d %.17g %.17g %llu %s %s",
                          problem->n_outputs, problem->n_inputs, problem->fit.n, problem->judge.n,
                          (int)request->source.effort, request->source.holdout,
                          request->source.shrinkage, (unsigned long long)request->source.seed,
                          request->types, request->shares);
    uint32_t crc = checksum(0, text,
                            (size_t)(length < (int)sizeof text ? length : (int)sizeof text - 1));
    crc = checksum(crc, problem->dense, m * n);
    crc = checksum(crc, problem->bias, m);
    crc = checksum(crc, problem->gain, m);
    crc = checksum(crc, problem->offset, m);
    crc = checksum(crc, problem->x, sizeof(float) * rows * n);
    return checksum(crc, problem->labels, sizeof(int) * rows);
}

static void print_cpu(FILE *file)
{
    char *line = NULL;
    size_t size = 0;
    FILE *info = fopen("/proc/cpuinfo", "r");
    const char *model = "unknown\n";
    while (info && getline(&line, &size, info) >= 0)
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            model = strchr(line, ':') + 2;
            break;
        }
    fprintf(file, "# cpu: %.*s, %ld cores\n", (int)strcspn(model, "\n"), model,
            sysconf(_SC_NPROCESSORS_ONLN));
    free(line);
    if (info) fclose(info);
}

static const char FINGERPRINT[] = "# fingerprint: ";
static const char COLUMNS[] = "type\tshare\tbytes\tparams\terror\toutput_error\ttop1\tseconds\n";
enum { BYTES_COLUMN = 3, ERROR_COLUMN = 5, OUTPUT_COLUMN = 6, TOP1_COLUMN = 7 };

/* All rows that are known, in the order of the cells. */
static enum sn_status write_table(const struct sweep *sweep, struct sn_error *error)
{
    struct outputs outputs;
    const char *inputs[PROBLEM_MAX_FILES];
    problem_files(sweep->problem, inputs);
    outputs_begin(&outputs);
    FILE *file = outputs_open(&outputs, sweep->path, inputs, error);
    if (!file) {
        outputs_discard(&outputs);
        return error->code;
    }
    print_cpu(file);
    fprintf(file, "# openblas: %s, one thread\n# command: %s\n%s%08x\n%s", openblas_get_config(),
            sweep->command, FINGERPRINT, (unsigned)sweep->fingerprint, COLUMNS);
    for (int i = 0; i < sweep->n; i++)
        if (sweep->cells[i].row) fputs(sweep->cells[i].row, file);
    return outputs_publish(&outputs, error);
}

/* Takes over the rows of a table that the same sweep began. */
static enum sn_status resume(struct sweep *sweep, struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    char found[9] = "none", expected[9];
    int is_known = 0;
    FILE *file = fopen(sweep->path, "r");
    if (!file && errno == ENOENT) return SN_OK;
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", sweep->path, strerror(errno));
    snprintf(expected, sizeof expected, "%08x", (unsigned)sweep->fingerprint);
    while (getline(&line, &size, file) >= 0) {
        if (!strncmp(line, FINGERPRINT, sizeof FINGERPRINT - 1))
            is_known = sscanf(line + sizeof FINGERPRINT - 1, "%8s", found) == 1
                && !strcmp(found, expected);
        for (int i = 0; is_known && i < sweep->n; i++)
            if (!strncmp(line, sweep->cells[i].key, strlen(sweep->cells[i].key))
                && strchr(line, '\n') && !sweep->cells[i].row)
                sweep->cells[i].row = strdup(line);
    }
    free(line);
    fclose(file);
    if (is_known) return SN_OK;
    return sn_fail(
        error, SN_BAD_INPUT,
        "%s: expected a table of this sweep, fingerprint %s, found %s; remove it, or use "
        "another -o",
        sweep->path, expected, found);
}

/* ---- workers */

struct worker {
    pid_t process; /* 0: none */
    int pipe;
    int cell;
};

/* The process of a cell: its row, or a zero byte and what went wrong, goes through the pipe. It
 * ends with its parent. */
static void work(const struct sweep *sweep, int cell, int pipe_end, pid_t parent)
    __attribute__((noreturn));
static void work(const struct sweep *sweep, int cell, int pipe_end, pid_t parent)
{
    char text[MAX_ROW] = "";
    struct sn_error error;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int failed = compute(sweep, &sweep->cells[cell], text, &error) != SN_OK;
    if (failed) snprintf(text + 1, sizeof text - 1, "%s", error.message);
    size_t n = failed ? 1 + strlen(text + 1) : strlen(text);
    _exit(write(pipe_end, text, n) == (ssize_t)n ? 0 : 1);
}

static enum sn_status start(const struct sweep *sweep, int cell, struct worker *worker,
                            struct sn_error *error)
{
    int ends[2];
    pid_t parent = getpid();
    if (pipe(ends)) return sn_fail(error, SN_IO, "cannot open a pipe: %s", strerror(errno));
    worker->process = fork();
    if (worker->process < 0)
        return sn_fail(error, SN_IO, "cannot start a process: %s", strerror(errno));
    if (!worker->process) work(sweep, cell, ends[1], parent);
    close(ends[1]);
    worker->pipe = ends[0];
    worker->cell = cell;
    return SN_OK;
}

/* Takes the row of a worker whose pipe has something, and writes the table. */
static enum sn_status finish(struct sweep *sweep, struct worker *worker, struct sn_error *error)
{
    char text[MAX_ROW + 1];
    struct cell *cell = &sweep->cells[worker->cell];
    ssize_t n = read(worker->pipe, text, MAX_ROW);
    close(worker->pipe);
    waitpid(worker->process, NULL, 0);
    worker->process = 0;
    if (n < 1)
        return sn_fail(error, SN_IO, "%s at share %g: the process ended without a result",
                       cell->type ? cell->type->name : "dense", cell->share);
    text[n] = '\0';
    if (!text[0]) return sn_fail(error, SN_NO_MEMORY, "%s", text + 1);
    if (!(cell->row = strdup(text))) return sn_fail(error, SN_NO_MEMORY, "out of memory");
    return write_table(sweep, error);
}

/* Waits until some workers have something to say. */
static enum sn_status collect(struct sweep *sweep, struct worker *workers, int n,
                              struct sn_error *error)
{
    struct pollfd polls[MAX_WORKERS];
    enum sn_status status = SN_OK;
    for (int i = 0; i < n; i++)
        polls[i] = (struct pollfd){ workers[i].process ? workers[i].pipe : -1, POLLIN, 0 };
    if (poll(polls, (nfds_t)n, -1) < 0)
        return errno == EINTR ? SN_OK : sn_fail(error, SN_IO, "poll: %s", strerror(errno));
    for (int i = 0; i < n && !status; i++)
        if (polls[i].revents) status = finish(sweep, &workers[i], error);
    return status;
}

static int n_known(const struct sweep *sweep)
{
    int n = 0;
    for (int i = 0; i < sweep->n; i++) n += sweep->cells[i].row != NULL;
    return n;
}

static enum sn_status compute_all(struct sweep *sweep, struct sn_error *error)
{
    struct worker workers[MAX_WORKERS] = { 0 };
    int next = 0, n = sweep->request->n_workers;
    enum sn_status status = SN_OK;
    fflush(NULL); /* Nothing that is buffered may be written by two processes. */
    for (int known; !status && (known = n_known(sweep)) < sweep->n;) {
        command_progress((double)known / sweep->n, "%d of %d", known, sweep->n);
        for (int i = 0; i < n && !status; i++) {
            while (next < sweep->n && sweep->cells[next].row) next++;
            if (!workers[i].process && next < sweep->n)
                status = start(sweep, next++, &workers[i], error);
        }
        if (!status) status = collect(sweep, workers, n, error);
    }
    command_progress(1, " ");
    return status;
}

/* ---- plots */

/* The rows of a type (NULL: dense) as one string, free(). */
static char *rows_of(const struct sweep *sweep, const struct sn_fit_type *type)
{
    size_t size = 1;
    for (int i = 0; i < sweep->n; i++)
        size += sweep->cells[i].type == type ? strlen(sweep->cells[i].row) : 0;
    char *rows = calloc(size, 1);
    for (int i = 0; rows && i < sweep->n; i++)
        if (sweep->cells[i].type == type) strcat(rows, sweep->cells[i].row);
    return rows;
}

static enum sn_status plot(const struct sweep *sweep, struct sn_error *error)
{
    static const struct plot_panel panels[] = { { "matrix", "relative error", ERROR_COLUMN, 1 },
                                                { "outputs", "relative error", OUTPUT_COLUMN, 1 },
                                                { "accuracy", "top-1 in %", TOP1_COLUMN, 100 } };
    struct plot_curve curves[32];
    int n = 0, n_panels = !sweep->problem->judge.n ? 1 : sweep->problem->judge.labels ? 3 : 2;
    enum sn_status status = SN_OK;
    for (int i = 0; i < sweep->n && !status; i++) {
        const struct sn_fit_type *type = sweep->cells[i].type;
        if (i && sweep->cells[i - 1].type == type) continue;
        curves[n] = (struct plot_curve){ type ? type->label : "dense", rows_of(sweep, type) };
        if (!curves[n++].rows) status = sn_no_memory(error, "the plots");
    }
    if (!status)
        status = plot_write(sweep->request->name, n, curves, n_panels, panels, BYTES_COLUMN, error);
    while (n) free((char *)curves[--n].rows);
    return status;
}

/* The command line as one line (free()), or NULL. */
static char *join(int argc, char **argv)
{
    size_t size = 1;
    for (int i = 0; i < argc; i++) size += strlen(argv[i]) + 1;
    char *text = calloc(size, 1);
    for (int i = 0; text && i < argc; i++) strcat(strcat(text, i ? " " : ""), argv[i]);
    for (char *c = text; c && *c; c++)
        if (*c == '\n' || *c == '\r') *c = ' ';
    return text;
}

static int run(int argc, char **argv)
{
    char *command = join(argc, argv); /* before getopt_long reorders it */
    struct request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct problem problem;
    struct sweep sweep = { .request = &request,
                           .problem = &problem,
                           .command = command ? command : "" };
    openblas_set_num_threads(1); /* Results must not depend on the number of threads. */
    snprintf(sweep.path, sizeof sweep.path, "%s.tsv", request.name);
    if ((!request.no_plot && plot_check(&error))
        || problem_read(&problem, &request.source, 0, &error))
        sn_die(&error);
    sweep.fingerprint = fingerprint(&request, &problem);
    add_cells(&sweep);
    if (resume(&sweep, &error)) sn_die(&error);
    int n_before = n_known(&sweep);
    if (write_table(&sweep, &error) || compute_all(&sweep, &error)
        || (!request.no_plot && plot(&sweep, &error)))
        sn_die(&error);
    printf("rows   %d, of which %d were there\n", sweep.n, n_before);
    printf(request.no_plot ? "files  %s.tsv\n" : "files  %s.tsv %s.png %s.svg\n", request.name,
           request.name, request.name);
    for (int i = 0; i < sweep.n; i++) free(sweep.cells[i].row);
    problem_free(&problem);
    free(command);
    return 0;
}
