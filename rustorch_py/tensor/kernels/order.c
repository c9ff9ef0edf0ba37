/* Sorting and selection. Values become unsigned keys (lane_key.h; descending order inverts them), so
 * one stable radix sort serves every dtype. Keys of at most 32 bits travel packed with the 32-bit
 * position: comparing the packed word compares (key, position), and no two are equal. */
#include <stdlib.h>
#include "lane_loop.h"
#include "lane_key.h"
#include "rustorch/backend.h"

/* keys of a lane; flip: all bits of the key's width set for descending order */
static void load_keys(int dtype, const void *x, int64_t step, int64_t n, uint64_t flip, uint64_t *key) {
    switch (dtype) {
#define CASE(code, tag, T) \
    case code: { const T *p = x; for (int64_t l = 0; l < n; l++) key[l] = key_##tag(p + l * step) ^ flip; break; }
    REAL_DTYPES(CASE)
#undef CASE
    }
}

/* The same for keys of at most 32 bits, at half the width. */
static void load_keys32(int dtype, const void *x, int64_t step, int64_t n, uint32_t flip, uint32_t *key) {
    switch (dtype) {
#define CASE(code, tag, T)                                                                          \
    case code: {                                                                                    \
        const T *p = x;                                                                             \
        if (step == 1) for (int64_t l = 0; l < n; l++) key[l] = (uint32_t)key_##tag(p + l) ^ flip;  \
        else for (int64_t l = 0; l < n; l++) key[l] = (uint32_t)key_##tag(p + l * step) ^ flip;     \
        break;                                                                                      \
    }
    REAL_DTYPES(CASE)
#undef CASE
    }
}

/* ---- one sort for packed words and for (key, position) pairs ---- */
typedef struct { uint64_t key; int64_t at; } Pair;
#define PACKED_LESS(a, b) ((a) < (b))
#define PAIR_LESS(a, b) ((a).key < (b).key)
#define KEY_OF_packed(e) ((e) >> 32)
#define KEY_OF_pair(e) ((e).key)
#define PACKED_DIGIT(e, byte) (((e) >> (32 + 8 * (byte))) & 255)
#define PAIR_DIGIT(e, byte) (((e).key >> (8 * (byte))) & 255)

#define RADIX_GRAIN 131072
#define RADIX_THREADS 64
#define SORT(name, E, LESS, DIGIT)                                                                     \
    static void insertion_##name(E *a, int64_t n) {                                                    \
        for (int64_t i = 1; i < n; i++) {                                                              \
            E v = a[i]; int64_t j = i;                                                                 \
            while (j > 0 && LESS(v, a[j - 1])) { a[j] = a[j - 1]; j--; }                               \
            a[j] = v;                                                                                  \
        }                                                                                              \
    }                                                                                                  \
    /* The radix passes with the array cut in one part a thread: a digit's place is behind that digit's elements of the    \
     * parts before, so the order is that of one thread. */                                            \
    static E *threaded_##name(E *a, E *t, int64_t n, int key_bytes, int threads) {                     \
        int64_t count[RADIX_THREADS][256];                                                             \
        if (threads > RADIX_THREADS) threads = RADIX_THREADS;                                          \
        for (int b = 0; b < key_bytes; b++) {                                                          \
            RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))                          \
            for (int p = 0; p < threads; p++) {                                                        \
                int64_t c[256] = {0};                                                                  \
                for (int64_t i = n * p / threads; i < n * (p + 1) / threads; i++) c[DIGIT(a[i], b)]++; \
                memcpy(count[p], c, sizeof c);                                                         \
            }                                                                                          \
            int64_t sum = 0; int d0 = (int)DIGIT(a[0], b); int64_t alike = 0;                          \
            for (int p = 0; p < threads; p++) alike += count[p][d0];                                   \
            if (alike == n) continue;                                                                  \
            for (int d = 0; d < 256; d++)                                                              \
                for (int p = 0; p < threads; p++) { int64_t k = count[p][d]; count[p][d] = sum; sum += k; } \
            RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))                          \
            for (int p = 0; p < threads; p++) {                                                        \
                int64_t c[256];                                                                        \
                memcpy(c, count[p], sizeof c);                                                         \
                for (int64_t i = n * p / threads; i < n * (p + 1) / threads; i++) t[c[DIGIT(a[i], b)]++] = a[i]; \
            }                                                                                          \
            E *swap = a; a = t; t = swap;                                                              \
        }                                                                                              \
        return a;                                                                                      \
    }                                                                                                  \
    /* Sorts a, with t as scratch; returns the array that holds the result. */                         \
    static E *sort_##name(E *a, E *t, int64_t n, int key_bytes, int threads) {                         \
        if (n <= 24) { insertion_##name(a, n); return a; }                                             \
        if (n <= 320) {                                                                                \
            enum { RUN = 16 };                                                                         \
            for (int64_t b = 0; b < n; b += RUN) insertion_##name(a + b, n - b < RUN ? n - b : RUN);   \
            for (int64_t run = RUN; run < n; run *= 2) {                                               \
                for (int64_t b = 0; b < n; b += 2 * run) {                                             \
                    int64_t i = b; int64_t mid = b + run < n ? b + run : n; int64_t j = mid;           \
                    int64_t end = b + 2 * run < n ? b + 2 * run : n;                                   \
                    for (int64_t o = b; o < end; o++)                                                  \
                        t[o] = j >= end || (i < mid && !LESS(a[j], a[i])) ? a[i++] : a[j++];           \
                }                                                                                      \
                E *swap = a; a = t; t = swap;                                                          \
            }                                                                                          \
            return a;                                                                                  \
        }                                                                                              \
        if (n >= RADIX_GRAIN && threads > 1) return threaded_##name(a, t, n, key_bytes, threads);      \
        int64_t count[8][256];                                                                         \
        memset(count, 0, sizeof(count[0]) * (size_t)key_bytes);                                        \
        for (int64_t i = 0; i < n; i++)                                                                \
            for (int b = 0; b < key_bytes; b++) count[b][DIGIT(a[i], b)]++;                            \
        for (int b = 0; b < key_bytes; b++) {                                                          \
            int64_t *c = count[b]; int64_t sum = 0;                                                    \
            if (c[DIGIT(a[0], b)] == n) continue;         /* all alike: nothing to move */             \
            for (int d = 0; d < 256; d++) { int64_t k = c[d]; c[d] = sum; sum += k; }                  \
            for (int64_t i = 0; i < n; i++) t[c[DIGIT(a[i], b)]++] = a[i];                             \
            E *swap = a; a = t; t = swap;                                                              \
        }                                                                                              \
        return a;                                                                                      \
    }                                                                                                  \
    /* The element of rank k of a (stable), found digit by digit from the top; c, which may be a, is overwritten.\
     * *among: its rank among those with an equal key. Neighbours count in tables of their own: one that counts the\
     * same digit again waits for the count before it. Digits that all who are left share are passed over. */\
    static E select_##name(const E *a, E *c, int64_t n, int64_t k, int key_bytes, int64_t *among) {    \
        for (int b = key_bytes - 1; b >= 0 && n > 1; b--) {                                            \
            int64_t count[4][256]; int64_t m = 0; int64_t i = 0; int d = 0; uint64_t apart = 0;        \
            int many = n >= 1024;                /* the tables are worth their zeros */                \
            memset(count, 0, many ? sizeof count : sizeof count[0]);                                   \
            for (; many && i + 4 <= n; i += 4)                                                         \
                for (int j = 0; j < 4; j++) count[j][DIGIT(a[i + j], b)]++;                            \
            for (; i < n; i++) count[0][DIGIT(a[i], b)]++;                                             \
            for (int j = 0; many && j < 256; j++) count[0][j] += count[1][j] + count[2][j] + count[3][j];\
            while (k >= count[0][d]) k -= count[0][d++];                                               \
            if (count[0][d] == n) continue;                                                            \
            for (i = 0; i < n; i++) { E v = a[i]; c[m] = v; m += (int)DIGIT(v, b) == d; }              \
            n = m;                                                                                     \
            a = c;                                                                                     \
            for (i = 1; i < n; i++) apart |= KEY_OF_##name(c[i]) ^ KEY_OF_##name(c[0]);                \
            b = apart ? (71 - __builtin_clzll(apart)) / 8 : 0;                                         \
        }                                                                                              \
        *among = k;                                                                                    \
        return a[k];                                                                                   \
    }                                                                                                  \
    /* Keeps the k smallest of a[0..*m) (stable), in order of position; returns the largest of them. */ \
    static E best_##name(E *a, E *t, int64_t *m, int64_t k, int key_bytes) {                           \
        int64_t among = -1; int64_t kept = 0; E last;                                                  \
        memcpy(t, a, (size_t)*m * sizeof(E));                                                          \
        if (*m <= 64) {                                                                                \
            insertion_##name(t, *m);                                                                   \
            last = t[k - 1];                                                                           \
            for (int64_t l = 0; l < k; l++) among += KEY_OF_##name(t[l]) == KEY_OF_##name(last);       \
        } else last = select_##name(t, t, *m, k - 1, key_bytes, &among);                                  \
        for (int64_t l = 0; l < *m; l++) {                                                             \
            uint64_t key = KEY_OF_##name(a[l]); uint64_t bar = KEY_OF_##name(last);                    \
            if (key < bar || (key == bar && among-- >= 0)) a[kept++] = a[l];                           \
        }                                                                                              \
        *m = kept;                                                                                     \
        return last;                                                                                   \
    }
SORT(packed, uint64_t, PACKED_LESS, PACKED_DIGIT)
SORT(pair, Pair, PAIR_LESS, PAIR_DIGIT)
#define WORD_DIGIT(e, byte) (((e) >> (8 * (byte))) & 255)
#define KEY_OF_word(e) (e)
SORT(word, uint64_t, PACKED_LESS, WORD_DIGIT)

/* Words by vectors (words.inc.c), where the set has them and the second level of the cache holds the words. Few digits are the radix sort's. */
typedef void (*SortWords)(uint64_t *a, uint64_t *t, int64_t n);
#if defined(__x86_64__)
void rt_sort_words_avx512(uint64_t *a, uint64_t *t, int64_t n);
void rt_words_of_f32_avx512(const float *x, int64_t n, uint32_t flip, uint64_t *word);
void rt_words_to_f32_avx512(const float *x, const uint64_t *word, int64_t n, uint32_t flip, int64_t *idx, float *values);
#define SORT_WORDS(level) ((level) == RT_ISA_AVX512 ? rt_sort_words_avx512 : NULL)
#else
#define SORT_WORDS(level) ((void)(level), (SortWords)NULL)
#endif
enum { SPARE = 8 };              /* words of scratch behind the last */
static uint64_t *sort_words(SortWords by_vectors, uint64_t *a, uint64_t *t, int64_t n, int key_bytes, int threads) {
    if (!by_vectors || n <= 16 || n >= RADIX_GRAIN || (key_bytes <= 2 && n > 320)) return sort_packed(a, t, n, key_bytes, threads);
    by_vectors(a, t, n);
    return a;
}

/* Scratch of one thread: keys, and two arrays of whatever the lane is sorted as. */
/* packed: keys of the dtype fit 32 bits; narrow: the array last sorted holds packed words. */
typedef struct { uint64_t *key; Pair *a, *b; int packed, narrow, threads; SortWords words; } Scratch;
static int scratch_new(Scratch *w, int dtype, int64_t n) {
    w->packed = w->narrow = rt_itemsize(dtype) <= 4 && n < ((int64_t)1 << 32);
    w->threads = 1;
    w->words = NULL;
    size_t each = w->packed ? sizeof(uint64_t) : sizeof(Pair);
    w->key = malloc((size_t)n * sizeof(uint64_t) + 1);
    w->a = malloc((size_t)n * each + 1);
    w->b = malloc((size_t)n * each + SPARE * sizeof(uint64_t));
    return w->key && w->a && w->b;
}
static void scratch_free(Scratch *w) { free(w->key); free(w->a); free(w->b); }

static uint64_t flip_mask(int dtype, int descending) {
    int bits = 8 * rt_itemsize(dtype);
    return !descending ? 0 : bits == 64 ? ~(uint64_t)0 : ((uint64_t)1 << bits) - 1;
}
static void pack(const Scratch *w, int64_t n, void *to) {
    uint64_t *p = to; Pair *q = to;
    if (w->packed) for (int64_t l = 0; l < n; l++) p[l] = w->key[l] << 32 | (uint64_t)l;
    else for (int64_t l = 0; l < n; l++) { q[l].key = w->key[l]; q[l].at = l; }
}
#define POSITION(w, from, l) ((w)->narrow ? (int64_t)(((uint64_t *)(from))[l] & 0xffffffffu) : ((Pair *)(from))[l].at)

/* Sorted positions of the lane whose keys are in w->key: returns the array to read with POSITION. */
static void *order_lane(Scratch *w, int dtype, int64_t n) {
    int bytes = rt_itemsize(dtype);
    w->narrow = w->packed;
    if (!w->packed && n > 320 && n < ((int64_t)1 << 32)) {        /* keys that lie close together fit 32 bits */
        uint64_t lo = w->key[0], hi = w->key[0];
        for (int64_t l = 1; l < n; l++) { uint64_t k = w->key[l]; lo = k < lo ? k : lo; hi = k > hi ? k : hi; }
        if (hi - lo <= 0xffffffffu) {
            uint64_t *p = (uint64_t *)w->a;
            for (int64_t l = 0; l < n; l++) p[l] = (w->key[l] - lo) << 32 | (uint64_t)l;
            w->narrow = 1;
            return sort_words(w->words, p, (uint64_t *)w->b, n, (71 - __builtin_clzll((hi - lo) | 1)) / 8, w->threads);
        }
    }
    pack(w, n, w->a);
    return w->packed ? (void *)sort_words(w->words, (uint64_t *)w->a, (uint64_t *)w->b, n, bytes, w->threads)
                     : (void *)sort_pair(w->a, w->b, n, bytes, w->threads);
}

/* Runs `body` for every lane (o, i) with thread-local scratch w and x = its first element. */
#define EACH_LANE(...)                                                                             \
    int64_t lanes = s.outer * s.inner; int failed = 0; int size = rt_itemsize(dtype);             \
    int par = threads > 1 && lanes > 1 && lanes * s.L > 4096; (void)par;                           \
    RT_OMP(omp parallel num_threads(threads) if (par))                                             \
    {                                                                                              \
        Scratch scratch; Scratch *w = &scratch;                                                    \
        if (!scratch_new(w, dtype, s.L)) failed = 1;                                               \
        else {                                                                                     \
            if (!par) w->threads = threads;           /* the lanes are few: a lane is shared out */ \
            RT_OMP(omp for schedule(static))                                                       \
            for (int64_t lane = 0; lane < lanes; lane++) {                                         \
                int64_t o = lane / s.inner; int64_t i = lane % s.inner;                            \
                const char *x = (const char *)x_oli + (o * s.L * s.inner + i) * size;              \
                __VA_ARGS__                                                                        \
            }                                                                                      \
        }                                                                                          \
        scratch_free(w);                                                                           \
    }                                                                                              \
    return failed ? RT_ERR_MEMORY : RT_OK

/* ---- one long lane of keys that span at most 32 bits ----
 * Radix passes over an array larger than the second cache cost a miss an element each (8 to 13 ns). So there is one such pass, by the
 * highest bits of what the keys span; its buckets are then sorted where they stay in the cache, and written out from there. */
enum { BUCKET_BITS = 10, BUCKETS = 1 << BUCKET_BITS, LONG_LANE = 65536, PARTS = 64, WALK = 1024 };

/* Keys of elements [i, i + m) of a dense array less `lo`, where that fits 32 bits. */
static void load_close(int dtype, const void *x, int64_t i, int64_t m, uint64_t flip, uint64_t lo, uint32_t *key) {
    int size = rt_itemsize(dtype);
    const char *from = (const char *)x + i * size;
    if (size <= 4) {
        load_keys32(dtype, from, 1, m, (uint32_t)flip, key);
        for (int64_t l = 0; l < m; l++) key[l] -= (uint32_t)lo;
    } else {
        uint64_t wide[WALK];
        load_keys(dtype, from, 1, m, flip, wide);
        for (int64_t l = 0; l < m; l++) key[l] = (uint32_t)(wide[l] - lo);
    }
}

/* Values of sorted words (key - lo, position). A key tells its value, but for what several values share a key (zeros, NaN). */
static void put_values(int dtype, const void *x, const uint64_t *word, uint32_t lo, uint32_t flip, int64_t n, void *values, int64_t at) {
    if (dtype == RT_F32) {
        uint32_t *to = (uint32_t *)values + at; const uint32_t *from = x;
        for (int64_t l = 0; l < n; l++) {
            uint32_t key = ((uint32_t)(word[l] >> 32) + lo) ^ flip;
            uint32_t bits = key ^ (~(uint32_t)((int32_t)key >> 31) | 0x80000000u);
            to[l] = bits == 0 || key == 0xffffffffu ? from[word[l] & 0xffffffffu] : bits;
        }
        return;
    }
#define CASE(T) case sizeof(T): { T *to = (T *)values + at; const T *from = x; for (int64_t l = 0; l < n; l++) to[l] = from[word[l] & 0xffffffffu]; break; }
    switch (rt_itemsize(dtype)) { CASE(uint8_t) CASE(uint16_t) CASE(uint32_t) CASE(uint64_t) }
#undef CASE
}

/* How many keys of each bucket every thread has becomes where it puts them; start: where each bucket begins. Returns the most keys of a bucket. */
static int64_t bucket_starts(int64_t (*count)[BUCKETS], int threads, int64_t *start) {
    int64_t most = 0;
    start[0] = 0;
    for (int d = 0; d < BUCKETS; d++) {
        int64_t sum = start[d];
        for (int p = 0; p < threads; p++) { int64_t k = count[p][d]; count[p][d] = sum; sum += k; }
        start[d + 1] = sum;
        if (sum - start[d] > most) most = sum - start[d];
    }
    return most;
}

/* Returns 0 when done, 1 without memory, 2 when one bucket holds too much of the lane or the keys span
 * more than 32 bits: to be sorted otherwise. */
static int sort_long(int dtype, const void *x, int64_t n, uint64_t flip, int64_t *idx, void *values, SortWords by_vectors, int threads) {
    static const uint64_t widest = ~(uint64_t)0;
    int size = rt_itemsize(dtype), failed = 0;
    if (threads > PARTS) threads = PARTS;
    uint64_t low[PARTS], high[PARTS], lo = widest, hi = 0;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint64_t l0 = widest, h0 = 0;
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            const char *from = (const char *)x + i * size;
            if (size <= 4) {
                uint32_t key[WALK], l1 = 0xffffffffu, h1 = 0;
                load_keys32(dtype, from, 1, m, (uint32_t)flip, key);
                for (int64_t l = 0; l < m; l++) { l1 = key[l] < l1 ? key[l] : l1; h1 = key[l] > h1 ? key[l] : h1; }
                l0 = l1 < l0 ? l1 : l0;
                h0 = h1 > h0 ? h1 : h0;
            } else {
                uint64_t key[WALK];
                load_keys(dtype, from, 1, m, flip, key);
                for (int64_t l = 0; l < m; l++) { l0 = key[l] < l0 ? key[l] : l0; h0 = key[l] > h0 ? key[l] : h0; }
                if (h0 - l0 > 0xffffffffu) break;
            }
        }
        low[p] = l0;
        high[p] = h0;
    }
    for (int p = 0; p < threads; p++) { lo = low[p] < lo ? low[p] : lo; hi = high[p] > hi ? high[p] : hi; }
    if (hi - lo > 0xffffffffu) return 2;
    int bits = lo == hi ? 0 : 32 - __builtin_clz((uint32_t)(hi - lo)), shift = bits > BUCKET_BITS ? bits - BUCKET_BITS : 0;
    int64_t (*count)[BUCKETS] = malloc(sizeof *count * (size_t)threads), start[BUCKETS + 1], most;
    if (!count) return 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint32_t key[WALK];
        int64_t *c = count[p];
        memset(c, 0, sizeof count[p]);
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            load_close(dtype, x, i, m, flip, lo, key);
            for (int64_t l = 0; l < m; l++) c[key[l] >> shift]++;
        }
    }
    most = bucket_starts(count, threads, start);
    if (most > n / 4 && shift) { free(count); return 2; }
    uint64_t *a = malloc((size_t)n * sizeof *a);
    if (!a) { free(count); return 1; }
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint32_t key[WALK];
        int64_t *c = count[p];
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            load_close(dtype, x, i, m, flip, lo, key);
            for (int64_t l = 0; l < m; l++) a[c[key[l] >> shift]++] = (uint64_t)key[l] << 32 | (uint64_t)(i + l);
        }
    }
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        uint64_t *t = malloc((size_t)(shift ? most + SPARE : 1) * sizeof *t);
        if (!t) {
            RT_OMP(omp atomic write)
            failed = 1;
        }
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(dynamic, 8))
            for (int d = 0; d < BUCKETS; d++) {
                int64_t m = start[d + 1] - start[d];
                if (!m) continue;
                uint64_t *word = shift ? sort_words(by_vectors, a + start[d], t, m, (shift + 7) / 8, 1) : a + start[d];
                for (int64_t l = 0; l < m; l++) idx[start[d] + l] = (int64_t)(word[l] & 0xffffffffu);
                if (values) put_values(dtype, x, word, (uint32_t)lo, (uint32_t)flip, m, values, start[d]);
            }
        }
        free(t);
    }
    free(a);
    free(count);
    return failed;
}

/* ---- one long lane of keys that span more than 32 bits ----
 * The same with (key, position) pairs. A bucket is sorted by words of the key's next 48 bits and the place in the bucket; the few that
 * these leave equal are put right afterwards. */
enum { PLACE_BITS = 16, WORD_KEY = 64 - PLACE_BITS };

/* The bucket's m pairs in order; out, word and t are scratch. Keys differ in their low `shift` bits only. */
static const Pair *sort_bucket(SortWords by_vectors, Pair *q, Pair *out, uint64_t *word, uint64_t *t, int64_t m, int shift) {
    int drop = shift > WORD_KEY ? shift - WORD_KEY : 0;
    int64_t moves = 0;
    if (!by_vectors || m <= 16) return sort_pair(q, out, m, (shift + 7) / 8, 1);
    uint64_t mask = ((uint64_t)1 << shift) - 1;
    for (int64_t l = 0; l < m; l++) word[l] = (q[l].key & mask) >> drop << PLACE_BITS | (uint64_t)l;
    by_vectors(word, t, m);
    for (int64_t l = 0; l < m; l++) {
        Pair v = q[word[l] & (((uint64_t)1 << PLACE_BITS) - 1)];
        int64_t at = l;
        for (; at > 0 && v.key < out[at - 1].key && moves < 8 * m; at--, moves++) out[at] = out[at - 1];
        out[at] = v;
    }
    if (moves < 8 * m) return out;
    for (int64_t l = 0; l < m; l++) out[l] = q[l];
    return sort_pair(out, q, m, (shift + 7) / 8, 1);
}

static void put_pair_values(int dtype, const void *x, const Pair *p, uint64_t lo, uint64_t flip, int64_t n, void *values) {
    uint64_t *to = values; const uint64_t *from = x;
    for (int64_t l = 0; l < n; l++) {
        uint64_t key = (p[l].key + lo) ^ flip, top = (uint64_t)1 << 63;
        if (dtype == RT_I64) { to[l] = key ^ top; continue; }
        uint64_t bits = key ^ (~(uint64_t)((int64_t)key >> 63) | top);
        to[l] = bits == 0 || key == ~(uint64_t)0 ? from[p[l].at] : bits;       /* zeros and NaN share keys */
    }
}

/* As sort_long. */
static int sort_wide(int dtype, const void *x, int64_t n, uint64_t flip, int64_t *idx, void *values, SortWords by_vectors, int threads) {
    int failed = 0;
    if (threads > PARTS) threads = PARTS;
    uint64_t low[PARTS], high[PARTS], lo = ~(uint64_t)0, hi = 0;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint64_t key[WALK], l0 = ~(uint64_t)0, h0 = 0;
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            load_keys(dtype, (const char *)x + i * 8, 1, m, flip, key);
            for (int64_t l = 0; l < m; l++) { l0 = key[l] < l0 ? key[l] : l0; h0 = key[l] > h0 ? key[l] : h0; }
        }
        low[p] = l0;
        high[p] = h0;
    }
    for (int p = 0; p < threads; p++) { lo = low[p] < lo ? low[p] : lo; hi = high[p] > hi ? high[p] : hi; }
    int bits = lo == hi ? 1 : 64 - __builtin_clzll(hi - lo), shift = bits > BUCKET_BITS ? bits - BUCKET_BITS : 0;
    int64_t (*count)[BUCKETS] = malloc(sizeof *count * (size_t)threads), start[BUCKETS + 1], most;
    if (!count) return 1;
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint64_t key[WALK];
        int64_t *c = count[p];
        memset(c, 0, sizeof count[p]);
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            load_keys(dtype, (const char *)x + i * 8, 1, m, flip, key);
            for (int64_t l = 0; l < m; l++) c[(key[l] - lo) >> shift]++;
        }
    }
    most = bucket_starts(count, threads, start);
    if (most > (1 << PLACE_BITS)) { free(count); return 2; }
    Pair *a = malloc((size_t)n * sizeof *a);
    if (!a) { free(count); return 1; }
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1))
    for (int p = 0; p < threads; p++) {
        uint64_t key[WALK];
        int64_t *c = count[p];
        for (int64_t i = n * p / threads, end = n * (p + 1) / threads; i < end; i += WALK) {
            int64_t m = end - i < WALK ? end - i : WALK;
            load_keys(dtype, (const char *)x + i * 8, 1, m, flip, key);
            for (int64_t l = 0; l < m; l++) {
                uint64_t k = key[l] - lo;
                Pair *to = &a[c[k >> shift]++];
                to->key = k;
                to->at = i + l;
            }
        }
    }
    RT_OMP(omp parallel num_threads(threads) if (threads > 1)) {
        uint64_t *word = malloc((size_t)(most + SPARE) * 2 * sizeof *word);
        Pair *out = malloc((size_t)(most + SPARE) * sizeof *out);
        if (!word || !out) {
            RT_OMP(omp atomic write)
            failed = 1;
        }
        RT_OMP(omp barrier)
        if (!failed) {
            RT_OMP(omp for schedule(dynamic, 8))
            for (int d = 0; d < BUCKETS; d++) {
                int64_t m = start[d + 1] - start[d];
                if (!m) continue;
                const Pair *p = sort_bucket(by_vectors, a + start[d], out, word, word + most + SPARE, m, shift);
                for (int64_t l = 0; l < m; l++) idx[start[d] + l] = p[l].at;
                if (values) put_pair_values(dtype, x, p, lo, flip, m, (uint64_t *)values + start[d]);
            }
        }
        free(word);
        free(out);
    }
    free(a);
    free(count);
    return failed;
}

/* A dense lane of float32 where there is a sort by vectors: turned to words and back by vectors too. */
static void sort_f32(const Scratch *w, const float *x, int64_t n, uint32_t flip, int64_t *idx, float *values) {
#if defined(__x86_64__)
    uint64_t *word = (uint64_t *)w->a;
    rt_words_of_f32_avx512(x, n, flip, word);
    word = sort_words(w->words, word, (uint64_t *)w->b, n, 4, 1);
    rt_words_to_f32_avx512(x, word, n, flip, idx, values);
#else
    (void)w; (void)x; (void)n; (void)flip; (void)idx; (void)values;
#endif
}

#define TAKE_LANE(T) case sizeof(T): { const T *from = (const T *)x; T *to = (T *)values_oli + first; for (int64_t l = 0; l < s.L; l++) to[l * s.inner] = from[out[l * s.inner] * s.inner]; break; }

int rt_sort_lanes(int dtype, const void *x_oli, RtLane s, int descending, int64_t *idx_oli, void *values_oli, int level, int threads) {
    uint64_t flip = flip_mask(dtype, descending);
    SortWords by_vectors = SORT_WORDS(level);
    if (s.outer * s.inner == 1 && s.L >= LONG_LANE && s.L < ((int64_t)1 << 32)) {
        int rc = sort_long(dtype, x_oli, s.L, flip, idx_oli, values_oli, by_vectors, threads);
        if (rc == 2 && rt_itemsize(dtype) == 8) rc = sort_wide(dtype, x_oli, s.L, flip, idx_oli, values_oli, by_vectors, threads);
        if (rc < 2) return rc ? RT_ERR_MEMORY : RT_OK;
    }
    EACH_LANE({
        int64_t first = o * s.L * s.inner + i; int64_t *out = idx_oli + first;
        w->words = by_vectors;
        if (by_vectors && dtype == RT_F32 && s.inner == 1 && s.L < RADIX_GRAIN) {
            sort_f32(w, (const float *)x, s.L, (uint32_t)flip, out, values_oli ? (float *)values_oli + first : NULL);
            continue;
        }
        if (w->packed && s.inner == 1) {
            uint32_t *key = (uint32_t *)w->key; uint64_t *word = (uint64_t *)w->a;
            load_keys32(dtype, x, 1, s.L, (uint32_t)flip, key);
            for (int64_t l = 0; l < s.L; l++) word[l] = (uint64_t)key[l] << 32 | (uint64_t)l;
            word = sort_words(by_vectors, word, (uint64_t *)w->b, s.L, size, w->threads);
            for (int64_t l = 0; l < s.L; l++) out[l] = (int64_t)(word[l] & 0xffffffffu);
            if (values_oli) put_values(dtype, x, word, 0, (uint32_t)flip, s.L, values_oli, first);
            continue;
        }
        load_keys(dtype, x, s.inner, s.L, flip, w->key);
        void *r = order_lane(w, dtype, s.L);
        for (int64_t l = 0; l < s.L; l++) out[l * s.inner] = POSITION(w, r, l);
        if (values_oli) switch (size) { TAKE_LANE(uint8_t) TAKE_LANE(uint16_t) TAKE_LANE(uint32_t) TAKE_LANE(uint64_t) }
    });
}
#undef TAKE_LANE

enum { FEW = 24, SKIP = 16 };  /* SKIP keys looked at together: most blocks hold none of the k best */

/* The k <= FEW best of a lane, sorted: a better one is moved into place. Keys are made a block at a time, and stay in the first cache. */
static void few_best(int dtype, const char *x, int64_t step, int64_t n, int64_t k, uint32_t flip, uint64_t *a) {
    uint32_t key[WALK];
    for (int64_t b = 0; b < n; b += WALK) {
        int64_t m = n - b < WALK ? n - b : WALK, l = 0;
        load_keys32(dtype, x + b * step * rt_itemsize(dtype), step, m, flip, key);
        if (b == 0) {
            for (; l < k; l++) a[l] = (uint64_t)key[l] << 32 | (uint64_t)l;
            insertion_packed(a, k);
        }
        for (; l < m; l += SKIP) {
            int64_t end = l + SKIP < m ? l + SKIP : m;
            uint32_t any = 0, limit = (uint32_t)(a[k - 1] >> 32);
            if (end - l == SKIP) {
                for (int j = 0; j < SKIP; j++) any |= (uint32_t)-(key[l + j] < limit);
                if (!any) continue;
            }
            for (int64_t j = l; j < end; j++) {
                uint64_t v = (uint64_t)key[j] << 32 | (uint64_t)(b + j);
                int64_t at = k - 1;
                if (v >= a[at]) continue;
                while (at > 0 && v < a[at - 1]) { a[at] = a[at - 1]; at--; }
                a[at] = v;
            }
        }
    }
}

/* The k best among elements [from, to) of a lane, in order of position, to a; t: as much room. When `room` candidates are there, the k best
 * stay and bound what may follow. */
static void best_of_part(int dtype, const char *x, int64_t step, int64_t from, int64_t to, int64_t k, uint32_t flip, uint64_t *a, uint64_t *t, int64_t room) {
    uint32_t key[WALK];
    uint64_t bound = 0xffffffffu;
    int64_t m = 0;
    int size = rt_itemsize(dtype);
    for (int64_t b = from; b < to; b += WALK) {
        int64_t n = to - b < WALK ? to - b : WALK;
        load_keys32(dtype, x + b * step * size, step, n, flip, key);
        for (int64_t l = 0; l < n; l += SKIP) {
            int64_t end = l + SKIP < n ? l + SKIP : n;
            uint32_t any = 0, limit = (uint32_t)bound;
            if (end - l == SKIP) {
                for (int j = 0; j < SKIP; j++) any |= (uint32_t)-(key[l + j] <= limit);
                if (!any) continue;
            }
            for (int64_t j = l; j < end; j++) {
                if (key[j] > bound) continue;
                a[m++] = (uint64_t)key[j] << 32 | (uint64_t)(b + j);
                if (m < room) continue;
                bound = best_packed(a, t, &m, k, size) >> 32;
                if (bound == 0) return;
                bound--;                  /* later ones must be smaller: equal ones before them suffice */
            }
        }
    }
    best_packed(a, t, &m, k, size);
}

/* Candidates for the k best of a lane, in order of position: the k best of each thread's part. Returns how many. */
static int64_t gather_best(int dtype, const char *x, int64_t step, int64_t n, int64_t k, uint32_t flip, uint64_t *a, uint64_t *t, int64_t room, int threads) {
    if (threads > n / 65536) threads = (int)(n / 65536);
    if (threads > n / (4 * room)) threads = (int)(n / (4 * room));
    if (threads < 2) {
        best_of_part(dtype, x, step, 0, n, k, flip, a, t, room);
        return k;
    }
    RT_OMP(omp parallel for num_threads(threads) schedule(static, 1))
    for (int p = 0; p < threads; p++) {
        int64_t from = n * p / threads, to = n * (p + 1) / threads;
        best_of_part(dtype, x, step, from, to, k, flip, a + from, t + from, room);
    }
    for (int p = 1; p < threads; p++) memmove(a + p * k, a + n * p / threads, (size_t)k * sizeof *a);
    return threads * k;
}

int rt_topk_lanes(int dtype, const void *x_oli, RtLane s, int64_t k, int largest, int sorted, int64_t *idx_oki, int level, int threads) {
    uint64_t flip = flip_mask(dtype, largest);
    if (k == 0) return RT_OK;
    EACH_LANE({
        int64_t *out = idx_oki + o * k * s.inner + i;
        w->words = SORT_WORDS(level);
        if (k * 4 > s.L) {
            load_keys(dtype, x, s.inner, s.L, flip, w->key);
            void *r = order_lane(w, dtype, s.L);
            for (int64_t l = 0; l < k; l++) out[l * s.inner] = POSITION(w, r, l);
        } else {
            /* Candidates gather in a; when there are `room`, the k best stay and bound what may follow. */
            int64_t m = 0; int64_t room = 4 * k > 256 ? 4 * k : 256; void *r;
            if (w->packed) {
                uint64_t *a = (uint64_t *)w->a;
                if (k <= FEW) {
                    few_best(dtype, x, s.inner, s.L, k, (uint32_t)flip, a);
                    for (int64_t l = 0; l < k; l++) out[l * s.inner] = POSITION(w, a, l);
                    continue;
                }
                m = gather_best(dtype, x, s.inner, s.L, k, (uint32_t)flip, a, (uint64_t *)w->b, room, w->threads);
                if (m > k) best_packed(a, (uint64_t *)w->b, &m, k, size);
            } else {
                Pair *a = w->a; uint64_t bound = ~(uint64_t)0;
                load_keys(dtype, x, s.inner, s.L, flip, w->key);
                if (k <= FEW) {
                    for (int64_t l = 0; l < k; l++) { a[l].key = w->key[l]; a[l].at = l; }
                    insertion_pair(a, k);
                    for (int64_t l = k; l < s.L; l += SKIP) {
                        int64_t end = l + SKIP < s.L ? l + SKIP : s.L; uint64_t limit = a[k - 1].key; int any = 0;
                        for (int64_t j = l; j < end; j++) any |= w->key[j] < limit;
                        if (!any) continue;
                        for (int64_t j = l; j < end; j++) {
                            Pair v; int64_t at = k - 1;
                            v.key = w->key[j]; v.at = j;
                            if (v.key >= a[at].key) continue;
                            while (at > 0 && v.key < a[at - 1].key) { a[at] = a[at - 1]; at--; }
                            a[at] = v;
                        }
                    }
                    for (int64_t l = 0; l < k; l++) out[l * s.inner] = a[l].at;
                    continue;
                }
                for (int64_t l = 0; l < s.L; l++) {
                    if (w->key[l] > bound) continue;
                    a[m].key = w->key[l]; a[m++].at = l;
                    if (m < room) continue;
                    bound = best_pair(a, w->b, &m, k, size).key;
                    if (bound == 0) break;
                    bound--;
                }
                best_pair(a, w->b, &m, k, size);
            }
            r = w->a;
            if (sorted) r = w->packed ? (void *)sort_words(w->words, (uint64_t *)w->a, (uint64_t *)w->b, k, size, 1)
                                      : (void *)sort_pair(w->a, w->b, k, size, 1);
            for (int64_t l = 0; l < k; l++) out[l * s.inner] = POSITION(w, r, l);
        }
    });
}

enum { SHORT_LANE = 24 };        /* sorted in less time than the digits of a byte are counted */
enum { SHORT_KEYS = 8, FEW_KEYS = 64 };        /* ... where keys travel packed, and from there on compared all with all in less time than either */

/* The place of rank `rank` among up to FEW_KEYS keys of at most 32 bits: it is known by how many are smaller, which is counted for sixteen at a time. */
static int64_t select_few(const uint64_t *key, int64_t n, int64_t rank) {
    typedef int32_t Four __attribute__((vector_size(16)));
    Four word[FEW_KEYS / 4];
    int32_t *one = (int32_t *)word;
    int32_t below[FEW_KEYS];
    int64_t at = 0;
    int32_t most = -1;
    for (int64_t l = 0; l < n; l++) one[l] = (int32_t)((uint32_t)key[l] ^ 0x80000000u);
    for (int64_t l = n; l % 16; l++) one[l] = INT32_MAX;
    for (int64_t b = 0; b < n; b += 16) {
        Four w0 = word[b / 4], w1 = word[b / 4 + 1], w2 = word[b / 4 + 2], w3 = word[b / 4 + 3], n0 = {0}, n1 = {0}, n2 = {0}, n3 = {0};
        for (int64_t l = 0; l < n; l++) {
            Four v = {one[l], one[l], one[l], one[l]};
            n0 -= v < w0; n1 -= v < w1; n2 -= v < w2; n3 -= v < w3;
        }
        memcpy(below + b, &n0, 16); memcpy(below + b + 4, &n1, 16); memcpy(below + b + 8, &n2, 16); memcpy(below + b + 12, &n3, 16);
    }
    for (int64_t l = 0; l < n; l++) if (below[l] <= rank && below[l] > most) { most = below[l]; at = l; }
    for (int64_t among = rank - most; among > 0; among--) do at++; while (below[at] != most);
    return at;
}

int rt_select_lanes(int dtype, const void *x_oli, RtLane s, int64_t k, int how, int64_t *idx_oi, int threads) {
    uint64_t nan = nan_key(dtype);
    EACH_LANE({
        int64_t rank = k; int64_t first_nan = -1; int64_t nans = 0; int64_t among; int64_t at;
        load_keys(dtype, x, s.inner, s.L, 0, w->key);
        if (how != RT_SELECT_KTH) {
            if (nan) for (int64_t l = s.L - 1; l >= 0; l--) if (w->key[l] == nan) { nans++; first_nan = l; }
            rank = how == RT_SELECT_MEDIAN || nans == s.L ? (s.L - 1) / 2 : (s.L - nans - 1) / 2;
        }
        if (first_nan >= 0 && (how == RT_SELECT_MEDIAN || nans == s.L)) at = first_nan;
        else {
            uint64_t apart = 0;                       /* bytes that all keys share need no look */
            for (int64_t l = 1; l < s.L; l++) apart |= w->key[l] ^ w->key[0];
            int bytes = apart ? (71 - __builtin_clzll(apart)) / 8 : 1;
            if (w->packed && s.L > SHORT_KEYS && s.L <= FEW_KEYS) at = select_few(w->key, s.L, rank);
            else if (s.L <= SHORT_LANE) {
                pack(w, s.L, w->a);
                if (w->packed) insertion_packed((uint64_t *)w->a, s.L); else insertion_pair(w->a, s.L);
                at = POSITION(w, w->a, rank);
            } else if (w->packed) {
                pack(w, s.L, w->a);
                at = (int64_t)(select_packed((uint64_t *)w->a, (uint64_t *)w->a, s.L, rank, bytes, &among) & 0xffffffffu);
            } else {                                  /* the key first, then the place of that one among its equals */
                uint64_t key = select_word(w->key, (uint64_t *)w->a, s.L, rank, bytes, &among);
                for (at = 0; w->key[at] != key || among-- > 0; at++) {}
            }
        }
        idx_oi[lane] = at;
    });
}

int rt_mode_lanes(int dtype, const void *x_oli, RtLane s, int64_t *idx_oi, int level, int threads) {
    EACH_LANE({
        w->words = SORT_WORDS(level);
        load_keys(dtype, x, s.inner, s.L, 0, w->key);
        void *r = order_lane(w, dtype, s.L);
        int64_t best = 0; int64_t at = 0; int64_t run = 0;
        for (int64_t l = 0; l < s.L; l++) {
            int64_t p = POSITION(w, r, l);
            int same = l > 0 && w->key[p] == w->key[POSITION(w, r, l - 1)] && !is_nan_key(dtype, w->key[p]);
            run = same ? run + 1 : 1;
            int ends = l + 1 == s.L || w->key[p] != w->key[POSITION(w, r, l + 1)] || is_nan_key(dtype, w->key[p]);
            if (ends && run > best) { best = run; at = p; }     /* the last occurrence, as PyTorch */
        }
        idx_oi[lane] = at;
    });
}

/* ---- moving along a lane ---- */
typedef struct { uint64_t w[2]; } Wide;

void rt_take_lanes(int itemsize, const void *x_oli, RtLane s, const int64_t *idx_oki, int64_t k, void *out_oki, int threads) {
    int64_t rows = s.outer * k, each = s.inner < 4096 ? 4096 / s.inner : 1, parts = (rows + each - 1) / each;
    (void)threads;
#define CASE(T)                                                                                         \
    case sizeof(T): {                                                                                   \
        const T *x = x_oli; T *out = out_oki;                                                           \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && rows * s.inner > RT_LANE_GRAIN)) \
        for (int64_t part = 0; part < parts; part++) {                                                  \
            int64_t r = part * each, end = r + each < rows ? r + each : rows, o = r / k;                \
            while (r < end) {                             /* what lies in one lane */                   \
                const T *lane = x + o * s.L * s.inner;                                                  \
                int64_t stop = ++o * k < end ? o * k : end;                                             \
                if (s.inner == 1) for (; r < stop; r++) out[r] = lane[idx_oki[r]];                      \
                else for (; r < stop; r++)                                                              \
                    for (int64_t i = 0; i < s.inner; i++)                                               \
                        out[r * s.inner + i] = lane[idx_oki[r * s.inner + i] * s.inner + i];            \
            }                                                                                           \
        }                                                                                               \
        break;                                                                                          \
    }
    switch (itemsize) { CASE(uint8_t) CASE(uint16_t) CASE(uint32_t) CASE(uint64_t) CASE(Wide) }
#undef CASE
}

void rt_place_lanes(int itemsize, const void *g_oki, int64_t k, const int64_t *idx_oki, RtLane s, void *out_oli, int threads) {
    enum { COLUMNS = 64 };                      /* of a lane's rows at a time: what is written stays in the first cache */
    const int whole = k == s.L && s.inner == 1; /* any stretch of g may be placed by itself */
    int64_t each = 4096, blocks = (s.inner + COLUMNS - 1) / COLUMNS, parts = whole ? (s.outer * k + each - 1) / each : s.outer * blocks;
    (void)threads;
#define CASE(T)                                                                                         \
    case sizeof(T): {                                                                                   \
        const T *g = g_oki; T *out = out_oli;                                                           \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && parts > 1 && s.outer * k * s.inner > RT_LANE_GRAIN)) \
        for (int64_t part = 0; part < parts; part++) {                                                  \
            int64_t r = part * each, end = r + each < s.outer * k ? r + each : s.outer * k;             \
            while (whole && r < end) {                                                                  \
                T *lane = out + r / k * k;                                                              \
                int64_t stop = (r / k + 1) * k < end ? (r / k + 1) * k : end;                           \
                for (; r < stop; r++) lane[idx_oki[r]] = g[r];                                          \
            }                                                                                           \
            if (whole) continue;                                                                        \
            int64_t o = part / blocks, from = part % blocks * COLUMNS, w = s.inner - from < COLUMNS ? s.inner - from : COLUMNS; \
            T *lane = out + o * s.L * s.inner + from;                                                   \
            if (k < s.L && w == s.inner) memset(lane, 0, (size_t)(s.L * w) * sizeof(T));                \
            else if (k < s.L) for (int64_t l = 0; l < s.L; l++) memset(lane + l * s.inner, 0, (size_t)w * sizeof(T)); \
            for (int64_t j = o * k; j < (o + 1) * k; j++)                                               \
                for (int64_t i = 0; i < w; i++)                                                         \
                    lane[idx_oki[j * s.inner + from + i] * s.inner + i] = g[j * s.inner + from + i];    \
        }                                                                                               \
        break;                                                                                          \
    }
    switch (itemsize) { CASE(uint8_t) CASE(uint16_t) CASE(uint32_t) CASE(uint64_t) CASE(Wide) }
#undef CASE
}

RT_INLINE rt_f16 add_f16(rt_f16 a, rt_f16 b) { return rt_f32_to_f16(rt_f16_to_f32(a) + rt_f16_to_f32(b)); }
RT_INLINE rt_bf16 add_bf16(rt_bf16 a, rt_bf16 b) { return rt_f32_to_bf16(rt_bf16_to_f32(a) + rt_bf16_to_f32(b)); }
#define ADD(a, b) ((a) + (b))
#define ADD_BOOL(a, b) ((rt_bool)((a) | (b)))
#define ADD_WRAP(a, b) ((int64_t)((uint64_t)(a) + (uint64_t)(b)))

void rt_put_lanes(int dtype, const void *g_oki, int64_t k, const int64_t *idx_oki, RtLane s, void *out_oli, int threads) {
    memset(out_oli, 0, (size_t)(s.outer * s.L * s.inner * rt_itemsize(dtype)));
    (void)threads;
#define CASE(code, T, PLUS)                                                                             \
    case code: {                                                                                        \
        const T *g = g_oki; T *out = out_oli;                                                           \
        RT_OMP(omp parallel for schedule(static) num_threads(threads) if (threads > 1 && s.outer * k * s.inner > RT_LANE_GRAIN)) \
        for (int64_t o = 0; o < s.outer; o++) {                                                         \
            T *lane = out + o * s.L * s.inner;                                                          \
            for (int64_t j = o * k; j < (o + 1) * k; j++)                                               \
                for (int64_t i = 0; i < s.inner; i++) {                                                 \
                    T *to = lane + idx_oki[j * s.inner + i] * s.inner + i;                              \
                    *to = PLUS(*to, g[j * s.inner + i]);                                                \
                }                                                                                       \
        }                                                                                               \
        break;                                                                                          \
    }
    switch (dtype) {
        CASE(RT_BOOL, rt_bool, ADD_BOOL) CASE(RT_U8, uint8_t, ADD) CASE(RT_I8, int8_t, ADD) CASE(RT_I16, int16_t, ADD)
        CASE(RT_I32, int32_t, ADD_WRAP) CASE(RT_I64, int64_t, ADD_WRAP) CASE(RT_F16, rt_f16, add_f16) CASE(RT_BF16, rt_bf16, add_bf16)
        CASE(RT_F32, float, ADD) CASE(RT_F64, double, ADD) CASE(RT_C64, rt_c64, ADD) CASE(RT_C128, rt_c128, ADD)
    }
#undef CASE
}
