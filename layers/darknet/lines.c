#include "lines.h"

#include "cfg_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void trim(char *line)
{
    size_t n = strlen(line);
    while (n && strchr(" \t\r\n", line[n - 1])) n--;
    line[n] = '\0';
}

/* Appends a copy of line. The room doubles whenever the count reaches a power of 2. */
static enum sn_status append(struct lines *lines, const char *path, const char *line,
                             struct sn_error *error)
{
    size_t n = (size_t)lines->n;
    if (!(n & (n - 1))) {
        char **grown = realloc(lines->line, (n ? 2 * n : 1) * sizeof *grown);
        if (!grown) return sn_no_memory(error, "the lines of %s", path);
        lines->line = grown;
    }
    if (!(lines->line[n] = strdup(line))) return sn_no_memory(error, "the lines of %s", path);
    lines->n++;
    return SN_OK;
}

static enum sn_status read_line(struct lines *lines, const char *path, char *line, size_t n_bytes,
                                struct sn_error *error)
{
    size_t n_mark = lines->n ? 0 : cfg_mark_bytes(line);
    if (strlen(line) < n_bytes)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected text, found a zero byte", path,
                       lines->n + 1);
    trim(line + n_mark);
    if (!sn_is_printable(line + n_mark))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s:%d: expected text, found a control character in '%s'", path,
                       lines->n + 1, line + n_mark);
    return append(lines, path, line + n_mark, error);
}

enum sn_status lines_read(const char *path, struct lines *lines, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    char *line = NULL;
    size_t size = 0;
    *lines = (struct lines){ 0 };
    FILE *file = fopen(path, "r");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    for (ssize_t n; !status && (n = getline(&line, &size, file)) >= 0;)
        status = read_line(lines, path, line, (size_t)n, error);
    if (!status && ferror(file))
        status = sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    while (lines->n && !*lines->line[lines->n - 1]) free(lines->line[--lines->n]);
    if (!status && !lines->n)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected lines, found none", path);
    if (status) lines_free(lines);
    free(line);
    fclose(file);
    return status;
}

enum sn_status lines_read_full(const char *path, struct lines *lines, struct sn_error *error)
{
    enum sn_status status = lines_read(path, lines, error);
    for (int i = 0; i < lines->n && !status; i++)
        if (!*lines->line[i])
            status = sn_fail(error, SN_BAD_INPUT, "%s:%d: expected text, found a blank line", path,
                             i + 1);
    if (status) lines_free(lines);
    return status;
}

void lines_free(struct lines *lines)
{
    for (int i = 0; i < lines->n; i++) free(lines->line[i]);
    free(lines->line);
    *lines = (struct lines){ 0 };
}
