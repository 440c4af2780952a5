#include "indices.h"

#include <stdlib.h>
#include <string.h>

int sn_index_bits_for(int limit) { return limit <= 65536 ? 16 : 32; }

size_t sn_index_bytes(size_t n, int bits) { return (n * (size_t)bits + 31) / 32 * 4; }

/* Index i of fewer than 8 bits, which may begin in one byte and end in the next one. */
static void put_bits(unsigned char *bytes, size_t i, int bits, uint32_t index)
{
    int at = (int)(i * (size_t)bits % 8), mask = (1 << bits) - 1;
    bytes += i * (size_t)bits / 8;
    bytes[0] = (unsigned char)((bytes[0] & ~(mask << at)) | ((int)index & mask) << at);
    if (at + bits <= 8) return;
    at = 8 - at; /* The bits that are written. */
    bytes[1] = (unsigned char)((bytes[1] & ~(mask >> at)) | ((int)index & mask) >> at);
}

static uint32_t get_bits(const unsigned char *bytes, size_t i, int bits)
{
    int at = (int)(i * (size_t)bits % 8);
    bytes += i * (size_t)bits / 8;
    int pair = bytes[0] | (at + bits > 8 ? bytes[1] << 8 : 0);
    return (uint32_t)(pair >> at & ((1 << bits) - 1));
}

void sn_index_put(char *bytes, size_t i, int bits, uint32_t index)
{
    uint8_t least = (uint8_t)index;
    uint16_t narrow = (uint16_t)index;
    if (bits < 8) put_bits((unsigned char *)bytes, i, bits, index);
    else if (bits == 8) memcpy(bytes + i, &least, 1);
    else if (bits == 16) memcpy(bytes + 2 * i, &narrow, 2);
    else memcpy(bytes + 4 * i, &index, 4);
}

uint32_t sn_index_get(const char *bytes, size_t i, int bits)
{
    uint8_t least;
    uint16_t narrow;
    uint32_t wide;
    if (bits < 8) return get_bits((const unsigned char *)bytes, i, bits);
    if (bits == 8) return memcpy(&least, bytes + i, 1), least;
    if (bits == 16) return memcpy(&narrow, bytes + 2 * i, 2), narrow;
    return memcpy(&wide, bytes + 4 * i, 4), wide;
}

size_t sn_order_bytes(int n) { return sn_index_bytes((size_t)n, sn_index_bits_for(n)); }

void sn_order_pack(const uint32_t *order, int n, char *bytes)
{
    memset(bytes, 0, sn_order_bytes(n));
    for (size_t i = 0; i < (size_t)n; i++) sn_index_put(bytes, i, sn_index_bits_for(n), order[i]);
}

enum sn_status sn_order_unpack(const char *bytes, int n, const char *name, uint32_t *order,
                               struct sn_error *error)
{
    enum sn_status status = SN_OK;
    char *used = calloc((size_t)n, 1);
    if (!used) return sn_fail(error, SN_NO_MEMORY, "out of memory for the order of %d %s", n, name);
    for (int i = 0; i < n && !status; i++) {
        uint32_t index = order[i] = sn_index_get(bytes, (size_t)i, sn_index_bits_for(n));
        if (index >= (uint32_t)n)
            status = sn_fail(error, SN_BAD_INPUT,
                             "order of the %s, index %d: expected below %d, found %u", name, i, n,
                             index);
        else if (used[index])
            status = sn_fail(error, SN_BAD_INPUT,
                             "order of the %s, index %d: expected one not yet used, found %u again",
                             name, i, index);
        else used[index] = 1;
    }
    free(used);
    return status;
}
