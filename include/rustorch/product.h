/* A door that a device may have besides RtBackend's gemm: a product and what follows it at once. */
#ifndef RUSTORCH_PRODUCT_H
#define RUSTORCH_PRODUCT_H
#include "layout.h"

enum { RT_ACT_NONE = 0, RT_ACT_RELU = 1, RT_ACT_GELU = 2 };      /* gelu: with tanh */

/* out[b,m,n] = act(alpha * a[b,m,k] @ b[b,k,n] + beta * added[b,m,n]); `added` may stand still along any dimension and shares no memory
 * with out. conj: bit 0, of a; bit 1, of b. RT_ERR_UNSUPPORTED: nothing was done, the caller composes it. */
typedef int (*RtFusedGemm)(int device, const RtArray *out, const RtArray *added, const RtArray *a, const RtArray *b, int conj,
                           const double *alpha, const double *beta, int act);
#endif
