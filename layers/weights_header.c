#include "weights_header.h"

static size_t count_bytes(const struct weights_header *header)
{
    int major = header->major, minor = header->minor;
    int is_wide = weights_header_is_known(header) && major < 1000 && minor < 1000
        && major * 10 + minor >= 2;
    return is_wide ? sizeof(uint64_t) : sizeof(uint32_t);
}

size_t weights_header_bytes(const struct weights_header *header)
{
    return 3 * sizeof(int32_t) + count_bytes(header);
}

int weights_header_is_known(const struct weights_header *header)
{
    enum { MOST = 9999 };
    return header->major >= 0 && header->major <= MOST && header->minor >= 0
        && header->minor <= MOST;
}

int weights_header_read(struct weights_header *header, FILE *file)
{
    int32_t version[3];
    char count[sizeof(uint64_t)];
    if (fread(version, sizeof *version, 3, file) < 3) return 0;
    *header = (struct weights_header){ version[0], version[1], version[2] };
    return fread(count, count_bytes(header), 1, file) == 1;
}

void weights_header_write(const struct weights_header *header, FILE *file)
{
    const int32_t version[] = { header->major, header->minor, header->revision };
    const char zeros[sizeof(uint64_t)] = { 0 };
    fwrite(version, sizeof *version, 3, file);
    fwrite(zeros, count_bytes(header), 1, file);
}
