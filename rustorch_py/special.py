"""Special functions under the names of torch.special."""
from . import tensor as _t
from .errors import DTypeError as _DTypeError, TensorTypeError as _TensorTypeError
from .tensor import _special
from .tensor._function import public as _public
from .tensor._lane import deliver_out as _deliver_out
from .tensor._ops import label_result as _label_result
from .tensor._special import (
    airy_ai, bessel_j0, bessel_j1, bessel_y0, bessel_y1, chebyshev_polynomial_t, chebyshev_polynomial_u, chebyshev_polynomial_v,
    chebyshev_polynomial_w, hermite_polynomial_h, hermite_polynomial_he, laguerre_polynomial_l, legendre_polynomial_p,
    modified_bessel_k0, modified_bessel_k1, scaled_modified_bessel_k0, scaled_modified_bessel_k1, shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u, shifted_chebyshev_polynomial_v, shifted_chebyshev_polynomial_w, spherical_bessel_j0)

digamma = psi = _t.digamma
entr = _t.entr
erf, erfc, erfcx, erfinv = _t.erf, _t.erfc, _t.erfcx, _t.erfinv
exp2, expm1, log1p = _t.exp2, _t.expm1, _t.log1p
expit = _t.sigmoid
gammainc, gammaincc = _special.igamma, _special.igammac
gammaln = _t.lgamma
i0, i0e, i1, i1e = _t.i0, _t.i0e, _t.i1, _t.i1e
log_ndtr, ndtri = _t.log_ndtr, _t.ndtri
logit = _t.logit
logsumexp = _t.logsumexp
multigammaln = _t.mvlgamma
polygamma = _t.polygamma
round = _t.round
sinc = _t.sinc
xlog1py, xlogy, zeta = _t.xlog1py, _t.xlogy, _t.zeta


def ndtr(input, *, out=None):
    """Compute the area under the standard normal density up to ``input``."""
    if not isinstance(input, _t.Tensor):
        raise _TensorTypeError(f"ndtr(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}", op="ndtr")
    if input.is_complex():
        raise _DTypeError(f"\"ndtr\" not implemented for {input.dtype}", op="ndtr")
    x = input if input.dtype.is_floating_point else input.to(_t.get_default_dtype())
    tail = _label_result((x * -0.7071067811865476).erfc() * 0.5, "MulBackward1")
    return _deliver_out("ndtr", tail, out)


def _wide(op, input):
    if isinstance(input, _t.Tensor) and input.dtype in (_t.float16, _t.bfloat16) and input.device.type == "cpu":
        raise _DTypeError(f"\"{op}\" not implemented for {input.dtype}", op=op)


def modified_bessel_i0(input, *, out=None):
    """Compute the modified Bessel function of order 0."""
    _wide("modified_bessel_i0", input)
    return _t.i0(input, out=out)


def modified_bessel_i1(input, *, out=None):
    """Compute the modified Bessel function of order 1."""
    _wide("modified_bessel_i1", input)
    return _t.i1(input, out=out)


def softmax(input, dim, *, dtype=None):
    """Compute the softmax along ``dim``."""
    return _t.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim, *, dtype=None):
    """Compute the logarithm of the softmax along ``dim``."""
    return _t.log_softmax(input, dim, dtype=dtype)


for _name in """airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
        hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0
        scaled_modified_bessel_k1 shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w
        spherical_bessel_j0""".split():
    globals()[_name] = _public(globals()[_name])          # overrides and vmap are asked
del _name

__all__ = [name for name in globals() if not name.startswith("_")]
