"""PyTorch's names around ``torch.compile``. Functions of elementwise operators become one loop (jit/_fuse.py); all else runs operator by operator."""
from functools import wraps

from .errors import TensorTypeError
from .jit import _fuse
from .nn import Module

__all__ = ["allow_in_graph", "assume_constant_result", "compile", "cudagraph_mark_step_begin", "disable", "get_default_backend", "is_compiling",
           "is_dynamo_compiling", "is_exporting", "list_backends", "reset", "set_default_backend", "set_stance"]

_backend = "inductor"


class OptimizedModule(Module):
    """A module that was given to `compile`; calls and attributes go to it.

    Args:
        mod: the module; ``_orig_mod`` here, so names in the state dict begin with it as in PyTorch.
        dynamo_ctx: PyTorch's compiler; not used.
    """

    def __init__(self, mod, dynamo_ctx=None):
        super().__init__()
        self._modules["_orig_mod"] = mod

    def __reduce__(self):
        return OptimizedModule, (self._orig_mod,)

    def __deepcopy__(self, memo):
        import copy
        return OptimizedModule(copy.deepcopy(self._orig_mod, memo))

    @property
    def training(self):
        """Whether the module is in training mode."""
        return self._modules["_orig_mod"].training

    @training.setter
    def training(self, value):
        mod = self.__dict__.get("_modules", {}).get("_orig_mod")
        if mod is not None:
            mod.training = value

    def __getattr__(self, name):
        if name == "_orig_mod":
            return self.__dict__["_modules"]["_orig_mod"]
        return getattr(self.__dict__["_modules"]["_orig_mod"], name)

    def __setattr__(self, name, value):
        if name == "training" or name in self.__dict__ or "_orig_mod" not in self.__dict__.get("_modules", ()):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name):
        delattr(self._orig_mod, name)

    def __dir__(self):
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __len__(self):
        return len(self._orig_mod)

    def __iter__(self):
        return iter(self._orig_mod)

    def __getitem__(self, key):
        return self._orig_mod[key]

    def forward(self, *args, **kwargs):
        """Call the module."""
        return self._orig_mod(*args, **kwargs)


def compile(model=None, **options):
    """Return a function whose elementwise operators run as one loop over memory (see ``jit.script``), or a module in a wrapper like PyTorch's.

    Args:
        model: a function, or a Module, which becomes the ``_orig_mod`` of an `OptimizedModule` (names in its state dict begin so) and runs
            operator by operator; without one, a decorator.
        **options: PyTorch's. ``backend="eager"`` or ``disable=True`` leave the function as it is; nothing depends on the others.
    """
    if model is None:
        return lambda fn: compile(fn, **options)
    if isinstance(model, Module):
        return model if isinstance(model, OptimizedModule) else OptimizedModule(model)
    if not callable(model):
        raise TensorTypeError(f"compile: expected a callable or a Module, got {type(model).__name__}", op="compile")
    if options.get("disable") or options.get("backend", _backend) == "eager":
        return model
    return _fuse.fused(model)


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
    return ["eager", "inductor"]


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
    """Say how compiled functions run from here on: a function, or for as long as it lasts a decorator or a context manager.

    Args:
        stance: "force_eager" runs them operator by operator; "default", "eager_on_recompile", "fail_on_recompile", "eager_then_compile" and
            "aot_eager_then_compile" as loops (nothing is compiled at run time, so there is nothing that could fail).
    Raises:
        RuntimeError: another stance.
    """

    def __init__(self, stance="default", *, skip_guard_eval_unsafe=False, force_backend=None):
        known = ("default", "eager_then_compile", "aot_eager_then_compile", "force_eager", "eager_on_recompile", "fail_on_recompile")
        if stance not in known:
            raise RuntimeError(f"invalid torch.compile stance {stance!r}; expected one of {known}")
        self.stance, self.before = stance, _fuse.set_eager(stance == "force_eager")

    def __call__(self, fn):
        _fuse.set_eager(self.before)

        @wraps(fn)
        def run(*args, **kwargs):
            before = _fuse.set_eager(self.stance == "force_eager")
            try:
                return fn(*args, **kwargs)
            finally:
                _fuse.set_eager(before)
        return run

    def __enter__(self):
        _fuse.set_eager(self.stance == "force_eager")
        return self

    def __exit__(self, *exc):
        _fuse.set_eager(self.before)
