/* Reads the pickles that PyTorch writes, as data: a stack machine that knows the opcodes of
 * protocols 2 to 5 which build numbers, strings, lists, tuples and dicts, and the few names by
 * which a state dict refers to tensors. It calls nothing. What any other name stands for, or would
 * make, is opaque: it is carried along and never looked into. Any other opcode is refused by its
 * name; every length is bounded by the bytes that are left. pickle.c has the opcodes,
 * pickle_machine.c the stack and the memo, pickle_torch.c names, storages and tensors. Sources:
 * CPython, Lib/pickletools.py; PyTorch, torch/serialization.py and torch/_utils.py. */
#ifndef PICKLE_H
#define PICKLE_H

#include "arena.h"
#include "tensor.h"

struct pickle_storage {
    const char *key; /* by which the file's other parts name it */
    enum tensor_type type;
    int64_t n;                  /* elements */
    const unsigned char *bytes; /* for the caller to fill in; NULL until then */
};

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_INT,
    PICKLE_FLOAT,
    PICKLE_STRING,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,
    PICKLE_NAME,
    PICKLE_STORAGE,
    PICKLE_TENSOR,
    PICKLE_OPAQUE, /* an unknown name, an object of it, bytes, a set */
    PICKLE_MARK
};

struct pickle_value {
    enum pickle_kind kind;
    int visited;        /* for those who walk the values, which may hold each other */
    int64_t integer;    /* INT; STORAGE, TENSOR: first element; NAME: its row in a table;
                         * OPAQUE: whether it is a torch.nn.Module */
    double number;      /* FLOAT */
    const char *string; /* STRING: zero-terminated; OPAQUE: what it is, or NULL */
    const char *module; /* OPAQUE: where string is found, or NULL */
    size_t n; /* items of TUPLE, LIST; keys and values, in turn, of DICT; bytes of STRING */
    size_t capacity;
    struct pickle_value **items;
    struct pickle_storage *storage; /* STORAGE, TENSOR */
    struct tensor *tensor;          /* TENSOR: type, shape and stride */
};

struct pickle {
    const char *path;                 /* of the file, for messages */
    const unsigned char *bytes;       /* the file, or the entry of an archive */
    size_t n_bytes, at;               /* pickle_read starts at at and leaves it behind the STOP */
    struct arena *arena;              /* for everything that is made */
    struct pickle_storage **storages; /* in the order of their first mention */
    size_t n_storages, storages_capacity;
    void *storage_tree; /* tsearch(3), by key */
};

/* Runs one pickle from at. The value, which lives in the arena, or NULL and error: "PATH: pickle
 * byte N: ...". */
struct pickle_value *pickle_read(struct pickle *pickle, struct sn_error *error);

/* The storage of that key, or NULL. */
struct pickle_storage *pickle_find_storage(const struct pickle *pickle, const char *key);

/* Releases what the arena does not hold. */
void pickle_close(struct pickle *pickle);

/* The value of a string key of a dict, or NULL. */
struct pickle_value *pickle_lookup(const struct pickle_value *dict, const char *key);

#endif
