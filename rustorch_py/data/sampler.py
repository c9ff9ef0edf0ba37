"""Samplers: the order in which a dataset is read.

Random samplers consume the generators' streams exactly as PyTorch's do, so that the same seed
gives the same order.
"""
from __future__ import annotations

import math
import sys
from importlib import import_module
from itertools import islice

from .. import tensor as _t
from ..errors import IntOverflowError, TensorError, TensorTypeError, TensorValueError
from .dataset import _Subscriptable

__all__ = ["BatchSampler", "DistributedSampler", "RandomSampler", "Sampler", "SequentialSampler", "SubsetRandomSampler",
           "WeightedRandomSampler"]


def draw_seed(generator=None):
    """Draw a 63-bit seed from a generator (None: the default one)."""
    return int(_t.empty((), dtype=_t.int64).random_(generator=generator).item())


class Sampler(_Subscriptable):
    """Order of reading: a subclass gives ``__iter__`` over indices (or lists of them), often ``__len__``."""

    def __init__(self, data_source=None):
        pass

    def __iter__(self):
        raise NotImplementedError


class SequentialSampler(Sampler):
    """Read a dataset from the first sample to the last."""

    def __init__(self, data_source):
        self.data_source = data_source

    def __iter__(self):
        return iter(range(len(self.data_source)))

    def __len__(self):
        return len(self.data_source)


class RandomSampler(Sampler):
    """Read a dataset in random order.

    Args:
        data_source: the dataset; only its length is used.
        replacement: draw each index anew, so that one may come several times.
        num_samples: how many to draw; None: the dataset's length.
        generator: source of randomness; None: one freshly seeded from the default generator.
    """

    def __init__(self, data_source, replacement=False, num_samples=None, generator=None):
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TensorTypeError(f"replacement should be a boolean value, but got replacement={replacement}")
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise TensorValueError("num_samples should be a positive integer value, but got "
                                   f"num_samples={self.num_samples}")

    @property
    def num_samples(self):
        """How many indices one run draws (the dataset may grow between runs)."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def _index_tensors(self):
        """Yield the order as tensors of indices; each is drawn only when it is asked for."""
        n = len(self.data_source)
        generator = self.generator
        if generator is None:
            generator = _t.Generator()
            generator.manual_seed(draw_seed())
        if self.replacement:
            for _ in range(self.num_samples // 32):
                yield _t.randint(high=n, size=(32,), dtype=_t.int64, generator=generator)
            yield _t.randint(high=n, size=(self.num_samples % 32,), dtype=_t.int64, generator=generator)
        else:
            for _ in range(self.num_samples // n):
                yield _t.randperm(n, generator=generator)
            # Drawn even when nothing of it is used: the generator's stream stays PyTorch's.
            yield _t.randperm(n, generator=generator)[:self.num_samples % n]

    def __iter__(self):
        for indices in self._index_tensors():
            yield from indices.tolist()

    def __len__(self):
        return self.num_samples


class SubsetRandomSampler(Sampler):
    """Read given indices in random order, each once.

    Args:
        indices: sequence of indices.
        generator: source of randomness; None: the default one.
    """

    def __init__(self, indices, generator=None):
        self.indices = indices
        self.generator = generator

    def __iter__(self):
        for i in _t.randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self):
        return len(self.indices)


class WeightedRandomSampler(Sampler):
    """Draw indices with given weights.

    Args:
        weights: sequence of weights, one per index; they need not add up to one.
        num_samples: how many to draw.
        replacement: whether an index may come several times.
        generator: source of randomness; None: the default one.
    """

    def __init__(self, weights, num_samples, replacement=True, generator=None):
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise TensorValueError(f"num_samples should be a positive integer value, but got num_samples={num_samples}")
        if not isinstance(replacement, bool):
            raise TensorValueError(f"replacement should be a boolean value, but got replacement={replacement}")
        weights = _t.as_tensor(weights, dtype=_t.float64)
        if weights.dim() != 1:
            raise TensorValueError("weights should be a 1d sequence but given weights have shape "
                                   f"{tuple(weights.shape)}")
        self.weights = weights
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self):
        drawn = _t.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        yield from drawn.tolist()

    def __len__(self):
        return self.num_samples


def check_batch(batch_size):
    """Refuse a batch of more samples than an iterator counts."""
    if batch_size > sys.maxsize:
        raise IntOverflowError(f"expected a batch_size of at most {sys.maxsize}, got {batch_size}")


class BatchSampler(Sampler):
    """Gather a sampler's indices into lists.

    Args:
        sampler: sampler or iterable of indices.
        batch_size: length of a list.
        drop_last: leave a shorter last list out.

    Example:
        >>> list(BatchSampler(SequentialSampler(range(10)), batch_size=4, drop_last=False))
        [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    """

    def __init__(self, sampler, batch_size, drop_last):
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise TensorValueError(f"batch_size should be a positive integer value, but got batch_size={batch_size}")
        if not isinstance(drop_last, bool):
            raise TensorValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self):
        indices = iter(self.sampler)
        check_batch(self.batch_size)
        while True:
            batch = list(islice(indices, self.batch_size))
            if not batch or (self.drop_last and len(batch) < self.batch_size):
                return
            yield batch

    def __len__(self):
        n = len(self.sampler)
        return n // self.batch_size if self.drop_last else -(-n // self.batch_size)


class DistributedSampler(Sampler):
    """Read this rank's part of a dataset: every rank gets as many samples, and together they read all.

    Args:
        dataset: only its length is used.
        num_replicas, rank: None: the default process group's.
        shuffle: read in an order drawn from seed and epoch, the same on all ranks.
        seed: the same on all ranks.
        drop_last: leave out the samples that do not go round; else the first ones are read again.

    Call ``set_epoch`` before each epoch, or every epoch has the first one's order.

    Example:
        >>> [list(DistributedSampler(range(5), 2, r, shuffle=False)) for r in (0, 1)]
        [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        if num_replicas is None or rank is None:
            dist = import_module(__package__.rpartition(".")[0] + ".distributed")
            if not dist.is_available():
                raise TensorError("Requires distributed package to be available", op="DistributedSampler")
            num_replicas = dist.get_world_size() if num_replicas is None else num_replicas
            rank = dist.get_rank() if rank is None else rank
        if rank >= num_replicas or rank < 0:
            raise TensorValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]", op="DistributedSampler")
        self.dataset, self.num_replicas, self.rank = dataset, num_replicas, rank
        self.epoch, self.drop_last, self.shuffle, self.seed = 0, drop_last, shuffle, seed
        n = len(dataset)
        self.num_samples = math.ceil((n - num_replicas) / num_replicas) if drop_last and n % num_replicas else math.ceil(n / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self):
        n = len(self.dataset)
        if self.shuffle:
            generator = _t.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = _t.randperm(n, generator=generator).tolist()
        else:
            indices = list(range(n))
        if self.drop_last:
            indices = indices[:self.total_size]
        else:
            missing = self.total_size - n
            indices += (indices * math.ceil(missing / n))[:missing] if missing else []
        return iter(indices[self.rank:self.total_size:self.num_replicas])

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Set the epoch, which decides the order with the seed."""
        self.epoch = epoch
