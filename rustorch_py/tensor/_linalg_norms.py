"""Norms of vectors and matrices, and distances, under PyTorch's names."""
from . import _distance, _linalg
from ._base import TensorBase
from ._base_modes import is_grad_enabled, no_grad
from ._dtype import NAMED, can_cast
from ._linalg import attach_formula
from ..errors import DTypeError, DimError, IntOverflowError, ShapeError, TensorTypeError, TensorValueError

INF = float("inf")


def tensors_only(op, input, other):
    for name, value in (("input", input), ("other", other)):
        if not isinstance(value, TensorBase):
            raise TensorTypeError(f"{op}(): argument '{name}' must be Tensor, not {type(value).__name__}", op=op)


def _deliver(result, out, cast=False):
    """Copy into ``out`` when it was given (a tensor, or a tuple for several results); `cast`: a wider dtype will do."""
    if out is None:
        return result
    if isinstance(result, tuple):
        for one, o in zip(result, out):
            _deliver(one, o, cast)
        return type(result)(out)
    if not hasattr(out, "dtype"):
        raise TensorTypeError(f"argument 'out' must be Tensor, not {type(out).__name__}")
    if not (can_cast(result.dtype, out.dtype) if cast else out.dtype is result.dtype):
        raise DTypeError(f"Expected out tensor to have dtype {result.dtype}, but got {out.dtype} instead")
    if is_grad_enabled() and (result.requires_grad or out.requires_grad):
        raise ShapeError("functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.")
    if out.shape != result.shape:
        out.resize_(result.shape)
    out.copy_(result)
    return out


def _norm_input(op, x, dtype):
    if dtype is not None:
        x = x.to(dtype)
    if not (x.is_floating_point() or x.is_complex()):
        raise DTypeError(f"{op}: Expected a floating point or complex tensor as input. Got {x.dtype}", op=op)
    return x


def _order(ord):
    """The order of a norm as a float."""
    if isinstance(ord, complex):
        raise TensorValueError(f"linalg.vector_norm: Expected a non-complex scalar as the order of norm, got {ord}", op="linalg.vector_norm")
    if isinstance(ord, str) or ord is None or getattr(ord, "ndim", 0):
        raise TensorTypeError(f"linalg.vector_norm(): argument 'ord' must be Number, not {type(ord).__name__}", op="linalg.vector_norm")
    if isinstance(ord, int) and not -1 << 63 <= ord < 1 << 63:
        raise IntOverflowError(f"linalg.vector_norm(): int too big to convert: {ord}", op="linalg.vector_norm")
    return float(ord)


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """Compute the p-norm of all elements or over dimensions.

    Args:
        x: tensor.
        ord: any number, inf or -inf; 0 counts non-zero elements.
        dim: dimension or tuple of them; None: all.
        keepdim: keep them as size 1.
        dtype: compute in this dtype.
        out: tensor to write to.
    """
    if dtype is None and out is None:
        y = _linalg.plain_norm(x, ord, dim, keepdim)
        if y is not None:
            return y
    x = _norm_input("linalg.vector_norm", x, dtype)
    ord = _order(ord)
    if dim is None:
        dims = tuple(range(x.ndim))
    else:
        dims = (dim,) if isinstance(dim, int) else tuple(dim) or tuple(range(x.ndim))
        dims = tuple(_view_dim(d, x.ndim) for d in dims)
        if x.ndim == 0:
            dims = ()
    if x.numel() == 0 and (ord < 0 or ord == INF) and any(x.shape[d] == 0 for d in dims):
        raise ShapeError(f"linalg.vector_norm cannot compute the {ord} norm on an empty dimension because the operation does not have an "
                         f"identity", op="linalg.vector_norm")
    if x.ndim == 0:
        wide = x.reshape(1)
        y = vector_norm(wide, ord, 0)
        return _deliver(y, out)
    y = _linalg.norm_raw(x, ord, dims, keepdim)
    attach_formula("LinalgVectorNormBackward0", "vector_norm", (x,), (y,), (x, y), (ord, dims, keepdim))
    return _deliver(y, out)


def _view_dim(d, nd):
    span = max(nd, 1)
    if not -span <= d < span:
        raise DimError(f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {d})")
    return d % span


def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """Compute a norm of matrices: "fro", "nuc", inf, -inf, 1, -1, 2 or -2."""
    op = "linalg.matrix_norm"
    if ord == "fro" and dim == (-2, -1) and getattr(A, "ndim", 0) == 2 and not keepdim and dtype is None and out is None:
        y = _linalg.plain_norm(A, 2, None, False)
        if y is not None:
            return y
    A = _norm_input(op, A, dtype)
    if A.ndim < 2:
        raise ShapeError(f"{op}: The input tensor A must have at least 2 dimensions.", op=op)
    if isinstance(dim, int):
        raise TensorTypeError(f"{op}(): argument 'dim' must be tuple of ints, not int", op=op)
    if ord is None or isinstance(ord, (list, tuple)):
        raise TensorTypeError(f"{op}(): argument 'ord' must be Number or str, not {type(ord).__name__}", op=op)
    if len(dim) != 2:
        raise ShapeError(f"{op}: dim must be a 2-tuple. Got {list(dim)}", op=op)
    rows, cols = _view_dim(dim[0], A.ndim), _view_dim(dim[1], A.ndim)
    if rows == cols:
        raise ShapeError(f"{op}: dims must be different. Got ({dim[0]}, {dim[1]})", op=op)
    if ord == "fro":
        return vector_norm(A, 2, (rows, cols), keepdim, out=out)
    if ord in ("nuc", 2, -2):
        s = _linalg.svd_raw(A.movedim((rows, cols), (-2, -1)), False, False, "linalg.matrix_norm")[1]
        r = s.sum(-1) if ord == "nuc" or (ord == 2 and not s.shape[-1]) else s.amax(-1) if ord == 2 else s.amin(-1)
        if keepdim:
            for d in sorted((rows, cols)):
                r = r.unsqueeze(d)
        return _deliver(r, out)
    if ord not in (1, -1, INF, -INF):
        raise ShapeError(f"{op}: Order {ord} not supported.", op=op)
    first, second = (rows, cols) if abs(ord) == 1 else (cols, rows)
    sums = vector_norm(A, 1, first, True)
    if ord > 0:                                        # of no sums the largest is 0
        r = sums.amax(second, True) if sums.shape[second] else sums.sum(second, True)
    else:
        r = sums.amin(second, True)
    if not keepdim:
        for d in sorted((rows, cols), reverse=True):
            r = r.squeeze(d)
    return _deliver(r, out)


def linalg_norm(A, ord=None, dim=None, keepdim=False, *, out=None, dtype=None):
    """Compute a vector or matrix norm: a matrix norm when ``ord`` is given for a matrix or ``dim`` has two entries."""
    if dim is not None and not isinstance(dim, int):
        dim = tuple(dim)
    if ord is not None:
        if dim is not None and not isinstance(dim, int) and len(dim) not in (1, 2):
            raise ShapeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dim)}", op="linalg.norm")
        if dim is None and A.ndim not in (1, 2):
            raise ShapeError(f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.ndim}D.", op="linalg.norm")
        if (dim is None and A.ndim == 2) or (dim is not None and not isinstance(dim, int) and len(dim) == 2):
            return matrix_norm(A, ord, dim or (0, 1), keepdim, dtype=dtype, out=out)
        if isinstance(ord, str):
            raise ShapeError(f"linalg.norm: Order {ord} not supported for vectors", op="linalg.norm")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype, out=out)


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """Compute a vector norm of all elements or over ``dim``; "nuc" is the nuclear norm of matrices."""
    if p == "nuc":
        return matrix_norm(input, "nuc", tuple(range(input.ndim)) if dim is None else dim, keepdim, dtype=dtype, out=out)
    if p == "fro" or p is None:
        p = 2
    elif isinstance(p, str):
        raise ShapeError(f"only valid string values are 'fro' and 'nuc', found {p}", op="norm")
    return vector_norm(input, p, dim, keepdim, dtype=dtype, out=out)


def nuclear_norm(input, dim=None, keepdim=False, *, out=None):
    """Sum the singular values of a matrix, or of matrices in two dimensions."""
    return matrix_norm(input, "nuc", tuple(range(input.ndim)) if dim is None else tuple(dim), keepdim, out=out)


def dist(input, other, p=2):
    """Compute the p-norm of ``input - other``."""
    tensors_only("dist", input, other)
    return vector_norm(input - other, p)


SHORT_FLOATS = (NAMED["bfloat16"], NAMED["float16"])


def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """Compute p-norm distances between each pair of rows.

    Args:
        x1: (..., r, m) tensor.
        x2: (..., k, m) tensor.
        p: order of the norm, 0 to inf.
        compute_mode: for p = 2: "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist", or by size (default).
    Returns:
        (..., r, k) tensor.
    """
    if x1.ndim < 2 or x2.ndim < 2:
        raise ShapeError(f"cdist only supports at least 2D tensors, got {x1.ndim}D and {x2.ndim}D", op="cdist")
    for name, x in (("X1", x1), ("X2", x2)):
        if not x.is_floating_point():
            raise DTypeError(f"cdist only supports floating-point dtypes, {name} got: {x.dtype}", op="cdist")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}", op="cdist")
    if not p >= 0:
        raise ShapeError("cdist only supports non-negative p values", op="cdist")
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    if compute_mode not in modes:
        raise TensorValueError(f"{compute_mode} is not a valid value for compute_mode")
    if x1.shape[-1] == 0:                              # no columns: all distances are 0
        return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).sum(-1)
    large = x1.shape[-2] > 25 or x2.shape[-2] > 25
    if p == 2 and (compute_mode == modes[1] or (compute_mode == modes[0] and large)):
        with no_grad():
            a, b = wide_of(x1.detach()), wide_of(x2.detach())
            d = (a * a).sum(-1, True) + (b * b).sum(-1).unsqueeze(-2) - 2 * (a @ b.mT)
            d = d.clamp(min=0).sqrt().to(x1.dtype)
        lead = tuple(d.shape[:-2])
        a, b = x1.expand(lead + tuple(x1.shape[-2:])), x2.expand(lead + tuple(x2.shape[-2:]))
        attach_formula("CdistBackward0", "cdist", (a, b), (d,), (a, b, d))
        return d
    if x1.dtype in SHORT_FLOATS and x1.device.type == "cpu":                # distances by products alone, as PyTorch has them
        kind = "BFloat16" if x1.dtype == NAMED["bfloat16"] else "Half"
        raise DTypeError(f"\"cdist\" not implemented for '{kind}' (argument 'x1')", op="cdist")
    if x1.shape[:-2] == x2.shape[:-2]:
        d = _distance.between(x1, x2, p, lambda a, b: _composed_cdist(a, b, p))
        if d is not None:
            return d
    return _composed_cdist(x1, x2, p)


def _composed_cdist(x1, x2, p):
    return vector_norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


def wide_of(x):
    """16-bit floats as float32, in which their squares are summed."""
    return x.float() if x.dtype in SHORT_FLOATS else x


def _cdist_grad(grads, saved, needs):
    g, (a, b, d) = grads[0], saved
    if g is None:
        return None, None
    dtype, (g, a, b, d) = a.dtype, map(wide_of, (g, a, b, d))
    w = (g / d).masked_fill(d == 0, 0)
    ga = (a * w.sum(-1, True) - w @ b).to(dtype) if needs[0] else None
    gb = (b * w.sum(-2).unsqueeze(-1) - w.mT @ a).to(dtype) if needs[1] else None
    return ga, gb


_linalg.FORMULAS["cdist"] = _cdist_grad
