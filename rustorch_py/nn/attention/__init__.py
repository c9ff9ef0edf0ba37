"""Choice of the attention kernel, attention with score functions, and a cache of keys and values.

The choice is checked and remembered but picks no kernel: the CPU has one, and on CUDA ``backends.cudnn.enabled`` tells cuDNN's from the
package's own.
"""

from __future__ import annotations

from contextlib import contextmanager
from enum import IntEnum

from ...errors import TensorError

__all__ = ["KVCache", "SDPBackend", "sdpa_kernel"]


class SDPBackend(IntEnum):
    """Kernels of ``scaled_dot_product_attention`` that PyTorch names."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4

    def __str__(self):
        return f"SDPBackend.{self.name}"


_allowed = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH, SDPBackend.CUDNN_ATTENTION]


def _cur_sdpa_kernel_backends(with_priority=False):
    """Return the backends that are allowed now."""
    return list(_allowed)


@contextmanager
def sdpa_kernel(backends, set_priority=False):
    """Allow only the given backends inside this context.

    Args:
        backends: a ``SDPBackend`` or a list of them.
        set_priority: the list's order is an order of preference.
    """
    global _allowed
    if not isinstance(backends, (list, SDPBackend)):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    given = [backends] if isinstance(backends, SDPBackend) else list(dict.fromkeys(backends))
    for backend in given:
        if not isinstance(backend, SDPBackend) or backend is SDPBackend.ERROR:
            raise TensorError(f"sdpa_kernel: {backend!r} is no kernel; expected members of SDPBackend", op="sdpa_kernel")
    before = _allowed
    _allowed = given
    try:
        yield {}
    finally:
        _allowed = before


def __getattr__(name):
    if name == "KVCache":
        from ._cache import KVCache

        globals()[name] = KVCache
        return KVCache
    if name in ("flex_attention", "bias"):
        from importlib import import_module

        module = globals()[name] = import_module("." + name, __name__)
        return module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
