/* Opens checkpoints: which of the formats a file has, by its first bytes (zip: "PK\3\4"; legacy:
 * the PROTO opcode of a pickle; safetensors: '{' behind the 8 bytes of a length), and the table of
 * its tensors. A name that is there twice, or that cannot be printed on a line, is refused. */
#include "checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static enum sn_status read_format(struct checkpoint *c, struct sn_error *error)
{
    const unsigned char *b = c->bytes;
    if (c->n_bytes >= 4 && !memcmp(b, "PK\3\4", 4)) return checkpoint_read_zip(c, error);
    if (c->n_bytes >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5)
        return checkpoint_read_legacy(c, error);
    if (c->n_bytes >= 9 && b[8] == '{' && c->key)
        return sn_fail(error, SN_BAD_INPUT,
                       "%s: expected a PyTorch checkpoint with the key '%.80s', found safetensors, "
                       "which have none",
                       c->path, c->key);
    if (c->n_bytes >= 9 && b[8] == '{') return checkpoint_read_safetensors(c, error);
    if (c->n_bytes > 262 && !memcmp(b + 257, "ustar", 5))
        return sn_fail(
            error, SN_BAD_INPUT,
            "%s: the tar format of PyTorch before 0.1.10; save it again with a newer one", c->path);
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: expected a PyTorch checkpoint or a safetensors file, found %s", c->path,
                   c->n_bytes ? "other bytes" : "an empty file");
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct tensor *const *)a)->name,
                  (*(const struct tensor *const *)b)->name);
}

/* Sorts the names, which are new and can be printed on a line. */
static enum sn_status sort_names(struct checkpoint *c, struct sn_error *error)
{
    size_t n = (size_t)c->n_tensors;
    const struct tensor **sorted = c->by_name = malloc((n + 1) * sizeof *sorted);
    if (!sorted) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
    for (size_t i = 0; i < n; i++) sorted[i] = &c->tensors[i];
    qsort(sorted, n, sizeof *sorted, compare_names);
    enum sn_status status = SN_OK;
    for (size_t i = 0; i < n && !status; i++)
        if (!sn_is_printable(c->tensors[i].name))
            status = sn_fail(error, SN_BAD_INPUT,
                             "%s: the name of tensor %zu holds control characters", c->path, i);
    for (size_t i = 1; i < n && !status; i++)
        if (!compare_names(&sorted[i - 1], &sorted[i]))
            status = sn_fail(error, SN_BAD_INPUT, "%s: two tensors of the name '%.200s'", c->path,
                             sorted[i]->name);
    return status;
}

static int is_wrapper(const char *part, size_t n)
{
    static const char *const wrappers[] = { "_orig_mod", "module", "model" };
    for (size_t i = 0; i < sizeof wrappers / sizeof *wrappers; i++)
        if (strlen(wrappers[i]) == n && !strncmp(part, wrappers[i], n)) return 1;
    return 0;
}

/* The last part of a name is that of the tensor. plain has room for name. */
static void copy_plain(const char *name, char *plain)
{
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1) {
        size_t n = (size_t)(dot - name);
        if (is_wrapper(name, n)) continue;
        memcpy(plain, name, n + 1);
        plain += n + 1;
    }
    memcpy(plain, name, strlen(name) + 1);
}

static int compare_plain(const void *a, const void *b)
{
    return strcmp(((const struct plain_name *)a)->name, ((const struct plain_name *)b)->name);
}

static enum sn_status sort_plain_names(struct checkpoint *c, struct sn_error *error)
{
    size_t n = (size_t)c->n_state_dict;
    if (!(c->by_plain = malloc((n + 1) * sizeof *c->by_plain)))
        return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
    for (size_t i = 0; i < n; i++) {
        const char *name = c->tensors[i].name;
        char *plain = arena_alloc(&c->arena, strlen(name) + 1);
        if (!plain) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
        copy_plain(name, plain);
        c->by_plain[i] = (struct plain_name){ plain, &c->tensors[i] };
    }
    qsort(c->by_plain, n, sizeof *c->by_plain, compare_plain);
    return SN_OK;
}

enum sn_status checkpoint_parse(const char *path, const char *key, const unsigned char *bytes,
                                size_t n_bytes, struct checkpoint *c, struct sn_error *error)
{
    *c = (struct checkpoint){ .path = path, .key = key, .bytes = bytes, .n_bytes = n_bytes };
    enum sn_status status = read_format(c, error);
    if (!status) status = sort_names(c, error);
    if (!status) status = sort_plain_names(c, error);
    if (status) checkpoint_close(c);
    return status;
}

int checkpoint_is_named(const char *path)
{
    static const char *const suffixes[] = { ".pth",  ".pt",  ".th",         ".bin",
                                            ".ckpt", ".tar", ".safetensors" };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcmp(dot, suffixes[i])) return 1;
    return 0;
}

enum sn_status checkpoint_open(const char *path, const char *key, struct checkpoint *c,
                               struct sn_error *error)
{
    struct stat status;
    *c = (struct checkpoint){ 0 };
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &status)) {
        sn_fail(error, SN_IO, "%s: cannot read: %s", path, strerror(errno));
        if (file >= 0) close(file);
        return SN_IO;
    }
    int regular = S_ISREG(status.st_mode);
    size_t n = (size_t)status.st_size;
    void *bytes = regular && n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, file, 0) : NULL;
    close(file);
    if (!regular) return sn_fail(error, SN_BAD_INPUT, "%s: cannot read: not a regular file", path);
    if (bytes == MAP_FAILED)
        return sn_fail(error, SN_IO, "%s: cannot map: %s", path, strerror(errno));
    enum sn_status parsed = checkpoint_parse(path, key, bytes, n, c, error);
    if (parsed && bytes) munmap(bytes, n);
    c->mapped = !parsed;
    return parsed;
}

void checkpoint_close(struct checkpoint *c)
{
    if (c->mapped) munmap((void *)c->bytes, c->n_bytes);
    free(c->by_name);
    free(c->by_plain);
    free(c->tensors);
    arena_free(&c->arena);
    *c = (struct checkpoint){ 0 };
}

void checkpoint_read_ahead(const struct checkpoint *c)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)c->bytes / page * page;
    if (c->n_bytes)
        madvise((void *)start, (uintptr_t)c->bytes + c->n_bytes - start, MADV_POPULATE_READ);
}

const struct tensor *checkpoint_find(const struct checkpoint *c, const char *name)
{
    const struct tensor wanted = { .name = name }, *key = &wanted;
    const struct tensor **found = bsearch(&key, c->by_name, (size_t)c->n_tensors,
                                          sizeof *c->by_name, compare_names);
    return found ? *found : NULL;
}

const struct tensor *checkpoint_find_plain(const struct checkpoint *c, const char *name)
{
    const struct plain_name wanted = { .name = name };
    size_t n = (size_t)c->n_state_dict;
    const struct plain_name *found = bsearch(&wanted, c->by_plain, n, sizeof wanted, compare_plain);
    if (!found || (found > c->by_plain && !compare_plain(found - 1, found))
        || (found + 1 < c->by_plain + n && !compare_plain(found, found + 1)))
        return NULL;
    return found->tensor;
}

enum sn_status checkpoint_add(struct checkpoint *c, const struct tensor *tensor,
                              struct sn_error *error)
{
    size_t n = (size_t)c->n_tensors;
    if (!(n & (n - 1))) { /* The capacity is the next power of two. */
        struct tensor *grown = realloc(c->tensors, (n ? 2 * n : 1) * sizeof *grown);
        if (!grown) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
        c->tensors = grown;
    }
    c->tensors[c->n_tensors++] = *tensor;
    return SN_OK;
}
