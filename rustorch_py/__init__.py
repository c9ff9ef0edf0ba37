"""rustorch_py: PyTorch's API in a package of a few megabytes.

``import rustorch_py as torch`` and go on. Subpackages load when first used.
"""
import os as _os

# How threads wait for work. kernels/region.c and libgomp read this once, when the tensor core is loaded; the environment stays the user's.
# Sleeping threads cost 5 to 50 us to wake; libgomp's default, spinning for some 10 ms, costs a factor of ten and more as soon as other
# processes want the same cores. So they spin for a few 100 us where half of the cores are idle now, and else sleep at once.
_waiting = {"OMP_WAIT_POLICY": "passive"}
if hasattr(_os, "getloadavg") and _os.getloadavg()[0] <= 0.5 * (_os.cpu_count() or 1):
    _waiting["GOMP_SPINCOUNT"] = "10000"
if _os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}:
    _waiting = {}
_os.environ.update(_waiting)

from ._version import __version__  # noqa: E402
from . import errors
from .errors import (BackendUnavailableError, DeviceError, OutOfMemoryError, RustorchError, ShapeError, TensorError)
from . import tensor
from .tensor import (Size, Tensor, _face_names, device, dtype, layout, memory_format, no_grad, enable_grad, set_grad_enabled, inference_mode,
                     is_grad_enabled, is_inference_mode_enabled, strided, contiguous_format, channels_last, channels_last_3d, preserve_format)
from .tensor import contiguous_format as legacy_contiguous_format
from . import autograd
from .tensor._cpu import set_flush_denormal, get_num_threads, set_num_threads, set_simd_enabled

if _os.environ.get("RUSTORCH_LOG_LEVEL"):
    from . import _log
    _log.configure()

for _name in _waiting:
    del _os.environ[_name]

inf = float("inf")
nan = float("nan")
pi = 3.141592653589793
e = 2.718281828459045
newaxis = None

_SUBMODULES = ("nn", "optim", "data", "utils", "training", "visualization", "testing", "callbacks", "cuda", "metal", "mps", "backends", "linalg", "special", "fft",
               "signal", "memory", "config", "operations", "random", "jit", "profiler", "distributions", "distributed", "library", "ops", "func",
               "masked", "amp", "cpu", "futures", "cli", "hub", "types", "overrides", "compiler", "version", "sparse", "return_types", "serialization",
               "storage", "functional", "accelerator", "xpu", "multiprocessing", "_dynamo", "onnx", "fx", "_C", "ao", "quasirandom")


def __getattr__(name):
    from importlib import import_module
    from importlib.util import find_spec
    if name in _SUBMODULES and find_spec("." + name, __name__) is not None:
        module = import_module("." + name, __name__)
        globals()[name] = module
        return module
    if name in _LAZY_NAMES:
        value = getattr(import_module("." + _LAZY_NAMES[name], __name__), name)
        globals()[name] = value
        return value
    if name.startswith("_foreach_"):
        from .tensor import _foreach
        if name in _foreach.FUNCTIONS:
            return _foreach.FUNCTIONS[name]
    if name in _ERRORS:
        return getattr(errors, name)
    raise AttributeError(f"module 'rustorch_py' has no attribute {name!r}")


_ERRORS = tuple(n for n in dir(errors) if n.endswith("Error"))
_LAZY_NAMES = {"save": "utils", "load": "utils", "create_tensor": "_seed", "create_variable": "_seed", "tensor_add": "_seed", "vmap": "func",
               "tensor_matmul": "_seed", "backward": "_seed", "set_debug_mode": "_seed", "get_debug_mode": "_seed", "finfo": "_info", "iinfo": "_info",
               "compile": "compiler", "Node": "autograd", "autocast": "amp", "Stream": "cpu", "Event": "cpu", "Future": "futures",
               "GradScaler": "amp", "DisableTorchFunction": "overrides", "DisableTorchFunctionSubclass": "overrides", "Tag": "library",
               **dict.fromkeys(("channel_shuffle", "pixel_shuffle", "pixel_unshuffle"), "nn.functional"),
               **dict.fromkeys(("binary_cross_entropy_with_logits", "cosine_embedding_loss", "hinge_embedding_loss", "kl_div", "margin_ranking_loss",
                                "poisson_nll_loss", "triplet_margin_loss"), "nn.functional._numbered_losses"),
               **dict.fromkeys(("_assert", "sym_int", "sym_float", "sym_not", "sym_max", "sym_min", "sym_sum", "sym_ite", "sym_sqrt", "SymInt", "SymFloat", "SymBool",
                                "has_lapack", "has_mkl", "has_openmp", "has_spectral", "set_warn_always", "is_warn_always_enabled", "get_device_module",
                                "set_anomaly_enabled"), "_more"), "fork": "futures", "wait": "futures",
               "is_anomaly_enabled": "autograd.anomaly", "is_anomaly_check_nan_enabled": "autograd.anomaly",
               "grid_sampler": "nn.functional._vision", "grid_sampler_2d": "nn.functional._vision", "grid_sampler_3d": "nn.functional._vision"}


def __dir__():
    return [*globals(), *_SUBMODULES, *_LAZY_NAMES]


def get_include():
    """Return the directory of the C headers (``rustorch/dtype.h`` and its siblings)."""
    import os
    here = os.path.dirname(os.path.abspath(__file__))
    for path in (os.path.join(here, "include"), os.path.join(os.path.dirname(here), "include")):
        if os.path.isdir(os.path.join(path, "rustorch")):
            return path
    raise FileNotFoundError("rustorch_py: the headers are not installed beside the package")


def is_storage(obj):
    """Tell whether obj is a storage."""
    return type(obj).__name__ in ("UntypedStorage", "TypedStorage")


def typename(obj):
    """Return the name of an object's type, as PyTorch spells it for tensors; of a class or function, its own."""
    if isinstance(obj, Tensor):
        return obj.type()
    module = getattr(obj, "__module__", None) or "builtins"
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None) or type(obj).__qualname__
    return name if module == "builtins" else f"{module}.{name}"


# last: from here on float, int, any, sum ... are the tensor names, not the builtins
globals().update(_face_names())
