"""Rules of vmap for tensor functions: element by element, reductions, views, indexing. See `_dispatch`."""
from .. import linalg as _linalg
from .. import tensor as _t
from ..tensor import Tensor
from ..tensor._argreduce import middle_of_rows
from ..tensor._function import overriding_state
from ..utils._pytree import rebuilt
from ._batched import BatchedTensor, batched, is_at, value_at
from ._dispatch import RULES, dim_at, lift, looped, name_of, refuse_inplace, rule, wrap


# ---- what one example answers ---------------------------------------------------------------------------
@rule("dim size numel nelement element_size is_floating_point is_complex is_signed ndimension __len__ is_same_size result_type is_conj is_neg "
      "is_inference is_tensor can_cast is_pinned is_shared has_names")
def example_answers(level, func, *args, **kwargs):
    """Questions about shape and dtype: the batched tensor itself has one example's."""
    old = overriding_state(subclass_off=True)[0]
    try:
        return func(*args, **kwargs)
    finally:
        overriding_state(subclass_off=old)


@rule("is_contiguous")
def is_contiguous(level, func, x, *args, **kwargs):
    return x._value.is_contiguous(*args, **kwargs)


@rule("stride")
def stride(level, func, x, dim=None):
    steps = x._value.stride()[1:]
    return steps if dim is None else steps[dim]


@rule("get_device")
def get_device(level, func, x):
    return x._value.get_device()


@rule("item tolist numpy __float__ __int__ __complex__ __index__")
def no_number(level, func, *args, **kwargs):
    raise RuntimeError("vmap: It looks like you're calling .item() on a Tensor. We don't support vmap over calling .item() on a Tensor, please "
                       "try to rewrite what you're doing with other operations. If error is occurring somewhere inside PyTorch internals, "
                       "please file a bug report.")


@rule("__bool__ is_nonzero allclose equal __contains__")
def no_branch(level, func, *args, **kwargs):
    raise RuntimeError("vmap: It looks like you're attempting to use a Tensor in some data-dependent control flow. We don't support that yet; "
                       "use where() to choose by value.")


@rule("nonzero unique unique_consecutive")
def no_shape(level, func, *args, **kwargs):
    raise RuntimeError(f"vmap: It looks like you're calling {name_of(func)}, whose result has a shape that depends on the values; such operators "
                       f"cannot be mapped. Try where() with a result of fixed shape.")


@rule("__format__")
def shown(level, func, x, spec):
    return format(repr(x), spec)


# ---- element by element --------------------------------------------------------------------------------
def _tensors(args, kwargs):
    return [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]


def _promote(level, args, kwargs):
    """Cast examples without dimensions as they would be beside tensors with some: the value has a dimension and would count as one."""
    among = _tensors(args, kwargs)
    if len({a.dtype for a in among}) == 1 or all(a.dim() == 0 for a in among) or not any(is_at(a, level) and a.dim() == 0 for a in among):
        return args, kwargs
    dtype = among[0].dtype
    for a in among[1:]:
        dtype = example_answers(level, _t.result_type, among[0], a) if len(among) == 2 else _t.promote_types(dtype, a.dtype)

    def one(a):
        return a.to(dtype) if isinstance(a, Tensor) and is_at(a, level) and a.dim() == 0 and a.dtype is not _t.bool else a
    return [one(a) for a in args], {k: one(a) for k, a in kwargs.items()}


def elementwise(level, func, *args, **kwargs):
    """Align examples at their last dimensions."""
    among = _tensors(args, kwargs)
    if len(among) == 1:
        return wrap(level, func(*[lift(level, a, 0) for a in args], **{k: lift(level, a, 0) for k, a in kwargs.items()}))
    args, kwargs = _promote(level, args, kwargs)
    rank = max(a.dim() for a in among)
    return wrap(level, func(*[lift(level, a, rank) for a in args], **{k: lift(level, a, rank) for k, a in kwargs.items()}))


def elementwise_(level, func, x, *args, **kwargs):
    """The same in place."""
    if not is_at(x, level):
        refuse_inplace(name_of(func))
    rank = x.dim()
    func(x._value, *[lift(level, a, rank) for a in args], **{k: lift(level, a, rank) for k, a in kwargs.items()})
    return x


_POINT = """add sub mul div divide multiply subtract true_divide floor_divide remainder fmod pow float_power neg negative positive reciprocal square abs absolute
    sign sgn conj conj_physical resolve_conj resolve_neg angle addcmul addcdiv lerp hypot deg2rad rad2deg isnan isinf isfinite isposinf isneginf isreal isclose
    signbit logical_not logical_and logical_or logical_xor bitwise_not bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift where maximum
    minimum fmax fmin clamp clip clamp_min clamp_max heaviside copysign nextafter gcd lcm frac atan2 arctan2 logaddexp logaddexp2 xlogy xlog1py zeta ldexp
    relu relu6 silu gelu mish softplus logsigmoid elu selu celu leaky_relu softsign tanhshrink hardtanh hardswish hardsigmoid hardshrink softshrink threshold
    mse_pointwise l1_pointwise smooth_l1_pointwise huber_pointwise bce_pointwise bce_with_logits_pointwise eq ne lt le gt ge greater greater_equal less
    less_equal not_equal acos acosh arccos arccosh asin asinh arcsin arcsinh atan atanh arctan arctanh ceil floor trunc fix round cos cosh sin sinh tan tanh
    sinc exp exp2 expm1 log log10 log1p log2 sqrt rsqrt erf erfc erfinv erfcx lgamma digamma polygamma mvlgamma i0 i0e i1 i1e igamma igammac logit sigmoid
    expit entr log_ndtr ndtri real imag rsub nan_to_num complex polar clone contiguous detach to float double half bfloat16 int long
    short char byte bool cfloat cdouble type cpu cuda type_as view_as_real view_as_complex frexp logsigmoid dist_ isin_ bucketize_ fill positive
    log_sigmoid zeros_like ones_like empty_like full_like special_gammaln special_psi special_erf special_expit"""
for _name in _POINT.split():
    RULES[_name] = elementwise
    RULES.setdefault(_name + "_", elementwise_)
for _name in "zero fill copy exponential_ requires_grad".split():
    RULES[_name.rstrip("_") + "_"] = elementwise_
for _name in ("neg", "pos", "abs", "invert"):
    RULES[f"__{_name}__"] = elementwise
for _name in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split():
    RULES[f"__{_name}__"] = RULES[f"__r{_name}__"] = elementwise
    RULES[f"__i{_name}__"] = elementwise_
for _name in "eq ne lt le gt ge divmod".split():
    RULES[f"__{_name}__"] = elementwise
for _name in "exponential_ geometric_ cauchy_ log_normal_ normal_ uniform_ random_ bernoulli_".split():
    RULES.pop(_name, None)
del _name


# ---- over dimensions -----------------------------------------------------------------------------------
def _all_dims(x):
    return tuple(range(1, x.dim() + 1))


def _shift(dim, nd):
    return tuple(dim_at(d, nd) for d in dim) if isinstance(dim, (tuple, list)) else dim_at(dim, nd)


def _keep_scalar(v, nd, got):
    """Undo the dimension that was put in for examples without dimensions."""
    return got if nd else _each(got, lambda g: g.squeeze(1) if g.dim() > 1 else g)


def _each(got, fn):
    if isinstance(got, Tensor):
        return fn(got)
    return rebuilt(type(got), [fn(g) for g in got]) if hasattr(got, "_fields") else type(got)(fn(g) for g in got)


def _dimmed(v, nd):
    return v if nd else v.unsqueeze(1)


@rule("sum mean nansum nanmean amax amin any all logsumexp count_nonzero std var std_mean var_mean")
def reduce_dims(level, func, input, dim=None, *args, **kwargs):
    """Reductions over some dimensions, or all."""
    name = name_of(func)
    if isinstance(dim, bool) and name in ("std", "var", "std_mean", "var_mean"):
        kwargs.setdefault("unbiased", dim)
        unbiased = kwargs.pop("unbiased")
        kwargs["correction"] = int(unbiased)
        dim = None
    v, nd = input._value, input.dim()
    every = dim is None or (isinstance(dim, (tuple, list)) and not dim)
    if name in ("any", "all", "count_nonzero") and every:
        v, nd, dim = v.reshape(level.size, -1), 1, 0
        every = False
    if nd == 0:
        v = v.unsqueeze(1)
        got = func(v, 1, *args, **kwargs)
        return wrap(level, _each(got, lambda g: g.squeeze(1) if g.dim() > 1 else g))
    return wrap(level, func(v, _all_dims(input) if every else _shift(dim, nd), *args, **kwargs))


def _flat_or_dim(level, input, dim):
    """(value, dim, dimensions of one example) for functions that flatten without dim."""
    if dim is None:
        return input._value.reshape(level.size, -1), 1, 1
    return _dimmed(input._value, input.dim()), dim_at(dim, input.dim()), input.dim()


@rule("prod argmax argmin")
def reduce_dim(level, func, input, dim=None, *args, **kwargs):
    keepdim = kwargs.get("keepdim", args[0] if args else False)
    v, d, nd = _flat_or_dim(level, input, dim)
    got = func(v, d, *args, **kwargs)
    if dim is None and keepdim:
        got = got.reshape((level.size,) + (1,) * input.dim())
    return wrap(level, got if nd or dim is None else _keep_scalar(v, nd, got))


def _extreme_of_rows(name, v):
    """One number a row for a derivative that is taken of each example: ties share it, where the forms with a dimension give it to one place."""
    if name in ("max", "min"):
        return v.amax(-1) if name == "max" else v.amin(-1)
    if isinstance(v, BatchedTensor):
        return batched(_extreme_of_rows(name, v._value), v._level)
    return middle_of_rows(v, name == "nanmedian")


@rule("max min median nanmedian")
def extreme(level, func, input, dim=None, *args, **kwargs):
    """max(x), max(x, dim) or max(x, other)."""
    if dim is None and "other" in kwargs:
        dim = kwargs.pop("other")
    if isinstance(dim, Tensor):
        return elementwise(level, func, input, dim)
    if dim is None:
        rows = input._value.reshape(level.size, -1)
        return batched(_extreme_of_rows(name_of(func), rows) if level.differentiated() else func(rows, 1)[0], level)
    nd = input.dim()
    return wrap(level, _keep_scalar(None, nd, func(_dimmed(input._value, nd), dim_at(dim, nd), *args, **kwargs)))


@rule("aminmax")
def aminmax(level, func, input, *, dim=None, keepdim=False):
    v, d, nd = _flat_or_dim(level, input, dim)
    return wrap(level, _keep_scalar(None, nd, func(v, dim=d, keepdim=keepdim and dim is not None)))


@rule("softmax log_softmax softmin cumsum cumprod cummax cummin logcumsumexp glu unbind cumsum_ cumprod_")
def along(level, func, input, dim=None, *args, **kwargs):
    """One dimension, by position 1; the shape is kept (or unbind takes the dimension away)."""
    nd = input.dim()
    name = name_of(func)
    if dim is None:
        dim = 0 if name == "unbind" else -1 if name == "glu" else (0 if nd in (0, 1, 3) else 1)
    if name.endswith("_"):
        func(_dimmed(input._value, nd), dim_at(dim, nd), *args, **kwargs)
        return input
    return wrap(level, _keep_scalar(None, nd, func(_dimmed(input._value, nd), dim_at(dim, nd), *args, **kwargs)))


@rule("sort msort argsort")
def sort(level, func, input, dim=-1, *args, **kwargs):
    nd, name = input.dim(), name_of(func)
    if isinstance(dim, bool):
        dim, args = (args[0] if args else -1), (dim,)
    v = _dimmed(input._value, nd)
    if name == "msort":
        return wrap(level, _t.sort(v, 1)[0])
    if "stable" in kwargs:
        return wrap(level, _keep_scalar(None, nd, func(v, dim=dim_at(dim, nd), descending=args[0] if args else kwargs.pop("descending", False), **kwargs)))
    return wrap(level, _keep_scalar(None, nd, func(v, dim_at(dim, nd), *args, **kwargs)))


@rule("topk kthvalue")
def pick(level, func, input, k, dim=-1, *args, **kwargs):
    nd = input.dim()
    return wrap(level, _keep_scalar(None, nd, func(_dimmed(input._value, nd), k, dim_at(dim, nd), *args, **kwargs)))


@rule("norm")
def norm(level, func, input, p="fro", dim=None, keepdim=False, dtype=None):
    v, nd = input._value, input.dim()
    if p == "nuc":
        return RULES["linalg_matrix_norm"](level, _linalg.matrix_norm, input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    if dim is None:
        got = func(v.reshape(level.size, -1), 2.0 if p in ("fro", None) else p, 1, False, dtype=dtype)
        return batched(got.reshape((level.size,) + (1,) * nd) if keepdim else got, level)
    return batched(_keep_scalar(None, nd, func(_dimmed(v, nd), p, _shift(dim, nd), keepdim, dtype=dtype)), level)


@rule("renorm renorm_")
def renorm(level, func, input, p, dim, maxnorm):
    """Rows of each example that are too long are made as long as `maxnorm`."""
    nd = input.dim()
    others = [d for d in range(nd) if d != dim % nd]
    length = _linalg.vector_norm(input, p, others, True)
    got = input * _t.where(length > maxnorm, maxnorm / (length + 1e-7), 1.0).to(input.dtype)
    return input.copy_(got) if name_of(func).endswith("_") else got


@rule("linalg_vector_norm")
def vector_norm(level, func, x, ord=2, dim=None, keepdim=False, *, dtype=None):
    v, nd = _dimmed(x._value, x.dim()), x.dim()
    d = tuple(range(1, v.dim())) if dim is None or dim == () else _shift(dim, nd)
    return batched(_keep_scalar(None, nd, func(v, ord, d, keepdim, dtype=dtype)), level)


@rule("linalg_norm")
def linalg_norm(level, func, A, ord=None, dim=None, keepdim=False, *, dtype=None):
    nd = A.dim()
    if dim is None and ord is None:
        got = func(A._value.reshape(level.size, -1), None, 1, False, dtype=dtype)
        return batched(got.reshape((level.size,) + (1,) * nd) if keepdim else got, level)
    d = (dim_at(-1, nd) if nd < 2 else (nd - 1, nd)) if dim is None else _shift(dim, nd)
    return batched(_keep_scalar(None, nd, func(_dimmed(A._value, nd), ord, d, keepdim, dtype=dtype)), level)


@rule("normalize")
def normalize(level, func, input, p=2.0, dim=1, eps=1e-12, out=None):
    return input / _t.norm(input, p, dim, True).clamp_min(eps)


@rule("cosine_similarity")
def cosine_similarity(level, func, x1, x2, dim=1, eps=1e-8):
    shape = tuple(_t.broadcast_shapes(tuple(x1.shape), tuple(x2.shape)))
    a, b = (_dimmed(value_at(x.expand(shape), level), len(shape)) for x in (x1, x2))
    return batched(_keep_scalar(None, len(shape), func(a, b, dim_at(dim, len(shape)), eps)), level)


@rule("trace")
def trace(level, func, input):
    return batched(input._value.diagonal(0, 1, 2).sum(-1), level)


@rule("diff")
def diff(level, func, input, n=1, dim=-1, prepend=None, append=None):
    one = [value_at(x, level) if x is not None else None for x in (prepend, append)]
    return batched(func(value_at(input, level), n, dim_at(dim, input.dim()), *one), level)


# ---- views and copies of places ------------------------------------------------------------------------
@rule("transpose swapaxes swapdims transpose_copy")
def transpose(level, func, input, dim0, dim1):
    nd = input.dim()
    return batched(func(_dimmed(input._value, nd), dim_at(dim0, nd), dim_at(dim1, nd)), level) if nd else input


@rule("t adjoint")
def t(level, func, input):
    if name_of(func) == "t":
        return batched(input._value.transpose(1, 2) if input.dim() == 2 else input._value.view_as(input._value), level)
    return batched(func(input._value), level)


def _sizes(args):
    return tuple(args[0]) if len(args) == 1 and isinstance(args[0], (tuple, list)) else args


@rule("permute permute_copy")
def permute(level, func, input, *dims, **kwargs):
    dims = _sizes((kwargs["dims"],) if kwargs else dims)
    return batched(input._value.permute((0,) + tuple(dim_at(d, input.dim()) for d in dims)), level)


@rule("movedim moveaxis")
def movedim(level, func, input, source, destination):
    return batched(func(input._value, _shift(source, input.dim()), _shift(destination, input.dim())), level)


@rule("view reshape view_copy")
def view(level, func, input, *shape, **kwargs):
    if kwargs:
        shape = tuple(kwargs.values())
    if shape and isinstance(shape[0], _t.dtype):
        return batched(func(input._value, shape[0]), level)
    sizes = list(_sizes(shape))
    if -1 in sizes:
        known = 1
        for s in sizes:
            known *= s if s != -1 else 1
        sizes[sizes.index(-1)] = input.numel() // known if known else 0
    got = 1
    for s in sizes:
        got *= s
    if got != input.numel():
        raise RuntimeError(f"shape '{list(_sizes(shape))}' is invalid for input of size {input.numel()}")
    return batched(func(input._value, (level.size, *sizes)), level)


@rule("view_as reshape_as")
def view_as(level, func, input, other):
    return view(level, _t.Tensor.view if name_of(func) == "view_as" else _t.reshape, input, tuple(other.shape)) if is_at(input, level) \
        else input.reshape(tuple(other.shape))


@rule("flatten")
def flatten(level, func, input, start_dim=0, end_dim=-1):
    nd = input.dim()
    return batched(func(_dimmed(input._value, nd), dim_at(start_dim, nd), dim_at(end_dim, nd)), level)


@rule("ravel")
def ravel(level, func, input):
    return batched(input._value.reshape(level.size, -1), level)


@rule("unflatten")
def unflatten(level, func, input, dim, sizes):
    return batched(func(input._value, dim_at(dim, input.dim()), sizes), level)


@rule("squeeze squeeze_copy squeeze_")
def squeeze(level, func, input, dim=None):
    nd = input.dim()
    at = [i + 1 for i, s in enumerate(input.shape) if s == 1]
    if dim is not None:
        wanted = _shift(dim if isinstance(dim, (tuple, list)) else (dim,), nd)
        at = [d for d in at if d in wanted]
    v = input._value
    for d in reversed(at):
        v = v.squeeze(d)
    return batched(v, level)


@rule("unsqueeze unsqueeze_copy")
def unsqueeze(level, func, input, dim):
    return batched(input._value.unsqueeze(dim_at(dim, input.dim() + 1)), level)


@rule("expand broadcast_to expand_copy")
def expand(level, func, input, *sizes, **kwargs):
    sizes = _sizes((kwargs["size"],) if "size" in kwargs else sizes)
    return batched(lift(level, input, len(sizes)).expand((level.size, *sizes)), level)


@rule("expand_as")
def expand_as(level, func, input, other):
    return input.expand(tuple(other.shape))


@rule("repeat tile")
def repeat(level, func, input, *sizes, **kwargs):
    sizes = _sizes((next(iter(kwargs.values())),) if kwargs else sizes)
    if name_of(func) == "tile" and len(sizes) < input.dim():
        sizes = (1,) * (input.dim() - len(sizes)) + tuple(sizes)
    return batched(lift(level, input, len(sizes)).repeat((1, *sizes)), level)


@rule("chunk split tensor_split split_with_sizes unsafe_chunk unsafe_split")
def split(level, func, input, size, dim=0, **kwargs):
    if not is_at(input, level):
        raise RuntimeError(f"vmap: {name_of(func)}: places that differ between examples cannot be mapped")
    return wrap(level, func(input._value, size, dim_at(kwargs.pop("dim", dim), input.dim()), **kwargs))


@rule("select narrow select_copy narrow_copy")
def select(level, func, input, dim, *args, **kwargs):
    if not is_at(input, level):
        raise RuntimeError(f"vmap: {name_of(func)}: places that differ between examples cannot be mapped; use index_select or gather")
    return batched(func(input._value, dim_at(dim, input.dim()), *args, **kwargs), level)


@rule("diagonal diag_embed")
def diagonal(level, func, input, offset=0, dim1=None, dim2=None):
    a, b = ((0, 1) if name_of(func) == "diagonal" else (-2, -1)) if dim1 is None and dim2 is None else (dim1, dim2)
    nd = input.dim() + (name_of(func) == "diag_embed")
    return batched(func(input._value, offset, dim_at(a, nd), dim_at(b, nd)), level)


@rule("diag")
def diag(level, func, input, diagonal=0):
    return batched(_t.diag_embed(input._value, diagonal) if input.dim() == 1 else input._value.diagonal(diagonal, 1, 2), level)


@rule("tril triu tril_ triu_ matrix_exp inverse det logdet slogdet cholesky linalg_inv linalg_det linalg_slogdet linalg_cholesky linalg_qr linalg_svd "
      "linalg_svdvals linalg_eigh linalg_eigvalsh linalg_eig linalg_eigvals linalg_matrix_power matrix_power linalg_matrix_exp "
      "qr svd linalg_lu linalg_lu_factor linalg_cholesky_ex linalg_inv_ex")
def leading(level, func, input, *args, **kwargs):
    """Functions of matrices that take leading dimensions themselves."""
    got = func(input._value, *args, **kwargs)
    return input if name_of(func).endswith("_") else wrap(level, got)


@rule("linalg_solve linalg_solve_ex cholesky_solve linalg_solve_triangular linalg_lstsq")
def solve(level, func, A, B, *args, **kwargs):
    if name_of(func) in ("linalg_solve", "linalg_solve_ex") and (B.dim() == 1 or A.dim() == B.dim() + 1 and tuple(B.shape) == tuple(A.shape[:-1])):
        got = func(A, B.unsqueeze(-1), *args, **kwargs)              # vectors, one for each matrix
        return got.squeeze(-1) if isinstance(got, Tensor) else rebuilt(type(got), [got[0].squeeze(-1), *got[1:]])
    rank = max(A.dim(), B.dim())
    a, b = lift(level, A, rank), lift(level, B, rank)
    if name_of(func) == "linalg_lstsq" and (a.dim() < b.dim() or A.dim() == B.dim()):        # which asks for as many dimensions
        a, b = (x.expand(tuple(y.shape[: max(0, y.dim() - x.dim())]) + tuple(x.shape)) for x, y in ((a, b), (b, a)))
    got = func(a, b, *args, **kwargs)
    if name_of(func) == "linalg_lstsq":                              # what was not computed is one empty tensor
        got = rebuilt(type(got), [g if g.numel() or g.dim() > 1 else g.new_zeros((level.size,) + tuple(g.shape)) for g in got])
    return wrap(level, got)


@rule("flip")
def flip(level, func, input, *dims, **kwargs):
    dims = _sizes(tuple(kwargs.values()) or dims)
    return batched(input._value.flip(tuple(dim_at(d, input.dim()) for d in dims)), level)


@rule("roll")
def roll(level, func, input, shifts, dims=None):
    if dims is None or dims == ():
        flat = input._value.reshape(level.size, -1)
        return batched(func(flat, shifts, 1).reshape(input._value.shape), level)
    return batched(func(input._value, shifts, _shift(dims, input.dim())), level)


@rule("rot90")
def rot90(level, func, input, k=1, dims=(0, 1)):
    return batched(func(input._value, k, _shift(dims, input.dim())), level)


@rule("repeat_interleave")
def repeat_interleave(level, func, input, repeats, dim=None, **kwargs):
    if is_at(repeats, level):
        return looped(level, "repeat_interleave", func, (input, repeats, dim), kwargs)
    v, d, _ = _flat_or_dim(level, input, dim)
    return batched(func(v, repeats, d, **kwargs), level)


@rule("cat concat concatenate")
def cat(level, func, tensors, dim=0, **kwargs):
    dim = kwargs.pop("axis", dim)
    nd = max(x.dim() for x in tensors)
    kept = [x for x in tensors if x.dim() == nd]                 # an old rule: empty 1-d tensors are left out
    return batched(func([value_at(x, level) for x in kept], dim_at(dim, nd)), level)


@rule("stack")
def stack(level, func, tensors, dim=0, **kwargs):
    return batched(func([value_at(x, level) for x in tensors], dim_at(dim, tensors[0].dim() + 1)), level)


@rule("new_zeros new_ones new_empty new_full")
def new_filled(level, func, input, *args, **kwargs):
    """A new tensor beside a batched one is batched, so that it can be written to."""
    if name_of(func) == "new_full":
        size, fill = (args + tuple(kwargs.pop(k) for k in ("size", "fill_value") if k in kwargs))[:2]
        return batched(func(input._value, (level.size, *size), fill, **kwargs), level)
    size = _sizes((kwargs.pop("size"),) if "size" in kwargs else args)
    return batched(func(input._value, (level.size, *size), **kwargs), level)


@rule("new_tensor")
def new_tensor(level, func, input, *args, **kwargs):
    return func(input._value, *args, **kwargs)


# ---- indexing ------------------------------------------------------------------------------------------
def _arange(level, like):
    return _t.arange(level.size, device=like.device)


def _expanded_key(x, key):
    """A key as a list, its ellipsis spelled out, boolean masks as index tensors."""
    key = list(key) if isinstance(key, tuple) else [key]
    key = [_t.tensor(k) if isinstance(k, list) else k for k in key]
    parts = []
    for k in key:
        if isinstance(k, Tensor) and k.dtype is _t.bool:
            parts.extend(k.nonzero().unbind(1) if k.dim() else [None, k.nonzero().reshape(-1)])
        else:
            parts.append(k)
    used = sum(k is not None and k is not Ellipsis for k in parts)
    if any(k is Ellipsis for k in parts):
        at = next(i for i, k in enumerate(parts) if k is Ellipsis)
        parts[at:at + 1] = [slice(None)] * (x.dim() - used)
    return parts


def _located(level, x, key):
    """(value after the basic part of a key, the tensors of the key at their dimensions of it)."""
    parts = _expanded_key(x, key)
    basic = tuple(slice(None) if isinstance(k, Tensor) else k for k in parts)
    v = value_at(x, level)
    if basic:
        v = v[(slice(None),) + basic]
    kept = [k for k in parts if isinstance(k, Tensor) or not isinstance(k, int) or isinstance(k, bool)]
    return v, {i + 1: k for i, k in enumerate(kept) if isinstance(k, Tensor)}


def _advanced_key(level, v, at, with_batch):
    """A key for `v` from index tensors by dimension; with_batch: its dimension 0 goes along example by example."""
    rank = max(k.dim() for k in at.values())
    key = [slice(None)] * v.dim()
    for d, k in at.items():
        key[d] = lift(level, k, rank)
    if with_batch:
        key[0] = _arange(level, v).reshape((level.size,) + (1,) * rank)
    return tuple(key), rank


def _is_joined(at):
    """Whether the indexed dimensions stand side by side."""
    dims = sorted(at)
    return dims == list(range(dims[0], dims[-1] + 1))


@rule("__getitem__")
def getitem(level, func, x, key):
    if isinstance(key, BatchedTensor) and key.dtype is _t.bool or \
            isinstance(key, tuple) and any(isinstance(k, BatchedTensor) and k.dtype is _t.bool for k in key):
        no_shape(level, _t.masked_select)
    v, at = _located(level, x, key)
    if not at:
        return batched(v, level)
    with_batch = any(is_at(k, level) for k in at.values())
    key, rank = _advanced_key(level, v, at, with_batch)
    got = v[key]
    first = min(at) if _is_joined(at) else 1                     # where the indexed dimensions go in one example's result, plus one
    if with_batch:
        # (batch, index dims, ...) stands in front, or where they are when the batch is beside them
        if first > 1:
            got = got.movedim(tuple(range(1, rank + 1)), tuple(range(first, first + rank)))
    elif not _is_joined(at):
        got = got.movedim(rank, 0)                               # NumPy's rule put the index dims before the batch
    return batched(got, level)


@rule("__setitem__")
def setitem(level, func, x, key, value, accumulate=False):
    """x[key] = value, or with `accumulate` x[key] += value for each mention of a place."""
    if not is_at(x, level):
        refuse_inplace("__setitem__")
    if isinstance(key, tuple) and len(key) == 1:
        key = key[0]
    if isinstance(key, BatchedTensor) and key.dtype is _t.bool and not (isinstance(value, Tensor) and value.dim()) and not accumulate:
        rank = x.dim() - key.dim()
        mask = key._value.reshape(tuple(key._value.shape) + (1,) * rank)
        x._value.copy_(_t.where(mask, lift(level, value, x.dim()) if isinstance(value, Tensor) else value, x._value))
        return
    if any(is_at(k, level) and k.dtype is _t.bool for k in (key if isinstance(key, tuple) else (key,)) if isinstance(k, Tensor)):
        no_shape(level, _t.masked_select)
    v, at = _located(level, x, key)
    if not at:
        if accumulate:
            v.add_(lift(level, value, v.dim() - 1))
        elif isinstance(value, Tensor):
            v.copy_(lift(level, value, v.dim() - 1) if v.dim() - 1 >= value.dim() else _fewer(level, value, v.dim() - 1))
        else:
            v.fill_(value)
        return
    place, rank = _advanced_key(level, v, at, True)
    first = min(at) if _is_joined(at) else 1
    if isinstance(value, Tensor):
        shape = v[place].dim() - 1
        value = lift(level, value, shape) if is_at(value, level) else value.expand((level.size,) + (1,) * (shape - value.dim()) + tuple(value.shape))
        if first > 1:                                            # index dims stand in front in what is written
            value = value.movedim(tuple(range(first, first + rank)), tuple(range(1, rank + 1)))
    if accumulate:
        v.index_put_(tuple(None if isinstance(k, slice) else k for k in place), value, True)
    else:
        v[place] = value


def _fewer(level, value, rank):
    """A value with too many leading dimensions of size 1."""
    v = value_at(value, level)
    return v.reshape((level.size,) + tuple(value.shape[value.dim() - rank:]))


@rule("gather take_along_dim")
def gather(level, func, input, dim, index=None, **kwargs):
    if name_of(func) == "take_along_dim":
        dim, index = index, dim
        if dim is None:
            input, index, dim = input.reshape(-1), index.reshape(-1), 0
    if index is None:
        index = kwargs.pop("index", kwargs.pop("indices", None))
    nd = max(input.dim(), index.dim())
    got = func(_dimmed(value_at(input, level), input.dim()), *((dim_at(dim, nd), _dimmed(value_at(index, level), index.dim()))
               if name_of(func) == "gather" else (value_at(index, level), dim_at(dim, nd))))
    return batched(got if index.dim() or input.dim() else got.squeeze(1), level)


@rule("scatter scatter_add scatter_reduce scatter_ scatter_add_ scatter_reduce_")
def scatter(level, func, input, dim, index, src=None, *args, **kwargs):
    inplace = name_of(func).endswith("_")
    if inplace and not is_at(input, level):
        refuse_inplace(name_of(func))
    for key in ("src", "value"):
        if key in kwargs:
            src = kwargs.pop(key)
    v = value_at(input, level)
    if not inplace:
        v = v.clone()
    nd = input.dim()
    got = func(_dimmed(v, nd), dim_at(dim, nd), _dimmed(value_at(index, level), nd),
               _dimmed(value_at(src, level), nd) if isinstance(src, Tensor) else src, *args, **kwargs)
    return input if inplace else batched(_keep_scalar(None, nd, got), level)


@rule("index_select")
def index_select(level, func, input, dim, index):
    if not is_at(index, level):
        return batched(_keep_scalar(None, input.dim(), func(_dimmed(input._value, input.dim()), dim_at(dim, input.dim()), index)), level)
    if not input.dim():
        return input.reshape(1)[index].reshape(())
    return input[(slice(None),) * (dim % input.dim()) + (index,)]


@rule("index_add index_copy index_fill index_add_ index_copy_ index_fill_")
def index_write(level, func, input, dim, index, source, **kwargs):
    inplace = name_of(func).endswith("_")
    if inplace and not is_at(input, level):
        refuse_inplace(name_of(func))
    if is_at(index, level) or not input.dim() or name_of(func).startswith("index_fill") and isinstance(source, BatchedTensor):
        return looped(level, name_of(func), func, (input, dim, index, source), kwargs, warn=False)
    got = func(value_at(input, level), dim_at(dim, input.dim()), index, value_at(source, level) if isinstance(source, Tensor) else source, **kwargs)
    return input if inplace else batched(got, level)


@rule("embedding")
def embedding(level, func, input, weight, *args, **kwargs):
    if not is_at(weight, level):
        return batched(func(input._value, weight, *args, **kwargs), level)
    # every example has a table of its own: one table of all rows
    rows = weight.shape[0]
    index = value_at(input, level)
    index = index + (_arange(level, index) * rows).reshape((level.size,) + (1,) * input.dim())
    padding = kwargs.get("padding_idx", args[0] if args else None)
    got = weight._value.flatten(0, 1)[index]
    if padding is not None:                                      # that row takes part, but gets no gradient
        got = _t.where((value_at(input, level) == padding % rows).unsqueeze(-1), got.detach(), got)
    return batched(got, level)


# ---- autograd ------------------------------------------------------------------------------------------
@rule("retain_grad register_hook")
def on_value(level, func, x, *args):
    return func(x._value, *args)


@rule("detach_")
def detach_(level, func, x):
    x._value.detach_()
    return x
