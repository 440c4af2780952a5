#include "request.h"

#include "choose_layer.h"

#include <levels.h>

#include <stdio.h>
#include <string.h>

/* What getopt_long returns: values beyond all characters. Options of families are FAMILY_OPTION and
 * on. */
enum {
    MATRIX = 256,
    BIAS,
    LAYER,
    FEATURES,
    LABELS,
    MOMENTS,
    JUDGE,
    HOLDOUT,
    SHRINKAGE,
    SEED,
    EFFORT,
    BITS,
    FAMILY_OPTION = 1024
};

static const struct option shared[] = {
    { "matrix", 1, 0, MATRIX },     { "bias", 1, 0, BIAS },       { "layer", 1, 0, LAYER },
    { "features", 1, 0, FEATURES }, { "labels", 1, 0, LABELS },   { "moments", 1, 0, MOMENTS },
    { "judge", 1, 0, JUDGE },       { "holdout", 1, 0, HOLDOUT }, { "shrinkage", 1, 0, SHRINKAGE },
    { "seed", 1, 0, SEED },         { "effort", 1, 0, EFFORT },   { "bits", 1, 0, BITS }
};
enum { N_SHARED = sizeof shared / sizeof *shared };

struct request request_default(void)
{
    struct request request = { .layer = -1, .holdout = .2 };
    const struct sn_fit_option *option;
    for (int i = 0; i < REQUEST_MAX_SETTINGS && (option = sn_fit_option_at(i)); i++)
        request.settings[i].name = option->name;
    return request;
}

void request_options(const struct option *own, int n_own,
                     struct option options[REQUEST_MAX_OPTIONS])
{
    const struct sn_fit_option *family;
    struct option *next = options + n_own + N_SHARED, *last = options + REQUEST_MAX_OPTIONS - 1;
    memset(options, 0, REQUEST_MAX_OPTIONS * sizeof *options);
    memcpy(options, own, (size_t)n_own * sizeof *own);
    memcpy(options + n_own, shared, sizeof shared);
    for (int i = 0; next < last && i < REQUEST_MAX_SETTINGS && (family = sn_fit_option_at(i)); i++)
        *next++ = (struct option){ family->name, 1, 0, FAMILY_OPTION + i };
}

enum sn_effort request_read_effort(const struct command *command, const char *text)
{
    static const char *const names[] = {
        [SN_NORMAL] = "normal", [SN_QUICK] = "quick", [SN_THOROUGH] = "thorough"
    };
    for (int i = 0; i < 3; i++)
        if (!strcmp(text, names[i])) return (enum sn_effort)i;
    command_usage_error(command, "--effort: expected one of quick, normal, thorough, found '%s'",
                        text);
}

/* The value of a family's option: a number, or the place of a word. */
static int read_setting(const struct command *command, const struct sn_fit_option *option,
                        const char *text)
{
    char name[64], words[256] = "";
    snprintf(name, sizeof name, "--%s", option->name);
    if (!option->words)
        return command_whole_number(command, name, text, option->minimum, option->maximum);
    for (int i = 0; option->words[i]; i++) {
        if (!strcmp(text, option->words[i])) return option->minimum + i;
        snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s", i ? ", " : "",
                 option->words[i]);
    }
    command_usage_error(command, "%s: expected one of %s, found '%s'", name, words, text);
}

int request_read_bits(const struct command *command, const char *list, int bits[REQUEST_MAX_BITS])
{
    char text[16];
    int n_bits = 0;
    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ",");
        snprintf(text, sizeof text, "%.*s", (int)(n < sizeof text ? n : sizeof text - 1), at);
        int found = command_whole_number(command, "--bits", text, 1, 32);
        if (found != 32 && !sn_bits_are_few(found))
            command_usage_error(command, "--bits: expected 1, 2, 3, 4, 8 or 32, found %d", found);
        for (int i = 0; i < n_bits; i++)
            if (bits[i] == found) command_usage_error(command, "--bits: found %d twice", found);
        bits[n_bits++] = found;
        if (!*(at += n)) return n_bits;
    }
}

int request_option(struct request *request, const struct command *command, int option)
{
    int family = option - FAMILY_OPTION;
    switch (option) {
    case MATRIX: request->matrix = optarg; break;
    case BIAS: request->bias = optarg; break;
    case LAYER: request->layer = choose_layer_option(command, optarg); break;
    case FEATURES: request->features = optarg; break;
    case LABELS: request->labels = optarg; break;
    case MOMENTS: request->moments = optarg; break;
    case JUDGE: request->judge = optarg; break;
    case HOLDOUT:
        request->holdout = command_number(command, "--holdout", optarg, 0, 1 - 1e-6);
        break;
    case SHRINKAGE:
        request->shrinkage = command_number(command, "--shrinkage", optarg, 1e-12, 1);
        break;
    case SEED: request->seed = (uint64_t)command_number(command, "--seed", optarg, 0, 9e15); break;
    case BITS: request->n_bits = request_read_bits(command, optarg, request->bits); break;
    case EFFORT: request->effort = request_read_effort(command, optarg); break;
    default:
        if (family < 0) return 0;
        request->settings[family].value = read_setting(command, sn_fit_option_at(family), optarg);
    }
    return 1;
}

void request_arguments(struct request *request, const struct command *command, int argc,
                       char **argv)
{
    int n = request->matrix ? 0 : 2;
    command_check_arguments(command, argc, n, n);
    if (!request->matrix) {
        request->cfg = argv[optind];
        request->weights = argv[optind + 1];
    }
    if (request->matrix && request->layer >= 0)
        command_usage_error(command, "--layer: expected CFG and WEIGHTS, found --matrix");
    if (request->bias && !request->matrix)
        command_usage_error(command, "--bias: expected --matrix with it");
    if (request->moments && request->features)
        command_usage_error(command, "expected --features or --moments, found both");
    if (request->labels && !request->features)
        command_usage_error(command, "--labels: expected --features with it");
    if (request->judge && !request->moments)
        command_usage_error(command, "--judge: expected --moments with it");
    if (request->shrinkage > 0 && !request->features && !request->moments)
        command_usage_error(command, "--shrinkage: expected --features or --moments with it");
}

void request_print_settings(void)
{
    const struct sn_fit_option *option;
    char name[64];
    for (int i = 0; (option = sn_fit_option_at(i)); i++) {
        snprintf(name, sizeof name, "  --%s %s", option->name, option->argument);
        command_print_option(18, name, option->help);
    }
}
