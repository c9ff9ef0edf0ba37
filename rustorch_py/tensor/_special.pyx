# build: isa=bessel.inc.c cold
"""Special functions that are not rows of the operator table, computed in double precision."""
from libc.stdint cimport int64_t
from ._cpu cimport isa_level, rt_num_threads
from ._base cimport (TensorBase, as_base, empty_like_shape, attach2, save, saved, wants_edge, grad_mode,
                     RT_F32, RT_F64, rt_kind, RT_KIND_FLOAT, RT_KIND_COMPLEX, F_CONTIG, empty, empty_ordered)
from ._node cimport Node
from ._plan cimport cast_raw, contiguous_raw, copy_raw, broadcast_shapes, expand_raw, result_dtype
from ._ops cimport deliver, operand, sum_like
from ._ops import old_value
from ._dtype cimport default_code, torch_name
from ._devices import run as run_on_device

from ..errors import UnsupportedOpError

cdef extern from "bessel.h" nogil:
    """
    #include "lane.h"
    RT_LANE_EXTERN(RtBesselTable, rt_bessel_table);
    static inline const RtBesselTable *rt_pick_bessel(int level) { (void)level; return RT_LANE_PICK(rt_bessel_table, level); }
    """
    enum: RT_AIRY_AI, RT_J0, RT_J1, RT_Y0, RT_Y1, RT_K0, RT_K1, RT_K0E, RT_K1E, RT_SPHERICAL_J0
    enum: RT_IGAMMA, RT_IGAMMAC, RT_CHEBYSHEV_T, RT_CHEBYSHEV_U, RT_CHEBYSHEV_V, RT_CHEBYSHEV_W, RT_SHIFTED_T, RT_SHIFTED_U
    enum: RT_SHIFTED_V, RT_SHIFTED_W, RT_HERMITE_H, RT_HERMITE_HE, RT_LAGUERRE_L, RT_LEGENDRE_P
    ctypedef struct RtBesselTable:
        void (*one)(int which, int wide, const void *x, int64_t n, void *out, int threads) noexcept nogil
        void (*two)(int which, const double *a, const double *b, int64_t n, double limit, double *out, int threads) noexcept nogil
    const RtBesselTable *rt_pick_bessel(int level)


cdef object one(object op, int which, object input, object out):
    cdef TensorBase t = as_base(op, "input", input), x, r
    cdef int dt = t.dt if rt_kind(t.dt) >= RT_KIND_FLOAT else default_code()
    if rt_kind(t.dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f'"{op}" not implemented for \'{torch_name(t.dt)}\'', op=op)
    if t.dev & 255:
        x = contiguous_raw(cast_raw(t, RT_F64))
        r = empty_like_shape(x, RT_F64)
        run_on_device("bessel", r, x, which)
        return deliver(op, cast_raw(r, dt), out)
    x = contiguous_raw(cast_raw(t, RT_F32 if dt == RT_F32 and t.dt == dt else RT_F64))
    r = empty_like_shape(x, x.dt)
    with nogil:
        rt_pick_bessel(isa_level()).one(which, x.dt == RT_F64, x.ptr, x.n, r.ptr, rt_num_threads())
    return deliver(op, cast_raw(r, dt), out)


cdef TensorBase two(object op, int which, TensorBase a, TensorBase b):
    cdef int dt = result_dtype(a, b, None), nd
    cdef int64_t sh[64]
    cdef TensorBase x, y, r
    if rt_kind(dt) == RT_KIND_COMPLEX:
        raise UnsupportedOpError(f'"{op}" not implemented for \'{torch_name(dt)}\'', op=op)
    if rt_kind(dt) < RT_KIND_FLOAT:
        dt = default_code()
    nd = broadcast_shapes(op, a, b, None, sh)
    x = contiguous_raw(expand_raw(cast_raw(a, RT_F64), nd, sh))
    y = contiguous_raw(expand_raw(cast_raw(b, RT_F64), nd, sh))
    r = empty(nd, sh, RT_F64, a.dev)
    cdef double limit = 512 if dt == RT_F64 else 128       # PyTorch's limits of Hermite degrees
    if a.dev & 255:
        run_on_device("special2", r, x, y, which, limit)
        return cast_raw(r, dt)
    with nogil:
        rt_pick_bessel(isa_level()).two(which, <const double *>x.ptr, <const double *>y.ptr, r.n, limit, <double *>r.ptr, rt_num_threads())
    if a.flags & b.flags & F_CONTIG:
        return cast_raw(r, dt)
    x = empty_ordered(nd, sh, dt, a.dev, a, b, None)
    copy_raw(x, r)
    return x


cdef object pair(object op, int which, object a, object b, object out):
    cdef TensorBase x, y
    if isinstance(a, TensorBase):
        x = <TensorBase>a
        y = operand(op, b, x.dev)
    else:
        y = as_base(op, "n", b)
        x = operand(op, a, y.dev)
    return deliver(op, two(op, which, x, y), out)


# ---- Bessel and Airy ----
def airy_ai(input, *, out=None):
    """Compute the Airy function Ai."""
    return one("airy_ai", RT_AIRY_AI, input, out)


def bessel_j0(input, *, out=None):
    """Compute the Bessel function of the first kind of order 0."""
    return one("bessel_j0", RT_J0, input, out)


def bessel_j1(input, *, out=None):
    """Compute the Bessel function of the first kind of order 1."""
    return one("bessel_j1", RT_J1, input, out)


def bessel_y0(input, *, out=None):
    """Compute the Bessel function of the second kind of order 0."""
    return one("bessel_y0", RT_Y0, input, out)


def bessel_y1(input, *, out=None):
    """Compute the Bessel function of the second kind of order 1."""
    return one("bessel_y1", RT_Y1, input, out)


def modified_bessel_k0(input, *, out=None):
    """Compute the modified Bessel function of the second kind of order 0."""
    return one("modified_bessel_k0", RT_K0, input, out)


def modified_bessel_k1(input, *, out=None):
    """Compute the modified Bessel function of the second kind of order 1."""
    return one("modified_bessel_k1", RT_K1, input, out)


def scaled_modified_bessel_k0(x, *, out=None):
    """Compute exp(x) times the modified Bessel function of the second kind of order 0."""
    return one("scaled_modified_bessel_k0", RT_K0E, x, out)


def scaled_modified_bessel_k1(x, *, out=None):
    """Compute exp(x) times the modified Bessel function of the second kind of order 1."""
    return one("scaled_modified_bessel_k1", RT_K1E, x, out)


def spherical_bessel_j0(x, *, out=None):
    """Compute the spherical Bessel function sin(x) / x."""
    return one("spherical_bessel_j0", RT_SPHERICAL_J0, x, out)


# ---- orthogonal polynomials of degree n ----
def chebyshev_polynomial_t(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the first kind."""
    return pair("chebyshev_polynomial_t", RT_CHEBYSHEV_T, input, n, out)


def chebyshev_polynomial_u(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the second kind."""
    return pair("chebyshev_polynomial_u", RT_CHEBYSHEV_U, input, n, out)


def chebyshev_polynomial_v(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the third kind."""
    return pair("chebyshev_polynomial_v", RT_CHEBYSHEV_V, input, n, out)


def chebyshev_polynomial_w(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the fourth kind."""
    return pair("chebyshev_polynomial_w", RT_CHEBYSHEV_W, input, n, out)


def shifted_chebyshev_polynomial_t(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the first kind at 2 x - 1."""
    return pair("shifted_chebyshev_polynomial_t", RT_SHIFTED_T, input, n, out)


def shifted_chebyshev_polynomial_u(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the second kind at 2 x - 1."""
    return pair("shifted_chebyshev_polynomial_u", RT_SHIFTED_U, input, n, out)


def shifted_chebyshev_polynomial_v(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the third kind at 2 x - 1."""
    return pair("shifted_chebyshev_polynomial_v", RT_SHIFTED_V, input, n, out)


def shifted_chebyshev_polynomial_w(input, n, *, out=None):
    """Compute the Chebyshev polynomial of the fourth kind at 2 x - 1."""
    return pair("shifted_chebyshev_polynomial_w", RT_SHIFTED_W, input, n, out)


def hermite_polynomial_h(input, n, *, out=None):
    """Compute the physicist's Hermite polynomial."""
    return pair("hermite_polynomial_h", RT_HERMITE_H, input, n, out)


def hermite_polynomial_he(input, n, *, out=None):
    """Compute the probabilist's Hermite polynomial."""
    return pair("hermite_polynomial_he", RT_HERMITE_HE, input, n, out)


def laguerre_polynomial_l(input, n, *, out=None):
    """Compute the Laguerre polynomial."""
    return pair("laguerre_polynomial_l", RT_LAGUERRE_L, input, n, out)


def legendre_polynomial_p(input, n, *, out=None):
    """Compute the Legendre polynomial."""
    return pair("legendre_polynomial_p", RT_LEGENDRE_P, input, n, out)


# ---- incomplete gamma ----
cdef object incomplete(object op, int which, object input, object other, object out):
    cdef TensorBase a = as_base(op, "input", input), x = operand(op, other, 0), r
    cdef IncompleteGammaBackward node
    if rt_kind(result_dtype(a, x, None)) != RT_KIND_FLOAT:
        raise UnsupportedOpError(f'"{op}_cpu" not implemented for \'{torch_name(result_dtype(a, x, None))}\'', op=op)
    r = two(op, which, a, x)
    if (a.rg or x.rg) and grad_mode():
        node = IncompleteGammaBackward.__new__(IncompleteGammaBackward)
        node.upper = which == RT_IGAMMAC
        save(node, 0, a)
        save(node, 1, x)
        attach2(r, node, a, x)
    return deliver(op, r, out)


cdef class IncompleteGammaBackward(Node):
    cdef bint upper

    cdef object own_name(self):
        return "IgammacBackward0" if self.upper else "IgammaBackward0"

    cdef object apply(self, object g):
        if wants_edge(self, 0):
            raise UnsupportedOpError("the derivative for 'igamma: input' is not implemented", op="igamma")
        a, x = <object>saved(self, 0), <object>saved(self, 1)
        density = ((a - 1) * x.log() - x - a.lgamma()).exp()
        return None, sum_like(<TensorBase>(-(g * density) if self.upper else g * density), saved(self, 1))


def igamma(input, other, *, out=None):
    """Compute the regularised lower incomplete gamma function P(input, other)."""
    return incomplete("igamma", RT_IGAMMA, input, other, out)


def igammac(input, other, *, out=None):
    """Compute the regularised upper incomplete gamma function Q(input, other)."""
    return incomplete("igammac", RT_IGAMMAC, input, other, out)


def igamma_(self, other):
    """Replace by P(self, other)."""
    return self.copy_(igamma(old_value(self, other), other))


def igammac_(self, other):
    """Replace by Q(self, other)."""
    return self.copy_(igammac(old_value(self, other), other))


FUNCTIONS = {"igamma": igamma, "igammac": igammac}
METHODS = {"igamma": igamma, "igammac": igammac, "igamma_": igamma_, "igammac_": igammac_}
