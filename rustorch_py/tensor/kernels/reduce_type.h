/* Drivers of one accumulator type; included after ew_type.h, before the printed reductions. */
#undef LANES
#define LANES ((int)(256 / sizeof(T)))
#ifndef RT_REDUCE_LOOPS
/* Pairwise summation: blocks of 64 x LANES are folded lane by lane, block results merge like a
 * binary counter, so the error grows with log n and does not depend on the number of threads. */
#define RT_REDUCE_LOOPS(name)                                                                              \
    static void K(name##_initn)(char *acc, int64_t n) {                                                    \
        T *a = (T *)acc;                                                                                   \
        for (int64_t i = 0; i < n; i++) a[i] = K(name##_init)();                                           \
    }                                                                                                      \
    static void K(name##_comb_n)(char *acc, const char *other, int64_t n) {                                \
        T *a = (T *)acc;                                                                                   \
        const T *b = (const T *)other;                                                                     \
        for (int64_t i = 0; i < n; i++) a[i] = K(name##_comb)(a[i], b[i]);                                 \
    }                                                                                                      \
    static void K(name##_cols)(char *acc, const char *x, int64_t s, int64_t n, double k0) {                \
        T *a = (T *)acc;                                                                                   \
        const T *v = (const T *)x;                                                                         \
        const T kk = (T)k0;                                                                                \
        if (s == (int64_t)sizeof(T)) for (int64_t i = 0; i < n; i++) a[i] = K(name##_step)(a[i], v[i], kk); \
        else for (int64_t i = 0; i < n; i++) { RT_SCALAR; a[i] = K(name##_step)(a[i], *(const T *)(x + i * s), kk); } \
    }                                                                                                      \
    static void K(name##_run)(char *acc, const char *x, int64_t s, int64_t n, double k0) {                 \
        const T kk = (T)k0; T *out = (T *)acc;                                                             \
        T part[64]; uint64_t blocks = 0;                                                                   \
        while (n > 0) {                                                                                    \
            T v;                                                                                           \
            if (s == (int64_t)sizeof(T) && n >= 2 * LANES) {                                               \
                T lane[LANES]; const T *p = (const T *)x;                                                  \
                int64_t rounds = n / LANES; if (rounds > 64) rounds = 64;                                  \
                for (int j = 0; j < LANES; j++) lane[j] = K(name##_step)(K(name##_init)(), p[j], kk);      \
                for (int64_t r = 1; r < rounds; r++) {                                                     \
                    p += LANES;                                                                            \
                    for (int b = 1024; b < 1280; b += 64) __builtin_prefetch((const char *)p + b);         \
                    for (int j = 0; j < LANES; j++) lane[j] = K(name##_step)(lane[j], p[j], kk);           \
                }                                                                                          \
                int rest = n - rounds * LANES < LANES ? (int)(n - rounds * LANES) : 0;                     \
                p += LANES;                                                                                \
                for (int j = 0; j < rest; j++) lane[j] = K(name##_step)(lane[j], p[j], kk);                \
                for (int w = LANES / 2; w; w /= 2)                                                         \
                    for (int j = 0; j < w; j++) lane[j] = K(name##_comb)(lane[j], lane[j + w]);            \
                v = lane[0]; x += (rounds * LANES + rest) * (int64_t)sizeof(T); n -= rounds * LANES + rest; \
            } else if (s == (int64_t)sizeof(T) && n > 8) {                                                 \
                T lane[LANES]; const T *p = (const T *)x; int m = n < LANES ? (int)n : LANES;              \
                for (int j = 0; j < LANES; j++) lane[j] = K(name##_init)();                                \
                for (int j = 0; j < m; j++) lane[j] = K(name##_step)(lane[j], p[j], kk);                   \
                for (int w = LANES / 2; w; w /= 2)                                                         \
                    for (int j = 0; j < w; j++) lane[j] = K(name##_comb)(lane[j], lane[j + w]);            \
                v = lane[0]; x += (int64_t)m * (int64_t)sizeof(T); n -= m;                                 \
            } else {                                                                                       \
                int64_t m = n < 128 ? n : 128; v = K(name##_init)();                                       \
                for (int64_t i = 0; i < m; i++) { v = K(name##_step)(v, *(const T *)x, kk); x += s; }      \
                n -= m;                                                                                    \
            }                                                                                              \
            int level = 0;                                                                                 \
            for (uint64_t b = blocks; b & 1; b >>= 1) v = K(name##_comb)(part[level++], v);                \
            part[level] = v; blocks++;                                                                     \
        }                                                                                                  \
        int level = 0;                                                                                     \
        for (uint64_t b = blocks; b; b >>= 1, level++) if (b & 1) *out = K(name##_comb)(*out, part[level]); }
#define RT_REDUCE_ENTRY(name) {K(name##_initn), K(name##_run), K(name##_cols), K(name##_comb_n)}
#endif
