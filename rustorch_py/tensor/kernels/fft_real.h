/* Real lanes in one precision, see Note [Real lanes]: included by fft_core.h. */
/* From n / 2 pairs in (ar, ai) to twice the first out_L terms of their transform in (br, bi). */
static void K(real_in)(const K(Plan) *p, int64_t w, T sg, int64_t out_L, T *restrict ar, T *restrict ai, T *restrict br, T *restrict bi) {
    const int64_t h = p->n / 2;
    const T *c = p->c, *s = p->s;
    K(run_plan)(p->half, w, -1, ar, ai, br, bi);
    for (int64_t r = 0; r < w; r++) {
        br[r] = 2 * (ar[r] + ai[r]);
        br[h * w + r] = 2 * (ar[r] - ai[r]);
        bi[r] = bi[h * w + r] = 0;
    }
    if (w == 1) for (int64_t k = 1; k < h; k++) {
        T even = ar[k] + ar[h - k], odd = ar[k] - ar[h - k], up = ai[k] + ai[h - k], down = ai[k] - ai[h - k];
        br[k] = even + (c[k] * up - s[k] * odd);
        bi[k] = -sg * (down - (c[k] * odd + s[k] * up));
    }
    else for (int64_t k = 1; k < h; k++)
        for (int64_t r = 0; r < w; r++) {
            int64_t at = k * w + r, to = (h - k) * w + r;
            T even = ar[at] + ar[to], odd = ar[at] - ar[to], up = ai[at] + ai[to], down = ai[at] - ai[to];
            br[at] = even + (c[k] * up - s[k] * odd);
            bi[at] = -sg * (down - (c[k] * odd + s[k] * up));
        }
    for (int64_t k = 1; k < h && out_L > h + 1; k++)
        for (int64_t r = 0; r < w; r++) { br[(p->n - k) * w + r] = br[k * w + r]; bi[(p->n - k) * w + r] = -bi[k * w + r]; }
}
/* From the first n / 2 + 1 terms of a Hermitian spectrum in (ar, ai) to n / 2 pairs in (br, bi). */
static void K(real_out)(const K(Plan) *p, int64_t w, T sg, T *restrict ar, T *restrict ai, T *restrict br, T *restrict bi) {
    const int64_t h = p->n / 2;
    const T *c = p->c, *s = p->s;
    if (w == 1) for (int64_t k = 0; k < h; k++) {
        T even = ar[k] + ar[h - k], odd = ar[k] - ar[h - k], up = sg * (ai[k] + ai[h - k]), down = sg * (ai[k] - ai[h - k]);
        br[k] = even - (s[k] * odd + c[k] * up);
        bi[k] = down + (c[k] * odd - s[k] * up);
    }
    else for (int64_t k = 0; k < h; k++)
        for (int64_t r = 0; r < w; r++) {
            int64_t at = k * w + r, to = (h - k) * w + r;
            T even = ar[at] + ar[to], odd = ar[at] - ar[to], up = sg * (ai[at] + ai[to]), down = sg * (ai[at] - ai[to]);
            br[at] = even - (s[k] * odd + c[k] * up);
            bi[at] = down + (c[k] * odd - s[k] * up);
        }
    K(run_plan)(p->half, w, 1, br, bi, ar, ai);
}
