"""How a tensor lies on one dimension of a mesh: cut, repeated, or as terms of a sum; and which part of it a rank has."""
from __future__ import annotations

from ...errors import TensorTypeError, TensorValueError

__all__ = ["Partial", "Placement", "Replicate", "Shard"]


class Placement:
    """Base of the three ways to lie on a mesh's dimension."""

    def is_shard(self, dim=None):
        """Tell whether the tensor is cut (along ``dim``)."""
        return isinstance(self, Shard) and (dim is None or self.dim == dim)

    def is_replicate(self):
        """Tell whether every rank has all."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op=None):
        """Tell whether the ranks' tensors are still to be combined (by ``reduce_op``)."""
        return isinstance(self, Partial) and (reduce_op is None or self.reduce_op == reduce_op)


class Shard(Placement):
    """Cut along a dimension of the tensor, in pieces as `chunk` makes them: the last ranks' may be smaller or empty.

    Args:
        dim: the tensor's dimension.
    """

    def __init__(self, dim):
        if not isinstance(dim, int) or isinstance(dim, bool):
            raise TensorTypeError(f"Shard: dim: expected an int, got {type(dim).__name__}", op="Shard")
        self.dim = dim

    def __eq__(self, other):
        return isinstance(other, Shard) and self.dim == other.dim

    def __hash__(self):
        return hash((Shard, self.dim))

    def __repr__(self):
        return f"Shard(dim={self.dim})"

    def __str__(self):
        return f"S({self.dim})"


class Replicate(Placement):
    """The whole tensor on every rank."""

    def __eq__(self, other):
        return isinstance(other, Replicate)

    def __hash__(self):
        return hash(Replicate)

    def __repr__(self):
        return "Replicate()"

    def __str__(self):
        return "R"


class Partial(Placement):
    """A term on every rank: combined, they are the tensor.

    Args:
        reduce_op: "sum", "avg", "product", "max" or "min".
    """

    def __init__(self, reduce_op="sum"):
        if reduce_op not in ("sum", "avg", "product", "max", "min"):
            raise TensorValueError(f"Partial: reduce_op: expected 'sum', 'avg', 'product', 'max' or 'min', got {reduce_op!r}", op="Partial")
        self.reduce_op = reduce_op

    def __eq__(self, other):
        return isinstance(other, Partial) and self.reduce_op == other.reduce_op

    def __hash__(self):
        return hash((Partial, self.reduce_op))

    def __repr__(self):
        return f"Partial({self.reduce_op})"

    def __str__(self):
        return f"P({self.reduce_op})"


def chunk(size, ranks, i):
    """Return (first, last + 1) of rank i's piece of a dimension."""
    step = -(-size // ranks)
    first = min(i * step, size)
    return first, min(first + step, size)


def part(mesh, placements, shape, upto=None, coordinate=None):
    """Return (sizes, offsets) of a rank's part of a tensor of a shape.

    Args:
        upto: cut along the mesh's first dimensions only.
        coordinate: the rank's place in the mesh; None: this rank's.
    """
    sizes, offsets = list(shape), [0] * len(shape)
    coordinate = mesh._coordinate if coordinate is None else coordinate
    for m, p in enumerate(placements[:upto]):
        if isinstance(p, Shard):
            first, end = chunk(sizes[p.dim], mesh.shape[m], coordinate[m])
            offsets[p.dim] += first
            sizes[p.dim] = end - first
    return sizes, offsets


def normal(op, mesh, placements, ndim):
    """Return placements as a tuple, one a mesh dimension, with dimensions counted from the front."""
    if placements is None:
        return (Replicate(),) * mesh.ndim
    placements = tuple(placements)
    if len(placements) != mesh.ndim:
        raise TensorValueError(f"{op}: `placements` must have the same length as `device_mesh.ndim`! Found placements length: {len(placements)}, and "
                               f"device_mesh.ndim: {mesh.ndim}.", op=op)
    out = []
    for p in placements:
        if not isinstance(p, Placement):
            raise TensorTypeError(f"{op}: placements: expected Shard, Replicate or Partial, got {type(p).__name__}", op=op)
        if isinstance(p, Shard):
            if not -ndim <= p.dim < ndim:
                raise TensorValueError(f"{op}: {p!r}: the tensor has {ndim} dimensions", op=op)
            p = Shard(p.dim % ndim)
        out.append(p)
    return tuple(out)
