"""Small names of the top level: assertions, symbolic numbers (plain numbers here), warnings, device modules."""
import math
import warnings

from . import tensor as _t
from .errors import TensorError, TensorTypeError

has_lapack = True
has_mkl = False
has_openmp = True
has_spectral = True
SymInt, SymFloat, SymBool = int, float, bool       # sizes are plain numbers here: isinstance(x, (int, torch.SymInt)) holds for them

_warn_always = False


def _assert(condition, message):
    """Raise AssertionError with the message unless the condition holds."""
    if isinstance(condition, _t.Tensor):
        condition = bool(condition)
    assert condition, message


def sym_int(a):
    """Convert a number to int, towards zero."""
    return int(a)


def sym_float(a):
    """Convert a number to float."""
    return float(a)


def sym_not(a):
    """Negate a bool."""
    return not a


def sym_max(a, b):
    """Return the larger of two numbers; a float if either is one."""
    top = max(a, b)
    return float(top) if isinstance(a, float) or isinstance(b, float) else top


def sym_min(a, b):
    """Return the smaller of two numbers; a float if either is one."""
    low = min(a, b)
    return float(low) if isinstance(a, float) or isinstance(b, float) else low


def sym_sum(*args):
    """Sum numbers: a list of them, or one by one."""
    return sum(args[0] if len(args) == 1 and isinstance(args[0], (list, tuple)) else args)


def sym_ite(b, t, f):
    """Return t if b, else f."""
    return t if b else f


def sym_sqrt(a):
    """Return the square root of a number."""
    return math.sqrt(a)


def set_warn_always(b):
    """Show every warning of this package each time (True) or once a place (False)."""
    global _warn_always
    if not isinstance(b, bool):
        raise TensorTypeError(f"setWarnOnlyOnce expects a bool, but got {type(b).__name__}", op="set_warn_always")
    _warn_always = b
    warnings.filterwarnings("always" if b else "default", module=__name__.partition(".")[0])


def is_warn_always_enabled():
    """Tell whether warnings are shown each time."""
    return _warn_always


_device_modules = {}         # what was asked for -> module; whatever has an answer keeps it


def get_device_module(device=None):
    """Return the module of a device type: ``get_device_module("cpu")`` is ``rustorch_py.cpu``; None: the default device's.

    Raises:
        RuntimeError: there is no such module.
    """
    try:
        return _device_modules[device]
    except (KeyError, TypeError):
        pass
    if device is None:
        return get_device_module(_t.get_default_device().type)
    if not isinstance(device, (str, _t.device)):
        raise TensorError(f"Invalid value of device '{device}', expect torch.device, str, or None", op="get_device_module")
    kind = _t.device(device).type
    if kind == "meta":
        raise TensorError("Device 'meta' does not have a corresponding module registered as 'torch.meta'.", op="get_device_module")
    from importlib import import_module
    found = _device_modules[device] = import_module("." + kind, __package__)
    return found


def set_anomaly_enabled(mode, check_nan=True):
    """Switch anomaly detection on or off for the process; see ``autograd.set_detect_anomaly``."""
    from .autograd import set_detect_anomaly
    set_detect_anomaly(mode, check_nan)
