"""Custom operators by name: ``rustorch_py.ops.<namespace>.<operator>(...)``.

A namespace that has no operators yet is looked for among the installed plugins (entry points ``rustorch_py.plugins``).
"""
from .library import _load, _plugins, _registry

loaded_libraries = _load.loaded_libraries


def load_library(path):
    """Load a shared library of operators; see :func:`rustorch_py.library.load`."""
    _load.load(path)


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if not _registry.has_operators(name):
        _plugins.load_namespace(name)
    return _registry.namespace(name)


def __dir__():
    return sorted({"load_library", "loaded_libraries", *(q.partition("::")[0] for q in list(_registry._table)), *(p.name for p in _plugins.plugins())})
