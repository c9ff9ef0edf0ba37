"""Arithmetic, comparison and statistics made of other operators."""
from . import _distance
from ..errors import DTypeError, DimError, ShapeError, TensorError, TensorTypeError, TensorValueError, UnsupportedOpError
from ._base import TensorBase
from ._convert import equal
from ._create import arange, complex_, empty_like
from ._dtype import get_default_dtype, promote_types
from ._join import cat
from ._rearrange import triu_indices
from ._lane import deliver_out
from ._linalg_norms import tensors_only, vector_norm
from ._mask import where
from ._ops import old_value
from ._pointwise import finite_or, finite_or_, float_power, plain_frexp
from ._return_types import named_result
from ._view import broadcast_tensors

INF = float("inf")


def _floats(x):
    """x, integers and bool as the default float dtype."""
    return x if x.dtype.is_floating_point or x.dtype.is_complex else x.to(get_default_dtype())


# ---- comparison ----
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Tell where ``|input - other| <= atol + rtol * |other|``; infinities are close to themselves."""
    tensors_only("isclose", input, other)
    if input.dtype != other.dtype:
        raise TensorError(f"isclose(): {input.dtype} did not match {other.dtype}", op="isclose")
    if not (rtol >= 0 and atol >= 0):
        raise TensorError(f"isclose(): rtol and atol must be greater than or equal to zero, but got {rtol} and {atol}", op="isclose")
    close = input == other
    if equal_nan and (input.dtype.is_floating_point or input.dtype.is_complex):
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    a, b = _floats(input), _floats(other)
    if str(input.dtype).endswith("bool"):
        a, b = input.to(get_default_dtype()), other.to(get_default_dtype())
    gap = (a - b).abs()
    return close | (gap.isfinite() & (gap <= atol + (rtol * b).abs()))


def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Tell whether all elements are close (see ``isclose``)."""
    return bool(isclose(input, other, rtol, atol, equal_nan).all())


def isreal(input):
    """Tell which elements have no imaginary part."""
    return input.imag == 0 if input.is_complex() else (input == input) | True


# ---- elementwise ----
def nan_to_num(input, nan=0.0, posinf=None, neginf=None, *, out=None):
    """Replace NaN and infinities by numbers (infinities by the dtype's extremes unless given)."""
    top = _LARGEST.get(input.dtype.name)
    if top is not None and out is None:
        return finite_or(input, 0.0 if nan is None else nan, top if posinf is None else posinf, -top if neginf is None else neginf)
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        return deliver_out("nan_to_num", input.clone(), out)
    if input.is_complex():
        return deliver_out("nan_to_num", complex_(nan_to_num(input.real, nan, posinf, neginf), nan_to_num(input.imag, nan, posinf, neginf)), out)
    if top is None:
        raise UnsupportedOpError(f'"nan_to_num" not implemented for {input.dtype}', op="nan_to_num")
    return deliver_out("nan_to_num", nan_to_num(input, nan, posinf, neginf), out)


_LARGEST = {"float16": 65504.0, "bfloat16": 3.3895313892515355e38, "float32": 3.4028234663852886e38, "float64": 1.7976931348623157e308}


def nan_to_num_(self, nan=0.0, posinf=None, neginf=None):
    """Replace NaN and infinities in place."""
    top = _LARGEST.get(self.dtype.name)
    if top is not None:
        return finite_or_(self, 0.0 if nan is None else nan, top if posinf is None else posinf, -top if neginf is None else neginf)
    return self.copy_(nan_to_num(old_value(self), nan, posinf, neginf))


def float_power_(self, exponent):
    """Raise to a power in double precision, in place: self must be float64 (or complex128)."""
    result = float_power(old_value(self, exponent), exponent)
    if result.dtype != self.dtype:
        raise TensorError(f"the base given to float_power_ has dtype {self.dtype} but the operation's result requires dtype {result.dtype}",
                          op="float_power_")
    return self.copy_(result)


def frexp(input, *, out=None):
    """Split into mantissa in [0.5, 1) and exponent of two: ``input == mantissa * 2 ** exponent``."""
    if not input.dtype.is_floating_point:
        raise TensorError("torch.frexp() only supports floating-point dtypes", op="frexp")
    result = named_result("frexp", "mantissa", "exponent")
    if out is None:
        short = input.itemsize < 4
        pair = plain_frexp((input.float() if short else input).contiguous())
        if pair is not None:
            pair = (pair[0].to(input.dtype), pair[1]) if short else pair
            return result(pair if input.is_contiguous() else [empty_like(input, dtype=part.dtype).copy_(part) for part in pair])
    x = input.detach().double()
    size = x.abs()
    finite = size.isfinite() & (size != 0)
    safe = where(finite, size, x.new_ones(()))
    e = safe.log2().floor() + 1
    m = safe * (0.5 * (-(e - 1)).clamp(-1000, 1000).exp2()) * (-(e - 1) - (-(e - 1)).clamp(-1000, 1000)).exp2()
    e = where(m >= 1, e + 1, where(m < 0.5, e - 1, e)).int()
    e = where(finite, e, e.new_zeros(()))
    scale = (-e.double()).clamp(-1000, 1000)
    mantissa = input * scale.exp2().to(input.dtype) if str(input.dtype).endswith("float64") else \
        (input.double() * scale.exp2() * (-e.double() - scale).exp2()).to(input.dtype)
    mantissa = where(finite, mantissa, input)
    if out is not None:
        if len(out) != 2:
            raise TensorTypeError(f"frexp(): expected tuple of 2 elements but got {len(out)}", op="frexp")
        return result((deliver_out("frexp", mantissa, out[0]), deliver_out("frexp", e, out[1])))
    return result((mantissa, e))


def pdist(input, p=2.0):
    """Compute the p-norm distances between all pairs of rows of a matrix, in order: a vector."""
    if input.dim() != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {input.dim()}D", op="pdist")
    if not p >= 0:
        raise TensorError("pdist only supports non-negative p values", op="pdist")
    n = input.shape[0]
    if n < 2:
        return input.reshape(-1)[:0]        # no pairs; still part of the graph
    out = _distance.pairs(input, p, lambda x: _composed_pdist(x, p))
    return _composed_pdist(input, p) if out is None else out


def _composed_pdist(input, p):
    n = input.shape[0]
    first, second = triu_indices(n, n, 1, device=input.device)
    gap = input.index_select(0, first) - input.index_select(0, second)
    out = vector_norm(gap, p, -1, False)
    return out if p else out + 0 * gap.sum(-1)      # counting has the gradient zero, not none


def cosine_similarity(x1, x2, dim=1, eps=1e-08):
    """Compute the cosine of the angle between vectors along ``dim``; norms are at least ``eps``."""
    dtype = promote_types(x1.dtype, x2.dtype)
    if not dtype.is_floating_point:
        raise DTypeError(f"expected common dtype to be floating point, yet common dtype is {dtype}", op="cosine_similarity")
    if not eps >= 0:
        raise TensorValueError(f"cosine_similarity: eps must be non-negative, got: {eps}", op="cosine_similarity")
    x1, x2 = broadcast_tensors(x1.to(dtype), x2.to(dtype))     # norms are those of the broadcast vectors
    n1 = vector_norm(x1, 2, dim, True).clamp(min=eps)
    n2 = vector_norm(x2, 2, dim, True).clamp(min=eps)
    return ((x1 / n1) * (x2 / n2)).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-06, keepdim=False):
    """Compute the p-norm of ``x1 - x2 + eps`` along the last dimension."""
    return vector_norm(x1 - x2 + eps, p, -1, keepdim)


def renorm(input, p, dim, maxnorm, *, out=None):
    """Scale the slices along ``dim`` whose p-norm exceeds ``maxnorm`` down to it."""
    if isinstance(p, complex):
        raise TensorValueError("renorm: p must be real-valued", op="renorm")
    if p <= 0:
        raise TensorError("renorm: non-positive norm not supported", op="renorm")
    if not maxnorm >= 0:
        raise TensorError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}", op="renorm")
    n = input.dim()
    if n < 2:
        raise ShapeError(f"renorm: input needs at least 2 dimensions, got {n} dimensions", op="renorm")
    if not -n <= dim < n:
        raise DimError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})", op="renorm")
    input = input.contiguous()
    slices = input.movedim(dim, 0)
    norm = vector_norm(slices.reshape(slices.shape[0], -1), p, 1, False)
    scale = where(norm > maxnorm, maxnorm / (norm + 1e-7), norm.new_ones(()))
    return deliver_out("renorm", input * scale.reshape((-1,) + (1,) * (n - 1 - dim % n)), out)


def renorm_(self, p, dim, maxnorm):
    """Scale slices along ``dim`` down to the p-norm ``maxnorm``, in place."""
    return self.copy_(renorm(old_value(self), p, dim, maxnorm))


# ---- statistics ----
def nanmean(input, dim=None, keepdim=False, *, dtype=None, out=None):
    """Compute the mean of the elements that are not NaN."""
    if not (input.dtype.is_floating_point or input.dtype.is_complex):
        raise TensorError(f"nanmean(): expected input to have floating point or complex dtype but got {input.dtype}", op="nanmean")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        raise TensorError(f"nanmean(): could not infer output dtype. Optional dtype must be either a floating point or complex dtype. Got: {dtype}", op="nanmean")
    count = (~input.isnan()).sum(dim, keepdim=keepdim) if dim is not None else (~input.isnan()).sum(keepdim=keepdim)
    total = input.nansum(dim, keepdim, dtype=dtype, out=None if out is None else out.new_empty(count.shape))
    return deliver_out("nanmean", total / count, out)


def cov(input, *, correction=1, fweights=None, aweights=None):
    """Compute the covariance matrix of variables (rows) over observations (columns).

    Args:
        correction: subtracted from the number of observations.
        fweights: how often each observation occurs (integers).
        aweights: weight of each observation.
    """
    if input.dim() > 2:
        raise ShapeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions", op="cov")
    if str(input.dtype).endswith("bool"):
        raise DTypeError("cov(): bool dtype is not supported for input", op="cov")
    x = input if input.dim() == 2 else input.reshape(1, -1)
    n = x.shape[1]
    weights = None
    if fweights is not None:
        if fweights.dtype.is_floating_point or fweights.dtype.is_complex:
            raise DTypeError(f"cov(): expected fweights to have integral dtype but got fweights with {fweights.dtype} dtype", op="cov")
        if fweights.numel() != n:
            raise ShapeError(f"cov(): expected fweights to have the same numel as there are observations in the input but got {fweights.numel()} != {n}", op="cov")
        if fweights.numel() and bool((fweights < 0).any()):
            raise TensorError("cov(): fweights cannot be negative", op="cov")
        weights = fweights
    if aweights is not None:
        if not aweights.dtype.is_floating_point:
            raise DTypeError(f"cov(): expected aweights to have floating point dtype but got aweights with {aweights.dtype} dtype", op="cov")
        if aweights.numel() != n:
            raise ShapeError(f"cov(): expected aweights to have the same numel as there are observations in the input but got {aweights.numel()} != {n}", op="cov")
        if aweights.numel() and bool((aweights < 0).any()):
            raise TensorError("cov(): aweights cannot be negative", op="cov")
        weights = aweights if weights is None else weights * aweights
    total = n if weights is None else weights.sum()
    if n and weights is not None and bool(total == 0):
        raise TensorError("cov(): weights sum to zero, can't be normalized", op="cov")
    x = _floats(x)
    average = (x if weights is None else x * weights).sum(1) / total
    if weights is not None and aweights is not None and correction != 0:
        norm = total - correction * (weights * aweights).sum() / total
    else:
        norm = total - correction
    norm = norm.clamp(min=0) if weights is not None else max(norm, 0)
    x = x - average.unsqueeze(1)
    other = x if weights is None else x * weights
    other = other.t().conj() if other.is_complex() else other.t()
    out = x.matmul(other)
    out = out / norm if weights is not None or norm else out * float("inf") * 0 + float("nan") if not n else out / norm if norm else out * INF
    return out.squeeze() if input.dim() < 2 or x.shape[0] == 1 else out


def corrcoef(input):
    """Compute the matrix of correlation coefficients of variables (rows)."""
    if input.dim() > 2:
        raise ShapeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions", op="corrcoef")
    c = cov(input)
    if c.dim() == 0:
        return c / c
    d = c.diagonal()
    scale = (d.real if d.is_complex() else d).sqrt()
    c = c / scale.unsqueeze(1) / scale.unsqueeze(0)
    if c.is_complex():
        return complex_(c.real.clamp(-1, 1), c.imag.clamp(-1, 1))
    return c.clamp(-1, 1)


# ---- differences and integrals ----
def diff(input, n=1, dim=-1, prepend=None, append=None, *, out=None):
    """Compute the n-th difference along ``dim``, with ``prepend`` and ``append`` joined first."""
    if input.dim() == 0:
        raise ShapeError("diff expects input to be at least one-dimensional", op="diff")
    if n < 0:
        raise TensorError(f"order must be non-negative but got {n}", op="diff")
    if n == 0:
        return deliver_out("diff", input.clone(), out)
    if prepend is not None or append is not None:
        input = cat([t for t in (prepend, input, append) if t is not None], dim)
    size = input.shape[dim]
    if n >= size:
        return deliver_out("diff", input.narrow(dim, 0, 0).clone(), out)
    logical = str(input.dtype).endswith("bool")
    for _ in range(n):
        size = input.shape[dim] - 1
        a, b = input.narrow(dim, 1, size), input.narrow(dim, 0, size)
        input = a.logical_xor(b) if logical else a - b
    return deliver_out("diff", input, out)


def _heights(y, dim):
    n = y.shape[dim]
    return y.narrow(dim, 1, n - 1) + y.narrow(dim, 0, n - 1)


def _widths(op, y, x, dim):
    """Gaps between sample points, shaped to multiply y's neighbours along dim."""
    if x.dim() == 1 and x.shape[0] != y.shape[dim]:
        raise ShapeError(f"{op}(): There must be one `x` value for each sample point", op=op)
    if x.dim() == 1:
        return diff(x).reshape((-1,) + (1,) * (y.dim() - 1 - dim % y.dim()))
    return diff(x.reshape((1,) * (y.dim() - x.dim()) + tuple(x.shape)), dim=dim % y.dim())


def trapezoid(y, x=None, *, dx=None, dim=-1):
    """Integrate samples along ``dim`` by the trapezoid rule.

    Args:
        y: samples.
        x: where they were taken; 1-d, or as many dimensions as y.
        dx: their distance, when there is no x (default 1).
    """
    if x is not None and dx is not None:
        raise TensorTypeError("trapezoid(): x and dx exclude each other", op="trapezoid")
    if y.dim() == 0:
        raise DimError("trapezoid: y needs at least one dimension", op="trapezoid")
    if y.shape[dim] == 0:
        shape = list(y.shape)
        del shape[dim]
        return y.new_zeros(shape)
    if str(y.dtype).endswith("bool"):
        raise TensorError("trapezoid: received a bool input for `y`, but bool is not supported", op="trapezoid")
    if x is None:
        return (y.sum(dim) - (y.select(dim, 0) + y.select(dim, -1)) * 0.5) * (1 if dx is None else dx)
    return (_widths("trapezoid", y, x, dim) * _heights(y, dim)).sum(dim % y.dim()) / 2.0


def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """Integrate as ``trapezoid``, giving every partial integral."""
    if x is not None and dx is not None:
        raise TensorTypeError("cumulative_trapezoid(): x and dx exclude each other", op="cumulative_trapezoid")
    if y.dim() == 0:
        raise DimError("cumulative_trapezoid: y needs at least one dimension", op="cumulative_trapezoid")
    if str(y.dtype) == "torch.bool":
        raise DTypeError("cumulative_trapezoid: received a bool input for `y`, but bool is not supported", op="cumulative_trapezoid")
    if x is None:
        return _heights(y, dim).cumsum(dim) * ((1 if dx is None else dx) / 2.0)
    return (_widths("cumulative_trapezoid", y, x, dim) * _heights(y, dim)).cumsum(dim % y.dim()) / 2.0


def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """Estimate the gradient of sampled values: central differences inside, one-sided at the edges.

    Args:
        spacing: distance of samples: a number, one a dimension, or tensors of coordinates.
        dim: dimensions (default all).
        edge_order: 1 or 2: order of the estimate at the edges.
    Returns:
        A list with one tensor a dimension.
    """
    n = input.dim()
    if edge_order not in (1, 2):
        raise TensorError("torch.gradient only supports edge_order=1 and edge_order=2.", op="gradient")
    dims = list(range(n)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [d % n if -n <= d < n else _bad_dim(d, n) for d in dims]
    if len(set(dims)) != len(dims):
        raise TensorError("dim appears multiple times in the list of dims", op="gradient")
    if spacing is None:
        spacings = [1.0] * len(dims)
    elif isinstance(spacing, (tuple, list)):
        spacings = list(spacing)
    elif isinstance(spacing, (int, float, complex)):
        spacings = [spacing] * len(dims)
    else:
        spacings = [spacing]
    for i, h in enumerate(spacings):
        if not isinstance(h, (int, float, complex)) and not hasattr(h, "dim"):
            raise TensorTypeError(f"gradient(): expected Tensor as element {i} in argument 'spacing', but got {type(h).__name__}", op="gradient")
    if len(spacings) != len(dims):
        raise TensorError(f"torch.gradient expected spacing to be unspecified, a scalar or a list of length {len(dims)}, but got a list of length {len(spacings)}", op="gradient")
    out = []
    for d, h in zip(dims, spacings):
        size = input.shape[d]
        if size < edge_order + 1:
            raise TensorError("torch.gradient expected each dimension size to be at least edge_order+1", op="gradient")
        x = input if input.dtype.is_floating_point or input.dtype.is_complex else _floats(input)
        at = lambda start, length: x.narrow(d, start, length)
        if isinstance(h, (int, float, complex)):
            middle = (at(2, size - 2) - at(0, size - 2)) / (2.0 * h)
            if edge_order == 1:
                first, last = (at(1, 1) - at(0, 1)) / h, (at(size - 1, 1) - at(size - 2, 1)) / h
            else:
                first = (-1.5 * at(0, 1) + 2 * at(1, 1) - 0.5 * at(2, 1)) / h
                last = (1.5 * at(size - 1, 1) - 2 * at(size - 2, 1) + 0.5 * at(size - 3, 1)) / h
        else:
            if h.dim() != 1 or h.shape[0] != size:
                raise ShapeError(f"torch.gradient expected each coordinate tensor to be 1-d with {size} elements", op="gradient")
            step = diff(h)
            shape = (-1,) + (1,) * (n - 1 - d)
            a, b = step[:-1].reshape(shape), step[1:].reshape(shape)
            middle = (at(0, size - 2) * (-b / (a * (a + b))) + at(1, size - 2) * ((b - a) / (a * b)) + at(2, size - 2) * (a / (b * (a + b))))
            if edge_order == 1:
                first, last = (at(1, 1) - at(0, 1)) / step[0], (at(size - 1, 1) - at(size - 2, 1)) / step[-1]
            else:
                a, b = step[0], step[1]
                first = at(0, 1) * (-(2.0 * a + b) / (a * (a + b))) + at(1, 1) * ((a + b) / (a * b)) + at(2, 1) * (-a / (b * (a + b)))
                a, b = step[-2], step[-1]
                last = at(size - 3, 1) * (b / (a * (a + b))) + at(size - 2, 1) * (-(b + a) / (a * b)) + at(size - 1, 1) * ((2.0 * b + a) / (b * (a + b)))
        out.append(cat([first, middle, last], d))
    return out


def _bad_dim(d, n):
    raise DimError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {d})", op="gradient")


# ---- segments ----
_NEUTRAL = {"sum": 0.0, "mean": 0.0, "prod": 1.0, "max": -INF, "min": INF}


def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """Reduce runs of slices along ``axis``.

    Args:
        data: float tensor.
        reduce: "sum", "mean", "max", "min" or "prod".
        lengths: (*data.shape[:axis], n) int tensor: how many slices each run has; together all of them.
        offsets: instead of lengths, (*data.shape[:axis], n + 1): where each run begins, and the end.
        unsafe: leave the check of the lengths out.
        initial: where each run starts; an empty run has this value, else what nothing sums (multiplies, ...) to; NaN for the mean.
    Returns:
        (*data.shape[:axis], n, *data.shape[axis + 1:]).
    """
    op = "segment_reduce"
    if reduce not in _NEUTRAL:
        raise TensorError(f"{op}: reduction should be one of {', '.join(_NEUTRAL)}, got {reduce!r}", op=op)
    if indices is not None:
        raise UnsupportedOpError(f"{op}(): indices based reduction is not supported yet.", op=op)
    if lengths is None and offsets is None:
        raise TensorError(f"{op}(): Either lengths or offsets must be defined.", op=op)
    if not data.dtype.is_floating_point:
        raise UnsupportedOpError(f'"{op}" not implemented for {data.dtype}', op=op)
    if data.dim() == 0 or not -data.dim() <= axis < data.dim():
        raise DimError(f"{op}(): axis {axis} is out of range for {data.dim()} dimensions", op=op)
    axis %= data.dim()
    if lengths is None:
        lengths = offsets.diff(dim=axis)
    lead, n = tuple(data.shape[:axis]), lengths.shape[-1]
    if lengths.dim() != axis + 1 or tuple(lengths.shape[:-1]) != lead:
        raise ShapeError(f"{op}(): Expected lengths of shape {[*lead, 'n']}, got {list(lengths.shape)}", op=op)
    if not unsafe and lengths.numel() and (bool((lengths < 0).any()) or bool((lengths.sum(-1) != data.shape[axis]).any())):
        raise TensorError(f"{op}(): Expected lengths to be non-negative and to sum to {data.shape[axis]} along the reduced dimension", op=op)
    counts, rest = lengths.reshape(-1), tuple(data.shape[axis + 1:])
    at = arange(counts.numel()).repeat_interleave(counts)
    flat = data.reshape(-1, *rest) if data.numel() else data.new_zeros((at.numel(), *rest))
    start = data.new_full((counts.numel(), *rest), _NEUTRAL[reduce] if initial is None else initial)
    if reduce in ("sum", "mean"):
        out = start.index_add(0, at, flat)
    else:
        out = start.scatter_reduce(0, at.reshape(-1, *[1] * len(rest)).expand_as(flat), flat, {"max": "amax", "min": "amin", "prod": "prod"}[reduce])
    if reduce == "mean":
        share = counts.reshape(-1, *[1] * len(rest)).to(data.dtype)
        out = out / (share if initial is None else share.clamp(min=1))
    return out.reshape(*lead, n, *rest)


FUNCTIONS = {f.__name__: f for f in (
    isclose, allclose, equal, isreal, nan_to_num, nan_to_num_, frexp, pdist, cosine_similarity, pairwise_distance, renorm,
    nanmean, cov, corrcoef, diff, trapezoid, cumulative_trapezoid, gradient, segment_reduce)}
FUNCTIONS["trapz"] = trapezoid
METHODS = {f.__name__: f for f in (isclose, allclose, equal, isreal, nan_to_num, nan_to_num_, float_power_, frexp, renorm, renorm_, nanmean,
                                   cov, corrcoef, diff)}
METHODS["__rdiv__"] = lambda self, other: other / self
