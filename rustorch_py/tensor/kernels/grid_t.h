/* Typed body of resize.inc.c: bilinear samples of planes (batch, channels, H, W) at the places of a grid (batch, places, 2); outside is 0.
 * A block of places has its corners and weights once for all channels. */
enum { SUF(GRID_BLOCK) = 128 };
typedef struct {
    int32_t at[4][SUF(GRID_BLOCK)];
    T inside[4][SUF(GRID_BLOCK)], fx[SUF(GRID_BLOCK)], fy[SUF(GRID_BLOCK)], w[4][SUF(GRID_BLOCK)];
} SUF(Corners);

static void SUF(corners)(SUF(Corners) *k, const T *grid, int64_t n, int64_t H, int64_t W, int aligned) {
    for (int64_t i = 0; i < n; i++) {
        T x = grid[2 * i], y = grid[2 * i + 1];
        x = aligned ? (x + 1) * ((W - 1) / (T)2) : ((x + 1) * W - 1) / 2;
        y = aligned ? (y + 1) * ((H - 1) / (T)2) : ((y + 1) * H - 1) / 2;
        T lx = SUF(grid_floor)(x), ly = SUF(grid_floor)(y), fx = x - lx, fy = y - ly;
        k->fx[i] = fx;
        k->fy[i] = fy;
        for (int c = 0; c < 4; c++) {
            T cx = lx + (c & 1), cy = ly + (c >> 1), in = cx >= 0 && cx <= W - 1 && cy >= 0 && cy <= H - 1 ? 1 : 0;   /* nan is outside */
            k->at[c][i] = in ? (int32_t)cy * (int32_t)W + (int32_t)cx : 0;
            k->inside[c][i] = in;
            k->w[c][i] = (c & 1 ? fx : 1 - fx) * (c >> 1 ? fy : 1 - fy) * in;         /* and its weight stays nan */
        }
    }
}

static void SUF(grid)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, int aligned, T *y, int threads) {
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    threads = few((double)batch * places * (channels + 4) * 2, threads, batch * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * blocks; r++) {
        int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
        SUF(Corners) k;
        SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, aligned);
        for (int64_t c = 0; c < channels; c++) {
            const T *restrict s = x + (b * channels + c) * H * W;
            T *restrict d = y + (b * channels + c) * places + p;
            for (int64_t i = 0; i < n; i++)
                d[i] = s[k.at[0][i]] * k.w[0][i] + s[k.at[1][i]] * k.w[1][i] + s[k.at[2][i]] * k.w[2][i] + s[k.at[3][i]] * k.w[3][i];
        }
    }
}

/* gx, gg: gradients of x and grid, either NULL; each thread adds to planes or places of its own */
static void SUF(grid_d0)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, const T *g, int aligned,
                         T *gx, T *gg, int threads) {
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    int64_t parts = batch >= threads ? 1 : channels < threads ? channels : threads;
    threads = few((double)batch * places * (channels + 4) * 4, threads, batch * blocks);
    if (gx) {
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t r = 0; r < batch * parts; r++) {
            int64_t b = r / parts, from = r % parts * channels / parts, to = (r % parts + 1) * channels / parts;
            memset(gx + (b * channels + from) * H * W, 0, (size_t)((to - from) * H * W) * sizeof(T));
            for (int64_t p = 0; p < places; p += SUF(GRID_BLOCK)) {
                int64_t n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
                SUF(Corners) k;
                SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, aligned);
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
        T by_x = aligned ? (W - 1) / (T)2 : W / (T)2, by_y = aligned ? (H - 1) / (T)2 : H / (T)2;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t r = 0; r < batch * blocks; r++) {
            int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
            SUF(Corners) k;
            T sx[SUF(GRID_BLOCK)] = {0}, sy[SUF(GRID_BLOCK)] = {0}, *out = gg + (b * places + p) * 2;
            SUF(corners)(&k, grid + (b * places + p) * 2, n, H, W, aligned);
            for (int64_t c = 0; c < channels; c++) {
                const T *restrict s = x + (b * channels + c) * H * W, *restrict v = g + (b * channels + c) * places + p;
                for (int64_t i = 0; i < n; i++) {
                    T a = s[k.at[0][i]] * k.inside[0][i], e = s[k.at[1][i]] * k.inside[1][i];
                    T f = s[k.at[2][i]] * k.inside[2][i], h = s[k.at[3][i]] * k.inside[3][i];
                    sx[i] += v[i] * ((e - a) * (1 - k.fy[i]) + (h - f) * k.fy[i]);
                    sy[i] += v[i] * ((f - a) * (1 - k.fx[i]) + (h - e) * k.fx[i]);
                }
            }
            for (int64_t i = 0; i < n; i++) { out[2 * i] = sx[i] * by_x; out[2 * i + 1] = sy[i] * by_y; }
        }
    }
}
