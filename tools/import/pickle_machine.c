#include "pickle_machine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More values than any state dict has; a bound on the memory that a file can make us take. */
enum { MAX_VALUES = 1 << 22 };

void *pickle_fail(struct pickle_machine *m, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sn_fail(m->error, SN_BAD_INPUT, "%s: pickle byte %zu: %s", m->pickle->path, m->opcode_at, text);
    return NULL;
}

void *pickle_no_memory(struct pickle_machine *m)
{
    sn_fail(m->error, SN_NO_MEMORY, "%s: out of memory", m->pickle->path);
    return NULL;
}

/* ---- bytes of the program */

const unsigned char *pickle_take(struct pickle_machine *m, uint64_t n)
{
    struct pickle *p = m->pickle;
    if (n > p->n_bytes - p->at)
        return pickle_fail(m, "expected %llu more bytes, found %zu", (unsigned long long)n,
                           p->n_bytes - p->at);
    p->at += n;
    return p->bytes + p->at - n;
}

int pickle_take_number(struct pickle_machine *m, int n_bytes, uint64_t *number)
{
    const unsigned char *bytes = pickle_take(m, (uint64_t)n_bytes);
    *number = 0;
    for (int i = n_bytes - 1; bytes && i >= 0; i--) *number = *number << 8 | bytes[i];
    return bytes != NULL;
}

int pickle_take_line(struct pickle_machine *m, char *line, size_t size)
{
    const struct pickle *p = m->pickle;
    const unsigned char *start = p->bytes + p->at;
    const unsigned char *end = memchr(start, '\n', p->n_bytes - p->at);
    if (!end || (size_t)(end - start) >= size)
        return pickle_fail(m, "expected a name and a newline") != NULL;
    memcpy(line, start, (size_t)(end - start));
    line[end - start] = '\0';
    return pickle_take(m, (uint64_t)(end - start) + 1) != NULL;
}

/* ---- values and the stack */

/* Counts n values, or places of them, towards the limit. */
static int charge(struct pickle_machine *m, size_t n)
{
    if (n > MAX_VALUES - m->n_values)
        return pickle_fail(m, "more than %d values", MAX_VALUES) != NULL;
    m->n_values += n;
    return 1;
}

struct pickle_value *pickle_new_value(struct pickle_machine *m, enum pickle_kind kind)
{
    if (!charge(m, 1)) return NULL;
    struct pickle_value *value = arena_alloc(m->pickle->arena, sizeof *value);
    if (!value) return pickle_no_memory(m);
    value->kind = kind;
    return value;
}

int pickle_push(struct pickle_machine *m, struct pickle_value *value)
{
    if (!value) return 0;
    if (m->n_stack == m->stack_capacity) {
        size_t capacity = m->stack_capacity ? 2 * m->stack_capacity : 256;
        struct pickle_value **grown = realloc(m->stack, capacity * sizeof *grown);
        if (!grown) return pickle_no_memory(m) != NULL;
        m->stack = grown;
        m->stack_capacity = capacity;
    }
    if (!charge(m, 1)) return 0; /* DUP and GET push without a new value. */
    m->stack[m->n_stack++] = value;
    return 1;
}

struct pickle_value *pickle_pop(struct pickle_machine *m)
{
    if (!m->n_stack) return pickle_fail(m, "the stack is empty");
    if (m->stack[m->n_stack - 1]->kind == PICKLE_MARK)
        return pickle_fail(m, "expected a value, found a mark");
    return m->stack[--m->n_stack];
}

struct pickle_value *pickle_top(struct pickle_machine *m, enum pickle_kind kind, const char *name)
{
    if (!m->n_stack || m->stack[m->n_stack - 1]->kind != kind)
        return pickle_fail(m, "expected %s on the stack", name);
    return m->stack[m->n_stack - 1];
}

struct pickle_value *pickle_top_or_opaque(struct pickle_machine *m, enum pickle_kind kind,
                                          const char *name)
{
    int is_opaque = m->n_stack && m->stack[m->n_stack - 1]->kind == PICKLE_OPAQUE;
    return pickle_top(m, is_opaque ? PICKLE_OPAQUE : kind, name);
}

struct pickle_value **pickle_pop_to_mark(struct pickle_machine *m, size_t *n)
{
    size_t i = m->n_stack;
    while (i && m->stack[i - 1]->kind != PICKLE_MARK) i--;
    if (!i) return pickle_fail(m, "expected a mark on the stack");
    *n = m->n_stack - i;
    m->n_stack = i - 1;
    return m->stack + i;
}

int pickle_append(struct pickle_machine *m, struct pickle_value *sequence,
                  struct pickle_value **items, size_t n)
{
    if (sequence->kind == PICKLE_OPAQUE) return 1;
    if (!charge(m, n)) return 0;
    if (sequence->n + n > sequence->capacity) {
        size_t capacity = 2 * sequence->capacity > sequence->n + n ? 2 * sequence->capacity
                                                                   : sequence->n + n;
        sequence->items = arena_grow(m->pickle->arena, sequence->items, sequence->n * sizeof *items,
                                     capacity * sizeof *items);
        if (!sequence->items) return pickle_no_memory(m) != NULL;
        sequence->capacity = capacity;
    }
    if (n) memcpy(sequence->items + sequence->n, items, n * sizeof *items);
    sequence->n += n;
    return 1;
}

int pickle_push_sequence(struct pickle_machine *m, enum pickle_kind kind,
                         struct pickle_value **items, size_t n)
{
    struct pickle_value *value = pickle_new_value(m, kind);
    return value && pickle_append(m, value, items, n) && pickle_push(m, value);
}

/* ---- memo */

int pickle_put(struct pickle_machine *m, uint64_t index)
{
    if (!m->n_stack || m->stack[m->n_stack - 1]->kind == PICKLE_MARK)
        return pickle_fail(m, "expected a value to remember") != NULL;
    /* Picklers number the memo from 0 on, and each entry takes a byte at least. */
    if (index >= m->pickle->n_bytes || index >= MAX_VALUES)
        return pickle_fail(m, "memo index %llu is too large", (unsigned long long)index) != NULL;
    if (index >= m->memo_size) {
        size_t size = 2 * (size_t)index + 64;
        struct pickle_value **grown = realloc(m->memo, size * sizeof *grown);
        if (!grown) return pickle_no_memory(m) != NULL;
        memset(grown + m->memo_size, 0, (size - m->memo_size) * sizeof *grown);
        m->memo = grown;
        m->memo_size = size;
    }
    m->n_memo += !m->memo[index];
    m->memo[index] = m->stack[m->n_stack - 1];
    return 1;
}

int pickle_get(struct pickle_machine *m, uint64_t index)
{
    if (index >= m->memo_size || !m->memo[index])
        return pickle_fail(m, "memo has no entry %llu", (unsigned long long)index) != NULL;
    return pickle_push(m, m->memo[index]);
}
