/* structnet approx: replaces a dense matrix, of a layer or from a file, by a structured one. */
#include "candidates.h"
#include "npy.h"
#include "outputs.h"
#include "replace_layer.h"

#include <fit.h>
#include <plug_errors.h>
#include <sn_error.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
        "  --params P      budget in stored values, indices not counted, instead of --share\n"
        "  --madds M       limit of the multiply-adds of a product, with a budget or instead\n",
    .print_options = print_options,
    .usage_end =
        "  --bits B        of a value: 32, float32 (default), 8, 4, 3, 2 or 1; auto takes a list,\n"
        "                  32,8,4 and so on, and all six by default\n"
        "  --target T      of auto: bytes or madds, the fewest of them for which an error of at\n"
        "                  most 1.1 times the least is found within the limits\n" REQUEST_HELP
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
    char name[64], help[512];
    int n = 0;
    puts("  --type T        one of");
    for (; (type = sn_fit_type_at(n)); n++) {
        snprintf(name, sizeof name, "                    %s", type->name);
        command_print_option(32, name, type->help);
    }
    snprintf(help, sizeof help,
             "the best of all types in all numbers of bits, the best on\n"
             "half of the rows held out; the other half judges. These\n"
             "are %d fits, with --target nearly three times as many:\n"
             "--bits 8,4,2 halves them, --effort quick shortens each",
             n * REQUEST_MAX_BITS);
    command_print_option(32, "                    auto", help);
    request_print_settings();
}

struct approx_request {
    struct request common;
    const struct sn_fit_type *type; /* NULL with automatic */
    int automatic, json;
    enum target target;
    double share, bytes, params, madds;
    const char *name, *dense_out, *bias_out;
};

static void read_type(struct approx_request *request, const char *name)
{
    request->automatic = !strcmp(name, "auto");
    request->type = sn_fit_type_find(name);
    if (!request->type && !request->automatic)
        command_usage_error(&cmd_approx, "--type: expected one of auto,%s, found '%s'",
                            approximation_names(), name);
}

static enum target read_target(const char *name)
{
    if (!strcmp(name, "bytes")) return TARGET_BYTES;
    if (!strcmp(name, "madds")) return TARGET_MADDS;
    command_usage_error(&cmd_approx, "--target: expected bytes or madds, found '%s'", name);
}

static void check_budget(const struct approx_request *request)
{
    int n = (request->share > 0) + (request->bytes > 0) + (request->params > 0);
    int is_needed = request->automatic || request->type->has_budget;
    if (n > 1)
        command_usage_error(&cmd_approx, "expected one of --share, --bytes and --params, found %d",
                            n);
    if (is_needed && !n && !(request->madds > 0))
        command_usage_error(&cmd_approx,
                            "expected one of --share, --bytes, --params and --madds, found none");
}

static void check_request(const struct approx_request *request)
{
    const struct command *command = &cmd_approx;
    if (!request->type && !request->automatic) command_usage_error(command, "expected --type");
    check_budget(request);
    if (!request->automatic && request->common.n_bits > 1)
        command_usage_error(command, "--bits: expected one number with --type %s, found %d",
                            request->type->name, request->common.n_bits);
    if (!request->automatic && request->target != TARGET_ERROR)
        command_usage_error(command, "--target: expected --type auto with it, found --type %s",
                            request->type->name);
    if (!request->name && !request->common.matrix) command_usage_error(command, "expected -o");
    if (request->bias_out && !request->common.matrix)
        command_usage_error(command, "--bias-out: expected --matrix with it");
    if (request->name && !outputs_is_name(request->name))
        command_usage_error(command, "-o: expected a name, found '%s'", request->name);
}

static struct approx_request read_request(int argc, char **argv)
{
    static const struct option own[] = { { "type", 1, 0, 't' },     { "share", 1, 0, 's' },
                                         { "bytes", 1, 0, 'b' },    { "params", 1, 0, 'p' },
                                         { "madds", 1, 0, 'm' },    { "target", 1, 0, 'g' },
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
        case 'm': request.madds = command_number(command, "--madds", optarg, 1, 1e12); break;
        case 'g': request.target = read_target(optarg); break;
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

static volatile sig_atomic_t stop;

static void on_interrupt(int signal)
{
    static const char text[] = "\nstopping with the best so far; once more ends at once\n";
    (void)signal;
    stop = 1;
    if (isatty(STDERR_FILENO) && write(STDERR_FILENO, text, sizeof text - 1) < 0) return;
}

/* The first Ctrl-C ends a long search with the best so far; the second does what it always does. */
static void catch_interrupt(void)
{
    struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = SA_RESETHAND | SA_RESTART };
    sigaction(SIGINT, &action, NULL);
}

static enum sn_status check_types(const struct approx_request *request,
                                  const struct problem *problem, struct sn_error *error)
{
    const struct sn_fit_type *type;
    for (int i = 0; (type = sn_fit_type_at(i)); i++)
        if ((request->automatic || type == request->type) && replace_check(problem, type, error))
            return error->code;
    return SN_OK;
}

/* The blocks of a matrix that has some are its stages. */
static void set_stages(const struct problem *problem, struct request *request)
{
    for (int i = 0; i < REQUEST_MAX_SETTINGS; i++)
        if (problem->n_blocks > 1 && request->settings[i].name
            && !strcmp(request->settings[i].name, "stages"))
            request->settings[i].value = problem->n_blocks;
}

/* The smaller of two limits, where 0 is none. */
static size_t least_limit(double a, double b)
{
    return (size_t)(a > 0 && (a < b || !(b > 0)) ? a : b);
}

static enum sn_status run_candidates(const struct approx_request *request,
                                     const struct problem *problem, struct report *report,
                                     struct sn_error *error)
{
    static const int all[] = { 32, 8, 4, 3, 2, 1 };
    struct candidates candidates = { .type = request->type,
                                     .target = request->target,
                                     .bits = request->common.bits,
                                     .n_bits = request->common.n_bits,
                                     .options = { .settings = request->common.settings,
                                                  .effort = request->common.effort,
                                                  .stop = &stop } };
    if (request->common.effort == SN_THOROUGH) catch_interrupt();
    if (!candidates.n_bits) {
        candidates.bits = all;
        candidates.n_bits = request->automatic ? sizeof all / sizeof *all : 1;
    }
    candidates.options.budget_bytes = request->share > 0
        ? problem_share_bytes(problem, request->share)
        : (size_t)request->bytes;
    candidates.options.budget_values = least_limit(request->params, request->madds);
    return candidates_run(&candidates, problem, report, error);
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

/* What as a dense matrix. */
static enum sn_status write_dense(struct outputs *outputs, const char *path,
                                  const struct problem *problem, const struct approximation *a,
                                  struct sn_error *error)
{
    const size_t shape[] = { (size_t)problem->n_outputs, (size_t)problem->n_inputs };
    float *what = path ? malloc(shape[0] * shape[1] * sizeof *what) : NULL;
    if (!path) return SN_OK;
    enum sn_status status = what ? sn_fit_dense(a->fit.matrix, a->fit.words, what, error)
                                 : sn_no_memory(error, "a matrix of %zu x %zu", shape[0], shape[1]);
    if (!status) status = write_array(outputs, path, 2, shape, what, error);
    free(what);
    return status;
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
    const size_t shape[] = { (size_t)problem->n_outputs };
    const char *inputs[PROBLEM_MAX_FILES];
    problem_files(problem, inputs);
    outputs_begin(&outputs, inputs);
    outputs_hold(); /* Ctrl-C that comes as a search ends does not take its result away. */
    enum sn_status status = write_net(&outputs, request->name, problem, a, error);
    if (!status) status = write_dense(&outputs, request->dense_out, problem, a, error);
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
    if (problem_read(&problem, &request.common, request.automatic, &error)
        || check_types(&request, &problem, &error))
        sn_die(&error);
    set_stages(&problem, &request.common);
    if (run_candidates(&request, &problem, &report, &error)
        || write_files(&request, &problem, &report.rows[report.chosen], &error))
        sn_die(&error);
    if (request.json) report_print_json(&report, &problem);
    else report_print_table(&report, &problem, request.name);
    report_free(&report);
    problem_free(&problem);
    return 0;
}
