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

/* The dict that holds most tensors directly; containers are visited once, since they may hold each
 * other. */
static void find_largest(struct pickle_value *value, int depth, struct pickle_value **largest)
{
    if (!is_container(value) || value->visited || depth > MAX_DEPTH) return;
    value->visited = 1;
    if (count_tensors(value) > count_tensors(*largest)) *largest = value;
    for (size_t i = 0; i < value->n; i++) find_largest(value->items[i], depth + 1, largest);
}

static struct pickle_value *find_state_dict(struct pickle_value *root)
{
    static const char *const keys[] = { "state_dict", "model" };
    struct pickle_value *largest = NULL;
    for (int i = 0; i < 2; i++) {
        struct pickle_value *inner = pickle_lookup(root, keys[i]);
        if (count_tensors(inner)) return inner;
    }
    find_largest(root, 0, &largest);
    return largest;
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
        status = join(c, prefix, is_dict ? value->items[i] : NULL, i, name, error);
        if (!status) status = add_all(c, name, item, depth + 1, error);
    }
    return status;
}

enum sn_status checkpoint_add_tensors(struct checkpoint *c, struct pickle_value *root,
                                      struct sn_error *error)
{
    struct pickle_value *state_dict = find_state_dict(root);
    enum sn_status status = state_dict ? add_all(c, "", state_dict, 0, error) : SN_OK;
    c->n_state_dict = c->n_tensors;
    if (!status) status = add_all(c, "", root, 0, error);
    if (!status && !c->n_tensors)
        status = sn_fail(error, SN_BAD_INPUT, "%s: expected tensors, found none", c->path);
    return status;
}
