"""Schedules of the learning rate.

A scheduler writes ``group["lr"]`` of its optimizer each time it is stepped. Most compute the next
rate from the present one (so that several may be chained on one optimizer); those that also know
the rate of any epoch in closed form say so in ``_get_closed_form_lr``.
"""
from __future__ import annotations

import math
import warnings
import weakref
from bisect import bisect_right
from collections import Counter
from functools import partial, wraps
from types import FunctionType

from ..errors import TensorError, TensorTypeError, TensorValueError
from ..tensor import Tensor
from .optimizer import Optimizer

__all__ = [
    "LambdaLR", "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR",
    "SequentialLR", "CosineAnnealingLR", "ChainedScheduler", "ReduceLROnPlateau", "CyclicLR",
    "CosineAnnealingWarmRestarts", "OneCycleLR", "PolynomialLR", "LRScheduler",
]

_EPOCH_WARNING = ("The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. "
                  "Please use `scheduler.step()` to step the scheduler. During the deprecation, if epoch is different "
                  "from None, the closed form is used instead of the new chainable form, where available.")
_ORDER_URL = "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"


def _copy(value):
    return value.clone() if isinstance(value, Tensor) else value


def _group_values(optimizer, key):
    """Copy an option of every group; tensors are cloned, so that later steps do not change the copy."""
    return [_copy(group[key]) for group in optimizer.param_groups]


def _set_option(group, key, value):
    """Write an option; a tensor option keeps its identity and takes the value."""
    if isinstance(group[key], Tensor):
        group[key].fill_(value.squeeze() if isinstance(value, Tensor) else value)
    else:
        group[key] = value


def _per_group(name, optimizer, value):
    """Spread one value over all groups, or check that there is one per group."""
    groups = optimizer.param_groups
    if isinstance(value, (list, tuple)):
        if len(value) != len(groups):
            raise TensorValueError(f"{name} must have the same length as optimizer.param_groups. "
                                   f"{name} has {len(value)} values, param_groups has {len(groups)}.")
        return [_copy(v) for v in value]
    return [_copy(value) for _ in groups]


def _require_optimizer(optimizer):
    if not isinstance(optimizer, Optimizer):
        raise TensorTypeError(f"{type(optimizer).__name__} is not an Optimizer")


class LRScheduler:
    """Base of all schedulers.

    Args:
        optimizer: its groups' ``"lr"`` is written; ``"initial_lr"`` is added to them.
        last_epoch: -1 to begin; otherwise the epoch to go on from, with ``"initial_lr"`` already
            in the groups.

    Attributes:
        base_lrs: the initial rate of each group.
        last_epoch: number of steps taken.
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer, last_epoch=-1):
        _require_optimizer(optimizer)
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", _copy(group["lr"]))
        else:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(f"param 'initial_lr' is not specified in param_groups[{i}] when resuming scheduler "
                                   "with last_epoch >= 0: load the optimizer's state first, or leave last_epoch -1")
        self.base_lrs = _group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        self._track_optimizer_steps()
        self._initial_step()

    def _track_optimizer_steps(self):
        """Note on the optimizer when it has stepped, for the warning about a swapped order."""
        optimizer = self.optimizer
        if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
            return
        func = optimizer.step.__func__
        ref = weakref.ref(optimizer)      # the wrapper is stored on the optimizer: no cycle

        @wraps(func)
        def step(*args, **kwargs):
            target = ref()
            target._opt_called = True
            return func(target, *args, **kwargs)

        step._wrapped_by_lr_sched = True
        optimizer.step = step

    def _initial_step(self):
        """Count the step that sets the rates of epoch 0."""
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self):
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict):
        """Take over what :meth:`state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self):
        """Return the rates set by the last step, one per group."""
        return self._last_lr

    def get_lr(self):
        """Compute the rates of the present epoch, one per group; called by :meth:`step`."""
        raise NotImplementedError

    def step(self, epoch=None):
        """Set the rates of the next epoch; call it after ``optimizer.step()``.

        Args:
            epoch: deprecated: jump to this epoch.
        """
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                warnings.warn("Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                              "initialization. Please, make sure to call `optimizer.step()` before "
                              f"`lr_scheduler.step()`. See more details at {_ORDER_URL}", UserWarning, stacklevel=2)
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn("Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch 1.1.0 and "
                              "later, you should call them in the opposite order: `optimizer.step()` before "
                              "`lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping the first "
                              f"value of the learning rate schedule. See more details at {_ORDER_URL}",
                              UserWarning, stacklevel=2)
        self._step_count += 1
        if epoch is not None:
            warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch=None):
        if epoch is None:
            self.last_epoch += 1
        else:
            self.last_epoch = epoch
        closed_form = getattr(self, "_get_closed_form_lr", None) if epoch is not None else None
        self._write(self._call_get_lr() if closed_form is None else closed_form())

    def _call_get_lr(self):
        self._get_lr_called_within_step = True
        try:
            return self.get_lr()
        finally:
            self._get_lr_called_within_step = False

    def _write(self, values):
        groups = self.optimizer.param_groups
        for group, value in zip(groups, values):
            if isinstance(group["lr"], Tensor):
                _set_option(group, "lr", value)
            else:
                group["lr"] = value
        self._last_lr = [_copy(value) if isinstance(value := group["lr"], Tensor) else value for group in groups]

    def _warn_outside_step(self):
        if not self._get_lr_called_within_step:
            warnings.warn("To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                          UserWarning, stacklevel=3)


_LRScheduler = LRScheduler      # PyTorch's former name


class _EachGroup(LRScheduler):
    """Schedules whose rule looks at one group at a time."""

    def get_lr(self):
        if not self._get_lr_called_within_step:
            self._warn_outside_step()
        return [self._next(group["lr"], base) for group, base in zip(self.optimizer.param_groups, self.base_lrs)]

    def _next(self, lr, base):
        """Return the next rate from the present and the initial one."""
        raise NotImplementedError

    def _get_closed_form_lr(self):
        return [self._at(base) for base in self.base_lrs]

    def _at(self, base):
        """Return the rate of epoch ``last_epoch``."""
        raise NotImplementedError


class StepLR(_EachGroup):
    """Multiply the rate by ``gamma`` every ``step_size`` epochs.

    Args:
        optimizer: the optimizer to schedule.
        step_size: epochs between two decays.
        gamma: factor of each decay.
        last_epoch: epoch to go on from, -1 to begin.

    Example:
        >>> scheduler = StepLR(optimizer, step_size=30, gamma=0.1)    # doctest: +SKIP
        >>> for epoch in range(100):                                  # doctest: +SKIP
        ...     train(); scheduler.step()
    """

    def __init__(self, optimizer, step_size, gamma=0.1, last_epoch=-1):
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self.last_epoch == 0 or self.last_epoch % self.step_size != 0:
            return lr.clone() if isinstance(lr, Tensor) else lr
        return lr * self.gamma

    def _at(self, base):
        return base * self.gamma ** (self.last_epoch // self.step_size)


class MultiStepLR(_EachGroup):
    """Multiply the rate by ``gamma`` at each milestone (an epoch given twice decays twice)."""

    def __init__(self, optimizer, milestones, gamma=0.1, last_epoch=-1):
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        times = self.milestones.get(self.last_epoch, 0)
        return lr * self.gamma ** times if times else _copy(lr)

    def _at(self, base):
        return base * self.gamma ** bisect_right(sorted(self.milestones.elements()), self.last_epoch)


class ConstantLR(_EachGroup):
    """Scale the rate by ``factor`` for the first ``total_iters`` epochs."""

    def __init__(self, optimizer, factor=1.0 / 3, total_iters=5, last_epoch=-1):
        if factor < 0 or factor > 1.0:
            raise TensorValueError("Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self.last_epoch == 0:
            return lr * self.factor
        if self.last_epoch == self.total_iters:
            return lr * (1.0 / self.factor)
        return lr.clone() if isinstance(lr, Tensor) else lr

    def _at(self, base):
        return base * (self.factor + (self.last_epoch >= self.total_iters) * (1 - self.factor))


class LinearLR(_EachGroup):
    """Move the rate's factor in a straight line from ``start_factor`` to ``end_factor`` (warm-up)."""

    def __init__(self, optimizer, start_factor=1.0 / 3, end_factor=1.0, total_iters=5, last_epoch=-1):
        if start_factor <= 0 or start_factor > 1.0:
            raise TensorValueError("Starting multiplicative factor expected to be greater than 0 and less or equal "
                                   "to 1.")
        if end_factor < 0 or end_factor > 1.0:
            raise TensorValueError("Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self.last_epoch == 0:
            return lr * self.start_factor
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr.clone() if isinstance(lr, Tensor) else lr
        slope = self.end_factor - self.start_factor
        return lr * (1.0 + slope / (self.total_iters * self.start_factor + (self.last_epoch - 1) * slope))

    def _at(self, base):
        slope = self.end_factor - self.start_factor
        return base * (self.start_factor + slope * min(self.total_iters, self.last_epoch) / self.total_iters)


class ExponentialLR(_EachGroup):
    """Multiply the rate by ``gamma`` every epoch."""

    def __init__(self, optimizer, gamma, last_epoch=-1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self._is_initial:
            return lr.clone() if isinstance(lr, Tensor) else lr
        return lr * self.gamma

    def _at(self, base):
        return base * self.gamma ** self.last_epoch


class PolynomialLR(_EachGroup):
    """Let the rate fall to zero as ``(1 - epoch / total_iters) ** power``."""

    def __init__(self, optimizer, total_iters=5, power=1.0, last_epoch=-1):
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self._is_initial or self.last_epoch > self.total_iters:
            return lr.clone() if isinstance(lr, Tensor) else lr
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return lr * (now / before) ** self.power

    def _at(self, base):
        return base * (1.0 - min(self.total_iters, self.last_epoch) / self.total_iters) ** self.power


class CosineAnnealingLR(_EachGroup):
    """Let the rate swing along a cosine from its start to ``eta_min`` in ``T_max`` epochs.

    Args:
        optimizer: the optimizer to schedule.
        T_max: epochs from the highest to the lowest rate; afterwards it rises again.
        eta_min: lowest rate.
        last_epoch: epoch to go on from, -1 to begin.

    Source:
        Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    """

    def __init__(self, optimizer, T_max, eta_min=0.0, last_epoch=-1):
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _next(self, lr, base):
        if self._is_initial:
            return lr.clone() if isinstance(lr, Tensor) else lr
        if self._step_count == 1 and self.last_epoch > 0:      # begun in the middle: no present rate to go on from
            return self._at(base)
        if (self.last_epoch - 1 - self.T_max) % (2 * self.T_max) == 0:      # at the bottom the quotient is 0 / 0
            return lr + (base - self.eta_min) * (1 - math.cos(math.pi / self.T_max)) / 2
        now = 1 + math.cos(math.pi * self.last_epoch / self.T_max)
        before = 1 + math.cos(math.pi * (self.last_epoch - 1) / self.T_max)
        return now / before * (lr - self.eta_min) + self.eta_min

    def _at(self, base):
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * self.last_epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """Anneal along a cosine in ``T_0`` epochs, restart, and stretch each cycle ``T_mult`` times.

    Args:
        optimizer: the optimizer to schedule.
        T_0: epochs of the first cycle.
        T_mult: factor from one cycle's length to the next.
        eta_min: lowest rate.
        last_epoch: epoch to go on from, -1 to begin.

    Source:
        Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts, 2017.
    """

    def __init__(self, optimizer, T_0, T_mult=1, eta_min=0.0, last_epoch=-1):
        if T_0 <= 0 or not isinstance(T_0, int):
            raise TensorValueError(f"Expected positive integer T_0, but got {T_0}")
        if T_mult < 1 or not isinstance(T_mult, int):
            raise TensorValueError(f"Expected integer T_mult >= 1, but got {T_mult}")
        if not isinstance(eta_min, (float, int)):
            raise TensorValueError(f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}")
        self.T_0 = T_0
        self.T_i = T_0
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self):
        self._warn_outside_step()
        share = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]

    def step(self, epoch=None):
        """Set the rates of the next epoch.

        Args:
            epoch: where to stand, fractions allowed (``epoch + batch / batches``); None: one on.
        """
        if epoch is None and self.last_epoch < 0:
            epoch = 0
        if epoch is None:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            if epoch < 0:
                raise TensorValueError(f"Expected non-negative epoch, but got {epoch}")
            if epoch < self.T_0:
                self.T_i, self.T_cur = self.T_0, epoch
            elif self.T_mult == 1:
                self.T_cur = epoch % self.T_0
            else:
                # Cycle n begins after T_0 * (T_mult^n - 1) / (T_mult - 1) epochs.
                n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
                self.T_cur = epoch - self.T_0 * (self.T_mult ** n - 1) / (self.T_mult - 1)
                self.T_i = self.T_0 * self.T_mult ** n
        self.last_epoch = math.floor(epoch)
        self._write(self._call_get_lr())


class _ByFunction(LRScheduler):
    """Schedules by user functions; functions are not saved, attributes of callable objects are."""

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        groups = optimizer.param_groups
        if isinstance(lr_lambda, (list, tuple)):
            if len(lr_lambda) != len(groups):
                raise TensorValueError(f"Expected {len(groups)} lr_lambdas, but got {len(lr_lambda)}")
            self.lr_lambdas = list(lr_lambda)
        else:
            self.lr_lambdas = [lr_lambda] * len(groups)
        super().__init__(optimizer, last_epoch)

    def state_dict(self):
        """Return everything but the optimizer and plain functions."""
        state = super().state_dict()
        state["lr_lambdas"] = [None if isinstance(fn, FunctionType) else fn.__dict__.copy()
                               for fn in self.lr_lambdas]
        return state

    def load_state_dict(self, state_dict):
        """Take over what :meth:`state_dict` returned; plain functions stay this scheduler's own."""
        state = dict(state_dict)
        saved = state.pop("lr_lambdas")
        self.__dict__.update(state)
        for fn, attributes in zip(self.lr_lambdas, saved):
            if attributes is not None:
                fn.__dict__.update(attributes)


class LambdaLR(_ByFunction):
    """Set the rate to the initial rate times ``lr_lambda(epoch)``.

    Args:
        optimizer: the optimizer to schedule.
        lr_lambda: function of the epoch, or a list with one per group.
        last_epoch: epoch to go on from, -1 to begin.
    """

    def get_lr(self):
        self._warn_outside_step()
        return [base * fn(self.last_epoch) for fn, base in zip(self.lr_lambdas, self.base_lrs)]


class MultiplicativeLR(_ByFunction):
    """Multiply the rate by ``lr_lambda(epoch)`` every epoch.

    Args:
        optimizer: the optimizer to schedule.
        lr_lambda: function of the epoch, or a list with one per group.
        last_epoch: epoch to go on from, -1 to begin.
    """

    def __init__(self, optimizer, lr_lambda, last_epoch=-1):
        for fn in lr_lambda if isinstance(lr_lambda, (list, tuple)) else [lr_lambda]:
            if not callable(fn):
                raise TensorTypeError(f"lr_lambda should be a function, but got {type(fn).__name__}")
        super().__init__(optimizer, lr_lambda, last_epoch)

    def get_lr(self):
        self._warn_outside_step()
        if self._is_initial:
            return _group_values(self.optimizer, "lr")
        return [group["lr"] * fn(self.last_epoch) for fn, group in zip(self.lr_lambdas, self.optimizer.param_groups)]


def _cycle_momentum_start(scheduler, base_momentum, max_momentum, first):
    """Begin to cycle the momentum (or Adam's first beta) against the rate."""
    optimizer = scheduler.optimizer
    if "momentum" not in optimizer.defaults and "betas" not in optimizer.defaults:
        raise TensorValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    scheduler.use_beta1 = "betas" in optimizer.defaults
    lowest = _per_group("base_momentum", optimizer, base_momentum)
    highest = _per_group("max_momentum", optimizer, max_momentum)
    if first:
        for low, high, group in zip(lowest, highest, optimizer.param_groups):
            _set_momentum(scheduler, group, high)
            group["max_momentum"] = high
            group["base_momentum"] = low
    return lowest, highest


def _set_momentum(scheduler, group, value):
    if scheduler.use_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value


class CyclicLR(LRScheduler):
    """Swing the rate between two bounds, every batch.

    Args:
        optimizer: the optimizer to schedule.
        base_lr, max_lr: lowest and highest rate, numbers or one per group.
        step_size_up, step_size_down: batches of the rising and of the falling half.
        mode: ``"triangular"``, ``"triangular2"`` (amplitude halved each cycle) or ``"exp_range"``
            (amplitude times ``gamma ** batch``).
        gamma: factor of ``"exp_range"``.
        scale_fn, scale_mode: own factor of the amplitude, of the ``"cycle"`` or of the ``"iterations"``.
        cycle_momentum: swing the momentum the other way, between ``base_momentum`` and ``max_momentum``.
        last_epoch: batch to go on from, -1 to begin.

    Source:
        Smith, Cyclical learning rates for training neural networks, 2017.
    """

    def __init__(self, optimizer, base_lr, max_lr, step_size_up=2000, step_size_down=None, mode="triangular",
                 gamma=1.0, scale_fn=None, scale_mode="cycle", cycle_momentum=True, base_momentum=0.8,
                 max_momentum=0.9, last_epoch=-1):
        _require_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = _per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups):
                _set_option(group, "lr", lr)
        self.max_lrs = _per_group("max_lr", optimizer, max_lr)
        step_size_up = float(step_size_up)
        step_size_down = step_size_up if step_size_down is None else float(step_size_down)
        self.total_size = step_size_up + step_size_down
        self.step_ratio = step_size_up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise TensorValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode = scale_mode
        self._init_scale_fn()
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.base_momentums, self.max_momentums = _cycle_momentum_start(
                self, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def _init_scale_fn(self):
        if self._scale_fn_custom is not None:
            return
        if self.mode == "exp_range":
            self._scale_fn_ref = partial(self._exp_range_scale_fn, self.gamma)
            self.scale_mode = "iterations"
        else:
            self._scale_fn_ref = (self._triangular_scale_fn if self.mode == "triangular"
                                  else self._triangular2_scale_fn)
            self.scale_mode = "cycle"

    def scale_fn(self, x):
        """Return the factor of the amplitude in cycle, or at batch, ``x``."""
        return (self._scale_fn_ref if self._scale_fn_custom is None else self._scale_fn_custom)(x)

    @staticmethod
    def _triangular_scale_fn(x):
        return 1.0

    @staticmethod
    def _triangular2_scale_fn(x):
        return 1 / 2.0 ** (x - 1)

    @staticmethod
    def _exp_range_scale_fn(gamma, x):
        return gamma ** x

    def get_lr(self):
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle      # place in the cycle, 0 to 1
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        scale = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                _set_momentum(self, group, high - (high - low) * height * scale)
        return [low + (high - low) * height * scale for low, high in zip(self.base_lrs, self.max_lrs)]

    def state_dict(self):
        """Return everything but the optimizer and plain functions."""
        state = super().state_dict()
        state.pop("_scale_fn_ref", None)
        fn = state["_scale_fn_custom"]
        state["_scale_fn_custom"] = None if fn is None or isinstance(fn, FunctionType) else fn.__dict__.copy()
        return state

    def load_state_dict(self, state_dict):
        """Take over what :meth:`state_dict` returned; a plain scale function stays this scheduler's own."""
        state = dict(state_dict)
        attributes = state.pop("_scale_fn_custom")
        super().load_state_dict(state)
        if attributes is not None:
            self._scale_fn_custom.__dict__.update(attributes)
        self._init_scale_fn()


class OneCycleLR(LRScheduler):
    """Raise the rate from ``max_lr / div_factor`` to ``max_lr`` and let it fall far below, in one run.

    Args:
        optimizer: the optimizer to schedule.
        max_lr: highest rate, a number or one per group.
        total_steps: batches of the run; or give ``epochs`` and ``steps_per_epoch``.
        pct_start: share of the run in which the rate rises.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        cycle_momentum: move the momentum the other way, between ``base_momentum`` and ``max_momentum``.
        div_factor: ``max_lr`` over the first rate.
        final_div_factor: first rate over the last one.
        three_phase: fall back to the first rate first, then to the last.
        last_epoch: batch to go on from, -1 to begin.

    Source:
        Smith and Topin, Super-convergence, 2018.
    """

    def __init__(self, optimizer, max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3,
                 anneal_strategy="cos", cycle_momentum=True, base_momentum=0.85, max_momentum=0.95,
                 div_factor=25.0, final_div_factor=1e4, three_phase=False, last_epoch=-1):
        _require_optimizer(optimizer)
        self.optimizer = optimizer
        if total_steps is not None:
            if total_steps <= 0 or not isinstance(total_steps, int):
                raise TensorValueError(f"Expected positive integer total_steps, but got {total_steps}")
            self.total_steps = total_steps
        elif epochs is not None and steps_per_epoch is not None:
            for name, value in (("epochs", epochs), ("steps_per_epoch", steps_per_epoch)):
                if value <= 0 or not isinstance(value, int):
                    raise TensorValueError(f"Expected positive integer {name}, but got {value}")
            self.total_steps = epochs * steps_per_epoch
        else:
            raise TensorValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        peak = float(pct_start * self.total_steps)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise TensorValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise TensorValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_func_type = anneal_strategy

        def phase(end, lr_from, lr_to, momentum_from, momentum_to):
            return {"end_step": end, "start_lr": lr_from, "end_lr": lr_to,
                    "start_momentum": momentum_from, "end_momentum": momentum_to}

        top = peak - 1
        last = self.total_steps - 1
        rise = phase(top, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if three_phase:
            self._schedule_phases = [
                rise,
                phase(2 * peak - 2, "max_lr", "initial_lr",
                      "base_momentum", "max_momentum"),
                phase(last, "initial_lr", "min_lr", "max_momentum", "max_momentum")]
        else:
            self._schedule_phases = [rise, phase(last, "max_lr", "min_lr", "base_momentum", "max_momentum")]

        max_lrs = _per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, max_lrs):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            _cycle_momentum_start(self, base_momentum, max_momentum, last_epoch == -1)
        super().__init__(optimizer, last_epoch)

    def _anneal_func(self, start, end, pct):
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * pct) + 1)
        return (end - start) * pct + start

    def get_lr(self):
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise TensorValueError(f"Tried to step {step} times. The specified number of total steps is "
                                   f"{self.total_steps}")
        start = 0.0
        for phase in self._schedule_phases:
            if step <= phase["end_step"]:
                break
            if phase is not self._schedule_phases[-1]:
                start = phase["end_step"]
        pct = (step - start) / (phase["end_step"] - start)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal_func(group[phase["start_lr"]], group[phase["end_lr"]], pct))
            if self.cycle_momentum:
                _set_momentum(self, group, self._anneal_func(group[phase["start_momentum"]],
                                                             group[phase["end_momentum"]], pct))
        return rates


class ReduceLROnPlateau(LRScheduler):
    """Reduce the rate when a measured quantity has stopped to improve.

    Args:
        optimizer: the optimizer to schedule.
        mode: ``"min"`` if smaller is better, ``"max"`` if larger is.
        factor: factor of each reduction.
        patience: epochs without improvement that are borne.
        threshold, threshold_mode: what counts as an improvement, ``"rel"`` or ``"abs"``.
        cooldown: epochs after a reduction in which nothing is counted.
        min_lr: lower bound of the rate, a number or one per group.
        eps: smaller changes of the rate are not made.
    """

    def __init__(self, optimizer, mode="min", factor=0.1, patience=10, threshold=1e-4, threshold_mode="rel",
                 cooldown=0, min_lr=0, eps=1e-8):
        if factor >= 1.0:
            raise TensorValueError("Factor should be < 1.0.")
        self.factor = factor
        _require_optimizer(optimizer)
        self.optimizer = optimizer
        groups = optimizer.param_groups
        if isinstance(min_lr, (list, tuple)):
            if len(min_lr) != len(groups):
                raise TensorValueError(f"expected {len(groups)} min_lrs, got {len(min_lr)}")
            self.default_min_lr = None
            self.min_lrs = list(min_lr)
        else:
            self.default_min_lr = min_lr
            self.min_lrs = [min_lr] * len(groups)
        self.patience = patience
        self.cooldown = cooldown
        self.eps = eps
        self.last_epoch = 0
        self._last_lr = _group_values(optimizer, "lr")
        self._init_is_better(mode, threshold, threshold_mode)
        self._reset()

    def _init_is_better(self, mode, threshold, threshold_mode):
        for name in (mode, threshold_mode):
            if not isinstance(name, str):
                raise TensorTypeError(f"ReduceLROnPlateau: a mode must be str, not {type(name).__name__}")
        if mode not in ("min", "max"):
            raise TensorValueError(f"mode {mode} is unknown!")
        if threshold_mode not in ("rel", "abs"):
            raise TensorValueError(f"threshold mode {threshold_mode} is unknown!")
        self.mode_worse = math.inf if mode == "min" else -math.inf
        self.mode = mode
        self.threshold = threshold
        self.threshold_mode = threshold_mode

    def _reset(self):
        """Forget the best value and the counters."""
        self.best = self.mode_worse
        self.cooldown_counter = 0
        self.num_bad_epochs = 0

    @property
    def in_cooldown(self):
        """Whether the last reduction is still settling."""
        return self.cooldown_counter > 0

    def _is_better(self, a, best):
        sign = 1 if self.mode == "min" else -1
        if self.threshold_mode == "rel":
            bar = best * (1.0 - sign * self.threshold)
        else:
            bar = best - sign * self.threshold
        return a < bar if self.mode == "min" else a > bar

    def step(self, metrics, epoch=None):
        """Look at the epoch's value and reduce the rates if it has stalled.

        Args:
            metrics: the measured value, a number or a one-element tensor.
            epoch: deprecated: number of this epoch.
        """
        current = float(metrics)
        if epoch is None:
            epoch = self.last_epoch + 1
        else:
            warnings.warn(_EPOCH_WARNING, UserWarning, stacklevel=2)
        self.last_epoch = epoch
        if self._is_better(current, self.best):
            self.best = current
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.in_cooldown:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce_lr()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = _group_values(self.optimizer, "lr")

    def _reduce_lr(self):
        groups = self.optimizer.param_groups
        if len(groups) != len(self.min_lrs):
            if self.default_min_lr is None:
                raise TensorError(f"The number of param groups in the `optimizer` ({len(groups)}) differs from when "
                                  f"`ReduceLROnPlateau` was initialized ({len(self.min_lrs)}), usually due to a new "
                                  "param group being added to the optimizer. Please modify the `min_lrs` field to "
                                  "match the length of the `optimizer` param groups.")
            self.min_lrs = [self.default_min_lr] * len(groups)
        for group, lowest in zip(groups, self.min_lrs):
            old = float(group["lr"])
            new = max(old * self.factor, lowest)
            if old - new > self.eps:
                _set_option(group, "lr", new)

    def load_state_dict(self, state_dict):
        """Take over what :meth:`state_dict` returned."""
        self.__dict__.update(state_dict)
        self._init_is_better(self.mode, self.threshold, self.threshold_mode)


class _Several(LRScheduler):
    """Schedulers made of others; their states are saved in order."""

    def _check_parts(self, schedulers, optimizer):
        name = type(self).__name__
        for i, part in enumerate(schedulers):
            if not hasattr(part, "optimizer"):
                raise TensorTypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            if isinstance(part, ReduceLROnPlateau):
                raise TensorValueError(f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                                       "additional kwargs to be specified when calling `step`, but got one at index "
                                       f"{i} in the given schedulers sequence.")
            if part.optimizer is not optimizer:
                raise TensorValueError(f"{name} expects all schedulers to belong to the same optimizer, but got "
                                       f"scheduler {type(part).__name__} at index {i} has {part.optimizer}, which is "
                                       f"different from {type(optimizer).__name__}.")

    def state_dict(self):
        """Return everything but the optimizer, with the parts' own states."""
        state = super().state_dict()
        state["_schedulers"] = [part.state_dict() for part in self._schedulers]
        return state

    def load_state_dict(self, state_dict):
        """Take over what :meth:`state_dict` returned."""
        state = dict(state_dict)
        saved = state.pop("_schedulers")
        self.__dict__.update(state)
        for part, part_state in zip(self._schedulers, saved):
            part.load_state_dict(part_state)


class ChainedScheduler(_Several):
    """Step several schedulers of one optimizer together; their effects multiply.

    Args:
        schedulers: list of schedulers.
        optimizer: their optimizer; None takes the first one's.
    """

    def __init__(self, schedulers, optimizer=None):
        if len(schedulers) < 1:
            raise TensorValueError(f"{type(self).__name__} expects at least one scheduler to be chained, but got no "
                                   "scheduler.")
        optimizer = optimizer or schedulers[0].optimizer
        self._check_parts(schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = _group_values(optimizer, "lr")

    def step(self):
        """Step every scheduler, in order."""
        for part in self._schedulers:
            part.step()
        self._last_lr = _group_values(self.optimizer, "lr")


class SequentialLR(_Several):
    """Run several schedulers one after another: warm-up, then decay.

    Args:
        optimizer: the optimizer to schedule.
        schedulers: list of schedulers on it.
        milestones: epochs at which the next scheduler takes over; one fewer than schedulers.
        last_epoch: epoch to go on from, -1 to begin.

    Example:
        >>> warmup = LinearLR(optimizer, 0.1, total_iters=5)                    # doctest: +SKIP
        >>> decay = CosineAnnealingLR(optimizer, T_max=95)                      # doctest: +SKIP
        >>> scheduler = SequentialLR(optimizer, [warmup, decay], milestones=[5])    # doctest: +SKIP
    """

    def __init__(self, optimizer, schedulers, milestones, last_epoch=-1):
        if len(schedulers) < 1:
            raise TensorValueError(f"{type(self).__name__} expects at least one scheduler, but got no scheduler.")
        self._check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise TensorValueError("Sequential Schedulers expects number of schedulers provided to be one more than "
                                   f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                                   f"and the number of milestones to be equal to {len(milestones)}")
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Each part took its initial step when it was made: go back, and let only the first one begin.
        for group in optimizer.param_groups:
            _set_option(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = self._schedulers[bisect_right(self._milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched=None):
        """Take back the initial step of every part, also inside parts made of parts."""
        sched = self if sched is None else sched
        if hasattr(sched, "_schedulers"):
            for part in sched._schedulers:
                self.recursive_undo(part)
        elif hasattr(sched, "last_epoch"):
            sched.last_epoch -= 1

    def step(self):
        """Step the scheduler whose turn it is."""
        self.last_epoch += 1
        i = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[i]
        if i > 0 and self._milestones[i - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()
