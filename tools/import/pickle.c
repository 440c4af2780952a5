#include "pickle.h"

#include <search.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More values than any state dict has; a bound on the memory that a file can make us take. */
enum { MAX_VALUES = 1 << 22 };

/* What one run of the machine needs beside the file. */
struct machine {
    struct pickle *pickle;
    struct pickle_value **stack, **memo;
    size_t n_stack, stack_capacity, memo_size, n_memo;
    size_t opcode_at; /* of the opcode that runs */
    size_t n_values;
    struct sn_error *error;
};

/* Every failure leaves through here, so that callers can return NULL or 0. */
static void *fail(struct machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void *fail(struct machine *m, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sn_fail(m->error, SN_BAD_INPUT, "%s: pickle byte %zu: %s", m->pickle->path, m->opcode_at, text);
    return NULL;
}

static void *no_memory(struct machine *m)
{
    sn_fail(m->error, SN_NO_MEMORY, "%s: out of memory", m->pickle->path);
    return NULL;
}

/* ---- bytes of the program */

static const unsigned char *take(struct machine *m, uint64_t n)
{
    struct pickle *p = m->pickle;
    if (n > p->n_bytes - p->at)
        return fail(m, "expected %llu more bytes, found %zu", (unsigned long long)n,
                    p->n_bytes - p->at);
    p->at += n;
    return p->bytes + p->at - n;
}

/* An unsigned little-endian number of n_bytes <= 8. */
static int take_number(struct machine *m, int n_bytes, uint64_t *number)
{
    const unsigned char *bytes = take(m, (uint64_t)n_bytes);
    *number = 0;
    for (int i = n_bytes - 1; bytes && i >= 0; i--) *number = *number << 8 | bytes[i];
    return bytes != NULL;
}

/* The characters up to a newline, which is taken too. Made printable for messages by the caller. */
static int take_line(struct machine *m, char *line, size_t size)
{
    const struct pickle *p = m->pickle;
    const unsigned char *start = p->bytes + p->at;
    const unsigned char *end = memchr(start, '\n', p->n_bytes - p->at);
    if (!end || (size_t)(end - start) >= size)
        return fail(m, "expected a name and a newline") != NULL;
    memcpy(line, start, (size_t)(end - start));
    line[end - start] = '\0';
    return take(m, (uint64_t)(end - start) + 1) != NULL;
}

/* ---- values and the stack */

/* Counts n values, or places of them, towards the limit. */
static int charge(struct machine *m, size_t n)
{
    if (n > MAX_VALUES - m->n_values) return fail(m, "more than %d values", MAX_VALUES) != NULL;
    m->n_values += n;
    return 1;
}

static struct pickle_value *new_value(struct machine *m, enum pickle_kind kind)
{
    if (!charge(m, 1)) return NULL;
    struct pickle_value *value = arena_alloc(m->pickle->arena, sizeof *value);
    if (!value) return no_memory(m);
    value->kind = kind;
    return value;
}

static int push(struct machine *m, struct pickle_value *value)
{
    if (!value) return 0;
    if (m->n_stack == m->stack_capacity) {
        size_t capacity = m->stack_capacity ? 2 * m->stack_capacity : 256;
        struct pickle_value **grown = realloc(m->stack, capacity * sizeof *grown);
        if (!grown) return no_memory(m) != NULL;
        m->stack = grown;
        m->stack_capacity = capacity;
    }
    if (!charge(m, 1)) return 0; /* DUP and GET push without a new value. */
    m->stack[m->n_stack++] = value;
    return 1;
}

static struct pickle_value *pop(struct machine *m)
{
    if (!m->n_stack) return fail(m, "the stack is empty");
    if (m->stack[m->n_stack - 1]->kind == PICKLE_MARK)
        return fail(m, "expected a value, found a mark");
    return m->stack[--m->n_stack];
}

static struct pickle_value *top(struct machine *m, enum pickle_kind kind, const char *name)
{
    if (!m->n_stack || m->stack[m->n_stack - 1]->kind != kind)
        return fail(m, "expected %s on the stack", name);
    return m->stack[m->n_stack - 1];
}

/* The values above the topmost mark: *n of them, from the result on. All are popped; they stay
 * readable until the next push. */
static struct pickle_value **pop_to_mark(struct machine *m, size_t *n)
{
    size_t i = m->n_stack;
    while (i && m->stack[i - 1]->kind != PICKLE_MARK) i--;
    if (!i) return fail(m, "expected a mark on the stack");
    *n = m->n_stack - i;
    m->n_stack = i - 1;
    return m->stack + i;
}

static int append(struct machine *m, struct pickle_value *sequence, struct pickle_value **items,
                  size_t n)
{
    if (!charge(m, n)) return 0;
    if (sequence->n + n > sequence->capacity) {
        size_t capacity = 2 * sequence->capacity > sequence->n + n ? 2 * sequence->capacity
                                                                   : sequence->n + n;
        sequence->items = arena_grow(m->pickle->arena, sequence->items, sequence->n * sizeof *items,
                                     capacity * sizeof *items);
        if (!sequence->items) return no_memory(m) != NULL;
        sequence->capacity = capacity;
    }
    if (n) memcpy(sequence->items + sequence->n, items, n * sizeof *items);
    sequence->n += n;
    return 1;
}

static int push_sequence(struct machine *m, enum pickle_kind kind, struct pickle_value **items,
                         size_t n)
{
    struct pickle_value *value = new_value(m, kind);
    return value && append(m, value, items, n) && push(m, value);
}

static int push_int(struct machine *m, int64_t integer)
{
    struct pickle_value *value = new_value(m, PICKLE_INT);
    if (value) value->integer = integer;
    return push(m, value);
}

/* Strings hold no zero bytes, so that C can name what they name. */
static int push_string(struct machine *m, uint64_t n)
{
    const unsigned char *bytes = take(m, n);
    struct pickle_value *value = bytes ? new_value(m, PICKLE_STRING) : NULL;
    char *string = value ? arena_alloc(m->pickle->arena, n + 1) : NULL;
    if (!value) return 0;
    if (!string) return no_memory(m) != NULL;
    if (memchr(bytes, 0, n)) return fail(m, "a zero byte within a string") != NULL;
    memcpy(string, bytes, n);
    value->string = string;
    value->n = n;
    return push(m, value);
}

static int push_float(struct machine *m)
{
    const unsigned char *bytes = take(m, 8);
    struct pickle_value *value = bytes ? new_value(m, PICKLE_FLOAT) : NULL;
    uint64_t bits = 0;
    if (!value) return 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | bytes[i];
    memcpy(&value->number, &bits, sizeof bits);
    return push(m, value);
}

/* A little-endian integer in two's complement. Beyond 64 bits only its lowest ones are kept: the
 * one big integer that is of interest is the magic number of the old format. */
static int push_long(struct machine *m, uint64_t n)
{
    const unsigned char *bytes = take(m, n);
    uint64_t number = bytes && n && bytes[n - 1] & 128 ? UINT64_MAX : 0;
    if (!bytes) return 0;
    for (size_t i = n < 8 ? n : 8; i-- > 0;) number = number << 8 | bytes[i];
    return push_int(m, (int64_t)number);
}

/* ---- memo */

static int put(struct machine *m, uint64_t index)
{
    if (!m->n_stack || m->stack[m->n_stack - 1]->kind == PICKLE_MARK)
        return fail(m, "expected a value to remember") != NULL;
    /* Picklers number the memo from 0 on, and each entry takes a byte at least. */
    if (index >= m->pickle->n_bytes || index >= MAX_VALUES)
        return fail(m, "memo index %llu is too large", (unsigned long long)index) != NULL;
    if (index >= m->memo_size) {
        size_t size = 2 * (size_t)index + 64;
        struct pickle_value **grown = realloc(m->memo, size * sizeof *grown);
        if (!grown) return no_memory(m) != NULL;
        memset(grown + m->memo_size, 0, (size - m->memo_size) * sizeof *grown);
        m->memo = grown;
        m->memo_size = size;
    }
    m->n_memo += !m->memo[index];
    m->memo[index] = m->stack[m->n_stack - 1];
    return 1;
}

static int get(struct machine *m, uint64_t index)
{
    if (index >= m->memo_size || !m->memo[index])
        return fail(m, "memo has no entry %llu", (unsigned long long)index) != NULL;
    return push(m, m->memo[index]);
}

/* ---- names */

enum name {
    NAME_DICT,
    NAME_SIZE,
    NAME_TENSOR,
    NAME_TENSOR_V2,
    NAME_PARAMETER,
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

/* Messages are one line of printable characters, whatever the file says. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 127) *text = '?';
}

static int push_name(struct machine *m, const char *module, const char *name)
{
    for (int i = 0; i < N_NAMES; i++) {
        if (strcmp(names[i].module, module) || strcmp(names[i].name, name)) continue;
        struct pickle_value *value = new_value(m, PICKLE_NAME);
        if (value) value->integer = i;
        return push(m, value);
    }
    char text[256];
    snprintf(text, sizeof text, "%.120s.%.120s", module, name);
    make_printable(text);
    return fail(m, "refused to call '%s', which no state dict needs", text) != NULL;
}

static int push_global(struct machine *m)
{
    char module[256], name[256];
    return take_line(m, module, sizeof module) && take_line(m, name, sizeof name)
        && push_name(m, module, name);
}

static int push_stack_global(struct machine *m)
{
    const struct pickle_value *name = top(m, PICKLE_STRING, "a name") ? pop(m) : NULL;
    const struct pickle_value *module = name && top(m, PICKLE_STRING, "a module") ? pop(m) : NULL;
    return module && push_name(m, module->string, name->string);
}

/* ---- tensors */

static int is_kind(const struct pickle_value *tuple, size_t i, enum pickle_kind kind)
{
    return i < tuple->n && tuple->items[i]->kind == kind;
}

/* arguments = (storage, offset, shape, stride, ...). */
static int push_tensor(struct machine *m, const struct pickle_value *arguments, size_t minimum)
{
    if (arguments->n < minimum || !is_kind(arguments, 0, PICKLE_STORAGE)
        || !is_kind(arguments, 1, PICKLE_INT) || !is_kind(arguments, 2, PICKLE_TUPLE)
        || !is_kind(arguments, 3, PICKLE_TUPLE))
        return fail(m, "a tensor: expected storage, offset, shape and stride") != NULL;
    const struct pickle_value *shape = arguments->items[2], *stride = arguments->items[3];
    if (shape->n != stride->n || shape->n > TENSOR_MAX_DIMENSIONS)
        return fail(m, "a tensor: expected at most %d sizes and as many strides, found %zu and %zu",
                    TENSOR_MAX_DIMENSIONS, shape->n, stride->n)
            != NULL;
    struct pickle_value *value = new_value(m, PICKLE_TENSOR);
    struct tensor *tensor = value ? arena_alloc(m->pickle->arena, sizeof *tensor) : NULL;
    if (!tensor) return value && no_memory(m);
    for (size_t k = 0; k < shape->n; k++) {
        if (!is_kind(shape, k, PICKLE_INT) || !is_kind(stride, k, PICKLE_INT))
            return fail(m, "a tensor: expected whole numbers as sizes and strides") != NULL;
        tensor->shape[k] = shape->items[k]->integer;
        tensor->stride[k] = stride->items[k]->integer;
    }
    tensor->n_dimensions = (int)shape->n;
    value->tensor = tensor;
    value->storage = arguments->items[0]->storage;
    tensor->type = value->storage->type;
    if (__builtin_add_overflow(arguments->items[0]->integer, arguments->items[1]->integer,
                               &value->integer))
        return fail(m, "a tensor: its offset is too large") != NULL;
    return push(m, value);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct pickle_storage *)a)->key, ((const struct pickle_storage *)b)->key);
}

/* Enters the storage, or finds the one of the same key, which must agree. */
static struct pickle_storage *enter_storage(struct machine *m,
                                            const struct pickle_storage *mentioned)
{
    struct pickle *p = m->pickle;
    struct pickle_storage *storage = pickle_find_storage(p, mentioned->key);
    if (storage) {
        if (storage->type == mentioned->type && storage->n == mentioned->n) return storage;
        return fail(m, "storage '%.80s' is mentioned with two types or sizes", mentioned->key);
    }
    if (p->n_storages == p->storages_capacity) {
        size_t n = p->n_storages, size = sizeof *p->storages;
        p->storages_capacity = 2 * n + 64;
        p->storages = arena_grow(p->arena, p->storages, n * size, p->storages_capacity * size);
        if (!p->storages) return no_memory(m);
    }
    storage = arena_alloc(p->arena, sizeof *storage);
    if (!storage) return no_memory(m);
    *storage = *mentioned;
    if (!tsearch(storage, &p->storage_tree, compare_keys)) return no_memory(m);
    return p->storages[p->n_storages++] = storage;
}

/* The old format's (view key, offset, size) of a storage that is a part of another one. */
static int take_view(struct machine *m, const struct pickle_value *view, struct pickle_value *value)
{
    if (view->kind == PICKLE_NONE) return 1;
    if (view->kind != PICKLE_TUPLE || view->n != 3 || !is_kind(view, 1, PICKLE_INT)
        || !is_kind(view, 2, PICKLE_INT) || view->items[1]->integer < 0
        || view->items[1]->integer > value->storage->n)
        return fail(m, "a storage: expected a view (key, offset, size) within it") != NULL;
    value->integer = view->items[1]->integer;
    return 1;
}

/* ('storage', type, key, location, n elements[, view]). */
static int push_storage(struct machine *m)
{
    const struct pickle_value *id = top(m, PICKLE_TUPLE, "a storage's tuple") ? pop(m) : NULL;
    if (!id) return 0;
    if (id->n < 5 || id->n > 6 || !is_kind(id, 0, PICKLE_STRING)
        || strcmp(id->items[0]->string, "storage") || !is_kind(id, 1, PICKLE_NAME)
        || names[id->items[1]->integer].what != NAME_STORAGE || !is_kind(id, 2, PICKLE_STRING)
        || !is_kind(id, 4, PICKLE_INT))
        return fail(m, "expected ('storage', type, key, location, size)") != NULL;
    struct pickle_storage mentioned = { .key = id->items[2]->string,
                                        .type = names[id->items[1]->integer].type,
                                        .n = id->items[4]->integer };
    if (mentioned.n < 0 || mentioned.n > INT64_MAX / 8)
        return fail(m, "storage '%.80s': a size of %lld", mentioned.key, (long long)mentioned.n)
            != NULL;
    struct pickle_value *value = new_value(m, PICKLE_STORAGE);
    if (!value || !(value->storage = enter_storage(m, &mentioned))) return 0;
    if (id->n == 6 && !take_view(m, id->items[5], value)) return 0;
    return push(m, value);
}

/* ---- calls */

/* OrderedDict(), OrderedDict([[key, value], ...]) as Python 2 writes it, Counter({...}). */
static int push_dict(struct machine *m, const struct pickle_value *arguments)
{
    const struct pickle_value *from = arguments->n ? arguments->items[0] : NULL;
    struct pickle_value *dict = new_value(m, PICKLE_DICT);
    if (!dict) return 0;
    if (arguments->n > 1 || (from && from->kind != PICKLE_LIST && from->kind != PICKLE_DICT))
        return fail(m, "a dict: expected no arguments, a list of pairs or a dict") != NULL;
    if (from && from->kind == PICKLE_DICT && !append(m, dict, from->items, from->n)) return 0;
    for (size_t i = 0; from && from->kind == PICKLE_LIST && i < from->n; i++) {
        const struct pickle_value *pair = from->items[i];
        if ((pair->kind != PICKLE_LIST && pair->kind != PICKLE_TUPLE) || pair->n != 2)
            return fail(m, "a dict: expected pairs") != NULL;
        if (!append(m, dict, pair->items, 2)) return 0;
    }
    return push(m, dict);
}

static int reduce(struct machine *m)
{
    struct pickle_value *arguments = top(m, PICKLE_TUPLE, "a tuple of arguments") ? pop(m) : NULL;
    struct pickle_value *callable = arguments && top(m, PICKLE_NAME, "a name to call") ? pop(m)
                                                                                       : NULL;
    if (!callable) return 0;
    switch (names[callable->integer].what) {
    case NAME_DICT: return push_dict(m, arguments);
    case NAME_TENSOR: return push_tensor(m, arguments, 4);
    case NAME_TENSOR_V2: return push_tensor(m, arguments, 6);
    case NAME_DEVICE: return push(m, new_value(m, PICKLE_NONE));
    case NAME_SIZE:
        if (is_kind(arguments, 0, PICKLE_TUPLE)) return push(m, arguments->items[0]);
        return fail(m, "torch.Size: expected a tuple") != NULL;
    case NAME_PARAMETER:
        if (is_kind(arguments, 0, PICKLE_TENSOR)) return push(m, arguments->items[0]);
        return fail(m, "a parameter: expected a tensor") != NULL;
    default:
        return fail(m, "refused to call '%s.%s'", names[callable->integer].module,
                    names[callable->integer].name)
            != NULL;
    }
}

/* The attributes of a dict (a state dict's _metadata) are of no interest. */
static int build(struct machine *m)
{
    return pop(m) && top(m, PICKLE_DICT, "a dict to give attributes");
}

static int append_items(struct machine *m, enum pickle_kind kind, const char *name, int n)
{
    struct pickle_value *item[2];
    for (int i = n; i-- > 0;)
        if (!(item[i] = pop(m))) return 0;
    struct pickle_value *sequence = top(m, kind, name);
    return sequence && append(m, sequence, item, (size_t)n);
}

static int append_to_mark(struct machine *m, enum pickle_kind kind, const char *name,
                          size_t multiple)
{
    size_t n;
    struct pickle_value **items = pop_to_mark(m, &n);
    struct pickle_value *sequence = items ? top(m, kind, name) : NULL;
    if (!sequence) return 0;
    if (n % multiple)
        return fail(m, "expected keys and values in pairs, found %zu items", n) != NULL;
    return append(m, sequence, items, n);
}

static int push_tuple(struct machine *m, size_t n)
{
    if (m->n_stack < n)
        return fail(m, "expected %zu values on the stack, found %zu", n, m->n_stack) != NULL;
    struct pickle_value **items = m->stack + m->n_stack - n;
    for (size_t i = 0; i < n; i++)
        if (items[i]->kind == PICKLE_MARK) return fail(m, "expected a value, found a mark") != NULL;
    m->n_stack -= n;
    return push_sequence(m, PICKLE_TUPLE, items, n);
}

static int push_tuple_to_mark(struct machine *m)
{
    size_t n;
    struct pickle_value **items = pop_to_mark(m, &n);
    return items && push_sequence(m, PICKLE_TUPLE, items, n);
}

static int check_protocol(struct machine *m, uint64_t protocol)
{
    if (protocol >= 2 && protocol <= 5) return 1;
    return fail(m, "protocol %llu, expected 2 to 5", (unsigned long long)protocol) != NULL;
}

/* ---- opcodes */

/* The names of the opcodes that are refused, for messages. */
static const struct {
    unsigned char opcode;
    const char *name;
} refused[] = {
    { 'i', "INST" },         { 'o', "OBJ" },
    { 'P', "PERSID" },       { 'F', "FLOAT" },
    { 'I', "INT" },          { 'L', "LONG" },
    { 'S', "STRING" },       { 'V', "UNICODE" },
    { 'd', "DICT" },         { 'l', "LIST" },
    { 'g', "GET" },          { 'p', "PUT" },
    { 'B', "BINBYTES" },     { 'C', "SHORT_BINBYTES" },
    { 0x81, "NEWOBJ" },      { 0x82, "EXT1" },
    { 0x83, "EXT2" },        { 0x84, "EXT4" },
    { 0x8e, "BINBYTES8" },   { 0x8f, "EMPTY_SET" },
    { 0x90, "ADDITEMS" },    { 0x91, "FROZENSET" },
    { 0x92, "NEWOBJ_EX" },   { 0x96, "BYTEARRAY8" },
    { 0x97, "NEXT_BUFFER" }, { 0x98, "READONLY_BUFFER" },
};

static int refuse(struct machine *m, int opcode)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].opcode == opcode)
            return fail(m, "opcode %s, which no state dict needs", refused[i].name) != NULL;
    return fail(m, "0x%02x is no opcode", opcode) != NULL;
}

/* Opcodes that take nothing but what stands on the stack. */
static int run_plain(struct machine *m, int opcode)
{
    size_t ignored;
    switch (opcode) {
    case '(': return push(m, new_value(m, PICKLE_MARK));
    case '0': return pop(m) != NULL;
    case '1': return pop_to_mark(m, &ignored) != NULL;
    case '2':
        return m->n_stack ? push(m, m->stack[m->n_stack - 1])
                          : fail(m, "the stack is empty") != NULL;
    case 'N': return push(m, new_value(m, PICKLE_NONE));
    case 0x88: return push_int(m, 1);
    case 0x89: return push_int(m, 0);
    case ')': return push_sequence(m, PICKLE_TUPLE, NULL, 0);
    case 0x85: return push_tuple(m, 1);
    case 0x86: return push_tuple(m, 2);
    case 0x87: return push_tuple(m, 3);
    case 't': return push_tuple_to_mark(m);
    case ']': return push_sequence(m, PICKLE_LIST, NULL, 0);
    case 'a': return append_items(m, PICKLE_LIST, "a list", 1);
    case 'e': return append_to_mark(m, PICKLE_LIST, "a list", 1);
    case '}': return push_sequence(m, PICKLE_DICT, NULL, 0);
    case 's': return append_items(m, PICKLE_DICT, "a dict", 2);
    case 'u': return append_to_mark(m, PICKLE_DICT, "a dict", 2);
    case 'R': return reduce(m);
    case 'b': return build(m);
    case 'Q': return push_storage(m);
    case 'G': return push_float(m);
    case 'c': return push_global(m);
    case 0x93: return push_stack_global(m);
    case 0x94: return put(m, m->n_memo);
    default: return refuse(m, opcode);
    }
}

/* Opcodes followed by a number: how many bytes it has, 0 for the others. */
static int argument_bytes(int opcode)
{
    switch (opcode) {
    case 'K':
    case 'U':
    case 'h':
    case 'q':
    case 0x80:
    case 0x8a:
    case 0x8c: return 1;
    case 'M': return 2;
    case 'J':
    case 'T':
    case 'X':
    case 'j':
    case 'r':
    case 0x8b: return 4;
    case 0x8d:
    case 0x95: return 8;
    default: return 0;
    }
}

static int run_opcode(struct machine *m, int opcode)
{
    uint64_t number;
    int n_bytes = argument_bytes(opcode);
    if (!n_bytes) return run_plain(m, opcode);
    if (!take_number(m, n_bytes, &number)) return 0;
    switch (opcode) {
    case 'K':
    case 'M': return push_int(m, (int64_t)number);
    case 'J': return push_int(m, (int32_t)number);
    case 0x8a:
    case 0x8b: return push_long(m, number);
    case 'T':
    case 'U':
    case 'X':
    case 0x8c:
    case 0x8d: return push_string(m, number);
    case 'h':
    case 'j': return get(m, number);
    case 'q':
    case 'r': return put(m, number);
    case 0x80: return check_protocol(m, number);
    default: return 1; /* A frame's length is only a hint. */
    }
}

struct pickle_value *pickle_read(struct pickle *pickle, struct sn_error *error)
{
    struct machine m = { .pickle = pickle, .error = error };
    struct pickle_value *result = NULL;
    for (;;) {
        m.opcode_at = pickle->at;
        const unsigned char *opcode = take(&m, 1);
        if (opcode && *opcode == '.') {
            result = pop(&m);
            break;
        }
        if (!opcode || !run_opcode(&m, *opcode)) break;
    }
    free(m.stack);
    free(m.memo);
    return result;
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

struct pickle_value *pickle_lookup(const struct pickle_value *dict, const char *key)
{
    for (size_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->n; i += 2)
        if (dict->items[i]->kind == PICKLE_STRING && !strcmp(dict->items[i]->string, key))
            return dict->items[i + 1];
    return NULL;
}
