"""Padding layers."""

from __future__ import annotations

from .. import functional as F
from .batchnorm import _check_dims
from .module import Module
from .utils import _ntuple

__all__ = [f"{kind}Pad{n}d" for kind in ("Circular", "Constant", "Reflection", "Replication", "Zero") for n in (1, 2, 3)]


class _PadNd(Module):
    """Enlarge the last ``_n`` dimensions.

    Args:
        padding: one amount for all ends, or (before, after) from the last dimension backwards.
    """

    _n: int
    _mode: str

    def __init__(self, padding):
        super().__init__()
        self.padding = _ntuple(2 * self._n)(padding)

    def forward(self, input):
        """Pad the input."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"

    def _check_input_dim(self, input):
        _check_dims(input, (self._n + 1, self._n + 2))

    def forward(self, input):
        """Pad the input."""
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")


class _ConstantPadNd(_PadNd):
    """Enlarge the last ``_n`` dimensions with a constant.

    Args:
        padding: one amount for all ends, or (before, after) from the last dimension backwards.
        value: the constant.
    """

    _mode = "constant"

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        """Pad the input."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Pad sequences with their other end."""

    _n = 1


class CircularPad2d(_CircularPadNd):
    """Pad images with their other end."""

    _n = 2


class CircularPad3d(_CircularPadNd):
    """Pad volumes with their other end."""

    _n = 3


class ConstantPad1d(_ConstantPadNd):
    """Pad sequences with a constant."""

    _n = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad images with a constant."""

    _n = 2


class ConstantPad3d(_ConstantPadNd):
    """Pad volumes with a constant."""

    _n = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pad sequences with their mirror image (without the edge)."""

    _n = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pad images with their mirror image (without the edge)."""

    _n = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pad volumes with their mirror image (without the edge)."""

    _n = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pad sequences with their edge."""

    _n = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pad images with their edge."""

    _n = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pad volumes with their edge."""

    _n = 3


class _Zero:
    """Mixin: the constant is zero and not shown."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad1d(_Zero, ConstantPad1d):
    """Pad sequences with zeros."""


class ZeroPad2d(_Zero, ConstantPad2d):
    """Pad images with zeros."""


class ZeroPad3d(_Zero, ConstantPad3d):
    """Pad volumes with zeros."""
