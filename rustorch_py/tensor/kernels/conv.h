/* Convolution kernels. Legend of the array letters: n image, g group, c input channel of the
 * group, o output channel of the group, k = (channel, tap), q = position in the padded plane,
 * t = position in the output grid. Everything is written for three spatial dimensions; 1-d and
 * 2-d convolutions have leading sizes of 1. */
#ifndef RUSTORCH_CONV_H
#define RUSTORCH_CONV_H
#include "rustorch/loops.h"
#include "gemm.h"

/* Geometry of y[n,o] = sum w[o,c,tap] x[n,c, t*stride + tap*dilation - pad]. `pad` is the
 * padding in front; the padding behind follows from the output size. */
typedef struct {
    int64_t batch, groups, cin, cout;      /* cin, cout: channels of one group */
    int64_t in[3], out[3], kernel[3], stride[3], pad[3], dilation[3];
    /* Of the forward product alone, Note [Epilogue] in conv_t.h: factors of the weights (groups*cout, the arrays' type) or NULL, and
     * whether results below zero become zero. */
    const void *scale;
    int64_t cut;
    const RtGemmTable *gemm;               /* loops of plain products; NULL: BLAS has them all */
    const void *packed;                    /* weights as keep_f32() makes them, or NULL */
    void *room;                            /* room_f32() elements, or NULL */
} RtConvGeom;

/* `orders`: which arrays have their channels innermost (RT_LAST_X: x and gx, RT_LAST_W: w and gw, RT_LAST_Y: y and g), and whether
 * products may be rearranged (RT_FAST: Note [Winograd]); RT_LIGHT: nothing is recorded, so that transformed weights may be kept and few pixels
 * have not to pay for them; RT_KEEPS: these weights are of those that may be kept, too, so that even many weights are packed once. */
enum { RT_LAST_X = 1, RT_LAST_W = 2, RT_LAST_Y = 4, RT_LAST_ANY = 7, RT_FAST = 8, RT_LIGHT = 16, RT_KEEPS = 32 };

/* Arrays are contiguous: x (batch, groups*cin, in), w (groups*cout, cin, kernel), y (batch,
 * groups*cout, out), or with their second dimension innermost. b may be NULL. Return 0, or 1 when there is no memory. */
typedef struct {
    int (*forward_f32)(const RtConvGeom *, const float *x, const float *w, const float *b, float *y, int orders, int threads);
    int (*forward_f64)(const RtConvGeom *, const double *x, const double *w, const double *b, double *y, int orders, int threads);
    /* gradient with respect to x; with `b` (groups*cin) added it is the transposed convolution */
    int (*dinput_f32)(const RtConvGeom *, const float *g, const float *w, const float *b, float *gx, int orders, int threads);
    int (*dinput_f64)(const RtConvGeom *, const double *g, const double *w, const double *b, double *gx, int orders, int threads);
    int (*dweight_f32)(const RtConvGeom *, const float *g, const float *x, float *gw, int orders, int threads);
    int (*dweight_f64)(const RtConvGeom *, const double *g, const double *x, double *gw, int orders, int threads);
    /* both gradients in one pass: Note [Near, both gradients] in conv_near_t.h; 2: this shape has none */
    int (*both_f32)(const RtConvGeom *, const float *g, const float *x, const float *w, float *gx, float *gw, int threads);
    int (*both_f64)(const RtConvGeom *, const double *g, const double *x, const double *w, double *gx, double *gw, int threads);
    /* sum of (batch, channels, plane) over batch and plane */
    void (*dbias_f32)(const float *g, float *gb, int64_t batch, int64_t channels, int64_t plane, int threads);
    void (*dbias_f64)(const double *g, double *gb, int64_t batch, int64_t channels, int64_t plane, int threads);
    /* sum of (rows, channels) over rows */
    void (*dbias_last_f32)(const float *g, float *gb, int64_t rows, int64_t channels, int threads);
    void (*dbias_last_f64)(const double *g, double *gb, int64_t rows, int64_t channels, int threads);
    /* Whether product `mode` (0 forward, 1 dinput, 2 dweight) of this shape is better with channels innermost than through copies: 1;
     * 2: if input and output both have them there. orders: of its bits RT_KEEPS and RT_FAST count. */
    int (*has_last)(const RtConvGeom *, int mode, int orders);
    /* y (batch, channels, plane) = what follows a product that knows nothing of it: times scale (or NULL: 1), plus b (or NULL: 0), cut: and no less than 0 */
    void (*finish_f32)(float *y, const float *scale, const float *b, int cut, int64_t batch, int64_t channels, int64_t plane, int threads);
    /* Note [Whole columns] in conv_whole.h */
    int64_t (*whole_images)(const RtConvGeom *, int mode, int orders);
    int (*whole_columns)(const RtConvGeom *, const float *x, int64_t many, float *to, int threads);
    int (*whole_sums)(const RtConvGeom *, float *from, int64_t many, const float *bias, float *gx, int threads);
    void (*whole_rows)(float *images, float *rows, int64_t channels, int64_t many, int64_t plane, int back, int threads);
    /* Note [Whole columns, channels last] there. kind: has_last's */
    int64_t (*whole_last_images)(const RtConvGeom *, int mode, int kind, int orders);
    void (*whole_last_columns)(const RtConvGeom *, const float *x, int64_t many, float *to, int threads);
    void (*whole_last_sums)(const RtConvGeom *, const float *from, int64_t many, const float *bias, float *gx, int threads);
    /* Note [Kept operands] in kept.h: elements of a form of the weights that forward_f32 takes, 0 where it takes none, and
     * which of its forms it is (`which[1]`: a number made of the factors that it has taken in, or 0); and making it. */
    int64_t (*kept_f32)(const RtConvGeom *, int orders, int64_t *which);
    void (*keep_f32)(const RtConvGeom *, const float *w, int orders, float *to, int threads);
    /* elements of float32 that product `mode` works in, where they are so many that they had better come from a caching allocator; else 0 */
    int64_t (*room_f32)(const RtConvGeom *, int mode, int orders, int threads);
    /* bfloat16, Note [Convolved pairs] in conv_pairs.h. has_pairs: whether a product is faster so than through float32 copies, 2: with the
     * channels of both images innermost (orders: those that it could have), -1 without the instruction; the others are there where it ever is. */
    int (*has_pairs)(const RtConvGeom *, int mode, int orders);
    int (*forward_bf16)(const RtConvGeom *, const uint16_t *x, const uint16_t *w, const float *b, uint16_t *y, int orders, int threads);
    int (*dinput_bf16)(const RtConvGeom *, const uint16_t *g, const uint16_t *w, const float *b, uint16_t *gx, int orders, int threads);
    int (*dweight_bf16)(const RtConvGeom *, const uint16_t *g, const uint16_t *x, uint16_t *gw, int orders, int threads);
    /* words of a form of the weights that forward_bf16 takes, and making it */
    int64_t (*kept_bf16)(const RtConvGeom *);
    void (*keep_bf16)(const RtConvGeom *, const uint16_t *w, int orders, uint32_t *to, int threads);
} RtConvTable;

void rt_conv_forward_i64(const RtConvGeom *, const int64_t *x, const int64_t *w, const int64_t *b, int64_t *y);
void rt_conv_dinput_i64(const RtConvGeom *, const int64_t *g, const int64_t *w, const int64_t *b, int64_t *gx);

extern const RtConvTable rt_conv_table_base;
#if defined(__x86_64__)
extern const RtConvTable rt_conv_table_avx2, rt_conv_table_avx512;
#endif
#endif
