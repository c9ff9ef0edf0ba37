/* Large files. */
#ifndef RUSTORCH_FILES_H
#define RUSTORCH_FILES_H
#include <stddef.h>
#include <stdint.h>

typedef struct { uint8_t *to; size_t nbytes; } RtPart;

/* Read what lies in a file from `at` on into parts of memory, one after the other, by `threads` threads; *crc: what it was before, and
 * after all bytes. Returns how many bytes were read, fewer where the file ends; -1: the system's error in errno. */
int64_t rt_read_parts(int fd, int64_t at, const RtPart *parts, int nparts, int threads, uint32_t *crc);

/* Let the system begin to write a part of a file to the disk; nothing where it knows no such thing. */
void rt_start_writing(int fd, int64_t at, int64_t n);
#endif
