"""How layers and linear algebra treat the placements of DTensors: convolutions, pools, norms over batches and groups, factorizations.

Samples may be cut, of convolutions channels too, of stacks of matrices the stack; what neighbours in space or in a matrix need is on one rank.
"""
from __future__ import annotations

from ... import tensor as _t
from ._dispatch import REPLICATE, SUM, as_operands, by_letters, operands_of, rule, run
from ._rules import _bound
from .placement_types import Shard


def _grown(lead):
    """Return the function of a local result that tells the whole one's shape: its leading dimensions are these."""
    return lambda got: tuple(lead) + tuple(got.shape[len(lead):])


def _fills(n, mesh):
    """Tell whether a dimension of n elements leaves every rank some: layers refuse to have no channels."""
    for ranks in map(mesh.size, range(mesh.ndim)):
        n -= (ranks - 1) * -(-n // ranks)
    return n > 0


def _leading(name, func, args, kwargs, count, others):
    """Cut any of the first `count` dimensions of the first operand, and with `others` those of the others too, if they have the same; the rest is whole."""
    operands, rebuild = operands_of(name, args, kwargs)
    lead = tuple(operands[0].shape[:count])
    if others and any(tuple(x.shape[:count]) != lead for x in operands):
        lead = ()
    letters = list(range(len(lead)))
    parts = [(letters if i == 0 or others else []) + [None] * (x.dim() - (len(lead) if i == 0 or others else 0)) for i, x in enumerate(operands)]

    def local(tensors, wanted, placed):
        a, k = rebuild(tensors)
        return func(*a, **k)
    return run(name, operands, by_letters(parts, letters, only=[d for d in letters if _fills(lead[d], operands[0]._mesh)]), local, _grown(lead))


# ---- convolutions and pools --------------------------------------------------------------------------------------
@rule("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d")
def convolution(name, func, args, kwargs):
    """x (n, i, ...), weight (o, i, ...), of transposed ones (i, o, ...), bias (o): samples, o, and i, which gives terms of a sum; with groups samples."""
    turned, space = "transpose" in name, int(name[-2])
    x, weight, bias = _bound((None, *args), kwargs, "input", "weight", "bias")
    groups = kwargs.get("groups", args[6] if len(args) > 6 else 1)
    operands = as_operands(name, [t for t in (x, weight, bias) if t is not None])
    x, weight = operands[:2]
    samples = ["n"] if x.dim() > space + 1 else []
    letters = [samples + ["i"] + [None] * space, (["i", "o"] if turned else ["o", "i"]) + [None] * space]
    sizes = dict(zip(letters[0] + letters[1], tuple(x.shape) + tuple(weight.shape)))
    free = [c for c in samples + (["i", "o"] if groups == 1 else []) if _fills(sizes[c], x._mesh)]
    ways = by_letters(letters, samples + ["o"], linear=(0, 1), only=free)
    if bias is not None:
        cut = Shard(letters[1].index("o"))
        ways = [(ins + (Shard(0) if ins[1] == cut else SUM if o == SUM else REPLICATE,), o) for ins, o in ways]
    more = {key: value for key, value in kwargs.items() if key not in ("input", "weight", "bias")}
    lead = ([x.shape[0]] if samples else []) + [weight.shape[1] * groups if turned else weight.shape[0]]
    return run(name, operands, ways, lambda t, wanted, placed: func(t[0], t[1], t[2] if len(t) > 2 else None, *args[3:], **more), _grown(lead))


_POOLS = " ".join(f"{front}{how}_pool{d}d" for front in ("", "nn_") for how in ("max", "avg", "adaptive_avg", "adaptive_max") for d in (1, 2, 3))


@rule(_POOLS)
def pool(name, func, args, kwargs):
    """Samples and channels."""
    x = args[0] if args else kwargs["input"]
    return _leading(name, func, args, kwargs, max(0, x.dim() - int(name[-2])), False)


@rule("nn_interpolate nn_upsample")
def resized(name, func, args, kwargs):
    return _leading(name, func, args, kwargs, 2, False)


# ---- norms ---------------------------------------------------------------------------------------------------------
@rule("group_norm")
def group_norm(name, func, args, kwargs):
    """Samples: a group's channels are on one rank."""
    return _leading(name, func, args, kwargs, 1, False)


@rule("batch_norm")
def batch_norm(name, func, args, kwargs):
    """With running statistics any dimension may be cut, and they with the channels. Those of the batch are means over all ranks that have parts of it, so
    in training the norm is written out; its sums meet on all ranks as other terms of a sum do."""
    x, weight, bias, mean, var, training, momentum, eps = args[:8]
    given = [t for t in (x, weight, bias, mean, var) if t is not None]
    operands = as_operands(name, given)
    x = operands[0]
    if not training:
        letters = [list(range(x.dim()))] + [[1]] * (len(operands) - 1)
        places = [i for i, t in enumerate((x, weight, bias, mean, var)) if t is not None]

        def local(tensors, wanted, placed):
            five = [None] * 5
            for i, t in zip(places, tensors):
                five[i] = t
            return func(*five, False, momentum, eps)
        return run(name, operands, by_letters(letters, letters[0]), local, x.shape)
    wide = x.float() if x.element_size() == 2 else x
    dims, count = [0, *range(2, x.dim())], x.numel() // x.shape[1]
    line = [1, -1] + [1] * (x.dim() - 2)
    m = wide.mean(dims)
    centered = wide - m.view(line)
    v = (centered * centered).mean(dims)
    got = centered * (v + eps).rsqrt().view(line)
    if weight is not None:
        got = got * weight.view(line)
    if bias is not None:
        got = got + bias.view(line)
    if mean is not None:
        with _t.no_grad():
            mean.mul_(1 - momentum).add_(m.detach() * momentum)
            var.mul_(1 - momentum).add_(v.detach() * (momentum * count / (count - 1)))
    return got.to(x.dtype)


# ---- linear algebra --------------------------------------------------------------------------------------------------
@rule("linalg_cholesky linalg_cholesky_ex linalg_qr linalg_svd linalg_svdvals linalg_eigh linalg_eigvalsh linalg_eig linalg_eigvals linalg_inv linalg_inv_ex linalg_det "
      "linalg_slogdet linalg_matrix_exp linalg_lu linalg_lu_factor linalg_lu_factor_ex linalg_pinv linalg_ldl_factor linalg_ldl_factor_ex linalg_matrix_power "
      "linalg_householder_product linalg_matrix_rank linalg_cond linalg_solve linalg_solve_ex linalg_solve_triangular linalg_lu_solve linalg_ldl_solve "
      "cholesky inverse det logdet slogdet pinverse qr svd geqrf orgqr cholesky_inverse cholesky_solve triangular_solve lu_solve matrix_exp matrix_power")
def matrices(name, func, args, kwargs):
    """One matrix is whole on every rank, a stack of them may be cut."""
    x = args[0] if args else next(iter(kwargs.values()))
    return _leading(name, func, args, kwargs, max(0, x.dim() - 2), True)


@rule("linalg_lstsq linalg_tensorinv linalg_tensorsolve")
def whole_system(name, func, args, kwargs):
    return _leading(name, func, args, kwargs, 0, False)
