# build: isa=gemm.inc.c,int8.inc.c,bf16.inc.c sources=gemm.c blas
"""The two recorded operators that carry all matrix products, their gradients, and how they are run.

``gemm`` is op(a) @ op(b) on matrices or equal batches of them; ``fold_mm`` is a (folded) stack of rows times one matrix, plus a bias row. Both take
transposition and conjugation as flags, so gradients are again the same operators with other flags: no transposed copy and no view object is made.
"""
from libc.stdint cimport int64_t
from libc.string cimport memcpy, memset
from ._base cimport (TensorBase, RtArray, empty, as_base, grad_mode, attach, attach2, save, saved, wants_edge, rt_itemsize, rt_kind, RT_BOOL, RT_F32, RT_F64, RT_F16,
                     RT_KIND_INT, RT_KIND_COMPLEX, F_CONTIG)
from ._kept cimport RtKept, Wanted, find_kept, put_kept, rt_kept_done, KEPT_LINEAR
from ._node cimport Node
from ._storage cimport Storage
from ._backend cimport backend_of, RtBackend, RT_NDEVICETYPES
from ._cpu cimport isa_level, fixed_split, rt_num_threads
from ._plan cimport contiguous_raw, copy_raw
from ._ops cimport reduce_sum, binary
from . import _view
from ..errors import DeviceError, OutOfMemoryError, UnsupportedOpError
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
        const char *plus
        int64_t plus_z, plus_m, inner, a_y, b_y
        int part
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
    int rt_outer(const RtGemmTable *t, int dtype, int64_t m, int64_t n, double alpha, const char *a, int64_t a_m, const char *b, double beta, const char *x, int64_t x_m,
                 char *out, int threads)
    int rt_colsum(const RtGemmTable *t, int dtype, int64_t m, int64_t n, const char *x, char *out, int threads)

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


cdef inline void plain_steps(RtGemm *g) noexcept nogil:
    """Nothing but c is added, batches have one step, and the product is whole."""
    g.part = 0
    g.plus = NULL
    g.plus_z = g.plus_m = g.inner = g.a_y = g.b_y = 0


cdef int raw_product(int dt, int64_t batch, int64_t m, int64_t n, int64_t k, const void *a, int64_t a_z, int64_t a_m, int64_t a_k, const void *b, int64_t b_z,
                     int64_t b_k, int64_t b_n, void *c, int64_t c_z, int64_t c_m, bint add, const void *bias, int threads) noexcept nogil:
    cdef RtGemm g
    plain_steps(&g)
    g.dtype, g.threads, g.conj_a, g.conj_b, g.act, g.host = dt, threads, 0, 0, -1, NULL
    g.batch, g.m, g.n, g.k = batch, m, n, k
    g.a, g.b, g.c, g.bias = <const char *>a, <const char *>b, <char *>c, <const char *>bias
    g.a_z, g.a_m, g.a_k, g.b_z, g.b_k, g.b_n, g.c_z, g.c_m, g.c_n = a_z, a_m, a_k, b_z, b_k, b_n, c_z, c_m, 1
    g.alpha[0], g.alpha[1], g.ialpha = 1, 0, 1
    g.beta[0], g.beta[1], g.ibeta = add, 0, add
    return rt_gemm(gemm_table(), &g)


cdef void raw_dot(int dt, int64_t n, const void *x, int64_t x_s, const void *y, int64_t y_s, bint conj_x, void *out, int threads) noexcept nogil:
    rt_dot(gemm_table(), dt, n, <const char *>x, x_s, <const char *>y, y_s, conj_x, <char *>out, threads)


cdef int raw_outer(int dt, int64_t m, int64_t n, double alpha, const void *a, int64_t a_m, const void *b, double beta, const void *x, int64_t x_m, void *out,
                   int threads) noexcept nogil:
    return rt_outer(gemm_table(), dt, m, n, alpha, <const char *>a, a_m, <const char *>b, beta, <const char *>x, x_m, <char *>out, threads)


cdef int raw_int8(int64_t m, int64_t n, int64_t k, const void *a, int64_t a_m, int64_t a_k, bint unsign, const void *b, int64_t b_k, int64_t b_n, void *c,
                  int threads) noexcept nogil:
    return rt_int8(gemm_table(), m, n, k, <const signed char *>a, a_m, a_k, unsign, <const signed char *>b, b_k, b_n, <int *>c, threads)


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


cdef int one_step(TensorBase t, int first, int last, int64_t *step) noexcept:
    """The step through dimensions `first` to `last` of t together; 0 when there is none. It stays as it was where each of them is 1 long."""
    cdef int i
    cdef int64_t expect = -1
    for i in range(last, first - 1, -1):
        if t.sh[i] == 1:
            continue
        if expect < 0:
            step[0] = t.st[i]
            expect = t.st[i] * t.sh[i]
        elif t.st[i] != expect:
            return 0
        else:
            expect *= t.sh[i]
    return 1


cdef int batch_stride(TensorBase t, int64_t *stride) noexcept:
    """One stride that steps through all leading dimensions of t, if there is one."""
    stride[0] = 0
    return one_step(t, 0, t.nd - 3, stride)


cdef int two_steps(RtGemm *g, TensorBase a, TensorBase b) noexcept:
    """Steps through the outer and the inner leading dimensions of a and b, cut at one place for both; 0 when there are none. Dimensions that each operand
    is expanded along have them."""
    cdef int d, i, last = a.nd - 3
    for d in range(1, last + 1):
        g.a_y = g.a_z = g.b_y = g.b_z = 0
        if one_step(a, 0, d - 1, &g.a_y) and one_step(a, d, last, &g.a_z) and one_step(b, 0, d - 1, &g.b_y) and one_step(b, d, last, &g.b_z):
            g.inner = 1
            for i in range(d, last + 1):
                g.inner *= a.sh[i]
            return 1
    return 0


cdef int multiply(object op, TensorBase out, TensorBase a, int opa, TensorBase b, int opb, Num alpha, Num beta, TensorBase added=None, int act=RT_ACT_NONE) except -1:
    """out = alpha * op(a) @ op(b) + beta * out. Last two dimensions are the matrices. `added`, of out's shape, is what beta multiplies instead of out.
    Returns 1 where `act` was done, too: in the same launch, or on each piece of the result while it is in a cache."""
    cdef RtGemm g
    cdef RtArray plus
    cdef int nd = out.nd, i
    cdef bint cplx = rt_kind(out.dt) == RT_KIND_COMPLEX
    if out.n == 0:
        return 0
    plain_steps(&g)
    if (not batch_stride(a, &g.a_z) or not batch_stride(b, &g.b_z)) and not (out.dev & 255 == 0 and two_steps(&g, a, b)):
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
        elif (is_one(beta) and (added.st[0] == 0 or added.sh[0] == 1) and (nd == 2 or nd == 3 and (added.st[1] == 0 or added.sh[1] == 1))
                and (added.st[nd - 1] == 1 or g.n == 1) and (opa | opb) & OP_C == 0):
            g.bias = added.ptr                         # a row: added by the loops, no pass of its own
            g.beta[0], g.ibeta = 0, 0
        elif (nd < 4 and (out.dt == RT_F32 or out.dt == RT_F64) and (g.c_n == 1 or g.n == 1) and (added.st[nd - 1] == 1 or g.n == 1)
                and (g.m == 1 or g.c_m >= g.n)):
            g.plus = added.ptr                         # read where it lies
            g.plus_z, g.plus_m = added.st[0] if nd == 3 else 0, added.st[nd - 2]
        if g.bias is NULL and g.plus is NULL:
            copy_raw(out, added)
    return run(op, &g, out, a, b, act)


cdef int fold_rows(TensorBase x, int64_t *m, int64_t *step) noexcept:
    """All dimensions of x but the last as m rows with one step; 0 when they have none."""
    cdef int i
    m[0] = 1
    step[0] = x.sh[x.nd - 1]
    for i in range(x.nd - 1):
        m[0] *= x.sh[i]
    return 1 if x.flags & F_CONTIG else one_step(x, 0, x.nd - 2, step)


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
            ga = as_op(times(conj(self.alpha), g @ as_op(saved(self, 1), self.opb ^ OP_T ^ OP_C)), self.opa)
        if wants_edge(self, 1):
            gb = as_op(times(conj(self.alpha), as_op(saved(self, 0), self.opa ^ OP_T ^ OP_C) @ g), self.opb)
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
    fold_act(out, x, w, opw, bias)
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


cdef int fold_act(TensorBase out, TensorBase x, TensorBase w, int opw, TensorBase bias, int act=RT_ACT_NONE) except -1:
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
    plain_steps(&g)
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
        plain_steps(&r)
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
            gx = g @ as_op(saved(self, 1), self.opw ^ OP_T ^ OP_C)
        if wants_edge(self, 1) or self.n_edges == 3:
            rows = g.reshape(n, -1, g.shape[-1])
        if wants_edge(self, 1):
            x = saved(self, 0)
            gw = as_op(as_op((<object>x).reshape(-1, x.sh[x.nd - 1]), OP_T | OP_C) @ rows, self.opw)
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
    cdef int threads
    cdef int64_t n = g.sh[g.nd - 1], m
    if g.nd == 1:
        return g
    if g.dev & 255 == 0 and (g.dt == RT_F32 or g.dt == RT_F64):
        out = empty(1, &n, g.dt, g.dev)
        m, threads = rows_of(g), rt_num_threads()
        with nogil:
            rt_colsum(rt_gemm_pick(isa_level()), g.dt, m, n, g.ptr, out.ptr, threads)
        return out
    return reduce_sum(g, tuple(range(g.nd - 1)), False)
