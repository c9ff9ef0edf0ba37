"""`rustorch info`."""
from __future__ import annotations

import ctypes
import importlib.util
import os
import platform

# What an extra is for, and the module that tells whether it is there.
EXTRAS = (("cuda", "NVIDIA GPUs", "cuda.bindings"), ("mpi", "distributed training", "mpi4py"),
          ("viz", "pictures", "matplotlib"), ("demo", "the digits demo", "sklearn"), ("torch", "exchange with PyTorch", "torch"),
          ("onnx", "ONNX files", "onnx"), ("notebooks", "tutorials", "nbclient"), ("automl", "hyperparameter search", "optuna"),
          ("test", "the test suite", "hypothesis"))


def _present(module):
    """Whether a module could be imported, without importing it."""
    parent = module.partition(".")[0]
    if importlib.util.find_spec(parent) is None:
        return False
    return parent == module or importlib.util.find_spec(module) is not None


def _blas(package):
    """Return what the OpenBLAS inside the package says of itself: version, build, kernels in use."""
    folder = os.path.join(package, "_libs")
    names = sorted(n for n in os.listdir(folder) if n.endswith((".so", ".dylib")))
    library = ctypes.CDLL(os.path.join(folder, names[0]))
    texts = []
    for function in (library.scipy_openblas_get_config, library.scipy_openblas_get_corename):
        function.restype = ctypes.c_char_p
        texts.append(function().decode())
    return f"{texts[0].strip()}, running {texts[1]} kernels"


def run(arguments):
    """Print what this installation is; returns the exit code."""
    import rustorch_py as root

    def line(name, text):
        print(f"{name:<18} {text}")

    line("rustorch_py", f"{root.__version__}  ({root.__path__[0]})")
    line("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    line("SIMD", root.config.simd_level())
    line("threads", root.get_num_threads())
    line("BLAS", _blas(root.__path__[0]))
    line("device cpu", "available")
    for name in ("cuda", "metal"):
        backend = getattr(root, name)
        if backend.is_available():
            line(f"device {name}", f"available, {backend.device_count()} device(s)")
        else:
            line(f"device {name}", "not available")
    for name, purpose, module in EXTRAS:
        line(f"extra {name}", ("installed" if _present(module) else f"not installed: pip install rustorch_py[{name}]")
             + f"  ({purpose})")
    return 0
