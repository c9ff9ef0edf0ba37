"""Moving a tensor from some placements to others: one collective a step, each with its gradient.

Note [Gradients of distributed tensors]
    A DTensor stands above autograd: the ranks' local tensors carry the history. What a rank's gradient is, follows from the placement:
    of a cut tensor, its piece of the gradient; of a repeated one, the whole gradient; of terms of a sum, again the whole gradient, as
    the derivative by each term is that by the sum. So a gather's gradient is a slice, a slice's a gather, a sum's is passed on. A
    repeated operand of an operator whose result is cut or partial gets only a share of its gradient on each rank: it passes
    through `shared`, which changes nothing forward and adds up backward (Shoeybi et al., "Megatron-LM", 2019: f and g).
"""
from __future__ import annotations

from ... import tensor as _t
from ...autograd import Function
from ...errors import AutogradError, TensorValueError
from .._collectives import all_gather, all_reduce, all_to_all, reduce_scatter
from .._reduce_op import ReduceOp
from .placement_types import Partial, Replicate, Shard, chunk, part

OPS = {"sum": ReduceOp.SUM, "avg": ReduceOp.AVG, "product": ReduceOp.PRODUCT, "max": ReduceOp.MAX, "min": ReduceOp.MIN}


def _sizes(shape, dim, total, ranks):
    """Return the shapes of the ranks' pieces along a dimension of ``total`` elements."""
    out = []
    for i in range(ranks):
        first, end = chunk(total, ranks, i)
        out.append([*shape[:dim], end - first, *shape[dim + 1:]])
    return out


def _pieces(x, dim, ranks):
    return [x.narrow(dim, a, b - a).contiguous() for a, b in (chunk(x.shape[dim], ranks, i) for i in range(ranks))]


class Gather(Function):
    """Pieces along a dimension to the whole."""

    @staticmethod
    def forward(ctx, x, dim, total, group):
        ctx.dim, ctx.group = dim, group
        parts = [_t.empty(s, dtype=x.dtype, device=x.device) for s in _sizes(list(x.shape), dim, total, group.size())]
        all_gather(parts, x.contiguous(), group)
        return _t.cat(parts, dim)

    @staticmethod
    def backward(ctx, grad):
        return Slice.apply(grad, ctx.dim, ctx.group), None, None, None


class Slice(Function):
    """The whole to this rank's piece."""

    @staticmethod
    def forward(ctx, x, dim, group):
        ctx.dim, ctx.group, ctx.total = dim, group, x.shape[dim]
        first, end = chunk(x.shape[dim], group.size(), group.rank())
        return x.narrow(dim, first, end - first).contiguous().clone()

    @staticmethod
    def backward(ctx, grad):
        return Gather.apply(grad, ctx.dim, ctx.total, ctx.group), None, None


class Reduce(Function):
    """Terms to their sum (average, ...) on every rank."""

    @staticmethod
    def forward(ctx, x, how, group):
        ctx.how, ctx.group = how, group
        out = x.contiguous().clone()
        all_reduce(out, OPS[how], group)
        return out

    @staticmethod
    def backward(ctx, grad):
        return _of_term(ctx, grad), None, None


def _of_term(ctx, grad):
    """Return the gradient of one term."""
    if ctx.how == "sum":
        return grad
    if ctx.how == "avg":
        return grad / ctx.group.size()
    raise AutogradError(f"redistribute: Partial({ctx.how}) has no gradient; only sums and averages do", op="redistribute")


class ReduceScatter(Function):
    """Terms to this rank's piece of their sum."""

    @staticmethod
    def forward(ctx, x, how, dim, group):
        ctx.how, ctx.dim, ctx.group, ctx.total = how, dim, group, x.shape[dim]
        parts = _pieces(x, dim, group.size())
        out = _t.empty(parts[group.rank()].shape, dtype=x.dtype, device=x.device)
        reduce_scatter(out, parts, OPS[how], group)
        return out

    @staticmethod
    def backward(ctx, grad):
        return _of_term(ctx, Gather.apply(grad, ctx.dim, ctx.total, ctx.group)), None, None, None


class Exchange(Function):
    """Pieces along one dimension to pieces along another."""

    @staticmethod
    def forward(ctx, x, old, total, new, group):
        ctx.old, ctx.new, ctx.group, ctx.new_total = old, new, group, x.shape[new]
        sent = _pieces(x, new, group.size())
        got = [_t.empty(s, dtype=x.dtype, device=x.device) for s in _sizes(list(sent[group.rank()].shape), old, total, group.size())]
        all_to_all(got, sent, group)
        return _t.cat(got, old)

    @staticmethod
    def backward(ctx, grad):
        return Exchange.apply(grad, ctx.new, ctx.new_total, ctx.old, ctx.group), None, None, None, None


class ToPartial(Function):
    """The whole to terms of a sum: all on the first rank, zeros elsewhere; for other combinations the whole itself is a term."""

    @staticmethod
    def forward(ctx, x, how, group):
        return _t.zeros_like(x) if how == "sum" and group.rank() else x.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None, None


class Shared(Function):
    """Nothing forward; backward, the ranks' shares of the gradient are added up. Note [Gradients of distributed tensors]"""

    @staticmethod
    def forward(ctx, x, group):
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return Reduce.apply(grad, "sum", ctx.group), None


def shared(x, group):
    """Return a repeated local tensor whose gradient is added up over a group."""
    return Shared.apply(x, group) if group.size() > 1 and x.requires_grad else x


def _cuts(placements, dim):
    """Return the mesh dimensions that cut a tensor's dimension, outermost first."""
    return [m for m, p in enumerate(placements) if isinstance(p, Shard) and p.dim == dim]


def redistribute_local(x, mesh, shape, source, target):
    """Return this rank's local tensor under other placements.

    Args:
        x: local tensor under ``source``. shape: of the whole.

    Where several mesh dimensions cut one dimension, the inner cuts are undone first and made last, as pieces of pieces only fit so.
    """
    if source == target:
        return x
    cur = list(source)
    dims = {p.dim for p in (*source, *target) if isinstance(p, Shard)}
    kept = set()                       # cuts that stay: the outermost ones that source and target share
    for d in dims:
        for a, b in zip(_cuts(source, d), _cuts(target, d)):
            if a != b:
                break
            kept.add(a)

    def total(m, d):
        return part(mesh, cur, shape, m)[0][d]

    for m in reversed(range(mesh.ndim)):
        p, want, group = cur[m], target[m], mesh._groups[m]
        if isinstance(p, Shard) and m not in kept:
            if isinstance(want, Shard) and want.dim != p.dim and _cuts(cur, p.dim)[-1] == m and all(
                    c in kept for c in _cuts(cur, want.dim)) and _cuts(target, want.dim) == [*_cuts(cur, want.dim), m]:
                x = Exchange.apply(x, p.dim, total(m, p.dim), want.dim, group)
                cur[m] = want
            else:
                x = Gather.apply(x, p.dim, total(m, p.dim), group)
                cur[m] = Replicate()
        elif isinstance(p, Partial) and p != want and not (isinstance(want, Shard) and p.reduce_op in ("sum", "avg")):
            x = Reduce.apply(x, p.reduce_op, group)
            cur[m] = Replicate()
    for m in range(mesh.ndim):
        p, want, group = cur[m], target[m], mesh._groups[m]
        if p == want:
            continue
        if isinstance(want, Shard):
            x = ReduceScatter.apply(x, p.reduce_op, want.dim, group) if isinstance(p, Partial) else Slice.apply(x, want.dim, group)
        elif isinstance(want, Partial):
            if not isinstance(p, Replicate):
                raise TensorValueError(f"redistribute: from {p!r} to {want!r} is not supported", op="redistribute")
            x = ToPartial.apply(x, want.reduce_op, group)
        cur[m] = want
    return x


def own_part(whole, mesh, placements):
    """Return this rank's part of a tensor that all ranks have, without messages and history."""
    sizes, offsets = part(mesh, placements, whole.shape)
    with _t.no_grad():
        x = whole.detach()
        for d, (at, n) in enumerate(zip(offsets, sizes)):
            if n != x.shape[d]:
                x = x.narrow(d, at, n)
        x = x.clone(memory_format=_t.contiguous_format)
        for m, p in enumerate(placements):
            if isinstance(p, Partial) and p.reduce_op == "sum" and mesh._coordinate[m]:
                x.zero_()
    return x
