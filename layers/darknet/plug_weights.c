/* The hooks of Darknet's files: weights, loaded only when their length is right (weights_file.h)
 * and saved whole or not at all (whole_file.h), and the cfg, of which Darknet reads what was
 * checked. */
#include "plug_errors.h"
#include "plug_hooks.h"
#include "ranks.h"
#include "structured_layer.h"
#include "weights_file.h"
#include "whole_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The weights file that is being read, for messages, or written. */
static const char *reading;
static struct whole_file writing;

void plug_discard_save(void) { whole_file_discard(&writing); }

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
    if (plug_cfg() && !strcmp(mode, "r")) return open_checked(plug_cfg());
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
    struct sn_error error = { 0 };
    struct structured_shape *shapes = calloc((size_t)net->n, sizeof *shapes);
    if (!shapes) sn_no_memory(&error, "%d layers", net->n);
    for (int i = 0; i < net->n && !error.code; i++)
        if (structured_matrix(&net->layers[i]))
            structured_dress(&net->layers[i], &shapes[i], &error);
    if (error.code) sn_die(&error);
    return shapes;
}

static void undress_layers(network *net, struct structured_shape *shapes)
{
    for (int i = 0; i < net->n; i++)
        if (structured_matrix(&net->layers[i])) structured_undress(&net->layers[i], &shapes[i]);
    free(shapes);
}

static void die_of_layer(const char *path, const network *net, int i, const struct sn_error *error)
{
    struct sn_error placed;
    sn_fail(&placed, error->code, "%s: layer %d [%s]: %.800s", path, i,
            weights_layer_name(&net->layers[i]), error->message);
    sn_die(&placed);
}

/* Takes over what was loaded into the dressed layers from start to end. */
static void unpack_layers(network *net, const char *path, int start, int end,
                          const struct structured_shape *shapes)
{
    struct sn_error error = { 0 };
    for (int i = start; i < end; i++) {
        layer *l = &net->layers[i];
        if (!structured_matrix(l) || l->dontload) continue;
        if (unpack_structured_layer(l, &shapes[i], &error)) die_of_layer(path, net, i, &error);
    }
}

void load_weights_upto(network *net, char *path, int start, int cutoff)
{
    struct sn_error error = { 0 };
    if (weights_check_length(net, path, start, cutoff, 0, &error)
        || weights_check_finite(net, path, start, cutoff, &error))
        sn_die(&error);
    int end = cutoff < net->n ? cutoff : net->n;
    struct structured_shape *shapes = dress_layers(net);
    for (int i = start; i < end; i++)
        if (structured_matrix(&net->layers[i]))
            net->layers[i].c = structured_load_words(&net->layers[i]);
    reading = path;
    stock_load_weights_upto(net, path, start, cutoff);
    *net->seen /= (size_t)ranks_count();
    reading = NULL;
    unpack_layers(net, path, start, end, shapes);
    undress_layers(net, shapes);
    for (int i = start; i < end; i++)
        if (structured_matrix(&net->layers[i]) && prepare_structured_layer(&net->layers[i], &error))
            die_of_layer(path, net, i, &error);
}

void load_weights(network *net, char *path) { load_weights_upto(net, path, 0, net->n); }

/* What is not finite never takes the place of what is. */
static void check_finite(const network *net, const char *path)
{
    struct sn_error error;
    int i = weights_not_finite(net);
    if (i < 0) return;
    sn_fail(&error, SN_BAD_INPUT, "%s: not saved: layer %d [%s] has a value that is not finite",
            path, i, weights_layer_name(&net->layers[i]));
    sn_die(&error);
}

/* Of several ranks the first alone saves, with the images that all have seen. */
void save_weights_upto(network *net, char *path, int cutoff)
{
    if (ranks_own()) return;
    check_finite(net, path);
    struct structured_shape *shapes = dress_layers(net);
    for (int i = 0; i < net->n && i < cutoff; i++)
        if (structured_matrix(&net->layers[i])) pack_structured_layer(&net->layers[i], &shapes[i]);
    *net->seen *= (size_t)ranks_count();
    stock_save_weights_upto(net, path, cutoff);
    *net->seen /= (size_t)ranks_count();
    undress_layers(net, shapes);
}

void save_weights(network *net, char *path) { save_weights_upto(net, path, net->n); }
