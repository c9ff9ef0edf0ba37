"""Process-wide switches: determinism, precision of products, denormals."""
from . import _cpu
from ..errors import TensorError

_precision = "highest"
_reduced = {"float16": True, "bfloat16": True}        # split sums of products on a device may be added in the dtype itself
_own_products = False                 # a device's products are made by the package's kernels, not by a library
_told = []                            # devices' functions, told of what products may do
_deterministic = 0                    # 0 default, 1 warn, 2 error

_MODES = {"default": 0, "warn": 1, "error": 2}


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Ask for deterministic algorithms.

    The CPU kernels share work among threads by position, never by order of arrival; with this on, work is cut by its size
    alone, so that results do not depend on the number of threads either.
    """
    set_deterministic_debug_mode((1 if warn_only else 2) if mode else 0)


def are_deterministic_algorithms_enabled():
    """Tell whether deterministic algorithms were asked for."""
    return _deterministic > 0


def is_deterministic_algorithms_warn_only_enabled():
    """Tell whether they were asked for with ``warn_only=True``."""
    return _deterministic == 1


def set_deterministic_debug_mode(debug_mode):
    """Set the mode: 0 or "default", 1 or "warn", 2 or "error"."""
    global _deterministic
    value = _MODES.get(debug_mode) if isinstance(debug_mode, str) else debug_mode
    if value not in (0, 1, 2):
        raise TensorError(f"invalid value of debug_mode, expected one of `default`, `warn`, `error` or 0, 1, 2, but got {debug_mode!r}",
                          op="set_deterministic_debug_mode")
    _deterministic = int(value)
    _cpu.set_fixed_split(_deterministic > 0)


def get_deterministic_debug_mode():
    """Return the mode: 0 default, 1 warn, 2 error."""
    return _deterministic


def get_float32_matmul_precision():
    """Return the lowest precision allowed inside float32 products; the CPU's products are always float32."""
    return _precision


def set_float32_matmul_precision(precision):
    """Allow lower precision inside float32 products ("highest", "high", "medium"): a CUDA device then takes TF32, the CPU needs no permission."""
    global _precision
    if not isinstance(precision, str):
        raise TensorError(f"set_float32_matmul_precision expects a str, but got {type(precision).__name__}", op="set_float32_matmul_precision")
    if precision not in ("highest", "high", "medium"):
        import warnings
        warnings.warn(f"{precision} is not one of 'highest', 'high', or 'medium'; the current setFloat32MatmulPrecision call has no effect.", UserWarning, stacklevel=2)
        return
    _precision = precision
    _tell()


def allow_reduced_sums(dtype, allowed):
    """Say whether split sums of products on a device may be added in float16 or bfloat16 (by name) rather than in float32."""
    _reduced[dtype] = allowed
    _tell()


def prefer_own_products(own):
    """Say whether a device's products are made by the package's own kernels even where a library could."""
    global _own_products
    _own_products = own
    _tell()


def on_product_switches(fn):
    """Call ``fn(tf32, float16 sums, bfloat16 sums, own)`` now and when one of them changes."""
    _told.append(fn)
    _tell()


def _tell():
    for fn in _told:
        fn(_precision != "highest", _reduced["float16"], _reduced["bfloat16"], _own_products)


def set_flush_denormal(mode):
    """Ask the processor to flush denormals to zero; returns False: kept as IEEE 754 has them."""
    return False


_interop = {"threads": 1, "set": False}


def get_num_interop_threads():
    """Return how many operators of one program may run at once, as set; operators here run one after the other."""
    return _interop["threads"]


def set_num_interop_threads(num):
    """Set, once, how many operators of one program may run at once. It takes an interpreter of graphs, which there is none, to make use of it.

    Raises:
        RuntimeError: it was set before, or num is not a positive integer.
    """
    if isinstance(num, bool) or not isinstance(num, int):
        raise TensorError(f"set_num_interop_threads expects an int, but got {type(num).__name__}", op="set_num_interop_threads")
    if num <= 0:
        raise TensorError("set_num_interop_threads expects a positive integer", op="set_num_interop_threads")
    if _interop["set"]:
        raise TensorError("set_num_interop_threads: cannot set number of interop threads after set_num_interop_threads called", op="set_num_interop_threads")
    _interop["threads"], _interop["set"] = num, True


FUNCTIONS = {f.__name__: f for f in (
    use_deterministic_algorithms, are_deterministic_algorithms_enabled, is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode, get_deterministic_debug_mode, get_float32_matmul_precision, set_float32_matmul_precision,
    set_flush_denormal, get_num_interop_threads, set_num_interop_threads)}
