"""Quantized kernels: this package has none, so there is no engine to choose."""
import sys
import types

from ..errors import UnsupportedOpError

supported_engines = []


class _Quantized(types.ModuleType):
    """Refuses an engine, as PyTorch does for one that is not among ``supported_engines``."""

    @property
    def engine(self):
        """Name of the engine in use: "none"."""
        return "none"

    @engine.setter
    def engine(self, value):
        raise UnsupportedOpError(f"backends.quantized: quantized engine {value!r} is not supported; there are no quantized kernels",
                                 op="backends.quantized")


sys.modules[__name__].__class__ = _Quantized
