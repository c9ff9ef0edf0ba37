/* The tile products of bf16.inc.c with tile registers modelled in plain C, for processors that have none: test_bf16_tiles.py. */
#include <cpuid.h>
#include <immintrin.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct { uint8_t rows[8]; uint16_t bytes[8]; uint8_t data[8][16][64]; } model;

static int model_cpuid(unsigned *d) { *d = 1u << 24 | 1u << 22; return 1; }

static void model_shape(const void *p) {
    const uint8_t *shape = p;
    memset(&model, 0, sizeof model);
    for (int i = 0; i < 8; i++) {
        memcpy(&model.bytes[i], shape + 16 + 2 * i, 2);
        model.rows[i] = shape[48 + i];
    }
}
static void model_load(int i, const void *p, int64_t step) {
    memset(model.data[i], 0, sizeof model.data[i]);
    for (int r = 0; r < model.rows[i]; r++) memcpy(model.data[i][r], (const char *)p + r * step, model.bytes[i]);
}
static void model_store(int i, void *p, int64_t step) {
    for (int r = 0; r < model.rows[i]; r++) memcpy((char *)p + r * step, model.data[i][r], model.bytes[i]);
}
static float model_float(const uint8_t *p) {
    uint32_t bits = (uint32_t)(p[0] | p[1] << 8) << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}
static void model_product(int c, int a, int b) {
    if (model.rows[c] != model.rows[a] || model.rows[b] * 4 != model.bytes[a]) abort();      /* as the processor faults */
    for (int m = 0; m < model.rows[c]; m++)
        for (int n = 0; n < model.bytes[c]; n += 4) {
            float sum;
            memcpy(&sum, model.data[c][m] + n, 4);
            for (int k = 0; k < model.bytes[a]; k += 2) sum += model_float(model.data[a][m] + k) * model_float(model.data[b][k / 4] + n + k % 4);
            memcpy(model.data[c][m] + n, &sum, 4);
        }
}

#undef _tile_loadconfig
#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbf16ps
#undef _tile_release
#define _tile_loadconfig(p) model_shape(p)
#define _tile_loadd(i, p, step) model_load(i, p, step)
#define _tile_stored(i, p, step) model_store(i, p, step)
#define _tile_zero(i) memset(model.data[i], 0, sizeof model.data[i])
#define _tile_dpbf16ps(c, a, b) model_product(c, a, b)
#define _tile_release() ((void)0)
#define __get_cpuid_count(leaf, part, a, b, c, d) ((void)(a), (void)(b), (void)(c), model_cpuid(d))
#define syscall(...) 0
#include "bf16.inc.c"

static void *take(int device, size_t nbytes, size_t *got) { (void)device; *got = nbytes; return malloc(nbytes); }
static void give(int device, void *p, size_t got) { (void)device; (void)got; free(p); }

/* c = alpha a b + beta c (+ bias); 0, or what went wrong */
int run(int64_t m, int64_t n, int64_t k, const uint16_t *a, int64_t a_m, int64_t a_k, const uint16_t *b, int64_t b_k, int64_t b_n, uint16_t *c,
        int64_t c_m, double alpha, double beta, const uint16_t *bias) {
    RtBackend host;
    memset(&host, 0, sizeof host);
    host.alloc = take;
    host.free = give;
    RtGemm g = {.dtype = RT_BF16, .threads = 1, .batch = 1, .m = m, .n = n, .k = k, .a_m = a_m, .a_k = a_k, .b_k = b_k, .b_n = b_n, .c_m = c_m, .c_n = 1,
                .alpha = {alpha}, .beta = {beta}, .bias = (const char *)bias, .host = &host, .act = -1};
    void *room = aligned_alloc(64, RT_ROOM);
    int status = !tiles_ready() ? -1 : !room ? -2 : RT_NAME(rt_bf16_product)(&g, (const char *)a, (const char *)b, (char *)c, 0, room);
    free(room);
    return status;
}
