"""Operators of devices: what is called instead of a function that reads memory, when it is given a device's tensor.

Note [Operators of devices]
A row of the table, a reduction, a copy, a matrix product or a view goes through the back end's door and works on any device. A
hand-written operator reads its arguments' memory, so a tensor of a device must never get to it: such functions are named in
HOST_ONLY, and once a back end besides the CPU's is registered, the callable before each of them (kernels/function.h) comes here with
a device's tensors. A device's own functions (:func:`implement`) go first, then the compositions that any device can run
(:func:`compose`), which consist of recorded operators and so have gradients. An ``f_`` without a function of its own is ``f`` and a
copy; ``out=`` is taken care of here. What is left raises UnsupportedOpError by name.

Note [Kernels of devices]
Better where it fits: the operator stays one for all devices - its checks, its ``out=``, its node and gradient - and only the innermost
call, which would hand pointers to a loop, asks :func:`run` for the device's kernel when the result is a device's. Such an operator is
not in HOST_ONLY. A device names its kernels by :func:`provide` (_doors.pyx: the call makes no Python object of its own).
"""
from ._doors import has_kernel, kernel_of, provide, run     # noqa: F401
from ._function import set_device_entry
from ..errors import UnsupportedOpError

# By the function's own name (``__name__``).
HOST_ONLY = frozenset("""
    std std_mean var var_mean
    _dirichlet_grad _standard_gamma_grad
    apply_ map_
""".split())

_own = {}                # (device type, name) -> function
_composed = {}           # name -> function


def implement(device_type, functions):
    """Let a device type's tensors go to these functions, a dict by name."""
    for name, fn in functions.items():
        _own[device_type, name] = fn


def compose(fn, name=None):
    """Register a composition of recorded operators under its name, or another; a decorator."""
    _composed[name or fn.__name__] = fn
    return fn


def _into(op, out, result):
    """Put a result where the caller wants it; tuples go element by element."""
    if isinstance(out, (tuple, list)):
        for o, r in zip(out, result):
            _into(op, o, r)
        return type(result)(*out) if hasattr(result, "_fields") else tuple(out)
    if out.shape != result.shape:
        out.resize_(result.shape)
    return out.copy_(result)


def _call(function, device_type, args, kwargs):
    """Make a call of a host-only function for tensors of a device."""
    name = function.__name__
    fn = _own.get((device_type, name)) or _composed.get(name)
    if fn is None and name.endswith("_") and not name.startswith("_"):
        base = _own.get((device_type, name[:-1])) or _composed.get(name[:-1])
        if base is not None:
            return args[0].copy_(base(*args, **kwargs))
    if fn is None:
        raise UnsupportedOpError(f"{name}: has no kernel for this device yet; move its inputs to 'cpu'", op=name)
    out = kwargs.pop("out", None)
    result = fn(*args, **kwargs)
    return result if out is None else _into(name, out, result)


def begin():
    """A back end was registered: ask from now on."""
    from importlib import import_module
    import_module("._device_compositions", __package__)       # above the op modules, which come after this one
    set_device_entry(_call)
