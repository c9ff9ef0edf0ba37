// types: T = floats; W = 0 1
/* The gradient of picked rows: rows of g are summed up by the row of the table that they were picked from. Positions are sorted by row (radix.cuh),
 * and each block sums up a chunk of them in order; rows that reach beyond a chunk get a sum of each, which a second kernel adds. So the
 * same call gives the same bits, 16-bit floats are summed up in float32, and a row that was picked often does not wait for itself.
 * W: by packs of 16 bytes, or elements. n: positions, packs of a row, rows of the table, the row that is left out. */
#include "block.h"
enum { V = W ? 16 / T_SIZE : 1, CHUNK = 32, U = 4 };      /* CHUNK: as in ops/index.pyx */
typedef RtPack<T, V> Pack;
typedef RtPack<T_C, V> Sums;
RT_INLINE Pack rounded(const Sums &s) {
    Pack o;
    #pragma unroll
    for (int j = 0; j < V; j++) o.v[j] = T_PUT(s.v[j]);
    return o;
}

/* p: keys (uint32), index (int64). What counts for nothing gets the key behind the last row. */
RT_KERNEL(RT_NAME(row_keys), RtCall) {
    RT_EACH(i, a.n[0]) {
        const int64_t row = ((const int64_t *)a.p[1])[i];
        if (row < 0 || row >= a.n[2]) rt_bad_index(a, row, a.n[2]);
        ((uint32_t *)a.p[0])[i] = (uint32_t)(row < 0 || row >= a.n[2] || row == a.n[3] ? a.n[2] : row);
    }
}

/* p: table, g, keys in order, their positions, sums (chunks, 2, columns): of the row that began before, of the one that goes on behind; factor of
 * each row of g (of the type to compute in) or NULL */
RT_KERNEL(RT_NAME(chunk_sums), RtCall) {
    RT_SHARED(uint32_t, key, CHUNK + 2);                     /* with what is before and behind */
    RT_SHARED(uint32_t, place, CHUNK);
    const int64_t n = a.n[0], packs = a.n[1], begin = (int64_t)blockIdx.x * CHUNK;
    const T_C *factor = (const T_C *)a.p[5];
    for (int i = threadIdx.x; i < CHUNK + 2; i += blockDim.x) {
        const int64_t at = begin - 1 + i;
        key[i] = at >= 0 && at < n ? ((const uint32_t *)a.p[2])[at] : 0xffffffffu;
    }
    for (int i = threadIdx.x; i < CHUNK; i += blockDim.x) place[i] = begin + i < n ? ((const uint32_t *)a.p[3])[begin + i] : 0;
    RT_SYNC();
    int count = CHUNK;
    while (count && key[count] >= (uint64_t)a.n[2]) count--;
    for (int64_t column = (int64_t)blockIdx.y * blockDim.x + threadIdx.x; column < packs; column += (int64_t)gridDim.y * blockDim.x) {
        Sums s;
        #pragma unroll
        for (int j = 0; j < V; j++) s.v[j] = (T_C)0;
        bool before = key[0] == key[1];
        #pragma unroll 1
        for (int i = 0; i < count; i += U) {
            Pack v[U];
            #pragma unroll
            for (int u = 0; u < U; u++) if (i + u < count) v[u] = ((const Pack *)a.p[1])[place[i + u] * packs + column];
            #pragma unroll
            for (int u = 0; u < U; u++) if (i + u < count) {
                const T_C k = factor ? factor[place[i + u]] : (T_C)1;
                #pragma unroll
                for (int j = 0; j < V; j++) s.v[j] += T_GET(v[u].v[j]) * k;
                const uint32_t row = key[i + u + 1];
                const bool ends = row != key[i + u + 2];
                if (ends || i + u + 1 == CHUNK) {
                    if (ends && !before) ((Pack *)a.p[0])[row * packs + column] = rounded(s);
                    else ((Sums *)a.p[4])[((int64_t)blockIdx.x * 2 + !before) * packs + column] = s;
                    #pragma unroll
                    for (int j = 0; j < V; j++) s.v[j] = (T_C)0;
                    before = false;
                }
            }
        }
    }
}

/* The rows that go on behind their chunk, by the block of the chunk where they begin; threads of its second side share what follows.
 * Blocks of 32 x 8 threads. p: table, NULL, keys, NULL, sums */
RT_KERNEL(RT_NAME(row_sums), RtCall) {
    RT_SHARED(Sums, shown, 256);
    const int64_t n = a.n[0], packs = a.n[1], chunk = blockIdx.x, chunks = (n + CHUNK - 1) / CHUNK;
    const uint32_t *keys = (const uint32_t *)a.p[2];
    if (chunk + 1 >= chunks) return;
    const uint32_t row = keys[(chunk + 1) * CHUNK - 1];
    if (row >= (uint64_t)a.n[2] || keys[(chunk + 1) * CHUNK] != row || (chunk && keys[chunk * CHUNK - 1] == row)) return;
    int64_t low = chunk + 1, high = chunks;                  /* chunk low begins with the row, chunk high does not */
    if (high - low > 1 && keys[(low + 1) * CHUNK] != row) high = low + 1;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (keys[middle * CHUNK] == row) low = middle;
        else high = middle;
    }
    for (int64_t at = (int64_t)blockIdx.y * 32; at < packs; at += (int64_t)gridDim.y * 32) {
        const int64_t column = at + threadIdx.x;
        const Sums *sums = (const Sums *)a.p[4] + column;
        Sums s;
        #pragma unroll
        for (int j = 0; j < V; j++) s.v[j] = (T_C)0;
        if (column < packs)
            #pragma unroll 4
            for (int64_t c = chunk + 1 + threadIdx.y; c < high; c += blockDim.y) {
                const Sums more = sums[2 * c * packs];
                #pragma unroll
                for (int j = 0; j < V; j++) s.v[j] += more.v[j];
            }
        RT_SYNC();
        shown[threadIdx.y * 32 + threadIdx.x] = s;
        RT_SYNC();
        if (threadIdx.y == 0 && column < packs) {
            s = sums[(2 * chunk + 1) * packs];
            for (int k = 0; k < 8 && chunk + 1 + k < high; k++)
                #pragma unroll
                for (int j = 0; j < V; j++) s.v[j] += shown[k * 32 + threadIdx.x].v[j];
            ((Pack *)a.p[0])[row * packs + column] = rounded(s);
        }
    }
}
