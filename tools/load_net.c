#include "load_net.h"

#include <plug_errors.h>
#include <structured_layer.h>
#include <weights_file.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int saved_stderr = -1;
static FILE *captured;

/* Gives stderr back and, when the process is about to end by Darknet's hand, prints what Darknet
 * said. */
static void restore_stderr(void)
{
    if (saved_stderr < 0) return;
    fflush(stderr);
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    saved_stderr = -1;
    sn_warning_file = STDERR_FILENO;
}

static void report_captured(void)
{
    if (saved_stderr < 0) return;
    char text[512];
    restore_stderr();
    long end = lseek(fileno(captured), 0, SEEK_END);
    ssize_t n = pread(fileno(captured), text, sizeof text - 1, end > 500 ? end - 500 : 0);
    text[n > 0 ? n : 0] = '\0';
    while (n > 0 && text[n - 1] == '\n') text[--n] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n') *c = ' ';
    if (n > 0) fprintf(stderr, "%s: %s\n", sn_program, text);
}

void load_begin_quiet(void)
{
    fflush(stderr);
    if (!captured) captured = tmpfile();
    if (!captured || (saved_stderr = dup(STDERR_FILENO)) < 0) return;
    sn_warning_file = saved_stderr;
    if (ftruncate(fileno(captured), 0)) rewind(captured);
    dup2(fileno(captured), STDERR_FILENO);
    lseek(STDERR_FILENO, 0, SEEK_SET);
    sn_before_error = restore_stderr;
    sn_before_exit = report_captured;
}

void load_end_quiet(void)
{
    restore_stderr();
    sn_before_error = sn_before_exit = NULL;
}

network *load_net(const char *cfg, const char *weights)
{
    struct sn_error error;
    load_begin_quiet();
    network *net = parse_network_cfg((char *)cfg);
    if (weights) {
        if (weights_check_length(net, weights, 0, net->n, 1, &error)) sn_die(&error);
        load_weights(net, (char *)weights);
    }
    load_end_quiet();
    return net;
}

enum sn_status load_check_whole(const network *net, int first, const char *cfg, const char *weights,
                                struct sn_error *error)
{
    for (int i = first; i < net->n; i++) {
        const layer *l = &net->layers[i];
        if (l->dontload || l->dontloadscales)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: layer %d [%s] has dontload=1 or dontloadscales=1, so that %s does "
                           "not hold all of it",
                           cfg, i, weights_layer_name(l), weights);
    }
    return SN_OK;
}

struct load_path load_path_of(FILE *file)
{
    struct load_path path;
    snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fileno(file));
    return path;
}
