"""Replicas of a module: on several devices of one process, on the ranks of several (`distributed._ddp`)."""

from __future__ import annotations

import warnings

from ... import tensor as _t
from ...errors import DeviceError, TensorTypeError, TensorValueError
from ..modules.module import Module

__all__ = ["DataParallel", "DistributedDataParallel", "data_parallel", "gather", "parallel_apply", "replicate", "scatter"]


def __getattr__(name):
    if name == "DistributedDataParallel":            # its house is a floor above
        from importlib import import_module
        value = import_module(__package__.rpartition(".nn.")[0] + ".distributed._ddp").DistributedDataParallel
        globals()[name] = value
        return value
    if name == "distributed":
        from importlib import import_module
        return import_module(__name__ + ".distributed")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _cuda(device):
    """Return a device given as number, name or device, with its number."""
    found = _t.device("cuda", device) if isinstance(device, int) else _t.device(device)
    return _t.device("cuda", 0) if found.type == "cuda" and found.index is None else found


def to_device(value, device):
    """Return a value with the tensors in nested lists, tuples and dicts moved to a device."""
    if isinstance(value, _t.Tensor):
        return value.to(device)
    return _each(value, lambda part: to_device(part, device))


def _each(value, call):
    """Return a list, tuple, named tuple or dict of what call makes of its elements; another value as it is."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(call, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(call, value))
    if isinstance(value, dict):
        return type(value)((key, call(part)) for key, part in value.items())
    return value


def scatter(inputs, target_gpus, dim=0):
    """Cut the tensors in nested lists, tuples and dicts along a dimension, one piece a device; other values go to all.

    Args:
        inputs: tensors of shape (..., batch, ...). target_gpus: devices or their numbers.
    Returns:
        list: as many inputs as the longest batch has pieces.
    """
    devices = [_cuda(d) for d in target_gpus]

    def cut(value):
        if isinstance(value, _t.Tensor):
            return [piece.to(device) for piece, device in zip(value.chunk(len(devices), dim), devices)]
        if isinstance(value, (list, tuple, dict)) and value:
            pieces = [cut(part) for part in (value.values() if isinstance(value, dict) else value)]
            whole = [list(row) for row in zip(*pieces)]
            if isinstance(value, dict):
                return [type(value)(zip(value, row)) for row in whole]
            return [type(value)(*row) if hasattr(value, "_fields") else type(value)(row) for row in whole]
        return [value] * len(devices)
    return cut(inputs)


def scatter_kwargs(inputs, kwargs, target_gpus, dim=0):
    """Scatter positional and named arguments; returns (tuple of tuples, tuple of dicts), equally many."""
    inputs = scatter(inputs, target_gpus, dim) if inputs else []
    kwargs = scatter(kwargs, target_gpus, dim) if kwargs else []
    inputs += [()] * (len(kwargs) - len(inputs))
    kwargs += [{}] * (len(inputs) - len(kwargs))
    return tuple(inputs), tuple(kwargs)


def gather(outputs, target_device, dim=0):
    """Join what devices computed, in nested lists, tuples and dicts, along a dimension on one device; numbers become vectors.

    Args:
        outputs: one output a device. target_device: device or number; "cpu" too.
    """
    target = _t.device("cuda", target_device) if isinstance(target_device, int) else _t.device(target_device)

    def join(parts):
        first = parts[0]
        if isinstance(first, _t.Tensor):
            if all(part.dim() == 0 for part in parts) and dim == 0:
                warnings.warn("Was asked to gather along dimension 0, but all input tensors were scalars; will instead unsqueeze and return a vector.", stacklevel=4)
                parts = [part.view(1) for part in parts]
            return _t.cat([part.to(target) for part in parts], dim)
        if first is None:
            return None
        if isinstance(first, dict):
            if any(len(part) != len(first) for part in parts):
                raise TensorValueError("All dicts must have the same number of keys", op="gather")
            return type(first)((key, join([part[key] for part in parts])) for key in first)
        if isinstance(first, (list, tuple)):
            joined = map(join, map(list, zip(*parts)))
            return type(first)(*joined) if hasattr(first, "_fields") else type(first)(joined)
        raise TensorTypeError(f"gather: outputs: expected tensors, or lists, tuples and dicts of them, got {type(first).__name__}", op="gather")
    return join(list(outputs))


def replicate(network, devices, detach=False):
    """Return a copy of a module for each device, whose parameters are copies recorded in the graph: gradients add up in the originals.

    Args:
        network: the module, on the first device. detach: record nothing.
    """
    copies = []
    for device in map(_cuda, devices):
        made = {}

        def moved(value, device=device, made=made):
            if id(value) not in made:
                made[id(value)] = value.detach().to(device) if detach else value.to(device)
            return made[id(value)]
        copies.append(_replica(network, moved, {}))
    return copies


def _replica(module, moved, made):
    """Return a module's copy with moved(tensor) for its tensors; parameters become plain attributes."""
    if id(module) in made:
        return made[id(module)]
    copy = made[id(module)] = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        copy._modules[name] = None if child is None else _replica(child, moved, made)
    for name, parameter in module._parameters.items():
        if parameter is None:
            copy._parameters[name] = None
        else:
            object.__setattr__(copy, name, moved(parameter))
    for name, buffer in module._buffers.items():
        copy._buffers[name] = None if buffer is None else moved(buffer)
    return copy


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None):
    """Call each module with its inputs, one after the other: a call submits its kernels and does not wait for them.

    Args:
        inputs: a tuple of arguments, or one tensor, for each module. kwargs_tup: a dict for each, or None.
        devices: where each module is; "cuda" means that device while it is called. None: that of its first input.
    """
    from ... import cuda
    devices = devices or [None] * len(modules)
    if not len(modules) == len(inputs) == len(kwargs_tup or modules) == len(devices):
        raise TensorValueError(f"parallel_apply: expected as many inputs, kwargs and devices as modules, got {len(inputs)}, {len(kwargs_tup or modules)}, "
                               f"{len(devices)} and {len(modules)}", op="parallel_apply")
    outputs = []
    for module, args, kwargs, device in zip(modules, inputs, kwargs_tup or ({},) * len(modules), devices):
        args = args if isinstance(args, (list, tuple)) else (args,)
        if device is None:
            device = next((part.device for part in (*args, *kwargs.values()) if isinstance(part, _t.Tensor)), None)
        with cuda.device(None if device is None or _cuda(device).type == "cpu" else _cuda(device)):
            outputs.append(module(*args, **kwargs))
    return outputs


class DataParallel(Module):
    """Call a module on several devices of one process, each with a part of the batch; on none, or one, that is the module itself.

    The module's parameters lie on the first device; each call copies them to the others and sums their gradients there.

    Args:
        module: the module; found under ``.module``, its state under ``module.``.
        device_ids: numbers of CUDA devices, or devices; None: all. On a machine without CUDA the module runs where it is.
        output_device: where outputs are gathered; None: the first device.
        dim: the batch dimension.

    Example:
        >>> model = DataParallel(nn.Linear(3, 2), device_ids=[0, 1])                 # doctest: +SKIP
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0):
        super().__init__()
        self.dim = dim
        self.module = module
        available = _cuda_count()
        if device_ids is None:
            ids = list(range(available))
        else:
            ids = [_cuda(d).index or 0 for d in device_ids] if available else []
        if any(not 0 <= i < available for i in ids):
            raise DeviceError(f"DataParallel: device_ids: expected numbers below {available}, got {list(device_ids)}", op="DataParallel")
        self.device_ids = ids
        self.src_device_obj = _t.device("cuda", ids[0]) if ids else None
        self.output_device = output_device if output_device is not None else (ids[0] if ids else None)
        if len(ids) == 1:
            self.module.to(self.src_device_obj)

    def forward(self, *inputs, **kwargs):
        """Call the module."""
        if not self.device_ids:
            return self.module(*inputs, **kwargs)
        for tensor in (*self.module.parameters(), *self.module.buffers()):
            if tensor.device != self.src_device_obj:
                raise DeviceError(f"module must have its parameters and buffers on device {self.src_device_obj} (device_ids[0]) but found one of them on "
                                  f"device: {tensor.device}", op="DataParallel")
        inputs, kwargs = self.scatter(inputs, kwargs, self.device_ids)
        if not inputs:
            inputs, kwargs = ((),), ({},)
        if len(self.device_ids) == 1:
            return self.module(*inputs[0], **kwargs[0])
        used = self.device_ids[:len(inputs)]
        replicas = self.replicate(self.module, used)
        return self.gather(self.parallel_apply(replicas, inputs, kwargs), self.output_device)

    def replicate(self, module, device_ids):
        """Return copies of the module on devices."""
        return replicate(module, device_ids, not _t.is_grad_enabled())

    def scatter(self, inputs, kwargs, device_ids):
        """Cut the arguments into a part for each device."""
        return scatter_kwargs(inputs, kwargs, device_ids, self.dim)

    def parallel_apply(self, replicas, inputs, kwargs):
        """Call the copies."""
        return parallel_apply(replicas, inputs, kwargs, self.device_ids[:len(replicas)])

    def gather(self, outputs, output_device):
        """Join the outputs."""
        return gather(outputs, output_device, self.dim)


def _cuda_count():
    """Return the number of CUDA devices."""
    from ... import cuda
    return cuda.device_count() if cuda.is_available() else 0


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """Call a module once as ``DataParallel`` does."""
    if not isinstance(inputs, tuple):
        inputs = (inputs,) if inputs is not None else ()
    return DataParallel(module, device_ids, output_device, dim)(*inputs, **(module_kwargs or {}))
