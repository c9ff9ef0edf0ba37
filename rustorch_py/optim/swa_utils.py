"""Averages of a model's weights along training, and the schedule that goes with them."""
from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain

from .. import tensor as _t
from ..errors import TensorValueError
from ..nn import Module
from .lr_scheduler import LRScheduler, _per_group

__all__ = ["AveragedModel", "update_bn", "SWALR", "get_ema_multi_avg_fn", "get_swa_multi_avg_fn", "get_ema_avg_fn",
           "get_swa_avg_fn"]


def _check_decay(decay):
    if not 0.0 <= decay <= 1.0:
        raise TensorValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def _has_fractions(tensor):
    return tensor.is_floating_point() or tensor.is_complex()


def get_ema_multi_avg_fn(decay=0.999):
    """Return a function that moves a list of averages towards a list of values, exponentially.

    Args:
        decay: how much of an average is kept.
    """
    _check_decay(decay)

    def ema_update(ema_param_list, current_param_list, _):
        with _t.no_grad():
            for average, value in zip(ema_param_list, current_param_list):
                if _has_fractions(average):
                    average.lerp_(value, 1 - decay)
                else:
                    average.copy_(average * decay + value * (1 - decay))
    return ema_update


def get_swa_multi_avg_fn():
    """Return a function that takes a list of values into a list of plain means."""
    def swa_update(averaged_param_list, current_param_list, num_averaged):
        with _t.no_grad():
            share = 1 / (float(num_averaged) + 1)
            for average, value in zip(averaged_param_list, current_param_list):
                if _has_fractions(average):
                    average.lerp_(value, share)
                else:
                    average.copy_(average + (value - average) * share)
    return swa_update


def get_ema_avg_fn(decay=0.999):
    """Return a function from (average, value, count) to the next exponential average.

    Args:
        decay: how much of the average is kept.
    """
    _check_decay(decay)

    def ema_update(ema_param, current_param, num_averaged):
        with _t.no_grad():
            return decay * ema_param + (1 - decay) * current_param
    return ema_update


def get_swa_avg_fn():
    """Return a function from (average, value, count) to the next plain mean."""
    def swa_update(averaged_param, current_param, num_averaged):
        with _t.no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)
    return swa_update


class _OneAveragingFunction(TensorValueError, AssertionError):
    """Two averaging functions were given; PyTorch asserts here."""


class AveragedModel(Module):
    """A copy of a model whose parameters are averages over its training.

    Args:
        model: the model; it is copied.
        device: where the averages live; None: where the model does.
        avg_fn: function (average, value, count) -> average; None: the plain mean.
        multi_avg_fn: function (averages, values, count) on lists, in place, instead of ``avg_fn``.
        use_buffers: average the buffers too; otherwise they are copied.

    Example:
        >>> ema = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.999))    # doctest: +SKIP
        >>> ema.update_parameters(model)      # after each optimizer step              # doctest: +SKIP
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise _OneAveragingFunction("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", _t.zeros((), dtype=_t.int64, device=device or "cpu"))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model):
        """Take the model's present parameters into the averages.

        Args:
            model: the model in training.
        """
        with_buffers = self.use_buffers
        own = chain(self.module.parameters(), self.module.buffers()) if with_buffers else self.module.parameters()
        new = chain(model.parameters(), model.buffers()) if with_buffers else model.parameters()
        averages, values = [], []
        for average, value in zip(own, new):
            averages.append(average.detach())
            values.append(value.detach().to(average.device))
        with _t.no_grad():
            if self.n_averaged == 0:
                for average, value in zip(averages, values):
                    average.copy_(value)
            elif self.avg_fn is not None:
                for average, value in zip(averages, values):
                    average.copy_(self.avg_fn(average, value, self.n_averaged.to(average.device)))
            else:
                update = self.multi_avg_fn or get_swa_multi_avg_fn()
                groups = {}      # a list-wide function may ask for one device and dtype
                for average, value in zip(averages, values):
                    pair = groups.setdefault((average.device, average.dtype), ([], []))
                    pair[0].append(average)
                    pair[1].append(value)
                for (device, _), (group, group_values) in groups.items():
                    update(group, group_values, self.n_averaged.to(device))
            if not with_buffers:
                for average, value in zip(self.module.buffers(), model.buffers()):
                    average.detach().copy_(value.detach().to(average.device))
            self.n_averaged += 1


def update_bn(loader, model, device=None):
    """Compute the running statistics of all batch norms anew, from one run over the data.

    Args:
        loader: iterable of batches; of a tuple or list the first part is the input.
        model: the model, usually an :class:`AveragedModel`.
        device: where batches are sent; None: they stay.
    """
    from ..nn.modules.batchnorm import _BatchNorm
    with _t.no_grad():
        momenta = {}
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.reset_running_stats()
                momenta[module] = module.momentum
        if not momenta:
            return
        was_training = model.training
        model.train()
        for module in momenta:
            module.momentum = None      # plain mean over all batches
        try:
            for batch in loader:
                if isinstance(batch, (list, tuple)):
                    batch = batch[0]
                model(batch if device is None else batch.to(device))
        finally:
            for module, momentum in momenta.items():
                module.momentum = momentum
            model.train(was_training)


class SWALR(LRScheduler):
    """Lead the rate to a constant in ``anneal_epochs`` epochs.

    Args:
        optimizer: the optimizer to schedule.
        swa_lr: the constant, a number or one per group.
        anneal_epochs: epochs until it is reached.
        anneal_strategy: ``"cos"`` or ``"linear"``.
        last_epoch: epoch to go on from, -1 to begin.

    Source:
        Izmailov et al., Averaging weights leads to wider optima and better generalization, 2018.
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        for value, group in zip(_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = value
        if anneal_strategy not in ("cos", "linear"):
            raise TensorValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        self._anneal_strategy = anneal_strategy
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise TensorValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def anneal_func(self, t):
        """Return the share of the way at time ``t`` in [0, 1]."""
        return (1 - math.cos(math.pi * t)) / 2 if self._anneal_strategy == "cos" else t

    def get_lr(self):
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        epochs = max(1, self.anneal_epochs)
        before = self.anneal_func(max(0, min(1, (step - 1) / epochs)))
        now = self.anneal_func(max(0, min(1, step / epochs)))
        rates = []
        for group in self.optimizer.param_groups:
            target = group["swa_lr"]
            # Where the way began, from where it stands now.
            start = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates
