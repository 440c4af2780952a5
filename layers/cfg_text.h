/* A Darknet .cfg as text: sections and keys with their line numbers, which Darknet's own reader
 * forgets. */
#ifndef CFG_TEXT_H
#define CFG_TEXT_H

#include "sn_error.h"

#include <stddef.h>
#include <stdio.h>

struct cfg_key {
    const char *key;
    const char *value; /* spaces and any "#..." or ";..." after the value removed */
    int line;          /* 1-based */
};

struct cfg_section {
    const char *path; /* of the file, for messages */
    const char *name; /* without brackets */
    int line;         /* of the [name] line */
    int n_keys;
    struct cfg_key *keys;
};

struct cfg_text {
    char *path;
    char *storage;  /* what the strings point into */
    size_t n_bytes; /* of the file */
    int n_sections;
    struct cfg_section *sections;
};

/* Reads and splits a cfg. NULL and error on a file that cannot be read, a key before the first
 * section, a line that is neither, a zero byte. The caller frees with cfg_free. */
struct cfg_text *cfg_read(const char *path, struct sn_error *error);
void cfg_free(struct cfg_text *cfg);

/* The bytes of the byte order mark that some editors put in front of UTF-8: 3, or 0 when text does
 * not begin with one. */
size_t cfg_mark_bytes(const char *text);

/* The first key of that name, or NULL. */
const struct cfg_key *cfg_find(const struct cfg_section *section, const char *key);

/* Fills error with "PATH:LINE: [SECTION] KEY: text", LINE being the key's or, when the key is
 * absent, the section's. Returns SN_BAD_INPUT. */
#define cfg_fail(section, key, error, ...) \
    (cfg_error_set(section, key, error, __VA_ARGS__), sn_code(SN_BAD_INPUT))

void cfg_error_set(const struct cfg_section *section, const char *key, struct sn_error *error,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reads the key as one whole number >= minimum into *value; an absent key leaves *value as it is.
 */
enum sn_status cfg_int(const struct cfg_section *section, const char *key, int minimum, int *value,
                       struct sn_error *error);

/* The number of comma-separated items of the key's value; 0 when the key is absent. */
int cfg_list_length(const struct cfg_section *section, const char *key);

/* Reads the key as exactly n whole numbers >= minimum into values[n]. */
enum sn_status cfg_list(const struct cfg_section *section, const char *key, int minimum, int n,
                        int *values, struct sn_error *error);

/* Writes the line "KEY=v,v,..." that cfg_list reads; nothing when n is 0. */
void cfg_print_list(FILE *file, const char *key, int n, const int *values);

#endif
