/* Typed body of resize.inc.c, within grid_t.h: bicubic samples of planes (Keys (1981), a = -0.75). A row's four pixels are one vector: where they
 * lie side by side within the image, one load of it. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"         /* how vectors are passed: all that take them are part of their caller */
#endif
typedef T SUF(Four) __attribute__((vector_size(4 * sizeof(T))));
typedef struct {
    int32_t row[4][SUF(GRID_BLOCK)], col[4][SUF(GRID_BLOCK)];          /* of the first pixel of each row; of each column; -1: outside, which is 0 */
    uint8_t dense[SUF(GRID_BLOCK)];                                    /* the columns lie side by side */
    SUF(Four) wx[SUF(GRID_BLOCK)], wy[SUF(GRID_BLOCK)], dx[SUF(GRID_BLOCK)], dy[SUF(GRID_BLOCK)];        /* weights and their derivatives */
} SUF(Cubic);

#define CUBIC_A ((T)-0.75)
RT_INLINE T SUF(cubic_near)(T x) { return ((CUBIC_A + 2) * x - (CUBIC_A + 3)) * x * x + 1; }                       /* 0 <= x <= 1 */
RT_INLINE T SUF(cubic_far)(T x) { return ((CUBIC_A * x - 5 * CUBIC_A) * x + 8 * CUBIC_A) * x - 4 * CUBIC_A; }       /* 1 <= x <= 2 */
RT_INLINE T SUF(cubic_near_d)(T x) { return (3 * (CUBIC_A + 2) * x - 2 * (CUBIC_A + 3)) * x; }
RT_INLINE T SUF(cubic_far_d)(T x) { return (3 * CUBIC_A * x - 10 * CUBIC_A) * x + 8 * CUBIC_A; }
RT_INLINE SUF(Four) SUF(cubic_w)(T f) { return (SUF(Four)){SUF(cubic_far)(f + 1), SUF(cubic_near)(f), SUF(cubic_near)(1 - f), SUF(cubic_far)(2 - f)}; }
RT_INLINE SUF(Four) SUF(cubic_dw)(T f) {
    return (SUF(Four)){SUF(cubic_far_d)(f + 1), SUF(cubic_near_d)(f), -SUF(cubic_near_d)(1 - f), -SUF(cubic_far_d)(2 - f)};
}
#undef CUBIC_A

static void SUF(cubics)(SUF(Cubic) *k, const T *grid, int64_t n, int64_t H, int64_t W, int how, int slopes) {
    for (int64_t i = 0; i < n; i++) {
        T x = SUF(grid_pixel)(grid[2 * i], W, how), y = SUF(grid_pixel)(grid[2 * i + 1], H, how), slope;
        T lx = SUF(grid_floor)(x), ly = SUF(grid_floor)(y);
        k->wx[i] = SUF(cubic_w)(x - lx);
        k->wy[i] = SUF(cubic_w)(y - ly);
        if (slopes) { k->dx[i] = SUF(cubic_dw)(x - lx); k->dy[i] = SUF(cubic_dw)(y - ly); }
        if (lx >= 1 && lx < W - 2 && ly >= 1 && ly < H - 2) {
            for (int j = 0; j < 4; j++) { k->row[j][i] = ((int32_t)ly + j - 1) * (int32_t)W; k->col[j][i] = (int32_t)lx + j - 1; }
            k->dense[i] = 1;
            continue;
        }
        k->dense[i] = 0;
        for (int j = 0; j < 4; j++) {
            T cx = SUF(grid_inside)(lx + (j - 1), W, how, &slope), cy = SUF(grid_inside)(ly + (j - 1), H, how, &slope);
            k->row[j][i] = cy >= 0 && cy <= H - 1 ? (int32_t)cy * (int32_t)W : -1;                                  /* nan is outside */
            k->col[j][i] = cx >= 0 && cx <= W - 1 ? (int32_t)cx : -1;
        }
    }
}
/* Row a of the pixels around place i. */
RT_INLINE SUF(Four) SUF(cubic_row)(const SUF(Cubic) *k, int a, int64_t i, const T *s) {
    SUF(Four) v = {0};
    int32_t r = k->row[a][i];
    if (RT_LIKELY(k->dense[i])) memcpy(&v, s + r + k->col[0][i], sizeof v);
    else if (r >= 0) for (int j = 0; j < 4; j++) if (k->col[j][i] >= 0) v[j] = s[r + k->col[j][i]];
    return v;
}
RT_INLINE SUF(Four) SUF(cubic_rows)(const SUF(Cubic) *k, int64_t i, const T *s, const SUF(Four) *by) {
    SUF(Four) w = *by;
    return SUF(cubic_row)(k, 0, i, s) * w[0] + SUF(cubic_row)(k, 1, i, s) * w[1] + SUF(cubic_row)(k, 2, i, s) * w[2] + SUF(cubic_row)(k, 3, i, s) * w[3];
}
RT_INLINE T SUF(cubic_dot)(const SUF(Four) *a, const SUF(Four) *b) { SUF(Four) v = *a * *b; return (v[0] + v[2]) + (v[1] + v[3]); }

static void SUF(grid_cubic)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, int how, T *y, int threads) {
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    threads = few((double)batch * places * (channels + 4) * 6, threads, batch * blocks);
    RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
    for (int64_t r = 0; r < batch * blocks; r++) {
        int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
        SUF(Cubic) k;
        SUF(cubics)(&k, grid + (b * places + p) * 2, n, H, W, how, 0);
        for (int64_t c = 0; c < channels; c++) {
            const T *restrict s = x + (b * channels + c) * H * W;
            T *restrict d = y + (b * channels + c) * places + p;
            for (int64_t i = 0; i < n; i++) { SUF(Four) v = SUF(cubic_rows)(&k, i, s, &k.wy[i]); d[i] = SUF(cubic_dot)(&v, &k.wx[i]); }
        }
    }
}

static void SUF(grid_cubic_d0)(int64_t batch, int64_t channels, int64_t H, int64_t W, int64_t places, const T *x, const T *grid, const T *g, int how,
                               T *gx, T *gg, int threads) {
    int64_t blocks = (places + SUF(GRID_BLOCK) - 1) / SUF(GRID_BLOCK);
    int64_t parts;
    double work = (double)batch * places * (channels + 4) * 12;
    int crew = SUF(crew_of_planes)(work, threads, batch, channels, &parts);
    threads = few(work, threads, batch * blocks);
    if (gx) {
        RT_OMP(omp parallel for num_threads(crew) schedule(static) if (crew > 1))
        for (int64_t r = 0; r < batch * parts; r++) {
            int64_t b = r / parts, from = r % parts * channels / parts, to = (r % parts + 1) * channels / parts;
            memset(gx + (b * channels + from) * H * W, 0, (size_t)((to - from) * H * W) * sizeof(T));
            for (int64_t p = 0; p < places; p += SUF(GRID_BLOCK)) {
                int64_t n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
                SUF(Cubic) k;
                SUF(cubics)(&k, grid + (b * places + p) * 2, n, H, W, how, 0);
                for (int64_t c = from; c < to; c++) {
                    T *d = gx + (b * channels + c) * H * W;
                    const T *s = g + (b * channels + c) * places + p;
                    for (int64_t i = 0; i < n; i++) {
                        SUF(Four) v = k.wx[i] * s[i], was;
                        for (int a = 0; a < 4; a++) {
                            int32_t at = k.row[a][i];
                            SUF(Four) add = v * k.wy[i][a];
                            if (RT_LIKELY(k.dense[i])) {
                                memcpy(&was, d + at + k.col[0][i], sizeof was);
                                was += add;
                                memcpy(d + at + k.col[0][i], &was, sizeof was);
                            }
                            else if (at >= 0) for (int j = 0; j < 4; j++) if (k.col[j][i] >= 0) d[at + k.col[j][i]] += add[j];
                        }
                    }
                }
            }
        }
    }
    if (gg) {
        T by_x = how & RT_GRID_ALIGNED ? (W - 1) / (T)2 : W / (T)2, by_y = how & RT_GRID_ALIGNED ? (H - 1) / (T)2 : H / (T)2;
        RT_OMP(omp parallel for num_threads(threads) schedule(static) if (threads > 1))
        for (int64_t r = 0; r < batch * blocks; r++) {
            int64_t b = r / blocks, p = r % blocks * SUF(GRID_BLOCK), n = places - p < SUF(GRID_BLOCK) ? places - p : SUF(GRID_BLOCK);
            SUF(Cubic) k;
            SUF(Four) sx[SUF(GRID_BLOCK)], sy[SUF(GRID_BLOCK)];          /* sums over the channels, for each column */
            T *out = gg + (b * places + p) * 2;
            SUF(cubics)(&k, grid + (b * places + p) * 2, n, H, W, how, 1);
            memset(sx, 0, sizeof sx);
            memset(sy, 0, sizeof sy);
            for (int64_t c = 0; c < channels; c++) {
                const T *restrict s = x + (b * channels + c) * H * W, *restrict v = g + (b * channels + c) * places + p;
                for (int64_t i = 0; i < n; i++) {
                    sx[i] += SUF(cubic_rows)(&k, i, s, &k.wy[i]) * v[i];
                    sy[i] += SUF(cubic_rows)(&k, i, s, &k.dy[i]) * v[i];
                }
            }
            for (int64_t i = 0; i < n; i++) {
                out[2 * i] = SUF(cubic_dot)(&sx[i], &k.dx[i]) * by_x;
                out[2 * i + 1] = SUF(cubic_dot)(&sy[i], &k.wx[i]) * by_y;
            }
        }
    }
}
