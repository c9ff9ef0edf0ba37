"""Tensors over files mapped into memory."""
import os

from . import _data, _dtype
from ..errors import TensorError, TensorTypeError, TensorValueError


def from_file(filename, shared=None, size=0, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Make a one-dimensional tensor over a file, without reading it first.

    Args:
        filename: path.
        shared: True: writes go to the file, which is made or enlarged where it is too short. Otherwise they stay in this process.
        size: number of elements.
        dtype: the default float dtype if absent.
        layout: torch.strided.
        device: the CPU.
        pin_memory: only False.

    Raises:
        TensorError: the file is shorter than ``size`` elements.
        TensorTypeError: ``filename`` is no path.

    Example:
        >>> torch.from_file("weights.bin", shared=False, size=10, dtype=torch.float64)    # doctest: +SKIP
    """
    import mmap
    if not isinstance(filename, (str, bytes, os.PathLike)):
        raise TensorTypeError(f"from_file(): argument 'filename' (position 1) must be str, not {type(filename).__name__}", op="from_file")
    if layout not in (None, _dtype.strided):
        raise TensorValueError(f"from_file: layout must be torch.strided, got {layout}", op="from_file")
    if device is not None and _dtype.device(device).type != "cpu":
        raise TensorValueError(f"from_file: only CPU tensors can be mapped to files, got device '{device}'", op="from_file")
    if pin_memory:
        raise TensorError("from_file: tensors over files cannot be in pinned memory", op="from_file")
    if size < 0:
        raise TensorValueError(f"from_file: size must not be negative, got {size}", op="from_file")
    dtype = _dtype.get_default_dtype() if dtype is None else dtype
    needed = size * dtype.itemsize
    handle = os.open(filename, os.O_RDWR | os.O_CREAT if shared else os.O_RDONLY, 0o666)
    try:
        length = os.fstat(handle).st_size
        if length < needed:
            if not shared:
                raise TensorError(f"from_file: file <{os.fspath(filename)}> of {length} bytes is shorter than size {size} x {dtype} = "
                                  f"{needed} bytes", op="from_file")
            os.truncate(handle, needed)                # new bytes are zeros
        if not needed:
            return _data.tensor([], dtype=dtype, requires_grad=requires_grad)
        memory = mmap.mmap(handle, needed, access=mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY)
    finally:
        os.close(handle)
    return _data.frombuffer(memory, dtype=dtype, count=size, requires_grad=requires_grad)


FUNCTIONS = {"from_file": from_file}
