/* Large files: read by several threads, and written to the disk while the rest is still being made. */
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <stdlib.h>
#include <sys/types.h>
#include "crc.h"
#include "files.h"
#include "rustorch/loops.h"
#include "share.h"
#if !defined(_WIN32)
#include <fcntl.h>
#include <unistd.h>
#endif

void rt_start_writing(int fd, int64_t at, int64_t n) {
#if defined(__linux__)
    (void)sync_file_range(fd, at, n, SYNC_FILE_RANGE_WRITE);             /* a hint: who syncs afterwards sees the errors */
#else
    (void)fd; (void)at; (void)n;
#endif
}

/* Pieces of a core's second cache: the checksum reads what was just copied there. */
#define PIECE ((size_t)1 << 18)

typedef struct { uint8_t *to; size_t nbytes, got; int64_t at; uint32_t crc; int error; } Piece;

static void read_piece(int fd, Piece *piece) {
#if defined(_WIN32)
    piece->error = ENOSYS;
#else
    while (piece->got < piece->nbytes) {
        ssize_t n = pread(fd, piece->to + piece->got, piece->nbytes - piece->got, (off_t)(piece->at + (int64_t)piece->got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) piece->error = errno;
        if (n <= 0) break;
        piece->got += (size_t)n;
    }
#endif
    piece->crc = rt_crc32_of(piece->to, piece->got);
}

int64_t rt_read_parts(int fd, int64_t at, const RtPart *parts, int nparts, int threads, uint32_t *crc) {
    int64_t npieces = 0, done = 0;
    for (int i = 0; i < nparts; i++) npieces += (int64_t)((parts[i].nbytes + PIECE - 1) / PIECE);
    Piece *pieces = calloc((size_t)npieces + 1, sizeof *pieces), *next = pieces;
    if (!pieces) { errno = ENOMEM; return -1; }
    for (int i = 0; i < nparts; i++)
        for (size_t from = 0; from < parts[i].nbytes; from += PIECE, next++) {
            next->to = parts[i].to + from;
            next->nbytes = parts[i].nbytes - from < PIECE ? parts[i].nbytes - from : PIECE;
            next->at = at;
            at += (int64_t)next->nbytes;
        }
    if (threads > npieces) threads = npieces ? (int)npieces : 1;
    RT_SHARED(threads, npieces, k, read_piece(fd, pieces + k););
    uint32_t power = 0;
    size_t of = 0;                                       /* the length that `power` is for: most pieces have one */
    for (next = pieces; next < pieces + npieces; next++) {
        if (next->error) { done = -1; errno = next->error; break; }
        if (next->got != of) power = rt_crc32_power(of = next->got);
        if (next->got) *crc = rt_crc32_times(power, *crc) ^ next->crc;
        done += (int64_t)next->got;
        if (next->got < next->nbytes) break;
    }
    free(pieces);
    return done;
}
