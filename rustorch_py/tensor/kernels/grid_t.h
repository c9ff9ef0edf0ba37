/* Typed body of resize.inc.c: samples of planes (batch, channels, H, W) at the places of a grid (batch, places, 2), `how` by RT_GRID_...: bilinear,
 * bicubic (grid_cubic_t.h) or the nearest pixel; outside is 0, or what the border or a mirror has. A block of places has its corners and weights once for all channels. */
enum { SUF(GRID_BLOCK) = 128 };

/* A place in pixels. */
RT_INLINE T SUF(grid_pixel)(T x, int64_t size, int how) { return how & RT_GRID_ALIGNED ? (x + 1) * ((size - 1) / (T)2) : ((x + 1) * size - 1) / 2; }
/* A place in pixels, brought back into the image where `how` says so; *slope: turned round by a mirror, 0 where the border answers. */
RT_INLINE T SUF(grid_inside)(T x, int64_t size, int how, T *slope) {
    *slope = 1;
    if (how & RT_GRID_REFLECT) {                               /* mirrors at the centres of the end pixels, or at their outer edges */
        T low = how & RT_GRID_ALIGNED ? 0 : -(T)0.5, span = how & RT_GRID_ALIGNED ? (T)(size - 1) : (T)size;
        if (span == 0) { *slope = 0; return 0; }
        x -= low;
        *slope = x < 0 ? -1 : 1;
        x = x < 0 ? -x : x;
        T turns = SUF(grid_floor)(x / span), over = SUF(grid_rest)(x, span);
        int back = turns - 2 * SUF(grid_floor)(turns / 2) != 0;
        x = (back ? span - over : over) + low;
        if (back) *slope = -*slope;
    }
    if (how & (RT_GRID_BORDER | RT_GRID_REFLECT)) {
        T end = (T)(size - 1);
        *slope = x > 0 && x < end ? *slope : 0;
        x = x < 0 ? 0 : x > end ? end : x;                                             /* nan stays */
    }
    return x;
}
RT_INLINE T SUF(grid_place)(T x, int64_t size, int how, T *slope) { return SUF(grid_inside)(SUF(grid_pixel)(x, size, how), size, how, slope); }
typedef struct {
    int32_t at[4][SUF(GRID_BLOCK)];
    T inside[4][SUF(GRID_BLOCK)], fx[SUF(GRID_BLOCK)], fy[SUF(GRID_BLOCK)], dx[SUF(GRID_BLOCK)], dy[SUF(GRID_BLOCK)], w[4][SUF(GRID_BLOCK)];
} SUF(Corners);

/* `unit`: elements from a pixel to the next one. */
RT_INLINE void SUF(corners_of)(SUF(Corners) *restrict k, const T *restrict grid, int64_t n, int64_t H, int64_t W, int64_t unit, int how) {
    T right = (T)(W - 1), bottom = (T)(H - 1);
    for (int64_t i = 0; i < n; i++) {
        T x = SUF(grid_place)(grid[2 * i], W, how, &k->dx[i]), y = SUF(grid_place)(grid[2 * i + 1], H, how, &k->dy[i]);
        T lx = SUF(grid_floor)(x), ly = SUF(grid_floor)(y), fx = x - lx, fy = y - ly;
        k->fx[i] = fx;
        k->fy[i] = fy;
        for (int c = 0; c < 4; c++) {
            T cx = lx + (c & 1), cy = ly + (c >> 1), in = (cx >= 0) & (cx <= right) & (cy >= 0) & (cy <= bottom) ? 1 : 0;   /* nan is outside */
            cx = in != 0 ? cx : 0;                                                    /* only numbers in range become ints: such loops have vectors */
            cy = in != 0 ? cy : 0;
            k->at[c][i] = (int32_t)cy * (int32_t)(W * unit) + (int32_t)cx * (int32_t)unit;
            k->inside[c][i] = in;
            k->w[c][i] = (c & 1 ? fx : 1 - fx) * (c >> 1 ? fy : 1 - fy) * in;         /* and its weight stays nan */
        }
    }
}
/* Without mirrors `how` is a constant of each loop. */
static void SUF(corners)(SUF(Corners) *k, const T *grid, int64_t n, int64_t H, int64_t W, int64_t unit, int how) {
    if (how == 0) SUF(corners_of)(k, grid, n, H, W, unit, 0);
    else if (how == RT_GRID_ALIGNED) SUF(corners_of)(k, grid, n, H, W, unit, RT_GRID_ALIGNED);
    else if (how == RT_GRID_BORDER) SUF(corners_of)(k, grid, n, H, W, unit, RT_GRID_BORDER);
    else if (how == (RT_GRID_BORDER | RT_GRID_ALIGNED)) SUF(corners_of)(k, grid, n, H, W, unit, RT_GRID_BORDER | RT_GRID_ALIGNED);
    else SUF(corners_of)(k, grid, n, H, W, unit, how);
}

/* The nearest pixels of a block of places, -1: outside, which is 0. */
static void SUF(pixels)(int32_t *at, const T *grid, int64_t n, int64_t H, int64_t W, int how) {
    for (int64_t i = 0; i < n; i++) {
        T slope, x = SUF(grid_round)(SUF(grid_place)(grid[2 * i], W, how, &slope)), y = SUF(grid_round)(SUF(grid_place)(grid[2 * i + 1], H, how, &slope));
        at[i] = x >= 0 && x <= W - 1 && y >= 0 && y <= H - 1 ? (int32_t)y * (int32_t)W + (int32_t)x : -1;
    }
}
static void SUF(grid_near)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, int64_t unit, const T *grid, int how,
                           T *y, int threads) {
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    threads = few((double)batch * places * (channels + 4), threads, batch * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * blocks; r++) {
        int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
        int32_t at[SUF(GRID_BLOCK)], from[SUF(GRID_BLOCK)];
        int outside = 0;
        SUF(pixels)(at, grid + (b * places + p) * 2, n, H, W, how);
        for (int64_t i = 0; i < n; i++) { outside |= at[i] < 0; from[i] = at[i] < 0 ? 0 : at[i] * (int32_t)unit; }
        for (int64_t c = 0; c < channels; c++) {
            const T *restrict s = x + b * channels * H * W + (unit > 1 ? c : c * H * W);
            T *restrict d = y + (b * channels + c) * places + p;
            for (int64_t i = 0; i < n; i++) d[i] = s[from[i]];
            if (outside) for (int64_t i = 0; i < n; i++) d[i] = at[i] < 0 ? 0 : d[i];
        }
    }
}
/* Threads for gradients of images whose planes are cut into *parts an image; one thread makes its weights once for all channels. */
static int SUF(crew_of_planes)(double work, int threads, int64_t batch, int64_t channels, int64_t *parts) {
    *parts = batch >= threads ? 1 : channels < threads ? channels : threads;
    int crew = few(work, threads, batch * *parts);
    if (crew == 1) *parts = 1;
    return crew;
}
static void SUF(grid_near_d0)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *grid, const T *g, int how, T *gx, int threads) {
    int64_t parts;
    threads = SUF(crew_of_planes)((double)batch * places * (channels + 4) * 2, threads, batch, channels, &parts);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * parts; r++) {
        int64_t b = r / parts, lo = r % parts * channels / parts, hi = (r % parts + 1) * channels / parts;
        memset(gx + (b * channels + lo) * H * W, 0, (size_t)((hi - lo) * H * W) * sizeof(T));
        for (int64_t p = 0; p < places; p += SUF(GRID_BLOCK)) {
            int64_t n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
            int32_t at[SUF(GRID_BLOCK)];
            SUF(pixels)(at, grid + (b * places + p) * 2, n, H, W, how);
            for (int64_t c = lo; c < hi; c++) {
                T *d = gx + (b * channels + c) * H * W;
                const T *s = g + (b * channels + c) * places + p;
                for (int64_t i = 0; i < n; i++) if (at[i] >= 0) d[at[i]] += s[i];
            }
        }
    }
}

#include "grid_cubic_t.h"

static void SUF(grid)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, int how, T *y, int threads) {
    int64_t unit = how & RT_GRID_LAST ? channels : 1, plane = how & RT_GRID_LAST ? 1 : H * W;
    how &= ~RT_GRID_LAST;
    if (how & RT_GRID_NEAR) { SUF(grid_near)(batch, channels, H, W, places, x, unit, grid, how, y, threads); return; }
    if (how & RT_GRID_CUBIC) { SUF(grid_cubic)(batch, channels, H, W, places, x, grid, how, y, threads); return; }
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    threads = few((double)batch * places * (channels + 4) * 2, threads, batch * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * blocks; r++) {
        int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
        SUF(Corners) k;
        SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, unit, how);
        for (int64_t c = 0; c < channels; c++) {
            const T *restrict s = x + b * channels * H * W + c * plane;
            T *restrict d = y + (b * channels + c) * places + p;
            for (int64_t i = 0; i < n; i++)
                d[i] = s[k.at[0][i]] * k.w[0][i] + s[k.at[1][i]] * k.w[1][i] + s[k.at[2][i]] * k.w[2][i] + s[k.at[3][i]] * k.w[3][i];
        }
    }
}

/* gx, gg: gradients of x and grid, either NULL; each thread adds to planes or places of its own */
static void SUF(grid_d0)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, const T *g, int how,
                         T *gx, T *gg, int threads) {
    if (how & RT_GRID_NEAR) {                                  /* the place of a step does not move what is read */
        if (gx) SUF(grid_near_d0)(batch, channels, H, W, places, grid, g, how, gx, threads);
        if (gg) memset(gg, 0, (size_t)(batch * places * 2) * sizeof(T));
        return;
    }
    if (how & RT_GRID_CUBIC) { SUF(grid_cubic_d0)(batch, channels, H, W, places, x, grid, g, how, gx, gg, threads); return; }
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    int64_t parts;
    double work = (double)batch * places * (channels + 4) * 4;
    int crew = SUF(crew_of_planes)(work, threads, batch, channels, &parts);
    threads = few(work, threads, batch * blocks);
    if (gx) {
        RT_OMP(omp parallel for num_threads(crew) schedule(static) if (crew > 1))
        for (int64_t r = 0; r < batch * parts; r++) {
            int64_t b = r / parts, from = r % parts * channels / parts, to = (r % parts + 1) * channels / parts;
            memset(gx + (b * channels + from) * H * W, 0, (size_t)((to - from) * H * W) * sizeof(T));
            for (int64_t p = 0; p < places; p += SUF(GRID_BLOCK)) {
                int64_t n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
                SUF(Corners) k;
                SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, 1, how);
                for (int64_t c = from; c < to; c++) {
                    T *d = gx + (b * channels + c) * H * W;
                    const T *s = g + (b * channels + c) * places + p;
                    for (int64_t i = 0; i < n; i++)
                        for (int q = 0; q < 4; q++) if (k.inside[q][i]) d[k.at[q][i]] += s[i] * k.w[q][i];
                }
            }
        }
    }
    if (gg) {
        T by_x = how & RT_GRID_ALIGNED ? (W - 1) / (T)2 : W / (T)2, by_y = how & RT_GRID_ALIGNED ? (H - 1) / (T)2 : H / (T)2;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t r = 0; r < batch * blocks; r++) {
            int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
            SUF(Corners) k;
            T sx[SUF(GRID_BLOCK)] = {0}, sy[SUF(GRID_BLOCK)] = {0}, *out = gg + (b * places + p) * 2;
            SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, 1, how);
            for (int64_t c = 0; c < channels; c++) {
                const T *restrict s = x + (b * channels + c) * H * W, *restrict v = g + (b * channels + c) * places + p;
                for (int64_t i = 0; i < n; i++) {
                    T a = s[k.at[0][i]] * k.inside[0][i], e = s[k.at[1][i]] * k.inside[1][i];
                    T f = s[k.at[2][i]] * k.inside[2][i], h = s[k.at[3][i]] * k.inside[3][i];
                    sx[i] += v[i] * ((e - a) * (1 - k.fy[i]) + (h - f) * k.fy[i]);
                    sy[i] += v[i] * ((f - a) * (1 - k.fx[i]) + (h - e) * k.fx[i]);
                }
            }
            for (int64_t i = 0; i < n; i++) { out[2 * i] = sx[i] * by_x * k.dx[i]; out[2 * i + 1] = sy[i] * by_y * k.dy[i]; }
        }
    }
}
