#include "copy_bytes.h"

enum sn_status copy_bytes(FILE *in, FILE *out, size_t n, const char *path, struct sn_error *error)
{
    char buffer[65536];
    while (n) {
        size_t count = fread(buffer, 1, n < sizeof buffer ? n : sizeof buffer, in);
        if (!count) return sn_fail(error, SN_IO, "%s: cannot read", path);
        fwrite(buffer, 1, count, out);
        n -= count;
    }
    return SN_OK;
}

enum sn_status copy_file(const char *path, FILE *out, struct sn_error *error)
{
    FILE *in = fopen(path, "rb");
    if (!in || fseek(in, 0, SEEK_END)) {
        if (in) fclose(in);
        return sn_fail(error, SN_IO, "%s: cannot read", path);
    }
    size_t n = (size_t)ftell(in);
    rewind(in);
    enum sn_status status = copy_bytes(in, out, n, path, error);
    fclose(in);
    return status;
}
