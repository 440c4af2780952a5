#include "labels.h"

#include <ctype.h>
#include <string.h>

static int is_word(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

static int stands_in(const char *name, const char *label)
{
    size_t n = strlen(label);
    for (const char *at = name; n && (at = strstr(at, label)); at++) {
        int open = at == name || !is_word(at[-1]) || !is_word(label[0]);
        if (open && (!at[n] || !is_word(at[n]) || !is_word(label[n - 1]))) return 1;
    }
    return 0;
}

enum sn_status labels_of_path(const char *path, char **labels, int n_labels, int *class,
                              struct sn_error *error)
{
    const char *name = strrchr(path, '/');
    const char *directory = name ? name : path;
    name = name ? name + 1 : path;
    while (directory > path && directory[-1] != '/') directory--;
    size_t length = name > directory ? (size_t)(name - 1 - directory) : 0;
    int found = -1;
    for (int i = 0; i < n_labels; i++) {
        int matches = (length && strlen(labels[i]) == length
                       && !strncmp(labels[i], directory, length))
            || stands_in(name, labels[i]);
        if (!matches) continue;
        if (found >= 0 && strcmp(labels[found], labels[i]))
            return sn_fail(error, SN_BAD_INPUT, "%s: several labels match: '%s' and '%s'", path,
                           labels[found], labels[i]);
        if (found < 0) found = i;
    }
    if (found < 0)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected one of %d labels as directory or in the file name, found none",
                       path, n_labels);
    *class = found;
    return SN_OK;
}
