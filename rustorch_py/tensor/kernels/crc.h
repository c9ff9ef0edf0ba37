/* CRC-32 of long stretches of bytes. */
#ifndef RUSTORCH_CRC_H
#define RUSTORCH_CRC_H
#include <stddef.h>
#include <stdint.h>

/* Does this processor multiply without carries? Only then call rt_crc32_blocks. */
int rt_crc32_fast(void);
/* The register of zlib's crc32, inverted, after n more bytes; n is at least 64 and a multiple of 16. */
uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n);

/* The checksum of any n bytes. */
uint32_t rt_crc32_of(const uint8_t *p, size_t n);
/* A checksum a, then n bytes of checksum b: rt_crc32_times(rt_crc32_power(n), a) ^ b. */
uint32_t rt_crc32_power(size_t n);
uint32_t rt_crc32_times(uint32_t a, uint32_t b);
#endif
