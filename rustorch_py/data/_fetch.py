"""Fetchers: from the indices of a batch to the batch.

Note [Gathering from tensors]
    A TensorDataset (or a Subset of one) that is collated as usual needs no Python loop over
    samples: one `index_select` per tensor gives the numbers that stacking the slices would.
"""
from __future__ import annotations

from .. import tensor as _t
from .collate import default_collate
from .dataset import Subset, TensorDataset


class MapFetcher:
    """Fetch from a map-style dataset."""

    is_stream = False

    def __init__(self, dataset, auto_collation, collate_fn, drop_last):
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.gather = make_gather(dataset) if auto_collation and collate_fn is default_collate else None

    def fetch(self, indices):
        """Return the batch of a list of indices, or the sample of one index without auto-collation."""
        dataset = self.dataset
        if not self.auto_collation:
            return self.collate_fn(dataset[indices])
        if self.gather is not None and type(indices) is list and all(type(i) is int and i >= 0 for i in indices):
            return self.gather(_t.tensor(indices, dtype=_t.int64))
        fetch_all = getattr(dataset, "__getitems__", None)
        samples = fetch_all(indices) if fetch_all else [dataset[i] for i in indices]
        return self.collate_fn(samples)


class IterableFetcher:
    """Fetch from a stream."""

    is_stream = True

    def __init__(self, dataset, auto_collation, collate_fn, drop_last):
        self.samples = iter(dataset)
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.ended = False

    def fetch(self, indices):
        """Return the next ``len(indices)`` samples; raise StopIteration at the end."""
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.samples))
        batch = []
        for _ in indices:
            try:
                batch.append(next(self.samples))
            except StopIteration:
                self.ended = True
                break
        if not batch or (self.drop_last and len(batch) < len(indices)):
            raise StopIteration
        return self.collate_fn(batch)


def make_gather(dataset):
    """Return a function from an index tensor to a batch, or None; see Note [Gathering from tensors]."""
    kind = type(dataset)
    if isinstance(dataset, TensorDataset):
        if kind.__getitem__ is not TensorDataset.__getitem__ or hasattr(kind, "__getitems__"):
            return None
        tensors = dataset.tensors

        def gather(indices):
            return [tensor.index_select(0, indices) for tensor in tensors]
        return gather
    if kind is Subset:
        inner = make_gather(dataset.dataset)
        if inner is None or not all(type(i) is int and i >= 0 for i in dataset.indices):
            return None
        chosen = _t.tensor(list(dataset.indices), dtype=_t.int64)
        return lambda indices: inner(chosen.index_select(0, indices))
    return None
