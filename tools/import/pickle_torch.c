/* The names, storages and tensors of a torch pickle. Each is the REDUCE of a name and a tuple of
 * arguments, or a persistent id:
 *
 *   torch._utils._rebuild_tensor_v2(storage, offset, shape, stride, requires_grad, hooks)
 *   ('storage', torch.FloatStorage, key, location, number of elements)
 *
 * A call never happens. names[] lists what a state dict needs; each of its rows stands for a value
 * that is put together here, and any other name, with all that is made by it, is opaque. Storages
 * are kept in a table by key, so that tensors which share one get the same, and the reader of the
 * file can give them their bytes.
 */
#include "pickle_machine.h"

#include <search.h>
#include <stdio.h>
#include <string.h>

/* ---- names */

enum name {
    NAME_DICT,
    NAME_SIZE,
    NAME_TENSOR,
    NAME_TENSOR_V2,
    NAME_PARAMETER,
    NAME_FROM_TYPE,
    NAME_DEVICE,
    NAME_STORAGE
};

static const struct {
    const char *module, *name;
    enum name what;
    enum tensor_type type;
} names[] = {
    { "collections", "OrderedDict", NAME_DICT, 0 },
    { "collections", "Counter", NAME_DICT, 0 },
    { "torch", "Size", NAME_SIZE, 0 },
    { "torch", "device", NAME_DEVICE, 0 },
    { "torch._utils", "_rebuild_tensor", NAME_TENSOR, 0 },
    { "torch._utils", "_rebuild_tensor_v2", NAME_TENSOR_V2, 0 },
    { "torch._utils", "_rebuild_parameter", NAME_PARAMETER, 0 },
    { "torch._utils", "_rebuild_parameter_with_state", NAME_PARAMETER, 0 },
    { "torch._tensor", "_rebuild_from_type_v2", NAME_FROM_TYPE, 0 },
    { "torch", "BoolStorage", NAME_STORAGE, TENSOR_BOOL },
    { "torch", "ByteStorage", NAME_STORAGE, TENSOR_UINT8 },
    { "torch", "CharStorage", NAME_STORAGE, TENSOR_INT8 },
    { "torch", "ShortStorage", NAME_STORAGE, TENSOR_INT16 },
    { "torch", "IntStorage", NAME_STORAGE, TENSOR_INT32 },
    { "torch", "LongStorage", NAME_STORAGE, TENSOR_INT64 },
    { "torch", "HalfStorage", NAME_STORAGE, TENSOR_FLOAT16 },
    { "torch", "BFloat16Storage", NAME_STORAGE, TENSOR_BFLOAT16 },
    { "torch", "FloatStorage", NAME_STORAGE, TENSOR_FLOAT32 },
    { "torch", "DoubleStorage", NAME_STORAGE, TENSOR_FLOAT64 },
};
enum { N_NAMES = sizeof names / sizeof *names };

static int push_name(struct pickle_machine *m, const char *module, const char *name)
{
    int row = 0;
    while (row < N_NAMES && (strcmp(names[row].module, module) || strcmp(names[row].name, name)))
        row++;
    struct pickle_value *value = pickle_new_value(m, row < N_NAMES ? PICKLE_NAME : PICKLE_OPAQUE);
    if (!value) return 0;
    if (row < N_NAMES) value->integer = row;
    else value->module = module, value->string = name;
    return pickle_push(m, value);
}

static const char *take_line(struct pickle_machine *m)
{
    char line[256];
    if (!pickle_take_line(m, line, sizeof line)) return NULL;
    size_t n = strlen(line) + 1;
    const char *copy = arena_grow(m->pickle->arena, line, n, n);
    return copy ? copy : pickle_no_memory(m);
}

int pickle_push_global(struct pickle_machine *m)
{
    const char *module = take_line(m), *name = module ? take_line(m) : NULL;
    return name && push_name(m, module, name);
}

int pickle_push_stack_global(struct pickle_machine *m)
{
    const struct pickle_value *name = pickle_top(m, PICKLE_STRING, "a name") ? pickle_pop(m) : NULL;
    const struct pickle_value *module = name && pickle_top(m, PICKLE_STRING, "a module")
        ? pickle_pop(m)
        : NULL;
    return module && push_name(m, module->string, name->string);
}

/* ---- tensors */

static int is_kind(const struct pickle_value *tuple, size_t i, enum pickle_kind kind)
{
    return i < tuple->n && tuple->items[i]->kind == kind;
}

/* arguments = (storage, offset, shape, stride, ...). */
static int push_tensor(struct pickle_machine *m, const struct pickle_value *arguments,
                       size_t minimum)
{
    if (arguments->n < minimum || !is_kind(arguments, 0, PICKLE_STORAGE)
        || !is_kind(arguments, 1, PICKLE_INT) || !is_kind(arguments, 2, PICKLE_TUPLE)
        || !is_kind(arguments, 3, PICKLE_TUPLE))
        return pickle_fail(m, "a tensor: expected storage, offset, shape and stride") != NULL;
    const struct pickle_value *shape = arguments->items[2], *stride = arguments->items[3];
    if (shape->n != stride->n || shape->n > TENSOR_MAX_DIMENSIONS)
        return pickle_fail(
                   m, "a tensor: expected at most %d sizes and as many strides, found %zu and %zu",
                   TENSOR_MAX_DIMENSIONS, shape->n, stride->n)
            != NULL;
    struct pickle_value *value = pickle_new_value(m, PICKLE_TENSOR);
    struct tensor *tensor = value ? arena_alloc(m->pickle->arena, sizeof *tensor) : NULL;
    if (!tensor) return value && pickle_no_memory(m);
    for (size_t k = 0; k < shape->n; k++) {
        if (!is_kind(shape, k, PICKLE_INT) || !is_kind(stride, k, PICKLE_INT))
            return pickle_fail(m, "a tensor: expected whole numbers as sizes and strides") != NULL;
        tensor->shape[k] = shape->items[k]->integer;
        tensor->stride[k] = stride->items[k]->integer;
    }
    tensor->n_dimensions = (int)shape->n;
    value->tensor = tensor;
    value->storage = arguments->items[0]->storage;
    tensor->type = value->storage->type;
    if (__builtin_add_overflow(arguments->items[0]->integer, arguments->items[1]->integer,
                               &value->integer))
        return pickle_fail(m, "a tensor: its offset is too large") != NULL;
    return pickle_push(m, value);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct pickle_storage *)a)->key, ((const struct pickle_storage *)b)->key);
}

/* Enters the storage, or finds the one of the same key, which must agree. */
static struct pickle_storage *enter_storage(struct pickle_machine *m,
                                            const struct pickle_storage *mentioned)
{
    struct pickle *p = m->pickle;
    struct pickle_storage *storage = pickle_find_storage(p, mentioned->key);
    if (storage) {
        if (storage->type == mentioned->type && storage->n == mentioned->n) return storage;
        return pickle_fail(m, "storage '%.80s' is mentioned with two types or sizes",
                           mentioned->key);
    }
    if (p->n_storages == p->storages_capacity) {
        size_t n = p->n_storages, size = sizeof *p->storages;
        p->storages_capacity = 2 * n + 64;
        p->storages = arena_grow(p->arena, p->storages, n * size, p->storages_capacity * size);
        if (!p->storages) return pickle_no_memory(m);
    }
    storage = arena_alloc(p->arena, sizeof *storage);
    if (!storage) return pickle_no_memory(m);
    *storage = *mentioned;
    if (!tsearch(storage, &p->storage_tree, compare_keys)) return pickle_no_memory(m);
    return p->storages[p->n_storages++] = storage;
}

/* The old format's (view key, offset, size) of a storage that is a part of another one. */
static int take_view(struct pickle_machine *m, const struct pickle_value *view,
                     struct pickle_value *value)
{
    if (view->kind == PICKLE_NONE) return 1;
    if (view->kind != PICKLE_TUPLE || view->n != 3 || !is_kind(view, 1, PICKLE_INT)
        || !is_kind(view, 2, PICKLE_INT) || view->items[1]->integer < 0
        || view->items[1]->integer > value->storage->n)
        return pickle_fail(m, "a storage: expected a view (key, offset, size) within it") != NULL;
    value->integer = view->items[1]->integer;
    return 1;
}

/* ('storage', type, key, location, n elements[, view]). */
static int push_storage(struct pickle_machine *m, const struct pickle_value *id)
{
    if (is_kind(id, 1, PICKLE_OPAQUE) && id->items[1]->module)
        return pickle_fail(m, "a storage of type '%.80s.%.80s', expected numbers of another type",
                           id->items[1]->module, id->items[1]->string)
            != NULL;
    if (id->n < 5 || id->n > 6 || !is_kind(id, 0, PICKLE_STRING)
        || strcmp(id->items[0]->string, "storage") || !is_kind(id, 1, PICKLE_NAME)
        || names[id->items[1]->integer].what != NAME_STORAGE || !is_kind(id, 2, PICKLE_STRING)
        || !is_kind(id, 4, PICKLE_INT))
        return pickle_fail(m, "expected ('storage', type, key, location, size)") != NULL;
    struct pickle_storage mentioned = { .key = id->items[2]->string,
                                        .type = names[id->items[1]->integer].type,
                                        .n = id->items[4]->integer };
    if (mentioned.n < 0 || mentioned.n > INT64_MAX / 8)
        return pickle_fail(m, "storage '%.80s': a size of %lld", mentioned.key,
                           (long long)mentioned.n)
            != NULL;
    struct pickle_value *value = pickle_new_value(m, PICKLE_STORAGE);
    if (!value || !(value->storage = enter_storage(m, &mentioned))) return 0;
    if (id->n == 6 && !take_view(m, id->items[5], value)) return 0;
    return pickle_push(m, value);
}

/* Of a module there is ('module', class, source file, source). */
int pickle_push_persistent(struct pickle_machine *m)
{
    struct pickle_value *id = pickle_top(m, PICKLE_TUPLE, "a storage's tuple") ? pickle_pop(m)
                                                                               : NULL;
    if (!id) return 0;
    if (is_kind(id, 0, PICKLE_STRING) && !strcmp(id->items[0]->string, "module")
        && is_kind(id, 1, PICKLE_OPAQUE))
        return pickle_push(m, id->items[1]);
    return push_storage(m, id);
}

/* ---- calls */

/* OrderedDict(), OrderedDict([[key, value], ...]) as Python 2 writes it, Counter({...}). */
static int push_dict(struct pickle_machine *m, const struct pickle_value *arguments)
{
    const struct pickle_value *from = arguments->n ? arguments->items[0] : NULL;
    struct pickle_value *dict = pickle_new_value(m, PICKLE_DICT);
    if (!dict) return 0;
    if (arguments->n > 1 || (from && from->kind != PICKLE_LIST && from->kind != PICKLE_DICT))
        return pickle_fail(m, "a dict: expected no arguments, a list of pairs or a dict") != NULL;
    if (from && from->kind == PICKLE_DICT && !pickle_append(m, dict, from->items, from->n))
        return 0;
    for (size_t i = 0; from && from->kind == PICKLE_LIST && i < from->n; i++) {
        const struct pickle_value *pair = from->items[i];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->n != 2)
            return pickle_fail(m, "a dict: expected pairs") != NULL;
        if (!pickle_append(m, dict, pair->items, 2)) return 0;
    }
    return pickle_push(m, dict);
}

static int push_call(struct pickle_machine *m, struct pickle_value *callable,
                     struct pickle_value *arguments)
{
    /* An object tells no more than its class, or what makes it. */
    if (callable->kind == PICKLE_OPAQUE) return pickle_push(m, callable);
    switch (names[callable->integer].what) {
    case NAME_DICT: return push_dict(m, arguments);
    case NAME_TENSOR: return push_tensor(m, arguments, 4);
    case NAME_TENSOR_V2: return push_tensor(m, arguments, 6);
    case NAME_DEVICE: return pickle_push(m, pickle_new_value(m, PICKLE_NONE));
    case NAME_SIZE:
        if (is_kind(arguments, 0, PICKLE_TUPLE)) return pickle_push(m, arguments->items[0]);
        return pickle_fail(m, "torch.Size: expected a tuple") != NULL;
    case NAME_PARAMETER:
        if (is_kind(arguments, 0, PICKLE_TENSOR)) return pickle_push(m, arguments->items[0]);
        return pickle_fail(m, "a parameter: expected a tensor") != NULL;
    default:
        return pickle_fail(m, "refused to call '%s.%s'", names[callable->integer].module,
                           names[callable->integer].name)
            != NULL;
    }
}

/* A tensor with attributes or of a class of its own: (function, class, arguments, state). */
static int push_from_type(struct pickle_machine *m, const struct pickle_value *arguments)
{
    if (!is_kind(arguments, 0, PICKLE_NAME) || !is_kind(arguments, 2, PICKLE_TUPLE))
        return pickle_fail(m, "a tensor: expected function, class and arguments") != NULL;
    return push_call(m, arguments->items[0], arguments->items[2]);
}

int pickle_reduce(struct pickle_machine *m)
{
    struct pickle_value *arguments = pickle_top(m, PICKLE_TUPLE, "a tuple of arguments")
        ? pickle_pop(m)
        : NULL;
    struct pickle_value *callable = arguments
            && pickle_top_or_opaque(m, PICKLE_NAME, "a name to call")
        ? pickle_pop(m)
        : NULL;
    if (!callable) return 0;
    if (callable->kind == PICKLE_NAME && names[callable->integer].what == NAME_FROM_TYPE)
        return push_from_type(m, arguments);
    return push_call(m, callable, arguments);
}

/* The attributes of a dict (a state dict's _metadata) are of no interest, and those of an object
 * only as far as a module has such. */
int pickle_build(struct pickle_machine *m)
{
    const struct pickle_value *state = pickle_pop(m);
    struct pickle_value *value = state
        ? pickle_top_or_opaque(m, PICKLE_DICT, "a dict to give attributes")
        : NULL;
    if (value && value->kind == PICKLE_OPAQUE && pickle_lookup(state, "_parameters")
        && pickle_lookup(state, "_modules"))
        value->integer = 1;
    return value != NULL;
}

struct pickle_storage *pickle_find_storage(const struct pickle *pickle, const char *key)
{
    struct pickle_storage wanted = { .key = key };
    void *node = tfind(&wanted, &pickle->storage_tree, compare_keys);
    return node ? *(struct pickle_storage **)node : NULL;
}

static void leave_alone(void *storage) { (void)storage; /* The arena holds it. */ }

void pickle_close(struct pickle *pickle)
{
    tdestroy(pickle->storage_tree, leave_alone);
    pickle->storage_tree = NULL;
}
