"""Batches cut into micro-batches, and results put together again."""
from __future__ import annotations

from ... import tensor as _t
from ...errors import TensorTypeError, TensorValueError
from ...utils._pytree import broadcast_to_and_flatten, tree_flatten, tree_map, tree_unflatten

__all__ = ["TensorChunkSpec", "merge_chunks", "split_args_kwargs_into_chunks"]


class TensorChunkSpec:
    """Say along which dimension a tensor is cut.

    Args:
        split_dim: the dimension.
    """

    def __init__(self, split_dim):
        self.split_dim = split_dim

    @staticmethod
    def from_tuple(chunk_dims):
        """Return the specs of positional arguments from their dimensions."""
        return tree_map(TensorChunkSpec, chunk_dims)

    @staticmethod
    def from_dict(chunk_dims):
        """Return the specs of keyword arguments from their dimensions."""
        return tree_map(TensorChunkSpec, chunk_dims)

    def __repr__(self):
        return f"{type(self).__module__}.{type(self).__name__}({self.split_dim})"

    def __str__(self):
        return f"TensorChunkSpec({self.split_dim})"


class _Replicate:
    """Mark of a value that every micro-batch gets whole."""


class _CustomReducer:
    """How results of micro-batches become one: ``reduce_fn(so far, next)``, from init_value on."""

    def __init__(self, init_value, reduce_fn):
        self.init_value, self.reduce_fn = init_value, reduce_fn


class _LossReducer(_CustomReducer):
    """A reducer of losses."""


sum_reducer = _LossReducer(0.0, lambda a, b: a + b)


def split_tensor(tensor, spec, chunks):
    """Return a tensor's pieces along a spec's dimension; the first ones are larger by one where it does not divide.

    Raises:
        ValueError: it is too short to give each micro-batch something.
    """
    dim = spec.split_dim
    if tensor.size(dim) < chunks:
        raise TensorValueError(f"pipelining: cannot split dimension {dim} of a tensor of shape {tuple(tensor.shape)} into {chunks} micro-batches", op="pipelining")
    return list(_t.tensor_split(tensor, chunks, dim))


def _split_tree(op, tree, spec, chunks):
    leaves, shape = tree_flatten(tree)
    if spec is None:
        specs = [TensorChunkSpec(0) if isinstance(leaf, _t.Tensor) else _Replicate() for leaf in leaves]
    else:
        specs = broadcast_to_and_flatten(spec, shape)
        if specs is None:
            raise TensorValueError(f"{op}: the chunk spec {spec} does not have the structure of the arguments", op=op)
    parts = []
    for leaf, how in zip(leaves, specs):
        if isinstance(how, TensorChunkSpec) and isinstance(leaf, _t.Tensor):
            parts.append(split_tensor(leaf, how, chunks))
        elif isinstance(how, _Replicate) or how is _Replicate or how is None or not isinstance(leaf, _t.Tensor):
            parts.append([leaf] * chunks)
        else:
            raise TensorTypeError(f"{op}: chunk spec: expected TensorChunkSpec or None, got {how!r}", op=op)
    return [tree_unflatten([part[i] for part in parts], shape) for i in range(chunks)]


def split_args_kwargs_into_chunks(args, kwargs, chunks, args_chunk_spec=None, kwargs_chunk_spec=None):
    """Cut arguments into micro-batches; tensors along dimension 0 and other values whole, unless specs say otherwise.

    Args:
        args, kwargs: positional and keyword arguments (None: none).
        chunks: how many.
        args_chunk_spec, kwargs_chunk_spec: `TensorChunkSpec`s in the arguments' structure; None in the place of a tensor leaves it whole.
    Returns:
        list of positional arguments, list of keyword arguments.
    """
    op = "split_args_kwargs_into_chunks"
    if isinstance(chunks, bool) or not isinstance(chunks, int) or chunks < 1:
        raise TensorValueError(f"{op}: chunks: expected an int above 0, got {chunks!r}", op=op)
    spec = tuple(args_chunk_spec) if isinstance(args_chunk_spec, list) else args_chunk_spec
    return _split_tree(op, tuple(args), spec, chunks), _split_tree(op, kwargs or {}, kwargs_chunk_spec, chunks)


def merge_chunks(chunks, chunk_spec=None):
    """Put the results of micro-batches together: tensors along dimension 0, or as specs say; of other values the first."""
    op = "merge_chunks"
    flat = [tree_flatten(chunk) for chunk in chunks]
    shape = flat[0][1]
    if any(other != shape for _, other in flat):
        raise TensorValueError(f"{op}: the chunks have different structures", op=op)
    specs = [None] * shape.num_leaves if chunk_spec is None else broadcast_to_and_flatten(chunk_spec, shape)
    if specs is None:
        raise TensorValueError(f"{op}: the merge spec {chunk_spec} does not have the structure of the results", op=op)
    whole = []
    for how, parts in zip(specs, zip(*(leaves for leaves, _ in flat))):
        if isinstance(how, _CustomReducer):
            value = how.init_value
            for part in parts:
                value = how.reduce_fn(value, part)
            whole.append(value)
        elif isinstance(parts[0], _t.Tensor) and not isinstance(how, _Replicate):
            whole.append(_t.cat(list(parts), how.split_dim if isinstance(how, TensorChunkSpec) else 0))
        else:
            whole.append(parts[0])
    return tree_unflatten(whole, shape)
