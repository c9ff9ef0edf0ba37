/* CRC-32 of long stretches of bytes. */
#ifndef RUSTORCH_CRC_H
#define RUSTORCH_CRC_H
#include <stddef.h>
#include <stdint.h>

/* Does this processor multiply without carries? Only then call rt_crc32_blocks. */
int rt_crc32_fast(void);
/* The register of zlib's crc32, inverted, after n more bytes; n is at least 64 and a multiple of 16. */
uint32_t rt_crc32_blocks(uint32_t crc, const uint8_t *p, size_t n);
#endif
