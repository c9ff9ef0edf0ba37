"""What an operator of a library does under vmap and under autocast: register_vmap, register_autocast."""
from collections import namedtuple

from ..amp import autocast
from ..func._batched import batched, below, is_at, level_stack
from ..tensor import Tensor, float64, is_autocast_enabled
from ._define import resolve

VmapInfo = namedtuple("VmapInfo", "batch_size randomness")


def register_vmap(op, func=None, /, *, lib=None):
    """Register what an operator does with all examples of a vmap at once.

    Args:
        op: the operator, or its name.
        func: called with (info, in_dims, *args): info.batch_size and info.randomness; in_dims has, for each positional
            argument, the dimension of its examples or None (a list for a list); args hold all examples. It returns
            (output, out_dims). Left out: a decorator.

    Example:
        >>> import rustorch_py as torch
        >>> @torch.library.custom_op("doc_modes::double", mutates_args=())
        ... def double(x: torch.Tensor) -> torch.Tensor:
        ...     return x * 2
        >>> @double.register_vmap
        ... def rule(info, in_dims, x):
        ...     return double(x), in_dims[0]
        >>> torch.vmap(double)(torch.ones(2, 3)).shape
        torch.Size([2, 3])
    """
    found = resolve(op, "register_vmap")

    def register(fn):
        if not callable(fn):
            raise TypeError(f"register_vmap: expected a callable, got {type(fn).__name__}")
        found._vmap = fn
        return fn
    return register if func is None else register(func)


def register_autocast(op, device_type, cast_inputs, /, *, lib=None):
    """Register the dtype in which an operator runs while autocast is on: its float tensors (but float64) are converted to it.

    Args:
        op: the operator, or its name.
        device_type: "cpu" or "cuda".
        cast_inputs: the dtype.
    """
    if device_type not in ("cpu", "cuda"):
        raise ValueError(f"Unknown device type: {device_type}")
    resolve(op, "register_autocast")._autocast[device_type] = cast_inputs


def _each(f, x):
    return [_each(f, v) for v in x] if isinstance(x, (list, tuple)) else f(x)


def _mapped(op, level, values, named):
    """One call of the operator's own rule for a level of vmap."""
    def dim(x):
        return 0 if is_at(x, level) else None

    def value(x):
        return x._value if is_at(x, level) else x
    with below(level):
        out, dims = op._vmap(VmapInfo(level.size, level.randomness), tuple(_each(dim, v) for v in values), *(_each(value, v) for v in values),
                             **{k: _each(value, v) for k, v in named.items()})

    def wrap(x, d):
        if isinstance(x, (list, tuple)):
            return type(x)(wrap(v, w) for v, w in zip(x, d if isinstance(d, (list, tuple)) else [d] * len(x)))
        return x if d is None or not isinstance(x, Tensor) else batched(x.movedim(d, 0), level)
    return wrap(out, dims)


def _flat(values):
    for v in values:
        yield from _flat(v) if isinstance(v, (list, tuple)) else (v,)


def special_call(op, values, named):
    """Make the call if vmap or autocast has a say in it; NotImplemented: neither has."""
    if op._vmap is not None:
        given = list(_flat([*values, *named.values()]))
        for level in reversed(level_stack()):
            if any(is_at(x, level) for x in given):
                return _mapped(op, level, values, named)
    device = op._device_type(values, named) or "cpu"
    dtype = op._autocast.get(device)
    if dtype is None or not is_autocast_enabled(device):
        return NotImplemented

    def cast(x):
        return x.to(dtype) if isinstance(x, Tensor) and x.is_floating_point() and x.device.type == device and x.dtype is not float64 else x
    with autocast(device, enabled=False):
        return op(*(_each(cast, v) for v in values), **{k: _each(cast, v) for k, v in named.items()})
