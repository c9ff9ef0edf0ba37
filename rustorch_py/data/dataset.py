"""Datasets: maps from an index to a sample, streams of samples, and what is built from them."""
from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate

from .. import tensor as _t
from ..errors import TensorValueError

__all__ = ["Dataset", "IterableDataset", "TensorDataset", "StackDataset", "ConcatDataset", "ChainDataset", "Subset",
           "random_split"]


class DatasetError(TensorValueError, AssertionError):
    """Datasets that do not fit together; PyTorch asserts here."""


class _Subscriptable:
    """Lets annotations say ``Dataset[int]`` without the cost of `typing` at import."""

    def __class_getitem__(cls, item):
        return cls


class Dataset(_Subscriptable):
    """Map from an index to a sample.

    A subclass gives ``__getitem__``, usually ``__len__``, and may give ``__getitems__(indices)``
    to fetch the samples of a batch at once. ``a + b`` is the two one after the other.

    Example:
        >>> class Squares(Dataset):
        ...     def __len__(self): return 10
        ...     def __getitem__(self, i): return i * i
        >>> Squares()[3]
        9
    """

    def __getitem__(self, index):
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset, Iterable):
    """Stream of samples: a subclass gives ``__iter__``.

    With several workers each of them runs through its own copy: use :func:`get_worker_info` to
    give each its share.
    """

    def __add__(self, other):
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Samples along the first dimension of one or more tensors.

    Args:
        *tensors: tensors of equal first size; sample ``i`` is the tuple of their ``i``-th slices.

    Example:
        >>> images, labels = TensorDataset(_t.zeros(5, 8, 8), _t.arange(5))[2]
        >>> images.shape, labels
        (torch.Size([8, 8]), tensor(2))
    """

    def __init__(self, *tensors):
        for i, tensor in enumerate(tensors):
            if tensor.size(0) != tensors[0].size(0):
                raise DatasetError(f"Size mismatch between tensors: number {i} has {tensor.size(0)} samples, the "
                                   f"first has {tensors[0].size(0)}")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self):
        return self.tensors[0].size(0)


class StackDataset(Dataset):
    """Several datasets side by side: a sample is the tuple, or the dict, of theirs.

    Args:
        *args: datasets, for tuples.
        **kwargs: datasets by name, for dicts.

    Example:
        >>> StackDataset(image=[1, 2], text=["a", "b"])[1]
        {'image': 2, 'text': 'b'}
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise TensorValueError("Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                                   "input/output, but both types are given.")
        parts = args or tuple(kwargs.values())
        if not parts:
            raise TensorValueError("At least one dataset should be passed")
        self._length = len(parts[0])
        if any(len(part) != self._length for part in parts):
            raise TensorValueError("Size mismatch between datasets")
        self.datasets = args or kwargs

    def __getitem__(self, index):
        if isinstance(self.datasets, dict):
            return {key: part[index] for key, part in self.datasets.items()}
        return tuple(part[index] for part in self.datasets)

    def __getitems__(self, indices):
        named = isinstance(self.datasets, dict)
        columns = [_fetch_all(part, indices) for part in (self.datasets.values() if named else self.datasets)]
        for column in columns:
            if len(column) != len(indices):
                raise TensorValueError("Nested dataset's output size mismatch. Expected "
                                       f"{len(indices)}, got {len(column)}")
        if named:
            return [dict(zip(self.datasets, row)) for row in zip(*columns)]
        return list(zip(*columns))

    def __len__(self):
        return self._length


def _fetch_all(dataset, indices):
    fetch = getattr(dataset, "__getitems__", None)
    return fetch(indices) if callable(fetch) else [dataset[i] for i in indices]


class ConcatDataset(Dataset):
    """Datasets one after the other.

    Args:
        datasets: iterable of map-style datasets.
    """

    @staticmethod
    def cumsum(sequence):
        """Return the running totals of the lengths."""
        return list(accumulate(len(part) for part in sequence))

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise DatasetError("datasets should not be an empty iterable")
        if any(isinstance(part, IterableDataset) for part in self.datasets):
            raise DatasetError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise TensorValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        which = bisect_right(self.cumulative_sizes, idx)
        return self.datasets[which][idx - (self.cumulative_sizes[which - 1] if which else 0)]

    @property
    def cummulative_sizes(self):
        """Former, misspelt name of ``cumulative_sizes``."""
        warnings.warn("`cummulative_sizes` attribute is renamed to `cumulative_sizes`", FutureWarning, stacklevel=2)
        return self.cumulative_sizes


class ChainDataset(IterableDataset):
    """Streams one after the other.

    Args:
        datasets: iterable of streams; it is run through lazily.
    """

    def __init__(self, datasets):
        self.datasets = datasets

    def __iter__(self):
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise DatasetError("ChainDataset only supports IterableDataset")
            yield from part

    def __len__(self):
        total = 0
        for part in self.datasets:
            if not isinstance(part, IterableDataset):
                raise DatasetError("ChainDataset only supports IterableDataset")
            total += len(part)
        return total


class Subset(Dataset):
    """The samples of a dataset at given indices.

    Args:
        dataset: the whole.
        indices: sequence of indices into it.
    """

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices
        cls = type(self)
        if cls.__getitem__ is not Subset.__getitem__ and cls.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(f"{cls.__name__} overrides __getitem__ but not __getitems__. When subclassing "
                                      "Subset and overriding __getitem__, you must also override __getitems__ to "
                                      "ensure DataLoader works correctly with your custom logic: return "
                                      "[self[i] for i in indices] is enough.")

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        return _fetch_all(self.dataset, [self.indices[i] for i in indices])

    def __len__(self):
        return len(self.indices)


def random_split(dataset, lengths, generator=None):
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: what to split.
        lengths: sizes of the parts, or fractions that add up to 1 (what rounding leaves goes, one
            each, to the first parts).
        generator: source of the permutation; None takes the default one.

    Returns:
        List of :class:`Subset`.

    Example:
        >>> [len(part) for part in random_split(range(10), [0.75, 0.25])]
        [8, 2]
    """
    lengths = list(lengths)
    total = sum(lengths)
    if math.isclose(total, 1) and total <= 1:
        for i, share in enumerate(lengths):
            if share < 0 or share > 1:
                raise TensorValueError(f"Fraction at index {i} is not between 0 and 1")
        lengths = [math.floor(len(dataset) * share) for share in lengths]
        for i in range(len(dataset) - sum(lengths)):
            lengths[i % len(lengths)] += 1
        for i, length in enumerate(lengths):
            if length == 0:
                warnings.warn(f"Length of split at index {i} is 0. This might result in an empty dataset.",
                              stacklevel=2)
        total = sum(lengths)
    if total != len(dataset):
        raise TensorValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = _t.randperm(total, generator=generator).tolist()
    return [Subset(dataset, order[end - length:end]) for end, length in zip(accumulate(lengths), lengths)]
