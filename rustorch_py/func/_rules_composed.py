"""Rules of vmap for functions that are a few calls of others, and for those of `linalg`, `fft` and `special`. See `_dispatch`."""
from functools import reduce

from .. import linalg as _linalg
from .. import tensor as _t
from ..nn import functional as _F
from ..tensor import Tensor
from ._batched import batched, is_at, value_at
from ._dispatch import RULES, dim_at, lift, looped, name_of, rule, wrap
from ._rules import _shift, elementwise, setitem


def _given(tensors):
    """Tensors given one by one or as one list."""
    return tuple(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors


# ---- shapes --------------------------------------------------------------------------------------------
def _at_least(x, nd):
    if x.dim() >= nd:
        return x
    if nd == 1:
        return x.reshape(1)
    if nd == 2:
        return x.reshape(1, -1)
    return x.reshape(1, 1, 1) if x.dim() == 0 else x.reshape(1, -1, 1) if x.dim() == 1 else x.unsqueeze(-1)


@rule("atleast_1d atleast_2d atleast_3d")
def at_least(level, func, *tensors):
    nd = int(name_of(func)[8])
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return _at_least(tensors[0], nd)
    return tuple(_at_least(x, nd) for x in _given(tensors))


@rule("hstack vstack dstack row_stack column_stack")
def beside(level, func, tensors):
    name = name_of(func)
    if name == "column_stack":
        return _t.cat([x.reshape(-1, 1) if x.dim() < 2 else x for x in tensors], 1)
    nd, dim = {"hstack": (1, 1), "vstack": (2, 0), "row_stack": (2, 0), "dstack": (3, 2)}[name]
    raised = [_at_least(x, nd) for x in tensors]
    return _t.cat(raised, 0 if name == "hstack" and raised[0].dim() == 1 else dim)


@rule("hsplit vsplit dsplit")
def split_apart(level, func, input, sections):
    name, nd = name_of(func), input.dim()
    least = {"h": 1, "v": 2, "d": 3}[name[0]]
    if nd < least:
        raise RuntimeError(f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with {nd} dimensions!")
    dim = {"h": min(1, nd - 1), "v": 0, "d": 2}[name[0]]
    if isinstance(sections, int) and (sections < 1 or input.shape[dim] % sections):
        raise RuntimeError(f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension {input.shape[dim]} is not divisible by the "
                           f"split_size {sections}!")
    return _t.tensor_split(input, sections, dim)


@rule("fliplr flipud")
def mirrored(level, func, input):
    return input.flip(1 if name_of(func) == "fliplr" else 0)


@rule("broadcast_tensors")
def broadcast_tensors(level, func, *tensors):
    tensors = _given(tensors)
    shape = tuple(_t.broadcast_shapes(*[tuple(x.shape) for x in tensors]))
    return tuple(x.expand(shape) for x in tensors)


@rule("block_diag")
def block_diag(level, func, *tensors):
    blocks = [_at_least(x, 2) for x in _given(tensors)]
    width, at, rows = sum(b.shape[1] for b in blocks), 0, []
    for b in blocks:
        rows.append(_F.pad(b, (at, width - at - b.shape[1])))
        at += b.shape[1]
    return _t.cat(rows, 0)


@rule("cartesian_prod")
def cartesian_prod(level, func, *tensors):
    tensors = _given(tensors)
    if len(tensors) == 1:
        return tensors[0]
    return _t.stack([g.reshape(-1) for g in _t.meshgrid(*tensors, indexing="ij")], 1)


@rule("kron")
def kron(level, func, a, b):
    nd = max(a.dim(), b.dim())
    a, b = (x.reshape((1,) * (nd - x.dim()) + tuple(x.shape)) for x in (a, b))
    left = a.reshape([n for s in a.shape for n in (s, 1)])
    right = b.reshape([n for s in b.shape for n in (1, s)])
    return (left * right).reshape([n * m for n, m in zip(a.shape, b.shape)])


def _owned(level, x):
    """A copy of x that has room for all examples."""
    return batched(value_at(x, level).clone(), level)


@rule("diagonal_scatter select_scatter slice_scatter")
def written(level, func, input, src, *args, **kwargs):
    view = {"diagonal_scatter": _t.diagonal, "select_scatter": _t.select}.get(name_of(func), _sliced)
    out = _owned(level, input)
    part = view(out, *args, **kwargs)
    if tuple(part.shape) != tuple(src.shape):
        raise RuntimeError(f"expected src to have a size equal to the part of self that is written: src size = {list(src.shape)}, part size = {list(part.shape)}")
    part.copy_(src)
    return out


def _sliced(x, dim=0, start=None, end=None, step=1):
    return x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)]


@rule("index_put index_put_")
def index_put(level, func, input, indices, values, accumulate=False):
    if name_of(func).endswith("_"):
        setitem(level, func, input, tuple(indices), values, accumulate=accumulate)
        return input
    out = _owned(level, input)
    setitem(level, func, out, tuple(indices), values, accumulate=accumulate)
    return out


@rule("as_strided as_strided_copy")
def as_strided(level, func, input, size, stride, storage_offset=None):
    """Strides of one example; the batch keeps its own."""
    v = input._value
    return batched(func(v, (level.size, *size), (v.stride(0), *stride), v.storage_offset() + (storage_offset or 0)), level)


@rule("storage_offset")
def storage_offset(level, func, x):
    return x._value.storage_offset()


@rule("t_ transpose_ swapdims_ swapaxes_ unsqueeze_ as_strided_ resize_ resize_as_ set_")
def reshaped_in_place(level, func, x, *args, **kwargs):
    raise RuntimeError(f"vmap: {name_of(func)} changes the shape of a mapped tensor in place, which is not supported; use {name_of(func)[:-1]} and its result")


# ---- element by element, and along a dimension ---------------------------------------------------------
for _name in """bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0
        scaled_modified_bessel_k1 spherical_bessel_j0 airy_ai chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v chebyshev_polynomial_w
        hermite_polynomial_h hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u
        shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w""".split():
    RULES[f"special_{_name}"] = RULES[_name] = elementwise
del _name


@rule("prelu")
def prelu(level, func, input, weight):
    slope = weight if weight.numel() == 1 or input.dim() < 2 else weight.reshape((-1,) + (1,) * (input.dim() - 2))
    slope = slope.reshape(()) if weight.numel() == 1 else slope
    return _t.where(input > 0, input, slope * input)


@rule("masked_fill masked_fill_")
def masked_fill(level, func, input, mask, value):
    if isinstance(value, Tensor) and value.dim():
        raise RuntimeError(f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {value.dim()} dimension(s).")
    if name_of(func).endswith("_"):
        if not is_at(input, level):
            return RULES["copy_"](level, Tensor.copy_, input, mask)          # refused there
        if not isinstance(value, Tensor):
            input._value.masked_fill_(lift(level, mask, input.dim()), value)
            return input
        return input.copy_(_t.where(mask, value.to(input.dtype), input))
    if not isinstance(value, Tensor):
        rank = max(input.dim(), mask.dim())
        return batched(func(lift(level, input, rank), lift(level, mask, rank), value), level)
    return _t.where(mask, value.to(input.dtype), input)


@rule("bucketize searchsorted")
def searchsorted(level, func, first, second, *args, **kwargs):
    """Sorted boundaries of all examples, or of each."""
    values, edges = (first, second) if name_of(func) == "bucketize" else (second, first)
    if not isinstance(values, Tensor):
        return looped(level, name_of(func), func, (first, second, *args), kwargs)
    sorter = kwargs.get("sorter")
    options = dict(kwargs) if name_of(func) == "searchsorted" else dict(zip(("out_int32", "right"), args), **kwargs)
    if not is_at(edges, level) and not is_at(sorter, level) and edges.dim() == 1:
        return batched(_t.searchsorted(edges, values._value, **options), level)
    rows = value_at(edges, level)
    if sorter is not None:
        options["sorter"] = value_at(sorter, level)
    v = value_at(values, level)
    if edges.dim() == 1:
        return batched(_t.searchsorted(rows, v.reshape(level.size, -1).contiguous(), **options).reshape((level.size,) + tuple(values.shape)), level)
    return batched(_t.searchsorted(rows, v, **options), level)


@rule("mode")
def mode(level, func, input, dim=-1, keepdim=False):
    return RULES["cummax"](level, func, input, dim, keepdim)


@rule("gradient")
def gradient(level, func, input, *, spacing=1, dim=None, edge_order=1):
    if any(is_at(s, level) for s in (spacing if isinstance(spacing, (tuple, list)) else (spacing,))) or not input.dim():
        return looped(level, "gradient", func, (input,), dict(spacing=spacing, dim=dim, edge_order=edge_order))
    dims = list(range(1, input.dim() + 1)) if dim is None else _shift(dim, input.dim())
    if isinstance(spacing, (int, float)) and dim is None:
        spacing = [spacing] * len(dims)
    return wrap(level, func(input._value, spacing=spacing, dim=dims, edge_order=edge_order))


@rule("linspace logspace")
def linspace(level, func, start, end, steps, base=10.0, *, dtype=None, **kwargs):
    """Ends that differ between examples."""
    for x in (start, end):
        if isinstance(x, Tensor) and x.dim():
            raise RuntimeError(f"{name_of(func)} only supports 0-dimensional start and end tensors, but got a tensor with {x.dim()} dimension(s).")
    if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
        return looped(level, name_of(func), func, (start, end, steps, *(() if name_of(func) == "linspace" else (base,))), dict(kwargs, dtype=dtype))
    kind = dtype or _t.get_default_dtype()
    start, end = (x.to(kind) if isinstance(x, Tensor) else _t.tensor(x, dtype=kind) for x in (start, end))
    part = _t.linspace(0, 1, steps, dtype=kind, **kwargs)
    points = start + (end - start) * part
    return points if name_of(func) == "linspace" else base ** points


@rule("masked_select")
def masked_select(level, func, input, mask):
    if is_at(mask, level):
        return RULES["nonzero"](level, func, input, mask)
    shape = tuple(_t.broadcast_shapes(tuple(input.shape), tuple(mask.shape)))
    return input.expand(shape)[mask.expand(shape)]


@rule("bincount argwhere nonzero_static")
def one_by_one(level, func, *args, **kwargs):
    """Results whose shape may depend on the values: made one by one, and stacked where the shapes agree."""
    return looped(level, name_of(func), func, args, kwargs)


@rule("one_hot")
def one_hot(level, func, input, num_classes=-1):
    return batched(func(input._value, num_classes), level)


# ---- distances and losses ------------------------------------------------------------------------------
@rule("dist")
def dist(level, func, input, other, p=2):
    return _t.norm((input - other).reshape(-1), p, 0)


@rule("pairwise_distance")
def pairwise_distance(level, func, x1, x2, p=2.0, eps=1e-6, keepdim=False):
    return _t.norm(x1 - x2 + eps, p, -1, keepdim)


@rule("binary_cross_entropy binary_cross_entropy_with_logits")
def binary_cross_entropy(level, func, input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None):
    if size_average is not None or reduce is not None:
        from ..nn._reduction import legacy_get_string
        reduction = legacy_get_string(size_average, reduce)
    if tuple(target.shape) != tuple(input.shape):
        raise ValueError(f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. Please ensure they have the same size.")
    rank = max(x.dim() for x in (input, target, weight, pos_weight) if x is not None)
    options = {} if pos_weight is None else {"pos_weight": lift(level, pos_weight, rank)}
    if weight is not None:
        options["weight"] = lift(level, weight, rank)
    v, y = value_at(input, level), value_at(target, level)
    if weight is not None and not is_at(weight, level) and weight.dim() < rank:
        options["weight"] = weight.expand(tuple(input.shape))
    per = batched(func(v, y, reduction="none", **options), level)
    return per.mean() if reduction == "mean" else per.sum() if reduction == "sum" else per


@rule("linear_cross_entropy")
def linear_cross_entropy(level, func, input, linear_weight, target, *, linear_bias=None, ignore_index=None, options=None, **kwargs):
    outer = tuple(linear_weight.shape[:-1])
    scores = _F.linear(input, linear_weight.flatten(0, -2), None if linear_bias is None else linear_bias.reshape(-1))
    if len(outer) > 1:
        scores = scores.unflatten(-1, outer)
    return _F.cross_entropy(scores, target, **kwargs, **({} if ignore_index is None else {"ignore_index": ignore_index}))


# ---- matrices ------------------------------------------------------------------------------------------
@rule("linalg_multi_dot")
def multi_dot(level, func, tensors):
    return reduce(_t.matmul, tensors)


@rule("geqrf lu lu_unpack lu_solve cholesky_inverse ormqr triangular_solve linalg_householder_product linalg_ldl_factor linalg_ldl_factor_ex linalg_ldl_solve "
      "linalg_lu_factor_ex linalg_lu_solve linalg_cond orgqr")
def matrices(level, func, *args, **kwargs):
    """Functions of one or several matrices that all take leading dimensions."""
    given = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
    vectors = {"lu_unpack": 1, "lu_solve": 2, "linalg_lu_solve": 1, "ormqr": 1, "linalg_householder_product": 1, "orgqr": 1, "linalg_ldl_solve": 1}.get(name_of(func))
    rank = max(a.dim() + (i == vectors) for i, a in enumerate(given))

    def one(a, short):
        if not isinstance(a, Tensor):
            return a
        wanted, v = rank - short, value_at(a, level)
        return v.reshape((level.size,) + (1,) * (wanted - a.dim()) + tuple(a.shape)) if a.dim() < wanted else v
    places = iter(range(len(given)))
    args = [one(a, next(places) == vectors) if isinstance(a, Tensor) else a for a in args]
    return wrap(level, func(*args, **{k: one(a, next(places) == vectors) if isinstance(a, Tensor) else a for k, a in kwargs.items()}))


@rule("linalg_vander")
def vander(level, func, x, *, N=None):
    return batched(func(x._value if x.dim() else x._value.unsqueeze(1), N=N), level)


@rule("linalg_diagonal")
def linalg_diagonal(level, func, A, *, offset=0, dim1=-2, dim2=-1):
    return _t.diagonal(A, offset, dim1, dim2)


@rule("linalg_tensorinv")
def tensorinv(level, func, A, ind=2):
    shape = tuple(A.shape)
    rows = 1
    for s in shape[:ind]:
        rows *= s
    return _linalg.inv(A.reshape(rows, -1)).reshape(shape[ind:] + shape[:ind])


@rule("linalg_tensorsolve")
def tensorsolve(level, func, A, B, dims=None):
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.dim() - len(dims), A.dim())))
    return _linalg.solve(A.reshape(B.numel(), -1), B.reshape(-1)).reshape(tuple(A.shape[B.dim():]))


@rule("linalg_pinv pinverse linalg_matrix_rank")
def with_tolerances(level, func, A, *args, **kwargs):
    """Tolerances are numbers, or tensors of one for each matrix."""
    if any(isinstance(a, Tensor) for a in (*args, *kwargs.values())):
        return looped(level, name_of(func), func, (A, *args), kwargs)
    return wrap(level, func(A._value, *args, **kwargs))


@rule("linalg_matrix_norm")
def matrix_norm(level, func, A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    return batched(func(A._value, ord, _shift(dim, A.dim()), keepdim, dtype=dtype), level)


# ---- fft -----------------------------------------------------------------------------------------------
@rule("fft_fft fft_ifft fft_rfft fft_irfft fft_hfft fft_ihfft")
def fft(level, func, input, n=None, dim=-1, norm=None):
    return batched(func(input._value, n, dim_at(dim, input.dim()), norm), level)


@rule("fft_fft2 fft_ifft2 fft_rfft2 fft_irfft2 fft_hfft2 fft_ihfft2")
def fft2(level, func, input, s=None, dim=(-2, -1), norm=None):
    return batched(func(input._value, s, _shift(dim, input.dim()), norm), level)


@rule("fft_fftn fft_ifftn fft_rfftn fft_irfftn fft_hfftn fft_ihfftn")
def fftn(level, func, input, s=None, dim=None, norm=None):
    nd = input.dim()
    dims = _shift(dim, nd) if dim is not None else tuple(range(1, nd + 1)) if s is None else tuple(range(nd + 1 - len(s), nd + 1))
    return batched(func(input._value, s, dims if isinstance(dims, tuple) else (dims,), norm), level)
