/* Convolution by one engine: a matrix product whose right factor is never stored.
 *
 * Note [Virtual im2col]
 * For an image padded to planes of row length Wq, output position t=(th,tw) sits at
 * q = th*Wq + tw, and tap (kh,kw) of channel c reads xp[off(c,kh,kw) + q]: the row of the im2col
 * matrix that belongs to (c,kh,kw) is a shifted window of the padded image. So the product
 * y[o,q] = sum_k w[o,k] xp[off[k] + q] needs the offsets only; columns tw >= TW are computed and
 * dropped. Strides split each padded plane into its residue planes first, which makes every
 * window dense again. The gradient with respect to the input is the same product with the
 * weights transposed, once per residue of the output position; the gradient with respect to the
 * weights is the dot product of the same windows with the output's gradient.
 * Where planes are so small that dropped columns would cost too much, the matrix is stored for a
 * few images at a time (`packed`), and off[k] = k * columns; large products then go to BLAS, whose
 * threads are off (see Note [One thread pool] in gemm.c): each thread of the team calls it for its own images. */
#include <limits.h>
#include <stdlib.h>
#include "cblas.h"
#include "conv.h"
#include "lanes.h"
#include "grain.h"
#include "share.h"
#include "turn.h"

#define GRAIN_MACS 5e5       /* multiply-adds a thread should have, see Note [Grain] */
#ifndef LAST_CHUNK
#define LAST_CHUNK 4096
#endif
#define PARTS 8              /* sums that a weight gradient is cut into at most */

/* Whether tiles read n columns of k rows as they lie, and need no room. */
#if defined(__AVX2__)
#define IS_DIRECT(n, k) ((n) * (k) * (int64_t)sizeof(T) <= RT_DIRECT)
#else
#define IS_DIRECT(n, k) 0
#endif

/* The tasks of a region without barriers (Notes [Regions] and [Shares]: a thread that comes late, or never, holds nobody up): SHARES in front of it;
 * inside, once, EACH(task) { ... } by whoever has his room. */
#define SHARES(threads, tasks) RtShare shares[RT_SHARES]; const int takers = rt_share_out(shares, threads, tasks); (void)takers
#define EACH(task) int passed = 0; for (int64_t task; (task = rt_share_next(shares, takers, RT_ME, &passed)) >= 0;)

/* A run of `len` results that are neighbours both in q and in t. */
typedef struct { int64_t at, len, dst; } RtRun;

/* An array of images: element (n, pixel, channel) at n*image + pixel*pixel_step + channel*channel_step, from the first channel on. */
typedef struct { int64_t image, pixel, channel; } RtOrder;

static RtOrder order(int64_t channels, int64_t pixels, int last) {
    return last ? (RtOrder){channels * pixels, channels, 1} : (RtOrder){channels * pixels, 1, pixels};
}

/* max(0, v), lane by lane; what is no number stays so: of two operands, x86's max gives the second when they cannot be compared. */
#if defined(__AVX512F__)
RT_INLINE rt_vf rt_vf_positive(rt_vf v) { return (rt_vf)_mm512_max_ps(_mm512_setzero_ps(), (__m512)v); }
RT_INLINE rt_vd rt_vd_positive(rt_vd v) { return (rt_vd)_mm512_max_pd(_mm512_setzero_pd(), (__m512d)v); }
#elif defined(__AVX2__)
RT_INLINE rt_vf rt_vf_positive(rt_vf v) { return (rt_vf)_mm256_max_ps(_mm256_setzero_ps(), (__m256)v); }
RT_INLINE rt_vd rt_vd_positive(rt_vd v) { return (rt_vd)_mm256_max_pd(_mm256_setzero_pd(), (__m256d)v); }
#elif defined(__x86_64__)
RT_INLINE rt_vf rt_vf_positive(rt_vf v) { return (rt_vf)_mm_max_ps(_mm_setzero_ps(), (__m128)v); }
RT_INLINE rt_vd rt_vd_positive(rt_vd v) { return (rt_vd)_mm_max_pd(_mm_setzero_pd(), (__m128d)v); }
#else
RT_INLINE rt_vf rt_vf_positive(rt_vf v) {
    int32_t bits __attribute__((vector_size(RT_VEC)));
    memcpy(&bits, &v, sizeof v);
    bits &= ~(v < (rt_vf){0});
    memcpy(&v, &bits, sizeof v);
    return v;
}
RT_INLINE rt_vd rt_vd_positive(rt_vd v) {
    int64_t bits __attribute__((vector_size(RT_VEC)));
    memcpy(&bits, &v, sizeof v);
    bits &= ~(v < (rt_vd){0});
    memcpy(&v, &bits, sizeof v);
    return v;
}
#endif

/* 16 x 16: dst[i*ds + j] = src[j*ss + i] */
static void turn_square_f32(float *dst, int64_t ds, const float *src, int64_t ss) { rt_turn_16_4((uint32_t *)dst, ds, (const uint32_t *)src, ss); }
static void turn_square_f64(double *dst, int64_t ds, const double *src, int64_t ss) { rt_turn_16_8((uint64_t *)dst, ds, (const uint64_t *)src, ss); }
/* high x wide, both at most 16 */
#if defined(__AVX512F__)
static void turn_part_f32(float *dst, int64_t ds, const float *src, int64_t ss, int64_t high, int64_t wide) {
    float from[16][16] __attribute__((aligned(64))), to[16][16] __attribute__((aligned(64)));
    if (high * wide < 48) {
        for (int64_t i = 0; i < high; i++) for (int64_t c = 0; c < wide; c++) dst[i * ds + c] = src[c * ss + i];
        return;
    }
    for (int64_t c = 0; c < wide; c++) rt_vf_store(from[c], rt_vf_load_first(src + c * ss, (int)high));
    turn_square_f32(to[0], 16, from[0], 16);
    for (int64_t i = 0; i < high; i++) rt_vf_store_first(dst + i * ds, rt_vf_load(to[i]), (int)wide);
}
#else
static void turn_part_f32(float *dst, int64_t ds, const float *src, int64_t ss, int64_t high, int64_t wide) {
    for (int64_t i = 0; i < high; i++) for (int64_t c = 0; c < wide; c++) dst[i * ds + c] = src[c * ss + i];
}
#endif
/* Three planes, as colours lie, to pixels: dst[3 * i + c] = src[c * step + i]. */
static void weave_3_f32(float *restrict dst, const float *restrict src, int64_t step, int64_t len) {
    int64_t i = 0;
#if defined(__AVX512F__)
    if (len >= 16) {
        const __m512i iota = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), next = _mm512_set1_epi32(16);
        __m512i two[3], three[3];                          /* element e of register k is of pixel (16 k + e) / 3: from the first two planes, and with the third */
#pragma GCC unroll 3
        for (int k = 0; k < 3; k++) {
            __m512i at = _mm512_add_epi32(iota, _mm512_set1_epi32(16 * k)), pixel = _mm512_srli_epi32(_mm512_mullo_epi32(at, _mm512_set1_epi32(43691)), 17);
            __m512i plane = _mm512_sub_epi32(at, _mm512_mullo_epi32(pixel, _mm512_set1_epi32(3))), other = _mm512_add_epi32(pixel, next);
            two[k] = _mm512_mask_mov_epi32(pixel, _mm512_cmpeq_epi32_mask(plane, _mm512_set1_epi32(1)), other);
            three[k] = _mm512_mask_mov_epi32(iota, _mm512_cmpeq_epi32_mask(plane, _mm512_set1_epi32(2)), other);
        }
        for (; i < len; i += 16) {
            if (len - i < 16) i = len - 16;                /* the last sixteen overlap those before them */
            __m512 a = _mm512_loadu_ps(src + i), b = _mm512_loadu_ps(src + step + i), c = _mm512_loadu_ps(src + 2 * step + i);
#pragma GCC unroll 3
            for (int k = 0; k < 3; k++) _mm512_storeu_ps(dst + 3 * i + 16 * k, _mm512_permutex2var_ps(_mm512_permutex2var_ps(a, two[k], b), three[k], c));
        }
        return;
    }
#endif
    for (; i < len; i++) for (int c = 0; c < 3; c++) dst[3 * i + c] = src[c * step + i];
}
static void weave_3_f64(double *restrict dst, const double *restrict src, int64_t step, int64_t len) {
    for (int64_t i = 0; i < len; i++) for (int c = 0; c < 3; c++) dst[3 * i + c] = src[c * step + i];
}
static void turn_part_f64(double *dst, int64_t ds, const double *src, int64_t ss, int64_t high, int64_t wide) {
    for (int64_t i = 0; i < high; i++) for (int64_t c = 0; c < wide; c++) dst[i * ds + c] = src[c * ss + i];
}

/* A channel a group, enough of them for a vector: conv_depth_last_t.h, where input and output have their channels innermost. */
static int is_deep(const RtConvGeom *c) { return c->cin == 1 && c->cout == 1 && c->groups >= 8; }
#define DEEP_ORDERS (RT_LAST_X | RT_LAST_Y)

#define T float
#define SHORT_LAST 1
#define V rt_vf
#define VF(x) rt_vf_##x
#define LANES RT_LANES_F32
#define SUF(x) x##_f32
#define GEMM scipy_cblas_sgemm
#include "conv_t.h"
#include "conv_wild_t.h"
#include "conv_columns_t.h"
#include "conv_last_t.h"
#include "conv_depth_last_t.h"
#include "conv_wino.h"
#include "conv_tap_rows.h"
#undef T
#undef V
#undef VF
#undef LANES
#undef SUF
#undef GEMM
#undef SHORT_LAST
#define T double
#define SHORT_LAST 0      /* fewer tiles: doubles are rare */
#define V rt_vd
#define VF(x) rt_vd_##x
#define LANES RT_LANES_F64
#define SUF(x) x##_f64
#define GEMM scipy_cblas_dgemm
#include "conv_t.h"
#include "conv_wild_t.h"
#include "conv_columns_t.h"
#include "conv_last_t.h"
#include "conv_depth_last_t.h"

/* Few result channels waste lanes; a group of one or two channels is depthwise; weights are packed anew in each call, and
 * their gradient is turned, so that there must be enough pixels to a weight. */
static int has_last(const RtConvGeom *c, int mode, int orders) {
    int64_t m = mode == 1 ? c->cin : c->cout, pixels = c->batch * c->out[0] * c->out[1] * c->out[2];
    int64_t weights = c->cout * c->cin * c->kernel[0] * c->kernel[1] * c->kernel[2];
    if (is_deep(c)) return 2;
    if (m <= RT_LANES_F32 / 4 || is_depth_f32(c, c->cout, c->cin)) return 0;
    if (mode == 2) return weights < 65536 || (pixels >= 1024 && weights <= 262144);      /* sums of more lie in no second cache */
    return weights < 65536 || (!mode && orders & RT_KEEPS) || pixels >= 256 || is_wino(c, mode, orders);
}

/* Forward products of one tap whose stride skips pixels, with so few of them that kept weights are what counts. */
static int packs_points(const RtConvGeom *c, int orders) {
    return orders & RT_KEEPS && c->kernel[0] * c->kernel[1] * c->kernel[2] == 1 && c->stride[0] * c->stride[1] * c->stride[2] > 1 && c->groups == 1 && c->cin >= 64
           && c->cin * c->cout >= 65536 && c->batch * c->out[0] * c->out[1] * c->out[2] <= 256;
}

/* Row-major arrays that gain by passing through the tiles of conv_last_t.h all the same: they read no window twice and waste no
 * columns, for a turn of the arrays on the way in and out. Measured: 1.1 to 2.5 times, most for strides and small planes. */
static int through_last(const RtConvGeom *c, int mode, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2], m = mode == 1 ? c->cin : c->cout, k = mode == 1 ? c->cout : c->cin;
    int64_t run = c->dilation[2] == 1 && mode != 1 ? k * c->kernel[2] : k;   /* neighbours that are summed in a padded row */
    int even = c->stride[0] == 1 && c->stride[1] == 1 && c->stride[2] == 1;
    if (taps == 1 && (mode || even)) return 0;
    if (!mode && packs_points(c, orders)) return 1;
    if (mode == 2) return (m >= 32 ? run >= 9 : m >= 16 && k < 16 && taps >= 25 && run >= 16) && k * taps * m <= 131072;  /* the sums stay in the second cache */
    int many = !mode && c->stride[2] > 1 && c->batch * c->out[0] * c->out[1] * c->out[2] >= 16384;      /* strides split planes: short sums pay, in memory a sixth */
    if (m < (mode == 0 && (many || taps >= 25) ? 16 : 32) || run < (many ? 9 : 16)) return 0;
    return c->cin * c->cout < 512 * 512 || (!mode && orders & RT_KEEPS);   /* weights are packed in each call, or kept */
}

/* One tap without padding whose stride skips pixels of planes (the short way around a block of a residual net): `dense` is then the
 * product of stride 1 over the pixels that are read. */
static int is_skipping(const RtConvGeom *c, int orders, RtConvGeom *dense) {
    *dense = *c;
    if (packs_points(c, orders)) return 0;
    for (int d = 0; d < 3; d++) {
        if (c->kernel[d] != 1 || c->pad[d]) return 0;
        dense->in[d] = c->out[d];
        dense->stride[d] = 1;
    }
    return c->stride[0] * c->stride[1] * c->stride[2] > 1 && c->cin > 1 && !(orders & RT_LAST_X);
}

/* Packed weights of conv_last_t.h are kept where the forward product would pack many of them for few pixels in each call: with many pixels the memory is
 * worth more. */
static int keeps_last(const RtConvGeom *c, int orders) {
    int64_t taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
    RtConvGeom dense;
    if (!(orders & RT_KEEPS) || is_skipping(c, orders, &dense) || is_wino(c, 0, orders) || is_dilated(c, 0, orders, &dense)) return 0;
    if (is_deep(c) && (orders & DEEP_ORDERS) == DEEP_ORDERS) return 0;
    if (!(orders & RT_LAST_ANY) && !through_last(c, 0, orders)) return 0;
    return c->batch * c->out[0] * c->out[1] * c->out[2] <= 4096 && c->cin * taps >= 64;
}

static int64_t kept_size(const RtConvGeom *c, int orders, int64_t *which) {
    enum { L = RT_LANES_F32 };
    int64_t n = wino_kept(c, orders, which);
    which[1] = 0;
    if (n || !keeps_last(c, orders)) return n;
    *which = (int64_t)1 << 40 | c->kernel[0] << 20 | c->kernel[1];
    if (c->scale) {                                       /* FNV over words */
        uint64_t h = 14695981039346656037u;
        for (int64_t i = 0; i < c->groups * c->cout; i++) {
            uint32_t bits;
            memcpy(&bits, (const float *)c->scale + i, sizeof bits);
            h = (h ^ bits) * 1099511628211u;
        }
        which[1] = (int64_t)(h | 1);
    }
    return c->groups * c->cin * c->kernel[0] * c->kernel[1] * c->kernel[2] * ((c->cout + L - 1) / L * L);
}

static void keep(const RtConvGeom *c, const float *w, int orders, float *to, int threads) {
    int64_t which[2];
    if (wino_kept(c, orders, which)) wino_keep(c, w, orders, to, threads);
    else keep_last_f32(c, w, orders, to, threads);
}

#include "conv_whole.h"

/* One door for each product: by Winograd's way, with channels innermost, or row-major. Without RT_FAST no product does. */
#define DOORS(T, t, FAST, THROUGH)                                                                                                   \
    static int forward_any_##t(const RtConvGeom *c, const T *x, const T *w, const T *b, T *y, int orders, int threads) {      \
        RtConvGeom dense;                                                                                                     \
        if (is_skipping(c, orders, &dense)) {                                                                                 \
            T *taken = take_pixels_##t(c, x, threads);                                                                        \
            int rc = taken ? forward_any_##t(&dense, taken, w, b, y, orders, threads) : 1;                                    \
            free(taken);                                                                                                      \
            return rc;                                                                                                        \
        }                                                                                                                     \
        FAST(0, wino_forward(c, x, w, b, y, orders, threads), dilated_run(c, &dense, 0, x, w, b, y, orders, threads),         \
             if (!wild_results_f32(c, y, c->cout, c->out[0] * c->out[1] * c->out[2], orders & RT_LAST_Y, (int)c->cut)) return 0;    \
             return forward_any_f32(&dense, x, w, b, y, orders & RT_LAST_ANY, threads))                                       \
        if (is_deep(c) && (orders & DEEP_ORDERS) == DEEP_ORDERS) return forward_deep_##t(c, x, w, b, y, threads);              \
        if (is_deep_turned_##t(c, orders)) return forward_deep_turned_##t(c, x, w, b, y, threads);                            \
        return orders & RT_LAST_ANY || THROUGH(0) ? forward_last_##t(c, x, w, b, y, orders, threads) : forward_##t(c, x, w, b, y, threads); \
    }                                                                                                                         \
    static int dinput_any_##t(const RtConvGeom *c, const T *g, const T *w, const T *b, T *gx, int orders, int threads) {      \
        RtConvGeom dense;                                                                                                     \
        if (is_skipping(c, orders, &dense)) {                                                                                 \
            T *made = buffer_##t(c->batch * c->groups * c->cin * c->out[0] * c->out[1] * c->out[2]);                          \
            int rc = made ? dinput_any_##t(&dense, g, w, b, made, orders, threads) : 1;                                       \
            if (!rc) put_pixels_##t(c, made, b, gx, threads);                                                                 \
            free(made);                                                                                                       \
            return rc;                                                                                                        \
        }                                                                                                                     \
        FAST(1, wino_dinput(c, g, w, b, gx, orders, threads), dilated_run(c, &dense, 1, g, w, b, gx, orders, threads),         \
             if (!wild_results_f32(c, gx, c->cin, c->in[0] * c->in[1] * c->in[2], orders & RT_LAST_X, 0)) return 0;                 \
             return dinput_any_f32(&dense, g, w, b, gx, orders & RT_LAST_ANY, threads))                                       \
        if (is_deep(c) && (orders & DEEP_ORDERS) == DEEP_ORDERS) return dinput_deep_##t(c, g, w, b, gx, threads);              \
        if (is_deep_turned_back_##t(c, orders, &dense)) return dinput_deep_turned_##t(&dense, g, w, b, gx, threads);          \
        TAP_ROWS_##t                                                                                                         \
        if (!(orders & RT_LAST_ANY) && is_columns_##t(c)) return dinput_columns_##t(c, g, w, b, gx, threads);                 \
        return orders & RT_LAST_ANY || THROUGH(1) ? dinput_last_##t(c, g, w, b, gx, orders, threads) : dinput_##t(c, g, w, b, gx, threads); \
    }                                                                                                                         \
    static int dweight_any_##t(const RtConvGeom *c, const T *g, const T *x, T *gw, int orders, int threads) {                 \
        RtConvGeom dense;                                                                                                     \
        if (is_skipping(c, orders, &dense)) {                                                                                 \
            T *taken = take_pixels_##t(c, x, threads);                                                                        \
            int rc = taken ? dweight_any_##t(&dense, g, taken, gw, orders, threads) : 1;                                      \
            free(taken);                                                                                                      \
            return rc;                                                                                                        \
        }                                                                                                                     \
        FAST(2, wino_dweight(c, g, x, gw, orders, threads), dilated_dweight(c, &dense, g, x, gw, orders, threads),            \
             if (!wild_weights_f32(c, gw, orders & RT_LAST_W)) return 0;                                                      \
             return dweight_any_f32(&dense, g, x, gw, orders & RT_LAST_ANY, threads))                                         \
        if (is_deep(c) && (orders & DEEP_ORDERS) == DEEP_ORDERS) return dweight_deep_##t(c, g, x, gw, threads);                \
        if (orders & RT_LAST_ANY || THROUGH(2)) return dweight_last_##t(c, g, x, gw, orders, threads);                        \
        int rc = dweight_##t(c, g, x, gw, 0, threads);                                                                        \
        return !rc && wild_weights_##t(c, gw, 0) ? dweight_##t(c, g, x, gw, 1, threads) : rc;                                 \
    }
/* Without what made the results of it wild: Note [Infinities]. */
static RtConvGeom plainly(const RtConvGeom *c) {
    RtConvGeom plain = *c;
    plain.packed = plain.room = NULL;
    return plain;
}
#define WINO(mode, call, apart, ...)                                 \
    int whole = is_wino(c, mode, orders);                            \
    if (whole || is_dilated(c, mode, orders, &dense)) {              \
        if (whole ? call : apart) return 1;                          \
        dense = plainly(c);                                          \
        __VA_ARGS__;                                                 \
    }
#define NEVER(mode, call, apart, ...)
#define TAP_ROWS_f32 if (!(orders & RT_LAST_ANY) && is_tap_rows_f32(c)) return dinput_tap_rows_f32(c, g, w, b, gx, threads);
#define TAP_ROWS_f64
#define SOME(mode) through_last(c, mode, orders)
#define NONE(mode) 0
DOORS(float, f32, WINO, SOME)
DOORS(double, f64, NEVER, NONE)

static void finish(float *y, const float *scale, const float *b, int cut, int64_t batch, int64_t channels, int64_t plane, int threads) {
    enum { L = RT_LANES_F32 };
    if (!scale && !b && !cut) return;
    threads = rt_few((double)batch * channels * plane, 65536, threads, batch * channels);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * channels; r++) {
        rt_vf factor = rt_vf_set(scale ? scale[r % channels] : 1), add = rt_vf_set(b ? b[r % channels] : 0);
        float *row = y + r * plane;
        for (int64_t i = 0; i < plane; i += L) {
            int n = (int)(plane - i < L ? plane - i : L);
            rt_vf v = rt_vf_fma(rt_vf_load_first(row + i, n), factor, add);
            if (cut) v = rt_vf_positive(v);
            rt_vf_store_first(row + i, v, n);
        }
    }
}

#if defined(__AVX512F__)
#include "conv_pairs.h"
#define PAIRS forward_pairs, dinput_pairs, dweight_pairs, kept_pairs, keep_pairs
#else
static int has_pairs(const RtConvGeom *c, int mode, int orders) { (void)c; (void)mode; (void)orders; return -1; }
#define PAIRS NULL, NULL, NULL, NULL, NULL
#endif

const RtConvTable RT_NAME(rt_conv_table) = {
    forward_any_f32, forward_any_f64, dinput_any_f32, dinput_any_f64, dweight_any_f32, dweight_any_f64, run_near_both_f32, run_near_both_f64, dbias_f32, dbias_f64,
    dbias_last_f32, dbias_last_f64, has_last, finish, whole_images, whole_columns, whole_sums, whole_rows,
    whole_last_images, whole_last_columns, whole_last_sums, kept_size, keep, wino_room, has_pairs, PAIRS,
};
