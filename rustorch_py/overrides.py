"""Classes and modes that take calls into their own hands (``torch.overrides``): Note [Overrides] in `tensor/_overrides.py`.

A class with a ``__torch_function__`` class method is asked about every call of a public function, method, operator or
property that has an instance among its arguments. A `TorchFunctionMode` is asked about every call of a public function or
method inside its ``with`` block; about operators and properties only where such a class takes part too.
"""
from functools import wraps

from . import tensor as _t
from .tensor import Tensor
from .tensor._function import count_overriding, overriding_state
from .tensor._overrides import (DisableTorchFunction, DisableTorchFunctionSubclass, handle_torch_function, has_torch_function,
                                has_torch_function_unary, has_torch_function_variadic, modes, public_names)

__all__ = ["BaseTorchFunctionMode", "DisableTorchFunction", "DisableTorchFunctionSubclass", "TorchFunctionMode", "get_overridable_functions",
           "handle_torch_function", "has_torch_function", "has_torch_function_unary", "has_torch_function_variadic", "is_tensor_like",
           "is_tensor_method_or_property", "resolve_name", "wrap_torch_function"]


class TorchFunctionMode:
    """Context manager whose ``__torch_function__(func, types, args, kwargs)`` gets the calls made inside.

    While it is asked it is left: the calls that it makes itself go on to the modes outside of it.

    Example:
        >>> class Count(TorchFunctionMode):
        ...     calls = 0
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         self.calls += 1
        ...         return func(*args, **(kwargs or {}))
        >>> with Count() as count:
        ...     total = rustorch_py.ones(2).sum()
        >>> count.calls
        2
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        stack = modes()
        stack.append(self)
        count_overriding(1)
        overriding_state(modes=len(stack))
        return self

    def __exit__(self, *exc):
        stack = modes()
        stack.pop()
        count_overriding(-1)
        overriding_state(modes=len(stack))

    @classmethod
    def push(cls, *args, **kwargs):
        """Return an instance, to be entered."""
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that makes the calls as they are."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **(kwargs or {}))


def is_tensor_like(inp):
    """Tell whether an object is a tensor or has a ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


def wrap_torch_function(dispatcher):
    """Decorate a function so that arguments override it.

    Args:
        dispatcher: takes the function's arguments, returns those that are relevant.
    """
    def decorate(func):
        @wraps(func)
        def wrapped(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return func(*args, **kwargs)
        return wrapped
    return decorate


def is_tensor_method_or_property(func):
    """Tell whether a function is a method of Tensor, or the getter or setter of a property."""
    return func in _members() or getattr(func, "__name__", "") in ("__get__", "__set__")


def _members():
    return {v for v in Tensor.__dict__.values() if callable(v) and not isinstance(v, (classmethod, staticmethod))}


def get_overridable_functions():
    """Return a dictionary of namespaces to the functions in them that ask ``__torch_function__``."""
    from . import fft, linalg, special
    from .nn import functional

    def inside(space):
        return [getattr(space, n) for n in dir(space) if not n.startswith("_") and type(getattr(space, n, None)).__name__ == "function"
                and type(getattr(space, n)).__module__ == "rustorch_py.tensor"]
    return {space: inside(space) for space in (_t, functional, Tensor, linalg, fft, special)}


class RuleNames:
    """The names by which a table of rules knows public functions.

    Args:
        rules: the table; of several names of one function, one that is here is chosen.
        prefix: what stands before the names of nn.functional.
    """

    def __init__(self, rules, prefix=""):
        self.rules, self.prefix, self.found = rules, prefix, None

    def __call__(self, func):
        """Return a function's name; its own where it is none of the package's."""
        if self.found is None:
            from . import autograd, fft, linalg, special
            from . import tensor as _t
            from .nn import functional
            self.found = public_names(self.rules, (_t, ""), (functional, self.prefix), (linalg, "linalg_"), (fft, "fft_"), (special, "special_"),
                                      (autograd, "autograd_"))
        name = self.found.get(func)
        return getattr(func, "__name__", repr(func)) if name is None else name


def resolve_name(f):
    """Return the full name of a function, or None where it has none."""
    name = getattr(f, "__name__", None)
    if name is None:
        return None
    return f"torch.Tensor.{name}" if f in _members() else f"torch.{name}"
