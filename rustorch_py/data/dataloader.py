"""DataLoader: batches of a dataset, in this process or by worker processes."""
from __future__ import annotations

import os
import warnings

from .. import tensor as _t
from ..errors import TensorTypeError, TensorValueError
from ..tensor._room import refuse_endless
from ._fetch import IterableFetcher, MapFetcher
from .collate import default_collate, default_convert
from .dataset import IterableDataset, _Subscriptable
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler, check_batch, draw_seed

__all__ = ["DataLoader"]


class _InfiniteConstantSampler(Sampler):
    """Stands in for the sampler of a stream, which chooses its order itself."""

    def __iter__(self):
        while True:
            yield None


class DataLoader(_Subscriptable):
    """Iterate over a dataset in batches.

    Args:
        dataset: map-style or iterable dataset; anything with ``__getitem__`` and ``__len__``.
        batch_size: samples per batch; None: samples come one by one, not stacked.
        shuffle: read in a new random order each time.
        sampler: order of reading, instead of ``shuffle``.
        batch_sampler: order of reading in lists, instead of the four options around it.
        num_workers: processes that load; 0: load here.
        collate_fn: function from a list of samples to a batch.
        pin_memory: copy batches into page-locked memory for an accelerator.
        drop_last: leave out a shorter last batch.
        timeout: seconds to wait for a worker; 0: for ever.
        worker_init_fn: called with the worker's number in each new worker, after seeding.
        multiprocessing_context: start method, or context, of the workers.
        generator: source of the shuffling and of the workers' seeds; None: the default one.
        prefetch_factor: batches each worker loads ahead (2 if there are workers).
        persistent_workers: keep the workers from one run over the data to the next.
        pin_memory_device: deprecated and without effect, as in PyTorch.
        in_order: give batches in the sampler's order; False: as they come from the workers.

    Example:
        >>> from rustorch_py.data import DataLoader, TensorDataset                   # doctest: +SKIP
        >>> loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)  # doctest: +SKIP
        >>> for x, y in loader: ...                                                  # doctest: +SKIP
    """

    __initialized = False
    _iterator = None

    def __init__(self, dataset, batch_size=1, shuffle=None, sampler=None, batch_sampler=None, num_workers=0,
                 collate_fn=None, pin_memory=False, drop_last=False, timeout=0, worker_init_fn=None,
                 multiprocessing_context=None, generator=None, *, prefetch_factor=None, persistent_workers=False,
                 pin_memory_device="", in_order=True):
        if num_workers < 0:
            raise TensorValueError("num_workers option should be non-negative; use num_workers=0 to disable "
                                   "multiprocessing.")
        if timeout < 0:
            raise TensorValueError("timeout option should be non-negative")
        if num_workers > 0:
            refuse_endless("DataLoader", "num_workers", num_workers, 4 << 20)
        if num_workers == 0 and prefetch_factor is not None:
            raise TensorValueError("prefetch_factor option could only be specified in multiprocessing."
                                   "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to "
                                   "None.")
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise TensorValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise TensorValueError("persistent_workers option needs num_workers > 0")

        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order

        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise TensorValueError(f"DataLoader with IterableDataset: expected unspecified {name} option, "
                                           f"but got {name}={value}")
        else:
            shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise TensorValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise TensorValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, "
                                       "and drop_last")
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise TensorValueError("batch_size=None option disables auto-batching and is mutually exclusive with "
                                   "drop_last")
        if sampler is None:
            if self._iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called = None
        self.__initialized = True
        self.check_worker_number_rationality()

    @property
    def multiprocessing_context(self):
        """Context in which workers start; None: Python's default."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            if self.num_workers <= 0:
                raise TensorValueError("multiprocessing_context can only be used with multi-process loading "
                                       f"(num_workers > 0), but got num_workers={self.num_workers}")
            import multiprocessing
            if isinstance(context, str):
                known = multiprocessing.get_all_start_methods()
                if context not in known:
                    raise TensorValueError("multiprocessing_context option should specify a valid start method in "
                                           f"{known!r}, but got multiprocessing_context={context!r}")
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TensorTypeError("multiprocessing_context option should be a valid context object or a string "
                                      f"specifying the start method, but got multiprocessing_context={context}")
        self.__multiprocessing_context = context

    def __setattr__(self, name, value):
        if self.__initialized and name in ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset",
                                           "persistent_workers"):
            raise TensorValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def _get_iterator(self):
        if self.num_workers == 0:
            return _SingleProcessDataLoaderIter(self)
        self.check_worker_number_rationality()
        from ._workers import _MultiProcessingDataLoaderIter
        return _MultiProcessingDataLoaderIter(self)

    def __iter__(self):
        if not (self.persistent_workers and self.num_workers > 0):
            return self._get_iterator()
        if self._iterator is None:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def __len__(self):
        if not self._iterable:
            return len(self._index_sampler)
        # Remembered, so that the iterator can warn about a stream longer than it said.
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def check_worker_number_rationality(self):
        """Warn when more workers are asked for than this process may use cores."""
        if not self.num_workers:
            return
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        if cores is not None and self.num_workers <= cores:
            return
        if cores is None:
            advice = "DataLoader is not able to compute a suggested max number of worker in current system."
        else:
            note = "" if hasattr(os, "sched_getaffinity") else " (`cpuset` is not taken into account)"
            advice = (f"Our suggested max number of worker in current system is {cores}{note}, which is smaller than "
                      "what this DataLoader is going to create.")
        warnings.warn(f"This DataLoader will create {self.num_workers} worker processes in total. {advice} Please be "
                      "aware that excessive worker creation might get DataLoader running slow or even freeze, lower "
                      "the worker number to avoid potential slowness/freeze if necessary.", stacklevel=3)


def _accelerator_present():
    """Say whether pinned memory has a device to serve; asks only packages that are loaded already."""
    import sys
    cuda = sys.modules.get(__name__.split(".")[0] + ".cuda")
    return cuda is not None and cuda.is_available()


def pin_memory(data):
    """Copy the tensors inside a batch into page-locked memory.

    Args:
        data: tensors, mappings and sequences of them; objects with a ``pin_memory`` method; others
            are left.

    Returns:
        The same structure.
    """
    from collections.abc import Mapping, Sequence

    from .collate import _rebuild_mapping, _rebuild_sequence
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: pin_memory(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(pin_memory(part) for part in data))
    if isinstance(data, Sequence):
        return _rebuild_sequence(data, [pin_memory(part) for part in data])
    return data


class _fetcher_factory:
    """Function (dataset) -> fetcher that can be sent to a worker process."""

    def __init__(self, iterable, auto_collation, collate_fn, drop_last):
        self._kind = IterableFetcher if iterable else MapFetcher
        self._options = auto_collation, collate_fn, drop_last

    def __call__(self, dataset):
        return self._kind(dataset, *self._options)


class _BaseDataLoaderIter:
    """One run over a loader's data."""

    def __init__(self, loader):
        self._dataset = loader.dataset
        self._iterable = loader._iterable
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._persistent_workers = loader.persistent_workers
        self._pin_memory = loader.pin_memory
        if loader.pin_memory:
            if loader.pin_memory_device:
                warnings.warn("pin_memory_device is deprecated, the current accelerator will be used as the device,"
                              f"ignore pin_memory_device='{loader.pin_memory_device}'.", stacklevel=4)
            if not _accelerator_present():
                warnings.warn("'pin_memory' argument is set as true but no accelerator is found, then device pinned "
                              "memory won't be used.", stacklevel=4)
                self._pin_memory = False
        self._sampler_iter = iter(self._index_sampler)
        # Drawn in every run, also without workers: the order of draws from the generator is PyTorch's
        # (base seed first, the sampler's own seed when the first batch is asked for).
        self._base_seed = draw_seed(loader.generator)
        self._num_yielded = 0

    def __iter__(self):
        return self

    def __len__(self):
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError(f"{type(self).__name__} cannot be pickled")

    def _reset(self, loader):
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_data(self):
        raise NotImplementedError

    def __next__(self):
        data = self._next_data()
        self._num_yielded += 1
        if self._iterable:
            said = self._IterableDataset_len_called
            if said is not None and self._num_yielded > said:
                more = ("For multiprocessing data-loading, this could be caused by not properly configuring the "
                        "IterableDataset replica at each worker." if self._num_workers > 0 else "")
                warnings.warn(f"Length of IterableDataset {self._dataset} was reported to be {said}(when accessing "
                              f"len(dataloader)), but {self._num_yielded} samples have been fetched. {more}",
                              stacklevel=2)
        return data


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """One run in this process."""

    def __init__(self, loader):
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("DataLoader: timeout is for worker processes: with num_workers=0 leave it 0")
        make = _fetcher_factory(self._iterable, self._auto_collation, self._collate_fn, self._drop_last)
        self._fetcher = make(self._dataset)
        self._batches = self._index_batches(loader)

    def _index_batches(self, loader):
        """Return batches as index tensors when the whole order is ours to make; see Note [Gathering from tensors]."""
        gather = getattr(self._fetcher, "gather", None)
        batcher = loader.batch_sampler
        if gather is None or type(batcher) is not BatchSampler:
            return None
        sampler = batcher.sampler
        check_batch(batcher.batch_size)
        if type(sampler) is RandomSampler and sampler._num_samples is None and not sampler.replacement:
            return _random_batches(sampler, batcher.batch_size, batcher.drop_last)
        if type(sampler) is SequentialSampler:
            return _sequential_batches(sampler, batcher.batch_size, batcher.drop_last)
        return None

    def _next_data(self):
        if self._batches is not None:
            data = self._fetcher.gather(next(self._batches))
        else:
            data = self._fetcher.fetch(next(self._sampler_iter))
        return pin_memory(data) if self._pin_memory else data


def _random_batches(sampler, batch_size, drop_last):
    orders = sampler._index_tensors()
    order = next(orders)
    n = order.size(0)
    end = n - n % batch_size
    for start in range(0, end, batch_size):
        yield order.narrow(0, start, batch_size)
    next(orders)      # PyTorch draws its unused second permutation here
    if end < n and not drop_last:
        yield order.narrow(0, end, n - end)


def _sequential_batches(sampler, batch_size, drop_last):
    n = len(sampler)
    end = n - n % batch_size
    for start in range(0, end, batch_size):
        yield _t.arange(start, start + batch_size)
    if end < n and not drop_last:
        yield _t.arange(end, n)
