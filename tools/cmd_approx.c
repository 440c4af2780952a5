/* structnet approx: replaces a dense matrix, of a layer or from a file, by a structured one. */
#include "npy.h"
#include "outputs.h"
#include "replace_layer.h"
#include "report.h"

#include <plug_errors.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static int run(int argc, char **argv);
static void print_options(void);

const struct command cmd_approx = {
    .name = "approx",
    .run = run,
    .summary = "replaces a dense matrix by a structured one",
    .usage =
        "usage: structnet approx CFG WEIGHTS --type T --share S -o NAME [OPTION]...\n"
        "       structnet approx --matrix W.npy --type T --share S [OPTION]...\n"
        "\n"
        "Approximates the weight matrix of a layer and writes NAME.cfg and NAME.weights: the\n"
        "cfg with its comments and order, every other weight bit for bit, and the count of\n"
        "images seen set to 0, so that fine-tuning starts at batch 0. Or approximates a NumPy\n"
        "matrix (float32 or float64); with -o NAME the files hold a net of that one layer.\n"
        "\n"
        "  --share S       budget: bytes over bytes of the dense matrix, 0 < S <= 1, indices\n"
        "                  counted\n"
        "  --bytes B       budget in bytes, instead of --share\n"
        "  --params P      budget in stored values, indices not counted, instead of --share\n",
    .print_options = print_options,
    .usage_end = REQUEST_HELP
    "  -o NAME         output files\n"
    "  --dense-out F   the approximation as a dense matrix, .npy\n"
    "  --bias-out F    with --matrix: the corrected bias, .npy\n"
    "  --json          one object instead of the table\n"
    "\n"
    "Ctrl-C ends --effort thorough early, with the best that was found; a second one ends the\n"
    "program.\n"
};

/* The types, and the options that families add. */
static void print_options(void)
{
    const struct sn_fit_type *type;
    char name[64];
    puts("  --type T        one of");
    for (int i = 0; (type = approximation_type_at(i)); i++) {
        snprintf(name, sizeof name, "                    %s", type->name);
        command_print_option(32, name, type->help);
    }
    command_print_option(32, "                    auto",
                         "all that are layers, and the best is kept, the best on\n"
                         "half of the rows held out; the other half judges");
    request_print_settings();
}

struct approx_request {
    struct request common;
    const struct sn_fit_type *type; /* NULL with automatic */
    int automatic, json;
    double share, bytes, params;
    const char *name, *dense_out, *bias_out;
};

static void read_type(struct approx_request *request, const char *name)
{
    request->automatic = !strcmp(name, "auto");
    request->type = approximation_find(name);
    if (!request->type && !request->automatic)
        command_usage_error(&cmd_approx, "--type: expected one of auto,%s, found '%s'",
                            approximation_names(), name);
}

static void check_request(const struct approx_request *request)
{
    const struct command *command = &cmd_approx;
    int n_budgets = (request->share > 0) + (request->bytes > 0) + (request->params > 0);
    int is_layer = request->automatic || (request->type && request->type->family);
    if (!request->type && !request->automatic) command_usage_error(command, "expected --type");
    int needs_budget = request->automatic || (request->type && request->type->has_budget);
    if (n_budgets > 1 || (needs_budget && !n_budgets))
        command_usage_error(command, "expected one of --share, --bytes and --params, found %d",
                            n_budgets);
    if (!is_layer && request->name)
        command_usage_error(command, "-o: expected a type of layer with it, found --type %s",
                            request->type->name);
    if (is_layer && !request->name && !request->common.matrix)
        command_usage_error(command, "expected -o");
    if (request->bias_out && !request->common.matrix)
        command_usage_error(command, "--bias-out: expected --matrix with it");
    if (request->name && !outputs_is_name(request->name))
        command_usage_error(command, "-o: expected a name, found '%s'", request->name);
}

static struct approx_request read_request(int argc, char **argv)
{
    static const struct option own[] = { { "type", 1, 0, 't' },     { "share", 1, 0, 's' },
                                         { "bytes", 1, 0, 'b' },    { "params", 1, 0, 'p' },
                                         { "output", 1, 0, 'o' },   { "dense-out", 1, 0, 'd' },
                                         { "bias-out", 1, 0, 'c' }, { "json", 0, 0, 'j' },
                                         { "help", 0, 0, 'h' } };
    const struct command *command = &cmd_approx;
    struct option options[REQUEST_MAX_OPTIONS];
    struct approx_request request = { .common = request_default() };
    request_options(own, sizeof own / sizeof *own, options);
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 't': read_type(&request, optarg); break;
        case 's': request.share = command_number(command, "--share", optarg, 1e-12, 1); break;
        case 'b': request.bytes = command_number(command, "--bytes", optarg, 1, 1e12); break;
        case 'p': request.params = command_number(command, "--params", optarg, 1, 1e12); break;
        case 'o': request.name = optarg; break;
        case 'd': request.dense_out = optarg; break;
        case 'c': request.bias_out = optarg; break;
        case 'j': request.json = 1; break;
        default:
            if (!request_option(&request.common, command, option))
                command_other_option(command, option);
        }
    }
    request_arguments(&request.common, command, argc, argv);
    check_request(&request);
    return request;
}

/* ---- running */

struct progress {
    const char *name;
    int index, n;
};

static void show_progress(void *context, double done, double error)
{
    const struct progress *progress = context;
    double all = (progress->index + done) / progress->n;
    command_progress(all < 1 ? all : 0.999, "%s error %.4f", progress->name, error);
}

static volatile sig_atomic_t stop;

static void on_interrupt(int signal)
{
    (void)signal;
    stop = 1;
}

/* The first Ctrl-C ends a long search with the best so far; the second does what it always does. */
static void catch_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND | SA_RESTART };
    sigaction(SIGINT, &action, NULL);
}

static int is_tried(const struct approx_request *request, const struct sn_fit_type *type)
{
    return request->automatic ? type->family != NULL : type == request->type;
}

static enum sn_status check_types(const struct approx_request *request,
                                  const struct problem *problem, struct sn_error *error)
{
    const struct sn_fit_type *type;
    for (int i = 0; (type = approximation_type_at(i)); i++)
        if (is_tried(request, type) && type->family && replace_check(problem, type->family, error))
            return error->code;
    return SN_OK;
}

static struct sn_fit_options fit_options(const struct approx_request *request,
                                         const struct problem *problem)
{
    struct sn_fit_options options = { .settings = request->common.settings };
    options.budget_bytes = request->share > 0 ? problem_share_bytes(problem, request->share)
                                              : (size_t)request->bytes;
    options.budget_values = (size_t)request->params;
    options.bits = request->common.n_bits ? request->common.bits[0] : 32;
    options.effort = request->common.effort;
    options.stop = &stop;
    options.progress = show_progress;
    return options;
}

/* Runs the types. One for which the budget is too small is left out where there are others. */
static enum sn_status run_types(const struct approx_request *request, const struct problem *problem,
                                struct report *report, struct sn_error *error)
{
    struct sn_fit_options options = fit_options(request, problem);
    struct progress progress = { .n = 0 };
    options.context = &progress;
    const struct sn_fit_type *type;
    for (int i = 0; (type = approximation_type_at(i)); i++) progress.n += is_tried(request, type);
    for (int i = 0; (type = approximation_type_at(i)); i++) {
        if (!is_tried(request, type)) continue;
        progress.name = type->name;
        enum sn_status status = approximation_run(problem, type, &options, &report->rows[report->n],
                                                  error);
        if (status && status != SN_BAD_INPUT) return status;
        if (!status && report->rows[report->n].choice < report->rows[report->chosen].choice)
            report->chosen = report->n;
        report->n += !status;
        progress.index++;
    }
    command_progress(1, " ");
    if (!report->n) return error->code;
    report->dense_top1 = approximation_dense_top1(problem, error);
    if (report->dense_top1 < 0) return SN_NO_MEMORY;
    return approximation_run(problem, approximation_find("dense-int8"), &options, &report->int8,
                             error);
}

/* ---- files */

/* None when path is NULL. */
static enum sn_status write_array(struct outputs *outputs, const char *path, int n_dimensions,
                                  const size_t *shape, const float *values, struct sn_error *error)
{
    FILE *file = path ? outputs_open(outputs, path, error) : NULL;
    if (!file) return path ? error->code : SN_OK;
    npy_write_header(file, "<f4", n_dimensions, shape);
    fwrite(values, sizeof *values, shape[0] * (n_dimensions > 1 ? shape[1] : 1), file);
    return SN_OK;
}

static enum sn_status write_net(struct outputs *outputs, const char *name,
                                const struct problem *problem, const struct approximation *a,
                                struct sn_error *error)
{
    FILE *cfg, *weights;
    if (!name) return SN_OK;
    if (!(cfg = outputs_open_named(outputs, name, "cfg", error))
        || !(weights = outputs_open_named(outputs, name, "weights", error)))
        return error->code;
    return replace_write(problem, a, cfg, weights, error);
}

/* All files, or none. */
static enum sn_status write_files(const struct approx_request *request,
                                  const struct problem *problem, const struct approximation *a,
                                  struct sn_error *error)
{
    struct outputs outputs;
    const size_t shape[] = { (size_t)problem->n_outputs, (size_t)problem->n_inputs };
    const char *inputs[PROBLEM_MAX_FILES];
    problem_files(problem, inputs);
    outputs_begin(&outputs, inputs);
    outputs_hold(); /* Ctrl-C that comes as a search ends does not take its result away. */
    enum sn_status status = write_net(&outputs, request->name, problem, a, error);
    if (!status) status = write_array(&outputs, request->dense_out, 2, shape, a->dense, error);
    if (!status) status = write_array(&outputs, request->bias_out, 1, shape, a->bias, error);
    if (!status) return outputs_publish(&outputs, error);
    outputs_discard(&outputs);
    return status;
}

static int run(int argc, char **argv)
{
    struct approx_request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct problem problem;
    struct report report = { .is_choice = request.automatic };
    command_use_threads(1);
    if (request.common.effort == SN_THOROUGH) catch_interrupt();
    if (problem_read(&problem, &request.common, request.automatic, &error)
        || check_types(&request, &problem, &error) || run_types(&request, &problem, &report, &error)
        || write_files(&request, &problem, &report.rows[report.chosen], &error))
        sn_die(&error);
    if (request.json) report_print_json(&report, &problem);
    else report_print_table(&report, &problem, request.name);
    report_free(&report);
    problem_free(&problem);
    return 0;
}
