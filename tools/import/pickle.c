/* The opcodes: which of them there are, what each takes from the program and the stack, and what it
 * pushes. */
#include "pickle_machine.h"

#include <stdlib.h>
#include <string.h>

/* ---- numbers and strings */

static int push_int(struct pickle_machine *m, int64_t integer)
{
    struct pickle_value *value = pickle_new_value(m, PICKLE_INT);
    if (value) value->integer = integer;
    return pickle_push(m, value);
}

static int push_opaque(struct pickle_machine *m, const void *from)
{
    return from && pickle_push(m, pickle_new_value(m, PICKLE_OPAQUE));
}

/* C cannot name what a string with zero bytes names: NumPy packs numbers in such. */
static int push_string(struct pickle_machine *m, uint64_t n)
{
    const unsigned char *bytes = pickle_take(m, n);
    if (bytes && memchr(bytes, 0, n)) return push_opaque(m, bytes);
    struct pickle_value *value = bytes ? pickle_new_value(m, PICKLE_STRING) : NULL;
    char *string = value ? arena_alloc(m->pickle->arena, n + 1) : NULL;
    if (!value) return 0;
    if (!string) return pickle_no_memory(m) != NULL;
    memcpy(string, bytes, n);
    value->string = string;
    value->n = n;
    return pickle_push(m, value);
}

static int push_float(struct pickle_machine *m)
{
    const unsigned char *bytes = pickle_take(m, 8);
    struct pickle_value *value = bytes ? pickle_new_value(m, PICKLE_FLOAT) : NULL;
    uint64_t bits = 0;
    if (!value) return 0;
    for (int i = 0; i < 8; i++) bits = bits << 8 | bytes[i];
    memcpy(&value->number, &bits, sizeof bits);
    return pickle_push(m, value);
}

/* A little-endian integer in two's complement. Beyond 64 bits only its lowest ones are kept: the
 * one big integer that is of interest is the magic number of the old format. */
static int push_long(struct pickle_machine *m, uint64_t n)
{
    const unsigned char *bytes = pickle_take(m, n);
    uint64_t number = bytes && n && bytes[n - 1] & 128 ? UINT64_MAX : 0;
    if (!bytes) return 0;
    for (size_t i = n < 8 ? n : 8; i-- > 0;) number = number << 8 | bytes[i];
    return push_int(m, (int64_t)number);
}

/* ---- tuples, lists and dicts */

static int append_items(struct pickle_machine *m, enum pickle_kind kind, const char *name, int n)
{
    struct pickle_value *item[2];
    for (int i = n; i-- > 0;)
        if (!(item[i] = pickle_pop(m))) return 0;
    struct pickle_value *sequence = pickle_top_or_opaque(m, kind, name);
    return sequence && pickle_append(m, sequence, item, (size_t)n);
}

static int append_to_mark(struct pickle_machine *m, enum pickle_kind kind, const char *name,
                          size_t multiple)
{
    size_t n;
    struct pickle_value **items = pickle_pop_to_mark(m, &n);
    struct pickle_value *sequence = items ? pickle_top_or_opaque(m, kind, name) : NULL;
    if (!sequence) return 0;
    if (n % multiple)
        return pickle_fail(m, "expected keys and values in pairs, found %zu items", n) != NULL;
    return pickle_append(m, sequence, items, n);
}

static int push_tuple(struct pickle_machine *m, size_t n)
{
    if (m->n_stack < n)
        return pickle_fail(m, "expected %zu values on the stack, found %zu", n, m->n_stack) != NULL;
    struct pickle_value **items = m->stack + m->n_stack - n;
    for (size_t i = 0; i < n; i++)
        if (items[i]->kind == PICKLE_MARK)
            return pickle_fail(m, "expected a value, found a mark") != NULL;
    m->n_stack -= n;
    return pickle_push_sequence(m, PICKLE_TUPLE, items, n);
}

static int push_tuple_to_mark(struct pickle_machine *m)
{
    size_t n;
    struct pickle_value **items = pickle_pop_to_mark(m, &n);
    return items && pickle_push_sequence(m, PICKLE_TUPLE, items, n);
}

/* The keyword arguments of an object, beside the others, are of no interest. */
static int reduce_with_keywords(struct pickle_machine *m)
{
    return pickle_pop(m) && pickle_reduce(m);
}

static int push_frozen_set(struct pickle_machine *m)
{
    size_t n;
    return push_opaque(m, pickle_pop_to_mark(m, &n));
}

static int check_protocol(struct pickle_machine *m, uint64_t protocol)
{
    if (protocol >= 2 && protocol <= 5) return 1;
    return pickle_fail(m, "protocol %llu, expected 2 to 5", (unsigned long long)protocol) != NULL;
}

/* ---- opcodes */

/* The names of the opcodes that are refused, for messages. */
static const struct {
    unsigned char opcode;
    const char *name;
} refused[] = {
    { 'i', "INST" },
    { 'o', "OBJ" },
    { 'P', "PERSID" },
    { 'F', "FLOAT" },
    { 'I', "INT" },
    { 'L', "LONG" },
    { 'S', "STRING" },
    { 'V', "UNICODE" },
    { 'd', "DICT" },
    { 'l', "LIST" },
    { 'g', "GET" },
    { 'p', "PUT" },
    { 0x82, "EXT1" },
    { 0x83, "EXT2" },
    { 0x84, "EXT4" },
    { 0x97, "NEXT_BUFFER" },
    { 0x98, "READONLY_BUFFER" },
};

static int refuse(struct pickle_machine *m, int opcode)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (refused[i].opcode == opcode)
            return pickle_fail(m, "opcode %s, which no state dict needs", refused[i].name) != NULL;
    return pickle_fail(m, "0x%02x is no opcode", opcode) != NULL;
}

/* Opcodes that take nothing but what stands on the stack. */
static int run_plain(struct pickle_machine *m, int opcode)
{
    size_t ignored;
    switch (opcode) {
    case '(': return pickle_push(m, pickle_new_value(m, PICKLE_MARK));
    case '0': return pickle_pop(m) != NULL;
    case '1': return pickle_pop_to_mark(m, &ignored) != NULL;
    case '2':
        return m->n_stack ? pickle_push(m, m->stack[m->n_stack - 1])
                          : pickle_fail(m, "the stack is empty") != NULL;
    case 'N': return pickle_push(m, pickle_new_value(m, PICKLE_NONE));
    case 0x88: return push_int(m, 1);
    case 0x89: return push_int(m, 0);
    case ')': return pickle_push_sequence(m, PICKLE_TUPLE, NULL, 0);
    case 0x85: return push_tuple(m, 1);
    case 0x86: return push_tuple(m, 2);
    case 0x87: return push_tuple(m, 3);
    case 't': return push_tuple_to_mark(m);
    case ']': return pickle_push_sequence(m, PICKLE_LIST, NULL, 0);
    case 'a': return append_items(m, PICKLE_LIST, "a list", 1);
    case 'e': return append_to_mark(m, PICKLE_LIST, "a list", 1);
    case '}': return pickle_push_sequence(m, PICKLE_DICT, NULL, 0);
    case 's': return append_items(m, PICKLE_DICT, "a dict", 2);
    case 'u': return append_to_mark(m, PICKLE_DICT, "a dict", 2);
    case 'R':
    case 0x81: return pickle_reduce(m); /* REDUCE, NEWOBJ */
    case 0x92: return reduce_with_keywords(m);
    case 'b': return pickle_build(m);
    case 'Q': return pickle_push_persistent(m);
    case 0x8f: return push_opaque(m, m); /* EMPTY_SET, then ADDITEMS */
    case 0x90: return append_to_mark(m, PICKLE_OPAQUE, "a set", 1);
    case 0x91: return push_frozen_set(m);
    case 'G': return push_float(m);
    case 'c': return pickle_push_global(m);
    case 0x93: return pickle_push_stack_global(m);
    case 0x94: return pickle_put(m, m->n_memo);
    default: return refuse(m, opcode);
    }
}

/* Opcodes followed by a number: how many bytes it has, 0 for the others. */
static int argument_bytes(int opcode)
{
    switch (opcode) {
    case 'C':
    case 'K':
    case 'U':
    case 'h':
    case 'q':
    case 0x80:
    case 0x8a:
    case 0x8c: return 1;
    case 'M': return 2;
    case 'B':
    case 'J':
    case 'T':
    case 'X':
    case 'j':
    case 'r':
    case 0x8b: return 4;
    case 0x8d:
    case 0x8e:
    case 0x95:
    case 0x96: return 8;
    default: return 0;
    }
}

static int run_opcode(struct pickle_machine *m, int opcode)
{
    uint64_t number;
    int n_bytes = argument_bytes(opcode);
    if (!n_bytes) return run_plain(m, opcode);
    if (!pickle_take_number(m, n_bytes, &number)) return 0;
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
    case 'B':
    case 'C':
    case 0x8e:
    case 0x96: return push_opaque(m, pickle_take(m, number)); /* bytes, bytearray */
    case 'h':
    case 'j': return pickle_get(m, number);
    case 'q':
    case 'r': return pickle_put(m, number);
    case 0x80: return check_protocol(m, number);
    default: return 1; /* A frame's length is only a hint. */
    }
}

struct pickle_value *pickle_read(struct pickle *pickle, struct sn_error *error)
{
    struct pickle_machine m = { .pickle = pickle, .error = error };
    struct pickle_value *result = NULL;
    for (;;) {
        m.opcode_at = pickle->at;
        const unsigned char *opcode = pickle_take(&m, 1);
        if (opcode && *opcode == '.') {
            result = pickle_pop(&m);
            break;
        }
        if (!opcode || !run_opcode(&m, *opcode)) break;
    }
    free(m.stack);
    free(m.memo);
    return result;
}

struct pickle_value *pickle_lookup(const struct pickle_value *dict, const char *key)
{
    for (size_t i = 0; dict->kind == PICKLE_DICT && i + 1 < dict->n; i += 2)
        if (dict->items[i]->kind == PICKLE_STRING && !strcmp(dict->items[i]->string, key))
            return dict->items[i + 1];
    return NULL;
}
