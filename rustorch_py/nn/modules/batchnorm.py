"""Batch normalization layers."""

from __future__ import annotations

import sys
from importlib import import_module

from ... import tensor as _t
from .. import functional as F
from .. import init
from ..parameter import Parameter
from .module import Module

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"]


def _check_dims(input, allowed):
    n = input.dim()
    if n not in allowed:
        raise ValueError(f"expected {' or '.join(f'{d}D' for d in allowed)} input (got {n}D input)")


class _NormBase(Module):
    """What batch and instance normalization share: affine weights and running statistics."""

    _version = 2

    def __init__(
        self,
        num_features,
        eps=1e-05,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = Parameter(_t.empty(num_features, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(_t.empty(num_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", _t.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", _t.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", _t.tensor(0, dtype=_t.int64, device=device))
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Set the running mean to 0, the variance to 1, the count to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Set the weight to 1, the bias to 0, and the statistics to their start."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input):
        raise NotImplementedError

    def extra_repr(self):
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        version = local_metadata.get("version")
        key = prefix + "num_batches_tracked"
        if (version is None or version < 2) and self.track_running_stats and key not in state_dict:
            # State dicts of version 1 did not count batches.
            own = self.num_batches_tracked
            state_dict[key] = own if own is not None else _t.tensor(0, dtype=_t.int64)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    """Normalize each channel over batch and space.

    Args:
        num_features: number of channels.
        eps: added to the variance.
        momentum: share of a batch in the running statistics; None averages all batches equally.
        affine: learn a scale and (with ``bias``) a shift.
        track_running_stats: keep statistics for evaluation.
        bias: learn a shift.

    Source: Ioffe and Szegedy (2015), Batch normalization.
    """

    def forward(self, input):
        """Normalize the input."""
        self._check_input_dim(input)
        training = self.training
        if not training and self.eps >= 0 and self.running_mean is not None and self.running_var is not None:
            return _t.batch_norm(input, self.weight, self.bias, self.running_mean, self.running_var, False, 0.0, self.eps)
        factor = self.momentum
        if training and self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if factor is None:
                factor = 1.0 / float(self.num_batches_tracked)
        if factor is None:
            factor = 0.0
        if training and not self.track_running_stats:
            mean = var = None
        else:
            mean, var = self.running_mean, self.running_var
        own_stats = training or (self.running_mean is None and self.running_var is None)
        return F.batch_norm(input, mean, var, self.weight, self.bias, own_stats, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__

    def _check_input_dim(self, input):
        _check_dims(input, (2, 3))


class BatchNorm2d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__

    def _check_input_dim(self, input):
        if input.dim() != 4:
            _check_dims(input, (4,))


class BatchNorm3d(_BatchNorm):
    __doc__ = _BatchNorm.__doc__

    def _check_input_dim(self, input):
        _check_dims(input, (5,))


class SyncBatchNorm(_BatchNorm):
    """Normalize each channel over the batches of all processes.

    In a single process, and in evaluation, that is batch normalization. Arguments are those of
    ``BatchNorm2d``, and ``process_group`` (None: the default group, if there is one).
    """

    def __init__(
        self,
        num_features,
        eps=1e-05,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.shape[1] == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    def _group(self):
        """Return the group to normalize over, None where this process is alone."""
        dist = sys.modules.get(__package__.split(".")[0] + ".distributed")
        if dist is None or not dist.is_initialized():
            return None
        group = dist.group.WORLD if self.process_group is None else self.process_group
        return group if group.size() > 1 else None

    def forward(self, input):
        group = self._group() if self.training else None
        if group is None:
            return super().forward(input)
        self._check_input_dim(input)
        momentum = 0.0 if self.momentum is None else self.momentum
        keep = self.track_running_stats and self.running_mean is not None
        if self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)
        # the statistics travel by the distributed package, a floor above
        norm = import_module(__package__.split(".")[0] + ".distributed._sync_norm").sync_batch_norm
        return norm(input, self.weight, self.bias, self.running_mean if keep else None, self.running_var if keep else None, momentum, self.eps, group)

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """Return the module with every batch normalization replaced by a SyncBatchNorm."""
        out = module
        if isinstance(module, _BatchNorm):
            out = SyncBatchNorm(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                out.weight = module.weight
                out.bias = module.bias
            out.running_mean = module.running_mean
            out.running_var = module.running_var
            out.num_batches_tracked = module.num_batches_tracked
            out.training = module.training
        for name, child in module.named_children():
            out.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return out
