# build: sources=implicit.c,special.c cold
"""Gamma and Dirichlet samples, and their derivatives by the parameters."""
from libc.stdint cimport int64_t
from ._base cimport (TensorBase, RtArray, as_base, empty, empty_like_shape, attach1, fill_array, save, save_output, saved, grad_mode,
                     RT_F32, RT_F64, rt_kind, RT_KIND_FLOAT)
from ._node cimport Node
from ._plan cimport broadcast_shapes, cast_raw, contiguous_raw, expand_raw
from ._random cimport RtRandom, draw, draw_gamma, drawn_here, drawn_there, no_grad_here, refuse, stream
from ._lane cimport need_cpu
from ._dtype cimport dtype_of

from ..errors import DTypeError

cdef extern from "implicit.h" nogil:
    void rt_implicit_gamma_n(const double *a, const double *x, double *out, int64_t n)
    void rt_implicit_beta_n(const double *x, const double *a, const double *total, double *out, int64_t n)

# smallest normal number and largest number below 1 of a dtype
cdef dict BOUNDS = {RT_F64: (2.0 ** -1022, 1 - 2.0 ** -53), RT_F32: (2.0 ** -126, 1 - 2.0 ** -24)}


cdef TensorBase gammas(str op, TensorBase t, int dt, object generator):
    cdef TensorBase result = empty_like_shape(t, dt)
    cdef RtRandom *g = stream(op, generator)
    cdef RtArray a, b
    if t.dt != RT_F32 and t.dt != RT_F64:
        refuse(op, t)
    if drawn_there(result):
        drawn_here(result, generator)
        draw("random_gamma", result, generator, (t,))
    elif drawn_here(result, generator):
        fill_array(result, &a)
        fill_array(t, &b)
        draw_gamma(g, &a, &b)
    return result


cdef class StandardGammaBackward(Node):
    cdef object own_name(self):
        return "StandardGammaBackward0"

    cdef object apply(self, object g):
        return g * _standard_gamma_grad(saved(self, 0), saved(self, 1))


def _standard_gamma(self, generator=None):
    """Draw a gamma number of scale 1 for each element, the shape parameter.

    Args:
        self: float tensor of shape parameters.
        generator: stream to draw from; the default one for None.

    Source: G. Marsaglia & W. W. Tsang, A simple method for generating gamma variables, 2000.
    """
    cdef TensorBase t = as_base("_standard_gamma", "self", self), result
    cdef StandardGammaBackward node
    result = gammas("gamma_cpu", t, t.dt, generator)
    with no_grad_here():
        result = <TensorBase>(<object>result).clamp_(min=BOUNDS[t.dt][0])
    if t.rg and grad_mode():
        node = StandardGammaBackward.__new__(StandardGammaBackward)
        save(node, 0, t)
        attach1(result, node, t)
        save_output(node, 1, result)
    return result


def _sample_dirichlet(self, generator=None):
    """Draw points of the simplex from Dirichlet distributions whose concentrations lie along the last dimension.

    No gradient is recorded; `_dirichlet_grad` gives the derivative.
    """
    cdef TensorBase t = as_base("_sample_dirichlet", "self", self), result
    with no_grad_here():
        if t.dt not in BOUNDS:
            refuse("dirichlet", t)
        gamma = <object>gammas("dirichlet", cast_raw(t, RT_F64), RT_F64, generator)
        low, high = BOUNDS[t.dt]
        result = cast_raw(<TensorBase>(gamma / gamma.sum(-1, True)), t.dt)
        return (<object>result).clamp_(min=low, max=high)


cdef list same(str op, tuple named):
    """Float tensors of one dtype, broadcast, as contiguous float64."""
    cdef TensorBase first = None, t, other
    cdef int64_t sh[64]
    cdef int nd
    cdef list out = []
    shape_of = None
    for name, x in named:
        t = as_base(op, name, x)
        need_cpu(op, t)
        if rt_kind(t.dt) != RT_KIND_FLOAT:
            refuse(op, t)
        if first is None:
            first = t
        elif t.dt != first.dt:
            raise DTypeError(f"{op}: expected {name} of dtype {dtype_of(first.dt)} like {named[0][0]}, got {dtype_of(t.dt)}", op=op)
        if shape_of is None:
            shape_of = t
        else:
            nd = broadcast_shapes(op, shape_of, t, None, sh)
            shape_of = empty(nd, sh, RT_F64, 0)
    other = <TensorBase>shape_of
    for name, x in named:
        t = contiguous_raw(cast_raw(expand_raw(<TensorBase>x, other.nd, other.sh), RT_F64))
        out.append(t)
    return out


def _standard_gamma_grad(self, output):
    """Compute the derivative of a gamma sample by its shape parameter.

    Args:
        self: float tensor of shape parameters.
        output: samples, of the same dtype.

    Source: M. Figurnov, S. Mohamed, A. Mnih, Implicit reparameterization gradients, 2018.
    """
    cdef TensorBase a, x, r
    a, x = same("_standard_gamma_grad", (("self", self), ("output", output)))
    r = empty_like_shape(a, RT_F64)
    with nogil:
        rt_implicit_gamma_n(<const double *>a.ptr, <const double *>x.ptr, <double *>r.ptr, r.n)
    return cast_raw(r, (<TensorBase>self).dt)


def _dirichlet_grad(x, alpha, total):
    """Compute dx/dalpha / (1 - x) of a Beta(alpha, total - alpha) sample x, total - alpha held fixed.

    Args:
        x: float tensor of samples; alpha, total: parameters of the same dtype.

    Source: M. Figurnov, S. Mohamed, A. Mnih, Implicit reparameterization gradients, 2018.
    """
    cdef TensorBase s, a, t, r
    s, a, t = same("_dirichlet_grad", (("x", x), ("alpha", alpha), ("total", total)))
    r = empty_like_shape(s, RT_F64)
    with nogil:
        rt_implicit_beta_n(<const double *>s.ptr, <const double *>a.ptr, <const double *>t.ptr, <double *>r.ptr, r.n)
    return cast_raw(r, (<TensorBase>x).dt)


FUNCTIONS = {"_standard_gamma": _standard_gamma, "_standard_gamma_grad": _standard_gamma_grad, "_sample_dirichlet": _sample_dirichlet,
             "_dirichlet_grad": _dirichlet_grad}
METHODS = {}
