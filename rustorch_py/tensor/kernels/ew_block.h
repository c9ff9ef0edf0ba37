/* Loops of one float type that call array functions (vfun.h), for all layouts; included after ew_type.h. A printed
 * K(name_blocks) takes dense operands and a multiple of RT_V elements. */
#undef V
#undef RT_V
#define V(name) RT_NAME(RT_CAT(rt_v##name, TAG))
#define RT_V ((int64_t)(64 / sizeof(T)))
#ifndef RT_B
#define RT_B 256           /* elements whose intermediate results stay on the stack */
/* whole vectors: nothing is left over, so the compiler makes one loop and no remainders */
#define RT_EACH(n, ...)                                                                    \
    RT_ROLLED                                                                              \
    for (int64_t e_ = 0; e_ < (n); e_ += RT_V) {                                           \
        RT_IVDEP                                                                           \
        for (int64_t i_ = e_; i_ < e_ + RT_V; i_++) __VA_ARGS__                            \
    }
typedef void (*RtBlocks)(char **p, int64_t n, const double *k);
#endif

/* Dense operands go to `fn` as they are. What is left, and other layouts, are copied to blocks on the stack; the last
 * element fills a block up to whole vectors. */
static __attribute__((noinline)) void K(blocks)(RtBlocks fn, char **p, const int64_t *s, int64_t n, const double *k, int nargs) {
    int64_t done = n / RT_V * RT_V;
    for (int a = 0; a < nargs; a++) if (s[a] != sizeof(T)) done = 0;
    if (done) fn(p, done, k);
    if (done == n) return;
    T buffer[RT_MAX_ARGS][RT_STAGE] __attribute__((aligned(64)));
    char *q[RT_MAX_ARGS];
    int64_t most = n - done < RT_STAGE ? (n - done + RT_V - 1) / RT_V * RT_V : RT_STAGE;
    for (int a = 1; a < nargs; a++) {
        if (s[a] == 0) { const T x = *(const T *)p[a]; for (int64_t i = 0; i < most; i++) buffer[a][i] = x; }
    }
    for (int64_t b = done; b < n; b += RT_STAGE) {
        int64_t m = n - b < RT_STAGE ? n - b : RT_STAGE, up = (m + RT_V - 1) / RT_V * RT_V;
        for (int a = 0; a < nargs; a++) {
            q[a] = s[a] == sizeof(T) && m == up ? p[a] + b * (int64_t)sizeof(T) : (char *)buffer[a];
            if (a == 0 || s[a] == 0 || q[a] != (char *)buffer[a]) continue;
            rt_move(q[a], sizeof(T), p[a] + b * s[a], s[a], m, sizeof(T));
            for (int64_t i = m; i < up; i++) buffer[a][i] = buffer[a][m - 1];
        }
        fn(q, up, k);
        if (q[0] == (char *)buffer[0]) rt_move(p[0] + b * s[0], s[0], q[0], sizeof(T), m, sizeof(T));
    }
}
