# build: isa=gemm.inc.c,int8.inc.c,bf16.inc.c sources=gemm.c blas
"""Matrix products: mm, bmm, matmul, linear, dot, addmm and their kin, with gradients.

Two recorded operators carry the family. ``gemm`` is op(a) @ op(b) on matrices or equal batches of
them; ``fold_mm`` is a (folded) stack of rows times one matrix, plus a bias row. Both take
transposition and conjugation as flags, so gradients are again the same operators with other flags:
no transposed copy and no view object is made.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from ._base cimport (TensorBase, RtArray, bump, empty, view_raw, fill_array, shape_tuple, as_base, grad_mode, attach, attach2, save, saved,
                     wants_edge, rt_itemsize, rt_kind, RT_BOOL, RT_F32, RT_F64, RT_F16, RT_BF16, RT_U8, RT_I8, RT_I32, RT_KIND_INT, RT_KIND_COMPLEX, F_CONTIG)
from ._kept cimport RtKept, Wanted, find_kept, put_kept, rt_kept_done, KEPT_LINEAR
from ._node cimport Node
from ._storage cimport Storage
from ._backend cimport backend_of, RtBackend, RT_NDEVICETYPES
from ._cpu cimport isa_level, fixed_split, rt_num_threads
from ._dtype cimport device_of, torch_name
from ._plan cimport contiguous_raw, copy_raw
from ._ops cimport alloc_out, cast, deliver, reduce_sum, binary, unary, unary_inplace
from . import _view
from ._devices import has_kernel, run as run_on_device
from ..errors import AutogradError, DTypeError, DeviceError, OutOfMemoryError, ShapeError, TooFewDimsError, UnsupportedOpError
include "_row_ids.pxi"

cdef extern from "gemm.h" nogil:
    ctypedef struct RtGemm:
        int dtype, threads, conj_a, conj_b
        int64_t batch, m, n, k
        const char *a
        const char *b
        const char *bias
        char *c
        int64_t a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, c_n
        double alpha[2]
        double beta[2]
        int64_t ialpha, ibeta
        const RtBackend *host
        int act
    const RtGemmTable *rt_gemm_pick(int level)
    int rt_gemm(const RtGemmTable *t, const RtGemm *g)
    int64_t rt_gemm_pass_from(int64_t most)
    void rt_blas_init()
    void rt_dot(const RtGemmTable *t, int dtype, int64_t n, const char *x, int64_t x_s, const char *y, int64_t y_s, int conj_x, char *out, int threads)
    int rt_int8(const RtGemmTable *t, int64_t m, int64_t n, int64_t k, const signed char *a, int64_t a_m, int64_t a_k, int unsign,
                const signed char *b, int64_t b_k, int64_t b_n, int *c, int threads)
    int rt_gemm_keeps(const RtGemmTable *t, const RtGemm *g)
    void *rt_gemm_keep(const RtGemmTable *t, const RtGemm *g)
    int rt_gemm_kept(const RtGemmTable *t, const RtGemm *g, const void *kept)
    int rt_colsum(const RtGemmTable *t, int dtype, int64_t m, int64_t n, const char *x, char *out)

rt_blas_init()


cdef const RtGemmTable *gemm_table() noexcept nogil:
    return rt_gemm_pick(isa_level())


cdef Num ONE
ONE.re, ONE.im, ONE.i = 1, 0, 1
cdef Num ZERO
ZERO.re, ZERO.im, ZERO.i = 0, 0, 0


cdef object as_number(Num x, int dt):
    if rt_kind(dt) <= RT_KIND_INT:
        return x.i
    return complex(x.re, x.im) if x.im != 0 else x.re


# ---- running ---------------------------------------------------------------------------------------
cdef object raise_status(object op, int status, int dev):
    if status == 1:
        raise OutOfMemoryError(f"{op}: no memory for a packed operand", op=op)
    if status == 2:
        raise UnsupportedOpError(f"{op}: this device or size has no matrix product", op=op)
    raise DeviceError(f"{op}: {backend_of(dev).last_error().decode()}", op=op)


cdef object raise_bool(object op):
    raise UnsupportedOpError(f"\"{op}\" not implemented for 'Bool'", op=op)


cdef object flop_hook = None               # fn(name, count), told of every product before it is made (`profiler._flops`); or None


def set_flop_hook(fn):
    """Call ``fn(name, count)`` for each product of matrices, convolution and attention: its name and multiplications and additions; None stops it."""
    global flop_hook
    flop_hook = fn


cdef int count_flops(str name, int64_t count) except -1:
    if flop_hook is not None:
        flop_hook(name, count)
    return 0


cdef int act_row(int act) noexcept:
    return ROW_RELU if act == RT_ACT_RELU else ROW_GELU_ERF if act == ACT_GELU_ERF else ROW_GELU_TANH


cdef int run(object op, RtGemm *g, TensorBase out, TensorBase a, TensorBase b, int act=RT_ACT_NONE) except -1:
    """Launch; pointers and strides of g are filled. `out`, `a`, `b` name the device only. 1: `act` was done, too."""
    cdef int status
    cdef const RtBackend *backend
    cdef RtArray x, y, z
    if flop_hook is not None and (a.nd > 1 and b.nd > 1 or g.bias is not NULL):                # as PyTorch: mv is not counted
        added = g.bias is not NULL or g.beta[0] != 0 or g.beta[1] != 0
        count_flops(("baddbmm" if added else "bmm") if g.batch > 1 else "addmm" if added else "mm", 2 * g.batch * g.m * g.n * g.k)
    g.dtype = out.dt
    if out.dt == RT_BOOL:
        raise_bool("addmm_impl_cpu_")
    if out.dev & 255 == 0:
        g.threads = 1
        g.act = -1
        g.host = backend_of(out.dev)
        if act != RT_ACT_NONE and RT_F16 <= out.dt <= RT_F64:
            g.act = act_row(act) * 4
        if g.m * g.n * g.k * g.batch > 32768:
            with nogil:
                g.threads = -rt_num_threads() if fixed_split() else rt_num_threads()
                status = rt_gemm(rt_gemm_pick(isa_level()), g)
        else:
            status = rt_gemm(rt_gemm_pick(isa_level()), g)
    else:
        backend = backend_of(out.dev)
        if backend.gemm is NULL:
            raise UnsupportedOpError(f"{op}: the device has no such matrix product", op=op)
        if g.bias is not NULL:
            raise UnsupportedOpError(f"{op}: the device has no fused bias", op=op)
        as_array(&x, g.a, out.dt, g.batch, g.m, g.k, g.a_z, g.a_m, g.a_k)
        as_array(&y, g.b, out.dt, g.batch, g.k, g.n, g.b_z, g.b_k, g.b_n)
        as_array(&z, g.c, out.dt, g.batch, g.m, g.n, g.c_z, g.c_m, g.c_n)
        status = backend.gemm(out.dev, &z, &x, &y, (1 if g.conj_a else 0) | (2 if g.conj_b else 0), g.alpha, g.beta)
        act = RT_ACT_NONE
    if status:
        raise_status(op, status, out.dev)
    return act != RT_ACT_NONE and g.act >= 0


cdef int raw_product(int dt, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_z, int64_t a_m, int64_t a_k, const void *b, int64_t b_z,
                     int64_t b_k, int64_t b_n, void *c, int64_t c_z, int64_t c_m, bint add, const void *bias, int threads) noexcept nogil:
    cdef RtGemm g
    g.dtype, g.threads, g.conj_a, g.conj_b, g.act, g.host = dt, threads, 0, 0, -1, NULL
    g.batch, g.m, g.n, g.k = batch, m, n, k
    g.a, g.b, g.c, g.bias = <const char *>a, <const char *>b, <char *>c, <const char *>bias
    g.a_z, g.a_m, g.a_k, g.b_z, g.b_k, g.b_n, g.c_z, g.c_m, g.c_n = a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, 1
    g.alpha[0], g.alpha[1], g.ialpha = 1, 0, 1
    g.beta[0], g.beta[1], g.ibeta = add, 0, add
    return rt_gemm(gemm_table(), &g)


cdef RtFusedGemm fused_doors[RT_NDEVICETYPES]
memset(fused_doors, 0, sizeof(fused_doors))

cdef int register_fused(int device_type, RtFusedGemm fused) except -1:
    fused_doors[device_type] = fused
    return 0


cdef int run_added(object op, RtGemm *g, RtArray *added, TensorBase out, TensorBase a, TensorBase b, int act) except -1:
    """Launch act(alpha a b + beta added) on a device that has such a product. 0: it has not, nothing was done; 1: launched; 2: `act` was done, too."""
    cdef int status
    cdef RtArray x, y, z
    cdef RtFusedGemm door = fused_doors[out.dev & 255]
    if door is NULL or out.dt == RT_BOOL:
        return 0
    as_array(&x, g.a, out.dt, g.batch, g.m, g.k, g.a_z, g.a_m, g.a_k)
    as_array(&y, g.b, out.dt, g.batch, g.k, g.n, g.b_z, g.b_k, g.b_n)
    as_array(&z, g.c, out.dt, g.batch, g.m, g.n, g.c_z, g.c_m, g.c_n)
    if act == ACT_GELU_ERF:                        # no device's door has it
        act = RT_ACT_NONE
    status = door(out.dev, &z, added, &x, &y, (1 if g.conj_a else 0) | (2 if g.conj_b else 0), g.alpha, g.beta, act)
    if status == 2:
        return 0
    if status:
        raise_status(op, status, out.dev)
    if flop_hook is not None:
        count_flops("baddbmm" if g.batch > 1 else "addmm", 2 * g.batch * g.m * g.n * g.k)
    return 2 if act != RT_ACT_NONE else 1


cdef void as_array(RtArray *x, const char *p, int dt, int64_t z, int64_t r, int64_t c, int64_t s_z, int64_t s_r, int64_t s_c) noexcept:
    x.data = <char *>p
    x.dtype = dt
    x.ndim = 3
    x.shape[0], x.shape[1], x.shape[2] = z, r, c
    x.strides[0], x.strides[1], x.strides[2] = s_z, s_r, s_c


cdef int batch_stride(TensorBase t, int64_t *stride) noexcept:
    """One stride that steps through all leading dimensions of t, if there is one."""
    cdef int i
    cdef int64_t expect = -1
    stride[0] = 0
    for i in range(t.nd - 3, -1, -1):
        if t.sh[i] == 1:
            continue
        if expect < 0:
            stride[0] = t.st[i]
            expect = t.st[i] * t.sh[i]
        elif t.st[i] != expect:
            return 0
        else:
            expect *= t.sh[i]
    return 1


cdef int multiply(object op, TensorBase out, TensorBase a, int opa, TensorBase b, int opb, Num alpha, Num beta, TensorBase added=None, int act=RT_ACT_NONE) except -1:
    """out = alpha * op(a) @ op(b) + beta * out. Last two dimensions are the matrices. `added`, of out's shape, is what beta multiplies instead of out.
    Returns 1 where `act` was done, too: in the same launch, or on each piece of the result while it is in a cache."""
    cdef RtGemm g
    cdef RtArray plus
    cdef int nd = out.nd, i
    cdef bint cplx = rt_kind(out.dt) == RT_KIND_COMPLEX
    if out.n == 0:
        return 0
    if not batch_stride(a, &g.a_z):
        a = contiguous_raw(a)
        batch_stride(a, &g.a_z)
    if not batch_stride(b, &g.b_z):
        b = contiguous_raw(b)
        batch_stride(b, &g.b_z)
    batch_stride(out, &g.c_z)
    g.batch = 1
    for i in range(nd - 2):
        g.batch *= out.sh[i]
    g.m, g.n = out.sh[nd - 2], out.sh[nd - 1]
    g.c_m, g.c_n = out.st[nd - 2], out.st[nd - 1]
    i = a.nd
    if opa & OP_T:
        g.k, g.a_m, g.a_k = a.sh[i - 2], a.st[i - 1], a.st[i - 2]
    else:
        g.k, g.a_m, g.a_k = a.sh[i - 1], a.st[i - 2], a.st[i - 1]
    i = b.nd
    if opb & OP_T:
        g.b_k, g.b_n = b.st[i - 1], b.st[i - 2]
    else:
        g.b_k, g.b_n = b.st[i - 2], b.st[i - 1]
    g.conj_a = cplx and opa & OP_C
    g.conj_b = cplx and opb & OP_C
    g.a, g.b, g.c = a.ptr, b.ptr, out.ptr
    g.bias = NULL
    g.alpha[0], g.alpha[1], g.ialpha = alpha.re, alpha.im, alpha.i
    g.beta[0], g.beta[1], g.ibeta = beta.re, beta.im, beta.i
    if added is not None:
        if out.dev & 255:
            as_array(&plus, added.ptr, out.dt, g.batch, g.m, g.n, added.st[0] if nd == 3 else 0, added.st[nd - 2], added.st[nd - 1])
            i = run_added(op, &g, &plus, out, a, b, act)
            if i:
                return i == 2
        elif nd == 2 and is_one(beta) and added.st[0] == 0 and (added.st[1] == 1 or g.n == 1) and (opa | opb) & OP_C == 0:
            g.bias = added.ptr                         # a row: added by the loops, no pass of its own
            g.beta[0], g.ibeta = 0, 0
        if g.bias is NULL:
            copy_raw(out, added)
    return run(op, &g, out, a, b, act)


cdef int fold_rows(TensorBase x, int64_t *m, int64_t *step) noexcept:
    """All dimensions of x but the last as m rows with one step; 0 when they have none."""
    cdef int i
    cdef int64_t expect
    m[0] = 1
    step[0] = x.sh[x.nd - 1]
    if x.nd == 1:
        return 1
    if x.flags & F_CONTIG:
        for i in range(x.nd - 1):
            m[0] *= x.sh[i]
        return 1
    expect = -1
    for i in range(x.nd - 2, -1, -1):
        m[0] *= x.sh[i]
        if x.sh[i] == 1:
            continue
        if expect < 0:
            step[0] = x.st[i]
            expect = x.st[i] * x.sh[i]
        elif x.st[i] != expect:
            return 0
        else:
            expect *= x.sh[i]
    return 1


# ---- gemm: matrices and equal batches ------------------------------------------------------------------
cdef TensorBase gemm_scaled(TensorBase a, int opa, TensorBase b, int opb, Num alpha):
    cdef int64_t sh[64]
    cdef int nd = a.nd
    cdef TensorBase out
    cdef GemmBackward node
    memcpy(sh, a.sh, (nd - 2) * sizeof(int64_t))
    sh[nd - 2] = a.sh[nd - 1] if opa & OP_T else a.sh[nd - 2]
    sh[nd - 1] = b.sh[nd - 2] if opb & OP_T else b.sh[nd - 1]
    out = empty(nd, sh, a.dt, a.dev)
    multiply("matmul", out, a, opa, b, opb, alpha, ZERO)
    if grad_mode() and (a.rg or b.rg):
        node = GemmBackward.__new__(GemmBackward)
        node.opa, node.opb, node.alpha = opa, opb, alpha
        if b.rg:
            save(node, 0, a)
        if a.rg:
            save(node, 1, b)
        node.batched = nd > 2
        attach2(out, node, a, b)
    return out


cdef TensorBase gemm(TensorBase a, int opa, TensorBase b, int opb):
    return gemm_scaled(a, opa, b, opb, ONE)


cdef object as_op(object x, int op):
    """op(x) by recorded operators."""
    x = x.mT if op & OP_T else x
    return x.conj() if op & OP_C else x


cdef object times(Num x, object t):
    return t if is_one(x) else binary(ROW_MUL, t, as_number(x, (<TensorBase>t).dt), None)


cdef class GemmBackward(Node):
    """y = alpha op(a) op(b). With x' = op applied twice = x and H = OP_T | OP_C:
    grad a = op_a(g op_b(b)^H), where an op that transposes turns the product round."""
    cdef int opa, opb
    cdef Num alpha
    cdef bint batched

    cdef object apply(self, object g_):
        cdef TensorBase g = <TensorBase>g_, a, b
        cdef object ga = None, gb = None
        cdef int other
        if wants_edge(self, 0):
            b = saved(self, 1)
            other = self.opb ^ OP_T ^ OP_C ^ self.opa
            if self.opa & OP_T:
                ga = gemm_scaled(b, other, g, self.opa, fit(self.alpha, self.opa))
            else:
                ga = gemm_scaled(g, self.opa, b, other, fit(self.alpha, self.opa))
        if wants_edge(self, 1):
            a = saved(self, 0)
            other = self.opa ^ OP_T ^ OP_C ^ self.opb
            if self.opb & OP_T:
                gb = gemm_scaled(g, self.opb, a, other, fit(self.alpha, self.opb))
            else:
                gb = gemm_scaled(a, other, g, self.opb, fit(self.alpha, self.opb))
        return ga, gb

    cdef object own_name(self):
        return "BmmBackward0" if self.batched else "MmBackward0"

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef object ga = None, gb = None
        if wants_edge(self, 0):
            ga = as_op(times(conj(self.alpha), matmul(g, as_op(saved(self, 1), self.opb ^ OP_T ^ OP_C))), self.opa)
        if wants_edge(self, 1):
            gb = as_op(times(conj(self.alpha), matmul(as_op(saved(self, 0), self.opa ^ OP_T ^ OP_C), g)), self.opb)
        return ga, gb


cdef inline Num fit(Num alpha, int op) noexcept:
    """The factor of a gradient: conj(alpha), conjugated again where op conjugates the result."""
    return alpha if op & OP_C else conj(alpha)


# ---- fold_mm: rows times one matrix, plus a bias row ------------------------------------------------------
cdef TensorBase fold_mm(TensorBase x, TensorBase w, int opw, TensorBase bias):
    cdef int64_t sh[64]
    cdef int64_t m, step
    cdef int nd = x.nd
    cdef TensorBase out
    cdef RtGemm g
    cdef FoldBackward node
    memcpy(sh, x.sh, (nd - 1) * sizeof(int64_t))
    sh[nd - 1] = w.sh[0] if opw & OP_T else w.sh[1]
    out = empty(nd, sh, x.dt, x.dev)
    rows(out, x, w, opw, bias)
    if grad_mode() and (x.rg or w.rg or (bias is not None and bias.rg)):
        node = FoldBackward.__new__(FoldBackward)
        node.opw = opw
        if w.rg:
            save(node, 0, x)
        if x.rg:
            save(node, 1, w)
        if bias is None:
            attach2(out, node, x, w)
        else:
            attach(out, node, (x, w, bias))
    return out


cdef int rows(TensorBase out, TensorBase x, TensorBase w, int opw, TensorBase bias, int act=RT_ACT_NONE) except -1:
    """out = fold(x) @ op(w) + bias; out is contiguous. 1: `act` was done, too."""
    cdef RtGemm g
    cdef int done
    cdef RtArray added
    cdef int64_t step
    if out.n == 0:
        return 0
    if not fold_rows(x, &g.m, &step):
        x = contiguous_raw(x)
        fold_rows(x, &g.m, &step)
    g.batch = 1
    g.k = x.sh[x.nd - 1]
    g.n = out.sh[out.nd - 1]
    g.a, g.a_z, g.a_m, g.a_k = x.ptr, 0, step, x.st[x.nd - 1]
    g.b, g.b_z = w.ptr, 0
    if opw & OP_T:
        g.b_k, g.b_n = w.st[1], w.st[0]
    else:
        g.b_k, g.b_n = w.st[0], w.st[1]
    g.c, g.c_z, g.c_m, g.c_n = out.ptr, 0, g.n, 1
    g.conj_a = 0
    g.conj_b = opw & OP_C and rt_kind(out.dt) == RT_KIND_COMPLEX
    g.alpha[0], g.alpha[1], g.ialpha = 1, 0, 1
    g.beta[0], g.beta[1], g.ibeta = 0, 0, 0
    g.bias = NULL
    if bias is not None:
        if out.dev & 255 == 0:
            bias = contiguous_raw(bias)
            g.bias = bias.ptr
        else:
            g.beta[0], g.ibeta = 1, 1
            as_array(&added, bias.ptr, out.dt, 1, g.m, g.n, 0, 0, bias.st[0])
            done = run_added("linear", &g, &added, out, x, w, act)
            if done:
                return done == 2
            copy_raw(out, bias)
    if out.dev & 255 == 0 and may_keep(w):
        done = run_kept(&g, out, w, act)
        if done:
            return done == 2
    return run("linear", &g, out, x, w, act)


# ---- weights that stay packed: Note [Kept operands] in kernels/kept.h ---------------------------------------
cdef int64_t keep_least = 1 << 12, keep_most = 1 << 24      # bytes of a weight


def set_prepack_limit(int64_t nbytes):
    """Set the size in bytes up to which weights are kept packed; 0: none are."""
    global keep_most
    keep_most = nbytes


def get_prepack_limit():
    """Return the size in bytes up to which weights are kept packed."""
    return keep_most


def passes_from(int64_t macs=-1):
    """Return from how many multiply-adds threads share one packed operand of a product (Note [Passes or parts] in kernels/gemm_passes.h);
    `macs` sets another number where it is not negative."""
    return rt_gemm_pass_from(macs)


def is_prepacked(weight):
    """Tell whether a packed form of the memory of a weight is there (it may be out of date)."""
    cdef TensorBase w = as_base("is_prepacked", "weight", weight)
    return w.stor.kept is not NULL and (<RtKept *>w.stor.kept).data is not NULL


def write_count(tensor):
    """Return how often the memory under a tensor was written to."""
    return as_base("write_count", "tensor", tensor).stor.writes


cdef bint may_keep(TensorBase w) noexcept:
    return (w.stor.got != 0 and w.stor.exports == 0 and w.n * rt_itemsize(w.dt) >= keep_least and w.n * rt_itemsize(w.dt) <= keep_most
            and not (w.rg and grad_mode()))


cdef int run_kept(RtGemm *g, TensorBase out, TensorBase w, int act) except -1:
    """run() for a product with a weight's packed form. 0: none is there, nothing was done; 1: done; 2: `act` was done, too."""
    cdef Wanted of
    cdef int level = isa_level(), status
    cdef const RtGemmTable *table = rt_gemm_pick(level)
    cdef RtKept *kept
    cdef void *made
    cdef Storage s = w.stor                # lives as long as it is read, whatever another thread makes of w
    g.dtype = out.dt
    g.act = act_row(act) * 4 if act != RT_ACT_NONE and RT_F16 <= out.dt <= RT_F64 else -1
    g.threads = 1
    if g.m * g.n * g.k > 32768:
        g.threads = -rt_num_threads() if fixed_split() else rt_num_threads()
    if flop_hook is not None or not rt_gemm_keeps(table, g):
        return 0
    memset(&of, 0, sizeof(of))
    of.key[2], of.key[3], of.key[4], of.key[5] = g.k, g.n, g.b_k, g.b_n
    kept = find_kept(w, KEPT_LINEAR, level, &of)
    if of.make:
        with nogil:
            made = rt_gemm_keep(table, g)
        kept = put_kept(s, &of, made)
    if kept is NULL:
        return 0
    g.host = backend_of(out.dev)
    with nogil:
        status = rt_gemm_kept(table, g, kept.data)
    rt_kept_done(kept)
    if status:
        raise_status("linear", status, out.dev)
    return 1 if act == RT_ACT_NONE else 2


cdef class FoldBackward(Node):
    """y = fold(x) op(w) + bias: grad x = g op(w)^H; grad w = op(fold(x)^H fold(g)); grad bias = sum of g's rows."""
    cdef int opw

    cdef object apply(self, object g_):
        cdef TensorBase g = <TensorBase>g_, x, w
        cdef object gx = None, gw = None, gb = None
        cdef int turned = self.opw ^ OP_T ^ OP_C
        if grad_mode() and (g.rg or (self.s0 is not None and (<TensorBase>self.s0).rg) or (self.s1 is not None and (<TensorBase>self.s1).rg)):
            return self.apply_recorded(g)
        g = contiguous_raw(g)
        if wants_edge(self, 0):
            w = saved(self, 1)
            gx = fold_mm(g, w, turned, None)
        if wants_edge(self, 1):
            x = saved(self, 0)
            gw = self.weight_grad(x, g)
        if self.n_edges == 2:
            return gx, gw
        if wants_edge(self, 2):
            gb = column_sum(g)
        return gx, gw, gb

    cdef TensorBase weight_grad(self, TensorBase x, TensorBase g):
        """Unrecorded. OP_T: fold(g)^T conj(fold(x)); else fold(x)^H fold(g)."""
        cdef RtGemm r
        cdef int64_t sh[2]
        cdef int64_t x_step, g_step, k = x.sh[x.nd - 1], n = g.sh[g.nd - 1]
        cdef bint cplx = rt_kind(g.dt) == RT_KIND_COMPLEX, turn = (self.opw & OP_T) != 0
        cdef TensorBase out
        if not fold_rows(x, &r.k, &x_step):
            x = contiguous_raw(x)
            fold_rows(x, &r.k, &x_step)
        g_step = n
        sh[0], sh[1] = (n, k) if turn else (k, n)
        out = empty(2, sh, g.dt, g.dev)
        if out.n == 0:
            return out
        r.batch = 1
        r.m, r.n = sh[0], sh[1]
        r.a_z = r.b_z = r.c_z = 0
        r.c, r.c_m, r.c_n = out.ptr, sh[1], 1
        r.bias = NULL
        r.alpha[0], r.alpha[1], r.ialpha = 1, 0, 1
        r.beta[0], r.beta[1], r.ibeta = 0, 0, 0
        # op conjugates what it gives back, hence the exclusive-or with its flag
        if turn:
            r.a, r.a_m, r.a_k, r.conj_a = g.ptr, 1, g_step, cplx and (self.opw & OP_C) != 0
            r.b, r.b_k, r.b_n, r.conj_b = x.ptr, x_step, x.st[x.nd - 1], cplx and not self.opw & OP_C
        else:
            r.a, r.a_m, r.a_k, r.conj_a = x.ptr, x.st[x.nd - 1], x_step, cplx and not self.opw & OP_C
            r.b, r.b_k, r.b_n, r.conj_b = g.ptr, g_step, 1, cplx and (self.opw & OP_C) != 0
        run("linear", &r, out, x, g)
        return out

    cdef object apply_recorded(self, TensorBase g):
        cdef object gx = None, gw = None, gb = None
        cdef TensorBase x, x2, g2
        cdef int turned = self.opw ^ OP_T ^ OP_C
        if wants_edge(self, 0):
            gx = fold_mm(g, saved(self, 1), turned, None)
        if wants_edge(self, 1) or self.n_edges == 3:
            g2 = as_matrix(g)
        if wants_edge(self, 1):
            x2 = as_matrix(saved(self, 0))
            if self.opw & OP_T:
                gw = gemm(g2, self.opw, x2, OP_C ^ (self.opw & OP_C))
            else:
                gw = gemm(x2, OP_T | (OP_C ^ (self.opw & OP_C)), g2, self.opw)
        if self.n_edges == 2:
            return gx, gw
        if wants_edge(self, 2):
            gb = reduce_sum(g2, (0,), False)
        return gx, gw, gb

    cdef object own_name(self):
        return "AddmmBackward0" if self.n_edges == 3 else "MmBackward0"

    cdef object apply_many(self, object g, Py_ssize_t n):
        cdef object gx = None, gw = None, gb = None, rows
        cdef TensorBase x
        if (<TensorBase>g).n == 0 or (wants_edge(self, 1) and saved(self, 0).n == 0):
            return NotImplemented
        if wants_edge(self, 0):
            gx = matmul(g, as_op(saved(self, 1), self.opw ^ OP_T ^ OP_C))
        if wants_edge(self, 1) or self.n_edges == 3:
            rows = g.reshape(n, -1, g.shape[-1])
        if wants_edge(self, 1):
            x = saved(self, 0)
            gw = as_op(matmul(as_op((<object>x).reshape(-1, x.sh[x.nd - 1]), OP_T | OP_C), rows), self.opw)
        if self.n_edges == 2:
            return gx, gw
        if wants_edge(self, 2):
            gb = rows.sum(1)
        return gx, gw, gb


cdef TensorBase as_matrix(TensorBase x):
    if x.nd == 2:
        return x
    return <TensorBase>_view.reshape(x, (x.n // x.sh[x.nd - 1] if x.sh[x.nd - 1] else rows_of(x), x.sh[x.nd - 1]))


cdef int64_t rows_of(TensorBase x) noexcept:
    cdef int64_t m = 1
    cdef int i
    for i in range(x.nd - 1):
        m *= x.sh[i]
    return m


cdef TensorBase column_sum(TensorBase g):
    """Sum over all dimensions but the last; g is contiguous."""
    cdef TensorBase out
    cdef int64_t n = g.sh[g.nd - 1]
    if g.nd == 1:
        return g
    if g.dev & 255 == 0 and (g.dt == RT_F32 or g.dt == RT_F64):
        out = empty(1, &n, g.dt, g.dev)
        rt_colsum(rt_gemm_pick(isa_level()), g.dt, rows_of(g), n, g.ptr, out.ptr)
        return out
    return reduce_sum(g, tuple(range(g.nd - 1)), False)


# ---- checks ----------------------------------------------------------------------------------------------
cdef object raise_product(object op, int64_t m, int64_t k, int64_t k2, int64_t n):
    raise ShapeError(f"mat1 and mat2 shapes cannot be multiplied ({m}x{k} and {k2}x{n})", op=op)


cdef object raise_dtypes(object op, TensorBase a, TensorBase b):
    raise DTypeError(f"expected m1 and m2 to have the same dtype, but got: {torch_name(a.dt).lower()} != {torch_name(b.dt).lower()} "
                     f"(in {op})", op=op)


cdef object raise_devices(object op, TensorBase a, TensorBase b):
    raise DeviceError(f"Expected all tensors to be on the same device, but found at least two devices, {device_of(a.dev)} and "
                      f"{device_of(b.dev)}! (in {op})", op=op)


cdef int agree(object op, TensorBase a, TensorBase b) except -1:
    if a.dt != b.dt:
        raise_dtypes(op, a, b)
    if a.dev != b.dev:
        raise_devices(op, a, b)
    return 0


cdef inline TensorBase agree_batches(object op, TensorBase a, TensorBase b):
    """a, in b's dtype where nothing is multiplied: PyTorch asks a batch for one dtype only when there is an element to compute."""
    if a.dt != b.dt and (a.n == 0 or b.n == 0):
        a = cast(a, b.dt)
    agree(op, a, b)
    return a


# ---- public: products of matrices ------------------------------------------------------------------------
def mm(input, mat2, *, out=None):
    """Multiply two matrices.

    Args:
        input: (m, k) tensor.
        mat2: (k, n) tensor of the same dtype.
        out: tensor to write to.
    Returns:
        (m, n) tensor.
    Raises:
        ShapeError: an argument is no matrix, or inner sizes differ.
    """
    cdef TensorBase a = as_base("mm", "input", input), b = as_base("mm", "mat2", mat2)
    if a.nd != 2:
        raise ShapeError("self must be a matrix", op="mm")
    if b.nd != 2:
        raise ShapeError("mat2 must be a matrix", op="mm")
    if a.sh[1] != b.sh[0]:
        raise_product("mm", a.sh[0], a.sh[1], b.sh[0], b.sh[1])
    agree("mm", a, b)
    if out is not None:
        return write_product("mm", a, b, out)
    return gemm(a, OP_N, b, OP_N)


def _int_mm(input, mat2, *, out=None):
    """Multiply two matrices of bytes with int32 sums, which wrap.

    Args:
        input: (m, k) int8 or uint8 tensor.
        mat2: (k, n) int8 tensor.
        out: int32 tensor to write to.
    Returns:
        (m, n) int32 tensor.
    Raises:
        ShapeError: an argument is no matrix, or inner sizes differ.
        DTypeError: an argument is not of bytes, or ``out`` not int32.

    Example:
        >>> import rustorch_py as torch
        >>> a = torch.full((1, 3), -128, dtype=torch.int8)
        >>> torch._int_mm(a, a.T)
        tensor([[49152]], dtype=torch.int32)
    """
    cdef TensorBase a = as_base("_int_mm", "input", input), b = as_base("_int_mm", "mat2", mat2), o
    cdef int64_t sh[2]
    cdef int status, threads
    if a.nd != 2 or b.nd != 2:
        raise ShapeError(f"_int_mm(): expected two matrices, got {a.nd}-D and {b.nd}-D tensors", op="_int_mm")
    if a.sh[1] != b.sh[0]:
        raise ShapeError(f"_int_mm(): self.size(1) needs to match mat2.size(0), but got {a.sh[1]} and {b.sh[0]}", op="_int_mm")
    if (a.dt != RT_I8 and a.dt != RT_U8) or b.dt != RT_I8:
        raise DTypeError(f"_int_mm(): expected an int8 or uint8 matrix and an int8 one, got {torch_name(a.dt)} and {torch_name(b.dt)}", op="_int_mm")
    if a.dev != b.dev:
        raise_devices("_int_mm", a, b)
    if a.dev & 255:
        raise UnsupportedOpError("_int_mm: this device has no product of int8 matrices", op="_int_mm")
    if out is not None and as_base("_int_mm", "out", out).dt != RT_I32:
        raise DTypeError(f"_int_mm(): expected out to be int32, got {torch_name((<TensorBase>out).dt)}", op="_int_mm")
    if out is not None and ((<TensorBase>out).nd != 2 or (<TensorBase>out).sh[0] != a.sh[0] or (<TensorBase>out).sh[1] != b.sh[1]):
        raise ShapeError(f"_int_mm(): expected out of shape {[a.sh[0], b.sh[1]]}, got {list(shape_tuple(<TensorBase>out))}", op="_int_mm")
    sh[0], sh[1] = a.sh[0], b.sh[1]
    o = empty(2, sh, RT_I32, a.dev)
    if o.n:
        threads = rt_num_threads()
        with nogil:
            status = rt_int8(gemm_table(), a.sh[0], b.sh[1], a.sh[1], <const signed char *>a.ptr, a.st[0], a.st[1],
                             a.dt == RT_U8, <const signed char *>b.ptr, b.st[0], b.st[1], <int *>o.ptr, threads)
        if status:
            raise_status("_int_mm", status, a.dev)
    return deliver("_int_mm", o, out)


cdef object write_product(object op, TensorBase a, TensorBase b, object out):
    """out= form: straight into the tensor when it shares no memory with the operands."""
    cdef int64_t sh[64]
    cdef TensorBase o
    cdef int nd = a.nd
    memcpy(sh, a.sh, nd * sizeof(int64_t))
    sh[nd - 1] = b.sh[nd - 1]
    if grad_mode() and (a.rg or b.rg):
        raise AutogradError(f"{op}(): functions with out=... arguments don't support automatic differentiation, but one of the "
                         f"arguments requires grad.", op=op)
    o = alloc_out(op, out, nd, sh, a.dt, a.dev)
    if o.stor is a.stor or o.stor is b.stor or o.dt != a.dt:
        copy_raw(o, gemm(a, OP_N, b, OP_N))
    else:
        if not o.flags & F_CONTIG and nd > 3:
            copy_raw(o, gemm(a, OP_N, b, OP_N))
        else:
            multiply(op, o, a, OP_N, b, OP_N, ONE, ZERO)
    bump(o)
    return out


def bmm(input, mat2, *, out=None):
    """Multiply two batches of matrices.

    Args:
        input: (b, m, k) tensor.
        mat2: (b, k, n) tensor of the same dtype.
        out: tensor to write to.
    Returns:
        (b, m, n) tensor.
    """
    cdef TensorBase a = as_base("bmm", "input", input), b = as_base("bmm", "mat2", mat2)
    check_batches("bmm", a, b)
    a = agree_batches("bmm", a, b)
    if out is not None:
        return write_product("bmm", a, b, out)
    return gemm(a, OP_N, b, OP_N)


cdef int check_batches(object op, TensorBase a, TensorBase b) except -1:
    if a.nd != 3 or b.nd != 3:
        raise TooFewDimsError(f"batch{1 if a.nd != 3 else 2} must be a 3D tensor", op=op)
    if a.sh[0] != b.sh[0] or a.sh[2] != b.sh[1]:
        raise ShapeError(f"Expected size for first two dimensions of batch2 tensor to be: [{a.sh[0]}, {a.sh[2]}] but got: "
                         f"[{b.sh[0]}, {b.sh[1]}].", op=op)
    return 0


def mv(input, vec, *, out=None):
    """Multiply a matrix (n, m) by a vector (m); returns (n)."""
    cdef TensorBase a = as_base("mv", "input", input), v = as_base("mv", "vec", vec)
    if a.nd != 2 or v.nd != 1:
        raise TooFewDimsError(f"vector + matrix @ vector expected, got 1, {a.nd}, {v.nd}", op="mv")
    if a.sh[1] != v.sh[0]:
        raise ShapeError(f"size mismatch, got input ({a.sh[0]}), mat ({a.sh[0]}x{a.sh[1]}), vec ({v.sh[0]})", op="mv")
    agree("mv", a, v)
    return deliver("mv", fold_mm(v, a, OP_T, None), out)


def dot(input, tensor, *, out=None):
    """Multiply two vectors of one length and sum; returns a 0-dim tensor."""
    return deliver("dot", dot_("dot", as_base("dot", "input", input), as_base("dot", "tensor", tensor), False), out)


def vdot(input, other, *, out=None):
    """Multiply the conjugate of ``input`` by ``other`` and sum; both are vectors of one length."""
    return deliver("vdot", dot_("vdot", as_base("vdot", "input", input), as_base("vdot", "other", other), True), out)


cdef TensorBase dot_(object op, TensorBase a, TensorBase b, bint conj_a):
    cdef TensorBase out
    cdef DotBackward node
    cdef int threads
    if a.nd != 1 or b.nd != 1:
        raise ShapeError(f"1D tensors expected, but got {a.nd}D and {b.nd}D tensors", op=op)
    if a.dt != b.dt:
        raise DTypeError(f"dot : expected both vectors to have same dtype, but found {torch_name(a.dt)} and {torch_name(b.dt)}", op=op)
    if a.sh[0] != b.sh[0]:
        raise ShapeError(f"inconsistent tensor size, expected tensor [{a.sh[0]}] and src [{b.sh[0]}] to have the same number of "
                         f"elements, but got {a.sh[0]} and {b.sh[0]} elements respectively", op=op)
    if a.dt == RT_BOOL:
        raise_bool("dot")
    agree(op, a, b)
    if rt_kind(a.dt) != RT_KIND_COMPLEX:
        conj_a = False
    if a.dev & 255 == 0:
        out = empty(0, NULL, a.dt, a.dev)
        threads = rt_num_threads() if a.n > 131072 else 1
        with nogil:
            rt_dot(rt_gemm_pick(isa_level()), a.dt, a.n, a.ptr, a.st[0], b.ptr, b.st[0], conj_a, out.ptr, threads)
    elif has_kernel("dot", a):
        out = empty(0, NULL, a.dt, a.dev)
        run_on_device("dot", out, a, b, conj_a)
    else:
        return reduce_sum(<TensorBase>binary(ROW_MUL, unary(ROW_CONJ_PHYSICAL, a, None) if conj_a else a, b, None), None, False)
    if grad_mode() and (a.rg or b.rg):
        node = DotBackward.__new__(DotBackward)
        node.conj_a = conj_a
        if b.rg:
            save(node, 0, a)
        if a.rg:
            save(node, 1, b)
        attach2(out, node, a, b)
    return out


cdef class DotBackward(Node):
    """y = sum(c(a) b), c conjugates for vdot: grad a = c(g conj(b)), grad b = g conj(c(a))."""
    cdef bint conj_a

    cdef object apply(self, object g):
        cdef object ga = None, gb = None
        cdef bint cplx = rt_kind((<TensorBase>g).dt) == RT_KIND_COMPLEX
        if wants_edge(self, 0):
            other = saved(self, 1)
            if self.conj_a:
                ga = binary(ROW_MUL, unary(ROW_CONJ_PHYSICAL, g, None), other, None)
            else:
                ga = binary(ROW_MUL, g, unary(ROW_CONJ_PHYSICAL, other, None) if cplx else other, None)
        if wants_edge(self, 1):
            other = saved(self, 0)
            gb = binary(ROW_MUL, g, unary(ROW_CONJ_PHYSICAL, other, None) if cplx and not self.conj_a else other, None)
        return ga, gb

    cdef object own_name(self):
        return "VdotBackward0" if self.conj_a else "DotBackward0"

    cdef object apply_many(self, object g, Py_ssize_t n):
        return self.apply(g.unsqueeze(1))


def outer(input, vec2, *, out=None):
    """Multiply every element of one vector by every element of another.

    Args:
        input: (n) tensor.
        vec2: (m) tensor.
        out: tensor to write to.
    Returns:
        (n, m) tensor.
    """
    cdef TensorBase a = as_base("outer", "input", input), b = as_base("outer", "vec2", vec2)
    if a.nd != 1:
        raise ShapeError(f"outer: Expected 1-D argument self, but got {a.nd}-D", op="outer")
    if b.nd != 1:
        raise ShapeError(f"outer: Expected 1-D argument vec2, but got {b.nd}-D", op="outer")
    result = binary(ROW_MUL, _view.unsqueeze(a, 1), b, None)
    return deliver("outer", <TensorBase>result, out)


def inner(input, other, *, out=None):
    """Sum products over the last dimension of both tensors.

    Args:
        input: (..., k) tensor, or a 0-dim one.
        other: (..., k) tensor, or a 0-dim one.
        out: tensor to write to.
    Returns:
        tensor of shape ``input.shape[:-1] + other.shape[:-1]``.
    """
    cdef TensorBase a = as_base("inner", "input", input), b = as_base("inner", "other", other), r
    if a.nd == 0 or b.nd == 0:
        return deliver("inner", <TensorBase>binary(ROW_MUL, a, b, None), out)
    if a.sh[a.nd - 1] != b.sh[b.nd - 1]:
        raise ShapeError(f"inner() the last dimension must match on both input tensors but got shapes {list(shape_tuple(a))} and "
                         f"{list(shape_tuple(b))}", op="inner")
    agree("inner", a, b)
    if a.nd == 1 and b.nd == 1:
        return deliver("inner", dot_("inner", a, b, False), out)
    r = fold_mm(a, as_matrix(b), OP_T, None)
    return deliver("inner", <TensorBase>_view.reshape(r, shape_tuple(a)[:-1] + shape_tuple(b)[:-1]), out)


# ---- matmul ---------------------------------------------------------------------------------------------------
cdef TensorBase matmul_(TensorBase a, TensorBase b):
    cdef int64_t sh[64]
    cdef int64_t ka, kb
    cdef int i, nd
    cdef object lead
    if a.nd == 0 or b.nd == 0:
        raise ShapeError(f"both arguments to matmul need to be at least 1D, but they are {a.nd}D and {b.nd}D", op="matmul")
    if a.nd == 2 and b.nd == 2:
        if a.sh[1] != b.sh[0]:
            raise_product("matmul", a.sh[0], a.sh[1], b.sh[0], b.sh[1])
        agree("matmul", a, b)
        return gemm(a, OP_N, b, OP_N)
    if a.nd == 1 and b.nd == 1:
        return dot_("matmul", a, b, False)
    if a.nd >= 2 and b.nd >= 3:
        a = agree_batches("matmul", a, b)
    else:
        agree("matmul", a, b)
    ka = a.sh[a.nd - 1]
    kb = b.sh[0] if b.nd == 1 else b.sh[b.nd - 2]
    if ka != kb:
        if a.nd == 2 and b.nd == 1:
            raise ShapeError(f"size mismatch, got input ({a.sh[0]}), mat ({a.sh[0]}x{a.sh[1]}), vec ({b.sh[0]})", op="matmul")
        if b.nd <= 2:
            raise_product("matmul", rows_of(a), ka, kb, b.sh[1] if b.nd == 2 else 1)
        raise ShapeError(f"Expected size for first two dimensions of batch2 tensor to be: [{b.n // (kb * b.sh[b.nd - 1]) if kb * b.sh[b.nd - 1] else 0}, {ka}] "
                         f"but got: [{b.n // (kb * b.sh[b.nd - 1]) if kb * b.sh[b.nd - 1] else 0}, {kb}].", op="matmul")
    if b.nd == 2:
        return fold_mm(a, b, OP_N, None)
    if a.nd == 2 and b.nd == 1:
        return fold_mm(b, a, OP_T, None)
    if b.nd == 1:
        return <TensorBase>_view.squeeze(fold_mm(a, <TensorBase>_view.unsqueeze(b, 1), OP_N, None), -1)
    if a.nd == 1:
        return <TensorBase>_view.squeeze(matmul_(<TensorBase>_view.unsqueeze(a, 0), b), -2)
    if a.nd == b.nd:
        for i in range(a.nd - 2):
            if a.sh[i] != b.sh[i]:
                break
        else:
            return gemm(a, OP_N, b, OP_N)
    # broadcast the batch dimensions
    nd = a.nd if a.nd > b.nd else b.nd
    for i in range(nd - 2):
        ka = a.sh[i - nd + a.nd] if i - nd + a.nd >= 0 else 1
        kb = b.sh[i - nd + b.nd] if i - nd + b.nd >= 0 else 1
        if ka != kb and ka != 1 and kb != 1:
            raise ShapeError(f"The size of tensor a ({ka}) must match the size of tensor b ({kb}) at non-singleton dimension {i}", op="matmul")
        sh[i] = kb if ka == 1 else ka
    lead = tuple([sh[i] for i in range(nd - 2)])
    return gemm(<TensorBase>_view.expand(a, lead + (a.sh[a.nd - 2], a.sh[a.nd - 1])), OP_N,
                <TensorBase>_view.expand(b, lead + (b.sh[b.nd - 2], b.sh[b.nd - 1])), OP_N)


def matmul(input, other, *, out=None):
    """Multiply matrices, vectors or broadcast batches of matrices, as ``@`` does.

    Args:
        input: (..., m, k) or (k) tensor.
        other: (..., k, n) or (k) tensor of the same dtype.
        out: tensor to write to.
    Shape:
        Batch dimensions broadcast; a vector's missing dimension is dropped from the result.
    Raises:
        ShapeError: inner sizes or batch sizes do not fit.
        DTypeError: dtypes differ.
    """
    cdef TensorBase r = matmul_(as_base("matmul", "input", input), as_base("matmul", "other", other))
    return r if out is None else deliver("matmul", r, out)


def __matmul__(self, other):
    if not isinstance(other, TensorBase):
        return NotImplemented
    return matmul_(<TensorBase?>self, <TensorBase>other)


# ---- linear ----------------------------------------------------------------------------------------------------
def linear(input, weight, bias=None, *, out=None):
    """Compute ``input @ weight.T + bias``.

    Args:
        input: (..., in) tensor.
        weight: (out, in) or (in) tensor.
        bias: (out) tensor or None.
        out: tensor to write to.
    Returns:
        (..., out) tensor.
    Raises:
        ShapeError: sizes do not fit.
    """
    cdef TensorBase r = linear_(as_base("linear", "input", input), as_base("linear", "weight", weight), bias)
    return r if out is None else deliver("linear", r, out)


cdef TensorBase plus_bias(TensorBase r, TensorBase b, bint vector):
    """r plus a bias of another shape than a vector of r's size; a product of a vector takes a bias of one row, too."""
    cdef TensorBase s
    if vector and b.nd == 2 and b.sh[0] == 1:
        b = <TensorBase>(<object>b).squeeze(0)
    s = <TensorBase>binary(ROW_ADD, r, b, None)
    if shape_tuple(s) != shape_tuple(r):
        raise ShapeError(f"linear(): a bias of shape {list(shape_tuple(b))} does not broadcast to the result's shape {list(shape_tuple(r))}", op="linear")
    return s


cdef TensorBase linear_(TensorBase x, TensorBase w, object bias):
    cdef TensorBase b = None
    if bias is not None:
        b = as_base("linear", "bias", bias)
    if w.nd == 1:
        r = matmul_(x, w)
        return r if b is None else plus_bias(r, b, x.nd == 1)
    if w.nd != 2:
        raise ShapeError(f"linear(): weight must be a (out, in) matrix, got {list(shape_tuple(w))}", op="linear")
    if x.nd == 0:
        raise ShapeError("both arguments to linear need to be at least 1D, but they are 0D and 2D", op="linear")
    if x.sh[x.nd - 1] != w.sh[1]:
        raise_product("linear", rows_of(x), x.sh[x.nd - 1], w.sh[1], w.sh[0])
    agree("linear", x, w)
    if b is None:
        return fold_mm(x, w, OP_T, None)
    if b.nd != 1 or b.sh[0] != w.sh[0]:
        return plus_bias(fold_mm(x, w, OP_T, None), b, x.nd == 1)
    if b.dt != w.dt:
        raise DTypeError(f"linear(): bias is {torch_name(b.dt).lower()}, but weight is {torch_name(w.dt).lower()}", op="linear")
    if b.dev != w.dev:
        raise_devices("linear", w, b)
    return fold_mm(x, w, OP_T, b)


cdef object linear_act(object x_, object weight, object bias, int act):
    cdef TensorBase x, w, b = None, out
    cdef int64_t sh[64]
    if not isinstance(x_, TensorBase) or not isinstance(weight, TensorBase) or not (bias is None or isinstance(bias, TensorBase)):
        return None
    x, w = <TensorBase>x_, <TensorBase>weight
    if w.nd != 2 or x.nd == 0 or x.dt != w.dt or x.dev != w.dev or not RT_F16 <= x.dt <= RT_F64 or x.sh[x.nd - 1] != w.sh[1]:
        return None
    if bias is not None:
        b = <TensorBase>bias
        if b.nd != 1 or b.sh[0] != w.sh[0] or b.dt != w.dt or b.dev != w.dev:
            return None
    if grad_mode() and (x.rg or w.rg or (b is not None and b.rg)):
        return None
    memcpy(sh, x.sh, (x.nd - 1) * sizeof(int64_t))
    sh[x.nd - 1] = w.sh[0]
    out = empty(x.nd, sh, x.dt, x.dev)
    if out.n and not rows(out, x, w, OP_T, b, act):
        return unary_inplace(act_row(act), out)
    return out


NN_ONLY = {"linear"}
FUNCTIONS = {"mm": mm, "bmm": bmm, "mv": mv, "dot": dot, "vdot": vdot, "outer": outer, "ger": outer, "inner": inner, "matmul": matmul,
             "_int_mm": _int_mm, "linear": linear}
METHODS = {"mm": mm, "bmm": bmm, "mv": mv, "dot": dot, "vdot": vdot, "outer": outer, "ger": outer, "inner": inner, "matmul": matmul}
