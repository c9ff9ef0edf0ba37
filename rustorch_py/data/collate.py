"""Samples to batches: stack what can be stacked, keep the structure around it."""
from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

from .. import tensor as _t
from ..errors import TensorError, TensorTypeError
from ..tensor import Tensor

__all__ = ["collate", "default_collate", "default_convert"]


def _from_numpy(value):
    """Say whether a value is NumPy's, without importing NumPy."""
    return type(value).__module__ == "numpy"


def _holds_no_numbers(array):
    return array.dtype.kind in "SUO" or array.dtype.char == "a"


def default_convert(data):
    """Turn NumPy arrays and scalars inside a sample into tensors; leave everything else.

    Args:
        data: one sample: tensors, arrays, numbers, strings, mappings and sequences of them.

    Returns:
        The same structure (tuples become lists, as in PyTorch; named tuples stay).
    """
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if _from_numpy(data) and kind.__name__ not in ("str_", "bytes_"):
        if kind.__name__ == "ndarray" and _holds_no_numbers(data):
            return data
        return _t.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return kind(*(default_convert(part) for part in data))
    if isinstance(data, tuple):
        return [default_convert(part) for part in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild_sequence(data, [default_convert(part) for part in data])
    return data


def _rebuild_mapping(like, values):
    """Put values into a mapping of the given one's class; a plain dict if that class refuses."""
    try:
        if isinstance(like, MutableMapping):
            result = copy.copy(like)
            result.update(values)
            return result
        return type(like)(values)
    except TypeError:
        return values


def _rebuild_sequence(like, values):
    try:
        if isinstance(like, MutableSequence):
            result = copy.copy(like)
            for i, value in enumerate(values):
                result[i] = value
            return result
        return type(like)(values)
    except TypeError:
        return values


def collate(batch, *, collate_fn_map=None):
    """Put a list of samples together by the functions given for their types.

    Args:
        batch: list of samples of one structure.
        collate_fn_map: dict from type, or tuple of types, to
            ``fn(batch, *, collate_fn_map)``; subclasses count.

    Returns:
        The batch: the samples' structure with collated leaves.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        if kind in collate_fn_map:
            return collate_fn_map[kind](batch, collate_fn_map=collate_fn_map)
        if _from_numpy(first) and collate_fn_map is default_collate_fn_map:
            return _collate_numpy(batch)
        for known, fn in collate_fn_map.items():
            if isinstance(first, known):
                return fn(batch, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _rebuild_mapping(first, {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
                                        for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)))
    if isinstance(first, Sequence):
        if len({*map(len, batch)}) > 1:
            raise TensorError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _rebuild_sequence(first, columns)
    raise _cannot_collate(kind)


def _cannot_collate(found):
    return TensorTypeError("default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
                           f"found {found}", op="default_collate")


def _collate_numpy(batch):
    import numpy
    first = batch[0]
    if isinstance(first, numpy.ndarray):
        if _holds_no_numbers(first):
            raise _cannot_collate(first.dtype)
        return _t.stack([_t.as_tensor(array) for array in batch])
    if isinstance(first, (str, bytes)):
        return batch
    return _t.as_tensor(numpy.asarray(batch))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Stack tensors along a new first dimension."""
    return _t.stack(batch, 0)


def collate_float_fn(batch, *, collate_fn_map=None):
    """Make a float64 tensor of Python floats."""
    return _t.tensor(batch, dtype=_t.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Make an int64 (or bool) tensor of Python integers."""
    return _t.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    """Leave strings in their list."""
    return batch


default_collate_fn_map = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch):
    """Stack a list of samples into one batch.

    Tensors and arrays are stacked, floats become a float64 tensor, integers an int64 one, strings
    stay a list; mappings, tuples and lists are collated part by part.

    Args:
        batch: list of samples.

    Returns:
        The batch.

    Example:
        >>> default_collate([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
        {'a': tensor([1, 2]), 'b': ['x', 'y']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
