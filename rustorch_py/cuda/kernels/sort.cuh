// types: T = b8 ints floats
/* Stable sorting of short lanes in shared memory; the keys of long ones for radix.cuh; the k-th elements of lanes and the k best.
 * A lane (outer, inner) of x, contiguous (outer, L, inner). n: lanes, L, inner, then what each kernel says. */
#include "block.h"
#include "keys.h"
RT_DEFINE_KEY(U, RT_NAME(key))
struct Lane {
    const T *x;
    int64_t step;
    U flip;
    inline U key(int64_t l) const { return (U)(RT_NAME(key)(x[l * step]) ^ flip); }
};
RT_INLINE Lane RT_NAME(lane)(const RtCall &a, int64_t lane, bool descending) {
    const int64_t inner = a.n[2];
    return Lane{(const T *)a.p[1] + lane / inner * a.n[1] * inner + lane % inner, inner, descending ? (U) ~(U)0 : (U)0};
}

/* Lanes in shared memory, SLOTS / room of them a block, sorted by a bitonic network over (key, position), which no two share, so it is
 * stable. room: for a lane, a power of 2. */
#define SLOTS 1024
RT_INLINE void RT_NAME(sort_block)(const RtCall &a, U *keys, uint16_t *at, unsigned room, bool descending) {
    const int64_t first = (int64_t)blockIdx.x * (SLOTS / room), L = a.n[1];
    for (unsigned i = threadIdx.x; i < SLOTS; i += blockDim.x) {
        const int64_t lane = first + i / room, l = i % room;
        at[i] = (uint16_t)l;
        keys[i] = lane < a.n[0] && l < L ? RT_NAME(lane)(a, lane, descending).key(l) : (U) ~(U)0;
    }
    RT_SYNC();
    for (unsigned k = 2; k <= room; k *= 2)
        for (unsigned j = k / 2; j; j /= 2) {
            for (unsigned t = threadIdx.x; t < SLOTS / 2; t += blockDim.x) {
                const unsigned i = 2 * t - (t & (j - 1)), o = i + j;
                const U x = keys[i], y = keys[o];
                const uint16_t p = at[i], q = at[o];
                const bool less = y < x || (y == x && q < p), up = (i & (room - 1) & k) == 0;
                if (less == up) { keys[i] = y; keys[o] = x; at[i] = q; at[o] = p; }
            }
            RT_SYNC();
        }
}
/* p: places (outer, keep, inner), x; n[3]: descending, n[4]: how many to keep, n[5]: room */
RT_KERNEL(RT_NAME(small), RtCall) {
    RT_SHARED(U, keys, SLOTS);
    RT_SHARED(uint16_t, at, SLOTS);
    const unsigned room = (unsigned)a.n[5];
    const int64_t first = (int64_t)blockIdx.x * (SLOTS / room), inner = a.n[2], keep = a.n[4];
    RT_NAME(sort_block)(a, keys, at, room, a.n[3]);
    for (unsigned i = threadIdx.x; i < SLOTS; i += blockDim.x) {
        const int64_t lane = first + i / room, l = i % room;
        if (lane < a.n[0] && l < keep) ((int64_t *)a.p[0])[(lane / inner * keep + l) * inner + lane % inner] = at[i];
    }
}
/* p and n as kth below, n[5]: room */
RT_KERNEL(RT_NAME(kth_small), RtCall) {
    RT_SHARED(U, keys, SLOTS);
    RT_SHARED(uint16_t, at, SLOTS);
    const unsigned room = (unsigned)a.n[5], lanes = SLOTS / room;
    RT_NAME(sort_block)(a, keys, at, room, false);
    for (unsigned i = threadIdx.x; i < lanes; i += blockDim.x) {
        const int64_t lane = (int64_t)blockIdx.x * lanes + i, L = a.n[1];
        const U *key = keys + i * room;
        int64_t rank = a.n[3], numbers = L;
        if (lane >= a.n[0]) continue;
        if (a.n[4]) {
            if (T_KIND == 2) while (numbers && RT_NAN_KEY(U, key[numbers - 1])) numbers--;
            rank = a.n[4] == 1 && numbers < L ? numbers : numbers ? (numbers - 1) / 2 : 0;
        }
        ((int64_t *)a.p[0])[lane] = at[i * room + rank];
    }
}

/* p: keys (lanes, L), x; n[0]: elements, n[3]: descending */
RT_KERNEL(RT_NAME(keys), RtCall) {
    RT_EACH(i, a.n[0]) {
        int64_t lane;
        const int64_t l = rt_divide(i, a.n[1], &lane);
        ((U *)a.p[0])[i] = RT_NAME(lane)(a, lane, a.n[3]).key(l);
    }
}

/* By the block, digit by digit from the top: the key of rank k; *among: its rank among its equals. */
RT_INLINE U RT_NAME(select)(const Lane &x, int64_t L, int64_t k, int64_t *among) {
    RT_SHARED(unsigned long long, count, 256);
    RT_SHARED(int64_t, chosen, 2);
    U prefix = 0, mask = 0;
    for (int shift = 8 * (int)sizeof(U) - 8; shift >= 0; shift -= 8) {
        if (threadIdx.x < 256) count[threadIdx.x] = 0;
        RT_SYNC();
        for (int64_t l = threadIdx.x; l < L; l += blockDim.x) {
            const U key = x.key(l);
            if ((U)(key & mask) == prefix) RT_ATOMIC_ADD(&count[key >> shift & 255], 1ull);
        }
        RT_SYNC();
        const int64_t mine = (int64_t)count[threadIdx.x];
        int64_t before;
        rt_block_scan(mine, [](int64_t p, int64_t q) { return p + q; }, (int64_t)0, &before);
        if (before <= k && k < before + mine) {
            chosen[0] = threadIdx.x;
            chosen[1] = k - before;
        }
        RT_SYNC();
        prefix = (U)(prefix | (U)((U)chosen[0] << shift));
        mask = (U)(mask | (U)((U)255 << shift));
        k = chosen[1];
        RT_SYNC();
    }
    *among = k;
    return prefix;
}

/* A block (256 threads) a lane. p: place of the k-th smallest (an int64 a lane), x; n[3]: k, n[4]: 0, or 1 for the median (the first
 * NaN if there is one), 2 for that of the numbers */
RT_KERNEL(RT_NAME(kth), RtCall) {
    const Lane x = RT_NAME(lane)(a, blockIdx.x, false);
    const int64_t L = a.n[1];
    int64_t rank = a.n[3], among, found = -1;
    if (a.n[4]) {
        int64_t nans = 0, first = L;
        if (T_KIND == 2)
            for (int64_t l = threadIdx.x; l < L; l += blockDim.x)
                if (RT_NAN_KEY(U, x.key(l))) {
                    nans++;
                    first = l < first ? l : first;
                }
        nans = rt_block_reduce(nans, [](int64_t p, int64_t q) { return p + q; }, (int64_t)0);
        first = rt_block_reduce(first, [](int64_t p, int64_t q) { return p < q ? p : q; }, L);
        rank = a.n[4] == 1 || nans == L ? (L - 1) / 2 : (L - nans - 1) / 2;
        if (nans && (a.n[4] == 1 || nans == L)) found = first;
    }
    if (found < 0) {                                /* the same for all threads */
        const U key = RT_NAME(select)(x, L, rank, &among);
        int64_t seen = 0, before, total;
        for (int64_t start = 0; start < L && seen <= among; start += blockDim.x) {
            const int64_t l = start + threadIdx.x, mine = l < L && x.key(l) == key;
            rt_block_scan(mine, [](int64_t p, int64_t q) { return p + q; }, (int64_t)0, &before, &total);
            if (mine && seen + before == among) ((int64_t *)a.p[0])[blockIdx.x] = l;
            seen += total;
        }
    } else if (threadIdx.x == 0)
        ((int64_t *)a.p[0])[blockIdx.x] = found;
}

/* A block a lane. p: places of the k first in order (outer, k, inner), by place, x; n[3]: descending, n[4]: k */
RT_KERNEL(RT_NAME(best), RtCall) {
    const Lane x = RT_NAME(lane)(a, blockIdx.x, a.n[3]);
    const int64_t L = a.n[1], inner = a.n[2], k = a.n[4];
    int64_t among, taken = 0, equals = 0, before, total;
    const U key = RT_NAME(select)(x, L, k - 1, &among);
    int64_t *out = (int64_t *)a.p[0] + blockIdx.x / inner * k * inner + blockIdx.x % inner;
    for (int64_t start = 0; start < L && taken < k; start += blockDim.x) {
        const int64_t l = start + threadIdx.x;
        const U mine = l < L ? x.key(l) : (U) ~(U)0;
        const int64_t equal = l < L && mine == key;
        rt_block_scan(equal, [](int64_t p, int64_t q) { return p + q; }, (int64_t)0, &before, &total);
        const int64_t take = l < L && (mine < key || (equal && equals + before <= among));
        equals += total;
        rt_block_scan(take, [](int64_t p, int64_t q) { return p + q; }, (int64_t)0, &before, &total);
        if (take) out[(taken + before) * inner] = l;
        taken += total;
    }
}

/* A block a lane. p: place of the last one of the longest run of equals (an int64 a lane), x, places that sort x (outer, L, inner) */
RT_KERNEL(RT_NAME(mode), RtCall) {
    const Lane x = RT_NAME(lane)(a, blockIdx.x, false);
    const int64_t L = a.n[1], inner = a.n[2], *order = (const int64_t *)a.p[2] + blockIdx.x / inner * L * inner + blockIdx.x % inner;
    struct Run { int64_t length, end; };
    Run best = {0, 0};
    int64_t carry = 0, before, total;
    for (int64_t from = 0; from < L; from += blockDim.x) {
        const int64_t r = from + threadIdx.x;
        const U key = r < L ? x.key(order[r * inner]) : (U)0;
        const bool begins = r < L && (r == 0 || RT_NAN_KEY(U, key) || x.key(order[(r - 1) * inner]) != key);
        const int64_t start = rt_block_scan(begins ? r : (int64_t)0, [](int64_t p, int64_t q) { return p > q ? p : q; }, (int64_t)0, &before, &total);
        const int64_t length = r - (start > carry ? start : carry) + 1;
        if (r < L && (r + 1 == L || RT_NAN_KEY(U, key) || x.key(order[(r + 1) * inner]) != key) && length > best.length) best = Run{length, r};
        carry = total > carry ? total : carry;
    }
    best = rt_block_reduce(best, [](Run p, Run q) -> Run { return p.length > q.length || (p.length == q.length && p.end < q.end) ? p : q; }, Run{0, L});
    if (threadIdx.x == 0) ((int64_t *)a.p[0])[blockIdx.x] = order[best.end * inner];
}
/* the same by a thread a lane, for short ones */
RT_KERNEL(RT_NAME(mode_walk), RtCall) {
    RT_EACH(lane, a.n[0]) {
        const Lane x = RT_NAME(lane)(a, lane, false);
        const int64_t L = a.n[1], inner = a.n[2], *order = (const int64_t *)a.p[2] + lane / inner * L * inner + lane % inner;
        int64_t best = 0, run = 0;
        U last = 0;
        for (int64_t r = 0; r < L; r++) {
            const U key = x.key(order[r * inner]);
            run = r && key == last && !RT_NAN_KEY(U, key) ? run + 1 : 1;
            last = key;
            best = run > best ? run : best;
        }
        run = 0;
        for (int64_t r = 0; r < L; r++) {                     /* the first run that is so long, where it ends */
            const int64_t at = order[r * inner];
            const U key = x.key(at);
            run = r && key == last && !RT_NAN_KEY(U, key) ? run + 1 : 1;
            last = key;
            if (run == best) {
                ((int64_t *)a.p[0])[lane] = at;
                break;
            }
        }
    }
}
#undef SLOTS
