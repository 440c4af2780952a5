/* Indices and codes as they lie in a .weights file: arrays of u8, u16 or u32 in the byte order of
 * the machine, or of fewer bits from the low end of each byte on, each padded with zeros to a
 * multiple of 4 bytes; and orders, which are permutations of 0..n-1 stored that way. */
#ifndef INDICES_H
#define INDICES_H

#include "sn_error.h"

#include <stddef.h>
#include <stdint.h>

/* Bits of an index below limit, where no others are asked for: 16 when limit is at most 65,536,
 * else 32. */
int sn_index_bits_for(int limit);

/* Bytes of n indices, padding included. */
size_t sn_index_bytes(size_t n, int bits);

/* The i-th of an array of indices with 1 to 8, 16 or 32 bits. sn_index_put leaves all other bits
 * alone. */
void sn_index_put(char *bytes, size_t i, int bits, uint32_t index);
uint32_t sn_index_get(const char *bytes, size_t i, int bits);

/* Bytes of an order of n, padding included. */
size_t sn_order_bytes(int n);

/* Writes an order of n, padding included. */
void sn_order_pack(const uint32_t *order, int n, char *bytes);

/* Reads an order of n. SN_BAD_INPUT when an index is out of range or comes twice: the message calls
 * it the order of the name. order is undefined then. */
enum sn_status sn_order_unpack(const char *bytes, int n, const char *name, uint32_t *order,
                               struct sn_error *error);

#endif
