"""Attention over sequences that are spread over ranks: keys and values go round in a ring, no rank ever has all of them.

Each rank keeps its queries and, block after block, the running maximum, sum and weighted values of the softmax; blocks of the future are
skipped where attention is causal. Backward sends the blocks round again, with their gradients beside them.
Sources: Liu, Zaharia, Abbeel, "Ring Attention with Blockwise Transformers for Near-Infinite Context", 2023; Milakov, Gimelshein, "Online
normalizer calculation for softmax", 2018; Brandon et al., "Striped Attention", 2023 (even loads).
"""
from __future__ import annotations

import contextlib
import math

from .... import tensor as _t
from ....autograd import Function
from ....errors import DistError, ShapeError, TensorTypeError, TensorValueError
from ....nn import functional
from ....overrides import TorchFunctionMode
from ....tensor import Tensor
from ..._collectives import all_gather_into_tensor
from ..._group import member
from ..._p2p import irecv, isend
from .._dtensor import this_mesh

__all__ = ["context_parallel", "context_parallel_unshard", "ring_attention"]


def _places(rank, ranks, rows, even):
    """Return the positions of a rank's rows in the whole sequence, as (first, last + 1) of one or two runs."""
    if not even:
        return [(rank * rows, (rank + 1) * rows)]
    half, last = rows // 2, 2 * ranks - 1 - rank
    return [(rank * half, (rank + 1) * half), (last * half, (last + 1) * half)]


def _positions(runs):
    return _t.cat([_t.arange(a, b) for a, b in runs])


class _Ring:
    """The messages of one pass round the ring."""

    def __init__(self, group):
        self.group, self.rank, self.ranks = group, group.rank(), group.size()
        self.next, self.before = (self.rank + 1) % self.ranks, (self.rank - 1) % self.ranks

    def send_on(self, tensors):
        """Start sending tensors to the next rank and receiving those of the one before; returns (those, a function that waits)."""
        got = [_t.empty_like(t) for t in tensors]
        works = [irecv(g, group=self.group, group_src=self.before, tag=i) for i, g in enumerate(got)]
        works += [isend(t, group=self.group, group_dst=self.next, tag=i) for i, t in enumerate(tensors)]

        def wait():
            for work in works:
                work.wait()
        return got, wait


class _Blocks:
    """The arithmetic of one rank's queries against one block of keys. Shapes: (..., groups of heads, heads, rows, size)."""

    def __init__(self, q, scale, causal, mine):
        self.q, self.scale, self.causal, self.mine = q, scale, causal, mine

    def skipped(self, theirs):
        return self.causal and min(a for a, _ in theirs) >= max(b for _, b in self.mine)

    def scores(self, k, theirs):
        s = self.q @ k.transpose(-2, -1) * self.scale
        if self.causal and max(b for _, b in theirs) - 1 > min(a for a, _ in self.mine):
            s = s.masked_fill(_positions(theirs)[None, :] > _positions(self.mine)[:, None], float("-inf"))
        return s


class _RingAttention(Function):
    """Forward and backward of attention over a ring."""

    @staticmethod
    def forward(ctx, q, k, v, group, causal, scale, even):
        ring = _Ring(group)
        wide = _t.float64 if q.dtype is _t.float64 else _t.float32
        places = [_places(r, ring.ranks, q.shape[-2], even) for r in range(ring.ranks)]
        blocks = _Blocks(q.to(wide), scale, causal, places[ring.rank])
        top = _t.full((*q.shape[:-1], 1), float("-inf"), dtype=wide)
        norm, out = _t.zeros_like(top), _t.zeros(*q.shape[:-1], v.shape[-1], dtype=wide)
        held = [k.contiguous(), v.contiguous()]
        for step in range(ring.ranks):
            ahead, wait = ring.send_on(held) if step + 1 < ring.ranks else (None, None)
            theirs = places[(ring.rank - step) % ring.ranks]
            if not blocks.skipped(theirs):
                s = blocks.scores(held[0].to(wide), theirs)
                higher = _t.maximum(top, s.amax(-1, keepdim=True))
                base = higher.masked_fill(higher == float("-inf"), 0.0)               # rows that have seen nothing yet
                old, p = (top - base).exp(), (s - base).exp()
                norm = norm * old + p.sum(-1, keepdim=True)
                out = out * old + p @ held[1].to(wide)
                top = higher
            if wait is not None:
                wait()
                held = ahead
        out = out / norm
        ctx.save_for_backward(q, k, v, out, top + norm.log())
        ctx.group, ctx.causal, ctx.scale, ctx.places, ctx.wide = group, causal, scale, places, wide
        return out.to(q.dtype)

    @staticmethod
    def backward(ctx, grad):
        q, k, v, out, lse = ctx.saved_tensors
        ring, wide = _Ring(ctx.group), ctx.wide
        blocks = _Blocks(q.to(wide), ctx.scale, ctx.causal, ctx.places[ring.rank])
        g = grad.to(wide)
        delta = (g * out).sum(-1, keepdim=True)
        dq = _t.zeros_like(blocks.q)
        held = [k.contiguous(), v.contiguous()]
        sums = [_t.zeros_like(t, dtype=wide) for t in held]               # travel with their block, and are home after the last step
        for step in range(ring.ranks):
            last = step + 1 == ring.ranks
            ahead, wait = ring.send_on(held) if not last else (None, None)
            theirs = ctx.places[(ring.rank - step) % ring.ranks]
            if not blocks.skipped(theirs):
                bk, bv = (t.to(wide) for t in held)
                p = (blocks.scores(bk, theirs) - lse).exp()
                ds = p * (g @ bv.transpose(-2, -1) - delta) * ctx.scale
                dq += ds @ bk
                sums[0] += _to_heads(ds.transpose(-2, -1) @ blocks.q, bk)
                sums[1] += _to_heads(p.transpose(-2, -1) @ g, bv)
            if wait is not None:
                wait()
                held = ahead
            if ring.ranks > 1:
                moved, arrived = ring.send_on(sums)
                arrived()
                sums = moved
        return dq.to(q.dtype), sums[0].to(k.dtype), sums[1].to(v.dtype), None, None, None, None


def _to_heads(x, like):
    """Add up over the query heads that share a key."""
    return x.sum(-3, keepdim=True) if x.shape[-3] != like.shape[-3] else x


def ring_attention(query, key, value, group=None, *, is_causal=False, scale=None, enable_gqa=False, load_balanced=False):
    """Return attention of this rank's queries over the keys and values of all ranks; all members call it.

    Args:
        query: (..., heads, L, E), this rank's rows of the sequence; L is the same on all ranks.
        key, value: (..., heads, L, E) and (..., heads, L, Ev), this rank's rows.
        group: None: the default group. Rank i has the i-th piece of the sequence.
        is_causal: a position sees those up to itself.
        scale: 1 / sqrt(E) if absent.
        enable_gqa: groups of query heads share key and value heads.
        load_balanced: rank i has the pieces i and 2 * ranks - 1 - i of twice as many, so that causal attention is equal work for all.
    Returns:
        (..., heads, L, Ev), equal to `nn.functional.scaled_dot_product_attention` of the whole sequence at this rank's rows.
    """
    op = "ring_attention"
    pg = member(op, group)
    if pg is None:
        raise DistError(f"{op}: group: this rank is no member", op=op)
    if query.dim() < 2 or key.shape[-2] != query.shape[-2] or value.shape[-2] != key.shape[-2] or key.shape[-1] != query.shape[-1]:
        raise ShapeError(f"{op}: query, key and value must have the same number of rows, query and key the same size, got {tuple(query.shape)}, "
                         f"{tuple(key.shape)} and {tuple(value.shape)}", op=op)
    if load_balanced and query.shape[-2] % 2:
        raise ShapeError(f"{op}: load_balanced: needs an even number of rows, got {query.shape[-2]}", op=op)
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    heads = query.shape[-3] if query.dim() > 2 else 1
    kept = key.shape[-3] if key.dim() > 2 else 1
    if heads != kept and (not enable_gqa or heads % kept):
        raise ShapeError(f"{op}: query has {heads} heads, key {kept}; groups need enable_gqa and a multiple", op=op)
    lead = query.shape[:-3] if query.dim() > 2 else ()
    q = query.reshape(*lead, kept, heads // kept, *query.shape[-2:])
    k, v = (t.reshape(*lead, kept, 1, *t.shape[-2:]) for t in (key, value))
    out = _RingAttention.apply(q, k, v, pg, bool(is_causal), float(scale), bool(load_balanced))
    return out.reshape(*query.shape[:-1], value.shape[-1])


# ---- context parallel -----------------------------------------------------------------------------------------------

class _Mode(TorchFunctionMode):
    """Sends calls of scaled_dot_product_attention round the ring."""

    def __init__(self, group, even):
        self.group, self.even = group, even
        attend = functional.scaled_dot_product_attention
        self.attend = {attend, getattr(attend, "__wrapped__", attend)}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in self.attend:
            return func(*args, **kwargs)
        return self.ring(*args, **kwargs)

    def ring(self, query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
        if attn_mask is not None or dropout_p:
            raise TensorValueError("context_parallel: scaled_dot_product_attention: attn_mask and dropout_p are not supported; use is_causal", op="context_parallel")
        return ring_attention(query, key, value, self.group, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa, load_balanced=self.even)


def _piece(x, dim, rank, ranks, even):
    """Return a rank's part of a sequence."""
    rows = x.shape[dim] // ranks
    return _t.cat([x.narrow(dim, a, b - a) for a, b in _places(rank, ranks, rows, even)], dim)


@contextlib.contextmanager
def context_parallel(mesh, *, buffers=None, buffer_seq_dims=None, no_restore_buffers=None):
    """Within this context the buffers are this rank's pieces of their sequences, and attention goes over the pieces of all ranks.

    Args:
        mesh: of one dimension.
        buffers: tensors that have a sequence dimension (inputs, labels, tables of positions), cut in place.
        buffer_seq_dims: that dimension of each. Lengths are multiples of the number of ranks; where all are multiples of twice that, each
            rank gets a piece from the front and one from the back, which makes causal attention equal work.
        no_restore_buffers: set of buffers that need not be whole again afterwards.

    Calls of `nn.functional.scaled_dot_product_attention` take no mask and no dropout here. Gradients of parameters are those of this rank's
    positions: add them up over the mesh (DistributedDataParallel, fully_shard).

    Example:
        >>> with context_parallel(mesh, buffers=[x, y], buffer_seq_dims=[1, 1]):                       # doctest: +SKIP
        ...     loss_function(model(x), y).backward()
    """
    op = "context_parallel"
    mesh = this_mesh(op, mesh)
    if mesh.ndim != 1:
        raise TensorValueError(f"{op}: mesh: expected one dimension, got {mesh}", op=op)
    buffers, dims = list(buffers or ()), list(buffer_seq_dims or ())
    if len(buffers) != len(dims):
        raise TensorValueError(f"{op}: `seq_dims` must have the same number of elements as `buffers`, got {len(dims)} and {len(buffers)}", op=op)
    kept = {id(b) for b in no_restore_buffers or ()}
    if kept - {id(b) for b in buffers}:
        raise TensorValueError(f"{op}: `no_restore_buffers` must be a subset of `buffers`.", op=op)
    group, ranks = mesh._groups[0], mesh.size()
    for b, d in zip(buffers, dims):
        if not isinstance(b, Tensor) or b.requires_grad and not b.is_leaf:
            raise TensorTypeError(f"{op}: buffers: expected leaf tensors, got {type(b).__name__}", op=op)
        if b.shape[d] % ranks:
            raise ShapeError(f"{op}: dimension {d} of a buffer of shape {tuple(b.shape)} is not a multiple of {ranks} ranks", op=op)
    even = bool(buffers) and all(b.shape[d] % (2 * ranks) == 0 for b, d in zip(buffers, dims))
    before = [b.data for b in buffers]
    state["even"].append(even)
    for b, d in zip(buffers, dims):
        b.data = _piece(b.data, d, group.rank(), ranks, even)
    try:
        with _Mode(group, even):
            yield
    finally:
        state["even"].pop()
        for b, whole in zip(buffers, before):
            if id(b) not in kept:
                b.data = whole


state = {"even": []}


def context_parallel_unshard(mesh, buffers, seq_dims):
    """Return the whole sequences, in their order, of this rank's pieces as `context_parallel` makes them; no gradients.

    Args:
        buffers: tensors: outputs, or buffers inside the context. seq_dims: the sequence dimension of each.
    """
    mesh = this_mesh("context_parallel_unshard", mesh)
    group, ranks, out = mesh._groups[0], mesh.size(), []
    for b, d in zip(buffers, seq_dims):
        d %= b.dim()
        rows = b.shape[d]
        even = state["even"][-1] if state["even"] else rows % 2 == 0
        mine = b.detach().movedim(d, 0).contiguous()
        every = _t.empty(ranks, *mine.shape, dtype=b.dtype)
        all_gather_into_tensor(every, mine, group)
        place = _t.cat([_positions(_places(r, ranks, rows, even)) for r in range(ranks)])
        out.append(every.flatten(0, 1)[place.argsort()].movedim(0, d).contiguous())
    return out
