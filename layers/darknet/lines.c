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

static enum sn_status read_line(struct lines *lines, const char *path, char *line, int n_bytes,
                                struct sn_error *error)
{
    size_t n_mark = lines->n ? 0 : cfg_mark_bytes(line);
    if (n_bytes > LINES_LONGEST)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s:%d: expected at most %d bytes in a line, found more", path, lines->n + 1,
                       LINES_LONGEST);
    if (strlen(line) < (size_t)n_bytes)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected text, found a zero byte", path,
                       lines->n + 1);
    trim(line + n_mark);
    if (!sn_is_printable(line + n_mark))
        return sn_fail(error, SN_BAD_INPUT,
                       "%s:%d: expected text, found a control character in '%s'", path,
                       lines->n + 1, line + n_mark);
    return append(lines, path, line + n_mark, error);
}

/* Reads a line without its end into line[LINES_LONGEST + 1], as far as a zero byte or what is too
 * long, so that files without an end are no trouble. Returns its bytes; -1: the file ends. */
static int next_line(FILE *file, char *line)
{
    int n = 0, byte = getc(file);
    if (byte == EOF) return -1;
    for (; byte != EOF && byte != '\n' && n <= LINES_LONGEST; byte = getc(file)) {
        line[n++] = (char)byte;
        if (!byte) break;
    }
    line[n <= LINES_LONGEST ? n : LINES_LONGEST] = '\0';
    return n;
}

enum sn_status lines_read(const char *path, struct lines *lines, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    char line[LINES_LONGEST + 1];
    *lines = (struct lines){ 0 };
    FILE *file = fopen(path, "r");
    if (!file) return sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    for (int n; !status && (n = next_line(file, line)) >= 0;)
        status = read_line(lines, path, line, n, error);
    if (!status && ferror(file))
        status = sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
    while (lines->n && !*lines->line[lines->n - 1]) free(lines->line[--lines->n]);
    if (!status && !lines->n)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected lines, found none", path);
    if (status) lines_free(lines);
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
