"""Rules of vmap for products, convolutions, pools, norms, attention and losses. See `_dispatch`."""
import string

from .. import tensor as _t
from ..nn import functional as _F
from ..tensor import Tensor
from ._batched import batched, is_at, value_at
from ._dispatch import RULES, lift, rule, wrap


def _value(x, level):
    return x._value if is_at(x, level) else x


# ---- products ------------------------------------------------------------------------------------------
@rule("matmul __matmul__ __rmatmul__ mm bmm mv dot vdot")
def matmul(level, func, a, b, **kwargs):
    if "other" in kwargs or "mat2" in kwargs or "vec" in kwargs:
        b = next(iter(kwargs.values()))
    name = getattr(func, "__name__", "")
    if name == "__rmatmul__":
        a, b = b, a
    if name == "vdot":
        a = a.conj()
    _check_ranks(name, a, b)
    ra, rb = a.dim(), b.dim()
    if rb <= 2 and not is_at(b, level):                          # (batch, ..., n) @ (n, m)
        return batched(_t.matmul(a._value, b), level)
    if ra == 2 and rb == 1 and not is_at(a, level):
        return batched(_t.matmul(b._value, a.mT), level)
    va = lift(level, a.unsqueeze(0) if ra == 1 else a, max(rb, 2))
    vb = lift(level, b.unsqueeze(1) if rb == 1 else b, max(ra, 2))
    got = _t.matmul(va, vb)
    if rb == 1:
        got = got.squeeze(-1)
    if ra == 1:
        got = got.squeeze(-1 if rb == 1 else -2)
    return batched(got, level)


_RANKS = {"mm": (2, 2), "bmm": (3, 3), "mv": (2, 1), "dot": (1, 1), "vdot": (1, 1)}


def _check_ranks(name, a, b):
    wanted = _RANKS.get(name)
    if wanted and (a.dim(), b.dim()) != wanted:
        raise RuntimeError(f"{name}: expected tensors of {wanted[0]} and {wanted[1]} dimensions, got {a.dim()} and {b.dim()}")


@rule("addmm addmv addbmm baddbmm addr addmm_ addmv_ baddbmm_ addr_")
def add_product(level, func, input, a, b, *, beta=1, alpha=1):
    name = func.__name__
    product = a.unsqueeze(-1) * b.unsqueeze(-2) if "addr" in name else _t.matmul(a, b)
    if name == "addbmm":
        product = product.sum(0)
    got = product if alpha == 1 else product * alpha
    got = got if beta == 0 else got + (input if beta == 1 else input * beta)
    return input.copy_(got) if name.endswith("_") else got


@rule("outer ger")
def outer(level, func, a, b):
    return a.unsqueeze(-1) * b.unsqueeze(-2)


@rule("inner")
def inner(level, func, a, b):
    if a.dim() == 0 or b.dim() == 0:
        return a * b
    return _t.tensordot(a, b, dims=([-1], [-1]))


@rule("linear")
def linear(level, func, input, weight, bias=None):
    if not is_at(weight, level) and not is_at(bias, level):
        return batched(func(input._value, weight, bias), level)
    if is_at(weight, level) and weight.dim() == 2 and input.dim() >= 1:
        x = input._value if is_at(input, level) else input
        if is_at(input, level):
            flat = x.reshape(level.size, -1, x.shape[-1])
        else:
            flat = x.reshape(1, -1, x.shape[-1]).expand(level.size, -1, -1)
        w = weight._value.transpose(1, 2)
        if bias is None:
            got = _t.bmm(flat, w)
        elif is_at(bias, level):
            got = _t.baddbmm(bias._value.unsqueeze(1), flat, w)
        else:
            got = _t.baddbmm(bias, flat, w)
        return batched(got.reshape((level.size,) + tuple(input.shape[:-1]) + (weight.shape[0],)), level)
    got = _t.matmul(input, weight.mT if weight.dim() == 2 else weight)
    return got if bias is None else got + bias


@rule("bilinear")
def bilinear(level, func, input1, input2, weight, bias=None):
    got = _t.einsum("...i,oij,...j->...o", input1, weight, input2)
    return got if bias is None else got + bias


@rule("einsum")
def einsum(level, func, equation, *operands):
    if not isinstance(equation, str):                            # operands and lists of numbers in turns
        given = (equation, *operands)
        text = ["".join("..." if i is Ellipsis else string.ascii_letters[i] for i in part) for part in given[1::2]]
        operands = given[0:len(given) - len(given) % 2:2]
        equation = ",".join(text) + ("->" + "".join("..." if i is Ellipsis else string.ascii_letters[i] for i in given[-1]) if len(given) % 2 else "")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    equation = equation.replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        right = ("..." if "..." in left else "") + "".join(letters)
    free = next(c for c in string.ascii_letters if c not in equation)
    terms = [free + t if is_at(x, level) else t for t, x in zip(terms, operands)]
    return batched(func(",".join(terms) + "->" + free + right, *[_value(x, level) for x in operands]), level)


@rule("tensordot")
def tensordot(level, func, a, b, dims=2, **kwargs):
    if isinstance(dims, int):
        left, right = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        left, right = ([d] if isinstance(d, int) else list(d) for d in dims)
    left, right = [d % a.dim() for d in left], [d % b.dim() for d in right]
    letters = iter(string.ascii_letters)
    ta = [next(letters) for _ in range(a.dim())]
    tb = [next(letters) for _ in range(b.dim())]
    for i, j in zip(left, right):
        tb[j] = ta[i]
    rest = [c for i, c in enumerate(ta) if i not in left] + [c for j, c in enumerate(tb) if j not in right]
    return _t.einsum("".join(ta) + "," + "".join(tb) + "->" + "".join(rest), a, b)


@rule("cross linalg_cross")
def cross(level, func, a, b, dim=-1):
    rank = max(a.dim(), b.dim())
    d = rank - 1 if dim is None else dim % rank
    a, b = a.movedim(d, -1), b.movedim(d, -1)
    (a0, a1, a2), (b0, b1, b2) = a.unbind(-1), b.unbind(-1)
    return _t.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1).movedim(-1, d)


@rule("cdist")
def cdist(level, func, x1, x2, p=2.0, *args, **kwargs):
    rank = max(x1.dim(), x2.dim())
    return batched(func(lift(level, x1, rank), lift(level, x2, rank), p, *args, **kwargs), level)


# ---- convolutions and pools ----------------------------------------------------------------------------
def _conv_call(level, func, input, weight, bias, places, options, transposed):
    """A convolution whose input, weight and bias may be batched: the batch goes into the samples, or into the groups."""
    groups = options.get("groups", 1)
    single = input.dim() == places + 1                            # one sample, without a dimension for it
    if single:
        input = input.unsqueeze(0)
    if not is_at(weight, level):
        if is_at(input, level):
            x = input._value
            inner_bias = None if is_at(bias, level) else bias
            got = func(x.flatten(0, 1), weight, inner_bias, **options).unflatten(0, (level.size, x.shape[1]))
        else:
            got, inner_bias = func(input, weight, None, **options).unsqueeze(0).expand(level.size, *([-1] * (places + 2))), None
    else:
        # groups by example: (samples, batch * channels) with (batch * out, in per group)
        x, w = value_at(input, level), weight._value
        x = x.movedim(0, 1).flatten(1, 2)
        got = func(x, w.flatten(0, 1), None, **{**options, "groups": groups * level.size})
        got = got.unflatten(1, (level.size, -1)).movedim(1, 0)
        inner_bias = None
    got = batched(got, level)
    if bias is not None and inner_bias is None:
        got = got + bias.unflatten(0, (-1,) + (1,) * places)
    return got.squeeze(0) if single else got


def _conv(places, transposed):
    names = ("stride", "padding", "output_padding", "groups", "dilation") if transposed else ("stride", "padding", "dilation", "groups")

    def conv(level, func, input, weight, bias=None, *args, **kwargs):
        return _conv_call(level, func, input, weight, bias, places, {**dict(zip(names, args)), **kwargs}, transposed)
    return conv


for _n in (1, 2, 3):
    RULES[f"conv{_n}d"] = _conv(_n, False)
    RULES[f"conv_transpose{_n}d"] = _conv(_n, True)


def _by_sample(places):
    """A rule for functions of (samples, channels, *places), or one sample: the batch joins the samples."""
    def fold(level, func, input, *args, **kwargs):
        v = value_at(input, level)
        args = [value_at(a, level) if isinstance(a, Tensor) else a for a in args]
        if input.dim() == places + 1:
            return wrap(level, func(v, *args, **kwargs))
        args = [a.flatten(0, 1) if isinstance(a, Tensor) and a.dim() == v.dim() else a for a in args]
        got = func(v.flatten(0, 1), *args, **kwargs)
        back = lambda g: batched(g.unflatten(0, (level.size, input.shape[0])), level)  # noqa: E731
        return back(got) if isinstance(got, Tensor) else type(got)(back(g) for g in got)
    return fold


for _n in (1, 2, 3):
    for _name in ("max_pool{}d", "avg_pool{}d", "adaptive_avg_pool{}d", "adaptive_max_pool{}d", "max_pool{}d_with_indices", "adaptive_max_pool{}d_with_indices",
                  "lp_pool{}d", "max_unpool{}d"):
        RULES[_name.format(_n)] = _by_sample(_n)
for _name in ("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "im2col", "col2im", "unfold_2d", "fold"):
    RULES[_name] = _by_sample(1 if _name in ("col2im", "fold") else 2)
del _n, _name


@rule("unfold")
def unfold(level, func, input, *args, **kwargs):
    """Tensor.unfold(dimension, size, step), or nn.functional.unfold(input, kernel_size, ...)."""
    if func is _t.Tensor.unfold:
        from ._dispatch import dim_at
        dim = kwargs.pop("dimension", None)
        if dim is None:
            dim, args = args[0], args[1:]
        if not input.dim():
            return batched(func(input._value.unsqueeze(1), 1, *args, **kwargs).squeeze(1), level)
        return batched(func(input._value, dim_at(dim, input.dim()), *args, **kwargs), level)
    return _by_sample(2)(level, func, input, *args, **kwargs)


@rule("interpolate upsample upsample_nearest upsample_bilinear instance_norm local_response_norm")
def image(level, func, input, *args, **kwargs):
    if any(is_at(a, level) for a in (*args, *kwargs.values())):
        from ._dispatch import looped
        return looped(level, func.__name__, func, (input, *args), kwargs)
    v = input._value
    return batched(func(v.flatten(0, 1), *args, **kwargs).unflatten(0, (level.size, input.shape[0])), level)


@rule("grid_sample")
def grid_sample(level, func, input, grid, *args, **kwargs):
    x, g = value_at(input, level), value_at(grid, level)
    return batched(func(x.flatten(0, 1), g.flatten(0, 1), *args, **kwargs).unflatten(0, (level.size, input.shape[0])), level)


@rule("pad constant_pad_nd")
def pad(level, func, input, pad, mode="constant", value=None):
    if func.__name__ == "constant_pad_nd":
        return batched(func(input._value, pad, 0 if mode == "constant" else mode), level)
    if mode == "constant":
        return batched(func(input._value, pad, mode, value), level)
    if input.dim() == len(pad) // 2 + 1:
        return batched(func(input._value, pad, mode, value), level)
    return batched(func(input._value.flatten(0, 1), pad, mode, value).unflatten(0, (level.size, input.shape[0])), level)


# ---- norms ---------------------------------------------------------------------------------------------
@rule("layer_norm rms_norm")
def last_dims_norm(level, func, input, normalized_shape, weight=None, *rest, **kwargs):
    """Norms over the last dimensions."""
    bias = kwargs.pop("bias", None)
    weight = kwargs.pop("weight", weight)
    if func.__name__ == "layer_norm":
        if rest:
            bias, rest = rest[0], rest[1:]
        eps = kwargs.pop("eps", rest[0] if rest else 1e-5)
        if not is_at(weight, level) and not is_at(bias, level):
            return batched(func(input._value, normalized_shape, weight, bias, eps), level)
        got = func(input, normalized_shape, None, None, eps)
    else:
        eps = kwargs.pop("eps", rest[0] if rest else None)
        if not is_at(weight, level):
            return batched(func(input._value, normalized_shape, weight, eps), level)
        got = func(input, normalized_shape, None, eps)
    if weight is not None:
        got = got * weight
    return got if bias is None else got + bias


def _channels(x, like):
    """A vector of channels beside (samples, channels, ...)."""
    return x.unflatten(0, (-1,) + (1,) * (like.dim() - 2)) if like.dim() > 2 else x


@rule("group_norm")
def group_norm(level, func, input, num_groups, weight=None, bias=None, eps=1e-5):
    if is_at(input, level):
        v = input._value
        got = batched(func(v.flatten(0, 1), num_groups, None, None, eps).unflatten(0, (level.size, input.shape[0])), level)
    else:
        got = func(input, num_groups, None, None, eps)
    if weight is not None:
        got = got * _channels(weight, input)
    return got if bias is None else got + _channels(bias, input)


@rule("batch_norm")
def batch_norm(level, func, input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5, *rest):
    if func is not _F.batch_norm and rest:                        # torch.batch_norm(input, weight, bias, mean, var, training, momentum, eps, cudnn)
        running_mean, running_var, weight, bias = weight, bias, running_mean, running_var
    if training:
        dims = [0] + list(range(2, input.dim()))
        if running_mean is not None:
            for name, stat in (("running_mean", running_mean), ("running_var", running_var)):
                if is_at(input, level) and not is_at(stat, level):
                    raise RuntimeError(f"Batch norm got a batched tensor as input while the running_mean or running_var, which will be updated in place, "
                                       f"were not batched.\nIf you are using a module and do not need eval mode, please set `track_running_stats` to be "
                                       f"False.\nIf you are using a prebuilt module and do not need eval mode, please see the functorch website for "
                                       f"resources on how to patch your module to work with vmap ({name})")
        var, mean = _t.var_mean(input, dims, correction=0)
        if running_mean is not None:
            count = input.numel() // input.shape[1]
            with _t.no_grad():
                running_mean.mul_(1 - momentum).add_(mean.detach() * momentum)
                running_var.mul_(1 - momentum).add_(var.detach() * (momentum * count / (count - 1)))
    else:
        mean, var = running_mean.detach(), running_var.detach()
    got = (input - _channels(mean, input)) * _channels((var + eps).rsqrt(), input)
    if weight is not None:
        got = got * _channels(weight, input)
    return got if bias is None else got + _channels(bias, input)


# ---- attention -----------------------------------------------------------------------------------------
@rule("scaled_dot_product_attention")
def attention(level, func, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, **kwargs):
    if dropout_p:
        from ._rules_random import _check
        _check(level)
    rank = max(query.dim(), key.dim(), value.dim())
    q, k, v = (lift(level, x, rank) for x in (query, key, value))
    sizes = _t.broadcast_shapes(q.shape[:-2], k.shape[:-2], v.shape[:-2], (level.size,) + (1,) * (rank - 2))
    q, k, v = (x.expand(tuple(sizes) + tuple(x.shape[-2:])) for x in (q, k, v))
    mask = lift(level, attn_mask, rank) if attn_mask is not None else None
    return batched(func(q, k, v, mask, dropout_p, is_causal, **kwargs), level)


# ---- losses --------------------------------------------------------------------------------------------
def _reduced(per, reduction):
    return per.mean() if reduction == "mean" else per.sum() if reduction == "sum" else per


@rule("cross_entropy nll_loss")
def class_loss(level, func, input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0):
    """Losses of class scores; classes are in dimension 1, or 0 of a single sample."""
    if size_average is not None or reduce is not None:
        from ..nn._reduction import legacy_get_string
        reduction = legacy_get_string(size_average, reduce)
    single = input.dim() == 1
    if is_at(weight, level):
        if label_smoothing or target.dim() == input.dim():
            from ._dispatch import looped
            return looped(level, func.__name__, func, (input, target), dict(weight=weight, ignore_index=ignore_index, reduction=reduction))
        kept = _kept(target, weight, ignore_index, input.dtype)
        per = func(input, target, ignore_index=ignore_index, reduction="none") * kept
        return per.sum() / kept.sum() if reduction == "mean" else _reduced(per, reduction)
    by_class = target.dim() < input.dim()
    x, y = value_at(input, level), value_at(target, level)
    options = dict(weight=weight, ignore_index=ignore_index)
    if func is _F.cross_entropy:
        options["label_smoothing"] = label_smoothing
    if single:
        per = batched(func(x, y, reduction="none", **options), level)
        # the mean over one sample divides by its weight, and by nothing (not a number) where it is ignored
        if reduction != "mean" or not by_class:
            return per
        return per / _kept(target, weight, ignore_index, per.dtype)
    per = func(x.flatten(0, 1), y.flatten(0, 1), reduction="none", **options)
    per = batched(per.unflatten(0, (level.size, input.shape[0])), level)
    if reduction != "mean":
        return _reduced(per, reduction)
    if not by_class:
        return per.sum() / (input.numel() // input.shape[1])
    return per.sum() / _kept(target, weight, ignore_index, per.dtype).sum()


def _kept(target, weight, ignore_index, dtype):
    """The weight of each target; 0 where it is ignored."""
    kept = target != ignore_index
    if weight is None:
        return kept.to(dtype)
    return _t.where(kept, weight[_t.where(kept, target, 0)], 0).to(dtype)
