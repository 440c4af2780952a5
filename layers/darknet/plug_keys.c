#include "plug_keys.h"

#include "family.h"
#include "plug_hooks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

LAYER_TYPE string_to_layer_type(char *type);

/* Darknet's own keys that a connected layer understands, by their values. */
static const char *const flag_keys[] = { "batch_normalize", "truth",    "onlyforward",
                                         "stopbackward",    "dontsave", "dontload",
                                         "dontloadscales",  NULL };
static const char *const number_keys[] = { "learning_rate", "smooth", NULL };
static const char *const other_keys[] = { "output", "activation", "numload", "size", NULL };

static int listed(const char *const *keys, const char *key)
{
    while (*keys && strcmp(*keys, key)) keys++;
    return *keys != NULL;
}

/* Darknet takes what is no number for 0. */
static enum sn_status check_value(const struct cfg_section *section, const struct cfg_key *key,
                                  struct sn_error *error)
{
    if (listed(flag_keys, key->key) && strcmp(key->value, "0") && strcmp(key->value, "1"))
        return cfg_fail(section, key->key, error, "expected 0 or 1, found '%s'", key->value);
    if (!listed(number_keys, key->key)) return SN_OK;
    char *end;
    double number = strtod(key->value, &end);
    if (*end || !isfinite(number))
        return cfg_fail(section, key->key, error, "expected a number, found '%s'", key->value);
    return SN_OK;
}

enum sn_status plug_check_keys(const struct cfg_section *section, struct sn_error *error)
{
    static const char *const none[] = { NULL };
    const struct sn_family *family = sn_family_find(section->name);
    int ours = family || !strcmp(section->name, "relu6");
    const char *const *keys = family ? family->keys : none;
    for (int i = 0; ours && i < section->n_keys; i++) {
        const struct cfg_key *key = &section->keys[i];
        if (!listed(keys, key->key) && !listed(flag_keys, key->key)
            && !listed(number_keys, key->key)
            && !(family && (listed(other_keys, key->key) || listed(sn_matrix_keys, key->key))))
            return cfg_fail(section, key->key, error, "unknown key");
        if (cfg_find(section, key->key) != key)
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: [%s] %s: already given in line %d",
                           section->path, key->line, section->name, key->key,
                           cfg_find(section, key->key)->line);
        enum sn_status status = check_value(section, key, error);
        if (status) return status;
    }
    return SN_OK;
}

enum sn_status plug_check_sections(const struct cfg_text *text, struct sn_error *error)
{
    for (int i = 0; i < text->n_sections; i++) {
        const struct cfg_section *section = &text->sections[i];
        char type[64];
        snprintf(type, sizeof type, "[%s]", section->name);
        LAYER_TYPE found = string_to_layer_type(type);
        if (i == 0 && found != NETWORK)
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: %s: expected [net] first", text->path,
                           section->line, type);
        if (found == BLANK || (i > 0 && found == NETWORK))
            return sn_fail(error, SN_BAD_INPUT, "%s:%d: %s: unknown section, expected a layer",
                           text->path, section->line, type);
        enum sn_status status = plug_check_keys(section, error);
        if (status) return status;
    }
    if (text->n_sections < 2)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected at least one layer, found none",
                       text->path);
    return SN_OK;
}
