#include "plug_keys.h"

#include "family.h"
#include "plug_errors.h"
#include "plug_hooks.h"
#include "plug_keys_tables.h"
#include "plug_shapes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

LAYER_TYPE string_to_layer_type(char *type);

LAYER_TYPE plug_section_type(const struct cfg_section *section)
{
    char type[64];
    snprintf(type, sizeof type, "[%s]", section->name);
    return string_to_layer_type(type);
}

/* ---- Values */

static int is_ended(const char *end, int is_list) { return !*end || (is_list && *end == ','); }

/* One number of a value; what follows it, or NULL when it is none. */
static const char *read_number(const char *text, int is_whole, int is_list, double *number)
{
    char *end;
    errno = 0;
    *number = is_whole ? (double)strtol(text, &end, 10) : strtod(text, &end);
    int is_number = end > text && is_ended(end, is_list) && isfinite(*number);
    return is_number && !(is_whole && errno) ? end : NULL;
}

static enum sn_status fail_number(const struct cfg_section *section, const struct key_rule *rule,
                                  const char *text, struct sn_error *error)
{
    const char *what = rule->kind == KEY_WHOLE || rule->kind == KEY_WHOLES ? "whole number"
                                                                           : "number";
    char range[64] = "";
    int n = (int)strcspn(text, ",");
    if (rule->minimum == 0 && rule->maximum == 1 && *what == 'w')
        return cfg_fail(section, rule->key, error, "expected 0 or 1, found '%.*s'", n, text);
    if (rule->maximum < INT_MAX)
        snprintf(range, sizeof range, " from %.10g to %.10g", rule->minimum, rule->maximum);
    else if (rule->minimum > INT_MIN)
        snprintf(range, sizeof range, " of at least %.10g", rule->minimum);
    return cfg_fail(section, rule->key, error, "expected a %s%s, found '%.*s'", what, range, n,
                    text);
}

static enum sn_status check_numbers(const struct cfg_section *section, const struct key_rule *rule,
                                    const char *text, struct sn_error *error)
{
    int is_whole = rule->kind == KEY_WHOLE || rule->kind == KEY_WHOLES,
        is_list = rule->kind == KEY_WHOLES || rule->kind == KEY_REALS;
    for (const char *end;; text = end + 1) {
        double number;
        end = read_number(text, is_whole, is_list, &number);
        if (!end || !(number >= rule->minimum && number <= rule->maximum))
            return fail_number(section, rule, text, error);
        if (!*end) return SN_OK;
    }
}

static enum sn_status check_word(const struct cfg_section *section, const struct key_rule *rule,
                                 const char *text, struct sn_error *error)
{
    size_t n = strlen(text);
    for (const char *at = rule->words; (at = strstr(at, text)); at += n)
        if (at[-1] == ' ' && at[n] == ' ') return SN_OK;
    return cfg_fail(section, rule->key, error, "unknown %s '%s', expected one of%s", rule->key,
                    text, rule->words);
}

static enum sn_status check_value(const struct cfg_section *section, const struct key_rule *rule,
                                  const char *value, struct sn_error *error)
{
    if (rule->kind == KEY_WORD) return check_word(section, rule, value, error);
    if (rule->kind != KEY_PATH) return check_numbers(section, rule, value, error);
    if (!access(value, R_OK)) return SN_OK;
    return cfg_fail(section, rule->key, error, "%s: cannot read: %s", value, strerror(errno));
}

/* ---- Keys */

static const struct key_rule *find_rule(const struct key_rule *rules, const char *key)
{
    while (rules->key && strcmp(rules->key, key)) rules++;
    return rules->key ? rules : NULL;
}

static int is_listed(const char *const *keys, const char *key)
{
    while (keys && *keys && strcmp(*keys, key)) keys++;
    return keys && *keys;
}

/* Sections of ours are new: nobody's net holds a key that they do not know. */
static enum sn_status check_ours(const struct cfg_section *section, const struct cfg_key *key,
                                 int is_known, struct sn_error *error)
{
    if (!is_known) return cfg_fail(section, key->key, error, "unknown key");
    const struct cfg_key *first = cfg_find(section, key->key);
    if (first == key) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s] %s: already given in line %d", section->path,
                   key->line, section->name, key->key, first->line);
}

/* Whether the cfg has such a key, unknown too, further up. */
static int was_unknown(const struct cfg_text *text, const struct cfg_section *section,
                       const char *key)
{
    LAYER_TYPE type = plug_section_type(section);
    for (const struct cfg_section *s = text->sections; s < section; s++)
        if (cfg_find(s, key) && plug_section_type(s) == type) return 1;
    return 0;
}

/* Darknet ignores unknown keys, which old cfgs have, and takes the first of two. */
static void warn(const struct cfg_text *text, const struct cfg_section *section,
                 const struct cfg_key *key, int is_known)
{
    const struct cfg_key *first = cfg_find(section, key->key);
    if (first != key)
        sn_warn("%s:%d: [%s] %s: already given in line %d, which counts", section->path, key->line,
                section->name, key->key, first->line);
    else if (!is_known && !was_unknown(text, section, key->key))
        sn_warn("%s:%d: [%s] %s: unknown key, which does nothing", section->path, key->line,
                section->name, key->key);
}

enum sn_status plug_check_keys(const struct cfg_text *text, const struct cfg_section *section,
                               struct sn_error *error)
{
    LAYER_TYPE type = plug_section_type(section);
    const struct sn_family *family = sn_family_find(section->name);
    int is_ours = family || !strcmp(section->name, "relu6");
    const struct key_rule *rules = family ? structured_keys
        : is_ours                         ? no_keys
                                          : keys_of_type[type];
    enum sn_status status = SN_OK;
    for (int i = 0; i < section->n_keys && !status; i++) {
        const struct cfg_key *key = &section->keys[i];
        const struct key_rule *rule = find_rule(rules, key->key);
        if (!rule && type != NETWORK) rule = find_rule(layer_keys, key->key);
        int is_known = rule
            || (family
                && (is_listed(family->keys, key->key) || is_listed(sn_matrix_keys, key->key)));
        if (is_ours) status = check_ours(section, key, is_known, error);
        else warn(text, section, key, is_known);
        if (!status && rule && cfg_find(section, key->key) == key)
            status = check_value(section, rule, key->value, error);
    }
    return status;
}

static enum sn_status check_section(const struct cfg_text *text, int i, struct sn_error *error)
{
    const struct cfg_section *section = &text->sections[i];
    LAYER_TYPE type = plug_section_type(section);
    if (i == 0 && type != NETWORK)
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s]: expected [net] first", text->path,
                       section->line, section->name);
    if (type == BLANK || (i > 0 && type == NETWORK))
        return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s]: unknown section, expected a layer",
                       text->path, section->line, section->name);
    return plug_check_keys(text, section, error);
}

enum sn_status plug_check_sections(const struct cfg_text *text, struct sn_error *error)
{
    enum sn_status status = SN_OK;
    for (int i = 0; i < text->n_sections && !status; i++) status = check_section(text, i, error);
    if (!status && text->n_sections < 2)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected at least one layer, found none",
                         text->path);
    return status ? status : plug_check_shapes(text, error);
}
