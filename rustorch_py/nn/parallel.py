"""Replicas of a module: on several devices of one process, on the ranks of several (`distributed._ddp`)."""

from __future__ import annotations

from .. import tensor as _t
from ..errors import BackendUnavailableError
from .modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel"]


def __getattr__(name):
    if name == "DistributedDataParallel":            # its house is a floor above
        from importlib import import_module
        value = import_module(__package__.rpartition(".")[0] + ".distributed._ddp").DistributedDataParallel
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class DataParallel(Module):
    """Call a module on the given devices; with none, or one, that is the module itself.

    Args:
        module: the module; found under ``.module``, its state under ``module.``.
        device_ids: numbers of CUDA devices. On a machine without CUDA the module runs where it is.
        output_device: where outputs are gathered.
        dim: the batch dimension.
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.dim = dim
        self.module = module
        available = _cuda_count()
        ids = list(range(available)) if device_ids is None else [int(getattr(d, "index", d) or 0) for d in device_ids]
        self.device_ids = [d for d in ids if d < available]
        self.output_device = output_device if output_device is not None else (ids[0] if ids else None)
        if len(self.device_ids) > 1:
            raise BackendUnavailableError(
                "DataParallel: several CUDA devices in one process are not supported yet; "
                "use one device, or one process per device",
                op="DataParallel",
            )
        if self.device_ids:
            self.module.to(_t.device("cuda", self.device_ids[0]))

    def forward(self, *inputs, **kwargs):
        """Call the module."""
        return self.module(*inputs, **kwargs)


def _cuda_count():
    """Return the number of CUDA devices without loading anything for it."""
    import sys

    cuda = sys.modules.get(__package__.rpartition(".")[0] + ".cuda")
    return cuda.device_count() if cuda is not None and cuda.is_available() else 0


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """Call a module once as ``DataParallel`` does."""
    if not isinstance(inputs, tuple):
        inputs = (inputs,) if inputs is not None else ()
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
