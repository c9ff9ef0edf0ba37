"""What a state dict holds, as parts of tensors and objects, and which rank writes what."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ... import tensor as _t
from ...errors import TensorTypeError, TensorValueError
from ...tensor import Tensor

__all__ = ["BytesStorageMetadata", "ChunkStorageMetadata", "DefaultLoadPlanner", "DefaultSavePlanner", "Metadata", "TensorProperties", "TensorStorageMetadata"]


@dataclass
class ChunkStorageMetadata:
    """A part of a tensor: where it begins, how large it is."""
    offsets: tuple
    sizes: tuple


@dataclass
class TensorProperties:
    """What a tensor is besides its size."""
    dtype: object = field(default_factory=_t.get_default_dtype)


@dataclass
class TensorStorageMetadata:
    """A tensor in a checkpoint."""
    properties: TensorProperties
    size: tuple
    chunks: list


@dataclass
class BytesStorageMetadata:
    """An object in a checkpoint."""


@dataclass
class Metadata:
    """What a checkpoint holds.

    Args:
        state_dict_metadata: full name -> `TensorStorageMetadata` or `BytesStorageMetadata`.
        storage_data: (full name, offsets or None) -> (file, name inside).
    """
    state_dict_metadata: dict
    storage_data: dict = field(default_factory=dict)
    save_id: str | None = None
    world_size: int | None = None
    version: str | None = None


class DefaultSavePlanner:
    """The way state dicts are saved: nested containers by joined names, what ranks have alike once.

    Args:
        flatten_state_dict, flatten_sharded_tensors: must be True.
    """

    def __init__(self, flatten_state_dict=True, flatten_sharded_tensors=True):
        _only_true("DefaultSavePlanner", flatten_state_dict=flatten_state_dict, flatten_sharded_tensors=flatten_sharded_tensors)


class DefaultLoadPlanner:
    """The way state dicts are loaded.

    Args:
        flatten_state_dict, flatten_sharded_tensors: must be True.
        allow_partial_load: leave as it is what the checkpoint has not.
    """

    def __init__(self, flatten_state_dict=True, flatten_sharded_tensors=True, allow_partial_load=False):
        _only_true("DefaultLoadPlanner", flatten_state_dict=flatten_state_dict, flatten_sharded_tensors=flatten_sharded_tensors)
        self.allow_partial_load = allow_partial_load


def _only_true(op, **options):
    for name, value in options.items():
        if value is not True:
            raise TensorValueError(f"{op}: {name}: must be True, got {value!r}", op=op)


def _holds_tensors(value):
    if isinstance(value, Tensor):
        return True
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return any(_holds_tensors(v) for v in parts)


def flatten(state_dict):
    """Return {full name: value} and {full name: path} of nested containers; lists count as such where they hold tensors.

    Raises:
        ValueError: two values have one name.
    """
    flat, paths = {}, {}

    def visit(value, path):
        if isinstance(value, Mapping) and value:
            parts = value.items()
        elif isinstance(value, (list, tuple)) and _holds_tensors(value):
            parts = enumerate(value)
        else:
            name = ".".join(map(str, path))
            if name in flat:
                raise TensorValueError(f"checkpoint: the state dict has two values named {name!r}: {paths[name]} and {path}", op="checkpoint")
            flat[name], paths[name] = value, path
            return
        for key, part in parts:
            visit(part, (*path, key))
    if not isinstance(state_dict, Mapping):
        raise TensorTypeError(f"checkpoint: state_dict: expected a dictionary, got {type(state_dict).__name__}", op="checkpoint")
    for key, value in state_dict.items():
        visit(value, (key,))
    return flat, paths


def put(state_dict, path, value):
    """Set a value in nested containers."""
    for key in path[:-1]:
        state_dict = state_dict[key]
    state_dict[path[-1]] = value


def local_part(name, value):
    """Return (this rank's memory, its offsets, whole shape) of a tensor."""
    from ..tensor import DTensor
    from ..tensor.placement_types import Partial, part
    if not isinstance(value, DTensor):
        return value.detach(), (0,) * value.dim(), tuple(value.shape)
    if any(isinstance(p, Partial) for p in value._placements):
        raise TensorValueError(f"checkpoint: {name}: a DTensor of terms of a sum ({value._placements}) is no state; redistribute it", op="checkpoint")
    _, offsets = part(value._mesh, value._placements, value.shape)
    return value._local_tensor.detach(), tuple(offsets), tuple(value.shape)


def describe(flat):
    """Return this rank's entries: [name, kind, whole shape, dtype, offsets, sizes, bytes]."""
    rows = []
    for name, value in flat.items():
        if isinstance(value, Tensor):
            local, offsets, shape = local_part(name, value)
            if local.numel() or 0 in shape:
                rows.append((name, "tensor", shape, str(local.dtype), offsets, tuple(local.shape), local.numel() * local.element_size()))
        else:
            rows.append((name, "object", None, None, None, None, 0))
    return rows


def share_out(by_rank):
    """Decide which rank writes each entry; returns {(name, offsets): (rank, entry)}.

    Raises:
        ValueError: ranks have different things under one name.
    """
    owners, kinds = {}, {}
    for rank, rows in enumerate(by_rank):
        for row in rows:
            name, kind, shape, dtype, offsets, *_ = row
            other = kinds.setdefault(name, (kind, shape, dtype))
            if other != (kind, shape, dtype):
                raise TensorValueError(f"checkpoint: {name}: ranks differ: {other} and, on rank {rank}, {(kind, shape, dtype)}", op="checkpoint")
            owners.setdefault((name, offsets), ([], row))[0].append(rank)
    load = [0] * len(by_rank)
    out = {}
    for key, (ranks, row) in sorted(owners.items(), key=lambda item: (len(item[1][0]), -item[1][1][6], item[0][0])):
        rank = min(ranks, key=load.__getitem__)
        load[rank] += row[6] + 64          # an entry has a cost of its own
        out[key] = rank, row
    return out
