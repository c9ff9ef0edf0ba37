"""PyTorch's names for compiled functions.

A function that only does elementwise arithmetic becomes one loop over memory (`script`, `trace`, ``rustorch_py.compile``: jit/_fuse.py);
everything else runs eagerly, with the same results.
"""
import copy
from contextlib import contextmanager

from ..errors import UnsupportedOpError
from ..futures import fork, wait
from ..nn import Module as ScriptModule
from ._fuse import fused, set_eager

__all__ = ["script", "trace", "trace_module", "script_if_tracing", "freeze", "optimize_for_inference", "is_scripting", "is_tracing", "ignore", "unused", "export",
           "annotate", "isinstance", "save", "load", "ScriptModule", "Final", "Attribute", "interface", "script_method", "fork", "wait",
           "TracerWarning", "optimized_execution"]


class TracerWarning(Warning):
    """What PyTorch's tracer warns with; nothing is traced here, so it is only there to be filtered."""


def script(obj, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    """Return a function whose elementwise operators run as one loop over memory; a class or a module is returned unchanged and runs eagerly.

    What is fused are calls with at least 32,768 elements on the CPU, of functions whose text is assignments and one result, made of
    arithmetic, comparisons and elementwise operators. Results and gradients are the same to the last bit; any other call runs as it stands.

    Example:
        >>> @rustorch_py.jit.script
        ... def quick_gelu(x):
        ...     return x * rustorch_py.sigmoid(1.702 * x)
        >>> quick_gelu(rustorch_py.zeros(3))
        tensor([0., 0., 0.])
    """
    return fused(obj)


def trace(func, example_inputs=None, **options):
    """Run ``func`` once on the example inputs, which shows errors now, and return it as `script` does.

    Args:
        example_inputs: a tensor or a tuple of arguments.
    """
    if example_inputs is not None:
        func(*(example_inputs if type(example_inputs) in (tuple, list) else (example_inputs,)))
    return fused(func)


def trace_module(mod, inputs, **options):
    """Run the named methods on their example inputs and return the module unchanged."""
    for name, given in inputs.items():
        getattr(mod, name)(*(given if type(given) in (tuple, list) else (given,)))
    return mod


def freeze(mod, preserved_attrs=None, optimize_numerics=True):
    """Return a copy of the module, in evaluation mode, whose parameters are constants: results record no gradient of them."""
    if mod.training:
        raise RuntimeError("Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module before freezing.")
    return copy.deepcopy(mod).requires_grad_(False)


@contextmanager
def optimized_execution(should_optimize):
    """Context manager: with False, fused functions run as they stand."""
    before = set_eager(not should_optimize)
    try:
        yield
    finally:
        set_eager(before)


def optimize_for_inference(mod, other_methods=None):
    """Return the module in evaluation mode."""
    return mod.eval()


def script_if_tracing(fn):
    """Return the function unchanged: nothing is traced."""
    return fn


def _overload(func):
    """Mark a signature of an overloaded function: the definition that follows under the name is what runs, whatever the types."""
    return func


_overload_method = _overload


def is_scripting():
    """Tell whether code is being compiled: never, it runs eagerly."""
    return False


def is_tracing():
    """Tell whether a trace is being recorded: never."""
    return False


def ignore(drop=False, **options):
    """Mark a method that compilers leave alone; used bare or with arguments."""
    return drop if callable(drop) else lambda fn: fn


def unused(fn):
    """Mark a method that compiled code must not call: calls are refused in compiled code only, so it stays as it is."""
    return fn


def export(fn):
    """Mark a method to be compiled with its module."""
    return fn


def interface(obj):
    """Mark a class as an interface."""
    return obj


def script_method(fn):
    """Mark a method of a ScriptModule."""
    return fn


def annotate(the_type, the_value):
    """Return the value; the type is for compilers."""
    return the_value


_isinstance = isinstance


def isinstance(obj, target_type):  # noqa: A001  (PyTorch's name)
    """Tell whether ``obj`` is of a type, containers such as ``List[int]`` looked into."""
    import typing
    origin, args = typing.get_origin(target_type), typing.get_args(target_type)
    if origin is None:
        return _isinstance(obj, target_type)
    if origin is typing.Union or type(target_type).__name__ == "UnionType":
        return any(isinstance(obj, a) for a in args)
    if not _isinstance(obj, origin):
        return False
    if origin is dict:
        return all(isinstance(k, args[0]) and isinstance(v, args[1]) for k, v in obj.items())
    if origin is tuple and not (len(args) == 2 and args[1] is Ellipsis):
        return len(obj) == len(args) and all(isinstance(v, a) for v, a in zip(obj, args))
    return all(isinstance(v, args[0]) for v in obj)


def Attribute(value, type):  # noqa: A002  (PyTorch's name)
    """Return the value; the type is for compilers."""
    return value


def save(m, f, *args, **options):
    """Refuse: there is no compiled form to save.

    Raises:
        UnsupportedOpError: always; save ``m.state_dict()`` with ``rustorch_py.save``.
    """
    raise UnsupportedOpError("jit.save: compiled modules are not supported; save the state with rustorch_py.save(module.state_dict(), path)", op="jit.save")


def load(f, *args, **options):
    """Refuse: compiled modules of PyTorch cannot be read.

    Raises:
        UnsupportedOpError: always.
    """
    raise UnsupportedOpError("jit.load: compiled modules are not supported; load a state with rustorch_py.load(path)", op="jit.load")


def __getattr__(name):
    if name == "Final":
        from typing import Final
        return Final
    raise AttributeError(f"module 'rustorch_py.jit' has no attribute {name!r}")


