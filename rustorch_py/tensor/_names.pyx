"""NumPy's argument names, which PyTorch takes too: axis for dim, keepdims for keepdim."""

cdef extern from "numpy_names.h":
    int rt_renamed_ready() except -1
    object rt_renamed_new(object inner)

rt_renamed_ready()


def with_numpy_names(fn):
    """Return fn as a callable that also takes ``axis`` and ``keepdims``, or fn itself when it has neither dim."""
    code = getattr(fn, "__code__", None)
    if code is None:
        return fn
    names = code.co_varnames[:code.co_argcount + code.co_kwonlyargcount]
    if ("dim" in names or "keepdim" in names) and "axis" not in names:
        return rt_renamed_new(fn)
    return fn
