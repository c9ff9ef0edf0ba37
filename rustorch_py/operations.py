"""Every tensor function under one name: ``operations.mul``, ``operations.sum``, ``operations.sin``, ..."""
from . import tensor as _t


def __getattr__(name):
    value = _t._function(name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(_t._face_names())
