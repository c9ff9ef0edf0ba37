"""cuDNN: convolutions and attention of CUDA devices go through it where it and NVIDIA's frontend for it are installed.

Its switches are attributes, as in PyTorch: ``enabled``, ``benchmark`` (time the plans that cuDNN offers, once a signature, and keep the
fastest), ``benchmark_limit`` (how many of them; 0: all), ``deterministic`` and ``allow_tf32`` (float32 convolutions may round their inputs
to TF32).
"""
import sys
from contextlib import contextmanager
from types import ModuleType

from ..cuda import _dnn_switches, is_available as _has_device

_NAMES = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")


def _library():
    """The frontend's module, or None."""
    if not _has_device():
        return None
    from ..cuda import _dnn
    return _dnn.library()


def is_available():
    """Tell whether there is a CUDA device and cuDNN can be used on it."""
    return _library() is not None


def version():
    """Return cuDNN's version as a number (91200 is 9.12.0), or None where it can't be used."""
    found = _library()
    return None if found is None else found.backend_version()


def is_acceptable(tensor):
    """Tell whether a convolution of this tensor may go through cuDNN: a float tensor on a CUDA device, with :attr:`enabled` on."""
    return bool(_dnn_switches.enabled and tensor.is_cuda and tensor.is_floating_point() and is_available())


def plans():
    """Return what each signature of a convolution or attention that was met runs.

    Returns:
        list of (operation, dtype, sizes, strides and switches as a tuple, "cuDNN: " and its plan or why the package's own kernel runs).

    Example:
        >>> rustorch_py.backends.cudnn.plans()          # without a device nothing was met
        []
    """
    if not _has_device():
        return []
    from ..cuda import _dnn
    return _dnn.plans()


@contextmanager
def flags(enabled=False, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True):
    """Hold other switches for a block."""
    before = [getattr(_dnn_switches, n) for n in _NAMES]
    for name, value in zip(_NAMES, (enabled, benchmark, benchmark_limit, deterministic, allow_tf32)):
        setattr(_dnn_switches, name, value)
    try:
        yield
    finally:
        for name, value in zip(_NAMES, before):
            setattr(_dnn_switches, name, value)


class _Module(ModuleType):
    """The module with its switches as attributes."""


def _switch(name):
    return property(lambda self: getattr(_dnn_switches, name), lambda self, value: setattr(_dnn_switches, name, value))


for _name in _NAMES:
    setattr(_Module, _name, _switch(_name))
sys.modules[__name__].__class__ = _Module
