# build: isa=fft.inc.c cold
"""Fourier transforms: the three kinds every function of torch.fft is made of.

Gradient of a transform: the transform with the opposite sign (conjugate transpose), unnormalised,
times the same scale; what was padded or cut goes back by `resize_lane`.
"""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, as_base, empty, attach1, grad_mode, view_raw, RT_F16, RT_BF16, RT_F64, RT_C64,
                     RT_C128, RT_NLOOPED, rt_kind, rt_real_dtype, RT_KIND_FLOAT, rt_contiguous_strides, is_contig)
from ._node cimport Node
from ._plan cimport copy_raw, fill_value
from ._ops cimport cast
from ._dtype cimport default_code, check_stored, torch_name
from ._cpu cimport isa_level, rt_num_threads
from ._lane cimport RtLane, lane_of, empty_resized, dense
from ._neural cimport suggests_last

from ._devices import run as run_on_device
from ..errors import OutOfMemoryError, UnsupportedOpError
from ._view_complex import real

cdef extern from "fft.h" nogil:
    enum: RT_FFT_HALF_IN
    enum: RT_FFT_LANES_OUT
    ctypedef int (*RtFftLanes)(const void *plan, int x_dtype, const void *x, RtLane s, int flags, int sign, double scale,
                               int out_dtype, int64_t out_L, void *out, int threads) noexcept nogil
    ctypedef void *(*RtFftMake)(int64_t n) noexcept nogil
    ctypedef void (*RtFftDrop)(void *plan) noexcept nogil
    ctypedef struct RtFftTable:
        RtFftMake make[2]
        RtFftMake make_real[2]
        RtFftDrop drop[2]
        RtFftLanes lanes[2]
    const RtFftTable *rt_pick_fft(int level)


cdef class Plan:
    """Twiddle tables of one length and precision."""
    cdef void *p
    cdef int slot

    def __dealloc__(self):
        rt_pick_fft(0).drop[self.slot](self.p)


cdef dict plans = {}                       # the lengths used last: 4 * n + 2 * real + slot -> Plan
cdef int MAX_PLANS = 32


cdef Plan plan_of(int64_t n, int slot, bint real):
    cdef object key = 4 * n + 2 * real + slot
    cdef const RtFftTable *table = rt_pick_fft(isa_level())
    cdef Plan plan = plans.pop(key, None)
    if plan is None:
        plan = Plan.__new__(Plan)
        plan.slot = slot
        plan.p = table.make_real[slot](n) if real else table.make[slot](n)
        if plan.p == NULL:
            raise OutOfMemoryError(f"fft: no room for the tables of length {n}", op="fft")
        if len(plans) >= MAX_PLANS:
            plans.pop(next(iter(plans)), None)
    plans[key] = plan
    return plan


cdef TensorBase run(TensorBase x, int dim, int64_t n, int flags, int sign, double scale, int out_dt, int64_t out_L):
    """One dimension of x; with RT_FFT_LANES_OUT the result has it last."""
    cdef TensorBase source = dense(x), out
    cdef int slot = 1 if x.dt == RT_F64 or x.dt == RT_C128 else 0
    cdef int64_t sh[64]
    cdef int i, at = 0
    cdef Plan plan
    cdef RtFftLanes kernel = rt_pick_fft(isa_level()).lanes[slot]
    cdef RtLane s = lane_of(x, dim)
    cdef int status = 0, x_dt = x.dt
    if x_dt >= RT_NLOOPED:
        check_stored("fft_lanes", x_dt)
    if flags & RT_FFT_LANES_OUT:
        for i in range(x.nd):
            if i != dim:
                sh[at] = x.sh[i]
                at += 1
        sh[at] = out_L
        out = empty(x.nd, sh, out_dt, x.dev)
    else:
        out = empty_resized(x, dim, out_L, out_dt)
    if x.dev & 255:
        if out.n > 0:
            run_on_device("fft", out, source, dim, n, flags == RT_FFT_HALF_IN, sign, scale)
        return out
    # n real elements as n / 2 complex ones; the shuffles of a power of two want 64 of those
    plan = plan_of(n, slot, n % 2 == 0 and n > 2 and (n >= 128 or n & (n - 1)) and
                   (flags & RT_FFT_HALF_IN or (rt_kind(x_dt) == RT_KIND_FLOAT and x.sh[dim] == n)))
    if out.n > 0:
        with nogil:
            status = kernel(plan.p, x_dt, source.ptr, s, flags, sign, scale, out_dt, out_L, out.ptr, rt_num_threads())
        if status:
            raise OutOfMemoryError("fft: no room for the work arrays", op="fft")
    return out


# ---- the order of a result ----
# Note [Order of spectra]
# PyTorch hands MKL one batch of dense transforms: in memory the result has the dimensions that were not transformed first, in the order in
# which they lie in the input, then those that were, in that order too (of a half spectrum the last one named stays last).
# Here the input is seen in that order, dimension by dimension, and the result is turned back. A dense input with one dimension to transform
# is read as it lies.
cdef int by_step(const int64_t *st, int *dims, int count) noexcept:
    """Sort dimensions by falling strides; equal ones stay."""
    cdef int i, j, d
    for i in range(1, count):
        d = dims[i]
        j = i
        while j > 0 and st[dims[j - 1]] < st[d]:
            dims[j] = dims[j - 1]
            j -= 1
        dims[j] = d
    return 0


cdef TensorBase transformed(TensorBase x, tuple dims, tuple sizes, int flags, int sign, double scale, int out_dt, int64_t last):
    """Transform dimensions in sizes[i] terms; `last`: terms that are kept of the last one named, which keeps its place; -1: of none so."""
    cdef int order[64]
    cdef int64_t n_of[64]
    cdef int64_t st[64]
    cdef int64_t sh[64]
    cdef int64_t rows[64]
    cdef const int64_t *steps = x.st
    cdef int i, d, k = len(dims), lead = x.nd - k, at = 0
    cdef bint padded = False
    cdef TensorBase t
    cdef int64_t n
    for i in range(x.nd):
        n_of[i] = -1
    for i in range(k):
        n_of[<int>dims[i]] = n = sizes[i]
        padded |= (n // 2 + 1 if flags & RT_FFT_HALF_IN else n) > x.sh[<int>dims[i]]
        order[lead + i] = dims[i]
    for i in range(x.nd):
        if n_of[i] < 0:
            order[at] = i
            at += 1
    if padded and not (4 <= x.nd <= 5 and suggests_last(x)):         # PyTorch pads into a new array
        rt_contiguous_strides(x.nd, x.sh, rows)
        steps = rows
    by_step(steps, order, lead)
    by_step(steps, order + lead, k if last < 0 else k - 1)
    if k == 1 and is_contig(x) and not x.dev & 255 and order[lead] != x.nd - 1 and steps == x.st:
        t = run(x, order[lead], n_of[order[lead]], flags | RT_FFT_LANES_OUT, sign, scale, out_dt, last if last >= 0 else n_of[order[lead]])
    else:
        for i in range(x.nd):
            sh[i] = x.sh[order[i]]
            st[i] = x.st[order[i]]
        t = view_raw(x, x.nd, sh, st, 0)
        for i in range(x.nd - 1, lead - 1, -1):
            n = n_of[order[i]]
            t = run(t, i, n, flags, sign, scale, out_dt, last if last >= 0 and i == x.nd - 1 else n)
            scale = 1.0
    for i in range(x.nd):
        sh[order[i]] = t.sh[i]
        st[order[i]] = t.st[i]
    return view_raw(t, x.nd, sh, st, 0)


cdef inline int complex_of(int dt) noexcept:
    return RT_C128 if dt == RT_F64 or dt == RT_C128 else RT_C64


# ---- padding and cutting ----
def resize_lane(input, int dim, int64_t n):
    """Cut or zero-pad along ``dim`` to n elements; its own transpose."""
    cdef TensorBase t = <TensorBase>input, out
    cdef int64_t sh[64]
    cdef int i
    cdef ResizeLaneBackward node
    if t.sh[dim] == n:
        return input
    out = empty_resized(t, dim, n, t.dt)
    if t.sh[dim] < n:
        fill_value(out, 0)
    for i in range(t.nd):
        sh[i] = t.sh[i]
    if sh[dim] > n:
        sh[dim] = n
    copy_raw(view_raw(out, t.nd, sh, out.st, 0), view_raw(t, t.nd, sh, t.st, 0))
    if t.rg and grad_mode():
        node = ResizeLaneBackward.__new__(ResizeLaneBackward)
        node.dim, node.n = dim, t.sh[dim]
        attach1(out, node, t)
    return out


cdef class ResizeLaneBackward(Node):
    cdef int dim
    cdef int64_t n

    cdef object own_name(self):
        return "ConstantPadNdBackward0"

    cdef object apply(self, object g):
        return resize_lane(g, self.dim, self.n)


# ---- the three kinds ----
cdef object resize_lanes(object g, tuple dims, tuple sizes):
    for d, n in zip(dims, sizes):
        g = resize_lane(g, d, n)
    return g


cdef class SpectrumBackward(Node):
    """What the gradients of transforms from several dimensions know."""
    cdef tuple dims, sizes, lengths                # lengths: of the input
    cdef int sign
    cdef double scale


cdef int watch(SpectrumBackward node, TensorBase out, TensorBase t, tuple dims, tuple sizes, int sign, double scale) except -1:
    node.dims, node.sizes, node.sign, node.scale = dims, sizes, sign, scale
    node.lengths = tuple([t.sh[<int>d] for d in dims])
    return attach1(out, node, t)


def c2c(input, tuple dims, tuple sizes, int sign, double scale):
    """Transform complex to complex along ``dims``, cut or zero-padded to ``sizes`` terms."""
    cdef TensorBase t = <TensorBase>input, out
    out = transformed(t, dims, sizes, 0, sign, scale, complex_of(t.dt), -1)
    if t.rg and grad_mode():
        watch(C2cBackward.__new__(C2cBackward), out, t, dims, sizes, sign, scale)
    return out


cdef class C2cBackward(SpectrumBackward):
    cdef object own_name(self):
        return "FftC2CBackward0"

    cdef object apply(self, object g):
        return resize_lanes(c2c(g, self.dims, self.sizes, -self.sign, self.scale), self.dims, self.lengths)


def r2c(input, tuple dims, tuple sizes, int sign, double scale, bint half):
    """Transform real to complex; half: only the first n/2 + 1 terms of the last dimension named, which determine the others."""
    cdef TensorBase t = <TensorBase>input, out
    cdef int64_t n = sizes[len(sizes) - 1]
    out = transformed(t, dims, sizes, 0, sign, scale, complex_of(t.dt), n // 2 + 1 if half else n)
    if t.rg and grad_mode():
        watch(R2cBackward.__new__(R2cBackward), out, t, dims, sizes, sign, scale)
    return out


cdef class R2cBackward(SpectrumBackward):
    cdef object own_name(self):
        return "FftR2CBackward0"

    cdef object apply(self, object g):
        return resize_lanes(real(c2c(g, self.dims, self.sizes, -self.sign, self.scale)), self.dims, self.lengths)


def c2r(input, int dim, int64_t n, int sign, double scale):
    """Transform a half spectrum (Hermitian, of n terms) along ``dim`` to n real numbers."""
    cdef TensorBase t = <TensorBase>input, out
    cdef C2rBackward node
    out = transformed(t, (dim,), (n,), RT_FFT_HALF_IN, sign, scale, rt_real_dtype(t.dt), n)
    if t.rg and grad_mode():
        node = C2rBackward.__new__(C2rBackward)
        node.dim, node.n, node.length, node.sign, node.scale = dim, n, t.sh[dim], sign, scale
        attach1(out, node, t)
    return out


cdef class C2rBackward(Node):
    cdef int dim, sign
    cdef int64_t n, length
    cdef double scale

    cdef object own_name(self):
        return "FftC2RBackward0"

    cdef object apply(self, object g):
        # A term and its mirror image both come from one element, except the first and the middle one.
        cdef int64_t half = self.n // 2 + 1, one = 1
        cdef TensorBase twice = empty(1, &half, (<TensorBase>g).dt, (<TensorBase>g).dev)
        fill_value(twice, 2)
        fill_value(view_raw(twice, 1, &one, twice.st, 0), 1)
        if self.n % 2 == 0:
            fill_value(view_raw(twice, 1, &one, twice.st, (half - 1) * twice.st[0]), 1)
        r = r2c(g, (self.dim,), (self.n,), -self.sign, self.scale, True)
        w = (<object>twice).reshape((half,) + (1,) * ((<TensorBase>g).nd - 1 - self.dim))
        return resize_lane(r * w, self.dim, self.length)


def promote_input(op, input, bint to_complex):
    """The input as a float or complex tensor that transforms are made for."""
    cdef TensorBase t = as_base(op, "input", input)
    cdef int dt = t.dt if rt_kind(t.dt) >= RT_KIND_FLOAT else default_code()
    if dt == RT_F16 or dt == RT_BF16:
        raise UnsupportedOpError(f"{op}: Unsupported dtype {torch_name(dt)}; use float32 or float64", op=op)
    if to_complex:
        dt = complex_of(dt)
    return cast(t, dt)


FUNCTIONS = {}
METHODS = {}
