"""Settings of the running process."""
from . import tensor as _t
from .errors import TensorValueError
from .tensor import _cpu



def set_default_device(device):
    """Set the device of new tensors; a device that is not available is refused.

    Raises:
        DeviceError: no back end for it.
    """
    from .tensor._backend import HINTS, is_registered
    from .errors import BackendUnavailableError
    chosen = _t.device(device)
    if not is_registered(chosen._code & 255):
        raise BackendUnavailableError(HINTS[chosen._code & 255], op="set_default_device")
    _t.set_default_device(chosen)


def get_default_device():
    """Return the device of new tensors."""
    return _t.get_default_device()


def set_default_dtype(dtype):
    """Set the float dtype of new tensors made from Python floats."""
    _t.set_default_dtype(dtype)


def get_default_dtype():
    """Return the float dtype of new tensors."""
    return _t.get_default_dtype()


def set_thread_pool_size(n):
    """Set the number of threads of CPU operators."""
    _cpu.set_num_threads(n)


def get_thread_pool_size():
    """Return the number of threads of CPU operators."""
    return _cpu.get_num_threads()


def use_deterministic(enabled=True):
    """Make results the same bits on every run and with every number of threads; costs a little in matrix products.

    Another name of ``use_deterministic_algorithms``; sums keep one order on every machine that has the same instruction set.
    """
    _t.use_deterministic_algorithms(bool(enabled))


def is_deterministic():
    """Tell whether deterministic results were asked for."""
    return _t.are_deterministic_algorithms_enabled()


def set_fast_convolution(enabled=True):
    """Let float32 convolutions with kernels of 3 to 5 taps and strides of 1 and 2 use Winograd's minimal filtering where it is faster (the default).

    A quarter or a third of the multiplications; the rounding error of a result is two to eight times that of the plain sum (some
    2e-6 of the largest result), and an infinite or NaN input reaches results up to three positions further. PyTorch's CPU kernels
    do not rearrange these products. It is off under ``use_deterministic()`` too.
    When disabled, a ``Sequential`` in evaluation also computes a convolution, its batch normalization and its ReLU one after the other
    rather than in one pass, whose rounding differs.

    Example:
        >>> set_fast_convolution(False)
        >>> is_fast_convolution()
        False
        >>> set_fast_convolution()
    """
    from .tensor import _conv
    _conv.set_fast_convolution(bool(enabled))


def is_fast_convolution():
    """Tell whether 3x3 and 5x5 convolutions may use fewer products."""
    from .tensor import _conv
    return _conv.get_fast_convolution()


def simd_level():
    """Return the instruction set in force: "baseline", "avx2" or "avx512"."""
    return _cpu.simd_level()


def set_simd_level(name):
    """Choose the instruction set of the kernels."""
    _cpu.set_simd_level(name)


def set_simd_enabled(enabled):
    """Use the widest instruction set, or the portable baseline."""
    _cpu.set_simd_enabled(enabled)


def enable_fast_math(enabled=True):
    """Treat denormal numbers as zero, which spares the processor's slow path; return whether it can.

    Results differ from IEEE arithmetic only for values below the smallest normal number (1.2e-38 in float32).
    """
    return _cpu.set_flush_denormal(bool(enabled))


def is_fast_math_enabled():
    """Tell whether denormal numbers are treated as zero."""
    return _cpu.get_flush_denormal()


def set_prepack_limit(nbytes):
    """Set the size in bytes of the weights of ``Linear`` that may stay packed between calls (16 MiB at first); 0: none do.

    A weight that is used a second time without a write in between, while nothing is recorded for it, keeps a copy in the order in which the
    kernels read it, where more than some rows meet it: the results are the same bits, without packing in each call. The copy is as large as the
    weight, is freed with its memory and is made anew after a write. Memory whose address was given away (``data_ptr()``, ``numpy()``,
    ``from_numpy``, DLPack, shared memory) has none.

    Raises:
        ValueError: ``nbytes`` is negative.

    Example:
        >>> set_prepack_limit(1 << 20)
        >>> get_prepack_limit()
        1048576
        >>> set_prepack_limit(1 << 24)
    """
    from .tensor import _gemm
    if nbytes < 0:
        raise TensorValueError(f"set_prepack_limit: expected a size of 0 or more bytes, got {nbytes}", op="set_prepack_limit")
    _gemm.set_prepack_limit(nbytes)


def get_prepack_limit():
    """Return the size in bytes of the largest weights that may stay packed."""
    from .tensor import _gemm
    return _gemm.get_prepack_limit()
