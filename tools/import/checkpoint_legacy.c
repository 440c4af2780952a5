/* The stream that torch.save wrote before 1.6 (torch/serialization.py, _legacy_load):
 *
 *   pickle  the magic number 0x1950a86a20f9469cfc6c
 *   pickle  the protocol, 1001
 *   pickle  a dict that describes the system; its little_endian must be true
 *   pickle  the object, whose storages are named by their keys
 *   pickle  the list of these keys, in the order of what follows
 *   for each key: int64 number of elements, elements */
#include "checkpoint_torch.h"

#include <string.h>

/* The lowest 64 bits of 0x1950a86a20f9469cfc6c. */
static const uint64_t MAGIC = 0xa86a20f9469cfc6c;
enum { PROTOCOL = 1001 };

static enum sn_status check_header(struct pickle *pickle, struct sn_error *error)
{
    struct pickle_value *value = pickle_read(pickle, error);
    if (!value) return error->code;
    if (value->kind != PICKLE_INT || (uint64_t)value->integer != MAGIC)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected the magic number of PyTorch, found another pickle",
                       pickle->path);
    if (!(value = pickle_read(pickle, error))) return error->code;
    if (value->kind != PICKLE_INT || value->integer != PROTOCOL)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected PyTorch's protocol %d, found %lld",
                       pickle->path, PROTOCOL, (long long)value->integer);
    if (!(value = pickle_read(pickle, error))) return error->code;
    const struct pickle_value *little = pickle_lookup(value, "little_endian");
    if (!little || little->kind != PICKLE_INT || little->integer != 1)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected a little-endian file", pickle->path);
    return SN_OK;
}

/* The storages follow in the order of the list of keys. */
static enum sn_status find_storages(struct pickle *pickle, const struct pickle_value *keys,
                                    struct sn_error *error)
{
    for (size_t i = 0; i < keys->n; i++) {
        const char *key = keys->items[i]->kind == PICKLE_STRING ? keys->items[i]->string : "";
        struct pickle_storage *storage = pickle_find_storage(pickle, key);
        size_t left = pickle->n_bytes - pickle->at;
        int64_t n;
        if (!storage || storage->bytes)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: storage key '%.80s': expected one that a tensor uses, once",
                           pickle->path, key);
        if (left < sizeof n)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: storage '%.80s': expected its size at byte %zu, found the end",
                           pickle->path, key, pickle->at);
        memcpy(&n, pickle->bytes + pickle->at, sizeof n);
        if (n != storage->n)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: storage '%.80s': expected %lld elements, found %lld", pickle->path,
                           key, (long long)storage->n, (long long)n);
        size_t size = tensor_type_bytes(storage->type);
        left -= sizeof n;
        if ((uint64_t)n > left / size)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: storage '%.80s': expected %lld bytes, found %zu", pickle->path, key,
                           (long long)n * (long long)size, left);
        storage->bytes = pickle->bytes + pickle->at + sizeof n;
        pickle->at += sizeof n + (size_t)n * size;
    }
    return SN_OK;
}

static enum sn_status read_stream(struct checkpoint *c, struct pickle *pickle,
                                  struct sn_error *error)
{
    enum sn_status status = check_header(pickle, error);
    struct pickle_value *root = status ? NULL : pickle_read(pickle, error);
    struct pickle_value *keys = root ? pickle_read(pickle, error) : NULL;
    if (!keys) return error->code;
    if (keys->kind != PICKLE_LIST)
        return sn_fail(error, SN_BAD_INPUT, "%s: expected the list of storage keys", c->path);
    if ((status = find_storages(pickle, keys, error))) return status;
    for (size_t i = 0; i < pickle->n_storages; i++)
        if (!pickle->storages[i]->bytes)
            return sn_fail(error, SN_BAD_INPUT, "%s: storage '%.80s' is not in the file", c->path,
                           pickle->storages[i]->key);
    return checkpoint_add_tensors(c, root, error);
}

enum sn_status checkpoint_read_legacy(struct checkpoint *c, struct sn_error *error)
{
    struct pickle pickle = {
        .path = c->path, .bytes = c->bytes, .n_bytes = c->n_bytes, .arena = &c->arena
    };
    c->format = "legacy";
    enum sn_status status = read_stream(c, &pickle, error);
    pickle_close(&pickle);
    return status;
}
