# build: isa=conv.inc.c sources=conv_int.c blas cold
"""Convolutions and transposed convolutions in one, two and three dimensions.

Note [Three products]
With y = F(x, w) the forward convolution, <F(x, w), g> is linear in x, w and g alike. Its three
partial derivatives F(x, w), I(g, w) (gradient of x; also the transposed convolution) and W(g, x)
(gradient of w) are each other's gradients, so one Node class with a mode serves all orders.
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memset
from ._base cimport (TensorBase, Node, empty, attach, attach2, save, saved, wants_edge, as_base, shape_tuple, grad_mode, is_contig,
                     RT_BF16, RT_F32, RT_F64, RT_I64, RT_KIND_INT, RT_KIND_COMPLEX, rt_kind)
from ._cpu cimport isa_level, fixed_split
from ._kept cimport RtKept, Wanted, find_kept, kept_room, put_kept, rt_kept_done, KEPT_CONV
from ._gemm cimport RtGemmTable, gemm_table, raw_product, count_flops, may_keep
from ._neural cimport (num_threads, read_sizes, recording, on_cpu, by_float32, together, add_sizes, float32_of, like_dtype, need_float, no_memory,
                       sizes_text, dtype_text, suggests_last, line_lies_last, one_of, is_half, in_order, empty_in_order)
from ._function cimport unwatched
from ._node cimport call_node
from ._ops cimport profiling
from ._plan cimport contiguous_raw, cast_raw, copy_raw
from ._devices import run as run_on_device
from ..errors import DTypeError, LengthError, ShapeError

cdef extern from "conv.h" nogil:
    """
    static inline const RtConvTable *rt_conv_pick(int level) {
    #if defined(__x86_64__)
        if (level == 2) return &rt_conv_table_avx512;
        if (level == 1) return &rt_conv_table_avx2;
    #endif
        (void)level;
        return &rt_conv_table_base;
    }
    """
    ctypedef struct RtConvGeom:
        int64_t batch, groups, cin, cout
        int64_t in_ "in"[3]
        int64_t out[3]
        int64_t kernel[3]
        int64_t stride[3]
        int64_t pad[3]
        int64_t dilation[3]
        const void *scale
        int64_t cut
        const RtGemmTable *gemm
        const void *packed
        void *room
    ctypedef struct RtConvTable:
        int (*forward_f32)(const RtConvGeom *, const float *, const float *, const float *, float *, int, int) noexcept nogil
        int (*forward_f64)(const RtConvGeom *, const double *, const double *, const double *, double *, int, int) noexcept nogil
        int (*dinput_f32)(const RtConvGeom *, const float *, const float *, const float *, float *, int, int) noexcept nogil
        int (*dinput_f64)(const RtConvGeom *, const double *, const double *, const double *, double *, int, int) noexcept nogil
        int (*dweight_f32)(const RtConvGeom *, const float *, const float *, float *, int, int) noexcept nogil
        int (*dweight_f64)(const RtConvGeom *, const double *, const double *, double *, int, int) noexcept nogil
        int (*both_f32)(const RtConvGeom *, const float *, const float *, const float *, float *, float *, int) noexcept nogil
        int (*both_f64)(const RtConvGeom *, const double *, const double *, const double *, double *, double *, int) noexcept nogil
        void (*dbias_f32)(const float *, float *, int64_t, int64_t, int64_t, int) noexcept nogil
        void (*dbias_f64)(const double *, double *, int64_t, int64_t, int64_t, int) noexcept nogil
        void (*dbias_last_f32)(const float *, float *, int64_t, int64_t, int) noexcept nogil
        void (*dbias_last_f64)(const double *, double *, int64_t, int64_t, int) noexcept nogil
        int (*has_last)(const RtConvGeom *, int, int) noexcept nogil
        void (*finish_f32)(float *, const float *, const float *, int, int64_t, int64_t, int64_t, int) noexcept nogil
        int64_t (*whole_images)(const RtConvGeom *, int, int) noexcept nogil
        int (*whole_columns)(const RtConvGeom *, const float *, int64_t, float *, int) noexcept nogil
        int (*whole_sums)(const RtConvGeom *, float *, int64_t, const float *, float *, int) noexcept nogil
        void (*whole_rows)(float *, float *, int64_t, int64_t, int64_t, int, int) noexcept nogil
        int64_t (*whole_last_images)(const RtConvGeom *, int, int, int) noexcept nogil
        void (*whole_last_columns)(const RtConvGeom *, const float *, int64_t, float *, int) noexcept nogil
        void (*whole_last_sums)(const RtConvGeom *, const float *, int64_t, const float *, float *, int) noexcept nogil
        int64_t (*kept_f32)(const RtConvGeom *, int, int64_t *) noexcept nogil
        void (*keep_f32)(const RtConvGeom *, const float *, int, float *, int) noexcept nogil
        int64_t (*room_f32)(const RtConvGeom *, int, int, int) noexcept nogil
        int (*has_pairs)(const RtConvGeom *, int, int) noexcept nogil
        int (*forward_bf16)(const RtConvGeom *, const uint16_t *, const uint16_t *, const float *, uint16_t *, int, int) noexcept nogil
        int (*dinput_bf16)(const RtConvGeom *, const uint16_t *, const uint16_t *, const float *, uint16_t *, int, int) noexcept nogil
        int (*dweight_bf16)(const RtConvGeom *, const uint16_t *, const uint16_t *, uint16_t *, int, int) noexcept nogil
        int64_t (*kept_bf16)(const RtConvGeom *) noexcept nogil
        void (*keep_bf16)(const RtConvGeom *, const uint16_t *, int, uint32_t *, int) noexcept nogil
    const RtConvTable *rt_conv_pick(int level) noexcept nogil
    void rt_conv_forward_i64(const RtConvGeom *, const int64_t *, const int64_t *, const int64_t *, int64_t *) noexcept nogil
    void rt_conv_dinput_i64(const RtConvGeom *, const int64_t *, const int64_t *, const int64_t *, int64_t *) noexcept nogil

    enum:
        RT_LAST_X
        RT_LAST_W
        RT_LAST_Y
        RT_FAST
        RT_LIGHT
        RT_KEEPS

cdef enum:
    FORWARD = 0       # y = F(x, w); slots x, w
    DINPUT = 1        # gx = I(g, w); slots g, w
    DWEIGHT = 2       # gw = W(g, x); slots g, x


cdef bint fast = True           # products may be rearranged


def set_fast_convolution(bint on):
    """Let float32 convolutions with kernels of 3 to 5 taps use fewer products, with slightly larger rounding errors."""
    global fast
    fast = on


def get_fast_convolution():
    """Tell whether they may."""
    return fast


# ---- the three products ------------------------------------------------------------------------------
cdef TensorBase product(int mode, TensorBase a, TensorBase b, TensorBase bias, const RtConvGeom *geom, int nd, bint last):
    """One of the three products, recorded. nd: spatial dimensions of the tensors; last: results have their channels innermost."""
    cdef int64_t sh[5]
    cdef int i
    cdef TensorBase out
    cdef ConvolutionBackward0 node
    count_flops("convolution_backward" if in_backward else "convolution", flops_of(geom))
    if mode == DWEIGHT:
        sh[0] = geom.groups * geom.cout
        sh[1] = geom.cin
    else:
        sh[0] = geom.batch
        sh[1] = geom.groups * (geom.cout if mode == FORWARD else geom.cin)
    for i in range(nd):
        sh[2 + i] = geom.out[3 - nd + i] if mode == FORWARD else geom.in_[3 - nd + i] if mode == DINPUT else geom.kernel[3 - nd + i]
    out = empty_in_order(nd + 2, sh, a.dt, a.dev, last)
    together("convolution", a, b)
    if on_cpu(out):
        run_product(mode, a, b, bias, geom, nd, last, out)
    else:
        run_on_device("convolution", out, mode, a, b, bias, numbers_of(geom))
    if recording(a, b, bias):
        node = ConvolutionBackward0.__new__(ConvolutionBackward0)
        node.mode = mode
        node.nd = nd
        node.last = last
        node.geom = geom[0]                # without an epilogue: `normalized` does not record
        save(node, 0, a)
        save(node, 1, b)
        if bias is None:
            attach2(out, node, a, b)
        else:
            attach(out, node, (a, b, bias))
    return out


cdef tuple numbers_of(const RtConvGeom *c):
    cdef list numbers = [c.batch, c.groups, c.cin, c.cout]
    add_sizes(numbers, c.in_, 3)
    add_sizes(numbers, c.out, 3)
    add_sizes(numbers, c.kernel, 3)
    add_sizes(numbers, c.stride, 3)
    add_sizes(numbers, c.pad, 3)
    add_sizes(numbers, c.dilation, 3)
    return tuple(numbers)


cdef RtKept *kept_weights(TensorBase w, const RtConvGeom *geom, int orders, int threads):
    """The transformed weights that are kept from call to call, or NULL: Note [Kept operands] in kernels/kept.h."""
    cdef Wanted of
    cdef int level = isa_level()
    cdef const RtConvTable *table = rt_conv_pick(level)
    cdef int64_t n
    cdef int64_t which[2]
    cdef RtKept *kept
    cdef void *made
    if w.dt == RT_BF16:
        n, which[0], which[1] = table.kept_bf16(geom), <int64_t>1 << 41 | geom.kernel[0] << 20 | geom.kernel[1], 0
    else:
        n = table.kept_f32(geom, orders, which)
    if n == 0:
        return NULL
    memset(&of, 0, sizeof(of))
    of.key[2], of.key[3], of.key[4], of.key[5] = geom.cin, geom.cout, geom.groups, geom.kernel[2]
    of.key[6] = which[0] << 8 | (orders & RT_LAST_W)
    of.key[7] = which[1]
    kept = find_kept(w, KEPT_CONV, level, &of)
    if of.make:
        made = kept_room(<size_t>n * 4)
        if made is not NULL and w.dt == RT_BF16:
            table.keep_bf16(geom, <uint16_t *>w.ptr, orders, <uint32_t *>made, threads)
        elif made is not NULL:
            table.keep_f32(geom, <float *>w.ptr, orders, <float *>made, threads)
        kept = put_kept(w.stor, &of, made)
    return kept


# Note [Points]
# A kernel of one tap and stride 1 is a plain product of matrices, which the package's own product knows how to share among threads and how to cut. With
# channels innermost it is that of a linear layer; so is it in both orders where planes have a single pixel.
cdef bint is_point(const RtConvGeom *c, int orders) noexcept nogil:
    cdef int i
    cdef bint last = orders & RT_LAST_X != 0
    if c.groups != 1 or c.cin < 16 or c.cout < 16 or last != (orders & RT_LAST_Y != 0) or (last and (c.scale is not NULL or c.cut)):
        return False
    for i in range(3):
        if c.kernel[i] != 1 or c.stride[i] != 1 or c.pad[i] != 0:
            return False
    return True


cdef int run_point(int mode, const RtConvGeom *c, bint last, const float *a, const float *b, const float *bias, float *to, int threads,
                   const RtConvTable *table) noexcept nogil:
    """The product, of arrays in one order; 1: no memory."""
    cdef int64_t plane = c.out[0] * c.out[1] * c.out[2], rows = c.batch * plane, n, i = c.cin, o = c.cout
    cdef int rc = 0, split = -threads if fixed_split() else threads
    if mode == FORWARD and (last or plane == 1):
        rc = raw_product(RT_F32, 1, rows, o, i, a, 0, i, 1, b, 0, 1, i, to, 0, o, False, <const float *>NULL if c.scale is not NULL or c.cut else bias, split)
        if c.scale is not NULL or c.cut:
            table.finish_f32(to, <const float *>c.scale, bias, c.cut, rows, o, 1, threads)
    elif mode == FORWARD:
        rc = raw_product(RT_F32, c.batch, o, plane, i, b, 0, i, 1, a, i * plane, plane, 1, to, o * plane, plane, False, NULL, split)
        table.finish_f32(to, <const float *>c.scale, bias, c.cut, c.batch, o, plane, threads)
    elif mode == DINPUT and (last or plane == 1):
        rc = raw_product(RT_F32, 1, rows, i, o, a, 0, o, 1, b, 0, i, 1, to, 0, i, False, bias, split)
    elif mode == DINPUT:
        rc = raw_product(RT_F32, c.batch, i, plane, o, b, 0, 1, i, a, o * plane, plane, 1, to, i * plane, plane, False, NULL, split)
        table.finish_f32(to, NULL, bias, 0, c.batch, i, plane, threads)
    elif last or plane == 1:
        rc = raw_product(RT_F32, 1, o, i, rows, a, 0, 1, o, b, 0, i, 1, to, 0, i, False, NULL, split)
    else:
        for n in range(c.batch):
            rc |= raw_product(RT_F32, 1, o, i, plane, a + n * o * plane, 0, plane, 1, b + n * i * plane, 0, 1, plane, to, 0, i, n > 0, NULL, split)
    return rc != 0


# Note [Whole kernels]
# A kernel as large as its image has one window: every image is a row of a plain product, in the order that it lies in, and so is a transposed convolution of
# single pixels. A critic's last layer and a generator's first are such.
cdef bint is_spanning(const RtConvGeom *c, int orders) noexcept nogil:
    cdef int i
    if c.groups != 1 or c.kernel[0] * c.kernel[1] * c.kernel[2] < 2 or (orders & RT_LAST_X != 0) != (orders & RT_LAST_W != 0):
        return False
    for i in range(3):
        if c.kernel[i] != c.in_[i] or c.pad[i] != 0 or c.out[i] != 1:
            return False
    return True


cdef int run_spanning(int mode, const RtConvGeom *c, bint last, const float *a, const float *b, const float *bias, float *to, int threads,
                      const RtConvTable *table) noexcept nogil:
    """The product; 1: no memory."""
    cdef RtConvGeom row = c[0]
    cdef int64_t taps = c.kernel[0] * c.kernel[1] * c.kernel[2]
    cdef int i, rc
    row.cin *= taps
    for i in range(3):
        row.in_[i] = row.kernel[i] = row.stride[i] = row.dilation[i] = 1
    rc = run_point(mode, &row, True, a, b, <const float *>NULL if mode == DINPUT else bias, to, threads, table)
    if mode == DINPUT and last:
        table.finish_f32(to, NULL, bias, 0, c.batch * taps, c.cin, 1, threads)
    elif mode == DINPUT:
        table.finish_f32(to, NULL, bias, 0, c.batch, c.cin, taps, threads)
    return rc


cdef int run_whole(int mode, const RtConvGeom *c, int64_t most, const float *a, const float *b, const float *bias, float *to, float *columns,
                   int threads, const RtConvTable *table) noexcept nogil:
    """A product by Note [Whole columns] in kernels/conv_whole.h, `most` images at once; columns: room for kn + cout rows of their pixels. 1: no memory."""
    cdef int64_t plane = c.out[0] * c.out[1] * c.out[2], size = c.in_[0] * c.in_[1] * c.in_[2], kn = c.cin * c.kernel[0] * c.kernel[1] * c.kernel[2], n
    cdef int64_t o = c.cout, many = 0, wide
    cdef int rc = 0, split = -threads if fixed_split() else threads
    cdef float *rows
    n = 0
    while n < c.batch:
        many = c.batch - n if c.batch - n < most else most
        wide = many * plane
        rows = columns + kn * most * plane
        if mode != DINPUT:
            rc |= table.whole_columns(c, (a if mode == FORWARD else b) + n * c.cin * size, many, columns, threads)
        if mode == FORWARD:
            if many == 1:
                rows = to + n * o * plane
            rc |= raw_product(RT_F32, 1, o, wide, kn, b, 0, kn, 1, columns, 0, wide, 1, rows, 0, wide, False, NULL, split)
            if many > 1:
                table.whole_rows(to + n * o * plane, rows, o, many, plane, 1, threads)
            n += many
            continue
        if many == 1:
            rows = <float *>a + n * o * plane
        else:
            table.whole_rows(<float *>a + n * o * plane, rows, o, many, plane, 0, threads)
        if mode == DINPUT:
            rc |= raw_product(RT_F32, 1, kn, wide, o, b, 0, 1, kn, rows, 0, wide, 1, columns, 0, wide, False, NULL, split)
            rc |= table.whole_sums(c, columns, many, bias, to + n * c.cin * size, threads)
        else:
            rc |= raw_product(RT_F32, 1, o, kn, wide, rows, 0, wide, 1, columns, 0, 1, wide, to, 0, kn, n > 0, NULL, split)
        n += many
    if mode == FORWARD:
        table.finish_f32(to, <const float *>c.scale, bias, c.cut, c.batch, o, plane, threads)
    return rc != 0


# Note [Windows apart]
# Where windows neither overlap nor leave pixels out and channels are innermost, a row of pixels meets a row of taps in one product whose result is a row of
# the transposed convolution (or gradient) as it lies: as many products as the kernel has rows, and nothing to put in order.
cdef bint is_apart(const RtConvGeom *c) noexcept nogil:
    cdef int i
    for i in range(3):
        if c.kernel[i] != c.stride[i] or c.pad[i] != 0 or c.in_[i] != c.out[i] * c.stride[i]:
            return False
    return c.kernel[0] == 1 and c.groups == 1 and c.out[2] >= 12


cdef int run_apart(const RtConvGeom *c, const float *g, const float *w, const float *bias, float *to, float *biases, int threads) noexcept nogil:
    """The product; biases: room for those of a row of taps. 1: no memory."""
    cdef int64_t n = c.kernel[2] * c.cin, row = c.out[2] * n, k, i
    cdef int rc = 0, split = -threads if fixed_split() else threads
    if bias is not NULL:
        for i in range(n):
            biases[i] = bias[i % c.cin]
    for k in range(c.kernel[1]):
        rc |= raw_product(RT_F32, c.batch * c.out[0] * c.out[1], c.out[2], n, c.cout, g, c.out[2] * c.cout, c.cout, 1, w + k * n, 0, c.kernel[1] * n, 1,
                          to + k * row, c.kernel[1] * row, n, False, <const float *>NULL if bias is NULL else biases, split)
    return rc != 0


cdef int run_whole_last(int mode, const RtConvGeom *c, int64_t most, const float *a, const float *b, const float *bias, float *to, float *columns,
                        int threads, const RtConvTable *table) noexcept nogil:
    """A product by Note [Whole columns, channels last] in kernels/conv_whole.h; columns: room for kn rows of `most` images' pixels. 1: no memory."""
    cdef int64_t plane = c.out[0] * c.out[1] * c.out[2], size = c.in_[0] * c.in_[1] * c.in_[2] * c.cin, kn = c.cin * c.kernel[0] * c.kernel[1] * c.kernel[2]
    cdef int64_t o = c.cout, n = 0, many, wide
    cdef int rc = 0, split = -threads if fixed_split() else threads
    while n < c.batch:
        many = c.batch - n if c.batch - n < most else most
        wide = many * plane
        if mode != DINPUT:
            table.whole_last_columns(c, (a if mode == FORWARD else b) + n * size, many, columns, threads)
        if mode == FORWARD:
            rc |= raw_product(RT_F32, 1, wide, o, kn, columns, 0, kn, 1, b, 0, 1, kn, to + n * plane * o, 0, o, False, NULL, split)
        elif mode == DINPUT:
            rc |= raw_product(RT_F32, 1, wide, kn, o, a + n * plane * o, 0, o, 1, b, 0, kn, 1, columns, 0, kn, False, NULL, split)
            table.whole_last_sums(c, columns, many, bias, to + n * size, threads)
        else:
            rc |= raw_product(RT_F32, 1, o, kn, wide, a + n * plane * o, 0, 1, o, columns, 0, kn, 1, to, 0, kn, n > 0, NULL, split)
        n += many
    if mode == FORWARD:
        table.finish_f32(to, <const float *>c.scale, bias, c.cut, c.batch * plane, o, 1, threads)
    return rc != 0


# Note [bfloat16]
# Where the processor has dots of bfloat16 pairs, products are recorded as what they are, and each is made by these dots or through float32 copies, whichever
# is faster (has_pairs). Other machines convert in front of the product and behind it, by recorded operators: conv() below.
cdef bint is_paired(TensorBase t) noexcept:
    return t.dt == RT_BF16 and on_cpu(t) and rt_conv_pick(isa_level()).has_pairs(NULL, 0, 0) >= 0


cdef int run_by_float32(int mode, TensorBase a, TensorBase b, TensorBase bias, const RtConvGeom *geom, int nd, bint last, TensorBase out) except -1:
    cdef TensorBase to = empty_in_order(nd + 2, out.sh, RT_F32, out.dev, last)
    run_product(mode, cast_raw(a, RT_F32), cast_raw(b, RT_F32), None if bias is None else cast_raw(bias, RT_F32), geom, nd, last, to)
    copy_raw(out, to)
    return 0


cdef int run_paired(int mode, TensorBase a, TensorBase b, TensorBase bias, const RtConvGeom *given, int nd, bint last, TensorBase out) except -1:
    """The CPU's loops of bfloat16. bias: of bfloat16 or float32."""
    cdef const RtConvTable *table = rt_conv_pick(isa_level())
    cdef RtConvGeom own = given[0]
    cdef RtConvGeom *geom = &own
    cdef int rc, kind, threads = num_threads(), orders = orders_of(mode, a, b, bias, last)
    cdef TensorBase ac, bc, kc
    cdef float *k = NULL
    cdef RtKept *kept = NULL
    kind = table.has_pairs(geom, mode, orders | RT_LAST_X | RT_LAST_Y if last else orders)
    if not kind:
        return run_by_float32(mode, a, b, bias, given, nd, last, out)
    if bias is not None:
        kc = contiguous_raw(cast_raw(bias, RT_F32))
        k = <float *>kc.ptr
    if kind == 2:
        ac = in_order(a, True)
        bc = in_order(b, mode == DWEIGHT)
        orders |= RT_LAST_X | RT_LAST_Y
    else:
        ac = in_order(a, not is_contig(a))
        bc = in_order(b, not is_contig(b))
        orders |= order_bit(mode, 0, ac) | order_bit(mode, 1, bc) | order_bit(mode, 2, out)
    if kind == 1 and orders & RT_KEEPS and bc is b:
        kept = kept_weights(b, geom, orders, threads)
        if kept is not NULL:
            own.packed = kept.data
    with nogil:
        if mode == FORWARD:
            rc = table.forward_bf16(geom, <uint16_t *>ac.ptr, <uint16_t *>bc.ptr, k, <uint16_t *>out.ptr, orders, threads)
        elif mode == DINPUT:
            rc = table.dinput_bf16(geom, <uint16_t *>ac.ptr, <uint16_t *>bc.ptr, k, <uint16_t *>out.ptr, orders, threads)
        else:
            rc = table.dweight_bf16(geom, <uint16_t *>ac.ptr, <uint16_t *>bc.ptr, <uint16_t *>out.ptr, orders, threads)
    if kept is not NULL:
        rt_kept_done(kept)
    if rc == 2:
        return run_by_float32(mode, a, b, bias, given, nd, last, out)
    if rc:
        no_memory("conv")
    return 0


cdef int orders_of(int mode, TensorBase a, TensorBase b, TensorBase bias, bint last) noexcept:
    """What a product may do, RT_FAST and the like."""
    if not fast or fixed_split():
        return 0
    if mode != FORWARD or not (a.dt == RT_F32 or a.dt == RT_BF16) or in_backward or recording(a, b, bias):
        return RT_FAST
    return RT_FAST | RT_LIGHT | (RT_KEEPS if may_keep(b) and (is_contig(b) or last) else 0)


cdef int run_product(int mode, TensorBase a, TensorBase b, TensorBase bias, const RtConvGeom *given, int nd, bint last, TensorBase out) except -1:
    """The CPU's loops."""
    cdef const RtConvTable *table = rt_conv_pick(isa_level())
    cdef RtConvGeom own = given[0]
    cdef RtConvGeom *geom = &own
    cdef int rc, kind, threads = num_threads(), orders = orders_of(mode, a, b, bias, last)
    cdef TensorBase ac, bc, kc = None, to = out
    cdef void *k = NULL
    cdef RtKept *kept = NULL
    cdef TensorBase columns = None
    cdef int64_t many = 0, apart = 0, size
    cdef bint spanning
    if a.dt == RT_BF16:
        return run_paired(mode, a, b, bias, given, nd, last, out)
    own.gemm = gemm_table()
    if bias is not None:
        kc = contiguous_raw(bias)
        k = kc.ptr
    kind = table.has_last(geom, mode, orders) if last and a.dt != RT_I64 else 0
    if last and a.dt == RT_F32 and not is_spanning(geom, 0) and (mode == DWEIGHT or in_order(b, True) is b):
        apart = table.whole_last_images(geom, mode, kind, orders)
    if kind == 2 or apart:
        ac = in_order(a, True)
        bc = in_order(b, True)
        orders |= RT_LAST_X | RT_LAST_Y
    elif kind:
        # each array in the order that it has
        ac = in_order(a, not is_contig(a))
        bc = in_order(b, not is_contig(b))
        orders |= order_bit(mode, 0, ac) | order_bit(mode, 1, bc) | order_bit(mode, 2, out)
    else:
        ac = contiguous_raw(a)
        bc = contiguous_raw(b)
        if last:
            to = empty(nd + 2, out.sh, a.dt, a.dev)
    spanning = a.dt == RT_F32 and is_spanning(geom, orders)
    if orders & RT_KEEPS and not (spanning or apart):
        if bc is b:
            kept = kept_weights(b, geom, orders, threads)
            if kept is not NULL:
                own.packed = kept.data
        else:
            orders &= ~RT_KEEPS
    if apart:
        size = apart * geom.out[0] * geom.out[1] * geom.out[2] * geom.cin * geom.kernel[0] * geom.kernel[1] * geom.kernel[2]
        columns = empty(1, &size, RT_F32, a.dev)
    elif a.dt == RT_F32 and not spanning:
        many = table.whole_images(geom, mode, orders)
        if many > 0:
            size = many * geom.out[0] * geom.out[1] * geom.out[2] * (geom.cin * geom.kernel[0] * geom.kernel[1] * geom.kernel[2] + geom.cout)
            columns = empty(1, &size, RT_F32, a.dev)
        else:
            size = table.room_f32(geom, mode, orders, threads)
            if size > 0:
                columns = empty(1, &size, RT_F32, a.dev)
                own.room = columns.ptr
    with nogil:
        rc = 0
        if a.dt == RT_I64:
            if mode == FORWARD:
                rt_conv_forward_i64(geom, <int64_t *>ac.ptr, <int64_t *>bc.ptr, <int64_t *>k, <int64_t *>to.ptr)
            else:
                rt_conv_dinput_i64(geom, <int64_t *>ac.ptr, <int64_t *>bc.ptr, <int64_t *>k, <int64_t *>to.ptr)
        elif spanning:
            rc = run_spanning(mode, geom, orders & RT_LAST_X, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, threads, table)
        elif apart and mode == DINPUT and is_apart(geom):
            rc = run_apart(geom, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, <float *>columns.ptr, threads)
        elif apart:
            rc = run_whole_last(mode, geom, apart, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, <float *>columns.ptr, threads, table)
        elif a.dt == RT_F32 and many > 0:
            rc = run_whole(mode, geom, many, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, <float *>columns.ptr, threads, table)
        elif a.dt == RT_F32 and is_point(geom, orders):
            rc = run_point(mode, geom, orders & RT_LAST_X, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, threads, table)
        elif a.dt == RT_F32:
            if mode == FORWARD:
                rc = table.forward_f32(geom, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, orders, threads)
            elif mode == DINPUT:
                rc = table.dinput_f32(geom, <float *>ac.ptr, <float *>bc.ptr, <float *>k, <float *>to.ptr, orders, threads)
            else:
                rc = table.dweight_f32(geom, <float *>ac.ptr, <float *>bc.ptr, <float *>to.ptr, orders, threads)
        else:
            if mode == FORWARD:
                rc = table.forward_f64(geom, <double *>ac.ptr, <double *>bc.ptr, <double *>k, <double *>to.ptr, orders, threads)
            elif mode == DINPUT:
                rc = table.dinput_f64(geom, <double *>ac.ptr, <double *>bc.ptr, <double *>k, <double *>to.ptr, orders, threads)
            else:
                rc = table.dweight_f64(geom, <double *>ac.ptr, <double *>bc.ptr, <double *>to.ptr, orders, threads)
    if kept is not NULL:
        rt_kept_done(kept)
    if to is not out:
        copy_raw(out, to)
    if rc:
        no_memory("conv")
    return 0


cdef bint in_backward = False              # the products that are made are a gradient's


cdef int64_t flops_of(const RtConvGeom *geom) noexcept:
    """Multiplications and additions of a convolution and of either gradient, places of the padding included, as PyTorch counts."""
    cdef int64_t n = 2 * geom.batch * geom.groups * geom.cout * geom.cin
    cdef int i
    for i in range(3):
        n *= geom.out[i] * geom.kernel[i]
    return n


cdef int order_bit(int mode, int slot, TensorBase t) noexcept:
    """RT_LAST_* of the array in slot 0, 1 (operands) or 2 (result) of a product, when its channels are innermost."""
    cdef int role = slot if mode == FORWARD else 2 - slot if mode == DINPUT else (slot + 2) % 3
    if is_contig(t):
        return 0
    return RT_LAST_X if role == 0 else RT_LAST_W if role == 1 else RT_LAST_Y


cdef object bias_gradient(TensorBase g):
    """Sum over everything but the channels."""
    cdef const RtConvTable *table = rt_conv_pick(isa_level())
    cdef TensorBase gc, out
    cdef int64_t plane = 1
    cdef int i, threads = num_threads()
    cdef bint last
    if by_float32(g) and not (grad_mode() and g.rg):
        return cast_raw(bias_gradient(cast_raw(g, RT_F32)), g.dt)
    if (grad_mode() and g.rg) or not on_cpu(g):
        return (<object>g).sum([0] + list(range(2, g.nd)))
    last = suggests_last(g)
    gc = in_order(g, last)
    out = empty(1, &g.sh[1], g.dt, g.dev)
    for i in range(2, g.nd):
        plane *= g.sh[i]
    with nogil:
        if last and g.dt == RT_F32:
            table.dbias_last_f32(<float *>gc.ptr, <float *>out.ptr, gc.sh[0] * plane, gc.sh[1], threads)
        elif last:
            table.dbias_last_f64(<double *>gc.ptr, <double *>out.ptr, gc.sh[0] * plane, gc.sh[1], threads)
        elif g.dt == RT_F32:
            table.dbias_f32(<float *>gc.ptr, <float *>out.ptr, gc.sh[0], gc.sh[1], plane, threads)
        else:
            table.dbias_f64(<double *>gc.ptr, <double *>out.ptr, gc.sh[0], gc.sh[1], plane, threads)
    return out


cdef tuple both_gradients(TensorBase g, TensorBase x, TensorBase w, const RtConvGeom *geom):
    """Both gradients of a convolution in one pass, or None: its shape has none, or they are recorded."""
    cdef const RtConvTable *table = rt_conv_pick(isa_level())
    cdef TensorBase gc, xc, wc, dx, dw
    cdef int rc, threads = num_threads()
    if geom.cin != 1 or geom.cout != 1 or not on_cpu(g) or not (g.dt == RT_F32 or g.dt == RT_F64) or x.dt != g.dt or w.dt != g.dt or recording(g, x, w):
        return None
    dx, dw = empty(x.nd, x.sh, x.dt, x.dev), empty(w.nd, w.sh, w.dt, w.dev)
    gc, xc, wc = contiguous_raw(g), contiguous_raw(x), contiguous_raw(w)
    with nogil:
        if g.dt == RT_F32:
            rc = table.both_f32(geom, <float *>gc.ptr, <float *>xc.ptr, <float *>wc.ptr, <float *>dx.ptr, <float *>dw.ptr, threads)
        else:
            rc = table.both_f64(geom, <double *>gc.ptr, <double *>xc.ptr, <double *>wc.ptr, <double *>dx.ptr, <double *>dw.ptr, threads)
    if rc == 2:
        return None
    if rc:
        no_memory("conv")
    count_flops("convolution_backward", 2 * flops_of(geom))
    return dx, dw


cdef class ConvolutionBackward0(Node):
    cdef RtConvGeom geom
    cdef int mode, nd
    cdef bint last

    cdef object apply(self, object g_):
        global in_backward
        cdef bint before = in_backward
        in_backward = True
        try:
            return self.gradients(<TensorBase?>g_)
        finally:
            in_backward = before

    cdef object gradients(self, TensorBase g):
        cdef TensorBase a = saved(self, 0), b = saved(self, 1)
        cdef object da = None, db = None, dbias = None
        cdef tuple both = None
        if self.mode == FORWARD:
            if not self.last and wants_edge(self, 0) and wants_edge(self, 1):
                both = both_gradients(g, a, b, &self.geom)
            if both is not None:
                da, db = both
            elif wants_edge(self, 0):
                da = product(DINPUT, g, b, None, &self.geom, self.nd, self.last)
            if both is None and wants_edge(self, 1):
                db = product(DWEIGHT, g, a, None, &self.geom, self.nd, self.last)
        elif self.mode == DINPUT:
            if wants_edge(self, 0):
                da = product(FORWARD, g, b, None, &self.geom, self.nd, self.last)
            if wants_edge(self, 1):
                db = product(DWEIGHT, a, g, None, &self.geom, self.nd, self.last)
        else:
            if wants_edge(self, 0):
                da = product(FORWARD, b, g, None, &self.geom, self.nd, self.last)
            if wants_edge(self, 1):
                db = product(DINPUT, a, g, None, &self.geom, self.nd, self.last)
        if self.n_edges == 2:
            return da, db
        if wants_edge(self, 2):
            dbias = bias_gradient(g)
        return da, db, dbias

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef RtConvGeom geom = self.geom
        cdef TensorBase flat
        if self.mode == DWEIGHT or wants_edge(self, 1):
            return NotImplemented                  # gradients of weights are one product each
        geom.batch *= n
        flat = <TensorBase?>g.flatten(0, 1)
        da = product(DINPUT if self.mode == FORWARD else FORWARD, flat, saved(self, 1), None, &geom, self.nd, self.last)
        da = (<object>da).unflatten(0, (n, self.geom.batch))
        if self.n_edges == 2:
            return da, None
        return da, None, g.flatten(3).sum((1, 3)) if wants_edge(self, 2) else None


# ---- reading arguments -------------------------------------------------------------------------------
cdef object check(object op, TensorBase x, TensorBase w, TensorBase b, int n, int64_t groups, bint transposed):
    """Dimensions, dtypes and channels that must agree."""
    cdef int64_t channels, outputs
    cdef int i
    if w.nd != n + 2:
        raise ShapeError(f"{op}: expected weight to be {n + 2}-dimensional, but got weight of size {sizes_text(w)}", op=op)
    if x.nd != n + 2:
        raise ShapeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {op}, but got input of size: "
                         f"{sizes_text(x)}", op=op)
    if x.dt != w.dt:
        raise DTypeError(f"{op}: Input type ({dtype_text(x)}) and weight type ({dtype_text(w)}) should be the same", op=op)
    together(op, x, w)
    together(op, x, b)
    if groups <= 0:
        raise ShapeError(f"{op}: non-positive groups is not supported, got {groups}", op=op)
    channels = w.sh[0] if transposed else w.sh[1] * groups
    outputs = w.sh[1] * groups if transposed else w.sh[0]
    if w.sh[0] < groups:
        raise ShapeError(f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of "
                         f"size {sizes_text(w)} instead", op=op)
    if w.sh[0] % groups:
        raise ShapeError(f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight "
                         f"of size {sizes_text(w)} instead", op=op)
    if x.sh[1] != channels:
        raise ShapeError(f"Given {'transposed=1' if transposed else f'groups={groups}'}, weight of size {sizes_text(w)}, "
                         f"expected input{sizes_text(x)} to have {channels} channels, but got {x.sh[1]} channels instead", op=op)
    for i in range(n):
        if w.sh[2 + i] == 0:
            raise ShapeError(f"{op}: expected a kernel of at least one element in each dimension, but got weight of size {sizes_text(w)}", op=op)
    if b is not None:
        if b.dt != x.dt:
            raise DTypeError(f"{op}: Input type ({dtype_text(x)}) and bias type ({dtype_text(b)}) should be the same", op=op)
        if b.nd != 1 or b.sh[0] != outputs:
            raise ShapeError(f"Given weight of size {sizes_text(w)}, expected bias to be 1-dimensional with {outputs} "
                             f"elements, but got bias of size {sizes_text(b)} instead", op=op)
    return None


cdef int read_geometry(object op, int n, object stride, object padding, object dilation, TensorBase w, RtConvGeom *c,
                       int64_t *back) except -1:
    """stride, padding, dilation, kernel of the last n of three dimensions; `back`: padding behind."""
    cdef int i, f = 3 - n
    cdef int64_t total
    c.scale = c.packed = c.room = NULL
    c.cut = 0
    for i in range(3):
        c.in_[i] = c.out[i] = c.kernel[i] = c.stride[i] = c.dilation[i] = 1
        c.pad[i] = back[i] = 0
    read_sizes(op, "stride", stride, n, &c.stride[f])
    read_sizes(op, "dilation", dilation, n, &c.dilation[f])
    for i in range(f, 3):
        c.kernel[i] = w.sh[2 + i - f]
        if c.stride[i] <= 0:
            raise ShapeError(f"{op}: non-positive stride is not supported, got {stride}", op=op)
        if c.dilation[i] <= 0:
            raise ShapeError(f"{op}: dilation should be greater than zero, got {dilation}", op=op)
        if <double>c.dilation[i] * <double>c.kernel[i] > 2.0 ** 60:
            raise ShapeError(f"{op}: no input is as long as a kernel of {c.kernel[i]} elements with dilation {dilation}", op=op)
        if c.stride[i] > <int64_t>1 << 40:                   # no input is so long: there is one step, and its length counts for nothing
            c.stride[i] = <int64_t>1 << 40
    if isinstance(padding, str):
        if padding == "same":
            for i in range(f, 3):
                if c.stride[i] != 1:
                    raise ShapeError(f"{op}: padding='same' is not supported for strided convolutions", op=op)
                total = c.dilation[i] * (c.kernel[i] - 1)
                c.pad[i] = total // 2
                back[i] = total - c.pad[i]
        elif padding != "valid":
            raise ShapeError(f"{op}: Invalid padding string: '{padding}'; expected 'valid' or 'same'", op=op)
    else:
        read_sizes(op, "padding", padding, n, &c.pad[f])
        for i in range(f, 3):
            back[i] = c.pad[i]
            if c.pad[i] < 0:
                raise ShapeError(f"{op}: negative padding is not supported, got {padding}", op=op)
            if c.pad[i] > <int64_t>1 << 58:
                raise ShapeError(f"{op}: expected padding to be at most {1 << 58}, got {padding}", op=op)
    return 0


# Signals are convolved as images of one row where the weight has its channels innermost; the signals' own order counts for nothing, as in PyTorch.
cdef object seen_as_line(object image):
    line = image.squeeze(2)
    if (<TensorBase>line).fn is not None:
        call_node(<Node>(<TensorBase>line).fn, "ConvolutionBackward0")
    return line


cdef object conv(object op, int n, object input, object weight, object bias, object stride, object padding,
                 object dilation, int64_t groups, const void *scale=NULL, bint cut=False):
    cdef TensorBase x = as_base(op, "input", input), w = as_base(op, "weight", weight), b = None
    cdef RtConvGeom c
    cdef int64_t back[3]
    cdef int64_t span
    cdef int i, f = 3 - n
    cdef object out
    if bias is not None:
        b = as_base(op, "bias", bias)
    if x.nd == n + 1:
        return conv(op, n, input.unsqueeze(0), weight, bias, stride, padding, dilation, groups).squeeze(0)
    check(op, x, w, None if scale is not NULL else b, n, groups, False)      # shifts are of the factors' dtype; the caller looked
    if n == 1 and line_lies_last(w):
        return seen_as_line(conv("conv2d", 2, input.unsqueeze(2), weight.unsqueeze(2), bias, (1, one_of(stride)),
                                 padding if isinstance(padding, str) else (0, one_of(padding)), (1, one_of(dilation)), groups, scale, cut))
    if by_float32(x) and not is_paired(x):
        out = conv(op, n, float32_of(input), float32_of(weight), float32_of(bias), stride, padding, dilation, groups)
        return like_dtype(out, x.dt)
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        return complex_conv(op, n, False, input, weight, bias, stride, padding, 0, groups, dilation)
    if rt_kind(x.dt) == RT_KIND_INT and x.dt != RT_I64:
        return cast_raw(conv(op, n, cast_raw(x, RT_I64), cast_raw(w, RT_I64), None if b is None else cast_raw(b, RT_I64), stride, padding,
                             dilation, groups), x.dt)
    if x.dt != RT_I64 and not is_paired(x):
        need_float(op, x)
    read_geometry(op, n, stride, padding, dilation, w, &c, back)
    c.batch = x.sh[0]
    c.groups = groups
    c.cin = w.sh[1]
    c.cout = w.sh[0] // groups
    for i in range(f, 3):
        c.in_[i] = x.sh[2 + i - f]
        span = c.in_[i] + c.pad[i] + back[i] - c.dilation[i] * (c.kernel[i] - 1) - 1
        if span < 0:
            raise ShapeError(
                f"{op}: Calculated padded input size per channel: ({' x '.join(str(x.sh[2 + k] + c.pad[f + k] + back[f + k]) for k in range(n))}). "
                f"Kernel size: ({' x '.join(str(c.dilation[f + k] * (c.kernel[f + k] - 1) + 1) for k in range(n))}). "
                f"Kernel size can't be greater than actual input size", op=op)
        c.out[i] = span // c.stride[i] + 1
        if c.stride[i] > span + 1:                           # one step, and its length counts for nothing: work buffers are sized by it
            c.stride[i] = span + 1
    c.scale = scale
    c.cut = cut
    return product(FORWARD, x, w, b, &c, n, suggests_last(x) or suggests_last(w))


cdef object conv_transpose(object op, int n, object input, object weight, object bias, object stride, object padding,
                           object output_padding, int64_t groups, object dilation):
    cdef TensorBase x = as_base(op, "input", input), w = as_base(op, "weight", weight), b = None
    cdef RtConvGeom c
    cdef int64_t back[3]
    cdef int64_t extra[3]
    cdef int i, f = 3 - n
    cdef object out
    if bias is not None:
        b = as_base(op, "bias", bias)
    if x.nd == n + 1:
        return conv_transpose(op, n, input.unsqueeze(0), weight, bias, stride, padding, output_padding, groups, dilation).squeeze(0)
    check(op, x, w, b, n, groups, True)
    if w.sh[1] == 0:
        raise LengthError(f"{op}: a non-empty weight tensor is expected, but got weight of size {sizes_text(w)}", op=op)
    if n == 1 and line_lies_last(w):
        return seen_as_line(conv_transpose("conv_transpose2d", 2, input.unsqueeze(2), weight.unsqueeze(2), bias, (1, one_of(stride)), (0, one_of(padding)),
                                           (0, one_of(output_padding)), groups, (1, one_of(dilation))))
    if by_float32(x) and not is_paired(x):
        out = conv_transpose(op, n, float32_of(input), float32_of(weight), float32_of(bias), stride, padding, output_padding,
                             groups, dilation)
        return like_dtype(out, x.dt)
    if rt_kind(x.dt) == RT_KIND_COMPLEX:
        return complex_conv(op, n, True, input, weight, bias, stride, padding, output_padding, groups, dilation)
    if rt_kind(x.dt) == RT_KIND_INT and x.dt != RT_I64:
        return cast_raw(conv_transpose(op, n, cast_raw(x, RT_I64), cast_raw(w, RT_I64), None if b is None else cast_raw(b, RT_I64), stride,
                                       padding, output_padding, groups, dilation), x.dt)
    if x.dt != RT_I64 and not is_paired(x):
        need_float(op, x)
    read_geometry(op, n, stride, padding, dilation, w, &c, back)
    read_sizes(op, "output_padding", output_padding, n, &extra[f])
    c.batch = x.sh[0]
    c.groups = groups
    c.cin = w.sh[1]
    c.cout = w.sh[0] // groups
    for i in range(f, 3):
        c.out[i] = x.sh[2 + i - f]
        if extra[i] < 0 or (extra[i] >= c.stride[i] and extra[i] >= c.dilation[i]):
            raise ShapeError(f"{op}: output padding must be smaller than either stride or dilation, but got "
                             f"output_padding={output_padding}, stride={stride}, dilation={dilation}", op=op)
        c.in_[i] = (c.out[i] - 1) * c.stride[i] - 2 * c.pad[i] + c.dilation[i] * (c.kernel[i] - 1) + extra[i] + 1
        if c.in_[i] <= 0:
            raise ShapeError(f"{op}: Given input size per channel: {list(shape_tuple(x))[2:]}. Calculated output size per "
                             f"channel is too small in dimension {i - f}: {c.in_[i]}", op=op)
    return product(DINPUT, x, w, b, &c, n, suggests_last(x) or suggests_last(w))


cdef object complex_conv(object op, int n, bint transposed, object x, object w, object bias, object stride, object padding,
                         object output_padding, int64_t groups, object dilation):
    """(a + ib) * (c + id) from real convolutions."""
    cdef list parts = []
    cdef object p, q, out
    for p, q in ((x.real, w.real), (x.imag, w.imag), (x.real, w.imag), (x.imag, w.real)):
        if transposed:
            parts.append(conv_transpose(op, n, p, q, None, stride, padding, output_padding, groups, dilation))
        else:
            parts.append(conv(op, n, p, q, None, stride, padding, dilation, groups))
    out = parts[0] - parts[1] + (parts[2] + parts[3]) * 1j
    return out if bias is None else out + bias.reshape([-1] + [1] * n)


# ---- with what follows it in evaluation --------------------------------------------------------------
cdef bint is_vector(object t, int64_t n):
    return t is None or (isinstance(t, TensorBase) and (<TensorBase>t).nd == 1 and (<TensorBase>t).sh[0] == n
                         and on_cpu(<TensorBase>t) and ((<TensorBase>t).dt == RT_F32 or (<TensorBase>t).dt == RT_F64 or is_half(<TensorBase>t)))


cdef TensorBase vector_of(object t, int dt):
    return None if t is None else contiguous_raw(cast_raw(<TensorBase>t, dt))


cdef double at(TensorBase t, int64_t i) noexcept:
    return (<float *>t.ptr)[i] if t.dt == RT_F32 else (<double *>t.ptr)[i]


cdef int put(TensorBase t, int64_t i, double x) except -1:
    if t.dt == RT_F32:
        (<float *>t.ptr)[i] = <float>x
    else:
        (<double *>t.ptr)[i] = x
    return 0


def normalized(int n, input, weight, bias, stride, padding, dilation, int64_t groups, mean, var, gamma, beta, double eps, bint cut):
    """Convolve, normalize by fixed statistics and cut off what is negative, in one pass: what an evaluated layer, its normalization
    and its ReLU compute, within rounding.

    Args:
        n: spatial dimensions; then the convolution's arguments.
        mean, var, gamma, beta, eps: the normalization's (gamma and beta optional); mean None: there is none.
        cut: a ReLU follows.
    All tensors are of classes that override nothing (the caller looked).
    Returns:
        The result; NotImplemented where the steps have to be taken one by one: gradients are recorded, dtypes or shapes are not the usual
        ones, something looks at single calls, or products must not be rearranged (``set_fast_convolution(False)``).
    """
    cdef TensorBase x, w, b, m, v, g, h, factors, shifts
    cdef int64_t channels, i
    cdef int dt, given
    cdef double f
    if not fast or not unwatched() or profiling() or not isinstance(input, TensorBase) or not isinstance(weight, TensorBase):
        return NotImplemented
    x, w = <TensorBase>input, <TensorBase>weight
    given = x.dt
    channels = w.sh[0] if w.nd else 0
    if x.nd != n + 2 or w.nd != n + 2 or not on_cpu(x) or not on_cpu(w) or w.dt != given or not (given == RT_F32 or given == RT_F64 or is_half(x)):
        return NotImplemented
    if not is_vector(bias, channels) or bias is not None and (<TensorBase>bias).dt != given or recording(x, w, <TensorBase>bias):
        return NotImplemented
    if is_half(x) and not is_paired(x):
        input, weight, bias = float32_of(input), float32_of(weight), float32_of(bias)
    dt = RT_F64 if given == RT_F64 else RT_F32
    factors = shifts = None
    if mean is not None:
        if not is_vector(mean, channels) or not is_vector(var, channels) or not is_vector(gamma, channels) or not is_vector(beta, channels) \
                or recording(<TensorBase>gamma, <TensorBase>beta, None) or recording(<TensorBase>mean, <TensorBase>var, None):
            return NotImplemented
        b, m, v, g, h = vector_of(bias, dt), vector_of(mean, dt), vector_of(var, dt), vector_of(gamma, dt), vector_of(beta, dt)
        factors, shifts = empty(1, w.sh, dt, x.dev), empty(1, w.sh, dt, x.dev)
        for i in range(channels):
            f = 1.0 / sqrt(at(v, i) + eps)
            if g is not None:
                f *= at(g, i)
            put(factors, i, f)
            put(shifts, i, ((0.0 if b is None else at(b, i)) - at(m, i)) * f + (0.0 if h is None else at(h, i)))
        bias = shifts
    out = conv(f"conv{n}d", n, input, weight, bias, stride, padding, dilation, groups, NULL if factors is None else factors.ptr, cut)
    return out if (<TensorBase>out).dt == given else like_dtype(out, given)


# ---- public ------------------------------------------------------------------------------------------
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve signals.

    Args:
        input: (N, C, L) or (C, L).
        weight: (O, C / groups, K).
        bias: (O,) or None.
        stride, dilation: step of the kernel, and between its taps.
        padding: zeros at both ends, "valid" (none) or "same" (output as long as the input; stride 1).
        groups: channels are split into this many independent convolutions.
    Returns:
        (N, O, floor((L + 2*padding - dilation*(K - 1) - 1) / stride) + 1).
    Raises:
        ShapeError: sizes that do not fit.
    """
    return conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve images: input (N, C, H, W) or (C, H, W), weight (O, C / groups, KH, KW). See conv1d."""
    return conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Convolve volumes: input (N, C, D, H, W) or (C, D, H, W), weight (O, C / groups, KD, KH, KW). See conv1d."""
    return conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Apply the transposed convolution of signals (the gradient of conv1d with respect to its input).

    Args:
        input: (N, C, L) or (C, L).
        weight: (C, O / groups, K).
        bias: (O,) or None.
        output_padding: further size of the output on one side.
    Returns:
        (N, O, (L - 1)*stride - 2*padding + dilation*(K - 1) + output_padding + 1).
    """
    return conv_transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Apply the transposed convolution of images: weight (C, O / groups, KH, KW). See conv_transpose1d."""
    return conv_transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Apply the transposed convolution of volumes: weight (C, O / groups, KD, KH, KW). See conv_transpose1d."""
    return conv_transpose("conv_transpose3d", 3, input, weight, bias, stride, padding, output_padding, groups, dilation)


def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """Apply a convolution, transposed or not, of as many dimensions as ``weight`` has behind its first two."""
    cdef TensorBase w = as_base("convolution", "weight", weight)
    if w.nd < 3 or w.nd > 5:
        raise ShapeError(f"convolution: expected a weight of 3 to 5 dimensions, but got weight of size {sizes_text(w)}",
                         op="convolution")
    if transposed:
        return conv_transpose("convolution", w.nd - 2, input, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv("convolution", w.nd - 2, input, weight, bias, stride, padding, dilation, groups)


def conv_tbc(input, weight, bias, pad=0):
    """Convolve (time, batch, channel) signals: weight (K, C, O), bias (O,)."""
    cdef TensorBase x = as_base("conv_tbc", "input", input)
    if x.nd != 3:
        raise ShapeError(f"conv_tbc: expected a 3D input (time, batch, channel), but got input of size {sizes_text(x)}",
                         op="conv_tbc")
    return conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad).permute(2, 0, 1)


FUNCTIONS = {
    "conv1d": conv1d, "conv2d": conv2d, "conv3d": conv3d, "conv_transpose1d": conv_transpose1d,
    "conv_transpose2d": conv_transpose2d, "conv_transpose3d": conv_transpose3d, "convolution": convolution,
    "conv_tbc": conv_tbc,
}
METHODS = {}
