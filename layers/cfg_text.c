#include "cfg_text.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The rest of the file as a string, free(), as far as a zero byte, after which nothing matters:
 * some files have no end. NULL and error when it cannot be read or held. */
static char *read_all(FILE *file, const char *path, size_t *n_bytes, struct sn_error *error)
{
    const size_t limit = (size_t)1 << 28;
    size_t capacity = 0, n = 0, before;
    char *text = NULL;
    do {
        if (n > limit) {
            sn_fail(error, SN_BAD_INPUT, "%s: expected at most %zu bytes, found more", path, limit);
            goto fail;
        }
        capacity = 2 * capacity + 4096;
        char *grown = realloc(text, capacity);
        if (!grown) {
            sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
            goto fail;
        }
        text = grown;
        before = n;
        n += fread(text + n, 1, capacity - n - 1, file);
    } while (n == capacity - 1 && !memchr(text + before, 0, n - before));
    if (ferror(file)) {
        sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
        goto fail;
    }
    text[n] = '\0';
    *n_bytes = n;
    return text;
fail:
    free(text);
    return NULL;
}

static char *read_text(const char *path, size_t *n_bytes, struct sn_error *error)
{
    FILE *file = fopen(path, "r");
    if (!file) {
        sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
        return NULL;
    }
    char *text = read_all(file, path, n_bytes, error);
    if (text && strlen(text) < *n_bytes) {
        sn_fail(error, SN_BAD_INPUT, "%s: expected text, found a zero byte at offset %zu", path,
                strlen(text));
        free(text);
        text = NULL;
    }
    fclose(file);
    return text;
}

size_t cfg_mark_bytes(const char *text)
{
    static const char mark[] = "\xef\xbb\xbf";
    return strncmp(text, mark, sizeof mark - 1) ? 0 : sizeof mark - 1;
}

/* Removes blanks everywhere, as Darknet does, and a comment behind the content. */
static void strip_line(char *line)
{
    char *out = line;
    for (const char *in = line; *in; in++) {
        if ((*in == '#' || *in == ';') && out != line) break;
        if (*in != ' ' && *in != '\t' && *in != '\r') *out++ = *in;
    }
    *out = '\0';
}

static enum sn_status add_section(struct cfg_text *cfg, char *text, int line,
                                  struct sn_error *error)
{
    struct cfg_section *grown = realloc(cfg->sections,
                                        (size_t)(cfg->n_sections + 1) * sizeof *grown);
    if (!grown) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", cfg->path);
    cfg->sections = grown;
    char *end = strchr(text, ']');
    if (!end || end[1])
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: %s: expected [name]", cfg->path, line, text);
    *end = '\0';
    grown[cfg->n_sections++] = (struct cfg_section){ .path = cfg->path,
                                                     .name = text + 1,
                                                     .line = line };
    return SN_OK;
}

static enum sn_status add_key(struct cfg_text *cfg, char *text, int line, struct sn_error *error)
{
    char *equals = strchr(text, '=');
    if (!equals || equals == text || !equals[1])
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected key=value, found '%s'", cfg->path,
                       line, text);
    if (!cfg->n_sections)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: expected [net], found '%s'", cfg->path, line,
                       text);
    struct cfg_section *section = &cfg->sections[cfg->n_sections - 1];
    struct cfg_key *grown = realloc(section->keys, (size_t)(section->n_keys + 1) * sizeof *grown);
    if (!grown) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", cfg->path);
    *equals = '\0';
    section->keys = grown;
    grown[section->n_keys++] = (struct cfg_key){ text, equals + 1, line };
    return SN_OK;
}

struct cfg_text *cfg_read(const char *path, struct sn_error *error)
{
    struct cfg_text *cfg = calloc(1, sizeof *cfg);
    size_t path_size = strlen(path) + 1;
    if (!cfg || !(cfg->path = malloc(path_size))) {
        sn_fail(error, SN_NO_MEMORY, "%s: out of memory", path);
        goto fail;
    }
    memcpy(cfg->path, path, path_size);
    if (!(cfg->storage = read_text(path, &cfg->n_bytes, error))) goto fail;
    int number = 0;
    for (char *line = cfg->storage + cfg_mark_bytes(cfg->storage), *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) *next++ = '\0';
        number++;
        strip_line(line);
        if (!sn_is_printable(line)) {
            sn_fail(error, SN_BAD_INPUT, "%s:%d: expected text, found a control character in '%s'",
                    path, number, line);
            goto fail;
        }
        if (!*line || *line == '#' || *line == ';') continue;
        if (*line == '[' ? add_section(cfg, line, number, error)
                         : add_key(cfg, line, number, error))
            goto fail;
    }
    if (cfg->n_sections) return cfg;
    sn_fail(error, SN_BAD_INPUT, "%s: expected a Darknet cfg, found no section", path);
fail:
    cfg_free(cfg);
    return NULL;
}

void cfg_free(struct cfg_text *cfg)
{
    if (!cfg) return;
    for (int i = 0; i < cfg->n_sections; i++) free(cfg->sections[i].keys);
    free(cfg->sections);
    free(cfg->storage);
    free(cfg->path);
    free(cfg);
}

const struct cfg_key *cfg_find(const struct cfg_section *section, const char *key)
{
    for (int i = 0; i < section->n_keys; i++)
        if (!strcmp(section->keys[i].key, key)) return &section->keys[i];
    return NULL;
}

void cfg_error_set(const struct cfg_section *section, const char *key, struct sn_error *error,
                   const char *format, ...)
{
    const struct cfg_key *found = cfg_find(section, key);
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s] %s: %s", section->path,
            found ? found->line : section->line, section->name, key, text);
}

/* Reads one whole number that ends at a comma or at the end of the value. Returns what follows it,
 * or NULL. */
static const char *read_int(const char *text, int *value)
{
    char *end;
    errno = 0;
    long number = strtol(text, &end, 10);
    if (end == text || errno || number < INT_MIN || number > INT_MAX || (*end && *end != ','))
        return NULL;
    *value = (int)number;
    return end;
}

enum sn_status cfg_int(const struct cfg_section *section, const char *key, int minimum, int *value,
                       struct sn_error *error)
{
    return cfg_find(section, key) ? cfg_list(section, key, minimum, 1, value, error) : SN_OK;
}

int cfg_list_length(const struct cfg_section *section, const char *key)
{
    const struct cfg_key *found = cfg_find(section, key);
    if (!found) return 0;
    int n = 1;
    for (const char *c = found->value; *c; c++) n += *c == ',';
    return n;
}

enum sn_status cfg_list(const struct cfg_section *section, const char *key, int minimum, int n,
                        int *values, struct sn_error *error)
{
    int length = cfg_list_length(section, key);
    if (length != n)
        return cfg_fail(section, key, error, "expected %d value%s, found %d", n, n == 1 ? "" : "s",
                        length);
    const char *text = cfg_find(section, key)->value;
    for (int i = 0; i < n; i++) {
        const char *rest = read_int(text, &values[i]);
        if (!rest || values[i] < minimum)
            return cfg_fail(section, key, error,
                            "expected a whole number of at least %d, found '%.*s'", minimum,
                            (int)strcspn(text, ","), text);
        text = rest + (*rest == ',');
    }
    return SN_OK;
}

void cfg_print_list(FILE *file, const char *key, int n, const int *values)
{
    if (n < 1) return;
    fprintf(file, "%s=%d", key, values[0]);
    for (int i = 1; i < n; i++) fprintf(file, ",%d", values[i]);
    fprintf(file, "\n");
}
