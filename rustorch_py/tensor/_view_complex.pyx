"""Complex tensors seen as real ones and the other way round: view_as_real, view_as_complex, real, imag."""
from ._base cimport *
from ._node cimport Node
from ._ops cimport track_view, clone, contiguous, copy_into
from ._view cimport select_view
from . import _rows
from ..errors import ShapeError


cdef class ComplexViewBackward(Node):
    """view_as_real and view_as_complex are each other's gradient; real and imag pad with zeros."""
    cdef int what                         # 0 view_as_real, 1 view_as_complex, 2 real, 3 imag

    cdef object apply(self, object g):
        cdef TensorBase gt = <TensorBase>g
        if self.what == 0:
            gt = <TensorBase>contiguous(gt)
            return view_as_complex(clone(gt) if storage_offset(gt) % 2 else gt)
        if self.what == 1:
            return view_as_real(gt)
        zero = gt * 0
        pair = (gt, zero) if self.what == 2 else (zero, gt)
        return _complex_of(pair[0], pair[1])


def _complex_of(re, im):
    """Build a complex tensor whose parts are differentiable."""
    cdef TensorBase a = <TensorBase?>re, b = <TensorBase?>im
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    cdef bint plain = a.flags & b.flags & F_CONTIG
    cdef TensorBase buf = a if plain else empty_ordered(a.nd, a.sh, a.dt, a.dev, a, b, None)       # as any operator of two operands lays its result
    for i in range(a.nd):
        sh[i] = a.sh[i]
        st[i] = 2 * buf.st[i]
    sh[a.nd] = 2
    st[a.nd] = 1
    buf = None
    buf = empty(a.nd + 1, sh, a.dt, a.dev) if plain else empty_strided(a.nd + 1, sh, st, a.dt, a.dev)
    copy_into(select_view(buf, a.nd, 0), a)
    copy_into(select_view(buf, a.nd, 1), b)
    return view_as_complex(buf)


cdef TensorBase record_complex(TensorBase v, TensorBase t, int what):
    cdef ComplexViewBackward node
    track_view(v, t)
    if t.rg and grad_mode():
        node = ComplexViewBackward.__new__(ComplexViewBackward)
        node.what = what
        attach1(v, node, t)
    return v


def view_as_real(input):
    """View a complex tensor as pairs (..., 2) of real and imaginary parts."""
    cdef TensorBase t = as_base("view_as_real", "input", input), v
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    if rt_kind(t.dt) != RT_KIND_COMPLEX:
        raise ShapeError("view_as_real is only supported for complex tensors")
    for i in range(t.nd):
        sh[i] = t.sh[i]
        st[i] = t.st[i] * 2
    sh[t.nd] = 2
    st[t.nd] = 1
    v = alias(t)
    v.dt = rt_real_dtype(t.dt)
    set_dims(v, t.nd + 1, sh, st)
    return record_complex(v, t, 0)


def view_as_complex(input):
    """View pairs (..., 2) as complex numbers."""
    cdef TensorBase t = as_base("view_as_complex", "input", input), v
    cdef int64_t sh[64]
    cdef int64_t st[64]
    cdef int i
    if t.dt != RT_F32 and t.dt != RT_F64 and t.dt != RT_F16:
        raise ShapeError(f"view_as_complex is only supported for half, float and double tensors, but got a tensor of another scalar type")
    if t.nd == 0 or t.sh[t.nd - 1] != 2:
        raise ShapeError("Tensor must have a last dimension of size 2")
    if t.st[t.nd - 1] != 1:
        raise ShapeError("Tensor must have a last dimension with stride 1")
    for i in range(t.nd - 1):
        if t.st[i] % 2 and t.sh[i] > 1:
            raise ShapeError(f"Tensor must have a stride divisible by 2 for all but last dimension")
        sh[i] = t.sh[i]
        st[i] = t.st[i] // 2
    if storage_offset(t) % 2:
        raise ShapeError("Tensor must have a storage_offset divisible by 2")
    v = alias(t)
    v.dt = RT_C64 if t.dt == RT_F32 else RT_C128 if t.dt == RT_F64 else RT_C32
    set_dims(v, t.nd - 1, sh, st)
    return record_complex(v, t, 1)


cdef TensorBase part_view(TensorBase t, int which):
    cdef int64_t st[64]
    cdef int i
    cdef TensorBase v = alias(t)
    for i in range(t.nd):
        st[i] = t.st[i] * 2
    v.dt = rt_real_dtype(t.dt)
    v.ptr = t.ptr + which * rt_itemsize(v.dt)
    set_dims(v, t.nd, t.sh, st)
    return record_complex(v, t, 2 + which)


def real(input):
    """View the real part; a real tensor comes back itself."""
    cdef TensorBase t = as_base("real", "input", input)
    return part_view(t, 0) if rt_kind(t.dt) == RT_KIND_COMPLEX else t


def imag(input):
    """View the imaginary part of a complex tensor."""
    cdef TensorBase t = as_base("imag", "input", input)
    if rt_kind(t.dt) != RT_KIND_COMPLEX:
        raise ShapeError("imag is not implemented for tensors with non-complex dtypes.")
    return part_view(t, 1)


def conj(input):
    """Return the conjugate; a real tensor comes back itself."""
    cdef TensorBase t = as_base("conj", "input", input)
    return _rows.conj_physical(t) if rt_kind(t.dt) == RT_KIND_COMPLEX else t


def resolve_conj(input):
    """Return the input: conjugation here is never lazy."""
    return as_base("resolve_conj", "input", input)


def _set_real(self, value):
    real(self).copy_(value)


def _set_imag(self, value):
    imag(self).copy_(value)


FUNCTIONS = {"view_as_real": view_as_real, "view_as_complex": view_as_complex, "real": real, "imag": imag, "conj": conj,
             "resolve_conj": resolve_conj, "resolve_neg": resolve_conj}
METHODS = {"conj": conj, "resolve_conj": resolve_conj, "resolve_neg": resolve_conj,
           "real": property(real, _set_real, doc="Real part: a view; self itself when it is real."),
           "imag": property(imag, _set_imag, doc="Imaginary part: a view of a complex tensor.")}
