"""What the build offers, under the names of torch.backends.

Libraries that PyTorch can be built with and this package is not (MKL, oneDNN) are there to be asked; ``is_available()`` says no, and
their switches, which no code here has a use for, only hold what they were set to.
"""
from importlib import import_module

_PARTS = ("cpu", "cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum", "quantized")
__all__ = list(_PARTS)


def __getattr__(name):
    if name in _PARTS:
        return import_module("." + name, __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
