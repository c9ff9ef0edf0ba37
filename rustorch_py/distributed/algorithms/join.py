"""Ranks with fewer batches than others: those that are done answer the others' collectives until all are (``torch.distributed.algorithms.join``)."""
from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import NamedTuple

from ... import tensor as _t
from ...errors import DistError, TensorValueError
from .._collectives import all_reduce

__all__ = ["Join", "JoinHook", "Joinable"]

WARN_AFTER = 1000             # iterations more than a rank that is done


class JoinHook:
    """What a rank that has no more batches does; subclasses override either method."""

    def main_hook(self):
        """Answer the collectives of one iteration of the others."""

    def post_hook(self, is_last_joiner):
        """Finish, when all ranks are done.

        Args:
            is_last_joiner: whether this rank was among the last.
        """


class _JoinConfig(NamedTuple):
    enable: bool = False
    throw_on_early_termination: bool = False
    is_first_joinable: bool = False


class Joinable(ABC):
    """What can take part in a `Join`. It calls ``Join.notify_join_context(self)`` before each iteration's collectives."""

    @abstractmethod
    def __init__(self):
        super().__init__()
        self._join_config = _JoinConfig()

    @abstractmethod
    def join_hook(self, **kwargs):
        """Return a `JoinHook`; kwargs are those of the `Join`."""

    @property
    @abstractmethod
    def join_device(self):
        """The device of its tensors."""

    @property
    @abstractmethod
    def join_process_group(self):
        """The group of its collectives."""


class Join:
    """Context manager for loops in which ranks have different numbers of batches.

    Args:
        joinables: list of DistributedDataParallel modules, ZeroRedundancyOptimizers and other `Joinable`s of one group; the first of them
            must begin each iteration.
        enable: False does nothing, for inputs known to be even.
        throw_on_early_termination: let all ranks raise as soon as one is done.
        **kwargs: given to each ``join_hook``.
    Raises:
        RuntimeError: throw_on_early_termination, and a rank was done before others.

    Example:
        >>> with Join([model, optimizer]):                           # doctest: +SKIP
        ...     for x, y in batches_of_this_rank:
        ...         loss(model(x), y).backward()
        ...         optimizer.step()
    """

    def __init__(self, joinables, enable=True, throw_on_early_termination=False, **kwargs):
        if len(joinables) == 0:
            raise TensorValueError("The join context manager requires at least one joinable", op="Join")
        self._joinables, self._enable, self._throws = list(joinables), enable, throw_on_early_termination
        self._group = joinables[0].join_process_group
        if any(joinable.join_process_group is not self._group for joinable in joinables):
            raise TensorValueError("Using join context manager with multiple process groups", op="Join")
        self._device = joinables[0].join_device
        self._hooks = [joinable.join_hook(**kwargs) for joinable in joinables]
        for i, joinable in enumerate(joinables):
            joinable._join_config = _JoinConfig(enable, throw_on_early_termination, i == 0)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        try:
            if self._enable and kind is None:
                self._answer()
        finally:
            for joinable in self._joinables:
                joinable._join_config = _JoinConfig()

    def _answer(self):
        iterations = 0
        while self._count(0):
            if self._throws:
                _sum(1, self._device, self._group).wait()
                raise DistError(f"Rank {self._group.rank()} exhausted all inputs.", op="Join")
            for hook in self._hooks:
                hook.main_hook()
            iterations += 1
            if iterations == WARN_AFTER + 1:
                warnings.warn(f"Detected uneven input skew of greater than {WARN_AFTER}. This means that rank {self._group.rank()} has at least {WARN_AFTER} "
                              "fewer inputs than other currently-active ranks. This level of skew could lead to performance degradation during training.", stacklevel=3)
        for hook in self._hooks:
            hook.post_hook(iterations == 0)

    def _count(self, mine):
        """Return how many ranks are not done."""
        work = _sum(mine, self._device, self._group)
        work.wait()
        return int(work.result()[0].item())

    @staticmethod
    def notify_join_context(joinable):
        """Tell the ranks that are done that this one begins an iteration.

        Returns:
            From the first joinable, the Work of a sum that counts the ranks which are not done; None from others or outside of a `Join`.
        Raises:
            RuntimeError: throw_on_early_termination, and a rank is done.
        """
        config = joinable._join_config
        if not config.enable or not config.is_first_joinable:
            return None
        device, group = joinable.join_device, joinable.join_process_group
        work = _sum(1, device, group)
        if config.throw_on_early_termination:
            work.wait()
            if work.result()[0].item() < group.size():
                _sum(0, device, group).wait()
                raise DistError("Detected at least one rank that exhausted inputs. Throwing across all ranks.", op="Join")
        return work


def _sum(mine, device, group):
    return all_reduce(_t.tensor([float(mine)], device=device), group=group, async_op=True)
