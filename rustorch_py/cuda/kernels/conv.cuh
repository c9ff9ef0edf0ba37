// types: T = floats i64
/* Convolutions of one to three dimensions as matrix products, neither of whose factors is stored; any strides.
 *
 * Note [Places and taps]
 * All three products read one array at `place + tap`: a place is a position of a grid (and an image), a tap a channel and a position of
 * the kernel. Both are decoded once into an offset and three coordinates, which add up; a sum outside of the array reads zero.
 *   forward   y[place, o] = sum over taps   x[place + tap] w[o, tap]        places are those of y
 *   input     gx[place, c] = sum over taps  gy[place + tap] w[tap, c]       places are those of x; of one class of them
 *   weight    gw[o, tap] = sum over places  x[place + tap] gy[place, o]
 * Of a stride s, a place of x meets only those taps whose distance to it is a multiple of s: places fall into s classes a dimension, each
 * with taps of its own, and no product is made with a zero.
 *
 * p: read array, other factor, result, bias or NULL, partial sums (of splits > 1).
 * n: see the enum. Steps are in elements; those of the weight are of (o, c, kernel), of x and y (image, channel, space). */
enum { BATCH, GROUPS, CIN, COUT, IN, OUT = IN + 3, KERNEL = OUT + 3, STRIDE = KERNEL + 3, PAD = STRIDE + 3, DILATION = PAD + 3,
       X_STEP = DILATION + 3, W_STEP = X_STEP + 5, Y_STEP = W_STEP + 5, MODE = Y_STEP + 5, SPLITS, TAPS_INNER, A_ALONG_K, B_ALONG_K };
enum { FORWARD, INPUT, WEIGHT };
enum { TILE_M = 128, TILE_N = 64, TILE_K = 16, ROW_A = TILE_M + 4, ROW_B = TILE_N + 4 };
static const int OUTSIDE = -0x40000000;

RT_INLINE float fused(float x, float y, float z) { return rt_ma_f32(x, y, z); }
RT_INLINE double fused(double x, double y, double z) { return rt_ma_f64(x, y, z); }
RT_INLINE int64_t fused(int64_t x, int64_t y, int64_t z) { return x * y + z; }

/* how places and taps of a class are numbered and where they lie; `taps`, `places`: their counts a dimension */
struct Walk {
    int64_t channels, count, taps_all, places_all;                   /* channels of a tap; places with images; taps and places of space */
    int64_t places[3], place_mul[3], place_add[3], put_mul[3], put_add[3], taps[3], tap_mul[3], first[3], next[3], limit[3];
    int64_t step[5], put[5], tap_w[3], channel_w, other_w;           /* of the read array, of the places' own array, of the weight */
};

RT_INLINE int64_t common(int64_t a, int64_t b) {
    while (b) { const int64_t r = a % b; a = b; b = r; }
    return a;
}

/* classes of places; 1 but for the gradient of the input */
RT_INLINE int64_t class_count(const RtCall &a) {
    return a.n[MODE] == INPUT ? a.n[STRIDE] * a.n[STRIDE + 1] * a.n[STRIDE + 2] : 1;
}

RT_INLINE void make_walk(const RtCall &a, int64_t which, Walk *w) {
    const bool input = a.n[MODE] == INPUT;
    w->channels = input ? a.n[COUT] : a.n[CIN];
    w->count = a.n[BATCH];
    w->taps_all = w->places_all = 1;
    for (int d = 2; d >= 0; d--) {
        const int64_t s = a.n[STRIDE + d], pad = a.n[PAD + d], dil = a.n[DILATION + d], kernel = a.n[KERNEL + d];
        if (!input) {
            w->places[d] = a.n[OUT + d]; w->place_mul[d] = s; w->place_add[d] = -pad; w->put_mul[d] = 1; w->put_add[d] = 0;
            w->taps[d] = kernel; w->tap_mul[d] = dil; w->first[d] = 0; w->next[d] = 1; w->limit[d] = a.n[IN + d];
        } else {                                     /* place r + s q reads at q + (r + pad - dil first) / s - j next dil / s */
            const int64_t r = which % s;
            which /= s;
            int64_t first = 0;
            const int64_t next = s / common(s, dil);
            while (first < next && (r + pad - dil * first) % s) first++;
            w->places[d] = a.n[IN + d] > r ? (a.n[IN + d] - r + s - 1) / s : 0;
            w->taps[d] = first < next && first < kernel ? (kernel - first + next - 1) / next : 0;
            w->place_mul[d] = 1; w->place_add[d] = (r + pad - dil * first) / s; w->put_mul[d] = s; w->put_add[d] = r;
            w->tap_mul[d] = -(next * dil / s); w->first[d] = first; w->next[d] = next; w->limit[d] = a.n[OUT + d];
        }
        w->taps_all *= w->taps[d];
        w->places_all *= w->places[d];
    }
    w->count *= w->places_all;
    const int64_t *read = a.n + (input ? Y_STEP : X_STEP), *own = a.n + (input ? X_STEP : Y_STEP);
    for (int d = 0; d < 5; d++) { w->step[d] = read[d]; w->put[d] = own[d]; }
    for (int d = 0; d < 3; d++) w->tap_w[d] = a.n[W_STEP + 2 + d];
    w->channel_w = a.n[W_STEP + (input ? 0 : 1)];
    w->other_w = a.n[W_STEP + (input ? 1 : 0)];
}

/* offset in the read array and coordinates; own: offset in the places' own array; flat: its number there without the channel, times.. */
struct Place { int64_t read, own, image, position; int c[3]; };
RT_INLINE Place place_at(const Walk &w, int64_t i, const int64_t *own_size) {
    Place p;
    p.image = i / w.places_all;
    int64_t rest = i - p.image * w.places_all, q[3];
    q[2] = rest % w.places[2]; rest /= w.places[2];
    q[1] = rest % w.places[1]; q[0] = rest / w.places[1];
    p.read = p.image * w.step[0];
    p.own = p.image * w.put[0];
    p.position = 0;
    for (int d = 0; d < 3; d++) {
        p.c[d] = (int)(q[d] * w.place_mul[d] + w.place_add[d]);
        p.read += p.c[d] * w.step[2 + d];
        const int64_t at = q[d] * w.put_mul[d] + w.put_add[d];
        p.own += at * w.put[2 + d];
        p.position = p.position * own_size[d] + at;
    }
    return p;
}

/* offsets in the read array and in the weight (without its other channel); flat: the number among (channel, kernel) */
struct Tap { int64_t read, weight, flat; int c[3]; };
RT_INLINE Tap tap_at(const RtCall &a, const Walk &w, int64_t i) {
    Tap t;
    int64_t channel, rest;
    if (a.n[TAPS_INNER]) { channel = i / w.taps_all; rest = i - channel * w.taps_all; }
    else { rest = i / w.channels; channel = i - rest * w.channels; }
    int64_t j[3];
    j[2] = rest % w.taps[2]; rest /= w.taps[2];
    j[1] = rest % w.taps[1]; j[0] = rest / w.taps[1];
    t.read = channel * w.step[1];
    t.weight = channel * w.channel_w;
    t.flat = channel;
    for (int d = 0; d < 3; d++) {
        const int64_t k = w.first[d] + j[d] * w.next[d];
        t.c[d] = (int)(j[d] * w.tap_mul[d]);
        t.read += t.c[d] * w.step[2 + d];
        t.weight += k * w.tap_w[d];
        t.flat = t.flat * a.n[KERNEL + d] + k;
    }
    return t;
}

struct Corner { int64_t at; int c[3]; };
RT_INLINE bool inside(const Walk &w, const Corner &m, const Corner &k) {
    const int c0 = m.c[0] + k.c[0], c1 = m.c[1] + k.c[1], c2 = m.c[2] + k.c[2];
    return c0 >= 0 && c0 < w.limit[0] && c1 >= 0 && c1 < w.limit[1] && c2 >= 0 && c2 < w.limit[2];
}

/* Tiles of 128 x 64, 16 deep; a thread has 8 x 4 results. While a tile is multiplied, the next one's elements are on their way into
 * registers. Forward and input: m are places, k taps; weight: m are taps, k places. A block: a tile, a group, a class, a split. */
RT_KERNEL(RT_NAME(conv), RtCall) {
    typedef T_C C;
    typedef RtPack<C, 4> C4;
    RT_SHARED(Walk, walk_, 1);
    RT_SHARED(Corner, ms, TILE_M);
    RT_SHARED(Corner, ks, 2 * TILE_K);
    RT_SHARED(int64_t, k_other, 2 * TILE_K);       /* offsets in the other factor; -1: beyond the end */
    RT_SHARED(int64_t, m_put, TILE_M);             /* where a result goes without its n: in the result, or among partial sums; -1: nowhere */
    RT_SHARED(C4, at_, TILE_K * ROW_A / 4);
    RT_SHARED(C4, bt_, TILE_K * ROW_B / 4);
    C *at = (C *)at_, *bt = (C *)bt_;
    const Walk &walk = walk_[0];
    const int me = threadIdx.x, tm = me % 16, tn = me / 16;
    const int64_t mode = a.n[MODE], splits = a.n[SPLITS], groups = a.n[GROUPS], classes = class_count(a);
    const bool weight = mode == WEIGHT;
    const int64_t N = mode == INPUT ? a.n[CIN] : a.n[COUT];
    const int64_t *own_size = a.n + (mode == INPUT ? IN : OUT);
    for (int64_t z = blockIdx.z; z < groups * classes * splits; z += gridDim.z) {
        const int64_t split = z % splits, g = z / splits % groups, which = z / splits / groups;
        RT_SYNC();
        if (me == 0) make_walk(a, which, walk_);
        RT_SYNC();
        const int64_t taps = walk.channels * walk.taps_all, M = weight ? taps : walk.count, K_all = weight ? walk.count : taps;
        const int64_t k_from = K_all * split / splits / TILE_K * TILE_K;
        const int64_t k_to = split + 1 == splits ? K_all : K_all * (split + 1) / splits / TILE_K * TILE_K;
        const int64_t m0 = (int64_t)blockIdx.x * TILE_M, n0 = (int64_t)blockIdx.y * TILE_N;
        if (m0 >= M || n0 >= N) continue;           /* the whole block */
        const int64_t g_read = g * walk.channels * walk.step[1];
        const int64_t g_other = weight ? g * N * walk.put[1] : g * a.n[COUT] * a.n[W_STEP];
        const int64_t n_other = weight ? walk.put[1] : walk.other_w;
        const int64_t own_volume = own_size[0] * own_size[1] * own_size[2], kernel_volume = a.n[KERNEL] * a.n[KERNEL + 1] * a.n[KERNEL + 2];
        const T *read = (const T *)a.p[0] + g_read, *other = (const T *)a.p[1] + g_other;
        auto fill_k = [&](int64_t k0, int half) {
            if (me < TILE_K) {
                const int64_t k = k0 + me;
                Corner corner = {0, {OUTSIDE, 0, 0}};
                int64_t o = -1;
                if (k < k_to && weight) {
                    const Place p = place_at(walk, k, own_size);
                    corner = {p.read, {p.c[0], p.c[1], p.c[2]}};
                    o = p.own;
                } else if (k < k_to) {
                    const Tap t = tap_at(a, walk, k);
                    corner = {t.read, {t.c[0], t.c[1], t.c[2]}};
                    o = t.weight;
                }
                ks[half * TILE_K + me] = corner;
                k_other[half * TILE_K + me] = o;
            }
        };
        if (me < TILE_M) {
            const int64_t m = m0 + me;
            Corner corner = {0, {OUTSIDE, 0, 0}};
            int64_t put = -1;
            if (m < M && weight) {
                const Tap t = tap_at(a, walk, m);
                corner = {t.read, {t.c[0], t.c[1], t.c[2]}};
                put = splits > 1 ? t.flat + g * N * walk.channels * kernel_volume : t.weight + g * N * walk.other_w;
            } else if (m < M) {
                const Place p = place_at(walk, m, own_size);
                corner = {p.read, {p.c[0], p.c[1], p.c[2]}};
                put = splits > 1 ? (p.image * groups + g) * N * own_volume + p.position : p.own + g * N * walk.put[1];
            }
            ms[me] = corner;
            m_put[me] = put;
        }
        fill_k(k_from, 0);
        RT_SYNC();
        const int am = a.n[A_ALONG_K] ? me / TILE_K : me % TILE_M, ak = a.n[A_ALONG_K] ? me % TILE_K : me / TILE_M;
        const int am_step = a.n[A_ALONG_K] ? 256 / TILE_K : 0, ak_step = a.n[A_ALONG_K] ? 0 : 256 / TILE_M;
        const int bn = a.n[B_ALONG_K] ? me / TILE_K : me % TILE_N, bk = a.n[B_ALONG_K] ? me % TILE_K : me / TILE_N;
        const int bn_step = a.n[B_ALONG_K] ? 256 / TILE_K : 0, bk_step = a.n[B_ALONG_K] ? 0 : 256 / TILE_N;
        C va[TILE_M * TILE_K / 256], vb[TILE_N * TILE_K / 256], sum[8][4];
        auto load = [&](int half) {
            for (int i = 0; i < TILE_M * TILE_K / 256; i++) {
                const Corner &m = ms[am + i * am_step], &k = ks[half * TILE_K + ak + i * ak_step];
                va[i] = inside(walk, m, k) ? T_GET(read[m.at + k.at]) : (C)0;
            }
            for (int i = 0; i < TILE_N * TILE_K / 256; i++) {
                const int64_t o = k_other[half * TILE_K + bk + i * bk_step], n = n0 + bn + i * bn_step;
                vb[i] = o >= 0 && n < N ? T_GET(other[o + n * n_other]) : (C)0;
            }
        };
        for (int i = 0; i < 8; i++) for (int j = 0; j < 4; j++) sum[i][j] = (C)0;
        load(0);
        int half = 0;
        for (int64_t k0 = k_from; k0 < k_to; k0 += TILE_K) {
            for (int i = 0; i < TILE_M * TILE_K / 256; i++) at[(ak + i * ak_step) * ROW_A + am + i * am_step] = va[i];
            for (int i = 0; i < TILE_N * TILE_K / 256; i++) bt[(bk + i * bk_step) * ROW_B + bn + i * bn_step] = vb[i];
            half ^= 1;
            fill_k(k0 + TILE_K, half);
            RT_SYNC();
            if (k0 + TILE_K < k_to) load(half);
            for (int k = 0; k < TILE_K; k++) {
                const C4 x0 = at_[(k * ROW_A) / 4 + tm], x1 = at_[(k * ROW_A + TILE_M / 2) / 4 + tm], y = bt_[(k * ROW_B) / 4 + tn];
                for (int i = 0; i < 4; i++) for (int j = 0; j < 4; j++) {
                    sum[i][j] = fused(x0.v[i], y.v[j], sum[i][j]);
                    sum[4 + i][j] = fused(x1.v[i], y.v[j], sum[4 + i][j]);
                }
            }
            RT_SYNC();
        }
        const int64_t total = weight ? groups * N * walk.channels * kernel_volume : a.n[BATCH] * groups * N * own_volume;
        for (int i = 0; i < 8; i++) for (int j = 0; j < 4; j++) {
            const int64_t n = n0 + 4 * tn + j, put = m_put[4 * tm + i % 4 + (i / 4) * (TILE_M / 2)];
            if (n >= N || put < 0) continue;
            if (splits > 1)
                ((C *)a.p[4])[split * total + put + n * (weight ? walk.channels * kernel_volume : own_volume)] = sum[i][j];
            else {
                const C v = a.p[3] ? sum[i][j] + T_GET(((const T *)a.p[3])[g * N + n]) : sum[i][j];
                ((T *)a.p[2])[put + n * (weight ? walk.other_w : walk.put[1])] = T_PUT(v);
            }
        }
    }
}

/* The splits' partial sums, and the bias. n after the enum above: elements, five sizes, five steps of the result.
 * p: as above. */
enum { SUM_N = 0, SUM_SIZE, SUM_STEP = SUM_SIZE + 5, SUM_SPLITS = SUM_STEP + 5 };
RT_KERNEL(RT_NAME(conv_sum), RtCall) {
    const T_C *part = (const T_C *)a.p[4];
    RT_EACH(i, a.n[SUM_N]) {
        T_C v = part[i];
        for (int64_t s = 1; s < a.n[SUM_SPLITS]; s++) v += part[s * a.n[SUM_N] + i];
        int64_t rest = i, put = 0, channel = 0;
        for (int d = 4; d >= 0; d--) {
            const int64_t next = rest / a.n[SUM_SIZE + d], at = rest - next * a.n[SUM_SIZE + d];
            put += at * a.n[SUM_STEP + d];
            if (d == 1) channel = at;
            rest = next;
        }
        if (a.p[3]) v += T_GET(((const T *)a.p[3])[channel]);
        ((T *)a.p[2])[put] = T_PUT(v);
    }
}

/* Few channels a group, as of depthwise convolutions: a thread sums up one result. Forward and input; a block has places of one channel,
 * or with TAPS_INNER = 0 (channels innermost) neighbouring channels. */
RT_KERNEL(RT_NAME(conv_each), RtCall) {
    RT_SHARED(Walk, walk_, 1);
    const Walk &walk = walk_[0];
    const int64_t mode = a.n[MODE], N = mode == INPUT ? a.n[CIN] : a.n[COUT], all = N * a.n[GROUPS], classes = class_count(a);
    const int64_t *own_size = a.n + (mode == INPUT ? IN : OUT);
    for (int64_t which = blockIdx.y; which < classes; which += gridDim.y) {
        RT_SYNC();
        if (threadIdx.x == 0) make_walk(a, which, walk_);
        RT_SYNC();
        RT_EACH(i, walk.count * all) {
            int64_t channel, place;
            if (a.n[TAPS_INNER]) {
                const int64_t image = i / (walk.places_all * all), rest = i - image * walk.places_all * all;
                channel = rest / walk.places_all;
                place = image * walk.places_all + rest % walk.places_all;
            } else { place = i / all; channel = i - place * all; }
            const Place p = place_at(walk, place, own_size);
            const int64_t g = channel / N, n = channel - g * N;
            const Corner corner = {p.read + g * walk.channels * walk.step[1], {p.c[0], p.c[1], p.c[2]}};
            const T *other = (const T *)a.p[1] + g * a.n[COUT] * a.n[W_STEP] + n * walk.other_w;
            T_C sum = (T_C)0;
            for (int64_t k = 0; k < walk.channels * walk.taps_all; k++) {
                const Tap t = tap_at(a, walk, k);
                const Corner tap = {t.read, {t.c[0], t.c[1], t.c[2]}};
                if (inside(walk, corner, tap))
                    sum = fused((T_C)T_GET(((const T *)a.p[0])[corner.at + tap.at]), (T_C)T_GET(other[t.weight]), sum);
            }
            if (a.p[3]) sum += T_GET(((const T *)a.p[3])[channel]);
            ((T *)a.p[2])[p.own + channel * walk.put[1]] = T_PUT(sum);
        }
    }
}

/* Its weight's gradient: a block sums up one element over all places. */
RT_KERNEL(RT_NAME(conv_each_weight), RtCall) {
    RT_SHARED(Walk, walk_, 1);
    RT_SHARED(T_C, sums, 256);
    const Walk &walk = walk_[0];
    const int me = threadIdx.x;
    if (me == 0) make_walk(a, 0, walk_);
    RT_SYNC();
    const int64_t taps = walk.channels * walk.taps_all, all = a.n[COUT] * a.n[GROUPS];
    for (int64_t i = blockIdx.x; i < all * taps; i += gridDim.x) {
        const int64_t o = i / taps, g = o / a.n[COUT];
        const Tap t = tap_at(a, walk, i - o * taps);
        const Corner tap = {t.read + g * walk.channels * walk.step[1], {t.c[0], t.c[1], t.c[2]}};
        const T *other = (const T *)a.p[1] + o * walk.put[1];
        T_C sum = (T_C)0;
        for (int64_t k = me; k < walk.count; k += 256) {
            const Place p = place_at(walk, k, a.n + OUT);
            const Corner corner = {p.read, {p.c[0], p.c[1], p.c[2]}};
            if (inside(walk, corner, tap))
                sum = fused((T_C)T_GET(((const T *)a.p[0])[corner.at + tap.at]), (T_C)T_GET(other[p.own]), sum);
        }
        RT_SYNC();
        sums[me] = sum;
        RT_SYNC();
        for (int half = 128; half; half /= 2) {
            if (me < half) sums[me] += sums[me + half];
            RT_SYNC();
        }
        if (me == 0) ((T *)a.p[2])[t.weight + o * walk.other_w] = T_PUT(sums[0]);
    }
}
