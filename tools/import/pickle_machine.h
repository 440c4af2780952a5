/* The machine that runs a pickle, for the files of the reader: its program, its stack of values,
 * and its memo, the values that the program has numbered to push them again.
 *
 * Values live in the pickle's arena, stack and memo in the machine. Three limits bound what a file
 * can make us take: no length reaches beyond the program, values and places for them are counted
 * towards one sum, and a memo index is smaller than the program. Functions that fail set m->error
 * and return NULL or 0. */
#ifndef PICKLE_MACHINE_H
#define PICKLE_MACHINE_H

#include "pickle.h"

struct pickle_machine {
    struct pickle *pickle;
    struct pickle_value **stack, **memo;
    size_t n_stack, stack_capacity, memo_size, n_memo;
    size_t opcode_at; /* of the opcode that runs */
    size_t n_values;
    struct sn_error *error;
};

/* SN_BAD_INPUT: "PATH: pickle byte N: ...". Always NULL. */
void *pickle_fail(struct pickle_machine *m, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* SN_NO_MEMORY. Always NULL. */
void *pickle_no_memory(struct pickle_machine *m);

/* ---- bytes of the program */

/* The next n bytes. */
const unsigned char *pickle_take(struct pickle_machine *m, uint64_t n);
/* An unsigned little-endian number of n_bytes <= 8. */
int pickle_take_number(struct pickle_machine *m, int n_bytes, uint64_t *number);
/* The characters up to a newline, which is taken too, as they are: the caller makes them printable
 * for messages. */
int pickle_take_line(struct pickle_machine *m, char *line, size_t size);

/* ---- values and the stack */

struct pickle_value *pickle_new_value(struct pickle_machine *m, enum pickle_kind kind);
/* value may be NULL: the failure that made it so is passed on. */
int pickle_push(struct pickle_machine *m, struct pickle_value *value);
/* The topmost value, which is no mark. */
struct pickle_value *pickle_pop(struct pickle_machine *m);
/* The topmost value, which is of that kind and stays; name is for the message. */
struct pickle_value *pickle_top(struct pickle_machine *m, enum pickle_kind kind, const char *name);
/* The same, but an opaque value does, too. */
struct pickle_value *pickle_top_or_opaque(struct pickle_machine *m, enum pickle_kind kind,
                                          const char *name);
/* The values above the topmost mark: *n of them, from the result on. All are popped; they stay
 * readable until the next push. */
struct pickle_value **pickle_pop_to_mark(struct pickle_machine *m, size_t *n);
/* Appends n items to a tuple, list or dict; an opaque value swallows them. */
int pickle_append(struct pickle_machine *m, struct pickle_value *sequence,
                  struct pickle_value **items, size_t n);
int pickle_push_sequence(struct pickle_machine *m, enum pickle_kind kind,
                         struct pickle_value **items, size_t n);

/* ---- memo */

/* Remembers the topmost value; pushes a remembered one. */
int pickle_put(struct pickle_machine *m, uint64_t index);
int pickle_get(struct pickle_machine *m, uint64_t index);

/* ---- what torch pickles (pickle_torch.c) */

/* Pushes the name "MODULE NEWLINE NAME NEWLINE" of the program, or one whose two parts stand on the
 * stack. */
int pickle_push_global(struct pickle_machine *m);
int pickle_push_stack_global(struct pickle_machine *m);
/* Turns the tuple on the stack that persistent_id made into what it stands for: a storage, or in
 * the old format the class of a module. */
int pickle_push_persistent(struct pickle_machine *m);
/* Turns a name and a tuple of arguments on the stack into what the call would make. */
int pickle_reduce(struct pickle_machine *m);
/* Gives the value below the topmost one its attributes, which is popped. */
int pickle_build(struct pickle_machine *m);

#endif
