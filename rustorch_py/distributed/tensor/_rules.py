"""How operators treat the placements of DTensors: Note [Rules of placement] in `_dispatch`."""
from __future__ import annotations

import operator

from ... import tensor as _t
from ...errors import TensorTypeError
from ...tensor import Tensor
from ...tensor._function import overriding_state
from ._dispatch import REPLICATE, RULES, SUM, aligned, as_operands, by_letters, operands_of, refusal, rule, run
from ._dtensor import DTensor, as_gradient, wrap, _gradient_placements
from ._redistribute import own_part, redistribute_local
from .placement_types import Partial, Replicate, Shard, part

# Python's operators by name: Tensor's own are descriptors of the class
_OPERATORS = {f"__{n}__": getattr(operator, f"__{n}__") for n in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift eq ne lt le gt ge neg "
              "pos abs invert iadd isub imul itruediv ifloordiv imod ipow iand ior ixor".split()}
_OPERATORS.update({f"__r{n}__": (lambda op: lambda a, b: op(b, a))(getattr(operator, f"__{n}__"))
                   for n in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split()})


# ---- questions that need no values -----------------------------------------------------------------------------
@rule("dim size numel nelement ndimension __len__ stride is_contiguous is_same_size storage_offset")
def shape_answers(name, func, args, kwargs):
    old = overriding_state(subclass_off=True)[0]
    try:
        return func(*args, **kwargs)
    finally:
        overriding_state(subclass_off=old)


@rule("is_floating_point is_complex is_signed element_size result_type can_cast get_device is_conj is_neg is_inference is_pinned is_shared")
def dtype_answers(name, func, args, kwargs):
    return func(*[a._local_tensor if isinstance(a, DTensor) else a for a in args], **kwargs)


@rule("is_tensor has_names")
def is_tensor(name, func, args, kwargs):
    return name == "is_tensor"


@rule("__format__")
def shown(name, func, args, kwargs):
    return format(repr(args[0]), args[1])


@rule("item tolist numpy __float__ __int__ __complex__ __index__ __bool__ is_nonzero allclose equal __contains__ __array__")
def whole_values(name, func, args, kwargs):
    """What leaves for Python is asked of the whole tensor."""
    return func(*[a.full_tensor().detach() if isinstance(a, DTensor) else a for a in args], **kwargs)


# ---- element by element ----------------------------------------------------------------------------------------
_POINT = """add sub mul div divide multiply subtract true_divide floor_divide remainder fmod pow float_power neg negative positive reciprocal square abs absolute
    sign sgn conj conj_physical resolve_conj resolve_neg angle addcmul addcdiv lerp hypot deg2rad rad2deg isnan isinf isfinite isposinf isneginf isreal isclose
    signbit logical_not logical_and logical_or logical_xor bitwise_not bitwise_and bitwise_or bitwise_xor bitwise_left_shift bitwise_right_shift where maximum
    minimum fmax fmin clamp clip clamp_min clamp_max heaviside copysign nextafter frac atan2 arctan2 logaddexp logaddexp2 xlogy ldexp
    relu relu6 silu gelu mish softplus logsigmoid elu selu celu leaky_relu softsign tanhshrink hardtanh hardswish hardsigmoid hardshrink softshrink threshold
    mse_pointwise l1_pointwise smooth_l1_pointwise huber_pointwise bce_pointwise bce_with_logits_pointwise eq ne lt le gt ge greater greater_equal less
    less_equal not_equal acos acosh asin asinh atan atanh ceil floor trunc fix round cos cosh sin sinh tan tanh sinc exp exp2 expm1 log log10 log1p log2 sqrt
    rsqrt erf erfc erfinv lgamma digamma logit sigmoid expit rsub nan_to_num masked_fill clone contiguous detach to float double half bfloat16 int long
    short char byte bool cpu type type_ type_as zeros_like ones_like empty_like full_like log_sigmoid alias fill zero copy real imag complex""".split()
# Linear in their one tensor, or (mul, div) in each of the first so many
_LINEAR = dict.fromkeys("neg negative positive clone contiguous detach conj real imag alias __neg__ __pos__ zeros_like empty_like".split(), 1)
_LINEAR.update(dict.fromkeys("mul multiply __mul__ __rmul__ __imul__ mul_ multiply_".split(), 2), **dict.fromkeys("div divide true_divide __truediv__ __itruediv__ div_ divide_".split(), 1))
_CASTS = "to float double half bfloat16 cpu type type_ type_as".split()
_ADDITIVE = "add sub subtract __add__ __sub__ __radd__ __rsub__ __iadd__ __isub__ add_ sub_ rsub".split()


def pointwise(name, func, args, kwargs, pinned=None):
    """Align the operands at their last dimensions."""
    fn = _OPERATORS.get(name, func)
    if name == "type_as" and not isinstance(args[0], DTensor):
        return fn(args[0], args[1]._local_tensor)
    if name in ("type_as", "to") and len(args) > 1 and isinstance(args[1], Tensor):         # a dtype is meant
        name, fn, args = "to", _t.Tensor.to, (args[0], args[1].dtype, *args[2:])
    operands, rebuild = operands_of(name, args, kwargs)
    letters, out, shape = aligned(name, [x.shape for x in operands])
    linear = range(min(_LINEAR.get(name, 0), len(operands)))
    if name in ("div", "divide", "div_", "divide_") and kwargs.get("rounding_mode"):
        linear = ()
    if name in _CASTS and operands[0].is_floating_point():
        linear = (0,)
    additive = name in _ADDITIVE and len(operands) == 2
    ways = by_letters(letters, out, linear, additive)

    def local(tensors, wanted, placed):
        a, k = rebuild(tensors)
        return fn(*a, **k)
    return run(name, operands, ways, local, shape, pinned)


def pointwise_(name, func, args, kwargs):
    """The same in place: the first operand stays as it lies."""
    if not isinstance(args[0], DTensor):
        raise TensorTypeError(f"{name}: a DTensor cannot be written into a plain tensor; use full_tensor() or to_local()", op=name)
    if name in ("fill_", "zero_") and len(args) + len(kwargs) <= 2 and not any(isinstance(a, Tensor) for a in args[1:]):
        func(args[0]._local_tensor, *args[1:], **kwargs)
        return args[0]
    return pointwise(name, func, args, kwargs, pinned=0)


for _name in _POINT:
    RULES[_name] = pointwise
    RULES.setdefault(_name + "_", pointwise_)
for _name in ("neg", "pos", "abs", "invert"):
    RULES[f"__{_name}__"] = pointwise
for _name in "add sub mul truediv floordiv mod pow and or xor lshift rshift".split():
    RULES[f"__{_name}__"] = RULES[f"__r{_name}__"] = pointwise
    RULES[f"__i{_name}__"] = pointwise_
for _name in "eq ne lt le gt ge".split():
    RULES[f"__{_name}__"] = pointwise
RULES["type_"] = pointwise
RULES.pop("detach_", None)
RULES.pop("alias_", None)
del _name


@rule("cuda")
def cuda(name, func, args, kwargs):
    return func(args[0]._local_tensor, *args[1:], **kwargs)


@rule("detach_")
def detach_(name, func, args, kwargs):
    args[0]._local_tensor.detach_()
    return args[0]


@rule("new_zeros new_ones new_empty new_full new_tensor")
def new_filled(name, func, args, kwargs):
    """A new tensor beside a DTensor is repeated on all ranks."""
    x = args[0]
    got = func(x._local_tensor, *args[1:], **kwargs)
    return wrap(got, x._mesh, (REPLICATE,) * x._mesh.ndim, tuple(got.shape))


# ---- random numbers: those of one process, each rank takes its part -----------------------------------------------
@rule("normal_ uniform_ random_ bernoulli_ exponential_ geometric_ cauchy_ log_normal_")
def random_(name, func, args, kwargs):
    x = args[0]
    if any(isinstance(a, Tensor) for a in args[1:]):
        raise refusal(name, [x], "parameters must be numbers")
    whole = func(_t.empty(tuple(x.shape), dtype=x.dtype), *args[1:], **kwargs)
    with _t.no_grad():
        x._local_tensor.copy_(own_part(whole, x._mesh, x._placements))
    return x


@rule("rand_like randn_like randint_like")
def random_like(name, func, args, kwargs):
    x = args[0]
    kwargs = dict(kwargs)
    wants = kwargs.pop("requires_grad", False)
    whole = func(_t.empty(tuple(x.shape), dtype=x.dtype), *args[1:], **kwargs)
    where = _gradient_placements(x._placements)
    return wrap(own_part(whole, x._mesh, where).requires_grad_(wants), x._mesh, where, tuple(x.shape))


@rule("dropout dropout_")
def dropout(name, func, args, kwargs):
    x, p, training = (args + (0.5, True))[:3] if len(args) < 3 else args[:3]
    p, training = kwargs.get("p", p), kwargs.get("train", training)
    if not training or p == 0:
        return x
    where = _gradient_placements(x._placements)
    mask = own_part(_t.dropout(_t.ones(tuple(x.shape), dtype=x.dtype), p, True), x._mesh, where)
    mask = wrap(mask, x._mesh, where, tuple(x.shape))
    return x.mul_(mask) if name == "dropout_" else x * mask


# ---- over dimensions --------------------------------------------------------------------------------------------
def _dims(x, dim):
    nd = max(x.dim(), 1)
    dims = range(x.dim()) if dim is None or dim == () or dim == [] else dim if isinstance(dim, (tuple, list)) else [dim]
    return sorted({d % nd for d in dims})


def _bound(args, kwargs, *names):
    """Return named arguments, given by position after the first or by name; None where absent."""
    found = dict(zip(names, args[1:]))
    found.update({k: v for k, v in kwargs.items() if k in names})
    return [found.get(n) for n in names]


def _reduced(x, dims, keepdim):
    """Return (letters of the result, its shape)."""
    if keepdim:
        return [None if d in dims else d for d in range(x.dim())], tuple(1 if d in dims else n for d, n in enumerate(x.shape))
    left = [d for d in range(x.dim()) if d not in dims]
    return left, tuple(x.shape[d] for d in left)


def _plain(x):
    return list(range(x.dim()))


@rule("sum mean nansum")
def total(name, func, args, kwargs):
    """A cut dimension that is summed over gives terms of a sum."""
    x = args[0]
    dim, keepdim = _bound(args, kwargs, "dim", "keepdim")
    dims = _dims(x, dim)
    out, shape = _reduced(x, dims, keepdim)
    ways = by_letters([_plain(x)], out, linear=() if name == "nansum" else (0,))
    count = 1
    for d in dims:
        count *= x.shape[d]

    def local(tensors, wanted, placed):
        if name != "mean" or all(not isinstance(p, Shard) or p.dim not in dims for p in wanted[0]):
            return func(tensors[0], *args[1:], **kwargs)
        got = _t.sum(tensors[0], dims, bool(keepdim), dtype=kwargs.get("dtype"))       # pieces may differ in size
        return got / count
    return run(name, [x], ways, local, shape)


@rule("amax amin any all logsumexp count_nonzero std var std_mean var_mean prod argmax argmin max min median nanmedian nanmean aminmax norm linalg_vector_norm")
def within(name, func, args, kwargs):
    """Reductions of dimensions that no rank sees in part: they are gathered first."""
    x = args[0]
    if len(args) > 1 and isinstance(args[1], Tensor):                          # max(a, b)
        return pointwise(name, func, args, kwargs)
    at = ("p", "dim", "keepdim") if name in ("norm", "linalg_vector_norm") else ("dim", "keepdim") if name not in ("std", "var", "std_mean", "var_mean") else (
        "dim", "correction", "keepdim")
    found = dict(zip(at, _bound(args, kwargs, *at)))
    if name in ("std", "var", "std_mean", "var_mean") and isinstance(found["dim"], bool):
        found["dim"] = None
    dims = _dims(x, found["dim"])
    out, shape = _reduced(x, dims, found["keepdim"])
    return run(name, [x], by_letters([_plain(x)], out, only=[d for d in range(x.dim()) if d not in dims]),
               lambda tensors, wanted, placed: func(tensors[0], *args[1:], **kwargs), shape)


@rule("softmax log_softmax softmin cumsum cumprod cummax cummin logcumsumexp sort argsort msort normalize flip roll tril triu")
def along(name, func, args, kwargs):
    """Operators that keep the shape and mix values along some dimensions, which are gathered first."""
    x = args[0]
    if name in ("tril", "triu"):
        dims = [x.dim() - 2, x.dim() - 1]
    elif name == "msort":
        dims = [0]
    else:
        dim = _bound(args, kwargs, "shifts", "dims")[1] if name == "roll" else kwargs.get("dims", args[1] if len(args) > 1 else None) if name == "flip" else (
            _bound(args, kwargs, "dim")[0])
        if dim is None and name in ("sort", "argsort"):
            dim = -1
        if dim is None and name == "normalize":
            dim = 1
        dims = _dims(x, dim)
    return run(name, [x], by_letters([_plain(x)], _plain(x), only=[d for d in range(x.dim()) if d not in dims]),
               lambda tensors, wanted, placed: func(tensors[0], *args[1:], **kwargs), x.shape)


RULES["nn_softmax"] = RULES["nn_log_softmax"] = RULES["nn_softmin"] = along


@rule("topk")
def topk(name, func, args, kwargs):
    x = args[0]
    k, dim = _bound(args, kwargs, "k", "dim")
    dim = (-1 if dim is None else dim) % x.dim()
    shape = tuple(k if d == dim else n for d, n in enumerate(x.shape))
    return run(name, [x], by_letters([_plain(x)], _plain(x), only=[d for d in range(x.dim()) if d != dim]),
               lambda tensors, wanted, placed: func(tensors[0], *args[1:], **kwargs), shape)


@rule("layer_norm rms_norm")
def last_dims_norm(name, func, args, kwargs):
    """Leading dimensions may be cut; weights are then shared."""
    operands, rebuild = operands_of(name, args, kwargs)
    x = operands[0]
    shape = _bound(args, kwargs, "normalized_shape")[0]
    n = 1 if isinstance(shape, int) else len(shape)
    lead = x.dim() - n
    letters = [_plain(x)] + [list(range(lead, lead + w.dim())) for w in operands[1:]]

    def local(tensors, wanted, placed):
        a, k = rebuild(tensors)
        return func(*a, **k)
    return run(name, operands, by_letters(letters, _plain(x), only=range(lead)), local, x.shape)


# ---- products ----------------------------------------------------------------------------------------------------
@rule("matmul mm bmm mv dot __matmul__ __rmatmul__ linalg_matmul")
def matmul(name, func, args, kwargs):
    """Any letter of (batch, m, k) @ (batch, k, n) may be cut; k gives terms of a sum."""
    a, b = args if name != "__rmatmul__" else args[::-1]
    a, b = as_operands(name, [a, b])
    ba, bb = a.shape[:-2], b.shape[:-2]
    (la, lb), batch, size = aligned(name, [ba, bb])
    la, lb = la + (["m", "k"] if a.dim() > 1 else ["k"]), lb + (["k", "n"] if b.dim() > 1 else ["k"])
    out = list(batch) + (["m"] if a.dim() > 1 else []) + (["n"] if b.dim() > 1 else [])
    shape = size + ((a.shape[-2],) if a.dim() > 1 else ()) + ((b.shape[-1],) if b.dim() > 1 else ())
    return run(name, [a, b], by_letters([la, lb], out, linear=(0, 1)), lambda t, wanted, placed: _t.matmul(*t), shape)


@rule("linear")
def linear(name, func, args, kwargs):
    """x (..., k), weight (n, k), bias (n). A bias beside terms of a sum counts on one rank only."""
    x, weight, bias = _bound((None, *args), kwargs, "input", "weight", "bias")
    operands = as_operands(name, [t for t in (x, weight, bias) if t is not None])
    x = operands[0]
    lead = list(range(x.dim() - 1))
    letters, out = [lead + ["k"], ["n", "k"]], lead + ["n"]
    ways = by_letters(letters, out, linear=(0, 1))
    if bias is not None:
        ways = [(ins + (Shard(0) if ins[1] == Shard(0) else SUM if o == SUM else REPLICATE,), o) for ins, o in ways]
    return run(name, operands, ways, lambda t, wanted, placed: _t.linear(*t), tuple(x.shape[:-1]) + (operands[1].shape[0],))


@rule("addmm addmv addbmm baddbmm")
def add_product(name, func, args, kwargs):
    extra, a, b = args
    got = _t.matmul(a, b)
    if name == "addbmm":
        got = got.sum(0)
    beta, alpha = kwargs.get("beta", 1), kwargs.get("alpha", 1)
    got = got if alpha == 1 else got * alpha
    return got if beta == 0 else got + (extra if beta == 1 else extra * beta)


@rule("einsum")
def einsum(name, func, args, kwargs):
    equation, *tensors = args
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = list(tensors[0])
    if not isinstance(equation, str) or "." in equation:
        raise refusal(name, [t for t in tensors if isinstance(t, DTensor)], "write all dimensions as letters, without '...'")
    left, _, right = equation.replace(" ", "").partition("->")
    parts = left.split(",")
    if "->" not in equation:
        right = "".join(sorted(c for c in set(left) - {","} if left.count(c) == 1))
    operands = as_operands(name, tensors)
    size = {c: n for p, x in zip(parts, operands) for c, n in zip(p, x.shape)}
    once = [c for c in size if all(p.count(c) <= 1 for p in parts)]
    ways = by_letters([list(p) for p in parts], list(right), linear=range(len(parts)), only=once)
    return run(name, operands, ways, lambda t, wanted, placed: func(equation, *t), tuple(size[c] for c in right))


@rule("embedding")
def embedding(name, func, args, kwargs):
    """weight (v, e), indices. Where the rows are cut, each rank looks up those it has, and zeros for others: terms of a sum."""
    weight, indices, *rest = args
    if kwargs.get("scale_grad_by_freq") or len(rest) > 1 and rest[1]:
        raise refusal(name, [x for x in (weight, indices) if isinstance(x, DTensor)], "scale_grad_by_freq counts over the whole input")
    operands = as_operands(name, [weight, indices])
    lead = list(range(indices.dim()))
    ways = by_letters([["v", "e"], lead], lead + ["e"])
    shape, mesh = tuple(indices.shape) + (weight.shape[1],), operands[0]._mesh
    padding = rest[0] if rest else kwargs.get("padding_idx", -1)

    def local(tensors, wanted, placed):
        w, at = tensors
        if not any(p == Shard(0) for p in wanted[0]):
            return func(w, at, *rest, **kwargs)
        (rows, _), (first, _) = part(mesh, wanted[0], operands[0].shape)
        mine = (at >= first) & (at < first + rows)
        if rows == 0:
            return w.sum(0).expand(*at.shape, w.shape[1]) * 0
        here = padding - first if first <= padding < first + rows else -1
        got = func(w, _t.where(mine, at - first, 0), here)
        return got * mine.unsqueeze(-1).to(got.dtype)
    return run(name, operands, ways, local, shape)


@rule("nn_scaled_dot_product_attention")
def attention(name, func, args, kwargs):
    """Batch and heads may be cut; sequences are gathered first."""
    query, key, value, mask, dropout_p = _bound((None, *args), kwargs, "query", "key", "value", "attn_mask", "dropout_p")
    tensors = [query, key, value] + ([mask] if mask is not None else [])
    operands = as_operands(name, tensors)
    lead = list(range(query.dim() - 2))
    letters = [lead + ["l", "e"], lead + ["s", "e"], lead + ["s", "f"]]
    if mask is not None:
        full = [*query.shape[:-1], key.shape[-2]]
        letters.append([d if d < len(lead) and mask.shape[d - len(full) + mask.dim()] == full[d] else None
                        for d in range(len(full) - mask.dim(), len(full))])
    heads = {query.shape[-3], key.shape[-3], value.shape[-3]} if len(lead) else {1}
    only = lead[:-1] if len(heads) > 1 else lead
    if dropout_p:
        only = []
    rest = {k: v for k, v in kwargs.items() if k not in ("query", "key", "value", "attn_mask")}
    extra = args[4:]

    def local(t, wanted, placed):
        return func(t[0], t[1], t[2], t[3] if mask is not None else None, *extra, **rest)
    return run(name, operands, by_letters(letters, lead + ["l", "f"], only=only), local, tuple(query.shape[:-1]) + (value.shape[-1],))


# ---- losses ------------------------------------------------------------------------------------------------------
@rule("cross_entropy_loss nll_loss")
def class_loss(name, func, args, kwargs):
    """Samples may be cut. A mean is a sum over all samples by the sum of all weights."""
    from .parallel.loss import cut_classes, parallel_cross_entropy
    input, target, weight, reduction, ignore, *smooth = (*args, *(None, 1, -100, 0.0)[len(args) - 2:])
    smooth = smooth[0] if smooth and name == "cross_entropy_loss" else 0.0
    input, target, *w = as_operands(name, [input, target] + ([weight] if weight is not None else []))
    classes = 0 if input.dim() == 1 else 1
    if name == "cross_entropy_loss" and cut_classes(input, classes):
        return parallel_cross_entropy(input, target, w[0] if w else None, reduction, ignore, smooth, classes)
    per_class = target.dim() == input.dim() and name == "cross_entropy_loss" and target.is_floating_point()
    samples = [d for d in range(input.dim()) if d != classes]
    of_input = ["c" if d == classes else d for d in range(input.dim())]
    of_target = of_input if per_class else samples
    letters = [of_input, of_target] + [["c"]] * len(w)
    tail = (smooth,) if name == "cross_entropy_loss" else ()

    def sums(how, out, shape):
        def local(t, wanted, placed):
            return func(t[0], t[1], t[2] if w else None, how, ignore, *tail)
        return run(name, [input, target, *w], by_letters(letters, out, only=samples), local, shape)

    if reduction == 0:
        return sums(0, samples, tuple(target.shape) if not per_class else tuple(input.shape[d] for d in samples))
    added = sums(2, [], ())
    if reduction == 2:
        return added
    if per_class:
        return added / max(input.numel() // input.shape[classes], 1)

    def weights(t, wanted, placed):
        counted = t[0] != ignore
        return counted.sum().to(input.dtype) if not w else (t[1][_t.where(counted, t[0], 0)] * counted).sum()
    count = run(name, [target.detach(), *(x.detach() for x in w)], by_letters([of_target] + [["c"]] * len(w), [], only=samples), weights, ())
    return added / count


# ---- views -------------------------------------------------------------------------------------------------------
_BY_SIZE = "view reshape flatten unflatten ravel squeeze unsqueeze view_as reshape_as".split()
_EXPANDS = "expand broadcast_to expand_as".split()
_VIEWS = _BY_SIZE + _EXPANDS + """transpose swapaxes swapdims t permute movedim moveaxis adjoint select narrow chunk split split_with_sizes tensor_split
    unbind diagonal hsplit vsplit""".split()


def _steps(shape):
    out, step = [], 1
    for n in reversed(shape):
        out.insert(0, step)
        step *= n
    return out


def _follow(x, view, d, n):
    """Return the dimension of a view of the contiguous x in which a cut of x's dimension d into n pieces is found, or None.

    The cut of a dimension is one of the memory it spans: the dimension that begins the same span has it.
    """
    span = _steps(x.shape)[d] * x.shape[d]
    for o, (size, step) in enumerate(zip(view.shape, view.stride())):
        if size > 1 and size == x.shape[d] and step * size == span:
            return o
    if view.numel() != x.numel() or x.shape[d] % n:
        return None
    for o, (size, step) in enumerate(zip(view.shape, view.stride())):
        if size > 1 and step * size == span and size % n == 0:
            return o
    return None


@rule(" ".join(_VIEWS + ["__getitem__"]))
def view(name, func, args, kwargs):
    """Cuts stay where the view has them; dimensions that are taken apart are gathered first."""
    x = args[0]
    if not isinstance(x, DTensor):
        raise refusal(name, [a for a in args if isinstance(a, DTensor)], "a DTensor as an index or shape of a plain tensor")
    if name == "__getitem__" and not _basic(args[1]):
        return indexed(name, func, args, kwargs)
    if name in ("view_as", "reshape_as", "expand_as"):
        func, args, name = {"view_as": _t.Tensor.view, "reshape_as": _t.Tensor.reshape, "expand_as": _t.Tensor.expand}[name], (x, tuple(args[1].shape)), name[:-3]
    got = shape_answers(name, func, args, kwargs)           # a DTensor can be viewed: it has the shape of the whole and no memory
    views = [got] if isinstance(got, Tensor) else list(got)
    if len(views) == 0:
        return got
    mesh = x._mesh
    pieces = {}
    for m, p in enumerate(x._placements):
        if isinstance(p, Shard):
            pieces[p.dim] = pieces.get(p.dim, 1) * mesh.shape[m]

    def ways(m):
        p = x._placements[m]
        if isinstance(p, Partial):
            return [((p,), p)]
        out = [((REPLICATE,), REPLICATE)]
        if isinstance(p, Shard) and x.numel():
            places = {_follow(x, v, p.dim, pieces[p.dim]) for v in views}
            if len(places) == 1 and None not in places:
                out.append(((p,), Shard(places.pop())))
        return out

    def local(tensors, wanted, placed):
        t = tensors[0]
        if isinstance(got, Tensor) and name in _BY_SIZE + _EXPANDS:
            sizes = part(mesh, placed, got.shape)[0]
            return t.expand(sizes) if name in _EXPANDS else t.reshape(sizes)
        return func(t, *args[1:], **kwargs)
    shapes = tuple(got.shape) if isinstance(got, Tensor) else [tuple(v.shape) for v in views]
    return run(name, [x], ways, local, shapes)


def _basic(key):
    return all(k is None or k is Ellipsis or isinstance(k, (int, slice)) and not isinstance(k, bool) for k in (key if isinstance(key, tuple) else (key,)))


def indexed(name, func, args, kwargs):
    """Advanced indexing: on whole tensors."""
    operands, rebuild = operands_of(name, args, kwargs)

    def local(tensors, wanted, placed):
        a, k = rebuild(tensors)
        return func(*a, **k)
    return _all_whole(name, operands, local)


def _all_whole(name, operands, local):
    """Compute with all operands on all ranks; the shape is that of the result."""
    mesh = operands[0]._mesh
    where = (REPLICATE,) * mesh.ndim
    got = local([redistribute_local(x._local_tensor, mesh, x.shape, x._placements, where) for x in operands], [where] * len(operands), where)
    return wrap(got, mesh, where, tuple(got.shape))


@rule("index_select gather take_along_dim masked_select repeat tile repeat_interleave one_hot nn_one_hot")
def whole(name, func, args, kwargs):
    return indexed(name, func, args, kwargs)


@rule("__setitem__")
def setitem(name, func, args, kwargs):
    x, key, value = args
    if any(not isinstance(p, Replicate) for p in x._placements):
        raise refusal(name, [x], "only a DTensor that is repeated on all ranks can be written in part")
    value = value.redistribute(placements=x._placements)._local_tensor if isinstance(value, DTensor) else value
    x._local_tensor[key] = value


@rule("cat concat concatenate stack")
def joined(name, func, args, kwargs):
    """All parts lie alike; the dimension of joining is whole."""
    tensors = args[0] if args else kwargs["tensors"]
    operands = as_operands(name, list(tensors))
    dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    nd = operands[0].dim() + (name == "stack")
    dim %= nd
    if name == "stack":
        out = list(range(nd - 1))
        out.insert(dim, "new")
        shape = [*operands[0].shape]
        shape.insert(dim, len(operands))
        only = range(nd - 1)
    else:
        out, only = list(range(nd)), [d for d in range(nd) if d != dim]
        shape = list(operands[0].shape)
        shape[dim] = sum(x.shape[dim] for x in operands)
    ways = by_letters([list(range(x.dim())) for x in operands], out, additive=True, only=only)
    return run(name, operands, ways, lambda t, wanted, placed: func(t, dim), tuple(shape))


# ---- autograd, optimizers -----------------------------------------------------------------------------------------
@rule("autograd_grad")
def autograd_grad(name, func, args, kwargs):
    outputs, inputs, grad_outputs = _bound((None, *args), kwargs, "outputs", "inputs", "grad_outputs")
    rest = {k: v for k, v in kwargs.items() if k not in ("outputs", "inputs", "grad_outputs")}
    outs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    ins = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    grads = [None] * len(outs) if grad_outputs is None else [grad_outputs] if isinstance(grad_outputs, Tensor) else list(grad_outputs)
    grads = [as_gradient(name, g, o) if isinstance(o, DTensor) and g is not None else g for g, o in zip(grads, outs)]
    grads = [_t.ones_like(o._local_tensor) if g is None and isinstance(o, DTensor) and o.numel() == 1 else g for g, o in zip(grads, outs)]

    def local(x):
        return x._local_tensor if isinstance(x, DTensor) else x
    got = func([local(o) for o in outs], [local(x) for x in ins], grads, *args[3:], **rest)
    return tuple(g if g is None or not isinstance(x, DTensor) else wrap(g, x._mesh, _gradient_placements(x._placements), tuple(x.shape))
                 for g, x in zip(got, ins))


@rule("_fused_sgd _fused_adam _fused_rmsprop _fused_adagrad _fused_adamax _fused_nadam _fused_radam _fused_adadelta _fused_asgd _fused_rprop")
def fused_step(name, func, args, kwargs):
    """A step of an optimizer is one of the local parts."""
    params, state = args
    inner, fresh = {}, {}
    for p in params:
        kept = state.get(p)
        if isinstance(p, DTensor):
            inner[p._local_tensor] = {k: v._local_tensor if isinstance(v, DTensor) else v for k, v in kept.items()} if kept else None
        else:
            inner[p] = kept
        if not inner[p._local_tensor if isinstance(p, DTensor) else p] and p.grad is not None:
            return False                                        # the first step makes the state
    return func([p._local_tensor if isinstance(p, DTensor) else p for p in params], {k: v for k, v in inner.items() if v}, **kwargs)


@rule("_fused_norm")
def fused_norm(name, func, args, kwargs):
    """The 2-norm of tensors on any meshes, as a number."""
    from .._collectives import all_reduce
    total = 0.0
    by_group = {}
    for x in args[0]:
        if not isinstance(x, DTensor):
            total += float(x.detach().double().square().sum())
            continue
        x = x.redistribute(placements=_gradient_placements(x._placements))
        own = x._local_tensor.detach().double().square().sum()
        groups = tuple(x._mesh._groups[m] for m, p in enumerate(x._placements) if isinstance(p, Shard))
        by_group[groups] = by_group.get(groups, 0.0) + own
    for groups, own in by_group.items():
        for group in groups:
            all_reduce(own, group=group)
        total += own.item()
    return total ** 0.5


@rule("_fused_scale")
def fused_scale(name, func, args, kwargs):
    return func([x._local_tensor if isinstance(x, DTensor) else x for x in args[0]], *args[1:], **kwargs)
