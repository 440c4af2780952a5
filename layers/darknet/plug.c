/* What Darknet's parser.c calls instead of its own functions (see plug.h), and what the linker and
 * the compiler's -D redirect in the rest of Darknet: matrix products to BLAS, every exit to
 * status 1. */
#define PLUG_IMPLEMENTATION
#include "plug.h"

#include "plug_errors.h"
#include "product.h"
#include "relu6_layer.h"
#include "structured_layer.h"
#include "weights_file.h"
#include "whole_file.h"

#include <errno.h>
#include <math.h>
#include <option_list.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LAYER_TYPE string_to_layer_type(char *type);
void __wrap_gemm(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                 int ldb, float BETA, float *C, int ldc);
void __wrap_gemm_cpu(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                     int ldb, float BETA, float *C, int ldc);
void __wrap_error(const char *text) __attribute__((noreturn));
void plug_exit(int status) __attribute__((noreturn));

const char *sn_program = "darknet";
void (*sn_before_error)(void);
void (*sn_before_exit)(void);

/* The cfg that is being parsed: Darknet's lists know no line numbers. */
static struct cfg_text *cfg;

/* The weights file that is being read, for messages, or written. */
static const char *reading;
static struct whole_file writing;

void sn_die(const struct sn_error *error)
{
    if (sn_before_error) sn_before_error();
    whole_file_discard(&writing);
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", sn_program, error->message);
    exit(1);
}

/* Darknet exits only after it has printed a message about a file, and then with status 0. */
void plug_exit(int status)
{
    (void)status;
    if (sn_before_exit) sn_before_exit();
    exit(1);
}

/* Darknet's error() aborts with a core dump. */
void __wrap_error(const char *text)
{
    struct sn_error error;
    sn_fail(&error, SN_BAD_INPUT, "%s%s%s", cfg ? cfg->path : "", cfg ? ": " : "", text);
    sn_die(&error);
}

/* Darknet's own keys that a connected layer understands, by their values. */
static const char *const flag_keys[] = { "batch_normalize", "truth",    "onlyforward",
                                         "stopbackward",    "dontsave", "dontload",
                                         "dontloadscales",  NULL };
static const char *const number_keys[] = { "learning_rate", "smooth", NULL };
static const char *const other_keys[] = { "output", "activation", "numload", "size", NULL };

static int listed(const char *const *keys, const char *key)
{
    while (*keys && strcmp(*keys, key)) keys++;
    return *keys != NULL;
}

/* Darknet takes what is no number for 0. */
static enum sn_status check_value(const struct cfg_section *section, const struct cfg_key *key,
                                  struct sn_error *error)
{
    if (listed(flag_keys, key->key) && strcmp(key->value, "0") && strcmp(key->value, "1"))
        return cfg_fail(section, key->key, error, "expected 0 or 1, found '%s'", key->value);
    if (!listed(number_keys, key->key)) return SN_OK;
    char *end;
    double number = strtod(key->value, &end);
    if (*end || !isfinite(number))
        return cfg_fail(section, key->key, error, "expected a number, found '%s'", key->value);
    return SN_OK;
}

enum sn_status structured_check_keys(const struct cfg_section *section, struct sn_error *error)
{
    static const char *const none[] = { NULL };
    const struct sn_family *family = sn_family_find(section->name);
    int ours = family || !strcmp(section->name, "relu6");
    const char *const *keys = family ? family->keys : none;
    for (int i = 0; ours && i < section->n_keys; i++) {
        const struct cfg_key *key = &section->keys[i];
        if (!listed(keys, key->key) && !listed(flag_keys, key->key)
            && !listed(number_keys, key->key) && !(family && listed(other_keys, key->key)))
            return cfg_fail(section, key->key, error, "unknown key");
        if (cfg_find(section, key->key) != key)
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s] %s: already given in line %d",
                           section->path, key->line, section->name, key->key,
                           cfg_find(section, key->key)->line);
        enum sn_status status = check_value(section, key, error);
        if (status) return status;
    }
    return SN_OK;
}

/* Sections: [net] first, then layers that Darknet or a family knows. */
static enum sn_status check_sections(const struct cfg_text *text, struct sn_error *error)
{
    for (int i = 0; i < text->n_sections; i++) {
        const struct cfg_section *section = &text->sections[i];
        char type[64];
        snprintf(type, sizeof type, "[%s]", section->name);
        LAYER_TYPE found = string_to_layer_type(type);
        if (i == 0 && found != NETWORK)
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: %s: expected [net] first", text->path,
                           section->line, type);
        if (found == BLANK || (i > 0 && found == NETWORK))
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: %s: unknown section, expected a layer",
                           text->path, section->line, type);
        enum sn_status status = structured_check_keys(section, error);
        if (status) return status;
    }
    if (text->n_sections < 2)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected at least one layer, found none",
                       text->path);
    return SN_OK;
}

network *parse_network_cfg(char *path)
{
    struct sn_error error = { 0 };
    signal(SIGXFSZ, SIG_IGN); /* A write beyond the file size limit then fails, and is reported. */
    cfg = cfg_read(path, &error);
    if (!cfg || check_sections(cfg, &error)) sn_die(&error);
    network *net = stock_parse_network_cfg(path);
    cfg_free(cfg);
    cfg = NULL;
    return net;
}

LAYER_TYPE plug_layer_type(const char *type)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(type + 1, "]"), type + 1);
    return sn_family_find(name) ? CONNECTED : strcmp(name, "relu6") ? BLANK : ACTIVE;
}

/* The activation by its exact name: Darknet would quietly take relu for an unknown one. */
static enum sn_status read_activation(const struct cfg_section *section, ACTIVATION *activation,
                                      struct sn_error *error)
{
    const struct cfg_key *key = cfg_find(section, "activation");
    for (int a = LOGISTIC; key && a <= SELU; a++)
        if (!strcmp(get_activation_string((ACTIVATION)a), key->value)) {
            *activation = (ACTIVATION)a;
            return SN_OK;
        }
    return key ? cfg_fail(section, "activation", error, "unknown activation '%s'", key->value)
               : SN_OK;
}

/* Darknet has taken the numbers with atoi; here they are read again, strictly. */
static enum sn_status read_common(const struct cfg_section *section, int *outputs,
                                  ACTIVATION *activation, struct sn_error *error)
{
    if (!cfg_find(section, "output"))
        return cfg_fail(section, "output", error, "expected the number of outputs, found none");
    enum sn_status status = cfg_int(section, "output", 1, outputs, error);
    return status ? status : read_activation(section, activation, error);
}

/* Ends the process while Darknet is in the middle of a line of its layer table. */
static void die_in_table(const struct sn_error *error)
{
    fputc('\n', stderr);
    sn_die(error);
}

/* The matrix of a section, for all inputs or, with size=1, for the channels of an image, whose size
 * it writes. */
static struct sn_matrix *parse_matrix(const struct cfg_section *section,
                                      const struct plug_params *from, int n_outputs, int *w, int *h,
                                      struct sn_error *error)
{
    int size = 0, n_inputs = from->inputs;
    *w = *h = 1;
    if (cfg_int(section, "size", 1, &size, error)) return NULL;
    if (n_inputs < 1)
        sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s]: the layer before it has no outputs",
                section->path, section->line, section->name);
    else if (size > 1) cfg_fail(section, "size", error, "expected 1, found %d", size);
    else if (size == 1 && (double)from->w * from->h * from->c != n_inputs)
        cfg_fail(section, "size", error, "expected an image from the layer before, found %d values",
                 n_inputs);
    if (error->code) return NULL;
    if (size == 1) {
        *w = from->w;
        *h = from->h;
        n_inputs = from->c;
    }
    return sn_family_find(section->name)->parse(section, n_outputs, n_inputs, error);
}

layer plug_make_layer(list *options, struct plug_params from, int outputs, ACTIVATION activation,
                      int batch_normalize, int adam)
{
    const struct cfg_section *section = &cfg->sections[from.index + 1];
    const struct sn_family *family = sn_family_find(section->name);
    struct sn_error error = { 0 };
    int w, h;
    if (!family)
        return make_connected_layer(from.batch, from.inputs, outputs, activation, batch_normalize,
                                    adam);
    if (read_common(section, &outputs, &activation, &error)) die_in_table(&error);
    struct sn_matrix *matrix = parse_matrix(section, &from, outputs, &w, &h, &error);
    if (!matrix) die_in_table(&error);
    for (int i = 0; family->keys[i]; i++)
        option_find(options, (char *)family->keys[i]); /* Marks them as used. */
    option_find(options, (char *)"size");
    fprintf(stderr, "%-36s %4d  ->  %4d  %zu values, %.1f %% of dense\n", family->name,
            matrix->n_inputs, outputs, matrix->n_values,
            100. * (double)matrix->n_words / ((double)matrix->n_inputs * outputs));
    layer l = make_structured_layer(from.batch, w, h, matrix, activation, batch_normalize, adam,
                                    &error);
    if (error.code) {
        struct sn_error placed;
        sn_fail(&placed, error.code, "%s:%d: [%s]: %.800s", section->path, section->line,
                section->name, error.message);
        die_in_table(&placed);
    }
    return l;
}

layer plug_make_activation_layer(struct plug_params from, ACTIVATION activation)
{
    const struct cfg_section *section = &cfg->sections[from.index + 1];
    struct sn_error error;
    if (strcmp(section->name, "relu6"))
        return make_activation_layer(from.batch, from.inputs, activation);
    layer l = make_relu6_layer(from.batch, from.inputs);
    if (!l.output || !l.delta) {
        sn_fail(&error, SN_NO_MEMORY,
                "%s:%d: [relu6]: out of memory for %d values and a batch of %d", section->path,
                section->line, from.inputs, from.batch);
        die_in_table(&error);
    }
    fprintf(stderr, "%-36s %4d  ->  %4d\n", "relu6", from.inputs, from.inputs);
    return l;
}

size_t plug_fread(void *data, size_t size, size_t n, FILE *file)
{
    size_t found = fread(data, size, n, file);
    if (found < n && ferror(file)) {
        struct sn_error error;
        sn_fail(&error, SN_IO, "%s: cannot read: %s", reading ? reading : "weights",
                strerror(errno));
        sn_die(&error);
    }
    return found;
}

/* What was checked as a file to read, without comments, blanks and carriage returns; NULL without
 * memory. */
static FILE *open_checked(const struct cfg_text *text)
{
    /* No longer than the file was, but for the end of its last line. */
    FILE *file = fmemopen(NULL, text->n_bytes + 2, "w+");
    if (!file) return NULL;
    for (int i = 0; i < text->n_sections; i++) {
        const struct cfg_section *section = &text->sections[i];
        fprintf(file, "[%s]\n", section->name);
        for (int k = 0; k < section->n_keys; k++)
            fprintf(file, "%s=%s\n", section->keys[k].key, section->keys[k].value);
    }
    rewind(file);
    return file;
}

FILE *plug_fopen(const char *path, const char *mode)
{
    struct sn_error error = { 0 };
    if (cfg && !strcmp(mode, "r")) return open_checked(cfg); /* Darknet reads what was checked. */
    if (*mode != 'w') return fopen(path, mode);
    if (whole_file_open(&writing, path, &error)) sn_die(&error);
    return writing.file;
}

int plug_fclose(FILE *file)
{
    struct sn_error error = { 0 };
    if (file != writing.file) return fclose(file);
    if (whole_file_close(&writing, &error) || whole_file_publish(&writing, &error)) sn_die(&error);
    return 0;
}

/* Dresses all structured layers; the result is for undress_layers, which frees it. */
static struct structured_shape *dress_layers(network *net)
{
    struct sn_error error;
    struct structured_shape *shapes = calloc((size_t)net->n, sizeof *shapes);
    if (!shapes) {
        sn_fail(&error, SN_NO_MEMORY, "out of memory for %d layers", net->n);
        sn_die(&error);
    }
    for (int i = 0; i < net->n; i++)
        if (structured_matrix(&net->layers[i])) structured_dress(&net->layers[i], &shapes[i]);
    return shapes;
}

static void undress_layers(network *net, struct structured_shape *shapes)
{
    for (int i = 0; i < net->n; i++)
        if (structured_matrix(&net->layers[i])) structured_undress(&net->layers[i], &shapes[i]);
    free(shapes);
}

void load_weights_upto(network *net, char *path, int start, int cutoff)
{
    struct sn_error error = { 0 };
    if (weights_check_length(net, path, start, cutoff, 0, &error)) sn_die(&error);
    int end = cutoff < net->n ? cutoff : net->n;
    struct structured_shape *shapes = dress_layers(net);
    for (int i = start; i < end; i++)
        if (structured_matrix(&net->layers[i]))
            net->layers[i].c = structured_load_words(&net->layers[i]);
    reading = path;
    stock_load_weights_upto(net, path, start, cutoff);
    reading = NULL;
    undress_layers(net, shapes);
    for (int i = start; i < end; i++) {
        layer *l = &net->layers[i];
        if (!structured_matrix(l)) continue;
        l->c += l->batch_normalize && l->dontloadscales ? 3 * l->out_c : 0;
        if (l->dontload || !unpack_structured_layer(l, &error)) continue;
        struct sn_error placed;
        sn_fail(&placed, error.code, "%s: layer %d [%s]: %.800s", path, i, weights_layer_name(l),
                error.message);
        sn_die(&placed);
    }
}

void load_weights(network *net, char *path) { load_weights_upto(net, path, 0, net->n); }

void save_weights_upto(network *net, char *path, int cutoff)
{
    for (int i = 0; i < net->n && i < cutoff; i++)
        if (structured_matrix(&net->layers[i])) pack_structured_layer(&net->layers[i]);
    struct structured_shape *shapes = dress_layers(net);
    stock_save_weights_upto(net, path, cutoff);
    undress_layers(net, shapes);
}

void save_weights(network *net, char *path) { save_weights_upto(net, path, net->n); }

tree *plug_read_tree(char *path)
{
    struct sn_error error;
    if (!access(path, R_OK)) return read_tree(path);
    sn_fail(&error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    die_in_table(&error);
    return NULL;
}

/* C = ALPHA op(A) op(B) + BETA C, row-major. */
void __wrap_gemm(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                 int ldb, float BETA, float *C, int ldc)
{
    sn_product(TA, TB, M, N, K, ALPHA, A, lda, B, ldb, BETA, C, ldc);
}

void __wrap_gemm_cpu(int TA, int TB, int M, int N, int K, float ALPHA, float *A, int lda, float *B,
                     int ldb, float BETA, float *C, int ldc)
{
    __wrap_gemm(TA, TB, M, N, K, ALPHA, A, lda, B, ldb, BETA, C, ldc);
}
