// types: T = u8 u16 u32 u64
/* One pass of a stable radix sort of long lanes, by 8 bits of the keys: each block counts the digits of its tile (count), the counts are
 * summed up over (digit, tile) of each lane, and each block moves its tile's elements behind those before them (move).
 * A tile is 8 warps of 16 rows of 32 elements; a warp's row keeps its order by looking at who has the same digit.
 * n: elements of a lane (< 2^32), shift of the digit, tiles of a lane. */
#include "block.h"
#define ROWS 16
#define TILE (8 * ROWS * 32)
RT_KERNEL(RT_NAME(count), RtCall) {              /* p: keys (lanes, L), counts (lanes, 256, tiles) */
    RT_SHARED(unsigned, count, 256);
    const int64_t L = a.n[0], tiles = a.n[2], lane = blockIdx.x / tiles, tile = blockIdx.x % tiles;
    const T *keys = (const T *)a.p[0] + lane * L;
    count[threadIdx.x] = 0;
    RT_SYNC();
    for (int64_t l = tile * TILE + threadIdx.x, end = (tile + 1) * TILE < L ? (tile + 1) * TILE : L; l < end; l += blockDim.x)
        RT_ATOMIC_ADD(&count[keys[l] >> a.n[1] & 255], 1u);
    RT_SYNC();
    ((int64_t *)a.p[1])[(lane * 256 + threadIdx.x) * tiles + tile] = count[threadIdx.x];
}

/* p: keys, places (uint32) or NULL in the first pass, running sums of the counts, sorted keys, their places (both NULL in the last pass),
 * or places as int64 of (outer, L, inner); n[3]: inner */
RT_KERNEL(RT_NAME(move), RtCall) {
    RT_SHARED(unsigned, next, 8 * 256);           /* of each warp and digit: where the next one goes */
    const int64_t L = a.n[0], tiles = a.n[2], lane = blockIdx.x / tiles, tile = blockIdx.x % tiles, inner = a.n[3];
    const unsigned warp = threadIdx.x / RT_WARP, me = rt_lane(), below = (1u << me) - 1;
    const T *keys = (const T *)a.p[0] + lane * L;
    const uint32_t *places = a.p[1] ? (const uint32_t *)a.p[1] + lane * L : 0;
    for (unsigned i = threadIdx.x; i < 8 * 256; i += blockDim.x) next[i] = 0;
    RT_SYNC();
    const int64_t first = tile * TILE + warp * (ROWS * 32) + me;
    T key[ROWS];
    for (int row = 0; row < ROWS; row++) {
        const int64_t l = first + row * 32;
        key[row] = l < L ? keys[l] : (T)0;
        const unsigned digit = l < L ? (unsigned)(key[row] >> a.n[1] & 255) : 256, same = RT_MATCH(digit);
        if (digit < 256 && !(same & below)) next[warp * 256 + digit] += RT_POPCOUNT(same);
        RT_SYNC_WARP();
    }
    RT_SYNC();
    {
        const int64_t *sums = (const int64_t *)a.p[2] + lane * 256 * tiles, at = threadIdx.x * tiles + tile;
        unsigned start = at ? (unsigned)sums[at - 1] : 0;
        for (int w = 0; w < 8; w++) {
            const unsigned mine = next[w * 256 + threadIdx.x];
            next[w * 256 + threadIdx.x] = start;
            start += mine;
        }
    }
    RT_SYNC();
    for (int row = 0; row < ROWS; row++) {
        const int64_t l = first + row * 32;
        const unsigned digit = l < L ? (unsigned)(key[row] >> a.n[1] & 255) : 256, same = RT_MATCH(digit);
        const unsigned to = digit < 256 ? next[warp * 256 + digit] + RT_POPCOUNT(same & below) : 0;
        RT_SYNC_WARP();
        if (digit < 256) {
            const uint32_t place = places ? places[l] : (uint32_t)l;
            if (!(same & below)) next[warp * 256 + digit] += RT_POPCOUNT(same);
            if (a.p[3]) {
                ((T *)a.p[3])[lane * L + to] = key[row];
                ((uint32_t *)a.p[4])[lane * L + to] = place;
            } else
                ((int64_t *)a.p[5])[(lane / inner * L + to) * inner + lane % inner] = place;
        }
        RT_SYNC_WARP();
    }
}
#undef ROWS
#undef TILE
