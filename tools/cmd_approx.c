/* structnet approx: replaces a dense matrix, of a layer or from a file, by a structured one. */
#include "approximation.h"
#include "npy.h"
#include "outputs.h"
#include "replace_layer.h"

#include <family.h>

#include <cblas.h>
#include <math.h>
#include <plug_errors.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv);
static void print_options(void);

const struct command approx_command = {
    .name = "approx",
    .run = run,
    .summary = "replaces a dense matrix by a structured one",
    .usage =
        "usage: structnet approx CFG WEIGHTS --type T --share S -o NAME [OPTION]...\n"
        "       structnet approx --matrix W.npy --type T --share S [OPTION]...\n"
        "\n"
        "Approximates the weight matrix of a layer and writes NAME.cfg and NAME.weights: the cfg with\n"
        "its comments and order, every other weight bit for bit, and the count of images seen set to\n"
        "0, so that fine-tuning starts at batch 0. Or approximates a NumPy matrix (float32 or float64);\n"
        "with -o NAME the files hold a net of that one layer.\n"
        "\n"
        "  --share S       budget: bytes over bytes of the dense matrix, 0 < S <= 1, indices counted\n"
        "  --bytes B       budget in bytes, instead of --share\n"
        "  --params P      budget in stored values, indices not counted, instead of --share\n",
    .print_options = print_options,
    .usage_end = PROBLEM_HELP
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
    const struct sn_fit_option *option;
    char name[64];
    puts("  --type T        one of");
    for (int i = 0; (type = approximation_type_at(i)); i++) {
        snprintf(name, sizeof name, "                    %s", type->name);
        command_print_option(32, name, type->help);
    }
    command_print_option(32, "                    auto",
                         "all that are layers, and the best is kept, the best on\n"
                         "half of the rows held out; the other half judges");
    for (int i = 0; (option = sn_fit_option_at(i)); i++) {
        snprintf(name, sizeof name, "  --%s %s", option->name, option->argument);
        command_print_option(18, name, option->help);
    }
}

/* Options of families, which getopt_long returns as FAMILY_OPTION and on. */
enum { MAX_SETTINGS = 32, FAMILY_OPTION = 1024 };

struct request {
    struct problem_source source;
    const struct sn_fit_type *type; /* NULL with automatic */
    int automatic, json;
    double share, bytes, params;
    const char *name, *dense_out, *bias_out;
    int n_settings;
    struct sn_fit_setting settings[MAX_SETTINGS + 1]; /* a row without a name ends them */
};

static void read_type(struct request *request, const char *name)
{
    request->automatic = !strcmp(name, "auto");
    request->type = approximation_find(name);
    if (!request->type && !request->automatic)
        command_usage_error(&approx_command, "--type: expected one of auto,%s, found '%s'",
                            approximation_names(), name);
}

/* The value of a family's option: a number, or the place of a word. */
static int read_value(const struct sn_fit_option *option, const char *text)
{
    char name[64], words[256] = "";
    snprintf(name, sizeof name, "--%s", option->name);
    if (!option->words)
        return command_whole_number(&approx_command, name, text, option->minimum, option->maximum);
    for (int i = 0; option->words[i]; i++) {
        if (!strcmp(text, option->words[i])) return option->minimum + i;
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", i ? ", " : "",
                 option->words[i]);
    }
    command_usage_error(&approx_command, "%s: expected one of %s, found '%s'", name, words, text);
}

/* The last value of an option counts. */
static void add_setting(struct request *request, const struct sn_fit_option *option,
                        const char *text)
{
    int value = read_value(option, text), i = 0;
    while (i < request->n_settings && strcmp(request->settings[i].name, option->name)) i++;
    if (i == MAX_SETTINGS) command_usage_error(&approx_command, "too many options");
    request->n_settings += i == request->n_settings;
    request->settings[i] = (struct sn_fit_setting){ option->name, value };
}

static void check_request(const struct request *request)
{
    const struct command *command = &approx_command;
    int n_budgets = (request->share > 0) + (request->bytes > 0) + (request->params > 0);
    int is_layer = request->automatic || (request->type && request->type->family);
    if (!request->type && !request->automatic) command_usage_error(command, "expected --type");
    if (n_budgets > 1 || (is_layer && !n_budgets))
        command_usage_error(command, "expected one of --share, --bytes and --params, found %d",
                            n_budgets);
    if (!is_layer && request->name)
        command_usage_error(command, "-o: expected a type of layer with it, found --type %s",
                            request->type->name);
    if (is_layer && !request->name && !request->source.matrix)
        command_usage_error(command, "expected -o");
    if (request->bias_out && !request->source.matrix)
        command_usage_error(command, "--bias-out: expected --matrix with it");
    const char *slash = request->name ? strrchr(request->name, '/') : NULL;
    if (request->name && !(slash ? slash[1] : request->name[0]))
        command_usage_error(command, "-o: expected a name, found '%s'", request->name);
}

static struct request read_request(int argc, char **argv)
{
    static const struct option own[] = { { "type", 1, 0, 't' },     { "share", 1, 0, 's' },
                                         { "bytes", 1, 0, 'b' },    { "params", 1, 0, 'p' },
                                         { "output", 1, 0, 'o' },   { "dense-out", 1, 0, 'd' },
                                         { "bias-out", 1, 0, 'c' }, { "json", 0, 0, 'j' },
                                         { "help", 0, 0, 'h' },     PROBLEM_OPTIONS };
    enum { N_OWN = sizeof own / sizeof *own };
    struct option options[N_OWN + MAX_SETTINGS + 1] = { 0 };
    const struct sn_fit_option *family;
    memcpy(options, own, sizeof own);
    for (int i = 0; i < MAX_SETTINGS && (family = sn_fit_option_at(i)); i++)
        options[N_OWN + i] = (struct option){ family->name, 1, 0, FAMILY_OPTION + i };
    const struct command *command = &approx_command;
    struct request request = { .source = PROBLEM_SOURCE };
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
            if (option >= FAMILY_OPTION)
                add_setting(&request, sn_fit_option_at(option - FAMILY_OPTION), optarg);
            else if (!problem_option(&request.source, command, option))
                command_other_option(command, option);
        }
    }
    problem_arguments(&request.source, command, argc, argv);
    check_request(&request);
    return request;
}

/* ---- running */

/* The types that one call tries, in the order of the table. */
enum { MAX_ROWS = 16 };

struct report {
    int n;
    struct approximation rows[MAX_ROWS];
    int chosen;
    struct approximation int8;
    double dense_top1;
};

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

static int is_tried(const struct request *request, const struct sn_fit_type *type)
{
    return request->automatic ? type->family != NULL : type == request->type;
}

static enum sn_status check_types(const struct request *request, const struct problem *problem,
                                  struct sn_error *error)
{
    const struct sn_fit_type *type;
    for (int i = 0; (type = approximation_type_at(i)); i++)
        if (is_tried(request, type) && type->family && replace_check(problem, type->family, error))
            return error->code;
    return SN_OK;
}

static struct sn_fit_options fit_options(const struct request *request,
                                         const struct problem *problem)
{
    struct sn_fit_options options = { .settings = request->settings };
    options.budget_bytes = request->share > 0 ? problem_share_bytes(problem, request->share)
                                              : (size_t)request->bytes;
    options.budget_values = (size_t)request->params;
    options.effort = request->source.effort;
    options.stop = &stop;
    options.progress = show_progress;
    return options;
}

/* Runs the types. One for which the budget is too small is left out where there are others. */
static enum sn_status run_types(const struct request *request, const struct problem *problem,
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
        enum sn_status status = approximate(problem, type, &options, &report->rows[report->n],
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
    return approximate(problem, approximation_find("dense-int8"), &options, &report->int8, error);
}

/* ---- files */

static void write_array(FILE *file, int n_dimensions, const size_t *shape, const float *values)
{
    npy_write_header(file, "<f4", n_dimensions, shape);
    fwrite(values, sizeof *values, shape[0] * (n_dimensions > 1 ? shape[1] : 1), file);
}

static FILE *open_named(struct outputs *outputs, const char *name, const char *suffix,
                        const char *const *inputs, struct sn_error *error)
{
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", name, suffix);
    return outputs_open(outputs, path, inputs, error);
}

/* All files, or none. */
static enum sn_status write_files(const struct request *request, const struct problem *problem,
                                  const struct approximation *a, struct sn_error *error)
{
    struct outputs outputs;
    const size_t shape[] = { (size_t)problem->n_outputs, (size_t)problem->n_inputs };
    const char *inputs[PROBLEM_MAX_FILES];
    FILE *cfg, *weights, *file;
    outputs_begin(&outputs);
    problem_files(problem, inputs);
    enum sn_status status = SN_OK;
    if (request->name) {
        if (!(cfg = open_named(&outputs, request->name, "cfg", inputs, error))
            || !(weights = open_named(&outputs, request->name, "weights", inputs, error)))
            status = error->code;
        else status = replace_write(problem, a, cfg, weights, error);
    }
    if (!status && request->dense_out) {
        if (!(file = outputs_open(&outputs, request->dense_out, inputs, error)))
            status = error->code;
        else write_array(file, 2, shape, a->dense);
    }
    if (!status && request->bias_out) {
        if (!(file = outputs_open(&outputs, request->bias_out, inputs, error)))
            status = error->code;
        else write_array(file, 1, shape, a->bias);
    }
    if (status) outputs_discard(&outputs);
    else status = outputs_publish(&outputs, error);
    return status;
}

/* ---- reports */

/* A number that may not exist. */
static void add_number(cJSON *root, const char *key, double value)
{
    if (!isnan(value)) cJSON_AddNumberToObject(root, key, value);
}

static cJSON *to_json(const struct problem *problem, const struct report *report,
                      const struct approximation *a, int is_choice_known)
{
    cJSON *root = cJSON_CreateObject();
    if (problem->net) cJSON_AddNumberToObject(root, "layer", problem->layer);
    cJSON_AddStringToObject(root, "type", a->type->name);
    cJSON_AddNumberToObject(root, "outputs", problem->n_outputs);
    cJSON_AddNumberToObject(root, "inputs", problem->n_inputs);
    cJSON_AddNumberToObject(root, "params", (double)a->params);
    cJSON_AddNumberToObject(root, "bytes", (double)a->bytes);
    cJSON_AddNumberToObject(root, "dense_bytes", problem_dense_bytes(problem));
    cJSON_AddNumberToObject(root, "share", (double)a->bytes / problem_dense_bytes(problem));
    cJSON_AddNumberToObject(root, "error", a->error);
    if (is_choice_known) cJSON_AddNumberToObject(root, "choice_error", a->choice);
    add_number(root, "output_error", a->judged.error);
    add_number(root, "output_error_uncorrected", a->judged.uncorrected);
    add_number(root, "top1", a->judged.top1);
    add_number(root, "dense_top1", report->dense_top1);
    cJSON_AddNumberToObject(root, "seconds", a->seconds);
    if (a->shrinkage > 0) {
        cJSON_AddNumberToObject(root, "shrinkage", a->shrinkage);
        cJSON_AddNumberToObject(root, "alignment", a->alignment);
    }
    if (problem->judge.n) cJSON_AddNumberToObject(root, "holdout_rows", problem->judge.n);
    return root;
}

static void print_json(const struct request *request, const struct problem *problem,
                       const struct report *report)
{
    cJSON *root = to_json(problem, report, &report->rows[report->chosen], request->automatic);
    if (request->automatic) {
        cJSON *candidates = cJSON_AddArrayToObject(root, "candidates");
        for (int i = 0; i < report->n; i++)
            cJSON_AddItemToArray(candidates, to_json(problem, report, &report->rows[i], 1));
    }
    cJSON_AddItemToObject(root, "dense_int8", to_json(problem, report, &report->int8, 0));
    command_print_json(root);
}

/* A cell of a table, "-" for a number that does not exist. */
static void print_cell(double value, double scale, int width, int decimals)
{
    if (isnan(value)) printf(" %*s", width, "-");
    else printf(" %*.*f", width, decimals, scale * value);
}

static void print_row(const struct problem *problem, const struct approximation *a, char mark)
{
    printf("%c %-10s %9zu %7.4f %9.6f", mark, a->type->name, a->bytes,
           (double)a->bytes / problem_dense_bytes(problem), a->error);
    print_cell(a->type->family ? a->choice : NAN, 1, 9, 6);
    print_cell(a->judged.error, 1, 9, 6);
    print_cell(a->judged.top1, 100, 7, 2);
    printf(" %8.2f\n", a->seconds);
}

static void print_candidates(const struct problem *problem, const struct report *report)
{
    printf("  %-10s %9s %7s %9s %9s %9s %7s %8s\n", "type", "bytes", "share", "error", "choice",
           "output", "top-1", "seconds");
    for (int i = 0; i < report->n; i++)
        print_row(problem, &report->rows[i], i == report->chosen ? '*' : ' ');
    print_row(problem, &report->int8, ' ');
    printf("* chosen: least error of %s",
           problem->choose.n   ? "outputs on the rows that choose"
               : problem->mean ? "outputs on the rows that fitted"
                               : "the matrix");
    if (problem->judge.n) printf("; output error and top-1 on %d other rows", problem->judge.n);
    printf("\n\n");
}

static void print_judged(const struct problem *problem, const struct report *report,
                         const struct approximation *a)
{
    if (!isnan(a->judged.error))
        printf("output     %.6f relative, on %d rows held out; %.6f with the old bias\n",
               a->judged.error, problem->judge.n, a->judged.uncorrected);
    if (!isnan(a->judged.top1))
        printf("top-1      %.2f %% of %d rows held out, dense %.2f %%\n", 100 * a->judged.top1,
               problem->judge.n, 100 * report->dense_top1);
    if (a->shrinkage > 0) printf("shrinkage  %.3g, alignment %.3g\n", a->shrinkage, a->alignment);
}

static void print_int8(const struct approximation *a)
{
    printf("dense-int8 %zu bytes, error %.6f", a->bytes, a->error);
    if (!isnan(a->judged.error)) printf(", output %.6f", a->judged.error);
    if (!isnan(a->judged.top1)) printf(", top-1 %.2f %%", 100 * a->judged.top1);
    printf("\n");
}

static void print_table(const struct request *request, const struct problem *problem,
                        const struct report *report)
{
    const struct approximation *a = &report->rows[report->chosen];
    if (request->automatic) print_candidates(problem, report);
    if (problem->net)
        printf("layer      %d, %d x %d\n", problem->layer, problem->n_outputs, problem->n_inputs);
    else printf("matrix     %d x %d\n", problem->n_outputs, problem->n_inputs);
    printf("type       %s\n", a->type->name);
    if (a->fit.matrix) a->fit.matrix->family->print_keys(a->fit.matrix, stdout);
    printf("parameters %zu of %.0f\n", a->params, problem_dense_bytes(problem) / sizeof(float));
    printf("bytes      %zu of %.0f, share %.4f\n", a->bytes, problem_dense_bytes(problem),
           (double)a->bytes / problem_dense_bytes(problem));
    printf("error      %.6f relative, Frobenius\n", a->error);
    print_judged(problem, report, a);
    printf("seconds    %.2f\n", a->seconds);
    if (!request->automatic && a->type->family && problem->mean) print_int8(&report->int8);
    if (request->name) printf("files      %s.cfg %s.weights\n", request->name, request->name);
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct problem problem;
    struct report report = { 0 };
    openblas_set_num_threads(1); /* Results must not depend on the number of threads. */
    if (request.source.effort == SN_THOROUGH) catch_interrupt();
    if (problem_read(&problem, &request.source, request.automatic, &error)
        || check_types(&request, &problem, &error) || run_types(&request, &problem, &report, &error)
        || write_files(&request, &problem, &report.rows[report.chosen], &error))
        sn_die(&error);
    if (request.json) print_json(&request, &problem, &report);
    else print_table(&request, &problem, &report);
    for (int i = 0; i < report.n; i++) approximation_free(&report.rows[i]);
    approximation_free(&report.int8);
    problem_free(&problem);
    return 0;
}
