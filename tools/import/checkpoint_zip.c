/* The archive that torch.save writes since 1.6. In one folder:
 *
 *   FOLDER/data.pkl   the pickle of the object, whose storages are named by their keys
 *   FOLDER/data/KEY   the elements of that storage
 *   FOLDER/byteorder  "little"; newer versions only
 *
 * minizip reads the directory at the archive's end; the entries, which are not compressed, are used
 * where they lie in the mapping. Each that is used must have the CRC-32 of the directory. */
#include "checkpoint_torch.h"

#include <libdeflate.h>
#include <minizip/unzip.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the file in memory, as minizip sees it */

struct memory {
    const unsigned char *bytes;
    size_t n_bytes, at;
};

static voidpf ZCALLBACK memory_open(voidpf opaque, const void *path, int mode)
{
    (void)path;
    (void)mode;
    return opaque;
}

static uLong ZCALLBACK memory_read(voidpf opaque, voidpf stream, void *buffer, uLong n)
{
    struct memory *memory = stream;
    (void)opaque;
    size_t left = memory->n_bytes - memory->at;
    if (n > left) n = left;
    memcpy(buffer, memory->bytes + memory->at, n);
    memory->at += n;
    return n;
}

static uLong ZCALLBACK memory_write(voidpf opaque, voidpf stream, const void *buffer, uLong n)
{
    (void)opaque;
    (void)stream;
    (void)buffer;
    (void)n;
    return 0;
}

static ZPOS64_T ZCALLBACK memory_tell(voidpf opaque, voidpf stream)
{
    (void)opaque;
    return ((struct memory *)stream)->at;
}

static long ZCALLBACK memory_seek(voidpf opaque, voidpf stream, ZPOS64_T offset, int origin)
{
    struct memory *memory = stream;
    (void)opaque;
    size_t base = origin == SEEK_CUR ? memory->at : origin == SEEK_END ? memory->n_bytes : 0;
    if (offset > memory->n_bytes - base) return -1;
    memory->at = base + offset;
    return 0;
}

static int ZCALLBACK memory_close(voidpf opaque, voidpf stream)
{
    (void)opaque;
    (void)stream;
    return 0;
}

/* ---- entries */

struct entry {
    const char *name;
    const unsigned char *bytes;
    size_t n_bytes;
    uint32_t crc;
};
struct entries {
    struct entry *entry;
    size_t n;
};

static enum sn_status fail_zip(const struct checkpoint *c, struct sn_error *error, const char *what)
{
    return sn_fail(error, SN_BAD_INPUT, "%s: zip archive: %s", c->path, what);
}

/* The entry that minizip stands at. */
static enum sn_status read_entry(struct checkpoint *c, unzFile zip, struct entry *entry,
                                 struct sn_error *error)
{
    unz_file_info64 info;
    char name[512];
    int method, level;
    if (unzGetCurrentFileInfo64(zip, &info, name, sizeof name, NULL, 0, NULL, 0) != UNZ_OK)
        return fail_zip(c, error, "broken directory");
    if (info.size_filename >= sizeof name)
        return fail_zip(c, error, "an entry's name is longer than 511 bytes");
    for (char *at = name; *at; at++)
        if ((unsigned char)*at < ' ' || *at == 127) *at = '?';
    if (info.compression_method || info.compressed_size != info.uncompressed_size || info.flag & 1)
        return sn_fail(
            error, SN_BAD_INPUT,
            "%s: zip archive: entry '%s' is compressed or encrypted, expected plain bytes", c->path,
            name);
    if (unzOpenCurrentFile2(zip, &method, &level, 1) != UNZ_OK)
        return sn_fail(error, SN_BAD_INPUT, "%s: zip archive: entry '%s' has a broken header",
                       c->path, name);
    uint64_t at = unzGetCurrentFileZStreamPos64(zip);
    unzCloseCurrentFile(zip);
    if (at > c->n_bytes || info.uncompressed_size > c->n_bytes - at)
        return sn_fail(
            error, SN_BAD_INPUT,
            "%s: zip archive: entry '%s' of %llu bytes at %llu ends behind the file of %zu",
            c->path, name, (unsigned long long)info.uncompressed_size, (unsigned long long)at,
            c->n_bytes);
    *entry = (struct entry){ arena_grow(&c->arena, name, strlen(name) + 1, strlen(name) + 1),
                             c->bytes + at, (size_t)info.uncompressed_size, (uint32_t)info.crc };
    return entry->name ? SN_OK : sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

/* All entries, sorted by name. */
static enum sn_status list_entries(struct checkpoint *c, unzFile zip, struct entries *entries,
                                   struct sn_error *error)
{
    size_t capacity = 0;
    int more = unzGoToFirstFile(zip);
    for (; more == UNZ_OK; more = unzGoToNextFile(zip)) {
        if (entries->n == capacity) {
            size_t size = sizeof *entries->entry;
            capacity = 2 * capacity + 64;
            entries->entry = arena_grow(&c->arena, entries->entry, entries->n * size,
                                        capacity * size);
            if (!entries->entry) return sn_fail(error, SN_NO_MEMORY, "%s: out of memory", c->path);
        }
        enum sn_status status = read_entry(c, zip, &entries->entry[entries->n], error);
        if (status) return status;
        entries->n++;
    }
    if (more != UNZ_END_OF_LIST_OF_FILE) return fail_zip(c, error, "broken directory");
    if (entries->n) qsort(entries->entry, entries->n, sizeof *entries->entry, compare_entries);
    for (size_t i = 1; i < entries->n; i++)
        if (!compare_entries(&entries->entry[i - 1], &entries->entry[i]))
            return sn_fail(error, SN_BAD_INPUT, "%s: zip archive: two entries '%s'", c->path,
                           entries->entry[i].name);
    return SN_OK;
}

static const struct entry *find_entry(const struct entries *entries, const char *folder,
                                      const char *name)
{
    char path[1024];
    struct entry wanted = { .name = path };
    if (snprintf(path, sizeof path, "%s%s", folder, name) >= (int)sizeof path) return NULL;
    return bsearch(&wanted, entries->entry, entries->n, sizeof wanted, compare_entries);
}

static enum sn_status check_crc(const struct checkpoint *c, const struct entry *entry,
                                struct sn_error *error)
{
    uint32_t crc = libdeflate_crc32(0, entry->bytes, entry->n_bytes);
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
    crc = entry->crc; /* A fuzzer cannot guess check sums. */
#endif
    if (crc == entry->crc) return SN_OK;
    return sn_fail(error, SN_BAD_INPUT,
                   "%s: zip archive: entry '%s': CRC-32 is %08x, expected %08x", c->path,
                   entry->name, crc, entry->crc);
}

/* ---- the checkpoint */

/* Writes the archive's folder, with its slash: that of data.pkl. */
static enum sn_status find_folder(const struct checkpoint *c, const struct entries *entries,
                                  char *folder, size_t size, struct sn_error *error)
{
    for (size_t i = 0; i < entries->n; i++) {
        const char *slash = strrchr(entries->entry[i].name, '/');
        if (!slash || strcmp(slash, "/data.pkl")) continue;
        snprintf(folder, size, "%.*s", (int)(slash + 1 - entries->entry[i].name),
                 entries->entry[i].name);
        if (find_entry(entries, folder, "constants.pkl"))
            return fail_zip(
                c, error,
                "a TorchScript program, expected a checkpoint (torch.save of a state dict)");
        const struct entry *order = find_entry(entries, folder, "byteorder");
        if (order && (order->n_bytes != 6 || memcmp(order->bytes, "little", 6)))
            return fail_zip(c, error, "expected the byte order 'little'");
        return SN_OK;
    }
    return fail_zip(c, error, "expected an entry data.pkl, found none");
}

static enum sn_status find_storages(const struct checkpoint *c, const struct pickle *pickle,
                                    const struct entries *entries, const char *folder,
                                    struct sn_error *error)
{
    checkpoint_read_ahead(c);
    for (size_t i = 0; i < pickle->n_storages; i++) {
        struct pickle_storage *storage = pickle->storages[i];
        char name[256];
        snprintf(name, sizeof name, "data/%.200s", storage->key);
        const struct entry *entry = find_entry(entries, folder, name);
        uint64_t expected = (uint64_t)storage->n * tensor_type_bytes(storage->type);
        if (!entry)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: zip archive: expected an entry '%s', found none", c->path, name);
        if (entry->n_bytes != expected)
            return sn_fail(error, SN_BAD_INPUT,
                           "%s: zip archive: entry '%s': expected %llu bytes, found %zu", c->path,
                           entry->name, (unsigned long long)expected, entry->n_bytes);
        enum sn_status status = check_crc(c, entry, error);
        if (status) return status;
        storage->bytes = entry->bytes;
    }
    return SN_OK;
}

static enum sn_status read_archive(struct checkpoint *c, unzFile zip, struct pickle *pickle,
                                   struct sn_error *error)
{
    struct entries entries = { 0 };
    char folder[512];
    enum sn_status status = list_entries(c, zip, &entries, error);
    if (!status) status = find_folder(c, &entries, folder, sizeof folder, error);
    if (status) return status;
    const struct entry *program = find_entry(&entries, folder, "data.pkl");
    if ((status = check_crc(c, program, error))) return status;
    pickle->bytes = program->bytes;
    pickle->n_bytes = program->n_bytes;
    struct pickle_value *root = pickle_read(pickle, error);
    if (!root) return error->code;
    status = find_storages(c, pickle, &entries, folder, error);
    return status ? status : checkpoint_add_tensors(c, root, error);
}

/* An archive closes with 22 bytes and a comment whose length they tell. minizip would also take one
 * that was cut there. */
static int is_closed(const struct checkpoint *c)
{
    enum { SIZE = 22, MAX_COMMENT = 65535 };
    for (size_t comment = 0; comment <= MAX_COMMENT && comment + SIZE <= c->n_bytes; comment++) {
        const unsigned char *end = c->bytes + c->n_bytes - SIZE - comment;
        if (!memcmp(end, "PK\5\6", 4) && (end[20] | (size_t)end[21] << 8) == comment) return 1;
    }
    return 0;
}

enum sn_status checkpoint_read_zip(struct checkpoint *c, struct sn_error *error)
{
    struct memory memory = { c->bytes, c->n_bytes, 0 };
    zlib_filefunc64_def functions = { memory_open, memory_read,  memory_write, memory_tell,
                                      memory_seek, memory_close, memory_close, &memory };
    struct pickle pickle = { .path = c->path, .arena = &c->arena };
    c->format = "zip";
    unzFile zip = !is_closed(c) ? NULL : unzOpen2_64("", &functions);
    if (!zip) return fail_zip(c, error, "no directory at its end; the file is cut or broken");
    enum sn_status status = read_archive(c, zip, &pickle, error);
    pickle_close(&pickle);
    unzClose(zip);
    return status;
}
