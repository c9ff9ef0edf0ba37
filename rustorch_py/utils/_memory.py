"""The memory of tensors as plain bytes."""
from __future__ import annotations

from .. import tensor as _t


def bytes_of(tensor):
    """Return a CPU tensor's elements as bytes, writable and without a copy if it is contiguous."""
    return memoryview(tensor.detach().contiguous().reshape(-1).view(_t.uint8))


def dtype_name(dtype):
    """Return ``"float32"`` of ``rustorch_py.float32``."""
    return str(dtype).rpartition(".")[2]
