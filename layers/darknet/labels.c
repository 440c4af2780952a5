#include "labels.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct label {
    const char *text;
    size_t length;
};

/* A hash table with open addressing: each slot holds a class plus 1, or 0. */
struct labels {
    struct label *label;
    int n, most_parts; /* directories that a label names */
    size_t longest;
    int *slots;
    size_t n_slots; /* a power of 2, at least 2 n */
};

/* Fowler, Noll and Vo's hash 1a, which grows a character at a time. */
static const uint64_t empty_hash = 0xcbf29ce484222325;

static uint64_t hash_more(uint64_t hash, char c)
{
    return (hash ^ (unsigned char)c) * 0x100000001b3;
}

static uint64_t hash_of(const char *text, size_t length)
{
    uint64_t hash = empty_hash;
    for (size_t i = 0; i < length; i++) hash = hash_more(hash, text[i]);
    return hash;
}

/* The slot of that text, or the free one where it would stand. */
static int *find(const struct labels *labels, uint64_t hash, const char *text, size_t length)
{
    for (size_t at = hash ^ hash >> 32;; at++) {
        int *slot = &labels->slots[at & (labels->n_slots - 1)];
        const struct label *label = &labels->label[*slot ? *slot - 1 : 0];
        if (!*slot || (label->length == length && !memcmp(label->text, text, length))) return slot;
    }
}

static enum sn_status add(struct labels *labels, const char *line, int class, const char *path,
                          struct sn_error *error)
{
    size_t length = strlen(line);
    while (length && line[length - 1] == '/') length--;
    while (length && *line == '/') line++, length--;
    if (!length)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected a label, found none", path, class + 1);
    int *slot = find(labels, hash_of(line, length), line, length), parts = 1;
    if (*slot)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: label '%.*s' stands in line %d too", path,
                       class + 1, (int)length, line, *slot);
    *slot = class + 1;
    labels->label[class] = (struct label){ line, length };
    for (size_t i = 0; i < length; i++) parts += line[i] == '/';
    if (labels->most_parts < parts) labels->most_parts = parts;
    if (labels->longest < length) labels->longest = length;
    return SN_OK;
}

struct labels *labels_new(const struct lines *lines, int n, const char *path,
                          struct sn_error *error)
{
    if (lines->n < n) {
        sn_fail(error, SN_BAD_INPUT, "%s: expected %d labels, one per class, found %d", path, n,
                lines->n);
        return NULL;
    }
    struct labels *labels = calloc(1, sizeof *labels);
    size_t n_slots = 2;
    while (n_slots < 2 * (size_t)n) n_slots *= 2;
    if (labels)
        *labels = (struct labels){ .n = n,
                                   .n_slots = n_slots,
                                   .label = calloc((size_t)n + 1, sizeof *labels->label),
                                   .slots = calloc(n_slots, sizeof *labels->slots) };
    enum sn_status status = SN_OK;
    if (!labels || !labels->label || !labels->slots) status = sn_no_memory(error, "%d labels", n);
    for (int i = 0; i < n && !status; i++) status = add(labels, lines->line[i], i, path, error);
    if (!status) return labels;
    labels_free(labels);
    return NULL;
}

void labels_free(struct labels *labels)
{
    if (!labels) return;
    free(labels->label);
    free(labels->slots);
    free(labels);
}

static int is_word(char c) { return isalnum((unsigned char)c) || (unsigned char)c >= 0x80; }

static int is_bound(const char *name, size_t at)
{
    return !at || !name[at] || !is_word(name[at - 1]) || !is_word(name[at]);
}

/* The class of the longest label that begins at a place of the name, and its length; -1 for none.
 */
static int longest_at(const struct labels *labels, const char *name, size_t at, size_t *length)
{
    uint64_t hash = empty_hash;
    int class = -1;
    for (size_t n = 1; n <= labels->longest && name[at + n - 1]; n++) {
        hash = hash_more(hash, name[at + n - 1]);
        int found = is_bound(name, at + n) ? *find(labels, hash, name + at, n) - 1 : -1;
        if (found >= 0) class = found, *length = n;
    }
    return class;
}

/* Up to two different classes whose labels stand in the name; returns how many. */
static int classes_in_name(const struct labels *labels, const char *name, int classes[2])
{
    int n = 0;
    for (size_t at = 0, length; name[at] && n < 2; at += length) {
        int class = is_bound(name, at) ? longest_at(labels, name, at, &length) : -1;
        if (class < 0) length = 1;
        else if (!n || class != classes[0]) classes[n++] = class;
    }
    return n;
}

/* The class that the last directories of path[0 .. end) name, the most of them in a row; else -1.
 */
static int class_of_directory(const struct labels *labels, const char *path, size_t end)
{
    int class = -1;
    size_t start = end;
    for (int parts = 0; parts < labels->most_parts && start; parts++) {
        start -= parts > 0;
        while (start && path[start - 1] != '/') start--;
        int found = *find(labels, hash_of(path + start, end - start), path + start, end - start);
        if (found) class = found - 1;
    }
    return class;
}

/* The end of the directory around path[0 .. end): what is before its last slashes. */
static size_t around(const char *path, size_t end)
{
    while (end && path[end - 1] != '/') end--;
    while (end && path[end - 1] == '/') end--;
    return end;
}

enum sn_status labels_of_path(const struct labels *labels, const char *path, int *class,
                              struct sn_error *error)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int classes[3], n = classes_in_name(labels, name, classes);
    size_t end = around(path, strlen(path));
    int directory = class_of_directory(labels, path, end);
    if (directory >= 0 && (!n || classes[0] != directory)) classes[n++] = directory;
    while (!n && (end = around(path, end)))
        if ((classes[0] = class_of_directory(labels, path, end)) >= 0) n = 1;
    if (n < 2) *class = n ? classes[0] : -1;
    if (n == 1) return SN_OK;
    if (!n)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected one of %d labels as directory or in the file name, found none",
                       path, labels->n);
    const struct label *first = &labels->label[classes[n - 1]],
                       *second = &labels->label[classes[0]];
    return sn_fail(error, SN_BAD_INPUT, "%s: several labels match: '%.*s' and '%.*s'", path,
                   (int)first->length, first->text, (int)second->length, second->text);
}

int *labels_of_images(const struct labels *labels, const struct lines *images,
                      struct sn_error *error)
{
    int *class = calloc((size_t)images->n + 1, sizeof *class);
    if (!class) sn_no_memory(error, "the classes of %d images", images->n);
    for (int i = 0; class && i < images->n; i++)
        if (labels_of_path(labels, images->line[i], &class[i], error)) {
            free(class);
            class = NULL;
        }
    return class;
}
