"""PyTorch's names around ``torch.compile``. Programs run operator by operator, so there is nothing to leave out, to reset or to count."""
from functools import wraps

from . import _seed

__all__ = ["allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable", "get_default_backend", "is_compiling",
           "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_default_backend", "set_stance"]

_backend = "eager"


def compile(*args, **kwargs):
    """See :func:`rustorch_py.compile`."""
    return _seed.compile(*args, **kwargs)


def disable(fn=None, recursive=True, *, reason=None):
    """Return the function or class unchanged: nothing is compiled. Without one, a decorator."""
    return (lambda f: f) if fn is None else fn


def allow_in_graph(fn):
    """Return the function (or list of functions) unchanged."""
    if isinstance(fn, (list, tuple)):
        return [allow_in_graph(f) for f in fn]
    if not callable(fn):
        raise AssertionError("allow_in_graph expects a callable")
    return fn


def assume_constant_result(fn):
    """Return the function unchanged."""
    return fn


def reset():
    """Do nothing: no compiled code is kept."""


def cudagraph_mark_step_begin():
    """Do nothing: no graphs are recorded."""


def list_backends(exclude_tags=("debug", "experimental")):
    """Return the names that ``compile(backend=...)`` takes."""
    return ["eager"]


def get_default_backend():
    """Return the backend of ``compile`` without one."""
    return _backend


def set_default_backend(backend):
    """Set the backend of ``compile`` without one: "eager" or a callable."""
    global _backend
    if not (callable(backend) or backend in list_backends()):
        raise ValueError(f"set_default_backend: expected a callable or one of {list_backends()}, got {backend!r}")
    _backend = backend


def is_compiling():
    """Tell whether this code is being compiled: never."""
    return False


def is_dynamo_compiling():
    """Tell whether this code is being traced: never."""
    return False


def is_exporting():
    """Tell whether this code is being exported: never."""
    return False


class set_stance:
    """Take how compiled functions should run; all run eagerly whatever the stance. A function, decorator and context manager.

    Args:
        stance: "default", "force_eager", "eager_on_recompile", "fail_on_recompile", "eager_then_compile" or "aot_eager_then_compile".
    Raises:
        RuntimeError: another stance.
    """

    def __init__(self, stance="default", *, skip_guard_eval_unsafe=False, force_backend=None):
        known = ("default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile", "fail_on_recompile")
        if stance not in known:
            raise RuntimeError(f"invalid torch.compile stance {stance!r}; expected one of {known}")
        self.stance = stance

    def __call__(self, fn):
        @wraps(fn)
        def run(*args, **kwargs):
            return fn(*args, **kwargs)
        return run

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return None
