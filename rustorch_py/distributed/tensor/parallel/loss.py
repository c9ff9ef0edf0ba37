"""Cross entropy of logits whose classes are spread over ranks: no rank ever has all of them."""
from __future__ import annotations

import contextlib

from .... import tensor as _t
from ....errors import UnsupportedOpError
from ..._collectives import all_reduce
from ..._reduce_op import ReduceOp
from .._dtensor import wrap
from .._redistribute import redistribute_local
from ..placement_types import Partial, Replicate, Shard, part

__all__ = ["loss_parallel"]

_state = {"on": False}


@contextlib.contextmanager
def loss_parallel():
    """Within this context, cross_entropy of DTensors that are cut along the classes sends sums instead of gathering the logits.

    Example:
        >>> with loss_parallel():                                                           # doctest: +SKIP
        ...     nn.functional.cross_entropy(logits, target).backward()

    Source: Shoeybi et al., "Megatron-LM", 2019, section 3.
    """
    before, _state["on"] = _state["on"], True
    try:
        yield
    finally:
        _state["on"] = before


def cut_classes(input, dim):
    """Tell whether the logits are cut along the classes and `loss_parallel` is on."""
    return _state["on"] and any(p == Shard(dim) for p in input._placements)


def parallel_cross_entropy(input, target, weight, reduction, ignore, smoothing, dim):
    """Return the cross entropy of logits cut along dimension ``dim``; the target lies like the logits elsewhere, or is repeated."""
    op = "cross_entropy"
    if weight is not None or smoothing or target.is_floating_point():
        raise UnsupportedOpError(f"{op}: loss_parallel: class weights, label smoothing and class probabilities are not supported", op=op)
    mesh, where = input._mesh, input._placements
    groups = [mesh._groups[m] for m, p in enumerate(where) if p == Shard(dim)]
    # The samples' own placements: without classes a cut of a later dimension is one further in front.
    rest = tuple(Replicate() if p == Shard(dim) else Shard(p.dim - (p.dim > dim)) if isinstance(p, Shard) else p for p in where)
    if any(isinstance(p, Partial) for p in rest):
        raise UnsupportedOpError(f"{op}: loss_parallel: logits must not be partial, got {where}", op=op)
    x = input._local_tensor
    at = redistribute_local(target._local_tensor, mesh, target.shape, target._placements, rest)
    (sizes, offsets) = part(mesh, where, input.shape)
    first, count = offsets[dim], sizes[dim]

    with _t.no_grad():
        top = x.detach().amax(dim) if count else _t.full(at.shape, float("-inf"), dtype=x.dtype)
        for group in groups:
            all_reduce(top, ReduceOp.MAX, group)
    scaled = x - top.unsqueeze(dim)
    counted = at != ignore
    mine = counted & (at >= first) & (at < first + count)
    picked = scaled.gather(dim, _t.where(mine, at - first, 0).unsqueeze(dim)).squeeze(dim) * mine.to(x.dtype) if count else scaled.sum(dim)
    terms = _t.stack([scaled.exp().sum(dim), picked])
    shape = (2, *target.shape)
    wide = tuple(Shard(p.dim + 1) if isinstance(p, Shard) else p for p in rest)
    have = tuple(Partial() if p == Shard(dim) else q for p, q in zip(where, wide))
    both = redistribute_local(terms, mesh, shape, have, wide)
    loss = wrap((both[0].log() - both[1]) * counted.to(x.dtype), mesh, rest, tuple(target.shape))
    if reduction == 0:
        return loss
    added = loss.sum()
    if reduction == 1:
        added = added / wrap(counted.to(x.dtype), mesh, rest, tuple(target.shape)).sum()
    return added.redistribute(placements=[Replicate()] * mesh.ndim)
