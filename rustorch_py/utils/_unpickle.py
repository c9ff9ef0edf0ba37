"""The unpickler of `weights_only=True`: it builds known, harmless types and refuses all else."""
from __future__ import annotations

import pickle

from ..errors import FileFormatError, RustorchError

# (module, name) of what a pickle may call. Modules of this package are matched by suffix, so that
# the package may be imported under another name.
_ALLOWED = {
    ("collections", "OrderedDict"), ("collections", "Counter"), ("collections", "defaultdict"),
    ("collections", "deque"), ("builtins", "set"), ("builtins", "frozenset"), ("builtins", "bytearray"),
    ("builtins", "complex"), ("builtins", "slice"), ("builtins", "range"), ("builtins", "dict"), ("builtins", "list"),
    ("builtins", "tuple"), ("builtins", "int"), ("builtins", "float"), ("builtins", "bool"), ("builtins", "str"),
    ("builtins", "bytes"), ("_codecs", "encode"),
}
_ALLOWED_HERE = {"Size", "Parameter", "Buffer", "_rebuild_parameter", "_rebuild_buffer"}
_PACKAGE = __name__.partition(".")[0]

_user_globals = {}


def _key(item):
    obj, name = item if isinstance(item, tuple) else (item, None)
    if name is None:
        return obj, (obj.__module__, obj.__qualname__)
    module, _, attribute = name.rpartition(".")
    return obj, (module, attribute)


def add_safe_globals(safe_globals):
    """Allow more classes and functions in files loaded with ``weights_only=True``.

    Args:
        safe_globals: list of classes or functions, or of pairs (object, ``"module.name"``).
    """
    for item in safe_globals:
        obj, key = _key(item)
        _user_globals[key] = obj


def clear_safe_globals():
    """Forget what :func:`add_safe_globals` allowed."""
    _user_globals.clear()


def get_safe_globals():
    """Return what :func:`add_safe_globals` allowed."""
    return list(_user_globals.values())


class safe_globals:
    """Allow classes and functions inside a ``with`` block only.

    Args:
        safe_globals: as for :func:`add_safe_globals`.
    """

    def __init__(self, safe_globals):
        self._items = list(safe_globals)

    def __enter__(self):
        self._before = dict(_user_globals)
        add_safe_globals(self._items)
        return self

    def __exit__(self, exc_type, exc, tb):
        _user_globals.clear()
        _user_globals.update(self._before)


class WeightsUnpicklingError(RustorchError, pickle.UnpicklingError):
    """A pickle asks for a class or function that ``weights_only=True`` does not allow."""


class EmptyFileError(FileFormatError, EOFError):
    """A file without a byte."""


class UnknownFileError(FileFormatError, pickle.UnpicklingError):
    """A file of another kind; PyTorch takes it for a pickle."""


class RestrictedUnpickler(pickle.Unpickler):
    """Unpickle with an allow-list.

    Args:
        stream: file of the pickle.
        persistent_load: function from a reference to its object.
        where: name of the file, for messages.
        replaced: further allowed names, dict from (module, name) to what stands for it.
    """

    def __init__(self, stream, persistent_load, where, replaced=None):
        super().__init__(stream)
        self._persistent = persistent_load
        self._where = where
        self._replaced = replaced or {}

    def persistent_load(self, pid):
        return self._persistent(pid)

    def find_class(self, module, name):
        if module == "__builtin__":                   # as protocol 2 spells it
            module = "builtins"
        key = (module, name)
        if key in self._replaced:
            return self._replaced[key]
        if key in _user_globals:
            return _user_globals[key]
        if key in _ALLOWED or key == (_PACKAGE + ".tensor._sparse", "_rebuild") or (module.partition(".")[0] == _PACKAGE and name in _ALLOWED_HERE):
            return super().find_class(module, name)
        raise WeightsUnpicklingError(
            f"Weights only load failed: {self._where} asks for the global {module}.{name}, which is not allowed by "
            f"default. If you trust it, call rustorch_py.serialization.add_safe_globals([{name}]), or load with "
            "weights_only=False, which lets the file run any code.", op="load")
