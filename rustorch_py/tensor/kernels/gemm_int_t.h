/* Integer products of one width: T (unsigned), V (a register of them), L (its lanes), F(name), RT_TURNS (whether there is F(turn)).
 *
 * Note [Integer products]
 * Arithmetic is modulo 2^bits, so that sums may be added in any order. Tiles are four rows by one or RT_REGS registers. b is packed into panels, a
 * panel just before all rows of a meet it; few rows read it as it lies. Few rows of a and a turned b are dot products and pack nothing. */
enum { F(WIDE) = RT_REGS * L, F(DEEP) = 1024, F(AS_IT_LIES) = 16, F(DOT_ROWS) = 4 };
_Static_assert(RT_REGS * RT_VEC * 1024 <= RT_ROOM, "a panel has room");

typedef struct { T *c; int64_t c_m, c_n; T alpha, beta; const T *bias; int len; } F(Into);

static void F(put)(int rows, const T *sum, int64_t w, const F(Into) *o) {
    for (int r = 0; r < rows; r++) {
        T *c = o->c + r * o->c_m;
        const T *s = sum + r * w;
        if (o->c_n == 1 && o->alpha == 1 && o->beta == 0 && !o->bias) { memcpy(c, s, sizeof(T) * (size_t)o->len); continue; }
        for (int64_t j = 0; j < o->len; j++) {
            T v = (T)(o->alpha * s[j]);
            if (o->beta) v += (T)(o->beta * c[j * o->c_n]);
            c[j * o->c_n] = o->bias ? (T)(v + o->bias[j]) : v;
        }
    }
}

#define RT_UNROLL _Pragma("GCC unroll 16")
#define RT_EACH(R, C) RT_UNROLL for (int r = 0; r < R; r++) RT_UNROLL for (int j = 0; j < C; j++)
#define RT_TILE(R, C, NAME)                                                                                        \
    static __attribute__((noinline)) void F(NAME)(int64_t k, const T *a, int64_t a_m, int64_t a_k, const T *b, int64_t ldb, const F(Into) *o) { \
        V acc[R][C];                                                                                               \
        RT_EACH(R, C) acc[r][j] = (V){0};                                                                          \
        do {                                                                                                       \
            V y[C];                                                                                                \
            RT_UNROLL for (int j = 0; j < C; j++) y[j] = F(load)(b + j * L);                                       \
            RT_UNROLL for (int r = 0; r < R; r++) {                                                                \
                T x = a[r * a_m];                                                                                  \
                RT_UNROLL for (int j = 0; j < C; j++) acc[r][j] += x * y[j];                                       \
            }                                                                                                      \
            a += a_k; b += ldb;                                                                                    \
        } while (--k);                                                                                             \
        if (o->len == C * L && o->c_n == 1 && o->alpha == 1 && o->beta == 0 && !o->bias) {                         \
            RT_EACH(R, C) F(store)(o->c + r * o->c_m + j * L, acc[r][j]);                                          \
            return;                                                                                                \
        }                                                                                                          \
        T sum[R * C * L];                                                                                          \
        RT_EACH(R, C) F(store)(sum + (r * C + j) * L, acc[r][j]);                                                  \
        F(put)(R, sum, C * L, o);                                                                                  \
    }
RT_TILE(1, 1, tile_1) RT_TILE(4, 1, tile_4) RT_TILE(1, RT_REGS, wide_1) RT_TILE(4, RT_REGS, wide_4)
#undef RT_TILE
#undef RT_EACH
#undef RT_UNROLL

/* k rows of n <= w columns, w a whole number of registers: the rest are zeros */
static void F(pack)(int64_t k, int64_t n, const T *x, int64_t x_k, int64_t x_n, T *out, int64_t w) {
    if (x_n == 1) {
        for (int64_t p = 0; p < k; p++, out += w, x += x_k) {
            memcpy(out, x, sizeof(T) * (size_t)n);
            for (int64_t j = n; j < w; j++) out[j] = 0;
        }
        return;
    }
    for (int64_t j = 0; j < w; j += L) {
        int64_t p = 0;
#if RT_TURNS
        if (x_k == 1 && n - j >= L) for (; p + L <= k; p += L) F(turn)(x + j * x_n + p, x_n, out + p * w + j, w);
#endif
        for (; p < k; p++)
            for (int64_t q = j; q < j + L; q++) out[p * w + q] = q < n ? x[q * x_n + p * x_k] : 0;
    }
}

/* One row of a by all columns of b, whose elements lie along k, as those of the row do. */
static void F(dots)(int64_t n, int64_t k, const T *restrict a, const T *restrict b, int64_t b_n, const F(Into) *to) {
    F(Into) o = *to;
    int64_t j = 0;
    for (; j + 4 <= n; j += 4) {
        const T *restrict b0 = b + j * b_n, *restrict b1 = b0 + b_n, *restrict b2 = b1 + b_n, *restrict b3 = b2 + b_n;
        T s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (int64_t p = 0; p < k; p++) { s0 += (T)(a[p] * b0[p]); s1 += (T)(a[p] * b1[p]); s2 += (T)(a[p] * b2[p]); s3 += (T)(a[p] * b3[p]); }
        T s[4] = {s0, s1, s2, s3};
        o.c = to->c + j * o.c_n; o.bias = to->bias ? to->bias + j : NULL; o.len = 4;
        F(put)(1, s, 4, &o);
    }
    for (; j < n; j++) {
        T s = 0;
        for (int64_t p = 0; p < k; p++) s += (T)(a[p] * b[j * b_n + p]);
        o.c = to->c + j * o.c_n; o.bias = to->bias ? to->bias + j : NULL; o.len = 1;
        F(put)(1, &s, 1, &o);
    }
}

static void F(product)(const RtGemm *g, int64_t z, void *room) {
    int64_t m = g->m, n = g->n, k = g->k, a_m = g->a_m, a_k = g->a_k, b_k = g->b_k, b_n = g->b_n;
    const T *a = (const T *)g->a + z * g->a_z, *b = (const T *)g->b + z * g->b_z, *bias = (const T *)g->bias;
    F(Into) o = {(T *)g->c + z * g->c_z, g->c_m, g->c_n, (T)g->ialpha, (T)g->ibeta, bias, 0};
    if (!bias && ((n == 1 && m > 1) || (g->c_m == 1 && g->c_n != 1 && n > 1))) {      /* c' = b' a' */
        const T *p = a; a = b; b = p;
        int64_t q = m; m = n; n = q;
        q = a_m; a_m = b_n; b_n = q;
        q = a_k; a_k = b_k; b_k = q;
        o.c_m = g->c_n; o.c_n = g->c_m;
    }
    T *c = o.c;
    if (k == 0) {
        T none[L] = {0};
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j += L) {
                o.c = c + i * o.c_m + j * o.c_n; o.bias = bias ? bias + j : NULL; o.len = (int)(n - j < L ? n - j : L);
                F(put)(1, none, L, &o);
            }
        return;
    }
    if (b_k == 1 && b_n != 1 && a_k == 1 && m <= F(DOT_ROWS)) {
        for (int64_t i = 0; i < m; i++) {
            o.c = c + i * o.c_m;
            F(dots)(n, k, a + i * a_m, b, b_n, &o);
        }
        return;
    }
    for (int64_t j = 0; j < n; j += o.len) {
        int64_t wide = n - j > L, w = wide ? F(WIDE) : L;
        o.len = (int)(n - j < w ? n - j : w);
        for (int64_t p = 0; p < k; p += F(DEEP)) {
            int64_t kb = k - p < F(DEEP) ? k - p : F(DEEP), ldb = w, i = 0;
            const T *x = a + p * a_k, *y = b + p * b_k + j * b_n;
            if (b_n == 1 && m <= F(AS_IT_LIES) && o.len == w) ldb = b_k;
            else { F(pack)(kb, o.len, y, b_k, b_n, room, w); y = room; }
            o.beta = p ? 1 : (T)g->ibeta;
            o.bias = bias && !p ? bias + j : NULL;
            o.c = c + j * o.c_n;
            for (; i + 4 <= m; i += 4, o.c += 4 * o.c_m) (wide ? F(wide_4) : F(tile_4))(kb, x + i * a_m, a_m, a_k, y, ldb, &o);
            for (; i < m; i++, o.c += o.c_m) (wide ? F(wide_1) : F(tile_1))(kb, x + i * a_m, a_m, a_k, y, ldb, &o);
        }
    }
}
