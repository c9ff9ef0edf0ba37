"""Regions in which operators choose their dtype (see Note [Autocast] in tensor/_autocast.pyx)."""
from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping

from .. import tensor as _t
from ..errors import DeviceError
from ..tensor._backend import is_registered
from ..tensor._autocast import is_autocast_available

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

_DTYPES = (_t.bfloat16, _t.float16)


class autocast:
    """Run products in a 16-bit float and delicate sums in float32, inside a ``with`` block or a decorated function.

    Weights stay float32 and get float32 gradients. Call ``backward()`` outside the block. The state belongs to the thread.

    Args:
        device_type: "cpu", "cuda", ...: whose tensors are cast.
        dtype: torch.bfloat16 or torch.float16; `get_autocast_dtype(device_type)` if absent.
        enabled: False switches a surrounding region off.
        cache_enabled: keep the cast of each weight until the outermost region is left; None leaves it as it is.

    Raises:
        DeviceError: the device type has no autocast.

    Example:
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     loss = criterion(model(x), y)
        >>> loss.backward()
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if not is_autocast_available(device_type):
            raise DeviceError(f"User specified an unsupported autocast device_type '{device_type}'", op="autocast")
        self.device = device_type
        self.fast_dtype = _t.get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = _t.is_autocast_cache_enabled() if cache_enabled is None else bool(cache_enabled)
        if enabled and device_type == "cuda" and not is_registered(1):
            warnings.warn("CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2)
            enabled = False
        elif enabled and self.fast_dtype not in _DTYPES:
            name = device_type.upper()
            warnings.warn(f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n{name} Autocast only supports "
                          f"dtypes of {', '.join(map(str, _DTYPES))} currently.", stacklevel=2)
            enabled = False
        self._enabled = bool(enabled)
        self._before = []         # states to put back: one object may be entered again before it is left

    def __enter__(self):
        self._before.append((_t.is_autocast_enabled(self.device), _t.get_autocast_dtype(self.device), _t.is_autocast_cache_enabled()))
        _t.set_autocast_enabled(self.device, self._enabled)
        _t.set_autocast_dtype(self.device, self.fast_dtype)
        _t.autocast_increment_nesting()
        _t.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, *error):
        if _t.autocast_decrement_nesting() == 0:
            _t.clear_autocast_cache()
        enabled, dtype, cached = self._before.pop()
        _t.set_autocast_enabled(self.device, enabled)
        _t.set_autocast_dtype(self.device, dtype)
        _t.set_autocast_cache_enabled(cached)
        return False

    def __call__(self, func):
        if not callable(func):
            raise TypeError(f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you mean to use autocast as a "
                            "context manager? For example:\n    with torch.autocast(device_type=...):\n        output = model(input)")

        @functools.wraps(func)
        def inside(*args, **kwargs):
            with self:
                return func(*args, **kwargs)
        return inside


def _cast(value, device_type, dtype):
    """Cast the floating-point tensors of a device (but float64) in nested containers."""
    if isinstance(value, _t.Tensor):
        fits = value.is_floating_point() and value.device.type == device_type and value.dtype != _t.float64
        return value.to(dtype) if fits else value
    if isinstance(value, Mapping):
        return {_cast(k, device_type, dtype): _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value


def _checked(device_type):
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(fwd=None, *, device_type, cast_inputs=None):
    """Decorate ``forward`` of an autograd.Function for use under autocast.

    Args:
        fwd: the static method; its first argument is ctx.
        device_type: "cpu", "cuda", ...
        cast_inputs: dtype; inside a region, floating-point tensors are cast to it and forward runs with autocast off.
            None runs forward with autocast as it is.
    """
    _checked(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx, *args, **kwargs):
        ctx._dtype = _t.get_autocast_dtype(device_type)
        inside = _t.is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = inside and cast_inputs is None
        if cast_inputs is None or not inside:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            return fwd(ctx, *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs))
    return forward


def custom_bwd(bwd=None, *, device_type):
    """Decorate ``backward`` of an autograd.Function so that it runs with the autocast state that its forward had.

    Args:
        bwd: the static method; its first argument is ctx.
        device_type: "cpu", "cuda", ...
    """
    _checked(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx, *args, **kwargs):
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args, **kwargs)
    return backward
