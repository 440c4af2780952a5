#include "plug_tree.h"

#include "lines.h"

#include <stdlib.h>
#include <string.h>

/* What Darknet's reader has room for. */
enum { LONGEST_NAME = 255 };

static enum sn_status check_line(const char *path, int i, const char *line, struct sn_error *error)
{
    size_t n = strcspn(line, " \t");
    char *end = NULL;
    long parent = strtol(line + n, &end, 10);
    if (n > LONGEST_NAME)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected a name of at most %d bytes, found %zu",
                       path, i + 1, LONGEST_NAME, n);
    if (end > line + n && !*end && parent >= -1 && parent < i) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s:%d: expected a name and the number of a line above, or -1, found '%.80s'",
                   path, i + 1, line);
}

enum sn_status plug_check_tree(const char *path, long long n, struct sn_error *error)
{
    struct lines lines;
    enum sn_status status = lines_read_full(path, &lines, error);
    for (int i = 0; i < lines.n && !status; i++) status = check_line(path, i, lines.line[i], error);
    if (!status && lines.n != n)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected %lld classes, found %d", path, n,
                         lines.n);
    lines_free(&lines);
    return status;
}
