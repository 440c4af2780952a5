/* Finds the tensors in what a pickle holds: a state dict, or dicts, lists and tuples around it. The
 * values may hold each other in circles and be shared, so that each container is visited once, and
 * no deeper than MAX_DEPTH. */
#include "checkpoint_torch.h"

#include <stdio.h>
#include <string.h>

enum { MAX_DEPTH = 64, MAX_NAME = 1024 };

static size_t count_tensors(const struct pickle_value *dict)
{
    size_t n = 0;
    for (size_t i = 1; dict && dict->kind == PICKLE_DICT && i < dict->n; i += 2)
        n += dict->items[i]->kind == PICKLE_TENSOR;
    return n;
}

static int is_container(const struct pickle_value *value)
{
    return value->kind == PICKLE_DICT || value->kind == PICKLE_LIST || value->kind == PICKLE_TUPLE;
}

struct search {
    struct pickle_value *largest;      /* the dict that holds most tensors directly */
    const struct pickle_value *module; /* one that was pickled as a whole */
};

/* Containers are visited once, since they may hold each other. */
static void look_into(struct pickle_value *value, int depth, struct search *search)
{
    if (value->kind == PICKLE_OPAQUE && value->integer) search->module = value;
    if (!is_container(value) || value->visited || depth > MAX_DEPTH) return;
    value->visited = 1;
    if (count_tensors(value) > count_tensors(search->largest)) search->largest = value;
    for (size_t i = 0; i < value->n; i++) look_into(value->items[i], depth + 1, search);
}

/* The entry of the outermost dict to read: c->key, or the first of these that holds tensors. NULL
 * for all of it, and without the entry that is asked for. */
static struct pickle_value *find_entry(struct checkpoint *c, const struct pickle_value *root)
{
    static const char *const keys[] = { "state_dict", "model", "model_state_dict" };
    if (c->key) return pickle_lookup(root, c->key);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct pickle_value *inner = pickle_lookup(root, keys[i]);
        if (!count_tensors(inner)) continue;
        c->key = keys[i];
        return inner;
    }
    return NULL;
}

/* The keys of the outermost dict that could be read instead, for people. */
static void name_others(struct checkpoint *c, const struct pickle_value *root)
{
    size_t n = 0;
    for (size_t i = 0; root->kind == PICKLE_DICT && i + 1 < root->n; i += 2) {
        const char *key = root->items[i]->kind == PICKLE_STRING ? root->items[i]->string : NULL;
        if (!key || !sn_is_printable(key) || (c->key && !strcmp(key, c->key))
            || !count_tensors(root->items[i + 1]) || n >= sizeof c->others)
            continue;
        n += (size_t)snprintf(c->others + n, sizeof c->others - n, "%s%s", n ? ", " : "", key);
    }
}

static enum sn_status fail_module(const struct checkpoint *c, const struct pickle_value *module,
                                  struct sn_error *error)
{
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected a state dict, found a whole module, '%.60s.%.60s'; load it in "
                   "PyTorch and torch.save(model.state_dict(), FILE)",
                   c->path, module->module ? module->module : "", module->string);
}

/* The key of that entry of the outermost dict, when it can be asked for. */
static const char *key_of(const struct pickle_value *root, const struct pickle_value *entry)
{
    for (size_t i = 0; entry && root->kind == PICKLE_DICT && i + 1 < root->n; i += 2)
        if (root->items[i + 1] == entry && root->items[i]->kind == PICKLE_STRING
            && sn_is_printable(root->items[i]->string))
            return root->items[i]->string;
    return NULL;
}

static enum sn_status fail_key(struct checkpoint *c, const struct pickle_value *root,
                               const struct pickle_value *entry, struct sn_error *error)
{
    name_others(c, root);
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected tensors under the key '%.80s', found %s%s%.200s", c->path, c->key,
                   entry ? "none" : "no such key", *c->others ? "; others: " : "", c->others);
}

static enum sn_status find_state_dict(struct checkpoint *c, struct pickle_value *root,
                                      struct pickle_value **found, struct sn_error *error)
{
    struct pickle_value *entry = find_entry(c, root);
    struct search search = { .largest = count_tensors(entry) ? entry : NULL };
    if (c->key && !entry) return fail_key(c, root, entry, error);
    if (!search.largest) look_into(entry ? entry : root, 0, &search);
    if (search.module) return fail_module(c, search.module, error);
    if (c->key && !search.largest) return fail_key(c, root, entry, error);
    if (!c->key) c->key = key_of(root, search.largest);
    name_others(c, root);
    *found = search.largest;
    return SN_OK;
}

static enum sn_status add_tensor(struct checkpoint *c, const char *name,
                                 const struct pickle_value *value, struct sn_error *error)
{
    struct tensor tensor = *value->tensor;
    struct sn_error reason;
    size_t n = strlen(name) + 1;
    if (tensor_place(&tensor, value->storage->bytes, value->storage->n, value->integer, &reason))
        return sn_fail(error, SN_BAD_INPUT, "%s: tensor '%.200s': %.500s", c->path, name,
                       reason.message);
    tensor.name = arena_grow(&c->arena, name, n, n);
    if (!tensor.name) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
    return checkpoint_add(c, &tensor, error);
}

/* Writes "PREFIX.KEY", or KEY when prefix is empty. */
static enum sn_status join(const struct checkpoint *c, const char *prefix,
                           const struct pickle_value *key, size_t index, char *name,
                           struct sn_error *error)
{
    char number[24];
    snprintf(number, sizeof number, "%lld", key ? (long long)key->integer : (long long)index);
    if (key && key->kind != PICKLE_STRING && key->kind != PICKLE_INT)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: '%.200s': a dict key that is neither string nor whole number", c->path,
                       prefix);
    const char *text = key && key->kind == PICKLE_STRING ? key->string : number;
    if (snprintf(name, MAX_NAME, "%s%s%s", prefix, *prefix ? "." : "", text) >= MAX_NAME)
        return sn_fail(error, SN_BAD_INPUT, "%s: '%.200s...': a name of more than %d bytes",
                       c->path, name, MAX_NAME - 1);
    return SN_OK;
}

static enum sn_status add_all(struct checkpoint *c, const char *prefix, struct pickle_value *value,
                              int depth, struct sn_error *error)
{
    if (value->kind == PICKLE_TENSOR)
        return add_tensor(c, *prefix ? prefix : "tensor", value, error);
    if (!is_container(value) || value->visited == 2) return SN_OK;
    if (depth > MAX_DEPTH)
        return sn_fail(error, SN_BAD_INPUT, "%s: values nested more than %d deep", c->path,
                       MAX_DEPTH);
    value->visited = 2;
    int is_dict = value->kind == PICKLE_DICT;
    enum sn_status status = SN_OK;
    for (size_t i = 0; i < value->n && !status; i += is_dict ? 2 : 1) {
        struct pickle_value *item = value->items[i + (size_t)is_dict];
        char name[MAX_NAME];
        if (item->kind != PICKLE_TENSOR && !is_container(item)) continue;
        if (is_dict && value->items[i]->kind == PICKLE_OPAQUE && is_container(item)) continue;
        status = join(c, prefix, is_dict ? value->items[i] : NULL, i, name, error);
        if (!status) status = add_all(c, name, item, depth + 1, error);
    }
    return status;
}

enum sn_status checkpoint_add_tensors(struct checkpoint *c, struct pickle_value *root,
                                      struct sn_error *error)
{
    struct pickle_value *state_dict = NULL;
    enum sn_status status = find_state_dict(c, root, &state_dict, error);
    if (!status && state_dict) status = add_all(c, "", state_dict, 0, error);
    c->n_state_dict = c->n_tensors;
    if (!status) status = add_all(c, "", root, 0, error);
    if (status || c->n_tensors) return status;
    int is_named = root->kind == PICKLE_OPAQUE && root->module;
    return sn_fail(error, SN_BAD_INPUT, "%s: expected tensors, found %s%.80s%s%.80s%s", c->path,
                   is_named ? "an object of '" : "none", is_named ? root->module : "",
                   is_named ? "." : "", is_named ? root->string : "", is_named ? "'" : "");
}
