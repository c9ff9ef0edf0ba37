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
#include "vec.h"
#include "grain.h"

#define GRAIN_MACS 1.5e6     /* multiply-adds a thread should have, see Note [Grain] */
#define PARTS 8              /* sums that a weight gradient is cut into at most */

/* A run of `len` results that are neighbours both in q and in t. */
typedef struct { int64_t at, len, dst; } RtRun;

#define T float
#define V rt_vf
#define VF(x) rt_vf_##x
#define LANES RT_LANES_F32
#define SUF(x) x##_f32
#define GEMM scipy_cblas_sgemm
#include "conv_t.h"
#undef T
#undef V
#undef VF
#undef LANES
#undef SUF
#undef GEMM
#define T double
#define V rt_vd
#define VF(x) rt_vd_##x
#define LANES RT_LANES_F64
#define SUF(x) x##_f64
#define GEMM scipy_cblas_dgemm
#include "conv_t.h"

const RtConvTable RT_NAME(rt_conv_table) = {
    forward_f32, forward_f64, dinput_f32, dinput_f64, dweight_f32, dweight_f64, dbias_f32, dbias_f64,
};
