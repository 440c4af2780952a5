/* structnet approx: replaces a connected layer by a structured one. */
#include "command.h"
#include "load_net.h"

#include <approx.h>
#include <plug_errors.h>
#include <structured_layer.h>
#include <weights_file.h>
#include <whole_file.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int run(int argc, char **argv);

const struct command approx_command = {
    "approx", run, "replaces a connected layer by a structured one",
    "usage: structnet approx CFG WEIGHTS --type sss|psm --share S -o NAME [OPTION]...\n"
    "\n"
    "Approximates the weight matrix of the last connected layer, or of the last 1x1 convolution\n"
    "in a net without one, and writes NAME.cfg and NAME.weights: the cfg with its comments and\n"
    "order, every other weight bit for bit, and the count of images seen set to 0, so that\n"
    "fine-tuning starts at batch 0.\n"
    "\n"
    "  --type T      sss: sequentially semiseparable; psm: product of sparse matrices\n"
    "  --share S     bytes of the structured matrix over bytes of the dense one, 0 < S <= 1;\n"
    "                indices are counted\n"
    "  --bytes B     the budget in bytes, instead of --share\n"
    "  --layer N     the layer to replace, counted from 0 as Darknet prints them\n"
    "  --stages N    sss: N equal segments instead of a search\n"
    "  --factors N   psm: 1 or 2 factors instead of the better of both\n"
    "  --seed N      of the random starts (default 0)\n"
    "  -o NAME       output files\n"
    "  --json        one object instead of the table\n"
};

struct request {
    const char *cfg, *weights, *name;
    const struct sn_family *family;
    double share, bytes;
    int layer, json;
    struct sn_fit_options fit;
};

static const struct sn_family *find_family(const char *name)
{
    const struct sn_family *family = sn_family_find(name);
    char known[128] = "";
    for (int i = 0; sn_families[i]; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", sn_families[i]->name);
    if (!family) command_usage_error(&approx_command, "--type: expected one of %s, found '%s'", known, name);
    return family;
}

static struct request read_request(int argc, char **argv)
{
    static const struct option options[] = {
        { "type", 1, 0, 't' }, { "share", 1, 0, 's' }, { "bytes", 1, 0, 'b' }, { "layer", 1, 0, 'l' },
        { "stages", 1, 0, 'n' }, { "factors", 1, 0, 'f' }, { "seed", 1, 0, 'r' }, { "output", 1, 0, 'o' },
        { "json", 0, 0, 'j' }, { "help", 0, 0, 'h' }, { 0 }
    };
    const struct command *command = &approx_command;
    struct request request = { .layer = -1 };
    for (int option; (option = getopt_long(argc, argv, "ho:", options, NULL)) != -1;) {
        switch (option) {
        case 't': request.family = find_family(optarg); break;
        case 's': request.share = command_number(command, "--share", optarg, 1e-12, 1); break;
        case 'b': request.bytes = command_number(command, "--bytes", optarg, 1, 1e12); break;
        case 'l': request.layer = command_whole_number(command, "--layer", optarg, 0, 1000000); break;
        case 'n': request.fit.n_stages = command_whole_number(command, "--stages", optarg, 1, 1000000); break;
        case 'f': request.fit.n_factors = command_whole_number(command, "--factors", optarg, 1, 2); break;
        case 'r': request.fit.seed = (uint64_t)command_number(command, "--seed", optarg, 0, 9e15); break;
        case 'o': request.name = optarg; break;
        case 'j': request.json = 1; break;
        default: command_other_option(command, option);
        }
    }
    command_check_arguments(command, argc, 2, 2);
    if (!request.family || !request.name || (request.share > 0) == (request.bytes > 0))
        command_usage_error(command, "expected --type, -o and one of --share and --bytes");
    const char *slash = strrchr(request.name, '/');
    if (!(slash ? slash[1] : request.name[0])) command_usage_error(command, "-o: expected a name, found '%s'", request.name);
    request.cfg = argv[optind];
    request.weights = argv[optind + 1];
    return request;
}

/* Whether the layer's weights are its matrix, row by row, in the file too. */
static int is_dense_matrix(const layer *l)
{
    int is_plain = l->type == CONNECTED || (!l->flipped && !l->numload && l->dot == 0);
    return is_plain && layer_matrix(l).n_rows && !structured_matrix(l);
}

/* The number of the layer to replace. */
static int choose_layer(const struct request *request, const network *net)
{
    struct sn_error error;
    int i = request->layer >= 0 ? request->layer : net->n - 1;
    if (request->layer < 0)
        while (i >= 0 && net->layers[i].type != CONNECTED) i--;
    if (i < 0)
        for (i = net->n - 1; i >= 0 && !is_dense_matrix(&net->layers[i]);) i--;
    if (i < 0) sn_fail(&error, SN_BAD_INPUT, "%s: expected a [connected] layer or a 1x1 convolution, found none", request->cfg);
    else if (i >= net->n)
        sn_fail(&error, SN_BAD_INPUT, "%s: --layer %d: the last layer is %d", request->cfg, i, net->n - 1);
    else if (!is_dense_matrix(&net->layers[i]))
        sn_fail(&error, SN_BAD_INPUT, "%s: layer %d is [%s], expected [connected], or [convolutional] with size=1, stride=1 and "
                "one group", request->cfg, i, weights_layer_name(&net->layers[i]));
    else if (net->layers[i].dontload)
        sn_fail(&error, SN_BAD_INPUT, "%s: layer %d has dontload=1, so that %s does not hold it", request->cfg, i,
                request->weights);
    else return i;
    sn_die(&error);
}

/* Keys of a 1x1 convolution that say what a structured layer with size=1 is anyway. */
static int is_dropped(const char *key)
{
    return !strcmp(key, "stride") || !strcmp(key, "pad") || !strcmp(key, "padding") || !strcmp(key, "groups");
}

static const struct cfg_key *key_of_line(const struct cfg_section *section, int line)
{
    for (int i = 0; i < section->n_keys; i++)
        if (section->keys[i].line == line) return &section->keys[i];
    return NULL;
}

/* Copies cfg to out with the section of the layer turned into the matrix' section: its name replaced within its line,
 * the shape behind its last key; of a convolution filters becomes output. All other lines stay as they are. */
static enum sn_status write_cfg(const struct request *request, const struct cfg_section *section, int is_convolution,
                                const struct sn_matrix *matrix, FILE *out, struct sn_error *error)
{
    char *line = NULL;
    size_t size = 0;
    int last = section->n_keys ? section->keys[section->n_keys - 1].line : section->line;
    FILE *in = fopen(request->cfg, "r");
    if (!in) return sn_fail(error, SN_IO, "%s: cannot read", request->cfg);
    for (int number = 1; getline(&line, &size, in) >= 0; number++) {
        char *bracket = number == section->line ? strchr(line, ']') : NULL;
        const struct cfg_key *key = is_convolution ? key_of_line(section, number) : NULL;
        if (bracket) fprintf(out, "[%s%s", matrix->family->name, bracket);
        else if (key && !strcmp(key->key, "filters")) {
            const char *word = strstr(line, "filters");
            fprintf(out, "%.*soutput%s", (int)(word - line), line, word + strlen("filters"));
        }
        else if (!key || !is_dropped(key->key)) fputs(line, out);
        if (number != last) continue;
        if (!strchr(line, '\n')) fputc('\n', out);
        if (is_convolution && !cfg_find(section, "filters")) fprintf(out, "output=%d\n", matrix->n_outputs);
        if (is_convolution && !cfg_find(section, "size")) fputs("size=1\n", out);
        matrix->family->print_keys(matrix, out);
    }
    free(line);
    fclose(in);
    return SN_OK;
}

/* Copies n bytes, or fails. */
static enum sn_status copy_bytes(FILE *in, FILE *out, size_t n, const char *path, struct sn_error *error)
{
    char buffer[65536];
    while (n) {
        size_t count = fread(buffer, 1, n < sizeof buffer ? n : sizeof buffer, in);
        if (!count) return sn_fail(error, SN_IO, "%s: cannot read", path);
        fwrite(buffer, 1, count, out);
        n -= count;
    }
    return SN_OK;
}

/* Copies the weights with the matrix of the layer replaced and the count of images seen set to 0. A convolution's batch
 * statistics stand before its weights; those of connected and structured layers behind. */
static enum sn_status write_weights(const struct request *request, const network *net, int target,
                                    const struct sn_fit *fit, FILE *out, struct sn_error *error)
{
    static const char zeros[sizeof(size_t)];
    struct weights_span span;
    enum sn_status status = weights_span(request->weights, &span, error);
    const layer *l = &net->layers[target];
    size_t before = 0, biases = sizeof(float) * (size_t)layer_matrix(l).n_rows;
    size_t matrix = biases * (size_t)layer_matrix(l).n_columns;
    size_t statistics = l->type == CONVOLUTIONAL && l->batch_normalize && !l->dontloadscales ? 3 * biases : 0;
    for (int i = 0; i < target; i++) before += weights_layer_bytes(&net->layers[i]);
    FILE *in = status ? NULL : fopen(request->weights, "rb");
    if (!in) return status ? status : sn_fail(error, SN_IO, "%s: cannot read", request->weights);
    status = copy_bytes(in, out, 3 * sizeof(int), request->weights, error);
    fwrite(zeros, 1, span.header_bytes - 3 * sizeof(int), out);
    if (!status && fseek(in, (long)span.header_bytes, SEEK_SET))
        status = sn_fail(error, SN_IO, "%s: cannot read", request->weights);
    if (!status) status = copy_bytes(in, out, before + biases, request->weights, error);
    fwrite(fit->words, sizeof(float), fit->matrix->n_words, out);
    if (!status) status = copy_bytes(in, out, statistics, request->weights, error);
    if (!status && fseek(in, (long)matrix, SEEK_CUR))
        status = sn_fail(error, SN_IO, "%s: cannot read", request->weights);
    if (!status)
        status = copy_bytes(in, out, span.file_bytes - span.header_bytes - before - biases - matrix - statistics,
                            request->weights, error);
    fclose(in);
    return status;
}

/* Opens NAME.SUFFIX, which must not be what is being read. */
static enum sn_status open_output(const struct request *request, const char *suffix, struct whole_file *out,
                                  struct sn_error *error)
{
    struct stat output, input;
    char path[4096];
    snprintf(path, sizeof path, "%s.%s", request->name, suffix);
    const char *inputs[] = { request->cfg, request->weights };
    for (int i = 0; i < 2; i++)
        if (!stat(path, &output) && !stat(inputs[i], &input) && output.st_dev == input.st_dev
            && output.st_ino == input.st_ino)
            return sn_fail(error, SN_BAD_INPUT, "%s: is an input, expected another -o", path);
    return whole_file_open(out, path, error);
}

/* Both files, or neither. */
static enum sn_status write_net(const struct request *request, const network *net, int target,
                                const struct cfg_section *section, const struct sn_fit *fit, struct sn_error *error)
{
    struct whole_file cfg = { 0 }, weights = { 0 };
    enum sn_status status;
    if ((status = open_output(request, "cfg", &cfg, error))) goto done;
    if ((status = open_output(request, "weights", &weights, error))) goto done;
    if ((status = write_cfg(request, section, net->layers[target].type == CONVOLUTIONAL, fit->matrix, cfg.file, error))) goto done;
    if ((status = write_weights(request, net, target, fit, weights.file, error))) goto done;
    if ((status = whole_file_close(&cfg, error)) || (status = whole_file_close(&weights, error))) goto done;
    if ((status = whole_file_publish(&cfg, error)) || (status = whole_file_publish(&weights, error))) goto done;
done:
    whole_file_discard(&cfg);
    whole_file_discard(&weights);
    return status;
}

static void show_progress(void *context, double done, double error)
{
    command_progress(done < 1 ? done : 0.999, "%s error %.4f", (const char *)context, error);
}

static void print_result(const struct request *request, int target, const struct sn_fit *fit)
{
    const struct sn_matrix *matrix = fit->matrix;
    double bytes = 4. * (double)matrix->n_words, dense = 4. * matrix->n_outputs * (double)matrix->n_inputs;
    if (!request->json) {
        printf("layer      %d, %d x %d\n", target, matrix->n_outputs, matrix->n_inputs);
        printf("type       %s\n", matrix->family->name);
        matrix->family->print_keys(matrix, stdout);
        printf("parameters %zu of %.0f\n", matrix->n_values, dense / 4);
        printf("bytes      %.0f of %.0f, share %.4f\n", bytes, dense, bytes / dense);
        printf("error      %.6f relative, Frobenius\n", fit->error);
        printf("files      %s.cfg %s.weights\n", request->name, request->name);
        return;
    }
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "layer", target);
    cJSON_AddStringToObject(root, "type", matrix->family->name);
    cJSON_AddNumberToObject(root, "outputs", matrix->n_outputs);
    cJSON_AddNumberToObject(root, "inputs", matrix->n_inputs);
    cJSON_AddNumberToObject(root, "params", (double)matrix->n_values);
    cJSON_AddNumberToObject(root, "bytes", bytes);
    cJSON_AddNumberToObject(root, "dense_bytes", dense);
    cJSON_AddNumberToObject(root, "share", bytes / dense);
    cJSON_AddNumberToObject(root, "error", fit->error);
    command_print_json(root);
}

/* Makes the section what write_cfg will make of it, with keys of its own (free()). */
static enum sn_status rename_keys(struct cfg_section *section, const char *name, int is_convolution,
                                  struct sn_error *error)
{
    int n = 0;
    struct cfg_key *keys = malloc(((size_t)section->n_keys + 1) * sizeof *keys);
    if (!keys) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", section->path);
    for (int i = 0; i < section->n_keys; i++) {
        if (is_convolution && is_dropped(section->keys[i].key)) continue;
        keys[n] = section->keys[i];
        if (is_convolution && !strcmp(keys[n].key, "filters")) keys[n].key = "output";
        n++;
    }
    section->name = name;
    section->keys = keys;
    section->n_keys = n;
    return SN_OK;
}

static int run(int argc, char **argv)
{
    struct request request = read_request(argc, argv);
    struct sn_error error = { 0 };
    struct sn_fit fit;
    network *net = load_net(request.cfg, request.weights);
    int target = choose_layer(&request, net);
    const layer *l = &net->layers[target];
    struct cfg_text *cfg = cfg_read(request.cfg, &error);
    if (!cfg) sn_die(&error);
    struct cfg_section section = cfg->sections[target + 1];
    for (const char *const *key = request.family->keys; *key; key++)
        if (cfg_find(&section, *key) && cfg_fail(&section, *key, &error, "expected no key of [%s] here", request.family->name))
            sn_die(&error);
    struct cfg_section future = section;
    if (rename_keys(&future, request.family->name, l->type == CONVOLUTIONAL, &error)
        || structured_check_keys(&future, &error)) sn_die(&error);
    struct layer_matrix dense = layer_matrix(l);
    double dense_bytes = sizeof(float) * (double)dense.n_rows * dense.n_columns;
    request.fit.budget_bytes = (size_t)(request.bytes > 0 ? request.bytes : request.share * dense_bytes + 1e-6);
    request.fit.progress = show_progress;
    request.fit.context = (void *)request.family->name;
    if (sn_fit_find(request.family)(l->weights, dense.n_rows, dense.n_columns, &request.fit, &fit, &error)) sn_die(&error);
    command_progress(1, " ");
    if (write_net(&request, net, target, &section, &fit, &error)) sn_die(&error);
    print_result(&request, target, &fit);
    sn_fit_free(&fit);
    free(future.keys);
    cfg_free(cfg);
    free_network(net);
    return 0;
}
